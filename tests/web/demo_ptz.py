"""The made-up platform's cameras that can be steered: what they were told, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Steered:
    """Args:
    said: Each call as `move {...}`, `stop`, `preset call 1` …
    held: Who holds every camera, and until when; movements are refused then.
    """

    said: list[str] = field(default_factory=list)
    moves: list[dict[str, Any]] = field(default_factory=list)
    boxes: list[dict[str, Any]] = field(default_factory=list)
    presets: dict[int, str] = field(default_factory=lambda: {1: "大门", 2: "停车场", 8: ""})
    held: tuple[str, str] | None = None
    locked: bool = False


STEERED = web.AppKey("steered", Steered)


async def _state(request: web.Request) -> web.Response:
    of = request.app[STEERED]
    holder, until = of.held or (("admin", "2099-01-01T00:00:00Z") if of.locked else ("", None))
    return web.json_response(
        {"held_by": holder, "priority": 9 if holder else 0, "until": until, "locked": of.locked, "moving": False,
         "mine": holder == "admin", "may_steer": True, "edition": "2022"}
    )  # fmt: skip


async def _move(request: web.Request) -> web.Response:
    of, body = request.app[STEERED], await request.json()
    if of.held:
        detail = {"held_by": of.held[0], "until": of.held[1]}
        return web.json_response({"error": {"code": "held", "message": "held", "detail": detail}}, status=409)
    of.said.append("move")
    of.moves.append(body)
    return web.json_response({"state": "started", "lease_s": body["lease_s"]})


async def _stop(request: web.Request) -> web.Response:
    request.app[STEERED].said.append("stop")
    return web.Response(status=204)


async def _lock(request: web.Request) -> web.Response:
    of = request.app[STEERED]
    of.locked = request.method == "POST"
    return web.json_response({}) if of.locked else web.Response(status=204)


async def _presets(request: web.Request) -> web.Response:
    items = [{"number": number, "name": name} for number, name in sorted(request.app[STEERED].presets.items())]
    return web.json_response({"items": items, "announced": len(items)})


async def _preset(request: web.Request) -> web.Response:
    of, number = request.app[STEERED], int(request.match_info["number"])
    if request.method == "PUT":
        of.presets[number] = (await request.json())["name"]
        return web.json_response({"number": number, "named": True})
    if request.method == "DELETE":
        del of.presets[number]
    of.said.append(f"preset {request.method} {number}")
    return web.Response(status=204)


async def _drag_zoom(request: web.Request) -> web.Response:
    request.app[STEERED].boxes.append(await request.json())
    return web.Response(status=204)


def routes(channel: str) -> list[web.RouteDef]:
    """Endpoints below the path of a channel."""
    return [
        web.get(f"{channel}/ptz", _state),
        web.post(f"{channel}/ptz", _move),
        web.post(f"{channel}/ptz/stop", _stop),
        web.post(f"{channel}/ptz/lock", _lock),
        web.delete(f"{channel}/ptz/lock", _lock),
        web.get(f"{channel}/presets", _presets),
        web.put(f"{channel}/presets/{{number}}", _preset),
        web.delete(f"{channel}/presets/{{number}}", _preset),
        web.post(f"{channel}/presets/{{number}}/call", _preset),
        web.post(f"{channel}/drag-zoom", _drag_zoom),
    ]
