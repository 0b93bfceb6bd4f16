"""dateTime: `yyyy-MM-ddTHH:mm:ss` of Beijing without a zone (A.2.1), and what firmware writes instead (quirk Q51)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

#: Zone of every time that names none. A time that was read with a zone has UTC instead.
BEIJING: Final = timezone(timedelta(hours=8), "Beijing")

_TIME: Final = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T\s]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII | re.IGNORECASE,
)
_COMPACT: Final = re.compile(
    r"(\d{4})(\d{2})(\d{2})T?(\d{2})(\d{2})(\d{2})()\s*(Z|[+-]\d{2}:?\d{2})?", re.ASCII | re.IGNORECASE
)


def read_time(text: str) -> datetime:
    """An aware time; the part after the second is kept to the microsecond.

    Raises:
        ValueError: It is no time.
    """
    match = _TIME.fullmatch(text) or _COMPACT.fullmatch(text)
    if match is None:
        raise ValueError(f"no dateTime: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    if not 1970 <= year <= 2999:
        raise ValueError(f"no dateTime: {text[:40]!r}")
    fraction = int((match[7] or "").ljust(6, "0")[:6])
    found = datetime(year, month, day, hour, minute, second, fraction, tzinfo=_zone(match[8]))
    return found if match[8] is None else found.astimezone(UTC)


def write_time(time: datetime) -> str:
    """Beijing time to the second, as every edition prints it; a naive time is one of Beijing."""
    local = time.astimezone(BEIJING) if time.tzinfo is not None else time
    return local.replace(tzinfo=None).isoformat(timespec="seconds")


def _zone(text: str | None) -> tzinfo:
    if text is None:
        return BEIJING
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
