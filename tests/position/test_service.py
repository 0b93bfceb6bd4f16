"""Positions: both shapes of the standard, what firmware makes of them, last place and track (§9.11.3; Q50, Q65, Q176)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gb28181.alarm.model import AlarmLocated
from gb28181.alarm.sources import Sources
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import to_us
from gb28181.config import PositionSettings
from gb28181.device.model import DeviceOffline, Profile
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import parse
from gb28181.position.coordinates import wgs84_to_gcj02
from gb28181.position.handlers import routes
from gb28181.position.model import PositionReported, PtzPositionReported
from gb28181.position.service import PositionService
from gb28181.router import Inbound
from tests.alarm.vectors import body_of
from tests.alarm.world import Channels
from tests.fakes import CAMERA, DEVICE, FakePositionStore, ManualClock, request

KEY = ChannelKey(DEVICE, CAMERA)
NOW = datetime(2026, 3, 1, tzinfo=UTC)  # 08:00 in Beijing


class World:
    def __init__(self, *, store: FakePositionStore | None = None, **settings: float) -> None:
        self.clock = ManualClock()
        self.bus = Bus()
        self.told: list[PositionReported] = []
        self.looks: list[PtzPositionReported] = []
        self.bus.subscribe(PositionReported, self.told.append)
        self.bus.subscribe(PtzPositionReported, self.looks.append)
        self.store = store or FakePositionStore()
        self.channels = Channels()
        self.of_profile = Profile()
        self.service = PositionService(
            PositionSettings.model_validate(settings),
            devices=self,
            channel_of=Sources(self.channels).channel_of,
            store=self.store,
            bus=self.bus,
            clock=self.clock,
        )

    def profile(self, device_id: DeviceId) -> Profile:
        return self.of_profile

    async def arrives(self, inner: str, *, cmd: str = "MobilePosition", method: str = "NOTIFY", target: str = "") -> None:
        body = f'<?xml version="1.0"?><Notify><CmdType>{cmd}</CmdType><SN>1</SN>{inner}</Notify>'.encode()
        command = parse(body).command
        handler = routes(self.service)[type(command)]
        inbound = Inbound(command, DEVICE, request(method), DeviceId(target) if target else None)
        handler(inbound)  # type: ignore[arg-type, unused-coroutine]


def fix(longitude: str = "118.376", latitude: str = "31.326", time: str = "2026-03-01T08:00:00", more: str = "") -> str:
    return (
        f"<DeviceID>{CAMERA}</DeviceID><Time>{time}</Time><Longitude>{longitude}</Longitude>"
        f"<Latitude>{latitude}</Latitude>{more}"
    )


async def test_the_messages_of_the_standard_are_read() -> None:
    """TV-095 (2016), TV-096 (2022), TV-098 (PTZ position)."""
    world = World()
    world.clock.advance(31 * 60 + 5)  # 08:31:05 in Beijing
    for number in (95, 96, 98):
        command = parse(body_of(number)).command
        routes(world.service)[type(command)](Inbound(command, DEVICE, request("NOTIFY")))  # type: ignore[arg-type, unused-coroutine]
    assert [point.longitude for point in world.store.points] == [118.376, 118.3761]
    assert world.service.last(KEY).height_m == 1.5
    assert [(look.channel_id, look.pan, look.tilt, look.zoom) for look in world.looks] == [(CAMERA, 10.0, 5.0, 1.0)]


async def test_the_shape_of_2016_is_read() -> None:
    world = World()
    await world.arrives(fix(more="<Speed>36.5</Speed><Direction>90.0</Direction><Altitude>12.0</Altitude>"))
    position = world.service.last(KEY)
    assert (position.longitude, position.latitude, position.at) == (118.376, 31.326, NOW)
    assert (position.speed_kmh, position.direction_deg, position.altitude_m) == (36.5, 90.0, 12.0)
    assert [event.key for event in world.told] == [KEY]


async def test_the_shape_of_2022_is_read_and_capture_time_counts_before_time() -> None:
    world = World()
    await world.arrives(
        f"<DeviceID>{DEVICE}</DeviceID><Time>2026-03-01T08:00:05</Time><SumNum>1</SumNum><DeviceList Num='1'><Item>"
        f"<DeviceID>{CAMERA}</DeviceID><CaptureTime>2026-03-01T08:00:04</CaptureTime><Longitude>118.3761</Longitude>"
        "<Latitude>31.3261</Latitude><Height>1.5</Height></Item></DeviceList>"
    )
    position = world.service.last(KEY)
    assert (position.at, position.height_m) == (NOW + timedelta(seconds=4), 1.5)


async def test_a_report_without_an_identifier_is_of_its_sender() -> None:
    """The schema of 2016 has no DeviceID; the device's only camera is meant (Q65)."""
    world = World()
    await world.arrives("<Time>2026-03-01T08:00:00</Time><Longitude>118.3</Longitude><Latitude>31.3</Latitude>")
    assert world.service.last(KEY).longitude == 118.3


async def test_a_report_without_an_identifier_in_a_channels_subscription_is_of_that_channel() -> None:
    world = World()
    other = DeviceId("34020000001320000002")
    world.channels.known.add(ChannelKey(DEVICE, other))
    await world.arrives("<Longitude>118.3</Longitude><Latitude>31.3</Latitude>", target=other)
    assert world.service.last(ChannelKey(DEVICE, other)).at == NOW


async def test_a_plain_message_and_an_alarm_bring_positions_too() -> None:
    """Q176: body-worn cameras use either."""
    world = World()
    await world.arrives(fix(), method="MESSAGE")
    assert world.service.last(KEY).via == "message"
    world.bus.publish(AlarmLocated(DEVICE, CAMERA, NOW + timedelta(seconds=9), 118.4, 31.4))
    position = world.service.last(KEY)
    assert (position.via, position.longitude) == ("alarm", 118.4)


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [("0", "0"), ("0.0", "0.00"), ("200", "31"), ("118", "99"), ("nan", "31"), ("", "31"), ("E118.3", "N31")],
)
async def test_what_is_no_place_is_discarded(longitude: str, latitude: str) -> None:
    world = World()
    await world.arrives(fix(longitude, latitude))
    with pytest.raises(NotFound):
        world.service.last(KEY)
    assert world.told == []


@pytest.mark.parametrize(
    ("longitude", "latitude"), [("31.326", "118.376"), ("118376000", "31326000"), ("31326000", "118376000")]
)
async def test_swapped_coordinates_and_millionths_are_put_right_as_those_of_the_catalogue_are(
    longitude: str, latitude: str
) -> None:
    """Q50."""
    world = World()
    await world.arrives(fix(longitude, latitude))
    position = world.service.last(KEY)
    assert (position.longitude, position.latitude) == (118.376, 31.326)
    assert (position.told_longitude, position.told_latitude) == (118.376, 31.326)


async def test_coordinates_are_kept_in_wgs84_and_as_told() -> None:
    """Q50: the device's profile says what they are in."""
    world = World()
    world.of_profile = replace(Profile(), coordinate_system="gcj02")
    told = wgs84_to_gcj02(118.376, 31.326)
    await world.arrives(fix(f"{told[0]:.7f}", f"{told[1]:.7f}"))
    position = world.service.last(KEY)
    assert (position.longitude, position.latitude) == pytest.approx((118.376, 31.326), abs=1e-6)
    assert (position.told_longitude, position.system) == (pytest.approx(told[0], abs=1e-6), "gcj02")


async def test_what_a_device_kept_while_offline_goes_into_the_track_and_is_not_where_it_is_now() -> None:
    world = World()
    await world.arrives(fix(time="2026-03-01T08:00:00"))
    await world.arrives(fix("118.1", time="2026-03-01T07:00:00"))
    assert world.service.last(KEY).longitude == 118.376
    assert len(world.store.points) == 2
    assert len(world.told) == 1


async def test_a_time_that_cannot_be_true_is_the_time_of_arrival() -> None:
    world = World()
    await world.arrives(fix(time="2036-03-01T08:00:00"))
    assert world.service.last(KEY).at == NOW


async def test_positions_too_close_in_time_are_shown_but_not_all_kept() -> None:
    world = World(store_every_s=5)
    for second in range(12):
        world.clock.advance(1)
        await world.arrives(fix(f"118.{second:03d}", time=f"2026-03-01T08:00:{second:02d}"))
    assert world.service.last(KEY).longitude == 118.011
    assert world.store.last[KEY].longitude == 118.011
    assert [point.at.second for point in world.store.points] == [0, 5, 10]


async def test_the_last_place_survives_our_restart_and_goes_with_its_device() -> None:
    store = FakePositionStore()
    await World(store=store).arrives(fix())
    world = World(store=store)
    await world.service.load()
    assert world.service.last(KEY).longitude == 118.376
    world.bus.publish(DeviceOffline(DEVICE, "deleted"))
    assert world.service.positions() == []


async def test_one_device_cannot_fill_the_memory_with_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gb28181.position.service._MOST_OF_ONE", 3)
    world = World()
    for number in range(9):
        world.bus.publish(AlarmLocated(DEVICE, f"3402000000132000010{number}", None, 118.0, 31.0))
    assert len(world.service.positions()) == 3
    assert world.service.counters()["refused"] == 6


async def test_a_track_is_a_range_of_time() -> None:
    world = World()
    for minute in range(5):
        await world.arrives(fix(time=f"2026-03-01T07:5{minute}:00"))
    start = to_us(NOW - timedelta(minutes=9))
    found = await world.service.track(KEY, start, to_us(NOW), limit=9)
    assert [position.at.minute for position in found] == [51, 52, 53, 54]


async def test_where_a_camera_looks_is_told() -> None:
    world = World()
    await world.arrives(f"<DeviceID>{CAMERA}</DeviceID><Pan>10.00</Pan><Tilt>5.00</Tilt><Zoom>1.00</Zoom>", cmd="PTZPosition")
    assert world.looks == [PtzPositionReported(DEVICE, CAMERA, 10.0, 5.0, 1.0)]


def many(first: int, count: int, *, at: str = "2026-03-01T08:00:00") -> str:
    items = "".join(
        f"<Item><DeviceID>34020000001310{number:06d}</DeviceID><CaptureTime>{at}</CaptureTime>"
        "<Longitude>121.1</Longitude><Latitude>31.2</Latitude></Item>"
        for number in range(first, first + count)
    )
    return f'<DeviceID>{DEVICE}</DeviceID><SumNum>{count}</SumNum><DeviceList Num="{count}">{items}</DeviceList>'


async def test_channels_that_a_device_makes_up_fill_no_table_of_all():
    world = World()
    await world.arrives(many(500_000, 1200))
    assert (world.service.gauges(), world.service.counters()["refused"]) == ({"channels": 1000}, 200)


async def test_a_device_that_counts_up_its_clock_fills_no_tracks_of_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gb28181.position.service._KEPT_AT_ONCE", 20.0)
    monkeypatch.setattr("gb28181.position.service._KEPT_PER_S", 10.0)
    world = World()
    for second in range(50):
        await world.arrives(many(500_000, 1, at=f"2026-03-01T07:00:{second:02d}"))
    assert world.service.counters()["not_kept"] == 30
    assert len(world.store.points) == 20
    world.clock.advance(1.0)
    await world.arrives(many(500_000, 1, at="2026-03-01T07:30:00"))
    assert len(world.store.points) == 21
    assert world.told[-1].measured_at == datetime(2026, 2, 28, 23, 30, tzinfo=UTC)  # the last place is always known
