"""The types of the console are those of the API: each field is in the OpenAPI document, and may be null where that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gb28181.api.app import ROUTES
from gb28181.api.openapi import document
from tests.web.console_build import WEB

SCHEMAS: dict[str, Any] = document(ROUTES)["components"]["schemas"]
#: What the console calls a model of the API.
MODELS = {
    "types.ts": {
        "Device": "DeviceView", "Stranger": "StrangerView", "Recording": "RecordingView", "Stream": "StreamView",
        "Channel": "ChannelView", "TreeNode": "NodeView", "LiveSession": "LiveAnswer", "Login": "LoginAnswer",
        "System": "SystemView", "Refusal": "RefusalView", "Job": "JobView",
        "CalendarDay": "gb28181__api__endpoints__recordings__DayView", "Recordings": "RecordingsAnswer",
        "PlaybackSession": "PlaybackAnswer", "Export": "ExportAnswer", "Disk": "DiskView", "Missing": "MissingView",
        "Overview": "OverviewAnswer", "TracedMessage": "TracedMessageView", "PtzState": "PtzView", "Preset": "PresetView",
        "Cruise": "CruiseView", "CruiseTrack": "CruiseAnswer", "Home": "HomeView", "PtzPosition": "PositionAnswer",
        "DeviceRecording": "DeviceRecording", "DeviceRecordings": "DeviceRecordings", "User": "UserView",
        "AuditEntry": "AuditView",
    },
    "events_of_devices.ts": {
        "Alarm": "AlarmView", "OpenAlarms": "OpenAlarms", "Acknowledged": "Acknowledged", "AlarmWords": "AlarmWords",
        "Position": "PositionView", "Subscription": "SubscriptionView",
    },
    "../parts/command/types.ts": {
        "DeviceInfo": "DeviceInfoView", "DeviceStatus": "DeviceStatusView", "ConfigAnswer": "ConfigView",
        "Order": "OrderView", "Picture": "PictureView", "SnapshotOrder": "SnapshotView", "Card": "CardView",
        "Firmware": "FirmwareView",
    },
}  # fmt: skip
#: Not of the API's documents: a page of anything, a job below `/media`, the console's own.
OTHERS = {"Page", "ExportJob", "Target"}


def _interfaces(name: str) -> dict[str, str]:
    """Bodies of the interfaces of a file, those that they extend left to themselves."""
    text = (WEB / "src" / "api" / name).read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    found = {}
    for match in re.finditer(r"export interface (\w+)[^{]*\{", text):
        found[match[1]] = text[match.end() : _end(text, match.end())]
    return found


def _end(text: str, start: int) -> int:
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise AssertionError("an interface that does not end")


def _fields(body: str) -> Iterator[tuple[str, str]]:
    """Name and type of each field."""
    place = 0
    while match := re.compile(r"\s*;?\s*(\w+)(\??): ").match(body, place):
        end, depth = match.end(), 0
        while end < len(body) and (depth or body[end] not in "\n;"):
            depth += {"{": 1, "}": -1}.get(body[end], 0)
            end += 1
        yield match[1], body[match.end() : end].strip()
        place = end + 1


def _resolved(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """What a schema refers to, and whether it may be null."""
    options = schema.get("anyOf", [schema])
    rest = [each for each in options if each.get("type") != "null"]
    found = rest[0] if rest else {}
    if "$ref" in found:
        found = SCHEMAS[found["$ref"].rsplit("/", 1)[1]]
    return found, len(rest) < len(options)


def _wrong(body: str, schema: dict[str, Any], where: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name, kind in _fields(body):
        if name not in properties:
            yield f"{where}.{name} is not in the API"
            continue
        inner, is_null = _resolved(properties[name])
        if is_null and "null" not in kind:
            yield f"{where}.{name} may be null"
        if kind.startswith("{") and inner.get("type") == "array":
            inner, _ = _resolved(inner["items"])
        if kind.startswith("{") and "properties" in inner:
            yield from _wrong(kind[1 : kind.rindex("}")], inner, f"{where}.{name}")


@pytest.mark.parametrize("file", MODELS)
def test_each_field_that_the_console_names_is_in_the_api(file: str):
    interfaces = _interfaces(file)
    assert set(interfaces) - OTHERS == set(MODELS[file])
    wrong = [said for name, model in MODELS[file].items() for said in _wrong(interfaces[name], SCHEMAS[model], name)]
    assert wrong == []
