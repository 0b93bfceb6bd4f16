"""What devices leave with us and fetch from us, under links that control made for one order each.

```
PUT, POST /media/upload/<session>/<count>/<token>[/<name>]   a picture of a snapshot order (§9.14): raw, or multipart
GET       /media/picture/<session>/<name>?token=…            the same for operators
PUT       /media/firmware/<id>?token=…                       an operator's firmware file
GET       /media/firmware/<id>/<session>/<token>/<name>      the same for a device under upgrade (§9.13)
```

The token of a device stands in the path, because firmware cuts queries off. How a device uploads is not in the standard:
method, type and name are its own; what counts is that the bytes are a whole JPEG.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gb28181 import tokens
from gb28181.edge.replies import problem
from gb28181.errors import Conflict, Denied, Gb28181Error, Invalid, NotFound, StorageError, Unavailable, WireError
from gb28181.media import jpeg
from gb28181.storage.io.deposit import PICTURE, SESSION, Deposit, label_of
from gb28181.texts.text import say

#: Uploads of pictures that are received at once: each is held whole until it has been looked at.
_UPLOADS: Final = 16
#: Of these of one order: no device takes the places of the others.
_UPLOADS_OF_ONE: Final = 4
#: Files in one multipart body; SnapNum is at most 10.
_MOST_PARTS: Final = 20
#: A line that carries nothing for so long is dead.
_SILENCE_S: Final = 60.0
#: A picture that comes in drops holds its place no longer than this.
_PICTURE_S: Final = 600.0
_CHUNK: Final = 256 << 10
#: Firmware is fetched whole, or in ranges, or again after a broken line; what goes beyond is no upgrade.
_FETCHES: Final = 4
#: Downloads of one upgrade at once: each is an open file.
_FETCHES_AT_ONCE: Final = 8
_REQUESTS: Final = 4096
_SESSIONS: Final = 1000
_REPORT_S: Final = 1.0
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)
#: What aiohttp raises for a body that is not what its headers say: no multipart, no gzip, cut off.
_MALFORMED: Final = (ValueError, LookupError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError)
_STATUS: Final[tuple[tuple[type[Gb28181Error], int, str], ...]] = (
    (Denied, 403, "link_refused"),
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
    (Invalid, 400, "invalid"),
    (Unavailable, 503, "unavailable"),
    (StorageError, 507, "storage"),
)


class DepositRoutes:
    """Serves the links.

    Args:
        transferred: Is told (session, done, total) as a device goes on.
        most_picture_bytes, most_firmware_bytes: Longest body of each.
    """

    def __init__(
        self,
        deposit: Deposit,
        link_key: bytes,
        *,
        transferred: Callable[[str, int, int], None],
        most_picture_bytes: int,
        most_firmware_bytes: int,
    ) -> None:
        self._deposit = deposit
        self._key = link_key
        self._transferred = transferred
        self._most_picture_bytes = most_picture_bytes
        self._most_firmware_bytes = most_firmware_bytes
        self._uploads: Counter[str] = Counter()
        self._keeping = asyncio.Lock()
        self._fetched: OrderedDict[str, _Fetched] = OrderedDict()

    def add_to(self, app: web.Application) -> None:
        for path in ("/media/upload/{session}/{count}/{token}", "/media/upload/{session}/{count}/{token}/{name:.*}"):
            app.router.add_put(path, self.upload)
            app.router.add_post(path, self.upload)
        app.router.add_get("/media/picture/{session}/{name}", self.picture)
        app.router.add_put("/media/firmware/{id}", self.store_firmware)
        app.router.add_get("/media/firmware/{id}/{session}/{token}/{name}", self.fetch_firmware)

    # --- pictures --------------------------------------------------------------------------------------------------

    async def upload(self, request: web.Request) -> web.StreamResponse:
        session, count = request.match_info["session"], request.match_info["count"]
        if not SESSION.fullmatch(session) or not re.fullmatch(r"[0-9]{1,2}", count):
            return problem(404, "not_found", say("media.no_upload"))
        try:
            tokens.check(self._key, "upload", f"{session}/{count}", request.match_info["token"], time.time())
            if self._uploads[session] >= _UPLOADS_OF_ONE or self._uploads.total() >= _UPLOADS:
                raise Unavailable(say("media.uploads_full"))
        except (Denied, Unavailable) as error:
            return _refusal(error)
        self._uploads[session] += 1
        try:
            kept = 0
            async for label, data in self._pictures(request):
                await asyncio.to_thread(jpeg.size_of, data)
                async with self._keeping:
                    before = len(await asyncio.to_thread(self._deposit.pictures, session))
                    kept = await asyncio.to_thread(self._deposit.keep_picture, session, data, label=label, most=int(count))
                    if kept > before:  # the whole folder is looked through: not for one that is repeated for ever
                        await asyncio.to_thread(self._deposit.make_room)
                self._transferred(session, kept, int(count))
            if not kept:
                raise Invalid(say("media.no_jpeg"))
        except TimeoutError:
            slow = say("media.picture_slow", silence=_SILENCE_S, whole=_PICTURE_S)
            return problem(408, "too_slow", slow)
        except WireError as error:
            return problem(error.status, "not_a_picture", error.reason)
        except _MALFORMED as error:
            return problem(400, "invalid", say("media.body_unreadable", why=" ".join(str(error).split())[:100]))
        except Gb28181Error as error:
            return _refusal(error)
        finally:
            self._uploads[session] -= 1
            if not self._uploads[session]:
                del self._uploads[session]
        return web.json_response({"kept": kept}, headers={"Cache-Control": "no-store"})

    async def _pictures(self, request: web.Request) -> AsyncIterator[tuple[str, bytes]]:
        """Name and bytes of every file in the body.

        Raises:
            WireError: One is too long.
            ValueError: A multipart body that is none.
            TimeoutError: It stopped coming, or comes too slowly.
        """
        if (request.content_length or 0) > self._most_picture_bytes * _MOST_PARTS:
            raise self._too_long()
        if not request.content_type.startswith("multipart/"):
            named = request.match_info.get("name") or request.query.get("filename") or request.query.get("name") or ""
            yield label_of(named), await self._whole(lambda: request.content.read(_CHUNK))
            return
        reader = await request.multipart()
        for _ in range(_MOST_PARTS):
            part = await asyncio.wait_for(reader.next(), _SILENCE_S)
            if part is None:
                return
            if not isinstance(part, BodyPartReader):
                raise ValueError("parts within parts")
            source = part
            data = await self._whole(lambda: source.read_chunk(_CHUNK))  # noqa: B023  # read to its end before the next
            # Beside the file there may be fields of text about it.
            if part.filename or data[:2] == b"\xff\xd8":
                yield label_of(part.filename or ""), data

    async def _whole(self, read: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        data = bytearray()
        async with asyncio.timeout(_PICTURE_S):
            while more := await _soon(read()):
                data += more
                if len(data) > self._most_picture_bytes:
                    raise self._too_long()
        return bytes(data)

    def _too_long(self) -> WireError:
        return WireError(f"a picture of more than {self._most_picture_bytes} bytes (command.picture_bytes)", status=413)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        session, name = request.match_info["session"], request.match_info["name"]
        try:
            if not SESSION.fullmatch(session) or not PICTURE.fullmatch(name):
                raise NotFound(say("media.picture_path"))
            tokens.check(self._key, "picture", f"{session}/{name}", request.query.get("token", ""), time.time())
            path = await asyncio.to_thread(self._deposit.picture_path, session, name)
        except Gb28181Error as error:
            return _refusal(error)
        return web.FileResponse(path, headers={"Content-Type": "image/jpeg", "Cache-Control": "private, max-age=3600"})

    # --- firmware --------------------------------------------------------------------------------------------------

    async def store_firmware(self, request: web.Request) -> web.StreamResponse:
        firmware_id = request.match_info["id"]
        try:
            tokens.check(self._key, "firmware-store", firmware_id, request.query.get("token", ""), time.time())
            if (request.content_length or 0) > self._most_firmware_bytes:
                raise WireError(self._firmware_too_long(), status=413)
            incoming = await asyncio.to_thread(self._deposit.receive_firmware, firmware_id)
        except WireError as error:
            return problem(error.status, "too_large", error.reason)
        except Gb28181Error as error:
            return _refusal(error)
        finished = False
        try:
            while data := await _soon(request.content.read(_CHUNK)):
                if incoming.bytes + len(data) > self._most_firmware_bytes:
                    return problem(413, "too_large", self._firmware_too_long())
                await asyncio.to_thread(incoming.write, data)
            digest = await asyncio.to_thread(incoming.finish)
            finished = True
        except TimeoutError:
            return problem(408, "too_slow", say("media.file_slow", silence=_SILENCE_S))
        except web.RequestPayloadError as error:
            return problem(400, "invalid", say("media.body_unreadable", why=" ".join(str(error).split())[:100]))
        except Gb28181Error as error:
            return _refusal(error)
        finally:
            if not finished:
                incoming.discard()
        answer = {"firmware_id": firmware_id, "bytes": incoming.bytes, "sha256": digest}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    def _firmware_too_long(self) -> str:
        return say("media.firmware_long", most=self._most_firmware_bytes)

    async def fetch_firmware(self, request: web.Request) -> web.StreamResponse:
        firmware_id, session = request.match_info["id"], request.match_info["session"]
        try:
            tokens.check(self._key, "firmware", f"{firmware_id}/{session}", request.match_info["token"], time.time())
            path = await asyncio.to_thread(self._deposit.firmware_path, firmware_id)
            fetched = self._fetched_of(session, path.stat().st_size)
            fetched.count(request)
        except FileNotFoundError:
            return problem(404, "not_found", say("media.firmware_removed"))
        except Gb28181Error as error:
            return _refusal(error)
        start, end = _range(request.headers.get("Range", ""), fetched.size)
        if start >= end:
            return problem(416, "range_not_satisfiable", say("media.file_size", size=fetched.size))
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
        partial = (start, end) != (0, fetched.size)
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{fetched.size}"
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        response.content_length = end - start
        await response.prepare(request)
        if request.method != "HEAD":
            fetched.under_way += 1
            try:
                await self._send(response, path, start, end, session, fetched)
            finally:
                fetched.under_way -= 1
        await response.write_eof()
        return response

    async def _send(
        self, response: web.StreamResponse, path: Path, start: int, end: int, session: str, fetched: _Fetched
    ) -> None:
        with await asyncio.to_thread(path.open, "rb") as file:
            file.seek(start)
            position = start
            while position < end and (data := await asyncio.to_thread(file.read, min(_CHUNK, end - position))):
                await response.write(data)
                position += len(data)
                fetched.sent += len(data)
                fetched.furthest = max(fetched.furthest, position)
                now = time.monotonic()
                if now - fetched.told_at >= _REPORT_S or position == fetched.size:
                    fetched.told_at = now
                    self._transferred(session, fetched.furthest, fetched.size)

    def _fetched_of(self, session: str, size: int) -> _Fetched:
        found = self._fetched.get(session)
        if found is None:
            found = self._fetched[session] = _Fetched(size)
            if len(self._fetched) > _SESSIONS:
                self._fetched.popitem(last=False)
        return found


class _Fetched:
    """What one upgrade has had of its firmware."""

    __slots__ = ("furthest", "requests", "sent", "size", "told_at", "under_way")

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent = 0
        self.furthest = 0
        self.requests = 0
        self.under_way = 0
        self.told_at = float("-inf")

    def count(self, request: web.Request) -> None:
        """Raises:
        Denied: This is more than one upgrade needs.
        Unavailable: It takes the file too many times at once.
        """
        if self.under_way >= _FETCHES_AT_ONCE:
            raise Unavailable(say("media.firmware_parallel", under_way=self.under_way))
        self.requests += request.method != "HEAD"
        if self.sent >= _FETCHES * self.size or self.requests > _REQUESTS:
            raise Denied(say("media.firmware_served"))


async def _soon(reading: Coroutine[Any, Any, bytes]) -> bytes:
    """What is read. No `wait_for`, which may swallow the end of an outer time limit.

    Raises:
        TimeoutError: Nothing came.
    """
    async with asyncio.timeout(_SILENCE_S):
        return await reading


def _range(header: str, size: int) -> tuple[int, int]:
    """First byte and the one behind the last; the whole file for a header that is none (RFC 9110 §14.2)."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])), size
    return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size


def _refusal(error: Gb28181Error) -> web.Response:
    status, code = next(((status, code) for kind, status, code in _STATUS if isinstance(error, kind)), (400, "invalid"))
    return problem(status, code, str(error))
