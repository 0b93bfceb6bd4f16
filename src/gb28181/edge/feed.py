"""One format of one channel: muxes each picture once, keeps the pictures since the last key frame, fans out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from gb28181.edge.ts import TsMuxer
from gb28181.edge.viewer import Block, Viewer
from gb28181.media.flv import FlvMuxer
from gb28181.media.nal import VideoCodec

Format = Literal["flv", "flv-hevc12", "ts"]

#: With so many viewers, frames of `COALESCE_S` are joined: what costs is the call for each viewer, not the bytes.
CROWD: Final = 64
COALESCE_S: Final = 0.06


class Muxer(Protocol):
    """FLV or TS; `write` gives b"" for what cannot be shown yet."""

    @property
    def ready(self) -> bool: ...

    def header(self) -> bytes: ...

    def write(self, data: bytes, dts_90k: int, pts_90k: int, *, is_key: bool) -> bytes: ...

    def sound(self, frame: bytes, at_90k: int, specific: bytes) -> bytes: ...


@dataclass(slots=True)
class Picture:
    """An access unit on the viewers' timeline."""

    data: bytes
    dts_90k: int
    pts_90k: int
    is_key: bool


@dataclass(slots=True)
class Sound:
    """An AAC frame on the viewers' timeline.

    Args:
        data: Without header; empty where sound has begun and its first frame is being made.
        specific: AudioSpecificConfig.
    """

    data: bytes
    at_90k: int
    specific: bytes


def muxer_of(kind: Format, codec: VideoCodec) -> Muxer:
    if kind == "ts":
        return TsMuxer(codec)
    return FlvMuxer(codec, legacy_hevc=kind == "flv-hevc12")


class Feed:
    """Viewers of one format.

    Args:
        gop_limit: Bytes of one group of pictures that are kept; a longer one is forgotten until the next key frame.
    """

    def __init__(self, kind: Format, *, gop_limit: int) -> None:
        self.kind: Format = kind
        self.viewers: set[Viewer] = set()
        self._sent_before = 0
        self._muxer: Muxer | None = None
        self._gop_limit = gop_limit
        self._gop: list[bytes] = []
        self._gop_bytes = 0
        self._burst: Block | None = None
        self._pending: list[bytes] = []
        self._pending_is_key = False
        self._waiting: set[Viewer] = set()
        self._flushed = 0.0

    @property
    def sent(self) -> int:
        """Bytes handed to viewers' connections since the feed began."""
        return self._sent_before + sum(viewer.sent for viewer in self.viewers)

    def use(self, codec: VideoCodec) -> None:
        """A new stream, or one of another codec, follows: it begins with a key frame."""
        self.flush()
        self._muxer = muxer_of(self.kind, codec)
        self._forget()

    def write(self, picture: Picture) -> None:
        if self._muxer is None:
            return
        data = self._muxer.write(picture.data, picture.dts_90k, picture.pts_90k, is_key=picture.is_key)
        if not data:
            return
        if picture.is_key:
            self.flush()
            self._forget()
            self._pending_is_key = True
        if picture.is_key or self._gop:
            self._gop.append(data)
            self._gop_bytes += len(data)
            if self._gop_bytes > self._gop_limit:
                self._forget()
        self._burst = None
        self._pending.append(data)

    def hear(self, sound: Sound) -> None:
        if self._muxer is None:
            return
        data = self._muxer.sound(sound.data, sound.at_90k, sound.specific)
        if not data:
            return
        if self._gop:
            self._gop.append(data)
            self._gop_bytes += len(data)
        self._burst = None
        self._pending.append(data)

    def _forget(self) -> None:
        self._gop = []
        self._gop_bytes = 0
        self._burst = None

    def due(self, now: float) -> bool:
        """Whether what is pending should go out now."""
        return bool(self._pending) and (len(self.viewers) < CROWD or now - self._flushed >= COALESCE_S - 0.002)

    @property
    def holds_back(self) -> bool:
        return bool(self._pending)

    def flush(self, now: float = 0.0) -> None:
        """Sends what is pending to everybody."""
        if not self._pending:
            return
        self._flushed = now or self._flushed
        block = Block(self._pending[0] if len(self._pending) == 1 else b"".join(self._pending), self._pending_is_key)
        self._pending = []
        self._pending_is_key = False
        waiting, self._waiting = self._waiting, set()
        for viewer in self.viewers - waiting if waiting else self.viewers:
            viewer.offer(block)
        if waiting:
            self._begin(waiting, block)

    def _begin(self, waiting: set[Viewer], block: Block) -> None:
        """Viewers who have got nothing yet begin with headers and a key frame."""
        assert self._muxer is not None
        if not block.is_key:
            self._waiting |= waiting
            return
        first = Block(self._muxer.header() + block.data, True)
        for viewer in waiting & self.viewers:
            viewer.begin(first)

    def join(self, viewer: Viewer) -> None:
        """Adds a viewer; it begins at once where the pictures since the last key frame are at hand."""
        self.flush()
        self.viewers.add(viewer)
        if self._muxer is None or not self._muxer.ready or not self._gop:
            self._waiting.add(viewer)
            return
        if self._burst is None:
            self._burst = Block(b"".join((self._muxer.header(), *self._gop)), True)
        viewer.begin(self._burst)

    def leave(self, viewer: Viewer) -> None:
        if viewer in self.viewers:
            self._sent_before += viewer.sent
        self.viewers.discard(viewer)
        self._waiting.discard(viewer)
