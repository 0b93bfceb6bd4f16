"""Values of elements: their text on the wire and what it becomes (A.2.1). Reading is lenient, writing is exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from gb28181.ids import DeviceId, device_id
from gb28181.manscdp.times import read_time, write_time

MAX_VALUE: Final = 1024  # characters, the longest that A.2 allows any element

#: What firmware writes for "no value" (quirk Q46).
NOTHING: Final = frozenset({"", "null", "(null)", "n/a", "-"})
LONGEST_NOTHING: Final = max(map(len, NOTHING))


class Result(StrEnum):
    """resultType. What does not say that it failed has not failed (quirk Q15)."""

    OK = "OK"
    ERROR = "ERROR"

    @classmethod
    def from_wire(cls, text: str) -> Result:
        return cls.ERROR if text.upper().startswith(("ERR", "FAIL", "NG")) else cls.OK


class Status(StrEnum):
    """statusType, in every spelling seen; empty and absent mean ON (quirks Q48, W13b)."""

    ON = "ON"
    OFF = "OFF"

    @classmethod
    def from_wire(cls, text: str) -> Status:
        return cls.ON if text.upper() in {"", "ON", "OK", "ONLINE", "1", "TRUE"} else cls.OFF


def value_of(text: str | None) -> str | None:
    """The text of an element, None where it says nothing."""
    text = (text or "").strip()
    return None if len(text) <= LONGEST_NOTHING and text.lower() in NOTHING else text


def read_integer(text: str) -> int:
    """A number that a column of a database can hold; decimals are cut off.

    Raises:
        ValueError: It is none.
    """
    if len(text) <= 18 and text.isdecimal():
        return int(text)
    number = int(text) if len(text) <= 20 and text.lstrip("+-").isdecimal() else int(read_float(text))
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def read_float(text: str) -> float:
    """A finite number.

    Raises:
        ValueError: It is none.
    """
    number = float(text)
    if not math.isfinite(number) or "_" in text:
        raise ValueError(text)
    return number


def degrees(longitude: float, latitude: float) -> tuple[float, float]:
    """Coordinates as degrees, swapped or in millionths where only that can be a place (quirk Q50); else as they are."""
    if abs(longitude) > 180 and abs(latitude) > 90:
        longitude, latitude = longitude / 1e6, latitude / 1e6
    if abs(latitude) > 90 and abs(longitude) <= 90:
        longitude, latitude = latitude, longitude
    return longitude, latitude


#: How the types that a field may have are read; `str` is taken as it is.
READERS: Final[dict[Any, Callable[[str], Any]]] = {
    int: read_integer,
    float: read_float,
    str: str,
    DeviceId: device_id,
    Result: Result.from_wire,
    Status: Status.from_wire,
    datetime: read_time,
}
#: Readers for which an element that says nothing has a value.
EMPTY_IS_A_VALUE: Final = (Result.from_wire, Status.from_wire)


def reader_of(kind: Any) -> Callable[[str], Any] | None:
    """How a type is read, None where it is no value."""
    if kind in READERS:
        return READERS[kind]
    return _one_of(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else None


def _one_of(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Reads a value of an enumeration, its letter case aside."""
    members = {member.value.lower(): member for member in kind}

    def convert(text: str) -> StrEnum:
        if (member := members.get(text.lower())) is None:
            raise ValueError(text)
        return member

    return convert


def write(value: object, decimals: int = 0) -> str:
    """The text of a value.

    Args:
        decimals: How many a float has at least.
    """
    if isinstance(value, float):
        # double is decimal text: never an exponent
        text = format(Decimal(repr(value)), "f")
        whole, _, part = text.partition(".")
        return f"{whole}.{part.ljust(decimals, '0')}" if decimals else text
    if isinstance(value, datetime):
        return write_time(value)
    return str(value)
