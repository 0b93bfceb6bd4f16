"""One picture as JPEG: live `/media/snapshot/<device>/<channel>.jpg`, recorded `/media/snapshot/<device>/<channel>/<ms>.jpg`.

The time is milliseconds since 1970, UTC; the answer's `X-Taken-At` says when the picture was taken that showed then.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import av
import av.error
from aiohttp import web

from gb28181 import tokens
from gb28181.clock import rfc3339
from gb28181.edge.channel import LiveChannel
from gb28181.edge.hub import Hub
from gb28181.edge.recorded import Recordings
from gb28181.edge.recorded_pictures import pictures_of
from gb28181.edge.replies import problem
from gb28181.errors import Denied, Invalid, NotFound, StorageError, Unavailable
from gb28181.media.nal import VideoCodec
from gb28181.texts.text import say

_PART: Final = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,63}")
_LIVE: Final = re.compile(r"([0-9A-Za-z_-][0-9A-Za-z_.-]{0,63})\.jpg")
_MOMENT: Final = re.compile(r"(\d{1,14})\.jpg", re.ASCII)
#: Each decodes with one thread of its own; the event loop and the viewers go on.
_AT_ONCE: Final = 2
_WAITING: Final = 32
#: A picture may need all pictures since its key frame; where these are too many, a picture a little earlier must do.
_MOST_PICTURES: Final = 500
_NAMES: Final[dict[VideoCodec, str]] = {"h264": "h264", "h265": "hevc"}
#: ITU-T T.81 quantiser as FFmpeg counts: 2 is best, 31 worst.
_QUALITY: Final = "3"
#: How long the picture that shows a moment may have stood there before it.
_STANDS_US: Final = 2_000_000


class SnapshotRoutes:
    """Decodes single pictures.

    Args:
        link_key: Checks the tokens of links.
    """

    def __init__(self, hub: Hub, recordings: Recordings, link_key: bytes) -> None:
        self._hub = hub
        self._recordings = recordings
        self._key = link_key
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/media/snapshot/{device}/{name}", self.live)
        app.router.add_get("/media/snapshot/{device}/{channel}/{name}", self.recorded)

    async def live(self, request: web.Request) -> web.StreamResponse:
        device, name = request.match_info["device"], _LIVE.fullmatch(request.match_info["name"])
        if name is None or not _PART.fullmatch(device):
            return problem(404, "not_found", say("media.snapshot_path"))
        channel = name[1]
        try:
            tokens.check(self._key, "snapshot", f"{device}/{channel}", request.query.get("token", ""), time.time())
            live = self._hub.enter(device, channel)
        except Denied as error:
            return problem(403, "link_refused", str(error))
        except Unavailable as error:
            return problem(503, "viewers_full", str(error))
        try:
            await asyncio.shield(live.ready)
            if live.failure:
                return problem(504, "no_picture", live.failure)
            return await self._answer(*_newest(live))
        except Unavailable as error:
            return problem(503, "unavailable", str(error))
        finally:
            self._hub.leave(live, None)

    async def recorded(self, request: web.Request) -> web.StreamResponse:
        device, channel = request.match_info["device"], request.match_info["channel"]
        name = _MOMENT.fullmatch(request.match_info["name"])
        if name is None or not _PART.fullmatch(device) or not _PART.fullmatch(channel):
            return problem(404, "not_found", say("media.snapshot_at_path"))
        try:
            tokens.check(self._key, "snapshot", f"{device}/{channel}/{name[1]}", request.query.get("token", ""), time.time())
            codec, pictures, taken = await asyncio.to_thread(self._at, device, channel, int(name[1]) * 1000)
            return await self._answer(codec, pictures, taken)
        except Denied as error:
            return problem(403, "link_refused", str(error))
        except (NotFound, Invalid) as error:
            return problem(404, "not_found", str(error))
        except Unavailable as error:
            return problem(503, "unavailable", str(error))
        except StorageError as error:
            return problem(503, "storage", str(error))

    def _at(self, device: str, channel: str, at_us: int) -> tuple[VideoCodec, list[bytes], int]:
        """The pictures that a recorded moment needs, and when the last of them was taken."""
        groups = self._recordings.groups(device, channel, max(0, at_us - _STANDS_US), at_us + 1)
        for group in deque(groups, maxlen=1):
            found = pictures_of(group)
            wanted = [picture for picture in found.pictures if group.utc_us + picture.at_90k * 100 // 9 <= at_us]
            wanted = (wanted or list(found.pictures[:1]))[:_MOST_PICTURES]
            if wanted:
                data = [found.sets.annex_b() + wanted[0].data, *(picture.data for picture in wanted[1:])]
                return found.codec, data, group.utc_us + wanted[-1].at_90k * 100 // 9
        raise NotFound(say("media.nothing_at_moment", at=rfc3339(at_us)))

    async def _answer(self, codec: VideoCodec, pictures: Sequence[bytes], taken_us: int | None = None) -> web.Response:
        if self._waiting >= _WAITING:
            raise Unavailable(say("media.snapshots_full", waiting=self._waiting))
        self._waiting += 1
        try:
            async with self._turn:
                image = await asyncio.to_thread(jpeg, codec, pictures)
        finally:
            self._waiting -= 1
        if image is None:
            return problem(504, "no_picture", say("media.undecodable"))
        headers = {"Cache-Control": "no-store"}
        if taken_us is not None:
            headers["X-Taken-At"] = rfc3339(taken_us)
        return web.Response(body=image, content_type="image/jpeg", headers=headers)


def _newest(live: LiveChannel) -> tuple[VideoCodec, list[bytes]]:
    codec, pictures = live.recent()
    return codec, pictures[:_MOST_PICTURES]


def jpeg(codec: VideoCodec, pictures: Sequence[bytes]) -> bytes | None:
    """The last of these pictures; None where none can be decoded.

    Args:
        pictures: Annex B, from a key frame with its parameter sets on.
    """
    decoder = av.CodecContext.create(_NAMES[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    last: av.VideoFrame | None = None
    for data in [*pictures, None]:
        try:
            frames = decoder.decode(av.Packet(data) if data is not None else None)
        except av.error.FFmpegError:
            continue
        for frame in frames:
            last = frame
    if last is None:
        return None
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = last.width, last.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": _QUALITY, "qmax": _QUALITY, "color_range": "pc"}
    picture = last.reformat(format="yuvj420p")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)]) or None
