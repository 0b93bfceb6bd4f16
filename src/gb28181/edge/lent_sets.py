"""Parameter sets for key frames that lack them: some cameras send them once, when a stream begins (quirk Q143).

A recording stays as it was received, so its later segments cannot be shown by themselves. Whoever reads one is lent the sets of
the nearest segment before it that begins with some. Reads files: call it in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

from gb28181.media.nal import ParameterSets, VideoCodec, nal_type, split
from gb28181.media.ps import PsParser
from gb28181.storage.segment import PART, PS

#: A key picture of 20 Mbit/s is smaller.
_HEAD_BYTES: Final = 512 << 10
#: A day of segments of five minutes.
_EARLIER: Final = 288
_KEPT: Final = 4096
#: Private data of a key frame is shorter.
_LOOKED_AT: Final = 64 << 10
#: An SPS of H.264 or H.265.
_SETS: Final = re.compile(rb"\x00\x00\x01(?:[\x27\x47\x67]|\x42\x01)")


def lent_sets(segment: Path) -> bytes:
    """A PES packet with the parameter sets in force where a segment begins; b"" where none are found.

    Args:
        segment: Its path without suffix.
    """
    for stem in islice(_back_from(segment), _EARLIER):
        try:
            found = _sets_of(stem)
        except (OSError, LookupError):
            continue
        if found:
            return found
    return b""


def sets_of(codec: VideoCodec, picture: bytes) -> ParameterSets:
    """The parameter sets that a picture in Annex B form brings along."""
    sets = ParameterSets(codec)
    for unit in split(picture):
        sets.see(nal_type(codec, unit), unit)
    return sets


def carries_sets(data: bytes) -> bool:
    """Whether a stream that begins with these bytes begins with parameter sets, as far as a quick look can tell."""
    return _SETS.search(data, 0, _LOOKED_AT) is not None


@lru_cache(maxsize=_KEPT)
def _sets_of(stem: Path) -> bytes:
    """Those of its first key frame; b"" for none.

    Raises:
        OSError: It is gone, or the disk failed.
        LookupError: It is too new to tell.
    """
    data, is_open = _head(stem)
    if carries_sets(data):
        parser = PsParser()
        units = [*parser.feed(data, 0), *parser.flush()]
        codec: VideoCodec = "h265" if parser.codec == "h265" else "h264"
        first = next((unit for unit in units if unit.codec == codec and unit.is_key), None)
        sets = sets_of(codec, first.data).annex_b() if first is not None else b""
        if sets:
            return b"\x00\x00\x01\xe0" + (len(sets) + 3).to_bytes(2, "big") + b"\x80\x00\x00" + sets
    if is_open:
        raise LookupError(stem)
    return b""


def _head(stem: Path) -> tuple[bytes, bool]:
    """The first bytes, and whether more may follow."""
    for suffix in (PS, f"{PS}{PART}", PS):  # the last: renamed between the first two looks
        try:
            with Path(f"{stem}{suffix}").open("rb") as file:
                return file.read(_HEAD_BYTES), suffix != PS
        except FileNotFoundError:
            continue
    raise FileNotFoundError(stem)


def _back_from(segment: Path) -> Iterator[Path]:
    """The segment and those before it of its day and of the day before, the nearest first."""
    yield segment
    day = segment.parent
    try:
        before = day.with_name(f"{datetime.strptime(day.name, '%Y%m%d') - timedelta(days=1):%Y%m%d}")
    except ValueError:
        return
    for folder in (day, before):
        try:
            names = {entry.name.removesuffix(PART).removesuffix(PS) for entry in folder.iterdir() if PS in entry.name}
        except OSError:
            continue
        yield from (folder / name for name in sorted(names, reverse=True) if folder != day or name < segment.name)
