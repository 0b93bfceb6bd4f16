"""Endpoints as data: `@route` ties a handler to its method, path, models and right, and everything else is derived.

```python
@route("PATCH", "/devices/{device_id}", right="administer", request=DeviceChange, response=DeviceView)
async def change_device(call: Call[None, DeviceChange]) -> DeviceView: ...
```

From such a table come the aiohttp routes, the checks before a handler runs, and the OpenAPI document. Nothing is
registered by importing: a module lists its endpoints, `create_api` mounts the lists.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from gb28181 import ids
from gb28181.accounts.model import Caller
from gb28181.accounts.rights import Right, demand
from gb28181.accounts.throttle import RateLimit
from gb28181.api.services import Services
from gb28181.catalog.model import ChannelKey
from gb28181.errors import Denied, Gb28181Error, WireError
from gb28181.ids import DeviceId
from gb28181.texts.language import Language, accepted
from gb28181.texts.text import Text, rendered, say, together, told_as

PREFIX: Final = "/api/v1"
SERVICES: Final = web.AppKey("services", Services)
RATES: Final = web.AppKey("rates", RateLimit)
#: Seconds' worth of requests that may come at once: a console that opens asks for a page of everything.
BURST_S: Final = 5.0

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Q = TypeVar("Q", bound=BaseModel | None)
B = TypeVar("B", bound=BaseModel | None)


class Model(BaseModel):
    """Base of what the API takes and gives: unknown fields are errors, so that a typing mistake is not a silent no-op."""

    model_config = ConfigDict(extra="forbid")


class BadRequest(Gb28181Error):
    """A query or body that is not what the endpoint takes (400).

    Args:
        problems: `{"location": "body.name", "message": …}` of each.
    """

    def __init__(self, problems: list[dict[str, str]]) -> None:
        found = [say("http.problem", location=problem["location"], message=problem["message"]) for problem in problems[:5]]
        super().__init__(together(found))
        self.problems = problems

    def told(self, language: Language) -> list[dict[str, str]]:
        return [{**problem, "message": rendered(problem["message"], language)} for problem in self.problems]


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, checked.

    Args:
        caller: Who asks; `anonymous` where the endpoint needs no right.
        source: Address of the client, as the edge saw it.
        session: The login that it came by (`session_of`).
    """

    services: Services
    caller: Caller
    source: str
    path: dict[str, str]
    query: Q
    body: B
    session: str = ""

    @property
    def device_id(self) -> DeviceId:
        return self._identifier("device_id")

    @property
    def key(self) -> ChannelKey:
        return ChannelKey(self.device_id, self._identifier("channel_id"))

    def _identifier(self, name: str) -> DeviceId:
        try:
            return ids.device_id(self.path[name])
        except WireError as error:
            raise BadRequest([{"location": f"path.{name}", "message": error.reason}]) from None

    async def audit(self, action: str, target: object, **detail: object) -> None:
        await self.services.accounts.audit(self.caller, action, str(target), detail)


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is no JSON, saved under its name by a browser."""

    text: str
    name: str


Handler = Callable[[Call[Any, Any]], Awaitable[BaseModel | Document | None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint.

    Args:
        right: What the caller needs; None for everybody, without login.
        status: Of a good answer; 204 has no body, 307 is raised as a redirect.
        errors: Statuses of its own, beside those that every endpoint has.
        produces: Media type of the `Document` that it answers, where it does not answer JSON.
    """

    method: Method
    path: str
    handler: Handler
    right: Right | None
    query: type[BaseModel] | None
    request: type[BaseModel] | None
    response: type[BaseModel] | None
    status: int
    errors: tuple[int, ...]
    produces: str = ""

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def text(self) -> str:
        return (self.handler.__doc__ or "").strip()


def route(
    method: Method,
    path: str,
    *,
    right: Right | None,
    query: type[BaseModel] | None = None,
    request: type[BaseModel] | None = None,
    response: type[BaseModel] | None = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
    produces: str = "",
) -> Callable[[Callable[[Call[Any, Any]], Awaitable[Any]]], Route]:
    """Makes an endpoint of a handler; `path` is below `/api/v1`."""

    def decorate(handler: Callable[[Call[Any, Any]], Awaitable[Any]]) -> Route:
        has_body_or_place = response is not None or produces != "" or status != 200
        answered = status if has_body_or_place else 204
        return Route(method, path, handler, right, query, request, response, answered, errors, produces)

    return decorate


def bind(endpoint: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of an endpoint: who asks, may they, is it well-formed, then the work."""

    async def handle(request: web.Request) -> web.StreamResponse:
        services = request.app[SERVICES]
        caller = await _caller(request, endpoint.right)
        call = Call(
            services=services,
            caller=caller,
            source=source_of(request),
            path=dict(request.match_info),
            query=_query(endpoint.query, request),
            body=await _body(endpoint.request, request),
            session=session_of(bearer(request)) if endpoint.right is not None else "",
        )
        answer = await endpoint.handler(call)
        if isinstance(answer, Document):
            saved = {"Content-Disposition": f'attachment; filename="{answer.name}"'}
            return web.Response(text=answer.text, content_type=endpoint.produces, charset="utf-8", headers=saved)
        if answer is None or endpoint.response is None:
            return web.Response(status=endpoint.status)
        body = answer.model_dump_json(context={"language": language_of(request)})
        return web.Response(body=body.encode(), content_type="application/json", status=endpoint.status)

    return handle


async def _caller(request: web.Request, right: Right | None) -> Caller:
    """Who asks, counted against the allowance; whoever is not logged in is counted by address, guessed tokens too.

    Raises:
        Denied, TooManyRequests: It may not, or not now.
    """
    services, rates = request.app[SERVICES], request.app[RATES]
    caller = Caller("anonymous", "viewer")
    try:
        if right is not None:
            caller = await services.accounts.authenticate(bearer(request))
    except Denied:
        rates.take(("source", source_of(request)), time.monotonic())
        raise
    counted = ("source", source_of(request)) if right is None else ("user", caller.username)
    rates.take(counted, time.monotonic())
    if right is not None:
        demand(caller, right)
    return caller


def bearer(request: web.Request) -> str:
    """The token of the Authorization header; there are no cookies, so no other site can borrow a login.

    Raises:
        Denied: Another scheme.
    """
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if header and scheme.lower() != "bearer":
        raise Denied(say("accounts.bearer"))
    return token.strip()


def language_of(request: web.Request) -> Language:
    """What the caller reads; English where it does not say."""
    return accepted(request.headers.get("Accept-Language", ""))


def session_of(token: str) -> str:
    """A name for the login of a token that gives nothing away; "" for none."""
    return hashlib.sha256(token.encode()).hexdigest()[:16] if token else ""


def source_of(request: web.Request) -> str:
    """The client's address. Only the edge reaches this socket, and it says the address itself, as the only or last one."""
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()[:64] or "local"


def _query(model: type[BaseModel] | None, request: web.Request) -> BaseModel | None:
    if model is None:
        return None
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise BadRequest(problems("query", error)) from None


async def _body(model: type[BaseModel] | None, request: web.Request) -> BaseModel | None:
    if model is None:
        return None
    body = await request.read()
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise BadRequest(problems("body", error)) from None


def problems(where: str, error: ValidationError) -> list[dict[str, str]]:
    """Where and what is wrong, without the value: it may be a password."""
    return [
        {
            "location": ".".join([where, *(str(part) for part in entry["loc"])]),
            "message": _fault(entry["type"], entry["msg"], entry.get("ctx", {})),
        }
        for entry in error.errors(include_url=False, include_input=False)[:20]
    ]


def _fault(kind: str, message: str, context: dict[str, Any]) -> str:
    """What a validator of ours raised, or pydantic's finding."""
    if kind == "value_error" and isinstance(own := context.get("error"), ValueError):
        return own.args[0] if own.args and isinstance(own.args[0], Text) else str(own)
    return told_as(f"invalid.{kind}", message, context)
