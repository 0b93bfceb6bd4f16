"""Storage cards of a device (A.2.4.14, A.2.6.16)."""

from __future__ import annotations

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, block, child, children, command, extension


@command(Category.QUERY, "SDCardStatus", clause="A.2.4.14", since=Edition.E2022)
class SDCardStatusQuery:
    """Asks for the state of the storage cards."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@block
class SDCard:
    """One storage card.

    Args:
        id: From 1.
        status: `ok`, `formatting`, `unformatted`, `idle` or `error`.
        format_progress: Percent.
        capacity, free_space: MB.
    """

    id: int = child("ID", required=True)
    hdd_name: str | None = child("HddName", default=None)
    status: str | None = child("Status", default=None)
    format_progress: int | None = child("FormatProgress", default=None)
    capacity: int | None = child("Capacity", default=None)
    free_space: int | None = child("FreeSpace", default=None)


@command(Category.RESPONSE, "SDCardStatus", clause="A.2.6.16", since=Edition.E2022)
class SDCardStatusResponse:
    """The cards, 8 at most.

    Args:
        result: Not in the schema; some firmware says it.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result | None = child("Result", default=None)
    sum_num: int | None = child("SumNum", default=None)
    sd_card_status_info: tuple[SDCard, ...] = children("SDCardStatusInfo", "Item", default=(), counted=True)
    extra_info: tuple[str, ...] = extension(default=())
