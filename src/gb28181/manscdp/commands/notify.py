"""Notifications by MESSAGE (A.2.5)."""

from __future__ import annotations

from gb28181.ids import DeviceId
from gb28181.manscdp.element import Category, Result, child, children, command


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
