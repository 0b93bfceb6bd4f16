"""Users, the audit, and what a device itself has recorded, of the made-up platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

_PAGE = 50


@dataclass
class Desk:
    """Args:
    passwords: By user, as they were given last.
    """

    users: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "admin": {"username": "admin", "role": "admin", "disabled": False},
            "王伟": {"username": "王伟", "role": "viewer", "disabled": False},
        }
    )
    passwords: dict[str, str] = field(default_factory=dict)
    audit: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {
                "id": 100 - number, "at": f"2026-03-01T08:{59 - number // 2:02}:00Z", "user": "admin" if number % 3 else "王伟",
                "action": "live.open" if number % 2 else "ptz.preset_call", "target": "34020000001320000001",
                "detail": {"number": number},
            }
            for number in range(60)
        ]
    )  # fmt: skip


DESK = web.AppKey("desk", Desk)


async def _users(request: web.Request) -> web.Response:
    return web.json_response({"items": list(request.app[DESK].users.values())})


async def _add(request: web.Request) -> web.Response:
    desk, body = request.app[DESK], await request.json()
    if body["username"] in desk.users:
        error = {"code": "conflict", "message": f"there is a user {body['username']} already"}
        return web.json_response({"error": error}, status=409)
    desk.passwords[body["username"]] = body.pop("password")
    desk.users[body["username"]] = body | {"disabled": False}
    return web.json_response(desk.users[body["username"]], status=201)


async def _change(request: web.Request) -> web.Response:
    desk, name, body = request.app[DESK], request.match_info["user"], await request.json()
    if "password" in body:
        desk.passwords[name] = body.pop("password")
    desk.users[name] |= body
    return web.json_response(desk.users[name])


async def _remove(request: web.Request) -> web.Response:
    del request.app[DESK].users[request.match_info["user"]]
    return web.Response(status=204)


async def _audit(request: web.Request) -> web.Response:
    wanted = {name: request.query.get(name, "") for name in ("user", "action")}
    rows = [row for row in request.app[DESK].audit if all(not value or row[name] == value for name, value in wanted.items())]
    start = int(request.query.get("cursor", 0))
    following = str(start + _PAGE) if len(rows) > start + _PAGE else None
    return web.json_response({"items": rows[start : start + _PAGE], "next": following})


async def _held(request: web.Request) -> web.Response:
    """Half-hours from the beginning of the range on, but the third one, which is a gap."""
    start = datetime.fromisoformat(request.query["start"])
    half = timedelta(minutes=30)
    spans = [(start + half * number, start + half * (number + 1)) for number in range(6)]
    recorded = [(spans[0][0], spans[1][1]), (spans[3][0], spans[5][1])]
    items = [
        {"start": _text(begin), "end": _text(end), "name": f"CH1-{number}", "type": "time", "file_path": "", "address": "",
         "recorder_id": "", "bytes": 78_643_200, "secrecy": 0, "location": "device", "stream_number": None}
        for number, (begin, end) in enumerate(spans) if number != 2
    ]  # fmt: skip
    return web.json_response(
        {
            "asked_at": _text(datetime.now(UTC)),
            "complete": True,
            "items": items,
            "recorded": [{"start": _text(begin), "end": _text(end)} for begin, end in recorded],
            "gaps": [{"start": _text(spans[2][0]), "end": _text(spans[2][1])}],
            "days": [{"date": f"{start:%Y-%m-%d}", "state": "complete", "received": 5, "announced": 5}],
        }
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def routes(api: str, channel: str) -> list[web.RouteDef]:
    return [
        web.get(f"{api}/users", _users),
        web.post(f"{api}/users", _add),
        web.patch(f"{api}/users/{{user}}", _change),
        web.delete(f"{api}/users/{{user}}", _remove),
        web.get(f"{api}/audit", _audit),
        web.get(f"{channel}/device-recordings", _held),
    ]
