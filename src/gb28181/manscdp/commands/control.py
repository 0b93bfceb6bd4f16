"""Control of a device (A.2.3.1) and its answer (A.2.6.2). A message carries one sub-command."""

from __future__ import annotations

from enum import StrEnum

from gb28181.ids import DeviceId
from gb28181.manscdp.commands.ptz import HomePosition, PTZCmdParams, PTZPreciseCtrl
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, block, child, command, extension


class TeleBoot(StrEnum):
    """A.2.3.1.3."""

    BOOT = "Boot"


class RecordCmd(StrEnum):
    """recordType, A.2.3.1.4."""

    RECORD = "Record"
    STOP_RECORD = "StopRecord"


class GuardCmd(StrEnum):
    """guardType, A.2.3.1.5."""

    SET_GUARD = "SetGuard"
    RESET_GUARD = "ResetGuard"


class AlarmCmd(StrEnum):
    """A.2.3.1.6."""

    RESET_ALARM = "ResetAlarm"


class IFrameCmd(StrEnum):
    """A.2.3.1.7."""

    SEND = "Send"


class TargetTrack(StrEnum):
    """A.2.3.1.14; `MANUAL` needs the target area."""

    AUTO = "Auto"
    MANUAL = "Manual"
    STOP = "Stop"


@block
class DragZoom:
    """A box in a window, in pixels from the top left corner (A.2.3.1.8, A.2.3.1.9).

    Args:
        length, width: Size of the window: horizontal, vertical.
        mid_point_x, mid_point_y: Centre of the box.
        length_x, length_y: Size of the box.
    """

    length: int = child("Length")
    width: int = child("Width")
    mid_point_x: int = child("MidPointX")
    mid_point_y: int = child("MidPointY")
    length_x: int = child("LengthX")
    length_y: int = child("LengthY")


@block
class DeviceUpgrade:
    """New firmware (A.2.3.1.12).

    Args:
        session_id: Ours: 32 to 128 letters, digits and hyphens; the result names it.
    """

    firmware: str = child("Firmware")
    file_url: str = child("FileURL")
    manufacturer: str = child("Manufacturer")
    session_id: str = child("SessionID")


@block
class ControlInfo:
    """What goes with a sub-command: which alarms AlarmCmd resets; the priority of 2016's example J.6.

    Args:
        alarm_method: As in an alarm; 2022 also "0" for all and lists such as "1/2".
    """

    control_priority: int | None = child("ControlPriority", default=None)
    alarm_method: str | None = child("AlarmMethod", default=None)
    alarm_type: str | None = child("AlarmType", default=None)


@command(Category.CONTROL, "DeviceControl", clause="A.2.3.1")
class DeviceControl:
    """One of the sub-commands. Only RecordCmd, GuardCmd, AlarmCmd, HomePosition and DeviceUpgrade have a Response.

    Args:
        ptz_cmd: 16 hexadecimal digits (A.3).
        stream_number: With record_cmd: 0 main, 1 sub stream.
        format_sd_card: Number of the card from 1; 0 means all.
        device_id2: With target_track: the panorama channel.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    ptz_cmd: str | None = child("PTZCmd", default=None)
    ptz_cmd_params: PTZCmdParams | None = child("PTZCmdParams", default=None, since=Edition.E2022)
    tele_boot: TeleBoot | None = child("TeleBoot", default=None)
    record_cmd: RecordCmd | None = child("RecordCmd", default=None)
    stream_number: int | None = child("StreamNumber", default=None, since=Edition.E2022)
    guard_cmd: GuardCmd | None = child("GuardCmd", default=None)
    alarm_cmd: AlarmCmd | None = child("AlarmCmd", default=None)
    i_frame_cmd: IFrameCmd | None = child("IFrameCmd", default=None, old_name="IFameCmd", since=Edition.E2016)
    drag_zoom_in: DragZoom | None = child("DragZoomIn", default=None, since=Edition.E2014)
    drag_zoom_out: DragZoom | None = child("DragZoomOut", default=None, since=Edition.E2014)
    home_position: HomePosition | None = child("HomePosition", default=None, since=Edition.E2016)
    ptz_precise_ctrl: PTZPreciseCtrl | None = child("PTZPreciseCtrl", default=None, since=Edition.E2022)
    device_upgrade: DeviceUpgrade | None = child("DeviceUpgrade", default=None, since=Edition.E2022)
    format_sd_card: int | None = child("FormatSDCard", default=None, since=Edition.E2022)
    target_track: TargetTrack | None = child("TargetTrack", default=None, since=Edition.E2022)
    device_id2: DeviceId | None = child("DeviceID2", default=None, since=Edition.E2022)
    target_area: DragZoom | None = child("TargetArea", default=None, since=Edition.E2022)
    info: ControlInfo | None = child("Info", default=None)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "DeviceControl", clause="A.2.6.2")
class DeviceControlResponse:
    """Whether the device did it."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result = child("Result")
    extra_info: tuple[str, ...] = extension(default=())
