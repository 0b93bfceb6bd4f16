"""What a device was told to do and what becomes of it: orders that take minutes, and the files that go with them.

An order has an identifier that is also the SessionID on the wire (A.2.3.1.11, A.2.3.2.11: 32 to 128 letters, digits, hyphens).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from gb28181.ids import DeviceId

Kind = Literal["reboot", "format", "upgrade", "snapshot"]


class State(StrEnum):
    """How far an order is. The last five end it; a truth that comes late still corrects `timed_out` and `partial`."""

    ORDERED = "ordered"  # sent, or on its way
    ACCEPTED = "accepted"  # the device said that it will
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    UPLOADING = "uploading"
    FORMATTING = "formatting"
    RESTARTING = "restarting"  # it is gone
    RESTARTED = "restarted"  # it registered anew
    DONE = "done"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


ENDED: Final = frozenset({State.DONE, State.PARTIAL, State.REFUSED, State.FAILED, State.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class RebootDetail:
    """Args:
    call_id: Of the registration before; another one afterwards is a restart.
    """

    call_id: str = ""


@dataclass(frozen=True, slots=True)
class FormatDetail:
    """Args:
    card: Number of the card from 1; 0 is all of them.
    progress: Percent, None as long as the device tells none.
    seen: The device was seen formatting.
    """

    card: int = 0
    progress: int | None = None
    seen: bool = False


@dataclass(frozen=True, slots=True)
class UpgradeDetail:
    """Args:
    version: What the firmware calls itself; sent as Firmware.
    done, total: Bytes that the device has fetched, and that there are.
    call_id: As in `RebootDetail`.
    reported: Firmware that the device says it runs now.
    """

    firmware_id: str = ""
    version: str = ""
    manufacturer: str = ""
    done: int = 0
    total: int = 0
    call_id: str = ""
    reported: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotDetail:
    """Args:
    count, interval_s: What was ordered: SnapNum and Interval.
    kept: Pictures that lie with us.
    file_ids: What the device says it uploaded; None as long as it has said nothing.
    """

    count: int = 1
    interval_s: int = 1
    kept: int = 0
    file_ids: tuple[str, ...] | None = None


Detail = RebootDetail | FormatDetail | UpgradeDetail | SnapshotDetail
DETAILS: Final[Mapping[str, type[Detail]]] = {
    "reboot": RebootDetail,
    "format": FormatDetail,
    "upgrade": UpgradeDetail,
    "snapshot": SnapshotDetail,
}


@dataclass(frozen=True, slots=True)
class Order:
    """One order. Times are UTC, so that it survives our restart.

    Args:
        order_id: 32 hexadecimal digits; the SessionID.
        channel_id: "" where it concerns the device as a whole.
        user: Who ordered it.
        deadline: When it is given up, unless it has ended.
        message: Why it ended so and what to do, "" while all is well.
    """

    order_id: str
    kind: Kind
    device_id: DeviceId
    channel_id: str
    user: str
    state: State
    ordered_at: datetime
    deadline: datetime
    detail: Detail
    ended_at: datetime | None = None
    message: str = ""

    @property
    def is_open(self) -> bool:
        return self.state not in ENDED

    @property
    def target(self) -> DeviceId:
        """What its command names as DeviceID."""
        return DeviceId(self.channel_id or self.device_id)


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order went on. `expects_absence`: the device is gone because it was told to; its silence is no alarm."""

    order_id: str
    kind: Kind
    device_id: DeviceId
    channel_id: str
    state: State
    expects_absence: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a device uploaded.

    Args:
        name: Its file here: `01.jpg`, or `01-<the device's name for it>.jpg`.
        at: When it came, UTC.
    """

    name: str
    bytes: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware file for upgrades.

    Args:
        name: File name as devices see it.
        version: Sent as Firmware; `manufacturer` as Manufacturer (A.2.3.1.11).
        bytes, sha256: 0 and "" until the file has been stored.
    """

    firmware_id: str
    name: str
    version: str
    manufacturer: str
    created_at: datetime
    bytes: int = 0
    sha256: str = ""

    @property
    def is_stored(self) -> bool:
        return bool(self.sha256)


@dataclass(frozen=True, slots=True)
class Guard:
    """Guard state of one alarm input: ONDUTY, OFFDUTY or ALARM (A.2.6.3)."""

    device_id: DeviceId
    duty_status: str


@dataclass(frozen=True, slots=True)
class Footage:
    """One recording that a device has (A.2.6.4). Times are UTC, as told.

    Args:
        kind: `time`, `alarm`, `manual`, or what the device wrote.
        bytes: None where it did not tell.
        location: Who stores it (RecordLocation), "" where it did not tell.
    """

    start: datetime
    end: datetime
    name: str = ""
    file_path: str = ""
    address: str = ""
    secrecy: int = 0
    kind: str = ""
    recorder_id: str = ""
    bytes: int | None = None
    location: str = ""
    stream_number: int | None = None


DayState = Literal["complete", "incomplete", "no_answer", "not_asked"]


@dataclass(frozen=True, slots=True)
class DayAnswer:
    """What became of the query of one Beijing day.

    Args:
        date: `2026-03-01`.
        received: Different recordings; `announced` is SumNum, None where none was told.
    """

    date: str
    state: DayState
    received: int = 0
    announced: int | None = None


@dataclass(frozen=True, slots=True)
class FootageList:
    """What a device has of a range.

    Args:
        items: By start, each once; cut to the range.
        recorded: The same joined over holes of less than two seconds.
        gaps: What lies between them within the range; not reckoned for days that were not answered whole.
        is_complete: Every day was answered whole.
    """

    asked_at: datetime
    items: tuple[Footage, ...]
    recorded: tuple[tuple[datetime, datetime], ...]
    gaps: tuple[tuple[datetime, datetime], ...]
    days: tuple[DayAnswer, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ConfigAnswer:
    """Configurations as a device told them.

    Args:
        blocks: By snake_case name of the block; each a declared block of `manscdp.commands.config`.
        missing: What was asked for and did not come.
        target: Whose identifier the query named in the end (quirk Q55).
    """

    asked_at: datetime
    blocks: Mapping[str, object] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    target: str = ""
