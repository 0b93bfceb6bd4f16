"""What a device is, how it fares, and what it can be told at once: guard, alarms, recording, key frame, target tracking."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel, model_validator

from gb28181.api.device_routes import device_route, named
from gb28181.api.fields import Identifier, Shown
from gb28181.api.routing import Call, Model, Route
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.control import DragZoom, TargetTrack
from gb28181.texts.text import say

Pixels = Annotated[int, Field(ge=1, le=65535)]
_FAILURES = (409, 502, 503, 504)


class DeviceInfoView(Model):
    """What the device said just now; null where it said nothing."""

    asked_at: Shown
    name: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    channels: int | None


class GuardView(Model):
    """`duty_status`: ONDUTY (guarded), OFFDUTY or ALARM."""

    device_id: str
    duty_status: str


class DeviceStatusView(Model):
    """What the device said just now. `time_offset_s`: how far its clock is ahead of ours, null where it told no time."""

    asked_at: Shown
    online: bool
    well: bool
    reason: str | None
    encode: bool | None
    record: bool | None
    device_time: Shown | None
    time_offset_s: float | None
    guards: list[GuardView]


class SetGuard(Model):
    action: Literal["set_guard", "reset_guard"]


class ResetAlarm(Model):
    """Alarms to reset, all without further words: `alarm_method` 1 to 7, in 2022 also 0 for all and lists such as `1/2`."""

    action: Literal["reset_alarm"]
    alarm_method: str | None = Field(None, max_length=16, pattern=r"^[0-9]+(/[0-9]+)*$")
    alarm_type: str | None = Field(None, max_length=16, pattern=r"^[0-9]+(/[0-9]+)*$")


class Record(Model):
    """Recording in the device itself. `stream_number`: 0 main, 1 sub stream; edition 2022."""

    action: Literal["start_record", "stop_record"]
    stream_number: int | None = Field(None, ge=0, le=31)


class KeyFrame(Model):
    action: Literal["key_frame"]


class Area(Model):
    """A box in a window, in pixels from the top left corner: size of the window, centre and size of the box."""

    length: Pixels
    width: Pixels
    mid_point_x: Annotated[int, Field(ge=0, le=65535)]
    mid_point_y: Annotated[int, Field(ge=0, le=65535)]
    length_x: Pixels
    length_y: Pixels


class TrackTarget(Model):
    """A dome follows a target; `manual` needs `target_area`, in the picture of the channel `panorama` where that is given."""

    action: Literal["track_target"]
    mode: Literal["auto", "manual", "stop"]
    panorama: Identifier | None = None
    target_area: Area | None = None

    @model_validator(mode="after")
    def _area(self) -> TrackTarget:
        if self.mode == "manual" and self.target_area is None:
            raise ValueError(say("http.manual_target"))
        return self


class DeviceCommand(
    RootModel[Annotated[SetGuard | ResetAlarm | Record | KeyFrame | TrackTarget, Field(discriminator="action")]]
):
    """One command."""


class ControlDone(Model):
    """`confirmed`: the device said that it did it; false for commands that the standard has no answer for."""

    asked_at: Shown
    action: str
    confirmed: bool


@device_route("GET", "/info", right="view", response=DeviceInfoView, errors=_FAILURES)
async def ask_info(call: Call[None, None], device_id: DeviceId, channel_id: str) -> DeviceInfoView:
    """Asks for maker, model and firmware."""
    info = await call.services.commands.info(device_id, channel_id)
    return DeviceInfoView(
        asked_at=info.asked_at,
        name=info.name,
        manufacturer=info.manufacturer,
        model=info.model,
        firmware=info.firmware,
        channels=info.channels,
    )


@device_route("GET", "/status", right="view", response=DeviceStatusView, errors=_FAILURES)
async def ask_status(call: Call[None, None], device_id: DeviceId, channel_id: str) -> DeviceStatusView:
    """Asks how it fares: recording, clock, guard state of its alarm inputs."""
    status = await call.services.commands.status(device_id, channel_id)
    return DeviceStatusView(
        asked_at=status.asked_at,
        online=status.is_online,
        well=status.is_well,
        reason=status.reason,
        encode=status.encode,
        record=status.record,
        device_time=status.device_time,
        time_offset_s=status.time_offset_s,
        guards=[GuardView(device_id=guard.device_id, duty_status=guard.duty_status) for guard in status.guards],
    )


@device_route("POST", "/control", right="operate", request=DeviceCommand, response=ControlDone, errors=_FAILURES)
async def control_device(call: Call[None, DeviceCommand], device_id: DeviceId, channel_id: str) -> ControlDone:
    """Sets or resets a guard, resets alarms, records in the device, asks for a key frame, follows a target."""
    commands, command = call.services.commands, call.body.root
    asked_at = call.services.clock.utc()
    confirmed = True
    await call.audit(f"device.{command.action}", named(device_id, channel_id), **command.model_dump(exclude={"action"}))
    match command:
        case SetGuard():
            await commands.guard(device_id, channel_id, on=command.action == "set_guard")
        case ResetAlarm():
            await commands.reset_alarm(device_id, channel_id, alarm_method=command.alarm_method, alarm_type=command.alarm_type)
        case Record():
            await commands.record(
                device_id, channel_id, on=command.action == "start_record", stream_number=command.stream_number
            )
        case KeyFrame():
            confirmed = False
            await commands.key_frame(device_id, channel_id)
        case TrackTarget():
            confirmed = False
            area = None if command.target_area is None else DragZoom(**command.target_area.model_dump())
            panorama = None if command.panorama is None else DeviceId(command.panorama)
            mode = TargetTrack[command.mode.upper()]
            await commands.track(device_id, channel_id, mode, panorama=panorama, area=area)
    return ControlDone(asked_at=asked_at, action=command.action, confirmed=confirmed)


ROUTES: tuple[Route, ...] = (*ask_info, *ask_status, *control_device)
