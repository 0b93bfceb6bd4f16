"""Positions of mobile channels (§9.11.3): both shapes of the standard, by NOTIFY, by MESSAGE and inside alarms (quirk Q176).

The last position of each channel is in memory; tracks are written behind. What no satellite receiver can have told (0, 0, or
off the globe) is discarded. Coordinates are kept in WGS-84 and as they were told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from gb28181.alarm.model import AlarmLocated
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.config import PositionSettings
from gb28181.device.model import DeviceOffline
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.position import MobilePosition, PositionItem
from gb28181.manscdp.commands.ptz import PTZPositionNotify
from gb28181.manscdp.values import degrees
from gb28181.ports import Devices, PositionStore
from gb28181.position.coordinates import is_place, to_wgs84
from gb28181.position.model import Position, PositionReported, PtzPositionReported
from gb28181.router import Inbound
from gb28181.texts.text import say

_MOST: Final = 200_000
_MOST_OF_ONE: Final = 20_000
#: Of these, such as the device has not listed: it may name as many as it likes.
_UNLISTED_OF_ONE: Final = 1000
#: Positions of one device that go into tracks, in a second on end and at once. Its own times decide what is a second
#: of a track; whoever has more than its share of position.max_rows loses its own.
_KEPT_PER_S: Final = 2000.0
_KEPT_AT_ONCE: Final = 20_000.0
#: A time further ahead is a wrong clock; one further back too, where it is no track that was kept while the network was away.
_LATEST: Final = timedelta(minutes=10)
_OLDEST: Final = timedelta(days=7)

Via = Literal["notify", "message", "alarm"]


@dataclass(slots=True)
class _Place:
    """Args:
    kept_at: Time of the last position that went into the track.
    """

    position: Position
    kept_at: datetime | None = None


class PositionService:
    """Where channels are and were.

    Args:
        channel_of: The channel that a device means by an identifier, None where it has no such channel.
    """

    def __init__(
        self,
        settings: PositionSettings,
        *,
        devices: Devices,
        channel_of: Callable[[DeviceId, str], DeviceId | None],
        store: PositionStore,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._keep_every = timedelta(seconds=settings.store_every_s)
        self._devices = devices
        self._channel_of = channel_of
        self._store = store
        self._bus = bus
        self._clock = clock
        self._places: dict[ChannelKey, _Place] = {}
        self._of_device: Counter[DeviceId] = Counter()
        self._unlisted: Counter[DeviceId] = Counter()
        self._room: dict[DeviceId, tuple[float, datetime]] = {}
        self._last_id = 0
        self._counters: Counter[str] = Counter()
        bus.subscribe(AlarmLocated, self._located)
        bus.subscribe(DeviceOffline, self._device_offline)

    async def load(self) -> None:
        """Restores where every channel was last."""
        for position in await self._store.last_positions(limit=_MOST):
            self._places[position.key] = _Place(position, position.at)
            self._of_device[position.key.device_id] += 1
            self._last_id = max(self._last_id, position.position_id)

    # --- what others ask -------------------------------------------------------------------------------------------

    def last(self, key: ChannelKey) -> Position:
        """Raises:
        NotFound: The channel never told where it is.
        """
        place = self._places.get(key)
        if place is None:
            raise NotFound(say("alarm.no_position", key=key))
        return place.position

    def positions(self) -> list[Position]:
        """The last position of every channel that has one."""
        return [place.position for place in self._places.values()]

    async def track(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Position]:
        """Positions of [start, end) in UTC microseconds, by (time, number)."""
        return await self._store.track(key, start, end, limit=limit, after=after)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return dict(self._counters)

    def gauges(self) -> dict[str, int]:
        """Channels whose position is known."""
        return {"channels": len(self._places)}

    # --- what arrives ----------------------------------------------------------------------------------------------

    def arrived(self, inbound: Inbound[MobilePosition]) -> None:
        """A report of one channel (2016) or of several (2022), from whomever and by whichever way."""
        command = inbound.command
        via: Via = "notify" if inbound.request.method == "NOTIFY" else "message"
        sender = command.device_id or inbound.target or inbound.request.user or inbound.device_id
        if command.longitude is not None and command.latitude is not None:
            self._take(inbound.device_id, sender, command.longitude, command.latitude, command.time, via, command)
        for item in command.device_list:
            if item.longitude is not None and item.latitude is not None:
                told = item.device_id or sender
                when = item.capture_time or command.time
                self._take(inbound.device_id, told, item.longitude, item.latitude, when, via, item)
        if command.longitude is None and not command.device_list:
            self._counters["empty"] += 1

    def looked(self, inbound: Inbound[PTZPositionNotify]) -> None:
        """A camera tells where it looks (2022)."""
        command = inbound.command
        told = command.device_id or inbound.target or inbound.device_id
        channel_id = self._channel_of(inbound.device_id, told) or ""
        self._counters["ptz_positions"] += 1
        self._bus.publish(
            PtzPositionReported(
                inbound.device_id,
                channel_id,
                command.pan,
                command.tilt,
                command.zoom,
                command.horizontal_field_angle,
                command.vertical_field_angle,
                command.max_view_distance,
            )
        )

    def _located(self, event: AlarmLocated) -> None:
        self._take(event.device_id, event.source_id, event.longitude, event.latitude, event.located_at, "alarm", None)

    def _take(
        self,
        device_id: DeviceId,
        told_id: str,
        longitude: float,
        latitude: float,
        told_time: datetime | None,
        via: Via,
        details: MobilePosition | PositionItem | None,
    ) -> None:
        self._counters["received"] += 1
        longitude, latitude = degrees(longitude, latitude)
        if not is_place(longitude, latitude):
            self._counters["discarded"] += 1
            return
        system = self._devices.profile(device_id).coordinate_system
        received_at = self._clock.utc()
        found_lon, found_lat = to_wgs84(longitude, latitude, system)
        listed = self._channel_of(device_id, told_id)
        position = Position(
            position_id=max(self._last_id + 1, self._clock.utc_us()),
            key=ChannelKey(device_id, listed or DeviceId(told_id)),
            at=_believed(told_time, received_at),
            received_at=received_at,
            longitude=found_lon,
            latitude=found_lat,
            told_longitude=longitude,
            told_latitude=latitude,
            system=system,
            speed_kmh=_within(details.speed, 0, 2000) if details else None,
            direction_deg=_within(details.direction, 0, 360) if details else None,
            altitude_m=_within(details.altitude, -1000, 100_000) if details else None,
            height_m=_within(details.height, -1000, 100_000) if isinstance(details, PositionItem) else None,
            via=via,
        )
        self._last_id = position.position_id
        self._book(position, is_listed=listed is not None)

    def _book(self, position: Position, *, is_listed: bool) -> None:
        place = self._places.get(position.key)
        if place is None:
            if not self._has_room(position.key, is_listed=is_listed):
                self._counters["refused"] += 1
                return
            place = self._places[position.key] = _Place(position)
        # What a device kept while its network was away comes late: it belongs to the track, and is not where it is now.
        is_newest = position.at >= place.position.at
        in_track = place.kept_at is None or abs(position.at - place.kept_at) >= self._keep_every
        if in_track and not self._may_keep(position):
            self._counters["not_kept"] += 1
            in_track = False
        if in_track:
            place.kept_at = position.at
        if is_newest:
            place.position = position
            self._counters["reported"] += 1
            self._bus.publish(
                PositionReported(
                    position.key,
                    position.at,
                    position.longitude,
                    position.latitude,
                    position.speed_kmh,
                    position.direction_deg,
                )
            )
        if is_newest or in_track:
            self._store.save_position(position, is_last=is_newest, in_track=in_track)

    def _has_room(self, key: ChannelKey, *, is_listed: bool) -> bool:
        """Books a channel that has told nothing before, where there is room for it."""
        device_id = key.device_id
        is_itself = key.channel_id == device_id
        if len(self._places) >= _MOST or self._of_device[device_id] >= _MOST_OF_ONE:
            return False
        if not (is_listed or is_itself):
            if self._unlisted[device_id] >= _UNLISTED_OF_ONE:
                return False
            self._unlisted[device_id] += 1
        self._of_device[device_id] += 1
        return True

    def _may_keep(self, position: Position) -> bool:
        """Whether its device has not filled the tracks with more than its share."""
        device_id, now = position.key.device_id, position.received_at
        left, at = self._room.get(device_id, (_KEPT_AT_ONCE, now))
        left = min(_KEPT_AT_ONCE, left + max(0.0, (now - at).total_seconds()) * _KEPT_PER_S)
        self._room[device_id] = (max(0.0, left - 1), now)
        return left >= 1

    def _device_offline(self, event: DeviceOffline) -> None:
        if event.cause != "deleted":
            return
        self._room.pop(event.device_id, None)
        self._unlisted.pop(event.device_id, None)
        if self._of_device.pop(event.device_id, 0):
            self._places = {key: place for key, place in self._places.items() if key.device_id != event.device_id}


def _believed(told: datetime | None, received_at: datetime) -> datetime:
    """When it was measured: the device's time where it can be true, else the time of arrival."""
    if told is None or not received_at - _OLDEST <= told <= received_at + _LATEST:
        return received_at
    return told


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None
