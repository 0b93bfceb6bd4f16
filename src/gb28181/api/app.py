"""The HTTP application of control: endpoints, errors, OpenAPI. The edge is the public door; this listens on a Unix socket."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from gb28181.accounts.throttle import RateLimit, TooManyAttempts, TooManyRequests
from gb28181.api import docs_page, openapi
from gb28181.api.endpoints import (
    access,
    alarms,
    audit,
    channels,
    config,
    control,
    device_recordings,
    devices,
    export,
    live,
    orders,
    overview,
    playback,
    positions,
    presets,
    ptz,
    recordings,
    sessions,
    subscriptions,
    trace,
    tree,
    users,
)
from gb28181.api.events import EventStream
from gb28181.api.routing import BURST_S, PREFIX, RATES, SERVICES, BadRequest, Route, bind, language_of
from gb28181.api.services import Services
from gb28181.clock import rfc3339
from gb28181.errors import (
    CommandFailed,
    CommandStage,
    Conflict,
    Denied,
    Gb28181Error,
    Invalid,
    NoPicture,
    NotFound,
    NotInEdition,
    PeerTimeout,
    StorageError,
    Unavailable,
    Unreachable,
    Unsupported,
    WireError,
)
from gb28181.ptz.model import Held
from gb28181.texts.language import Language
from gb28181.texts.text import Text, rendered, say

logger = logging.getLogger(__name__)

ROUTES: Final[tuple[Route, ...]] = (
    *access.ROUTES, *users.ROUTES, *audit.ROUTES, *devices.ROUTES, *channels.ROUTES, *tree.ROUTES, *live.ROUTES,
    *playback.ROUTES, *sessions.ROUTES, *recordings.ROUTES, *overview.ROUTES, *export.ROUTES, *trace.ROUTES,
    *alarms.ROUTES, *positions.ROUTES, *subscriptions.ROUTES, *ptz.ROUTES,
    *presets.ROUTES, *config.ROUTES, *control.ROUTES, *orders.ROUTES,
    *device_recordings.ROUTES,
)  # fmt: skip

#: Exception to status and code; the first that fits, so the narrower ones stand first.
ERRORS: Final[tuple[tuple[type[Gb28181Error], int, str], ...]] = (
    (Invalid, 400, "invalid"),
    (NotFound, 404, "not_found"),
    (NotInEdition, 409, "edition"),
    (Held, 409, "held"),
    (Conflict, 409, "conflict"),
    (TooManyAttempts, 429, "too_many_attempts"),
    (TooManyRequests, 429, "too_many_requests"),
    (Unsupported, 501, "not_supported"),
    (Unreachable, 503, "device_offline"),
    (Unavailable, 503, "unavailable"),
    (StorageError, 503, "storage"),
    (PeerTimeout, 504, "peer_timeout"),
    (WireError, 502, "peer_error"),
)

_HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def create_api(services: Services, *, max_body_bytes: int = 1 << 20) -> web.Application:
    """The application; whoever runs it gives it the Unix socket."""
    app = web.Application(middlewares=[_border], client_max_size=max_body_bytes)
    app[SERVICES] = services
    app[RATES] = RateLimit(per_s=services.limits.requests_per_s, burst=services.limits.requests_per_s * BURST_S)
    events = EventStream()
    document = json.dumps(openapi.document(ROUTES), ensure_ascii=False, indent=1)
    page = docs_page.render(openapi.document(ROUTES))

    async def serve_document(_request: web.Request) -> web.Response:
        return web.Response(text=document, content_type="application/json")

    async def serve_page(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": docs_page.POLICY})

    async def serve_style(_request: web.Request) -> web.Response:
        return web.Response(text=docs_page.STYLE, content_type="text/css")

    async def serve_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=services.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    for endpoint in ROUTES:
        methods = ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,)
        for method in methods:
            app.router.add_route(method, PREFIX + endpoint.path, bind(endpoint))
    app.router.add_get("/health", bind(access.health))
    app.router.add_get("/metrics", serve_metrics)
    app.router.add_get(f"{PREFIX}/events", events.serve, allow_head=False)
    app.router.add_get("/api/openapi.json", serve_document)
    app.router.add_get("/api/docs", serve_page)
    app.router.add_get("/api/docs.css", serve_style)
    app.on_shutdown.append(events.close)
    return app


@web.middleware
async def _border(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """The border of a request: every failure becomes the one error shape; what nobody foresaw is logged under an id."""
    try:
        response = await handler(request)
    except Gb28181Error as error:
        response = failure(error, language_of(request))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if isinstance(error, web.HTTPMethodNotAllowed):
            said = say(
                "http.method", method=request.method, path=request.path, allowed=", ".join(sorted(error.allowed_methods))
            )
        else:
            said = say("http.other", reason=error.reason, method=request.method, path=request.path)
        response = _problem(error.status, _HTTP_CODES.get(error.status, "http_error"), said, language_of(request))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except ConnectionError:
        raise  # the caller has gone; there is nobody to answer
    except Exception:
        error_id = secrets.token_hex(6)
        logger.exception("request failed", extra={"error_id": error_id, "method": request.method, "path": request.path})
        said = say("http.internal", error_id=error_id)
        response = _problem(500, "internal", said, language_of(request), error_id=error_id)
    if not response.prepared:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        # Nothing that the API sends is a page, but its documentation, which has a policy of its own.
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    return response


def failure(error: Gb28181Error, language: Language) -> web.Response:
    """The answer for an error raised on purpose, in the language of whoever asked."""
    if isinstance(error, Denied):
        return _denied(error, language)
    if isinstance(error, NoPicture):
        return _no_picture(error, language)
    if isinstance(error, CommandFailed):
        return _command_failed(error, language)
    if isinstance(error, BadRequest):
        return _problem(400, "invalid", str(error), language, detail={"errors": error.told(language)})
    for kind, status, code in ERRORS:
        if isinstance(error, kind):
            detail: dict[str, Any] | None = None
            if isinstance(error, Held):
                detail = {"held_by": error.user, "until": rfc3339(error.until)}
            response = _problem(status, code, str(error), language, detail=detail)
            if isinstance(error, TooManyAttempts | TooManyRequests):
                response.headers["Retry-After"] = str(int(error.retry_after_s) + 1)
            return response
    raise error


def _denied(error: Denied, language: Language) -> web.Response:
    if error.authenticated:
        return _problem(403, "forbidden", str(error), language)
    response = _problem(401, "unauthenticated", str(error), language)
    response.headers["WWW-Authenticate"] = 'Bearer realm="gb28181"'
    return response


def _no_picture(error: NoPicture, language: Language) -> web.Response:
    """503: the device is not there; 502: it answered and refused; 504: what was waited for never came."""
    if error.detail.get("device") == "offline":
        status, code = 503, "device_offline"
    elif "sip_status" in error.detail:
        status, code = 502, "refused_by_device"
    else:
        status, code = 504, "no_picture"
    detail = {name: rendered(value, language) if isinstance(value, str) else value for name, value in error.detail.items()}
    return _problem(status, code, str(error), language, stage=str(error.stage), detail=detail or None)


_COMMAND_CODES: Final[dict[CommandStage, tuple[int, str]]] = {
    "not_sent": (503, "device_offline"),
    "no_sip_answer": (504, "peer_timeout"),
    "sip_status": (502, "refused_by_device"),
    "no_response": (504, "peer_timeout"),
    "result_error": (502, "refused_by_device"),
}


def _command_failed(error: CommandFailed, language: Language) -> web.Response:
    status, code = _COMMAND_CODES[error.stage]
    detail = {"device_id": error.device_id, "command": error.command, **error.detail}
    return _problem(status, code, str(error), language, stage=error.stage, detail=detail)


def _problem(status: int, code: str, message: str, language: Language, **more: Any) -> web.Response:
    body = {"code": code, "message": rendered(message, language)} | {
        name: value for name, value in more.items() if value is not None
    }
    spoken = language if isinstance(message, Text) else "en"
    # Readable as it comes; what a device said need not be UTF-8.
    readable = json.dumps({"error": body}, ensure_ascii=False).encode(errors="replace")
    headers = {"Content-Language": spoken, "Content-Type": "application/json; charset=utf-8"}
    return web.Response(body=readable, status=status, headers=headers)
