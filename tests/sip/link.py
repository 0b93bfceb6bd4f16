"""Two endpoints joined by a link that drops, delays, duplicates and reorders; time is a number."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from gb28181.sip.calls import Answered
from gb28181.sip.endpoint import EndpointEvent, SipEndpoint
from gb28181.sip.limits import FloodLimits
from gb28181.sip.timers import Timers
from gb28181.sip.transaction import Flow, RequestArrived, RequestFailed, ResponseArrived

from .vectors import CHANNEL, DEVICE, DOMAIN, PLATFORM

PLATFORM_AT = ("192.0.2.10", 5060)
DEVICE_AT = ("192.0.2.20", 5060)

Fate = Callable[[str, bytes, float], list[float]]


def perfect(to: str, data: bytes, now: float) -> list[float]:
    return [0.01]


def lossy(seed: int, loss: float) -> Fate:
    """Loses, doubles and delays so that packets overtake one another."""
    chance = random.Random(seed)

    def fate(to: str, data: bytes, now: float) -> list[float]:
        if chance.random() < loss:
            return []
        return [chance.uniform(0.001, 0.4) for _ in range(2 if chance.random() < 0.2 else 1)]

    return fate


def endpoint(identity: str, **options: object) -> SipEndpoint:
    numbers = iter(range(1, 1 << 30))
    return SipEndpoint(
        server_id=identity,
        domain=DOMAIN,
        limits=FloodLimits(per_source=1e6, unauthenticated=1e6),
        token=lambda: f"{identity[-4:]}x{next(numbers)}",
        **options,  # type: ignore[arg-type]
    )


@dataclass
class Pair:
    """The platform and a device. `answer` is what the device's services do with a request; by default 200."""

    fate: Fate = perfect
    transport: str = "udp"
    answer: Callable[[Pair, RequestArrived], None] = lambda pair, event: pair.respond(event, 200)
    timers: Timers = field(default_factory=Timers)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.platform = endpoint(PLATFORM, timers=self.timers)
        self.device = endpoint(CHANNEL, timers=self.timers)
        self.served: list[RequestArrived] = []
        self.events: list[EndpointEvent] = []
        self.wire: list[tuple[float, str, bytes]] = []
        self._flying: list[tuple[float, int, str, bytes]] = []
        self._serial = 0

    def flow(self, to: str) -> Flow:
        host, port = DEVICE_AT if to == "device" else PLATFORM_AT
        return Flow(self.transport, host, port, 1 if self.transport == "tcp" else 0)  # type: ignore[arg-type]

    def respond(self, event: RequestArrived, status: int, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> None:
        contact = (("contact", f"<sip:{CHANNEL}@10.0.0.9:5060>"), *headers)
        self.device.respond(event.transaction, status, "", contact, body, "application/sdp" if body else "", self.now)

    def of(self, kind: type[EndpointEvent]) -> list[EndpointEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def statuses(self) -> list[int]:
        return [event.response.status for event in self.events if isinstance(event, ResponseArrived | Answered)]

    @property
    def failures(self) -> list[str]:
        return [event.cause for event in self.events if isinstance(event, RequestFailed)]

    def sent(self, start: str, to: str | None = None) -> list[float]:
        """Times at which messages beginning so were put on the wire, lost ones too."""
        return [at for at, whom, data in self.wire if data.startswith(start.encode()) and to in (None, whom)]

    def pump(self) -> None:
        for _ in range(100):
            busy = False
            for one, other in ((self.platform, "device"), (self.device, "platform")):
                while (event := one.next_event()) is not None:
                    busy = True
                    if one is self.device and isinstance(event, RequestArrived):
                        self.served.append(event)
                        self.answer(self, event)
                    elif one is self.platform:
                        self.events.append(event)
                for _, data in one.packets_to_send():
                    busy = True
                    self.wire.append((self.now, other, data))
                    for delay in self.fate(other, data, self.now):
                        self._serial += 1
                        heapq.heappush(self._flying, (self.now + delay, self._serial, other, data))
            if not busy:
                return
        raise AssertionError("the endpoints never come to rest")

    def run(self, until: float) -> None:
        """Lets time pass: packets arrive, timers fire."""
        self.pump()
        for _ in range(100_000):
            waiting = [self._flying[0][0]] if self._flying else []
            waiting += [due for one in (self.platform, self.device) if (due := one.next_deadline()) is not None]
            if not waiting or min(waiting) > until:
                self.now = until
                return
            self.now = max(self.now, min(waiting))
            if self._flying and self._flying[0][0] <= self.now:
                _, _, to, data = heapq.heappop(self._flying)
                target = self.device if to == "device" else self.platform
                source = self.flow("platform" if to == "device" else "device")
                if self.transport == "udp":
                    target.receive_datagram(data, source, self.now)
                else:
                    head, _, body = data.partition(b"\r\n\r\n")
                    target.receive_framed(head, body, (), source, self.now)
            self.platform.expire(self.now)
            self.device.expire(self.now)
            self.pump()
        raise AssertionError("time does not pass")


__all__ = ["DEVICE", "Pair", "endpoint", "lossy", "perfect"]
