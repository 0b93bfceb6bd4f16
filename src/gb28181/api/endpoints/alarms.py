"""Alarms: list, acknowledge, reset what latches."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from gb28181.alarm.model import EVENTS, METHODS, TYPES, Alarm, AlarmFilter, Words, words_of_method, words_of_type
from gb28181.api import views
from gb28181.api.fields import Moment, Page, Shown
from gb28181.api.paging import Cursors
from gb28181.api.routing import BadRequest, Call, Model, Route, route
from gb28181.api.services import Services
from gb28181.catalog.model import ChannelKey
from gb28181.clock import to_us
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.texts.text import say

#: What one request counts, and what one acknowledges.
_MOST: Final = 100


class Wanted(Model):
    """`start` and `end` bound the time of the alarm, `end` not included."""

    device_id: str = Field("", max_length=64)
    channel_id: str = Field("", max_length=64)
    method: int | None = Field(None, ge=0, le=10_000, description="AlarmMethod: 2 device, 5 video …; GET /alarms/words")
    type: int | None = Field(None, ge=0, le=10_000, description="AlarmType of the method")
    priority: int | None = Field(None, ge=1, le=4, description="this one or graver; 1 is the gravest")
    start: Moment | None = None
    end: Moment | None = None


class AlarmsQuery(Wanted, Page):
    acknowledged: bool | None = None


class WordsView(Model):
    zh: str
    en: str


class AlarmView(Model):
    """`at`: when it happened; `told_time`: as the device said it, maybe wrong. `latching`: it is silent until reset."""

    alarm_id: int
    device_id: str
    device_name: str
    channel_id: str
    channel_name: str
    source_id: str
    at: Shown
    received_at: Shown
    told_time: Shown | None
    priority: int
    method: int
    method_words: WordsView
    type: int
    type_words: WordsView
    event_type: int
    event_words: WordsView | None
    description: str
    longitude: float | None
    latitude: float | None
    via: str
    extra: dict[str, str]
    latching: bool
    acknowledged_by: str
    acknowledged_at: Shown | None
    note: str


class AlarmPage(Model):
    items: list[AlarmView]
    next: str | None


class Acknowledgement(Model):
    note: str = Field("", max_length=1000, description="what was done about it")


class AcknowledgeAll(Wanted):
    note: str = Field("", max_length=1000, description="what was done about them")


class Acknowledged(Model):
    """`more`: there are others, which the same request again acknowledges."""

    acknowledged: int
    more: bool


class OpenAlarms(Model):
    """`more`: there are more than are counted."""

    count: int
    more: bool


class TypeView(Model):
    method: int
    type: int
    words: WordsView


class MethodView(Model):
    method: int
    words: WordsView


class AlarmWords(Model):
    methods: list[MethodView]
    types: list[TypeView]


class FloodView(Model):
    """A device of which alarms were dropped since the start, because it reports more than are kept."""

    device_id: str
    device_name: str
    dropped: int


class Floods(Model):
    items: list[FloodView]


@route("GET", "/alarms", right="view", query=AlarmsQuery, response=AlarmPage)
async def list_alarms(call: Call[AlarmsQuery, None]) -> AlarmPage:
    """Lists alarms, newest first."""
    query = call.query
    wanted = _filter(query, query.acknowledged)
    cursors = Cursors(call.services.link_key, f"alarms {wanted!r}")
    before: tuple[int, int] | None = None
    if query.cursor is not None:
        at, number = cursors.read(query.cursor)
        before = (int(at), int(number))
    found = await call.services.alarms.page(wanted, limit=query.limit + 1, before=before)
    page = found[: query.limit]
    following = cursors.write((to_us(page[-1].at), page[-1].alarm_id)) if len(found) > query.limit else None
    return AlarmPage(items=[_view(call.services, alarm) for alarm in page], next=following)


@route("GET", "/alarms/open", right="view", response=OpenAlarms)
async def open_alarms(call: Call[None, None]) -> OpenAlarms:
    """Counts alarms that nobody has acknowledged, up to a hundred."""
    found = await call.services.alarms.page(AlarmFilter(acknowledged=False), limit=_MOST + 1)
    return OpenAlarms(count=min(len(found), _MOST), more=len(found) > _MOST)


@route("POST", "/alarms/acknowledge", right="operate", request=AcknowledgeAll, response=Acknowledged)
async def acknowledge_alarms(call: Call[None, AcknowledgeAll]) -> Acknowledged:
    """Notes that the caller has seen to all alarms that fit, the newest first, up to a hundred at a time."""
    body = call.body
    done, more = await call.services.alarms.acknowledge_all(
        _filter(body, False), user=call.caller.username, note=body.note, limit=_MOST
    )
    if done:
        told = body.model_dump(mode="json", exclude_defaults=True)
        await call.audit("alarm.acknowledge_all", body.device_id or "*", acknowledged=done, **told)
    return Acknowledged(acknowledged=done, more=more)


@route("GET", "/alarms/words", right="view", response=AlarmWords)
async def alarm_words(call: Call[None, None]) -> AlarmWords:
    """Names AlarmMethod and AlarmType in Chinese and English."""
    return AlarmWords(
        methods=[MethodView(method=method, words=_words(words)) for method, words in METHODS.items()],
        types=[TypeView(method=method, type=kind, words=_words(words)) for (method, kind), words in TYPES.items()],
    )


@route("GET", "/alarms/floods", right="view", response=Floods)
async def alarm_floods(call: Call[None, None]) -> Floods:
    """Lists devices that report more alarms than are kept."""
    floods = sorted(call.services.alarms.floods().items(), key=lambda item: (-item[1], item[0]))[:1000]
    return Floods(
        items=[
            FloodView(device_id=device_id, device_name=_device_name(call.services, device_id), dropped=dropped)
            for device_id, dropped in floods
        ]
    )


@route("GET", "/alarms/{alarm_id}", right="view", response=AlarmView, errors=(404,))
async def get_alarm(call: Call[None, None]) -> AlarmView:
    """Shows one alarm."""
    return _view(call.services, await call.services.alarms.alarm(_number(call)))


@route(
    "POST",
    "/alarms/{alarm_id}/acknowledge",
    right="operate",
    request=Acknowledgement,
    response=AlarmView,
    errors=(404, 409),
)
async def acknowledge_alarm(call: Call[None, Acknowledgement]) -> AlarmView:
    """Notes that the caller has seen to an alarm."""
    alarm = await call.services.alarms.acknowledge(_number(call), user=call.caller.username, note=call.body.note)
    await call.audit("alarm.acknowledge", alarm.alarm_id, device_id=alarm.device_id, note=alarm.note)
    return _view(call.services, alarm)


@route("POST", "/alarms/{alarm_id}/reset", right="operate", response=AlarmView, errors=(404, 502, 503, 504))
async def reset_alarm_of(call: Call[None, None]) -> AlarmView:
    """Has the device report again: a device alarm (method 2) latches until it is reset."""
    alarm = await call.services.alarms.reset(_number(call), user=call.caller.username)
    await call.audit("alarm.reset", alarm.alarm_id, device_id=alarm.device_id, source_id=alarm.source_id)
    return _view(call.services, alarm)


def _filter(wanted: Wanted, acknowledged: bool | None) -> AlarmFilter:
    return AlarmFilter(
        device_id=wanted.device_id,
        channel_id=wanted.channel_id,
        method=wanted.method,
        alarm_type=wanted.type,
        priority=wanted.priority,
        acknowledged=acknowledged,
        start=None if wanted.start is None else to_us(wanted.start),
        end=None if wanted.end is None else to_us(wanted.end),
    )


def _number(call: Call[None, None] | Call[None, Acknowledgement]) -> int:
    text = call.path["alarm_id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequest([{"location": "path.alarm_id", "message": say("alarm.number_expected")}])
    return int(text)


def _view(services: Services, alarm: Alarm) -> AlarmView:
    event = EVENTS.get(alarm.event_type)
    return AlarmView(
        alarm_id=alarm.alarm_id,
        device_id=alarm.device_id,
        device_name=_device_name(services, alarm.device_id),
        channel_id=alarm.channel_id,
        channel_name=_channel_name(services, alarm),
        source_id=alarm.source_id,
        at=alarm.at,
        received_at=alarm.received_at,
        told_time=alarm.told_time,
        priority=alarm.priority,
        method=alarm.method,
        method_words=_words(words_of_method(alarm.method)),
        type=alarm.alarm_type,
        type_words=_words(words_of_type(alarm.method, alarm.alarm_type)),
        event_type=alarm.event_type,
        event_words=None if event is None else _words(event),
        description=alarm.description,
        longitude=alarm.longitude,
        latitude=alarm.latitude,
        via=alarm.via,
        extra=dict(alarm.extra),
        latching=alarm.is_latching,
        acknowledged_by=alarm.acknowledged_by,
        acknowledged_at=alarm.acknowledged_at,
        note=alarm.note,
    )


def _words(words: Words) -> WordsView:
    return WordsView(zh=words.zh, en=words.en)


def _device_name(services: Services, device_id: str) -> str:
    try:
        return services.devices.get(device_id).name
    except NotFound:
        return ""  # its alarms outlive it


def _channel_name(services: Services, alarm: Alarm) -> str:
    if not alarm.channel_id:
        return ""
    try:
        return views.shown_name(services.catalog.channel(ChannelKey(alarm.device_id, DeviceId(alarm.channel_id))))
    except NotFound:
        return ""


ROUTES: tuple[Route, ...] = (
    list_alarms, open_alarms, alarm_words, alarm_floods, get_alarm, acknowledge_alarms, acknowledge_alarm, reset_alarm_of,
)  # fmt: skip
