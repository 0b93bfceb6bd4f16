"""Voice broadcast: notice and answer (A.2.5.5, A.2.6.11, §9.12)."""

from __future__ import annotations

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, child, command, extension


@command(Category.NOTIFY, "Broadcast", clause="A.2.5.5", since=Edition.E2014)
class Broadcast:
    """Asks an audio output to fetch sound; it has no DeviceID.

    Args:
        source_id: Where the sound comes from.
        target_id: The audio output, or a device for all its outputs.
    """

    sn: int = child("SN", default=0)
    source_id: DeviceId = child("SourceID")
    target_id: DeviceId = child("TargetID")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "Broadcast", clause="A.2.6.11", since=Edition.E2014)
class BroadcastResponse:
    """Whether the audio output, which `device_id` names, will fetch it."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result = child("Result")
    extra_info: tuple[str, ...] = extension(default=())
