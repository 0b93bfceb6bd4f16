"""Steering cameras: movements, precise position, drag zoom, and who holds a camera."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gb28181.accounts.rights import PRIORITY, may
from gb28181.api.fields import Shown
from gb28181.api.routing import Call, Model, Route, route
from gb28181.errors import Invalid
from gb28181.ptz.model import Box, Holder, Motion, PtzState, motion_of
from gb28181.texts.text import say

PTZ = "/devices/{device_id}/channels/{channel_id}/ptz"
#: What a command to a device may end in, beside the usual: no such channel, held or of another edition, refused, gone, silent.
COMMAND_ERRORS = (404, 409, 502, 503, 504)

Action = Literal[
    "left", "right", "up", "down", "left_up", "left_down", "right_up", "right_down", "zoom_in", "zoom_out",
    "focus_near", "focus_far", "iris_open", "iris_close", "stop", "move",
]  # fmt: skip


class Speeds(Model):
    """0 to 1 of an action; of `move` -1 to 1, positive is right, up, in, far, open."""

    pan: float | None = Field(None, ge=-1, le=1)
    tilt: float | None = Field(None, ge=-1, le=1)
    zoom: float | None = Field(None, ge=-1, le=1)
    focus: float | None = Field(None, ge=-1, le=1)
    iris: float | None = Field(None, ge=-1, le=1)


class MoveRequest(Model):
    action: Action
    speed: float | Speeds | None = Field(None, description="0 to 1 for all axes, or for each; 0.5 when missing")
    lease_s: float | None = Field(None, ge=0.5, le=60, description="seconds until it is stopped unless this is sent again")


class MoveAnswer(Model):
    """`started`, `changed`, `renewed` or `stopped`; a movement ends after `lease_s` unless it is sent again before."""

    state: Literal["started", "changed", "renewed", "stopped"]
    lease_s: float


class PtzView(Model):
    """`held_by` is empty when the camera is free; `mine` when the caller steers it.

    `edition` is what the device speaks: precise control, positions, cruise tracks, the home position and names of presets
    can be read or written from 2022 on.
    """

    held_by: str
    priority: int
    until: Shown | None
    locked: bool
    moving: bool
    mine: bool
    may_steer: bool
    edition: str


class PreciseRequest(Model):
    """What is missing stays; beyond its limit a camera goes to the limit."""

    pan: float | None = Field(None, ge=0, le=360, description="degrees clockwise seen from above")
    tilt: float | None = Field(None, ge=-90, le=90, description="degrees, down is positive")
    zoom: float | None = Field(None, ge=1, le=10_000, description="factor")


class PositionAnswer(Model):
    """Degrees and metres; null what the camera does not tell."""

    pan: float | None
    tilt: float | None
    zoom: float | None
    horizontal_angle: float | None
    vertical_angle: float | None
    view_distance_m: float | None


class DragZoomRequest(Model):
    """A box in a window, in pixels of the window from its top left corner."""

    direction: Literal["in", "out"]
    window_width: int = Field(ge=1, le=65535)
    window_height: int = Field(ge=1, le=65535)
    center_x: int = Field(ge=0, le=65535)
    center_y: int = Field(ge=0, le=65535)
    width: int = Field(ge=1, le=65535)
    height: int = Field(ge=1, le=65535)


class LockRequest(Model):
    lock_s: float = Field(60, ge=1, le=86_400, description="seconds; the configuration has a longest time")


@route("GET", PTZ, right="view", response=PtzView, errors=(404,))
async def get_ptz(call: Call[None, None]) -> PtzView:
    """Shows who steers a camera, until when, and which edition it speaks."""
    return _view(call, call.services.ptz.state(call.key))


@route("POST", PTZ, right="operate", request=MoveRequest, response=MoveAnswer, errors=COMMAND_ERRORS)
async def move(call: Call[None, MoveRequest]) -> MoveAnswer:
    """Moves a camera, and stops it when this is not sent again before `lease_s` is over.

    It is stopped too when the connection of this request breaks before it is answered, when the events WebSocket of the
    same login closes, and when the server ends. The same request again renews the lease and sends nothing to the camera.
    """
    body, ptz = call.body, call.services.ptz
    if body.action == "stop":
        await stop(call)
        return MoveAnswer(state="stopped", lease_s=0)
    motion = _motion(body)
    lease_s = ptz.lease_of(body.lease_s)
    state = await ptz.move(call.key, motion, holder(call), lease_s=lease_s)
    if state == "started":
        await call.audit("ptz.move", call.key, movement=body.action)
    return MoveAnswer(state=state, lease_s=lease_s)


@route("POST", f"{PTZ}/stop", right="operate", status=204, errors=COMMAND_ERRORS)
async def stop_ptz(call: Call[None, None]) -> None:
    """Stops every movement of a camera, its cruise and its scan."""
    await stop(call)


@route("POST", f"{PTZ}/precise", right="operate", request=PreciseRequest, status=204, errors=COMMAND_ERRORS)
async def turn_to(call: Call[None, PreciseRequest]) -> None:
    """Turns a camera to a place in degrees (edition 2022)."""
    body = call.body
    if body.pan is None and body.tilt is None and body.zoom is None:
        raise Invalid(say("ptz.axis_expected"))
    await call.services.ptz.turn_to(call.key, holder(call), pan=body.pan, tilt=body.tilt, zoom=body.zoom)
    await call.audit("ptz.precise", call.key, **body.model_dump(exclude_none=True))


@route("GET", f"{PTZ}/position", right="view", response=PositionAnswer, errors=COMMAND_ERRORS)
async def get_ptz_position(call: Call[None, None]) -> PositionAnswer:
    """Asks a camera where it looks (edition 2022)."""
    found = await call.services.ptz_memory.position(call.key)
    return PositionAnswer(
        pan=found.pan,
        tilt=found.tilt,
        zoom=found.zoom,
        horizontal_angle=found.horizontal_angle,
        vertical_angle=found.vertical_angle,
        view_distance_m=found.view_distance_m,
    )


@route(
    "POST", "/devices/{device_id}/channels/{channel_id}/drag-zoom", right="operate", request=DragZoomRequest, status=204,
    errors=COMMAND_ERRORS,
)  # fmt: skip
async def drag_zoom(call: Call[None, DragZoomRequest]) -> None:
    """Makes a box of the picture the whole picture (`in`), or the whole picture as small as the box (`out`)."""
    body = call.body
    box = Box(body.window_width, body.window_height, body.center_x, body.center_y, body.width, body.height)
    await call.services.ptz.drag_zoom(call.key, box, holder(call), inward=body.direction == "in")
    await call.audit("ptz.drag_zoom", call.key, **body.model_dump())


@route("POST", f"{PTZ}/lock", right="operate", request=LockRequest, response=PtzView, errors=(404, 409, 503))
async def lock_ptz(call: Call[None, LockRequest]) -> PtzView:
    """Keeps a camera for the caller; again, to keep it for longer. Who has a higher priority takes it all the same."""
    state = call.services.ptz.lock(call.key, holder(call), lock_s=call.body.lock_s)
    await call.audit("ptz.lock", call.key, lock_s=call.body.lock_s)
    return _view(call, state)


@route("DELETE", f"{PTZ}/lock", right="operate", status=204, errors=(404, 409))
async def unlock_ptz(call: Call[None, None]) -> None:
    """Frees a camera that the caller, or somebody of lower priority, has locked."""
    call.services.ptz.unlock(call.key, holder(call))
    await call.audit("ptz.unlock", call.key)


def holder(call: Call[Any, Any]) -> Holder:
    """Who asks, as the cameras know it."""
    return Holder(call.caller.username, PRIORITY[call.caller.role], call.session)


async def stop(call: Call[Any, Any]) -> None:
    await call.services.ptz.stop(call.key, holder(call))


def _motion(body: MoveRequest) -> Motion:
    speeds = body.speed.model_dump(exclude_none=True) if isinstance(body.speed, Speeds) else body.speed
    if body.action != "move":
        return motion_of(body.action, speeds)
    if not isinstance(speeds, dict):
        raise Invalid(say("ptz.move_speeds"))
    return Motion(**speeds)


def _view(call: Call[Any, Any], state: PtzState) -> PtzView:
    return PtzView(
        held_by=state.held_by,
        priority=state.priority,
        until=state.until,
        locked=state.locked,
        moving=state.is_moving,
        mine=state.held_by == call.caller.username,
        may_steer=may(call.caller, "operate"),
        edition=call.services.devices.get(call.key.device_id).profile.edition,
    )


ROUTES: tuple[Route, ...] = (
    get_ptz, move, stop_ptz, turn_to, get_ptz_position, drag_zoom, lock_ptz, unlock_ptz,
)  # fmt: skip
