"""What cameras remember and switch: presets, cruise tracks, scans, switches, the home position."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gb28181.api.endpoints.ptz import COMMAND_ERRORS, holder
from gb28181.api.fields import Name
from gb28181.api.routing import BadRequest, Call, Model, Route, route
from gb28181.errors import Invalid
from gb28181.manscdp.ptz_code import MAX_DATA, MAX_NUMBER, MAX_PRESET, Auxiliary, Cruise, Scan
from gb28181.ptz.model import CruiseTrack, Home
from gb28181.texts.text import say

CHANNEL = "/devices/{device_id}/channels/{channel_id}"
PRESET = CHANNEL + "/presets/{number}"
CRUISE = CHANNEL + "/cruises/{number}"


class PresetView(Model):
    number: int
    name: str


class PresetsAnswer(Model):
    """`announced` is how many the camera says there are; it may lie."""

    items: list[PresetView]
    announced: int | None


class PresetRequest(Model):
    name: Name = Field("", description="32 bytes of GB 18030 at most; editions before 2022 have no place for it")


class NamedAnswer(Model):
    """`named`: the camera was told the name."""

    number: int
    named: bool


class CruiseView(Model):
    number: int
    name: str


class CruisesAnswer(Model):
    items: list[CruiseView]


class CruisePointView(Model):
    """Seconds; speed 1 to 15."""

    preset: int
    stay_s: int | None
    speed: int | None


class CruiseAnswer(Model):
    number: int
    name: str
    points: list[CruisePointView]


class CruiseChange(Model):
    """What is given is set, for all points of the track."""

    speed: int | None = Field(None, ge=0, le=MAX_DATA)
    stay_s: int | None = Field(None, ge=0, le=MAX_DATA)
    name: Name = ""


class CruisePointRequest(Model):
    preset: int = Field(ge=1, le=MAX_PRESET)
    name: Name = Field("", description="of the track, as that of a preset")


class ScanRequest(Model):
    """`left` and `right` make where the camera looks now the border; `speed` needs a speed."""

    action: Literal["start", "left", "right", "speed"]
    speed: int | None = Field(None, ge=0, le=MAX_DATA)


class SwitchRequest(Model):
    on: bool


class HomeView(Model):
    """`preset` is taken `after_s` seconds of rest."""

    enabled: bool
    after_s: int | None = Field(None, ge=0, le=86_400)
    preset: int | None = Field(None, ge=0, le=MAX_PRESET)


class HomeAnswer(Model):
    """`home` is null when the camera has none."""

    home: HomeView | None


# --- presets -------------------------------------------------------------------------------------------------------


@route("GET", CHANNEL + "/presets", right="view", response=PresetsAnswer, errors=COMMAND_ERRORS)
async def list_presets(call: Call[None, None]) -> PresetsAnswer:
    """Asks a camera which presets it has."""
    found = await call.services.ptz_memory.presets(call.key)
    items = [PresetView(number=preset.number, name=preset.name) for preset in found.items]
    return PresetsAnswer(items=items, announced=found.announced)


@route("PUT", PRESET, right="operate", request=PresetRequest, response=NamedAnswer, errors=COMMAND_ERRORS)
async def set_preset(call: Call[None, PresetRequest]) -> NamedAnswer:
    """Makes where a camera looks now a preset, 1 to 255."""
    number = _number(call, least=1, most=MAX_PRESET)
    named = await call.services.ptz.preset(call.key, "set", number, holder(call), name=call.body.name)
    await call.audit("ptz.preset_set", call.key, number=number, name=call.body.name)
    return NamedAnswer(number=number, named=named)


@route("POST", PRESET + "/call", right="operate", status=204, errors=COMMAND_ERRORS)
async def call_preset(call: Call[None, None]) -> None:
    """Turns a camera to a preset."""
    number = _number(call, least=1, most=MAX_PRESET)
    await call.services.ptz.preset(call.key, "call", number, holder(call))
    await call.audit("ptz.preset_call", call.key, number=number)


@route("DELETE", PRESET, right="operate", status=204, errors=COMMAND_ERRORS)
async def delete_preset(call: Call[None, None]) -> None:
    """Has a camera forget a preset."""
    number = _number(call, least=1, most=MAX_PRESET)
    await call.services.ptz.preset(call.key, "delete", number, holder(call))
    await call.audit("ptz.preset_delete", call.key, number=number)


# --- cruise tracks -------------------------------------------------------------------------------------------------


@route("GET", CHANNEL + "/cruises", right="view", response=CruisesAnswer, errors=COMMAND_ERRORS)
async def list_cruises(call: Call[None, None]) -> CruisesAnswer:
    """Asks a camera which cruise tracks it has (edition 2022)."""
    found = await call.services.ptz_memory.cruises(call.key)
    return CruisesAnswer(items=[CruiseView(number=track.number, name=track.name) for track in found])


@route("GET", CRUISE, right="view", response=CruiseAnswer, errors=COMMAND_ERRORS)
async def get_cruise(call: Call[None, None]) -> CruiseAnswer:
    """Asks a camera for the points of a cruise track, 0 is the first track (edition 2022)."""
    return _cruise_answer(await call.services.ptz_memory.cruise(call.key, _number(call)))


@route("PATCH", CRUISE, right="operate", request=CruiseChange, status=204, errors=COMMAND_ERRORS)
async def change_cruise(call: Call[None, CruiseChange]) -> None:
    """Sets speed or stay time of a cruise track."""
    number, body, ptz = _number(call), call.body, call.services.ptz
    if body.speed is None and body.stay_s is None:
        raise Invalid(say("ptz.speed_or_stay"))
    if body.speed is not None:
        await ptz.cruise(call.key, Cruise("speed", number, body.speed), holder(call), name=body.name)
    if body.stay_s is not None:
        await ptz.cruise(call.key, Cruise("stay", number, body.stay_s), holder(call), name=body.name)
    await call.audit("ptz.cruise_change", call.key, number=number, **body.model_dump(exclude_none=True))


@route("POST", CRUISE + "/points", right="operate", request=CruisePointRequest, response=NamedAnswer, errors=COMMAND_ERRORS)
async def add_cruise_point(call: Call[None, CruisePointRequest]) -> NamedAnswer:
    """Adds a preset to the end of a cruise track."""
    number, preset = _number(call), call.body.preset
    named = await call.services.ptz.cruise(call.key, Cruise("add", number, preset), holder(call), name=call.body.name)
    await call.audit("ptz.cruise_add", call.key, number=number, preset=preset)
    return NamedAnswer(number=number, named=named)


@route("DELETE", CRUISE + "/points/{preset}", right="operate", status=204, errors=COMMAND_ERRORS)
async def delete_cruise_point(call: Call[None, None]) -> None:
    """Takes a preset out of a cruise track."""
    number, preset = _number(call), _number(call, "preset", least=1, most=MAX_PRESET)
    await call.services.ptz.cruise(call.key, Cruise("delete", number, preset), holder(call))
    await call.audit("ptz.cruise_remove", call.key, number=number, preset=preset)


@route("DELETE", CRUISE, right="operate", status=204, errors=COMMAND_ERRORS)
async def delete_cruise(call: Call[None, None]) -> None:
    """Has a camera forget a cruise track."""
    number = _number(call)
    await call.services.ptz.cruise(call.key, Cruise("delete_all", number), holder(call))
    await call.audit("ptz.cruise_delete", call.key, number=number)


@route("POST", CRUISE + "/start", right="operate", status=204, errors=COMMAND_ERRORS)
async def start_cruise(call: Call[None, None]) -> None:
    """Starts a cruise; it goes on until `ptz/stop`."""
    number = _number(call)
    await call.services.ptz.cruise(call.key, Cruise("start", number), holder(call))
    await call.audit("ptz.cruise_start", call.key, number=number)


# --- scans, switches, home -----------------------------------------------------------------------------------------


@route("POST", CHANNEL + "/scans/{number}", right="operate", request=ScanRequest, status=204, errors=COMMAND_ERRORS)
async def scan(call: Call[None, ScanRequest]) -> None:
    """Sets the borders or the speed of an automatic scan, or starts it; it goes on until `ptz/stop`."""
    number, body = _number(call), call.body
    if (body.action == "speed") != (body.speed is not None):
        raise Invalid(say("ptz.speed_alone"))
    await call.services.ptz.scan(call.key, Scan(body.action, number, body.speed or 0), holder(call))
    await call.audit("ptz.scan", call.key, number=number, step=body.action)


@route("PUT", CHANNEL + "/auxiliaries/{number}", right="operate", request=SwitchRequest, status=204, errors=COMMAND_ERRORS)
async def switch(call: Call[None, SwitchRequest]) -> None:
    """Switches something of a camera: 1 is the wiper, other numbers are the maker's."""
    number = _number(call)
    await call.services.ptz.auxiliary(call.key, Auxiliary(call.body.on, number), holder(call))
    await call.audit("ptz.auxiliary", call.key, number=number, on=call.body.on)


@route("GET", CHANNEL + "/home", right="view", response=HomeAnswer, errors=COMMAND_ERRORS)
async def get_home(call: Call[None, None]) -> HomeAnswer:
    """Asks a camera where it returns to by itself (edition 2022)."""
    home = await call.services.ptz_memory.home(call.key)
    return HomeAnswer(home=None if home is None else HomeView(enabled=home.enabled, after_s=home.after_s, preset=home.preset))


@route("PUT", CHANNEL + "/home", right="operate", request=HomeView, status=204, errors=COMMAND_ERRORS)
async def set_home(call: Call[None, HomeView]) -> None:
    """Sets where a camera returns to by itself."""
    body = call.body
    await call.services.ptz.set_home(call.key, Home(body.enabled, body.after_s, body.preset), holder(call))
    await call.audit("ptz.home", call.key, **body.model_dump(exclude_none=True))


def _cruise_answer(track: CruiseTrack) -> CruiseAnswer:
    points = [CruisePointView(preset=point.preset, stay_s=point.stay_s, speed=point.speed) for point in track.points]
    return CruiseAnswer(number=track.number, name=track.name, points=points)


def _number(call: Call[Any, Any], name: str = "number", *, least: int = 0, most: int = MAX_NUMBER) -> int:
    text = call.path[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and least <= int(text) <= most):
        raise BadRequest([{"location": f"path.{name}", "message": say("ptz.number_expected", least=least, most=most)}])
    return int(text)


ROUTES: tuple[Route, ...] = (
    list_presets, set_preset, call_preset, delete_preset, list_cruises, get_cruise, change_cruise, add_cruise_point,
    delete_cruise_point, delete_cruise, start_cruise, scan, switch, get_home, set_home,
)  # fmt: skip
