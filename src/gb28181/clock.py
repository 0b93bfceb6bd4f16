"""Wall time. Machines take monotonic seconds as an argument; storage and API speak UTC; only the GB wire is Beijing time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from gb28181.errors import Invalid
from gb28181.texts.text import say

#: GB/T 28181 writes local time without a zone; the standard's local time is UTC+8 (§9.10).
BEIJING: Final = timezone(timedelta(hours=8))


class Clock:
    """Where wall time comes from; a test passes its own."""

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def utc_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000


def from_us(utc_us: int) -> datetime:
    return datetime.fromtimestamp(utc_us / 1_000_000, UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware time, exact."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def rfc3339(moment: datetime | int) -> str:
    """`2026-03-01T00:00:00.000Z` of an aware time or of UTC microseconds."""
    if isinstance(moment, int):
        moment = from_us(moment)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Aware time of an API parameter; a time without a zone is refused, because nobody knows what it means.

    Raises:
        Invalid: Not RFC 3339, or no zone.
    """
    # A "+" in a query string arrives as a blank.
    try:
        moment = datetime.fromisoformat(text.strip().replace(" 0", "+0", 1) if "T" in text else text.strip())
    except ValueError:
        raise Invalid(say("http.no_time", text=text[:40])) from None
    if moment.tzinfo is None:
        raise Invalid(say("http.no_zone", text=text[:40]))
    return moment.astimezone(UTC)


def beijing(moment: datetime, *, milliseconds: bool = False) -> str:
    """`2026-03-01T08:00:00` as the GB wire writes it: Beijing time without a zone (§9.10, A.2.1)."""
    local = moment.astimezone(BEIJING).replace(tzinfo=None)
    return local.isoformat(timespec="milliseconds" if milliseconds else "seconds")
