"""What a device has recorded: RecordInfo, a Beijing day at a time (§9.7, A.2.4.5, A.2.6.7).

Recorders answer at most some hundred items and time out over long ranges (quirk Q154), so each day is a query of its own.
Their SumNum lies, parts are repeated, late, unsorted or missing (Q60, Q63, Q150), so an answer ends when as many different
recordings came as were announced, or after silence, and what is not whole says so.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gb28181.catalog.model import ChannelKey
from gb28181.clock import BEIJING, Clock
from gb28181.command.editions import demand
from gb28181.command.model import DayAnswer, DayState, Footage, FootageList
from gb28181.errors import CommandFailed, Invalid
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.record import RecordInfoQuery, RecordInfoResponse, RecordItem
from gb28181.ports import Devices
from gb28181.texts.text import say

_MOST_DAYS: Final = 31
"""Days of one search."""
_MOST_ITEMS: Final = 10_000
"""Recordings of one search."""
_ANSWER_S: Final = 20.0
_QUIET_S: Final = 3.0  # quirk Q150
#: SumNum is that of the part for some (quirk Q60): when it is reached, the next part may be on its way.
_SETTLE_S: Final = 0.3
_WHOLE_S: Final = 75.0  # below the edge's patience with an answer of control
#: A recorder closes one file and opens the next one a moment later (quirk Q153).
_BRIDGE: Final = timedelta(seconds=2)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
#: Silent days in a row after which the rest is not asked for.
_SILENT_DAYS: Final = 2
#: Devices of which it is remembered that Type must not be sent to them.
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class FootageWish:
    """What is searched. Times are aware; the range is half open.

    Args:
        kind: `time`, `alarm`, `manual` or `all`.
        indistinct: Search the centre too, and merge (IndistinctQuery 1).
        stream_number: 0 main, 1 sub stream; an edition of 2022 has it.
    """

    start: datetime
    end: datetime
    kind: str = "all"
    indistinct: bool = False
    stream_number: int | None = None
    alarm_method: str | None = None
    alarm_type: str | None = None
    file_path: str | None = None
    address: str | None = None
    recorder_id: str | None = None
    secrecy: int | None = None


class FootageSearch:
    """Asks devices for what they have.

    Args:
        monotonic: Seconds that never jump.
    """

    def __init__(self, exchanges: Exchanges, *, devices: Devices, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._exchanges = exchanges
        self._devices = devices
        self._clock = clock
        self._monotonic = monotonic
        self._no_type: OrderedDict[DeviceId, None] = OrderedDict()  # quirk Q151

    async def search(self, key: ChannelKey, wish: FootageWish) -> FootageList:
        """What the device has of a channel in a range.

        Raises:
            Invalid: The range is empty or too long.
            NotInEdition: The wish needs a later edition than the device's.
            NotFound, CommandFailed: As of `Exchanges.query`, where not even one day was answered.
        """
        days = list(days_of(wish.start, wish.end))
        if not days:
            raise Invalid(say("recording.end_before_start"))
        if len(days) > _MOST_DAYS:
            raise Invalid(say("recording.too_many_days", days=len(days), most=_MOST_DAYS))
        demand(self._devices, key.device_id, self._query(key, wish, *days[0]))
        asked_at = self._clock.utc()
        until = self._monotonic() + _WHOLE_S
        found: dict[tuple[datetime, datetime, str], Footage] = {}
        answers: list[DayAnswer] = []
        failure: CommandFailed | None = None
        silent = 0
        for start, end in days:
            date = start.astimezone(BEIJING).date().isoformat()
            left_s = until - self._monotonic()
            if left_s < 1 or silent >= _SILENT_DAYS or len(found) >= _MOST_ITEMS:
                answers.append(DayAnswer(date, "not_asked"))
                continue
            try:
                parts = await self._ask(key, wish, start, end, timeout_s=min(_ANSWER_S, left_s))
            except CommandFailed as error:
                failure, silent = error, silent + 1
                answers.append(DayAnswer(date, "no_answer"))
                continue
            silent = 0
            items, gathered = distinct(parts), Gathering()
            gathered(parts)
            state: DayState = "complete" if gathered.is_whole else "incomplete"
            answers.append(DayAnswer(date, state, len(items), gathered.announced))
            found.update(items)
        if failure is not None and not found and all(answer.state in ("no_answer", "not_asked") for answer in answers):
            raise failure
        return _merged(asked_at, wish, days, answers, list(found.values()))

    async def _ask(
        self, key: ChannelKey, wish: FootageWish, start: datetime, end: datetime, *, timeout_s: float
    ) -> Sequence[RecordInfoResponse]:
        query = self._query(key, wish, start, end)
        if wish.kind == "all" and key.device_id in self._no_type:
            query = dataclasses.replace(query, type=None)
        try:
            return await self._send(key, query, timeout_s)
        except CommandFailed as error:
            if query.type != "all" or error.stage not in ("sip_status", "no_response", "result_error"):
                raise
        parts = await self._send(key, dataclasses.replace(query, type=None), timeout_s)
        self._no_type[key.device_id] = None
        if len(self._no_type) > _REMEMBERED:
            self._no_type.popitem(last=False)
        return parts

    async def _send(self, key: ChannelKey, query: RecordInfoQuery, timeout_s: float) -> Sequence[RecordInfoResponse]:
        # quirk Q152: recorders look at the DeviceID, at To, or at both
        return await self._exchanges.query(
            key.device_id,
            query,
            expects=RecordInfoResponse,
            timeout_s=timeout_s,
            complete=Gathering(),
            quiet_s=_QUIET_S,
            settle_s=_SETTLE_S,
            to=key.channel_id,
        )

    def _query(self, key: ChannelKey, wish: FootageWish, start: datetime, end: datetime) -> RecordInfoQuery:
        return RecordInfoQuery(
            device_id=key.channel_id,
            start_time=start,
            end_time=end,
            file_path=wish.file_path,
            address=wish.address,
            secrecy=wish.secrecy if wish.secrecy is not None else 0,
            type=wish.kind,
            recorder_id=wish.recorder_id,
            indistinct_query="1" if wish.indistinct else None,
            stream_number=wish.stream_number,
            alarm_method=wish.alarm_method,
            alarm_type=wish.alarm_type,
        )


def days_of(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The range cut at the midnights of Beijing; a part that ends at one ends a second before it, because firmware takes the
    next day's midnight for another day. Whole seconds: the wire has no others."""
    begin = start.astimezone(BEIJING).replace(microsecond=0)
    stop = end.astimezone(BEIJING)
    if stop.microsecond:
        stop = stop.replace(microsecond=0) + _SECOND
    while begin < stop:
        midnight = begin.replace(hour=0, minute=0, second=0) + _DAY
        yield begin, midnight - _SECOND if midnight <= stop else stop
        begin = midnight


def distinct(parts: Iterable[RecordInfoResponse]) -> dict[tuple[datetime, datetime, str], Footage]:
    """Recordings by start, end and path; one without a span means nothing."""
    found: dict[tuple[datetime, datetime, str], Footage] = {}
    for part in parts:
        for item in part.record_list:
            if item.start_time is not None and item.end_time is not None and item.start_time < item.end_time:
                found.setdefault((item.start_time, item.end_time, item.file_path or ""), _footage(item))
    return found


class Gathering:
    """Counts the different recordings of an answer as its parts come; for `Exchanges.query`, each part is read once.

    It says that these are all when exactly as many came as were announced: more than that shows that the number is a lie, and
    only silence ends the answer. What exceeds every bound ends it too.
    """

    def __init__(self) -> None:
        self._identities: set[tuple[object, ...]] = set()
        self._read = 0
        self.announced: int | None = None

    def __call__(self, parts: Sequence[RecordInfoResponse]) -> bool:
        for part in parts[self._read :]:
            self._identities.update((item.start_time, item.end_time, item.file_path, item.name) for item in part.record_list)
            if part.sum_num is not None:
                self.announced = max(part.sum_num, self.announced or 0)
        self._read = len(parts)
        return self.received == self.announced or self.received >= _MOST_ITEMS

    @property
    def received(self) -> int:
        return len(self._identities)

    @property
    def is_whole(self) -> bool:
        """An announced nothing with items in it announces nothing."""
        announced = self.announced
        return announced is not None and self.received >= announced and (announced > 0 or not self.received)


def _footage(item: RecordItem) -> Footage:
    assert item.start_time is not None
    assert item.end_time is not None
    return Footage(
        item.start_time,
        item.end_time,
        item.name or "",
        item.file_path or "",
        item.address or "",
        item.secrecy or 0,
        item.type or "",
        item.recorder_id or "",
        item.file_size,
        item.record_location or "",
        item.stream_number,
    )


def _merged(
    asked_at: datetime,
    wish: FootageWish,
    days: Sequence[tuple[datetime, datetime]],
    answers: Sequence[DayAnswer],
    items: list[Footage],
) -> FootageList:
    """Quirk Q153: sorted, cut to the range, joined over short holes."""
    inside = [
        dataclasses.replace(item, start=max(item.start, wish.start), end=min(item.end, wish.end))
        for item in items
        if item.start < wish.end and item.end > wish.start
    ]
    inside.sort(key=lambda item: (item.start, item.end, item.file_path))
    inside = inside[:_MOST_ITEMS]
    recorded: list[tuple[datetime, datetime]] = []
    for item in inside:
        if recorded and item.start - recorded[-1][1] < _BRIDGE:
            recorded[-1] = (recorded[-1][0], max(recorded[-1][1], item.end))
        else:
            recorded.append((item.start, item.end))
    known = [(start, end) for (start, end), answer in zip(days, answers, strict=True) if answer.state == "complete"]
    gaps = list(_holes(recorded, known, min(wish.end, asked_at)))
    is_complete = all(answer.state == "complete" for answer in answers) and len(items) <= _MOST_ITEMS
    return FootageList(asked_at, tuple(inside), tuple(recorded), tuple(gaps), tuple(answers), is_complete)


def _holes(
    recorded: Sequence[tuple[datetime, datetime]], known: Sequence[tuple[datetime, datetime]], now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """What is not recorded of the days that were answered whole, up to now; neighbouring days are one."""
    spans: list[tuple[datetime, datetime]] = []
    for start, end in known:
        if spans and start - spans[-1][1] <= _SECOND:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    for start, end in spans:
        position, end = start, min(end, now)
        for begin, stop in recorded:
            if stop <= position or begin >= end:
                continue
            if begin - position >= _BRIDGE:
                yield position, begin
            position = max(position, stop)
        if end - position >= _BRIDGE:
            yield position, end
