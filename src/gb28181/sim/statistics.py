"""What a device did, exactly: figures in memory, and JSON lines for tests that watch from outside."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gb28181.sim.rtp import Counters

_STREAMS_KEPT: Final = 1000


@dataclass(slots=True)
class StreamRecord:
    """One stream from INVITE to its end; `counters` go on counting while it runs.

    Args:
        transport: `udp`, `tcp-active` or `tcp-passive`: what the device does.
        destination: Address of the receiver.
        ended: Reason, "" while it runs: `bye`, `cancelled`, `replaced`, `no_ack`, `no_rtcp`, `connection_lost`,
            `connect_failed`, `no_port`, `file_end`, `released`, `switched_off`.
    """

    channel_id: str
    call_id: str
    transport: str
    destination: str
    ssrc: int
    started_at: float
    counters: Counters = field(default_factory=Counters)
    ended: str = ""

    def figures(self) -> dict[str, str | int | float | None]:
        """Everything as JSON values; sequence numbers as on the wire, with the unwrapped ones beside."""
        counts = self.counters
        first, last = counts.first_sequence, counts.last_sequence
        return {
            "channel": self.channel_id,
            "call_id": self.call_id,
            "transport": self.transport,
            "destination": self.destination,
            "ssrc": self.ssrc,
            "started_at": self.started_at,
            "ended": self.ended,
            "pictures": counts.pictures,
            "key_pictures": counts.key_pictures,
            "skipped_pictures": counts.skipped_pictures,
            "sent": counts.sent,
            "payload_bytes": counts.payload_bytes,
            "dropped": counts.dropped,
            "lost": counts.lost,
            "swapped": counts.swapped,
            "send_errors": counts.send_errors,
            "first_sequence": None if first is None else first & 0xFFFF,
            "last_sequence": None if last is None else last & 0xFFFF,
            "sequence_span": 0 if first is None or last is None else last - first + 1,
            "sender_reports": counts.sender_reports,
            "receiver_reports": counts.receiver_reports,
        }


@dataclass(slots=True)
class Statistics:
    """One device since it was made. `streams` keeps the newest 1000."""

    registrations: int = 0
    refusals: int = 0
    keepalives_sent: int = 0
    keepalives_answered: int = 0
    catalogs_answered: int = 0
    invites: int = 0
    byes_received: int = 0
    byes_sent: int = 0
    streams: deque[StreamRecord] = field(default_factory=lambda: deque(maxlen=_STREAMS_KEPT))


class Recorder:
    """Appends one JSON line an event to a file, at once; without a file it forgets them."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1) if path is not None else None

    def write(self, event: str, device_id: str, **values: str | int | float | None) -> None:
        """One event, with the UTC second at which it is written."""
        if self._file is not None:
            row = {"event": event, "device": device_id, "at": round(time.time(), 3), **values}
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
