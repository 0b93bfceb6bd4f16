"""The plan of a playlist: entries of whole groups of pictures, each at least 6 s where nothing breaks it.

The name of an entry says everything that is needed to make it: where it begins and ends on the wall clock, its place and
length on its run's line, its format. So an entry is the same on every request, after a restart too, and nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from gb28181.edge.hls_format import Format
from gb28181.edge.recorded_groups import Group

ENTRY_90K: Final = 6 * 90_000
"""An entry ends with the first group that makes it so long."""

#: No playlist, and so no entry or place of one, is longer.
_LONGEST_90K: Final = 3 * 3600 * 90_000
_NAME: Final = re.compile(r"(\d{1,17})-(\d{1,17})-(\d{1,12})-(\d{1,12})-([0-9a-f]{16})(-last)?\.m4s", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a playlist.

    Args:
        start_us, end_us: Its groups' key frames lie in [start, end), UTC microseconds.
        media_90k: Its place in its run.
        is_last: Nothing of its run follows.
        run: Number of its run in the playlist; not part of its name.
    """

    start_us: int
    end_us: int
    media_90k: int
    duration_90k: int
    tag: str = ""
    is_last: bool = False
    run: int = 0

    @property
    def name(self) -> str:
        last = "-last" if self.is_last else ""
        return f"{self.start_us}-{self.end_us}-{self.media_90k}-{self.duration_90k}-{self.tag}{last}.m4s"

    @classmethod
    def parse(cls, name: str) -> Entry | None:
        """The entry of a name, from anybody; None for what is none."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        start, end, media, duration = (int(found[number]) for number in range(1, 5))
        if not (0 <= start < end and 0 < duration <= _LONGEST_90K and media <= _LONGEST_90K):
            return None
        return cls(start, end, media, duration, found[5], found[6] is not None)


@dataclass(slots=True)
class _Line:
    """An entry with the group that it begins with."""

    entry: Entry
    first: Group


def plan(
    groups: Iterable[Group],
    formats: Callable[[Group], Format | None],
    within: Callable[[Entry], Iterable[Group]],
) -> list[Entry]:
    """Entries of consecutive groups; empty where nothing can be shown.

    A format is looked for where a segment or a run begins and at the end; where two of these differ, the change is
    searched between them. What changes and changes back inside one segment is not seen; those pictures carry their
    parameter sets themselves.

    Args:
        formats: Format of a group, None where it has no parameter sets: that of the groups before it holds on.
        within: The groups of an entry, for the one in which the format changes.
    """
    lines = list(_lines(groups))
    looked_at = _landmarks(lines)
    found: dict[int, str] = {}
    current = next((made.tag for number in looked_at if (made := formats(lines[number].first)) is not None), "")
    if not current:
        return []

    def tag_of(number: int) -> str:
        made = formats(lines[number].first)
        return made.tag if made is not None else current

    def change(before: int, after: int, old: str) -> int:
        return _bisect(before, after, lambda middle: tag_of(middle) == old)

    before = 0
    found[0] = current = tag_of(0)
    for number in looked_at[1:]:
        found[number] = tag_of(number)
        if found[number] != current and lines[number].entry.run == lines[before].entry.run:
            changed = change(before, number, current)
            found[changed] = tag_of(changed)
        before, current = number, found[number]
    return list(_tagged(lines, found, formats, within))


def _lines(groups: Iterable[Group]) -> Iterator[_Line]:
    first: Group | None = None
    end_us = end_90k = run = 0

    def line(until_us: int, *, is_last: bool) -> _Line:
        assert first is not None
        duration = end_90k - first.media_90k
        return _Line(Entry(first.utc_us, until_us, first.media_90k, duration, "", is_last, run), first)

    for group in groups:
        if first is not None and group.discontinuity_before:
            yield line(end_us, is_last=True)
            first, run = None, run + 1
        elif first is not None and end_90k - first.media_90k >= ENTRY_90K and group.utc_us > first.utc_us:
            yield line(group.utc_us, is_last=False)
            first = None
        first = first or group
        end_us, end_90k = group.utc_us + 1, group.media_90k + group.duration_90k
    if first is not None:
        yield line(end_us, is_last=True)


def _landmarks(lines: list[_Line]) -> list[int]:
    """Entries whose format is looked at: the first of a segment or run, the last of a run."""
    out = []
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else None
        new_segment = before is None or before.first.span.path != line.first.span.path
        if new_segment or line.entry.is_last or before is None or before.entry.run != line.entry.run:
            out.append(number)
    return out


def _bisect(old: int, new: int, is_old: Callable[[int], bool]) -> int:
    """The first entry of the new format, where `old` has the old and `new` has another one."""
    while new - old > 1:
        middle = (old + new) // 2
        if is_old(middle):
            old = middle
        else:
            new = middle
    return new


def _tagged(
    lines: list[_Line],
    found: dict[int, str],
    formats: Callable[[Group], Format | None],
    within: Callable[[Entry], Iterable[Group]],
) -> Iterator[Entry]:
    tag = found[0]
    for number, line in enumerate(lines):
        tag = found.get(number, tag)
        following = found.get(number + 1, tag)
        if following == tag or line.entry.is_last:  # the next run's format is its own
            yield replace(line.entry, tag=tag)
        else:
            yield from _parted(replace(line.entry, tag=tag), formats, within(line.entry))


def _parted(entry: Entry, formats: Callable[[Group], Format | None], groups: Iterable[Group]) -> Iterator[Entry]:
    """An entry cut where the format changes in it."""
    start = None
    for group in groups:
        if start is None:
            start = group.media_90k
            continue
        made = formats(group)
        if made is not None and made.tag != entry.tag:
            cut = min(max(1, group.media_90k - start), entry.duration_90k - 1)
            yield replace(entry, end_us=group.utc_us, duration_90k=cut, is_last=False)
            place, left = entry.media_90k + cut, entry.duration_90k - cut
            entry = replace(entry, start_us=group.utc_us, media_90k=place, duration_90k=left, tag=made.tag)
            start = group.media_90k
    yield entry


def playlist(
    entries: list[Entry], *, start_us: int, clock: Callable[[int], str], initialisations: Callable[[Entry], str]
) -> str:
    """The playlist (RFC 8216 §4) of at least one entry.

    Args:
        start_us: Where a player begins, exactly.
        clock: A moment as RFC 3339.
        initialisations: Name of the initialisation section that an entry needs.
    """
    longest = max(entry.duration_90k for entry in entries)
    out = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{-(-longest // 90_000)}",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    offset = start_us - entries[0].start_us
    if offset > 0:
        out.append(f"#EXT-X-START:TIME-OFFSET={offset / 1_000_000:.6f},PRECISE=YES")
    before: Entry | None = None
    for entry in entries:
        is_new = before is None or before.run != entry.run or before.tag != entry.tag
        if is_new and before is not None:
            out.append("#EXT-X-DISCONTINUITY")
        if before is None or before.tag != entry.tag:
            out.append(f'#EXT-X-MAP:URI="{initialisations(entry)}"')
        if is_new:
            out.append(f"#EXT-X-PROGRAM-DATE-TIME:{clock(entry.start_us)}")
        out.append(f"#EXTINF:{entry.duration_90k / 90_000:.6f},")
        out.append(entry.name)
        before = entry
    out.append("#EXT-X-ENDLIST")
    return "\n".join(out) + "\n"
