"""Control's link to an ingest: journalled segments are acknowledged only once they are stored; a restart is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.control.ingests import IngestLinks
from gb28181.errors import Unavailable
from gb28181.frames import FrameReader, encode
from gb28181.ids import DeviceId
from gb28181.messages import (
    Acknowledge,
    Attach,
    Failed,
    Hello,
    OpenReceiver,
    ReceiverOpened,
    SegmentClosed,
    Snapshot,
    SnapshotRequest,
)
from gb28181.session.model import IngestDown, IngestUp

KEY = ChannelKey(DeviceId("d"), DeviceId("c"))


class Ingest:
    """The other end, by hand."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.writer: asyncio.StreamWriter | None = None
        self.journal: list[SegmentClosed] = []
        self.refuse = False
        self.epoch = 7

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        frames = FrameReader()
        writer.write(encode(Hello("ingest-0", self.epoch, 1)))
        try:
            while data := await reader.read(65536):
                for message in frames.feed(data):
                    self.heard.append(message)
                    self.answer(message, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def answer(self, message: Any, writer: asyncio.StreamWriter) -> None:
        if isinstance(message, Attach):
            for event in self.journal:
                writer.write(encode(event))
        elif isinstance(message, SnapshotRequest):
            writer.write(encode(Snapshot(message.request_id, ())))
        elif isinstance(message, OpenReceiver):
            answer = Failed(message.request_id, "no_port", "no media port is free")
            writer.write(encode(answer if self.refuse else ReceiverOpened(message.request_id, message.stream_id, 20000)))


@asynccontextmanager
async def linked(folder: Path, ingest: Ingest, bus: Bus, store: Any) -> AsyncIterator[IngestLinks]:
    path = folder / "s"
    server = await asyncio.start_unix_server(ingest.serve, path)
    async with IngestLinks({"ingest-0": path}, epoch=1, bus=bus, store_segments=store) as links:
        await links.wait_ready(5)
        yield links
    server.close()


async def nothing(events: Sequence[SegmentClosed]) -> None:
    assert events


def segment(seq: int) -> SegmentClosed:
    return SegmentClosed(seq, "s", "d", "c", "/v", f"p{seq}", 1, 2, 3, "", "", "rotated")


async def until(claim: Any) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.005)


async def test_segments_are_acknowledged_after_they_are_stored_and_before_the_snapshot_counts(tmp_path: Path) -> None:
    bus, ingest, order = Bus(), Ingest(), []
    ingest.journal = [segment(1), segment(2)]
    bus.subscribe(IngestUp, lambda _event: order.append("up"))

    async def store(events: Sequence[SegmentClosed]) -> None:
        order.append([event.seq for event in events])

    async with linked(tmp_path, ingest, bus, store):
        await until(lambda: Acknowledge(2) in ingest.heard)
    assert order[-1] == "up"
    assert [seq for part in order[:-1] for seq in part] == [1, 2]


async def test_a_database_that_fails_is_tried_again_and_nothing_is_acknowledged_meanwhile(tmp_path: Path) -> None:
    ingest = Ingest()
    ingest.journal = [segment(1)]
    tries = 0

    async def store(events: Sequence[SegmentClosed]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            assert Acknowledge(1) not in ingest.heard
            raise OSError("database is locked")

    async with linked(tmp_path, ingest, Bus(), store):
        await until(lambda: Acknowledge(1) in ingest.heard)
    assert tries == 2


async def test_a_port_is_reserved_and_a_refusal_says_why(tmp_path: Path) -> None:
    ingest = Ingest()
    async with linked(tmp_path, ingest, Bus(), nothing) as links:
        receiver = await links.open_receiver("s1", KEY, transport="udp", ssrc=1)
        assert (receiver.port, receiver.ingest, receiver.ingest_epoch) == (20000, "ingest-0", 7)
        ingest.refuse = True
        with pytest.raises(Unavailable, match="no media port is free"):
            await links.open_receiver("s2", KEY, transport="udp", ssrc=2)


async def test_an_ingest_that_goes_away_fails_what_waits_and_is_attached_again(tmp_path: Path) -> None:
    bus, ingest = Bus(), Ingest()
    downs: list[IngestDown] = []
    ups: list[IngestUp] = []
    bus.subscribe(IngestDown, downs.append)
    bus.subscribe(IngestUp, ups.append)
    async with linked(tmp_path, ingest, bus, nothing) as links:
        assert ingest.writer is not None
        ingest.epoch = 8
        ingest.writer.close()
        await until(lambda: len(ups) == 2)
        assert [down.epoch for down in downs] == [7]
        assert ups[1].epoch == 8
        assert links.links["ingest-0"].is_up


async def test_without_any_ingest_the_answer_is_to_try_again(tmp_path: Path) -> None:
    async with IngestLinks({"ingest-0": tmp_path / "none"}, epoch=1, bus=Bus(), store_segments=nothing) as links:
        with pytest.raises(Unavailable, match="try again"):
            await links.open_receiver("s", KEY, transport="udp", ssrc=1)
        with pytest.raises(Unavailable):
            await links.delete_segments("/v", ["p"])
        await links.close_receiver("ingest-0", "s", "closed")
