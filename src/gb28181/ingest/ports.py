"""Media ports: an even one for RTP and the next for RTCP per stream, at rest for a while before they are used again.

A device may go on sending for seconds after BYE; what it sends must not enter the next stream (quirk Q124).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable


class PortPool:
    """Which even ports are free. A port that another program holds is put back to the end.

    Args:
        ports: Range that this process may use.
        quarantine_s: Rest of a port after use; the longest rested one is taken early when nothing else is free.
    """

    def __init__(self, ports: range, *, quarantine_s: float) -> None:
        self._free = deque(port for port in ports if port % 2 == 0 and port + 1 in ports)
        self._resting: OrderedDict[int, float] = OrderedDict()
        self._quarantine_s = quarantine_s

    def __len__(self) -> int:
        return len(self._free) + len(self._resting)

    def candidates(self, now: float) -> Iterable[int]:
        """Ports to try, each at most once; the caller stops at the first that can be bound and calls `taken`."""
        self._wake(now)
        yield from tuple(self._free)
        yield from tuple(self._resting)

    def taken(self, port: int) -> None:
        if self._resting.pop(port, None) is None:
            self._free.remove(port)

    def unusable(self, port: int) -> None:
        """Another program holds it: tried last from now on."""
        if port in self._resting:
            self._resting.move_to_end(port)
        else:
            self._free.remove(port)
            self._free.append(port)

    def release(self, port: int, now: float) -> None:
        self._resting[port] = now + self._quarantine_s
        self._resting.move_to_end(port)

    def _wake(self, now: float) -> None:
        while self._resting:
            port, until = next(iter(self._resting.items()))
            if until > now:
                return
            del self._resting[port]
            self._free.append(port)
