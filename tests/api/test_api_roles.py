"""Which role may do what, endpoint by endpoint and event by event.

The tables here are written by hand and compared with what is served: an endpoint or an event without a row fails, so that
nobody opens a door without deciding for whom.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

import pytest

from gb28181.accounts.rights import MAY
from gb28181.api.app import PREFIX, ROUTES
from gb28181.api.events import EVENTS
from gb28181.api.routing import Route
from tests.api.api_world import World

#: Roles from the least to the most; whoever is named here may, and whoever stands behind.
ROLES: Final = ("viewer", "operator", "admin")

#: Least role of each endpoint, "anybody" without a login.
LEAST: Final[dict[str, str]] = {
    "GET /health": "anybody",
    "POST /login": "anybody",
    "GET /alarms": "viewer",
    "GET /alarms/floods": "viewer",
    "GET /alarms/open": "viewer",
    "GET /alarms/words": "viewer",
    "GET /alarms/{alarm_id}": "viewer",
    "GET /channels": "viewer",
    "GET /device-snapshots/{order_id}": "viewer",
    "GET /devices": "viewer",
    "GET /devices/{device_id}": "viewer",
    "GET /devices/{device_id}/channels": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/cruises": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/cruises/{number}": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/device-recordings": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/home": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/info": "viewer",
    "POST /devices/{device_id}/channels/{channel_id}/live": "viewer",
    "POST /devices/{device_id}/channels/{channel_id}/playback": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/position": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/presets": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/ptz": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/ptz/position": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/recording": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/recordings": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/recordings/calendar": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/recordings/export": "viewer",
    "POST /devices/{device_id}/channels/{channel_id}/recordings/export": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/snapshot": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/status": "viewer",
    "GET /devices/{device_id}/channels/{channel_id}/track": "viewer",
    "GET /devices/{device_id}/info": "viewer",
    "GET /devices/{device_id}/status": "viewer",
    "GET /devices/{device_id}/subscriptions": "viewer",
    "GET /jobs/{job_id}": "viewer",
    "GET /orders": "viewer",
    "GET /orders/{order_id}": "viewer",
    "GET /overview": "viewer",
    "POST /password": "viewer",
    "GET /positions": "viewer",
    "GET /sessions": "viewer",
    "DELETE /sessions/{session_id}": "viewer",
    "PATCH /sessions/{session_id}": "viewer",
    "GET /system": "viewer",
    "GET /tree": "viewer",
    "GET /events": "viewer",
    "POST /alarms/acknowledge": "operator",
    "POST /alarms/{alarm_id}/acknowledge": "operator",
    "POST /alarms/{alarm_id}/reset": "operator",
    "POST /devices/{device_id}/catalog": "operator",
    "PUT /devices/{device_id}/channels/{channel_id}/auxiliaries/{number}": "operator",
    "GET /devices/{device_id}/channels/{channel_id}/config": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/control": "operator",
    "DELETE /devices/{device_id}/channels/{channel_id}/cruises/{number}": "operator",
    "PATCH /devices/{device_id}/channels/{channel_id}/cruises/{number}": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/cruises/{number}/points": "operator",
    "DELETE /devices/{device_id}/channels/{channel_id}/cruises/{number}/points/{preset}": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/cruises/{number}/start": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/device-snapshots": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/drag-zoom": "operator",
    "PUT /devices/{device_id}/channels/{channel_id}/home": "operator",
    "DELETE /devices/{device_id}/channels/{channel_id}/presets/{number}": "operator",
    "PUT /devices/{device_id}/channels/{channel_id}/presets/{number}": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/presets/{number}/call": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/ptz": "operator",
    "DELETE /devices/{device_id}/channels/{channel_id}/ptz/lock": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/ptz/lock": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/ptz/precise": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/ptz/stop": "operator",
    "PUT /devices/{device_id}/channels/{channel_id}/recording": "operator",
    "POST /devices/{device_id}/channels/{channel_id}/scans/{number}": "operator",
    "GET /devices/{device_id}/channels/{channel_id}/storage-cards": "operator",
    "GET /devices/{device_id}/config": "operator",
    "POST /devices/{device_id}/control": "operator",
    "POST /devices/{device_id}/device-snapshots": "operator",
    "GET /devices/{device_id}/storage-cards": "operator",
    "GET /devices/{device_id}/trace": "operator",
    "GET /devices/{device_id}/trace.svg": "operator",
    "GET /devices/{device_id}/trace.txt": "operator",
    "GET /quarantine": "operator",
    "GET /refusals": "operator",
    "GET /audit": "admin",
    "POST /devices": "admin",
    "DELETE /devices/{device_id}": "admin",
    "PATCH /devices/{device_id}": "admin",
    "PUT /devices/{device_id}/channels/{channel_id}/config": "admin",
    "POST /devices/{device_id}/channels/{channel_id}/reboot": "admin",
    "POST /devices/{device_id}/channels/{channel_id}/storage-cards/format": "admin",
    "POST /devices/{device_id}/channels/{channel_id}/upgrade": "admin",
    "PUT /devices/{device_id}/config": "admin",
    "POST /devices/{device_id}/reboot": "admin",
    "POST /devices/{device_id}/storage-cards/format": "admin",
    "PUT /devices/{device_id}/subscriptions/{topic}": "admin",
    "POST /devices/{device_id}/upgrade": "admin",
    "GET /firmware": "admin",
    "POST /firmware": "admin",
    "DELETE /firmware/{firmware_id}": "admin",
    "DELETE /quarantine/{device_id}": "admin",
    "POST /quarantine/{device_id}/accept": "admin",
    "GET /users": "admin",
    "POST /users": "admin",
    "DELETE /users/{username}": "admin",
    "PATCH /users/{username}": "admin",
}

#: The same of each event of the WebSocket.
LEAST_OF_EVENT: Final[dict[str, str]] = {
    "alarm_acknowledged": "viewer",
    "alarm_flood": "viewer",
    "alarm_raised": "viewer",
    "alarm_reset": "viewer",
    "catalog_finished": "viewer",
    "channels_changed": "viewer",
    "channels_faulty": "viewer",
    "device_changed": "viewer",
    "device_moved": "viewer",
    "device_offline": "viewer",
    "device_online": "viewer",
    "device_quarantined": "operator",
    "device_registered": "viewer",
    "media_finished": "viewer",
    "order_changed": "viewer",
    "position_reported": "viewer",
    "ptz_changed": "viewer",
    "ptz_position_reported": "viewer",
    "recording_changed": "viewer",
    "registration_refused": "operator",
    "segment_stored": "viewer",
    "stream_down": "viewer",
    "stream_failed": "viewer",
    "stream_up": "viewer",
    "subscription_changed": "viewer",
    "subtree_changed": "viewer",
}

#: Identifiers that nobody has, so that what is allowed has no effect.
_NOBODY: Final = {"device_id": "34020000001320000990", "channel_id": "34020000001310000990", "number": "1", "preset": "1"}


def somewhere(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda part: _NOBODY.get(part[1], "nobody"), path)


async def test_every_endpoint_of_the_document_has_a_row_here(world: World):
    async with world.client.get("/api/openapi.json") as response:
        document = await response.json()
    served = {
        f"{method.upper()} {path.removeprefix(PREFIX)}" for path, methods in document["paths"].items() for method in methods
    }
    assert served == set(LEAST)


@pytest.mark.parametrize("role", ["", *ROLES])
async def test_a_role_is_let_in_where_its_row_says_so_and_nowhere_else(world: World, role: str):
    """Over HTTP, with nothing but a path: what is allowed may be malformed or not found, but is neither 401 nor 403."""
    wrong = []
    for row, least in LEAST.items():
        method, _, path = row.partition(" ")
        if path == "/events":
            continue  # a WebSocket, see below
        headers = {"Authorization": f"Bearer {world.tokens[role]}"} if role else {}
        async with world.client.request(method, PREFIX + somewhere(path), headers=headers, allow_redirects=False) as answer:
            await answer.read()
            allowed = least == "anybody" or (role != "" and ROLES.index(role) >= ROLES.index(least))
            refused = answer.status == (403 if role else 401)
            if allowed == refused or answer.status >= 500:
                wrong.append((row, answer.status))
    assert wrong == []


def test_every_event_has_a_row_here_and_needs_what_the_row_says():
    needed = {name: next(role for role in ROLES if right in MAY[role]) for name, right in EVENTS.values()}
    assert needed == LEAST_OF_EVENT


def test_no_event_carries_a_secret():
    """By name: what is told to every reader holds no password, key, token or link."""
    carried = {f"{kind.__name__}.{field.name}" for kind in EVENTS for field in dataclasses.fields(kind)}
    assert [name for name in carried if re.search(r"(?i)passw|secret|token|nonce|url|credential", name)] == []


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda endpoint: endpoint.name)
def test_no_endpoint_takes_what_it_does_not_know_or_texts_and_lists_without_end(endpoint: Route):
    """Nothing is set that the endpoint does not name, however deep it stands; body bytes bound what is in a list."""
    loose = []
    for model in (endpoint.query, endpoint.request):
        schema = model.model_json_schema() if model is not None else {}
        for name, part in {"": schema, **schema.get("$defs", {})}.items():
            if part.get("type") == "object" and part.get("additionalProperties") is not False:
                loose.append(name or "itself")
            for field, said in part.get("properties", {}).items():
                loose += [f"{name}.{field}" for kind in (said, *said.get("anyOf", ())) if not is_bounded(kind)]
    assert loose == []


def is_bounded(schema: dict[str, Any]) -> bool:
    ends = {"string": {"maxLength", "pattern", "enum", "const", "format"}, "array": {"maxItems"}}
    return schema.get("type") not in ends or not ends[schema["type"]].isdisjoint(schema)
