"""What cameras remember and where they look: presets, cruise tracks, home position, position (§9.5; A.2.4.8 to A.2.4.13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from gb28181.catalog.model import ChannelKey
from gb28181.device.model import Profile
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.ptz import (
    CruiseTrackListQuery,
    CruiseTrackListQueryResponse,
    CruiseTrackQuery,
    CruiseTrackQueryResponse,
    HomePositionQuery,
    HomePositionQueryResponse,
    PresetQuery,
    PresetQueryResponse,
    PTZPositionQuery,
    PTZPositionResponse,
)
from gb28181.manscdp.ptz_code import MAX_PRESET
from gb28181.ports import Channels, Devices
from gb28181.ptz.model import CruisePoint, CruiseTrack, Home, Position, Preset, Presets

#: Answers of these kinds are for us (see `exchange.routes`).
ANSWERS: Final = (
    PresetQueryResponse,
    HomePositionQueryResponse,
    CruiseTrackListQueryResponse,
    CruiseTrackQueryResponse,
    PTZPositionResponse,
)
#: Silence that ends an answer whose number of items does not (quirk Q57).
QUIET_S: Final = 1.0
#: Entries that are kept of one answer: what a command can name.
_MOST: Final = 256

R = TypeVar("R")


class PtzMemory:
    """Asks cameras. Nothing is kept: an operator may set presets at the camera itself.

    Every call raises `NotFound` for a channel that there is not, `NotInEdition` where the device's edition has no such query,
    and `CommandFailed`, which says how far it came.
    """

    def __init__(self, *, exchanges: Exchanges, devices: Devices, channels: Channels) -> None:
        self._exchanges = exchanges
        self._devices = devices
        self._channels = channels

    async def presets(self, key: ChannelKey) -> Presets:
        """Presets by number. The answer may come in parts, and say that it has more than it has (quirk Q57)."""
        parts = await self._ask(
            key,
            PresetQuery(device_id=key.channel_id),
            PresetQueryResponse,
            complete=lambda parts: _is_whole(parts, lambda part: part.preset_list),
        )
        names: dict[int, str] = {}
        for part in parts:
            for number, name in _presets_of(part):
                names.setdefault(number, name)
        return Presets(tuple(Preset(number, names[number]) for number in sorted(names)), _announced(parts))

    async def home(self, key: ChannelKey) -> Home | None:
        """Where a camera returns to by itself (2022); None where it has no such place."""
        parts = await self._ask(key, HomePositionQuery(device_id=key.channel_id), HomePositionQueryResponse)
        home = parts[0].home_position
        return Home(bool(home.enabled), home.reset_time, home.preset_index) if home is not None else None

    async def cruises(self, key: ChannelKey) -> tuple[CruiseTrack, ...]:
        """Cruise tracks by number, without their points (2022)."""
        parts = await self._ask(
            key,
            CruiseTrackListQuery(device_id=key.channel_id),
            CruiseTrackListQueryResponse,
            complete=lambda parts: _is_whole(parts, lambda part: part.cruise_track_list),
        )
        tracks = {track.number: track for part in reversed(parts) for track in reversed(part.cruise_track_list)}
        return tuple(CruiseTrack(number, tracks[number].name or "") for number in sorted(tracks)[:_MOST])

    async def cruise(self, key: ChannelKey, number: int) -> CruiseTrack:
        """One cruise track with its points, in their order (2022)."""
        parts = await self._ask(
            key,
            CruiseTrackQuery(device_id=key.channel_id, number=number),
            CruiseTrackQueryResponse,
            complete=lambda parts: _is_whole(parts, lambda part: part.cruise_point_list),
        )
        points = [
            CruisePoint(point.preset_index, point.stay_time, point.speed) for part in parts for point in part.cruise_point_list
        ]
        return CruiseTrack(number, next((part.name for part in parts if part.name), ""), tuple(points[:_MOST]))

    async def position(self, key: ChannelKey) -> Position:
        """Where a camera looks (2022)."""
        parts = await self._ask(key, PTZPositionQuery(device_id=key.channel_id), PTZPositionResponse)
        found = parts[0]
        return Position(
            found.pan,
            found.tilt,
            found.zoom,
            found.horizontal_field_angle,
            found.vertical_field_angle,
            found.max_view_distance,
        )

    async def _ask(
        self,
        key: ChannelKey,
        query: Any,
        expects: type[R],
        *,
        complete: Callable[[Sequence[R]], bool] = lambda parts: True,
    ) -> list[R]:
        self._channels.channel(key)
        to = addressee(key, self._devices.profile(key.device_id))
        return await self._exchanges.query(key.device_id, query, expects=expects, complete=complete, quiet_s=QUIET_S, to=to)


def addressee(key: ChannelKey, profile: Profile) -> DeviceId:
    """User of the To header of what concerns a camera: some makers want the channel there, most the device."""
    return key.channel_id if profile.ptz_target == "channel" else key.device_id


def _presets_of(part: PresetQueryResponse) -> list[tuple[int, str]]:
    """Presets that a command can call."""
    found = ((preset.preset_id.strip(), preset.preset_name) for preset in part.preset_list)
    return [
        (int(text), name) for text, name in found if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_PRESET
    ]


def _announced(parts: Sequence[Any]) -> int | None:
    """The largest SumNum; parts without one announce nothing, because Num counts one part only."""
    return max((part.sum_num for part in parts if part.sum_num is not None and part.sum_num >= 0), default=None)


def _is_whole(parts: Sequence[Any], items_of: Callable[[Any], Sequence[Any]]) -> bool:
    """Whether as many items have come as were announced; never, where nothing was."""
    announced = _announced(parts)
    return announced is not None and sum(len(items_of(part)) for part in parts) >= announced
