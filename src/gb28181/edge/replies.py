"""What every answer of the edge has in common: JSON errors, and headers that a browser obeys."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import InvalidHeader, LineTooLong
from aiohttp.web_protocol import RequestHandler

from gb28181.texts.language import Language, accepted
from gb28181.texts.text import Text, rendered, say

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: hls.js and mpegts.js work in blob: workers and give their pictures to `<video>` as blob:. Nothing is inline.
POLICY: Final = (
    "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; img-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_CODES: Final = {400: "invalid", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 416: "range_not_satisfiable"}


def language_of(request: web.BaseRequest) -> Language:
    """What the caller reads; English where it does not say."""
    return accepted(request.headers.get("Accept-Language", ""))


class Problem(web.Response):
    """The one shape of an error: `{error: {code, message}}`, in the language of whoever asked; the message says what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status=status, content_type="application/json", headers={"Cache-Control": "no-store"})
        self._code = code
        self._message = message
        self._tell("en")

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if not self.prepared:
            self._tell(language_of(request))
        return await super().prepare(request)

    def _tell(self, language: Language) -> None:
        self.text = json.dumps(
            {"error": {"code": self._code, "message": rendered(self._message, language)}}, ensure_ascii=False
        )
        self.headers["Content-Language"] = language if isinstance(self._message, Text) else "en"


def problem(status: int, code: str, message: str) -> web.Response:
    return Problem(status, code, message)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The border of a request: whatever fails becomes a JSON error; the query string, which holds tokens, is never logged."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if isinstance(error, web.HTTPMethodNotAllowed):
            said = say(
                "http.method", method=request.method, path=request.path, allowed=", ".join(sorted(error.allowed_methods))
            )
        else:
            said = say("http.other", reason=error.reason, method=request.method, path=request.path)
        answer = problem(error.status, _CODES.get(error.status, "http_error"), said)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except ConnectionError:
        raise  # the client has gone; there is nobody to answer
    except Exception:
        logger.exception("request failed", extra={"method": request.method, "path": request.path})
        return problem(500, "internal", say("http.failed"))


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer (on_response_prepare)."""
    add_headers(request, response)


def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("X-Frame-Options", "DENY")
    if request.secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers["Server"] = "gb28181"


class Protocol(RequestHandler):
    """aiohttp's side of a connection, with its own errors in our shape: bytes that are no request, and what escaped `guard`.

    Whoever sends nonsense gets an answer and no line in the log: strangers must not be able to fill it.
    """

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500 and not isinstance(exc, ConnectionError):
            logger.error("request failed", extra={"method": request.method, "path": request.path}, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer that has begun cannot become an error")
        if status >= 500:
            response = problem(status, "internal", say("http.failed"))
        else:
            response = problem(status, _CODES.get(status, "http_error"), _not_http(exc, message or ""))
        add_headers(request, response)
        response.force_close()
        return response


def _not_http(error: BaseException | None, message: str) -> str:
    """What is wrong with bytes that are no request, without the bytes themselves."""
    if isinstance(error, LineTooLong):
        return say("http.line_too_long", limit=error.args[1])
    if isinstance(error, InvalidHeader):
        return say("http.bad_header")
    return say("http.not_http", reason=message.partition("\n")[0].rstrip(": "))
