"""Notifications by MESSAGE (A.2.5); alarms, positions and broadcast have files of their own."""

from __future__ import annotations

from datetime import datetime

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, child, children, command, extension


@command(Category.NOTIFY, "Keepalive", clause="A.2.5.2")
class Keepalive:
    """Status report of a device or lower platform (§9.6). Whatever it says, its sender is alive (quirk Q15)."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    status: Result = child("Status", default=Result.OK)
    faulty: tuple[DeviceId, ...] = children("Info", "DeviceID", default=())  # absent means none


@command(Category.NOTIFY, "MediaStatus", clause="A.2.5.4")
class MediaStatus:
    """`121`: everything of a playback or download has been sent (§9.8, §9.9)."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    notify_type: str = child("NotifyType", default="121")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.NOTIFY, "UploadSnapShotFinished", clause="A.2.5.7", since=Edition.E2022)
class UploadSnapShotFinished:
    """The pictures of a SnapShotConfig are uploaded; fewer files than ordered: the others failed.

    Args:
        session_id: That of the SnapShotConfig.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    session_id: str = child("SessionID")
    snap_shot_list: tuple[str, ...] = children("SnapShotList", "SnapShotFileID", default=(), always=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.NOTIFY, "VideoUploadNotify", clause="A.2.5.8", since=Edition.E2022)
class VideoUploadNotify:
    """A device wants to send live video; the platform then invites it as usual."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    time: datetime | None = child("Time", default=None)
    longitude: float | None = child("Longitude", default=None)
    latitude: float | None = child("Latitude", default=None)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.NOTIFY, "DeviceUpgradeResult", clause="A.2.5.9", since=Edition.E2022)
class DeviceUpgradeResult:
    """How a DeviceUpgrade ended.

    Args:
        session_id: That of the DeviceUpgrade.
        firmware: The version that runs now.
        upgrade_failed_reason: 01 download timed out, 02 package damaged, 03 system error, 99 other.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    session_id: str = child("SessionID")
    upgrade_result: Result = child("UpgradeResult")
    firmware: str | None = child("Firmware", default=None)
    upgrade_failed_reason: str | None = child("UpgradeFailedReason", default=None)
    extra_info: tuple[str, ...] = extension(default=())
