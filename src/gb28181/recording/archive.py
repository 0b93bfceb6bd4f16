"""What an operator asks of all recordings at once: a calendar of days, how long things are kept, what is missing now.

Sums are made by the store from its indexes; no row of a segment is loaded here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from gb28181.catalog.model import Channel, ChannelKey
from gb28181.clock import BEIJING, Clock, to_us
from gb28181.errors import Invalid
from gb28181.ports import Channels, SegmentStore
from gb28181.recording.model import Gap, GapTotal
from gb28181.recording.service import RecordingService, RecordingStatus
from gb28181.texts.text import say

_DAY_US: Final = 86_400_000_000
_OPEN_GAPS: Final = 10_000
_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_ZONE: Final = re.compile(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a channel.

    Args:
        recorded: Microseconds.
        coverage: Share of the day, of today up to now, 0.0 to 1.0.
        bytes: Of the closed segments that began on it.
    """

    date: date
    recorded: int
    coverage: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Channels with the same retention.

    Args:
        hours: What they are to be kept.
        shortest, longest: Age of the oldest segment, microseconds, of the channel that has least and of the one that has most.
    """

    hours: float
    channels: int
    shortest: int
    longest: int


@dataclass(frozen=True, slots=True)
class Missing:
    """A channel that is to be recorded and is not; `gap` is None before the ledger has noted it."""

    channel: Channel
    status: RecordingStatus
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of all recordings.

    Args:
        oldest: Start of the oldest segment by the root of its volume, UTC microseconds.
        missing: The longest first; at most as many as asked for, `missing_total` counts all.
        gaps: Of the last 24 hours, by cause.
    """

    oldest: dict[str, int]
    kept: Sequence[Kept]
    missing: Sequence[Missing]
    missing_total: int
    gaps: Sequence[GapTotal]


class Archive:
    """Answers from the store and from what is being written now."""

    def __init__(self, *, recordings: RecordingService, channels: Channels, store: SegmentStore, clock: Clock) -> None:
        self._recordings = recordings
        self._channels = channels
        self._store = store
        self._clock = clock

    async def calendar(self, key: ChannelKey, month: str, zone: str = "") -> list[Day]:
        """The days of a month that have begun.

        Args:
            month: `2026-11`.
            zone: Offset from UTC in which a day begins, `+08:00`; "" is Beijing time.

        Raises:
            Invalid: No such month or offset.
        """
        first, offset = first_of(month), zone_of(zone)
        following = (first + timedelta(days=31)).replace(day=1)
        start = to_us(datetime(first.year, first.month, first.day, tzinfo=offset))
        now = self._clock.utc_us()
        days = min((following - first).days, -((start - now) // _DAY_US))
        if days <= 0:
            return []
        totals = await self._store.recorded_by_day(key, start, days)
        written = self._recordings.being_written(key)
        found = []
        for number, (recorded, size) in enumerate(totals):
            begin = start + number * _DAY_US
            end = min(begin + _DAY_US, now)
            if written is not None:
                recorded += max(0, min(end, written[1]) - max(begin, written[0]))
            recorded = min(recorded, end - begin)
            share = recorded / (end - begin) if end > begin else 0.0
            found.append(Day(first + timedelta(days=number), recorded, share, size))
        return found

    async def overview(self, *, limit: int) -> Overview:
        """What is kept, what is missing now, and what was missing in the last 24 hours."""
        now = self._clock.utc_us()
        gaps = {gap.key: gap for gap in await self._store.open_gaps(limit=_OPEN_GAPS)}
        missing = [
            Missing(channel, self._recordings.status(channel.key), gaps.get(channel.key))
            for channel in self._recordings.unrecorded()
        ]
        missing.sort(
            key=lambda each: (each.gap.start if each.gap else now, each.channel.key.device_id, each.channel.key.channel_id)
        )
        return Overview(
            oldest=await self._store.oldest_by_volume(),
            kept=self._kept(await self._store.oldest_by_channel(), now),
            missing=missing[:limit],
            missing_total=len(missing),
            gaps=await self._store.gaps_by_cause(now - _DAY_US, now),
        )

    def _kept(self, oldest: dict[ChannelKey, int], now: int) -> list[Kept]:
        ages: dict[float, list[int]] = defaultdict(list)
        for channel in self._channels.all_channels():
            if channel.key in oldest:
                ages[self._recordings.retention_of(channel)].append(max(0, now - oldest[channel.key]))
        return [Kept(hours, len(each), min(each), max(each)) for hours, each in sorted(ages.items())]


def first_of(month: str) -> date:
    """First day of `2026-11`.

    Raises:
        Invalid: Not a month.
    """
    found = _MONTH.fullmatch(month)
    if found is None or not 1970 <= int(found[1]) < 9999:
        raise Invalid(say("recording.month", month=month[:20]))
    return date(int(found[1]), int(found[2]), 1)


def zone_of(text: str) -> timezone:
    """Offset from UTC: `+08:00`, `Z`; "" is Beijing time.

    Raises:
        Invalid: Not an offset.
    """
    if not text:
        return BEIJING
    if text in ("Z", "z"):
        return UTC
    found = _ZONE.fullmatch("+" + text[1:] if text[0] == " " else text)  # a "+" in a query string arrives as a blank
    if found is None:
        raise Invalid(say("recording.zone", text=text[:20]))
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)
