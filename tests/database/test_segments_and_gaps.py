from __future__ import annotations

import random

import pytest

from gb28181.catalog.model import ChannelKey
from gb28181.database import Database
from gb28181.database.segments import DAY_US
from gb28181.ids import DeviceId
from gb28181.recording.model import Gap, GapTotal, Span
from tests.database.database_samples import CAMERA, DEVICE, KEY, segment

OTHER = ChannelKey(DEVICE, DeviceId("34020000001310000002"))


async def test_segment_comes_back_as_it_was_added(database: Database):
    added = segment(100, 200)
    await database.add_segments([added])
    (found,) = await database.segments_between(KEY, 0, 1000, limit=10)
    assert found.segment_id > 0
    assert found == type(added)(**{name: getattr(added, name) for name in added.__slots__} | {"segment_id": found.segment_id})


async def test_segment_added_twice_is_left_alone(database: Database):
    await database.add_segments([segment(100, 200), segment(100, 200)])
    await database.add_segments([segment(100, 250, path=segment(100, 200).path)])
    assert [(found.start, found.end) for found in await database.segments_between(KEY, 0, 1000, limit=10)] == [(100, 200)]


async def test_range_finds_what_overlaps_it_and_nothing_else(database: Database):
    await database.add_segments([segment(0, 300), segment(300, 310), segment(310, 400), segment(400, 500)])
    await database.add_segments([segment(100, 200, key=OTHER)])
    found = await database.segments_between(KEY, 299, 310, limit=10)
    assert [part.start for part in found] == [0, 300]
    assert await database.segments_between(KEY, 500, 600, limit=10) == []
    assert await database.segments_between(ChannelKey(DEVICE, DeviceId("none")), 0, 1, limit=10) == []


async def test_pages_join_without_hole_or_repetition(database: Database):
    # Several segments with one start: the number decides between them.
    await database.add_segments(
        [segment(start, start + 15, path=f"p{start}-{n}") for start in range(0, 100, 10) for n in range(3)]
    )
    whole = await database.segments_between(KEY, 0, 1000, limit=1000)
    assert len(whole) == 30
    pages, after = [], None
    while page := await database.segments_between(KEY, 0, 1000, limit=7, after=after):
        pages += page
        after = (page[-1].start, page[-1].segment_id)
    assert pages == whole


async def test_last_segment_is_the_one_that_began_last(database: Database):
    assert await database.last_segment(KEY) is None
    await database.add_segments([segment(300, 310), segment(0, 300)])
    last = await database.last_segment(KEY)
    assert last is not None
    assert last.start == 300


async def test_expired_segments_ended_before(database: Database):
    await database.add_segments([segment(0, 100), segment(100, 200), segment(200, 300)])
    assert [found.start for found in await database.expired_segments(KEY, 201, limit=10)] == [0, 100]
    assert await database.expired_segments(KEY, 201, limit=10, volumes=["/other"]) == []
    assert len(await database.expired_segments(KEY, 201, limit=10, volumes=["/other", "/v"])) == 2
    assert [found.start for found in await database.expired_segments(KEY, 201, limit=1)] == [0]


async def test_oldest_segments_of_one_volume(database: Database):
    await database.add_segments([segment(200, 300), segment(100, 200, key=OTHER), segment(0, 100, volume="/w")])
    assert [found.start for found in await database.oldest_segments("/v", limit=10)] == [100, 200]
    assert await database.oldest_segments("/unknown", limit=10) == []


async def test_deleted_segments_are_gone_and_their_channel_is_recorded_no_more(database: Database):
    await database.add_segments([segment(0, 100), segment(0, 100, key=OTHER)])
    assert set(await database.recorded_channels()) == {KEY, OTHER}
    mine = await database.segments_between(KEY, 0, 100, limit=1)
    await database.delete_segments([mine[0].segment_id, 10**9])
    assert await database.recorded_channels() == [OTHER]


async def test_deleting_a_device_leaves_its_recordings(database: Database):
    await database.add_segments([segment(0, 100)])
    await database.open_gap(Gap(KEY, 100, 0, "silent"))
    await database.delete_device(DEVICE)
    assert len(await database.segments_between(KEY, 0, 100, limit=9)) == 1
    assert len(await database.gaps_between(KEY, 0, 1000, limit=9)) == 1


async def test_one_gap_of_a_channel_is_open(database: Database):
    await database.open_gap(Gap(KEY, 100, 0, "silent"))
    await database.open_gap(Gap(KEY, 150, 0, "restart"))
    await database.open_gap(Gap(OTHER, 120, 0, "silent"))
    (gap,) = await database.gaps_between(KEY, 0, 1000, limit=9)
    assert (gap.start, gap.end, gap.cause) == (100, 0, "silent")
    assert gap.gap_id > 0


async def test_gap_is_closed_or_removed_when_it_was_short(database: Database):
    await database.close_gap(KEY, 90, shortest=10)  # none is open: nothing happens
    await database.open_gap(Gap(KEY, 100, 0, "silent"))
    await database.close_gap(KEY, 200, shortest=10)
    await database.open_gap(Gap(KEY, 300, 0, "silent"))
    await database.close_gap(KEY, 305, shortest=10)
    await database.open_gap(Gap(KEY, 400, 0, "closed"))
    await database.close_gap(KEY, 350, shortest=0)  # the wall clock was set back
    assert [(gap.start, gap.end) for gap in await database.gaps_between(KEY, 0, 1000, limit=9)] == [(100, 200)]


async def test_gaps_of_a_range_are_those_that_overlap_it(database: Database):
    for start, end in ((0, 500), (600, 610), (700, 710)):
        await database.open_gap(Gap(KEY, start, 0, "silent"))
        await database.close_gap(KEY, end, shortest=1)
    await database.open_gap(Gap(KEY, 800, 0, "silent"))
    assert [gap.start for gap in await database.gaps_between(KEY, 499, 605, limit=9)] == [0, 600]
    assert [gap.start for gap in await database.gaps_between(KEY, 10_000, 20_000, limit=9)] == [800]
    assert [gap.start for gap in await database.gaps_between(KEY, 0, 20_000, limit=2)] == [0, 600]
    assert await database.gaps_between(ChannelKey(CAMERA, CAMERA), 0, 9, limit=9) == []


async def test_spans_join_segments_over_short_holes_and_say_why_recording_stopped(database: Database):
    await database.add_segments([segment(0, 100), segment(100, 200), segment(203, 300), segment(400, 500), segment(410, 450)])
    assert await database.spans_between(KEY, 0, 1000, bridge=5) == [Span(0, 300, "rotated"), Span(400, 500, "rotated")]
    assert [(span.start, span.end) for span in await database.spans_between(KEY, 0, 1000, bridge=0)] == [
        (0, 200),
        (203, 300),
        (400, 500),
    ]
    assert await database.spans_between(KEY, 500, 1000, bridge=5) == []
    assert await database.spans_between(OTHER, 0, 1000, bridge=5) == []


async def test_a_day_counts_what_lies_in_it_and_nothing_twice(database: Database):
    await database.add_segments(
        [
            segment(-50, 50),  # began before the range
            segment(100, 200),
            segment(150, 250),  # the same seconds again, by another stream
            segment(DAY_US - 10, DAY_US + 20),
            segment(3 * DAY_US - 7, 3 * DAY_US + 9),  # goes on after the range
        ]
    )
    assert await database.recorded_by_day(KEY, 0, 3) == [(50 + 150 + 10, 3000), (20, 0), (7, 1000)]
    assert await database.recorded_by_day(OTHER, 0, 2) == [(0, 0), (0, 0)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("offset_hours", [0, 8])
async def test_days_are_summed_as_a_plain_count_of_seconds_has_it(database: Database, seed: int, offset_hours: int):
    """Segments over midnight, inside each other and over each other; the days of UTC and of Beijing."""
    chance = random.Random(seed)
    second, days = 1_000_000, 4
    begin = 20_000 * DAY_US - offset_hours * 3600 * second
    made = []
    for number in range(60):
        start = begin + chance.choice([chance.randrange(-7200, days * 86_400), 86_400 * chance.randrange(5) - 30]) * second
        end = start + chance.choice([1, 30, 60, 3600, 100_000 if number < 3 else 600]) * second
        made.append(segment(start, end, path=f"p{number}"))
    await database.add_segments(made)
    expected = []
    for day in range(days):
        first, last = begin + day * DAY_US, begin + (day + 1) * DAY_US
        inside = ((max(each.start, first), min(each.end, last)) for each in made)
        seconds = {moment for start, end in inside for moment in range(start // second, end // second)}
        expected.append((len(seconds) * second, sum(each.bytes for each in made if first <= each.start < last)))
    assert await database.recorded_by_day(KEY, begin, days) == expected


async def test_a_segment_of_more_than_a_day_fills_every_day(database: Database):
    await database.add_segments([segment(DAY_US // 2, 3 * DAY_US)])
    days = await database.recorded_by_day(KEY, 0, 4)
    assert [recorded for recorded, _ in days] == [DAY_US // 2, DAY_US, DAY_US, 0]


async def test_oldest_start_of_each_volume_and_channel(database: Database):
    assert await database.oldest_by_volume() == {}
    await database.add_segments([segment(200, 300), segment(100, 200, key=OTHER), segment(50, 100, volume="/w")])
    await database.delete_segments([(await database.segments_between(KEY, 0, 120, limit=1))[0].segment_id])
    assert await database.oldest_by_volume() == {"/v": 100}
    assert await database.oldest_by_channel() == {KEY: 200, OTHER: 100}


async def test_gaps_are_summed_by_cause_within_the_range(database: Database):
    for key, start, end, cause in ((KEY, 0, 150, "no_media"), (OTHER, 180, 190, "no_media"), (KEY, 10, 90, "volume_failed")):
        await database.open_gap(Gap(key, start, end, cause))
    await database.open_gap(Gap(OTHER, 195, 0, "device_offline"))
    assert await database.gaps_by_cause(100, 200) == [
        GapTotal("no_media", 2, 2, 0, 60),
        GapTotal("device_offline", 1, 1, 1, 5),
    ]


async def test_open_gaps_are_those_that_last(database: Database):
    await database.open_gap(Gap(KEY, 300, 0, "silent"))
    await database.open_gap(Gap(OTHER, 100, 0, "silent"))
    await database.open_gap(Gap(OTHER, 10, 20, "silent"))
    assert [(gap.key, gap.start, gap.end) for gap in await database.open_gaps(limit=9)] == [(OTHER, 100, 0), (KEY, 300, 0)]
    assert len(await database.open_gaps(limit=1)) == 1
