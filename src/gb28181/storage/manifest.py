"""The manifest of a channel's day: one JSON line a closed segment, appended, never rewritten. It is the truth about a volume.

A deletion appends a tombstone, which hides the rows of that path above it. Rows of a channel are chained over all its
days: `chain = SHA-256(previous || sha256)`, both as hex text, numbered by `number`; so a row that was altered, removed or
put in shows. Rows without a hash (hashing off) stand outside the chain and have number 0.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from gb28181.errors import Invalid
from gb28181.ids import path_part
from gb28181.messages import EndCause
from gb28181.storage.segment import LAST_US, SegmentName

MANIFEST: Final = "manifest.jsonl"
"""Name of the file in a channel-day's folder."""

END_CAUSES: Final[tuple[str, ...]] = typing.get_args(EndCause)


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One closed segment; enough to fill `messages.SegmentClosed`. Times are UTC microseconds.

    Args:
        path: Relative to the volume, without suffix.
        sha256: Hex digest of the PS file, "" where hashing is off; then `chain` and `previous` are "" too.
        chain: `chained(previous, sha256)`.
        previous: Chain value of the row before it in the channel, "" for the first.
        number: Place in the channel's chain, from 1; 0 outside it.
    """

    device_id: str
    channel_id: str
    path: str
    start: int
    end: int
    bytes: int
    end_cause: EndCause
    sha256: str = ""
    chain: str = ""
    previous: str = ""
    number: int = 0
    lost: int = 0
    key_frames: int = 0
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A segment was deleted.

    Args:
        deleted: Its path, relative to the volume, without suffix.
        at: UTC microseconds.
    """

    deleted: str
    at: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest file says.

    Args:
        entries: Rows and tombstones in file order.
        damaged: Numbers (from 1) of lines that are neither, a torn last one among them.
    """

    entries: tuple[ManifestRow | Tombstone, ...]
    damaged: tuple[int, ...] = ()

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """Segments that were not deleted, in file order; the last row of a path counts."""
        live: dict[str, ManifestRow] = {}
        for entry in self.entries:
            if isinstance(entry, Tombstone):
                live.pop(entry.deleted, None)
            else:
                live[entry.path] = entry
        return tuple(live.values())

    @property
    def last_chained(self) -> ManifestRow | None:
        """The row with the highest place in the chain, deleted or not."""
        chained_rows = [entry for entry in self.entries if isinstance(entry, ManifestRow) and entry.number]
        return max(chained_rows, key=lambda row: row.number, default=None)


def chained(previous: str, sha256: str) -> str:
    """Chain value of a segment: SHA-256 over the hex text of the value before ("" for the first) and of its own hash."""
    return hashlib.sha256((previous + sha256).encode("ascii")).hexdigest()


def line_of(entry: ManifestRow | Tombstone) -> bytes:
    """One line of a manifest."""
    return json.dumps(asdict(entry), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Reads a manifest; any bytes give one. What is no row is numbered in `damaged`, fields of later versions are ignored."""
    entries: list[ManifestRow | Tombstone] = []
    damaged: list[int] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue  # after the last line, and where a torn line was ended by the next writer
        try:
            # A last line without its newline was torn, even where what is left of it can be read.
            if number == len(lines):
                raise Invalid("torn")
            entries.append(_entry(line))
        except Invalid:
            damaged.append(number)
    return Manifest(tuple(entries), tuple(damaged))


_HEX: Final = frozenset("0123456789abcdef")
_TYPES: Final[dict[str, type]] = {"str": str, "int": int, "bool": bool, "EndCause": str}
_ROW_FIELDS: Final = {field.name: _TYPES[str(field.type)] for field in fields(ManifestRow)}
_REQUIRED: Final = frozenset({"device_id", "channel_id", "path", "start", "end", "bytes", "end_cause"})


def _entry(line: bytes) -> ManifestRow | Tombstone:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise Invalid("not JSON") from None
    if not isinstance(data, dict):
        raise Invalid("not an object")
    if "deleted" in data:
        return Tombstone(_path(data["deleted"]), _whole(data.get("at", 0)))
    if not data.keys() >= _REQUIRED:
        raise Invalid("no row")
    values = {name: value for name, value in data.items() if name in _ROW_FIELDS}
    for name, value in values.items():
        if type(value) is not _ROW_FIELDS[name] or (type(value) is int and not 0 <= value < 1 << 63):
            raise Invalid(f"{name}: {value!r}")
    if values["end_cause"] not in END_CAUSES:
        raise Invalid("end_cause")
    if any(len(text) not in (0, 64) or not _HEX.issuperset(text) for text in _digests(values)):
        raise Invalid("digest")
    _agree(values)
    return ManifestRow(**values)


def _agree(values: dict[str, Any]) -> None:
    """Whether the row is that of the segment which its path names: a bit that flipped on disk gives no other time or camera.

    Raises:
        Invalid: It is not.
    """
    name = SegmentName.parse(values["path"])
    # Of several segments of one millisecond the later ones have the names of the next (`SegmentName.following`).
    if not 0 <= name.start_ms - values["start"] // 1000 < 1000:
        raise Invalid("start")
    if values["end"] > LAST_US:
        raise Invalid("end")
    if (path_part(values["device_id"]), path_part(values["channel_id"])) != (name.device, name.channel):
        raise Invalid("path of another channel")


def _digests(values: dict[str, Any]) -> Iterable[str]:
    return (values.get(name, "") for name in ("sha256", "chain", "previous"))


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise Invalid(f"not a count: {value!r}")
    return value


def _path(value: object) -> str:
    if type(value) is not str:
        raise Invalid(f"not a path: {value!r}")
    SegmentName.parse(value)
    return value
