"""Recordings in a device: files of ten minutes that RecordInfo finds (A.2.4.5, A.2.6.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gb28181.sim import manscdp

_FILE_S: Final = 600
#: A search goes no further back than a month of files.
_MOST_FILES: Final = 4320
_BYTES_A_SECOND: Final = 131_072


@dataclass(frozen=True, slots=True)
class File:
    """One recording, UTC seconds."""

    start: int
    end: int
    kind: str = "time"


class Records:
    """What one channel has stored: everything since so many hours ago, on the clock's ten minutes.

    Args:
        hours: How far back it goes; 0 means that nothing is stored.
        now: UTC seconds.
    """

    def __init__(self, hours: float, now: float) -> None:
        self._since = now - hours * 3600 if hours else None

    def find(self, start: float, end: float, kind: str, now: float) -> list[File]:
        """Files that touch the range, oldest first."""
        if self._since is None:
            return []
        first = int(max(start, self._since) // _FILE_S * _FILE_S)
        last = min(end, now)
        starts = [at for at in range(first, int(last) + 1, _FILE_S) if at < last][-_MOST_FILES:]
        files = [File(at, min(at + _FILE_S, int(now)), "alarm" if at // _FILE_S % 12 == 5 else "time") for at in starts]
        return [file for file in files if kind in ("", "all", file.kind)]


def row(file: File, channel_id: str, name: str, *, is_2022: bool) -> str:
    """One Item of RecordList."""
    return manscdp.elements(
        DeviceID=channel_id,
        Name=name,
        FilePath=f"/record/{channel_id}/{file.start}.ps",
        Address="Address",
        StartTime=manscdp.local(file.start),
        EndTime=manscdp.local(file.end),
        Secrecy=0,
        Type=file.kind,
        RecorderID=channel_id,
        FileSize=str((file.end - file.start) * _BYTES_A_SECOND),
        RecordLocation=channel_id if is_2022 else None,
        StreamNumber=0 if is_2022 else None,
    )
