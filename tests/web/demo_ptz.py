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
    track: list[int] = field(default_factory=lambda: [1, 8])


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


async def _cruises(_request: web.Request) -> web.Response:
    return web.json_response({"items": [{"number": 2, "name": "夜间"}]})


async def _cruise(request: web.Request) -> web.Response:
    points = [{"preset": preset, "stay_s": 10, "speed": 5} for preset in request.app[STEERED].track]
    return web.json_response({"number": int(request.match_info["number"]), "name": "夜间", "points": points})


async def _told(request: web.Request) -> web.Response:
    """Notes what follows the path of the channel, and its body."""
    of = request.app[STEERED]
    body = await request.json() if request.body_exists else {}
    what = request.path.split("/channels/")[1].split("/", 1)[1]
    of.said.append(f"{request.method} {what} {body}" if body else f"{request.method} {what}")
    if what.endswith("/points"):
        of.track.append(body["preset"])
        return web.json_response({"number": 2, "named": True})
    return web.Response(status=204)


async def _home(_request: web.Request) -> web.Response:
    return web.json_response({"home": {"enabled": True, "after_s": 90, "preset": 8}})


async def _position(_request: web.Request) -> web.Response:
    angles = {"horizontal_angle": None, "vertical_angle": None, "view_distance_m": None}
    return web.json_response({"pan": 182.5, "tilt": -4.0, "zoom": 3.0, **angles})


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
        web.get(f"{channel}/cruises", _cruises),
        web.get(f"{channel}/cruises/{{number}}", _cruise),
        web.post(f"{channel}/cruises/{{number}}/{{what}}", _told),
        web.post(f"{channel}/scans/{{number}}", _told),
        web.put(f"{channel}/auxiliaries/{{number}}", _told),
        web.get(f"{channel}/home", _home),
        web.put(f"{channel}/home", _told),
        web.get(f"{channel}/ptz/position", _position),
        web.post(f"{channel}/ptz/precise", _told),
    ]
