from __future__ import annotations

from gb28181.catalog.model import ChannelKey
from gb28181.database import Database
from gb28181.ids import DeviceId
from gb28181.recording.model import Gap
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
