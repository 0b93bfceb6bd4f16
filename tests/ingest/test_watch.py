"""What an edge gets: the stream from its last key frame on, from the file and from memory, without a seam."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gb28181.messages import RECORDED, MediaChunk, Unwatch, Watch, WatchEnded, WatchStarted
from tests.ingest.process import Client, IngestProcess
from tests.ingest.sender import UdpSender, packetise

Start = Callable[..., IngestProcess]
DEVICE, CHANNEL = "34020000001110000001", "34020000001320000001"


def last_key_before(footage: bytes, size: int) -> int:
    """Offset of the last pack with a system header within the first `size` bytes."""
    at = footage.rfind(b"\x00\x00\x01\xbb", 0, size)
    return footage.rfind(b"\x00\x00\x01\xba", 0, at)


def joined(edge: Client, started: WatchStarted, size: int) -> bytes:
    head = b""
    if started.file:
        path = Path(started.file)
        data = (path if path.exists() else path.with_suffix("")).read_bytes()
        head = data[started.file_from : started.file_until]
        assert len(head) == started.file_until - started.file_from
    return head + edge.chunks(started.watch_id, size - len(head))


def watch(edge: Client, watch_id: int) -> WatchStarted:
    edge.send(Watch(watch_id, DEVICE, CHANNEL))
    return edge.of(WatchStarted, watch_id=watch_id)


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("write_seconds", [0.05, 30])
def test_join_gives_everything_from_the_last_key_frame_on(
    ingest: Start, footage: bytes, recording: bool, write_seconds: float
) -> None:
    running = ingest(recording={"write_seconds": write_seconds, "write_bytes": 16384})
    control = running.client().attach()
    port = control.open("s1")
    if recording:
        control.record("s1")
    packets = packetise(footage)
    half = len(packets) // 2
    sender = UdpSender(port)
    sender.send(packets[:half])
    control.until("s1", lambda stream: stream.packets == half and bool(stream.segment_start) == recording)
    on_disk = recording and write_seconds < 1
    sent = sum(len(packet) - 12 for packet in packets[:half])
    deadline = time.monotonic() + 10
    while on_disk and sum(file.stat().st_size for file in running.volume.rglob("*.ps.part")) < sent - 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    edge = running.client()
    started = watch(edge, 1)
    while bool(started.file) != on_disk:  # the ingest hears of what was written with its next tick
        assert time.monotonic() < deadline
        edge.send(Unwatch(started.watch_id))
        started = watch(edge, started.watch_id + 1)
    sender.send(packets[half:])
    sender.close()
    begin = last_key_before(footage, sent)
    wanted = footage[begin:]
    # The last bytes may wait in case a pack header begins there.
    assert joined(edge, started, len(wanted) - 3) in (wanted, wanted[:-1], wanted[:-2], wanted[:-3])
    assert control.state("s1").watched


def test_chunks_are_numbered_by_their_place_in_the_stream(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    edge = running.client()
    edge.send(Watch(5, DEVICE, CHANNEL))
    edge.of(WatchStarted, watch_id=5)
    sender = UdpSender(port)
    sender.send(packetise(footage))
    position = 0
    while position < len(footage) - 1000:
        chunk = edge.of(MediaChunk, watch_id=5)
        assert chunk.offset == position
        assert footage[position : position + len(chunk.data)] == chunk.data
        position += len(chunk.data)
    assert chunk.flags == RECORDED
    sender.close()


def test_watch_ends_with_its_stream_or_without_one(ingest: Start) -> None:
    running = ingest()
    control = running.client().attach()
    edge = running.client()
    edge.send(Watch(1, DEVICE, "nobody"))
    assert edge.of(WatchEnded, watch_id=1).cause == "not_found"
    control.open("s1")
    edge.send(Watch(2, DEVICE, CHANNEL))
    edge.of(WatchStarted, watch_id=2)
    control.close_receiver("s1")
    assert edge.of(WatchEnded, watch_id=2).cause == "closed"


def test_who_watches_no_more_gets_no_more(ingest: Start) -> None:
    running = ingest()
    control = running.client().attach()
    control.open("s1")
    edge = running.client()
    edge.send(Watch(2, DEVICE, CHANNEL))
    edge.of(WatchStarted, watch_id=2)
    control.until("s1", lambda stream: stream.watched)
    edge.send(Unwatch(2))
    control.until("s1", lambda stream: not stream.watched)
    edge.send(Watch(3, DEVICE, CHANNEL))
    edge.of(WatchStarted, watch_id=3)
    edge.close()
    control.until("s1", lambda stream: not stream.watched)


def test_reader_that_takes_nothing_is_ended_and_the_recording_goes_on(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    edge = running.client()
    edge.send(Watch(1, DEVICE, CHANNEL))
    edge.of(WatchStarted, watch_id=1)
    sender = UdpSender(port)
    total, seq = 0, 0
    for _ in range(8):  # 26 MB, more than the buffer of a connection
        packets = packetise(footage, seq=seq)
        sender.send(packets)
        seq += len(packets)
        total += len(packets)
    # On a busy machine the kernel may drop some of so fast a sender's packets; the last ones then count as nothing.
    control.until("s1", lambda stream: stream.packets + stream.lost > total * 0.99 and not stream.watched)
    assert edge.of(WatchEnded, watch_id=1).cause == "overrun"
    assert control.state("s1").packets > total * 0.95
    sender.close()
