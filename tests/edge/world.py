"""An edge on a real port, with an ingest and a control that speak the real messages over real Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import aiohttp
import av
import numpy as np

from gb28181 import tokens
from gb28181.edge.app import Edge
from gb28181.frames import FrameReader, encode, encode_chunk_header
from gb28181.messages import Hello, Transfer, Unwatch, Viewers, WantStream, Watch, WatchEnded, WatchStarted
from gb28181.storage.io.deposit import Deposit

KEY = b"k" * 32
DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"


def stamp(prefix: int, value: int) -> bytes:
    value %= 1 << 33
    return bytes(
        (
            prefix << 4 | value >> 29 & 0x0E | 1,
            value >> 22 & 0xFF,
            value >> 14 & 0xFE | 1,
            value >> 7 & 0xFF,
            value << 1 & 0xFE | 1,
        )
    )


def program_stream(pictures: list[bytes], *, start: int = 90_000, step: int = 3600) -> list[bytes]:
    """One pack for each picture, PES packets of at most 60,000 bytes, no map."""
    out = []
    for number, picture in enumerate(pictures):
        body = bytearray(bytes.fromhex("000001ba440004000401013883f8"))
        for at in range(0, len(picture), 60_000):
            part = picture[at : at + 60_000]
            header = b"\x80\x80\x05" + stamp(2, start + number * step) if at == 0 else b"\x80\x00\x00"
            body += b"\x00\x00\x01\xe0" + (len(header) + len(part)).to_bytes(2, "big") + header + part
        out.append(bytes(body))
    return out


def encoded(codec: str, *, width: int = 320, height: int = 240, frames: int = 30, gop: int = 10) -> list[bytes]:
    """A moving picture as Annex B access units, without B frames."""
    context = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 25), Fraction(25), gop
    keys = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0"
    quiet = f"{keys}:log-level=none:repeat-headers=1:pools=1"
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        **({"x265-params": quiet} if codec == "h265" else {"x264-params": keys}),
    }
    out = []
    for number in range(frames):
        image = np.zeros((height * 3 // 2, width), np.uint8) + 90
        image[:height, number * 4 : number * 4 + 40] = 220
        frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
        frame.pts = number
        out += [bytes(packet) for packet in context.encode(frame)]
    return out + [bytes(packet) for packet in context.encode(None)]


class Ingest:
    """What the edge sees of an ingest: one stream, sent when a test says so."""

    def __init__(self, path: Path, name: str = "ingest-0") -> None:
        self.path = path
        self.name = name
        self.has_stream = True
        self.beginning: tuple[str, int, int] = ("", 0, 0)
        self.watches: dict[int, asyncio.StreamWriter] = {}
        self.unwatched: list[int] = []
        self.watched = asyncio.Event()
        self.asked = asyncio.Event()  # for a stream that is not here
        self.idle = asyncio.Event()
        self.offset = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()
        self.watches.clear()
        self.watched.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        writer.write(encode(Hello(self.name, 1, 1)))
        frames = FrameReader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for message in frames.feed(data):
                    self._answer(message, writer)
        self._writers.discard(writer)
        writer.close()

    def _answer(self, message: object, writer: asyncio.StreamWriter) -> None:
        if isinstance(message, Watch):
            if not self.has_stream or (message.device_id, message.channel_id) != (DEVICE, CHANNEL):
                writer.write(encode(WatchEnded(message.watch_id, "not_found")))
                self.asked.set()
                return
            self.watches[message.watch_id] = writer
            writer.write(encode(WatchStarted(message.watch_id, "s1", *self.beginning)))
            self.watched.set()
            self.idle.clear()
        elif isinstance(message, Unwatch):
            self.watches.pop(message.watch_id, None)
            self.unwatched.append(message.watch_id)
            if not self.watches:
                self.watched.clear()
                self.idle.set()

    def send(self, data: bytes, *, flags: int = 0) -> None:
        for watch_id, writer in self.watches.items():
            writer.write(encode_chunk_header(watch_id, flags, self.offset, time.time_ns() // 1000, len(data)) + data)
        self.offset += len(data)

    def end(self, cause: str = "closed") -> None:
        for watch_id, writer in self.watches.items():
            writer.write(encode(WatchEnded(watch_id, cause)))
        self.watches.clear()
        self.watched.clear()


@dataclass
class Control:
    """Control's two doors: the HTTP socket and the edge socket."""

    http_path: Path
    edge_path: Path
    viewers: list[tuple[tuple[str, str, int], ...]] = field(default_factory=list)
    wanted: list[tuple[str, str]] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    edge: asyncio.StreamWriter | None = None

    async def tell(self, message: object) -> None:
        """Says something to the edge that is connected."""
        await until(lambda: self.edge is not None)
        assert self.edge is not None
        self.edge.write(encode(message))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.edge = writer
        frames = FrameReader()
        while data := await reader.read(1 << 16):
            for message in frames.feed(data):
                if isinstance(message, Viewers):
                    self.viewers.append(message.channels)
                elif isinstance(message, WantStream):
                    self.wanted.append((message.device_id, message.channel_id))
                elif isinstance(message, Transfer):
                    self.transfers.append(message)
            self.heard.set()
        writer.close()


async def until(claim: Callable[[], object], *, within: float = 20.0) -> None:
    """Waits until the claim holds; the deadline only ends a test that has failed."""
    async with asyncio.timeout(within):
        while not claim():
            await asyncio.sleep(0.01)


@dataclass
class World:
    edge: Edge
    ingest: Ingest
    control: Control
    client: aiohttp.ClientSession
    console: Path
    volume: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.edge.port}"

    @property
    def deposit(self) -> Deposit:
        """The folder that the edge was given."""
        return Deposit(self.control.edge_path.parent / "deposit", most_bytes=1 << 30)

    def live(self, suffix: str = ".flv", *, channel: str = CHANNEL, query: str = "", expires_in: int = 60) -> str:
        token = tokens.sign(KEY, "live", f"{DEVICE}/{channel}", int(time.time()) + expires_in)
        return f"{self.url}/media/live/{DEVICE}/{channel}{suffix}?token={token}{query}"


class Pump:
    """Sends pictures again and again, a few milliseconds apart, until told to stop."""

    def __init__(self, ingest: Ingest, codec: str = "h264", *, gop: int = 10) -> None:
        self._ingest = ingest
        self._pictures = encoded(codec, frames=gop, gop=gop)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Pump:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        for turn in itertools.count():
            for data in program_stream(self._pictures, start=90_000 + turn * 3600 * len(self._pictures)):
                self._ingest.send(data)
                await asyncio.sleep(0.005)
