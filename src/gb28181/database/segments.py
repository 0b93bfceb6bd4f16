"""Rows of closed segments. Each query reads a range of one index, however many rows there are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gb28181.catalog.model import ChannelKey
from gb28181.database import tables, tracks
from gb28181.database.rows import Row, Rows, insert_new
from gb28181.ids import DeviceId
from gb28181.recording.model import Segment, Span

DAY_US: Final = 86_400_000_000

_s: Final = tables.segments.c
_v: Final = tables.volumes.c

_SELECT: Final = sa.select(
    tables.segments, tables.tracks.c.device_id, tables.tracks.c.channel_id, tables.volumes.c.root
).select_from(
    tables.segments.join(tables.tracks, tables.tracks.c.track_id == _s.track_id).join(
        tables.volumes, tables.volumes.c.volume_id == _s.volume_id
    )
)


class SegmentRows(Rows):
    """The segments of `ports.SegmentStore`."""

    async def add_segments(self, segments: Sequence[Segment]) -> None:
        if not segments:
            return
        async with self._engines.durable() as connection:
            track_ids = {key: (await tracks.make_track(connection, key)).track_id for key in {s.key for s in segments}}
            volume_ids = {root: await tracks.make_volume(connection, root) for root in {s.volume for s in segments}}
            rows = [_row(segment, track_ids[segment.key], volume_ids[segment.volume]) for segment in segments]
            statement = insert_new(tables.segments, connection.dialect.name, ("volume_id", "path"))
            await connection.execute(statement, rows)
            longest: dict[int, int] = {}
            for row in rows:
                longest[row["track_id"]] = max(longest.get(row["track_id"], 0), row["end_us"] - row["start_us"])
            await tracks.stretch(connection, tables.tracks.c.longest_us, longest)

    async def add_missing(self, segments: Sequence[Segment], *, volumes: Sequence[str]) -> int:
        if not segments:
            return 0
        root, paths = segments[0].volume, [segment.path for segment in segments]
        async with self._engines.reading() as connection:
            volume_id = await tracks.volume(connection, root)
            known = set() if volume_id is None else set(await connection.scalars(named(volume_id, paths)))
            moved = [
                number for name, number in await connection.execute(sa.select(_v.root, _v.volume_id)) if name not in volumes
            ]
        missing = [segment for segment in segments if segment.path not in known]
        await self.add_segments(missing)
        if moved and missing:
            async with self._engines.durable() as connection:
                gone = sa.delete(tables.segments).where(_s.volume_id == sa.bindparam("old"), _s.path == sa.bindparam("name"))
                await connection.execute(gone, [{"old": old, "name": segment.path} for old in moved for segment in missing])
        return len(missing)

    async def segments_between(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Segment]:
        async with self._engines.reading() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return []
            statement = between(track.track_id, start, end, longest=track.longest_us, limit=limit, after=after)
            return await _segments(connection, statement)

    async def spans_between(self, key: ChannelKey, start: int, end: int, *, bridge: int) -> list[Span]:
        async with self._engines.reading() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return []
            statement = spans(track.track_id, start, end, longest=track.longest_us, bridge=bridge)
            found: list[Span] = []
            begin = None
            for first, reach, following, end_cause in await connection.execute(statement):
                found.append(Span(first if begin is None else begin, reach, end_cause))
                begin = following
            return found

    async def recorded_by_day(self, key: ChannelKey, start: int, days: int) -> list[tuple[int, int]]:
        """Recorded microseconds and bytes of so many days from `start` on; a segment's bytes count on the day it began.

        Seconds that two segments have both recorded count once.
        """
        totals = [[0, 0] for _ in range(days)]
        async with self._engines.reading() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return [(0, 0)] * days
            statement = by_day(track.track_id, start, days, longest=track.longest_us)
            for day, recorded, beyond, began, size in await connection.execute(statement):
                if began >= 0:
                    totals[began][1] += size
                if not recorded:
                    continue  # all of it lies in segments before; the day may be the one after the range
                totals[day][0] += recorded - beyond
                while beyond > 0 and day + 1 < days:
                    day += 1
                    totals[day][0] += min(beyond, DAY_US)
                    beyond -= DAY_US
        return [(min(recorded, DAY_US), size) for recorded, size in totals]

    async def oldest_by_volume(self) -> dict[str, int]:
        """Start of the oldest segment of every volume that has one, by the volume's root."""
        async with self._engines.reading() as connection:
            rows = await connection.execute(oldest_of_volumes())
            return {root: start for root, start in rows if start is not None}

    async def newest_by_volume(self) -> dict[str, int]:
        """Start of the newest segment of every volume that has one, by the volume's root."""
        async with self._engines.reading() as connection:
            rows = await connection.execute(newest_of_volumes())
            return {root: start for root, start in rows if start is not None}

    async def oldest_by_channel(self) -> dict[ChannelKey, int]:
        """Start of the oldest segment of every channel that has one."""
        async with self._engines.reading() as connection:
            rows = await connection.execute(oldest_of_tracks())
            return {
                ChannelKey(DeviceId(device), DeviceId(channel)): start for device, channel, start in rows if start is not None
            }

    async def last_segment(self, key: ChannelKey) -> Segment | None:
        async with self._engines.reading() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return None
            newest = _SELECT.where(_s.track_id == track.track_id).order_by(_s.start_us.desc(), _s.segment_id.desc()).limit(1)
            found = await _segments(connection, newest)
            return found[0] if found else None

    async def expired_segments(
        self, key: ChannelKey, before: int, *, limit: int, volumes: Collection[str] | None = None
    ) -> list[Segment]:
        async with self._engines.reading() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return []
            # What ended before also began before: the index by start bounds the search at both ends.
            old = _SELECT.where(_s.track_id == track.track_id, _s.start_us < before, _s.end_us < before)
            if volumes is not None:
                old = old.where(_v.root.in_(volumes))
            return await _segments(connection, old.order_by(_s.start_us, _s.segment_id).limit(limit))

    async def oldest_segments(self, volume: str, *, limit: int) -> list[Segment]:
        async with self._engines.reading() as connection:
            volume_id = await tracks.volume(connection, volume)
            if volume_id is None:
                return []
            return await _segments(connection, oldest(volume_id, limit=limit))

    async def recorded_channels(self) -> list[ChannelKey]:
        track = tables.tracks.c
        recorded = sa.exists().where(_s.track_id == track.track_id)
        statement = sa.select(track.device_id, track.channel_id).where(recorded).order_by(track.device_id, track.channel_id)
        async with self._engines.reading() as connection:
            return [ChannelKey(*row) for row in await connection.execute(statement)]

    async def delete_segments(self, segment_ids: Sequence[int]) -> None:
        if not segment_ids:
            return
        async with self._engines.durable() as connection:
            statement = sa.delete(tables.segments).where(_s.segment_id == sa.bindparam("number"))
            await connection.execute(statement, [{"number": number} for number in segment_ids])


def between(
    track_id: int, start: int, end: int, *, longest: int, limit: int, after: tuple[int, int] | None
) -> sa.Select[tuple[object, ...]]:
    """Segments of one channel that overlap [start, end); none that does began before `start - longest`."""
    statement = _SELECT.where(_s.track_id == track_id, _s.start_us > start - longest, _s.start_us < end, _s.end_us > start)
    if after is not None:
        # Said twice: the plain comparison moves the beginning of the index range on every backend.
        statement = statement.where(_s.start_us >= after[0], sa.or_(_s.start_us > after[0], _s.segment_id > after[1]))
    return statement.order_by(_s.start_us, _s.segment_id).limit(limit)


def spans(track_id: int, start: int, end: int, *, longest: int, bridge: int) -> sa.Select[int, int, int, str]:
    """One row where recording stops: first start of the range, end, start of what follows or null, and why it ended."""
    in_order = (_s.start_us, _s.segment_id)
    run = (
        sa.select(
            sa.func.first_value(_s.start_us).over(order_by=in_order).label("first"),
            sa.func.max(_s.end_us).over(order_by=in_order, rows=(None, 0)).label("reach"),
            sa.func.lead(_s.start_us).over(order_by=in_order).label("following"),
            _s.end_cause,
        )
        .where(_s.track_id == track_id, _s.start_us > start - longest, _s.start_us < end, _s.end_us > start)
        .subquery()
    )
    stops = sa.or_(run.c.following.is_(None), run.c.following > run.c.reach + bridge)
    return sa.select(run.c.first, run.c.reach, run.c.following, run.c.end_cause).where(stops).order_by(run.c.reach)


def by_day(track_id: int, start: int, days: int, *, longest: int) -> sa.Select[int, int, int, int, int]:
    """For each day on which seconds begin that no earlier segment has, and each on which their segments began: number of the
    first, these microseconds, how many of them lie beyond its end, number of the second (-1 before the range), and bytes."""
    end = start + days * DAY_US
    before = sa.func.max(_s.end_us).over(order_by=(_s.start_us, _s.segment_id), rows=(None, -1))
    run = (
        sa.select(
            _s.start_us,
            _s.bytes,
            _smaller(_s.end_us, end).label("stop"),
            sa.func.coalesce(before, 0).label("before"),
        )
        .where(_s.track_id == track_id, _s.start_us > start - longest, _s.start_us < end, _s.end_us > start)
        .subquery()
    )
    begin = _smaller(_larger(_larger(run.c.start_us, start), run.c.before), run.c.stop)
    began = sa.case((run.c.start_us >= start, _day(run.c.start_us, start)), else_=-1)
    new = sa.select(begin.label("begin"), run.c.stop, began.label("began"), run.c.bytes).subquery()
    dated = sa.select(_day(new.c.begin, start).label("day"), new.c.begin, new.c.stop, new.c.began, new.c.bytes).subquery()
    midnight = start + (dated.c.day + 1) * DAY_US
    beyond = sa.case((dated.c.stop > midnight, dated.c.stop - midnight), else_=0)
    return (
        sa.select(dated.c.day, _sum(dated.c.stop - dated.c.begin), _sum(beyond), dated.c.began, _sum(dated.c.bytes))
        .group_by(dated.c.day, dated.c.began)
        .order_by(dated.c.day)
    )


def oldest_of_volumes() -> sa.Select[str, int | None]:
    """Root and first start of each volume: one look into an index each."""
    first = sa.select(sa.func.min(_s.start_us)).where(_s.volume_id == _v.volume_id).scalar_subquery()
    return sa.select(_v.root, first)


def newest_of_volumes() -> sa.Select[str, int | None]:
    """Root and last start of each volume: one look into an index each."""
    last = sa.select(sa.func.max(_s.start_us)).where(_s.volume_id == _v.volume_id).scalar_subquery()
    return sa.select(_v.root, last)


def named(volume_id: int, paths: Sequence[str]) -> sa.Select[str]:
    """Which of these paths of a volume have a row: one look into an index each."""
    return sa.select(_s.path).where(_s.volume_id == volume_id, _s.path.in_(paths))


def oldest_of_tracks() -> sa.Select[str, str, int | None]:
    """Device, channel and first start of each channel: one look into an index each."""
    track = tables.tracks.c
    first = sa.select(sa.func.min(_s.start_us)).where(_s.track_id == track.track_id).scalar_subquery()
    return sa.select(track.device_id, track.channel_id, first)


def _day(moment: sa.ColumnElement[int], start: int) -> sa.ColumnElement[int]:
    return (moment - start) // sa.literal_column(str(DAY_US), sa.BigInteger)


def _smaller(left: sa.ColumnElement[int], right: sa.ColumnElement[int] | int) -> sa.ColumnElement[int]:
    return sa.case((left < right, left), else_=right)


def _larger(left: sa.ColumnElement[int], right: sa.ColumnElement[int] | int) -> sa.ColumnElement[int]:
    return sa.case((left > right, left), else_=right)


def _sum(value: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    # PostgreSQL sums BIGINT as NUMERIC, which arrives as Decimal.
    return sa.cast(sa.func.sum(value), sa.BigInteger)


def oldest(volume_id: int, *, limit: int) -> sa.Select[tuple[object, ...]]:
    """Segments of one volume, oldest first."""
    return _SELECT.where(_s.volume_id == volume_id).order_by(_s.start_us).limit(limit)


async def _segments(connection: AsyncConnection, statement: sa.Select[tuple[object, ...]]) -> list[Segment]:
    return [
        Segment(
            key=ChannelKey(row["device_id"], row["channel_id"]),
            start=row["start_us"],
            end=row["end_us"],
            bytes=row["bytes"],
            sha256=row["sha256"],
            chain=row["chain"],
            volume=row["root"],
            path=row["path"],
            end_cause=row["end_cause"],
            lost=row["lost"],
            key_frames=row["key_frames"],
            adopted=row["adopted"],
            segment_id=row["segment_id"],
        )
        for row in (await connection.execute(statement)).mappings()
    ]


def _row(segment: Segment, track_id: int, volume_id: int) -> Row:
    return {
        "track_id": track_id,
        "start_us": segment.start,
        "end_us": segment.end,
        "bytes": segment.bytes,
        "sha256": segment.sha256,
        "chain": segment.chain,
        "volume_id": volume_id,
        "path": segment.path,
        "end_cause": segment.end_cause,
        "lost": segment.lost,
        "key_frames": segment.key_frames,
        "adopted": segment.adopted,
    }
