"""Ports with nothing behind them: they implement the port, keep what they were given and answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gb28181.catalog.model import Channel, ChannelKey
from gb28181.clock import Clock, to_us
from gb28181.device.model import Address, Device, Route, SipTransport
from gb28181.errors import Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build, parse
from gb28181.ports import Answered, SipRequest, SipResponse
from gb28181.session.model import Dialog

PLATFORM = "34020000002000000001"
DOMAIN = "3402000000"
DEVICE = DeviceId("34020000001110000001")
CAMERA = DeviceId("34020000001320000001")
HOME = Address("192.0.2.20", 5060)


class ManualClock(Clock):
    """Time that stands still until a test moves it; `monotonic` moves with it."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, tzinfo=UTC)) -> None:
        self._utc = start
        self._monotonic = 1000.0

    def utc(self) -> datetime:
        return self._utc

    def utc_us(self) -> int:
        return to_us(self._utc)

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._utc += timedelta(seconds=seconds)
        self._monotonic += seconds


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of ours to a request."""

    request: SipRequest
    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A MESSAGE of ours."""

    route: Route
    to: str
    body: bytes

    @property
    def command(self) -> object:
        return parse(self.body).command


@dataclass(slots=True)
class FakeSignalling:
    """Keeps what is sent; a MESSAGE is answered by `answer`, 200 unless told otherwise."""

    responses: list[Response] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    answer: Callable[[Sent], SipResponse] = lambda _sent: SipResponse(200, "OK", {}, b"")
    dead: set[Address] = field(default_factory=set)
    kept_open: list[Address] = field(default_factory=list)

    def respond(
        self,
        request: SipRequest,
        status: int,
        reason: str = "",
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        self.responses.append(Response(request, status, dict(headers)))

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        sent = Sent(route, to, body)
        self.sent.append(sent)
        await asyncio.sleep(0)
        if route.remote in self.dead:
            raise Unreachable(f"{route.remote} does not answer")
        return self.answer(sent)

    async def invite(
        self,
        route: Route,
        *,
        to: str,
        sdp: bytes,
        subject: str,
        timeout_s: float,
        on_provisional: Callable[[int], None] | None = None,
    ) -> Answered:
        raise Unreachable("no media here")

    def ack(self, dialog: Dialog) -> None:
        return None

    async def bye(self, dialog: Dialog, *, route: Route | None = None) -> SipResponse:
        return SipResponse(200, "OK", {}, b"")

    def local_for(self, remote: Address, transport: SipTransport) -> Address:
        return Address("192.0.2.10", 5060)

    def is_connected(self, route: Route) -> bool:
        return route.transport == "udp" or (route.connection != 0 and route.remote not in self.dead)

    def keep_open(self, route: Route) -> None:
        self.kept_open.append(route.remote)

    @property
    def status(self) -> int:
        """Status of the last answer."""
        return self.responses[-1].status


@dataclass(slots=True)
class FakeDeviceStore:
    devices: dict[DeviceId, Device] = field(default_factory=dict)
    writes: int = 0

    async def load_devices(self) -> list[Device]:
        return list(self.devices.values())

    def save_device(self, device: Device) -> None:
        self.writes += 1
        self.devices[device.device_id] = device

    async def save_device_now(self, device: Device) -> None:
        self.save_device(device)

    async def delete_device(self, device_id: DeviceId) -> None:
        self.devices.pop(device_id, None)


@dataclass(slots=True)
class FakeChannelStore:
    channels: dict[ChannelKey, Channel] = field(default_factory=dict)
    writes: int = 0

    async def load_channels(self) -> list[Channel]:
        return list(self.channels.values())

    def save_channels(self, channels: Sequence[Channel]) -> None:
        self.writes += len(channels)
        self.channels.update((channel.key, channel) for channel in channels)

    async def save_channel_now(self, channel: Channel) -> None:
        self.save_channels([channel])


class FakeSecrets:
    """Turns the text round."""

    def seal(self, text: str) -> bytes:
        return text[::-1].encode()

    def open(self, sealed: bytes) -> str:
        return sealed.decode()[::-1]


def udp(remote: Address = HOME) -> Route:
    return Route("udp", remote, Address("192.0.2.10", 5060))


def tcp(remote: Address = HOME, connection: int = 1) -> Route:
    return Route("tcp", remote, Address("192.0.2.10", 5060), connection)


def request(
    method: str,
    user: str = DEVICE,
    *,
    route: Route | None = None,
    body: bytes = b"",
    call_id: str = "c1@192.0.2.20",
    uri_user: str = PLATFORM,
    faults: tuple[str, ...] = (),
    **headers: str,
) -> SipRequest:
    """A request as the SIP part hands it over; `user_agent="x"` becomes the header `user-agent`."""
    return SipRequest(
        method=method,
        uri=f"sip:{uri_user}@{DOMAIN}",
        uri_user=uri_user,
        user=user,
        to_user=user,
        call_id=call_id,
        from_tag="t1",
        to_tag="",
        cseq=1,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        content_type="Application/MANSCDP+xml" if body else "",
        body=body,
        route=route or udp(),
        faults=faults,
    )


def message(command: object, user: str = DEVICE, *, route: Route | None = None, call_id: str = "m1@192.0.2.20") -> SipRequest:
    """A MESSAGE with a command as a device sends it."""
    return request("MESSAGE", user, route=route, body=build(command), call_id=call_id)


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
