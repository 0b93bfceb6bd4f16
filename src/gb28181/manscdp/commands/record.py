"""Recordings that a device holds: query and answer in parts (A.2.4.5, A.2.6.7)."""

from __future__ import annotations

from datetime import datetime

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, block, child, children, command, extension


@command(Category.QUERY, "RecordInfo", clause="A.2.4.5")
class RecordInfoQuery:
    """Asks for recordings of a channel.

    Args:
        type: `time`, `alarm`, `manual` or `all`.
        indistinct_query: "0" where the query goes; "1" in the centre and in the device, merged.
        alarm_method, alarm_type: As in an alarm.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    start_time: datetime | None = child("StartTime", default=None)
    end_time: datetime | None = child("EndTime", default=None)
    file_path: str | None = child("FilePath", default=None)
    address: str | None = child("Address", default=None)
    secrecy: int | None = child("Secrecy", default=None)
    type: str | None = child("Type", default=None)
    recorder_id: str | None = child("RecorderID", default=None)
    indistinct_query: str | None = child("IndistinctQuery", default=None)
    stream_number: int | None = child("StreamNumber", default=None, since=Edition.E2022)
    alarm_method: str | None = child("AlarmMethod", default=None, since=Edition.E2022)
    alarm_type: str | None = child("AlarmType", default=None, since=Edition.E2022)
    extra_info: tuple[str, ...] = extension(default=())


@block
class RecordItem:
    """One recording.

    Args:
        type: `time`, `alarm` or `manual`.
        file_size: Bytes.
        record_location: Who stores it.
    """

    device_id: DeviceId = child("DeviceID")
    name: str | None = child("Name", default=None)
    file_path: str | None = child("FilePath", default=None)
    address: str | None = child("Address", default=None)
    start_time: datetime | None = child("StartTime", default=None)
    end_time: datetime | None = child("EndTime", default=None)
    secrecy: int | None = child("Secrecy", default=None)
    type: str | None = child("Type", default=None)
    recorder_id: str | None = child("RecorderID", default=None)
    file_size: int | None = child("FileSize", default=None)
    record_location: str | None = child("RecordLocation", default=None, since=Edition.E2022)
    stream_number: int | None = child("StreamNumber", default=None, since=Edition.E2022)


@command(Category.RESPONSE, "RecordInfo", clause="A.2.6.7")
class RecordInfoResponse:
    """One part of the answer; items may come in any order.

    Args:
        sum_num: Number of items of the whole answer as announced; None where the peer did not say.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    name: str | None = child("Name", default=None)
    sum_num: int | None = child("SumNum", default=None)
    record_list: tuple[RecordItem, ...] = children("RecordList", "Item", default=(), counted=True)
    extra_info: tuple[str, ...] = extension(default=())
