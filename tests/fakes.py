"""Ports with nothing behind them: they implement the port, keep what they were given and answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gb28181.accounts.model import AuditEntry, User
from gb28181.alarm.model import Alarm, AlarmFilter
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.clock import Clock, to_us
from gb28181.command.model import Firmware, Order, Picture
from gb28181.device.model import Address, Device, Route, SipTransport
from gb28181.errors import NotFound, StorageError, SubscriptionRefused, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build, parse
from gb28181.ports import Answered, SipRequest, SipResponse, Subscribed
from gb28181.position.model import Position
from gb28181.session.model import Dialog
from gb28181.subscription.model import Subscription, SubscriptionKey

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
    all_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """A MESSAGE of ours."""

    route: Route
    to: str
    body: bytes

    @property
    def command(self) -> object:
        return parse(self.body).command


@dataclass(frozen=True, slots=True)
class SentInDialog:
    """A SUBSCRIBE, NOTIFY or INFO of ours; `headers` has `event`, `state` and `expires_s` where they belong."""

    method: str
    dialog: Dialog
    route: Route
    body: bytes
    headers: dict[str, str | int]


@dataclass(slots=True)
class FakeSignalling:
    """Keeps what is sent; a MESSAGE is answered by `answer`, 200 unless told otherwise."""

    responses: list[Response] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    answer: Callable[[Sent], SipResponse] = lambda _sent: SipResponse(200, "OK", {}, b"")
    dead: set[Address] = field(default_factory=set)
    kept_open: list[Address] = field(default_factory=list)
    sent_in_dialogs: list[SentInDialog] = field(default_factory=list)
    in_dialog_answer: Callable[[SentInDialog], SipResponse] = lambda _sent: SipResponse(200, "OK", {}, b"")
    _dialogs: int = 0

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
        self.responses.append(Response(request, status, dict(headers), tuple(headers)))

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

    async def info(self, dialog: Dialog, *, body: bytes, content_type: str, route: Route | None = None) -> SipResponse:
        return await self._sent_in("INFO", dialog, route, body)

    async def options(self, route: Route, *, to: str) -> SipResponse:
        await asyncio.sleep(0)
        if route.remote in self.dead:
            raise Unreachable(f"{route.remote} does not answer")
        return SipResponse(200, "OK", {}, b"")

    async def subscribe(self, route: Route, *, to: str, event: str, body: bytes, expires_s: int) -> Subscribed:
        """Answered as `in_dialog_answer` says, as all requests in dialogs are."""
        self._dialogs += 1
        dialog = Dialog(
            call_id=f"sub{self._dialogs}@192.0.2.10",
            local_uri=f"<sip:{PLATFORM}@{DOMAIN}>",
            local_tag=f"us{self._dialogs}",
            remote_uri=f"<sip:{to}@{DOMAIN}>",
            remote_tag=f"them{self._dialogs}",
            target=f"sip:{to}@{route.remote}",
            route_set=(),
            cseq=1,
            route=route,
        )
        response = await self._sent_in("SUBSCRIBE", dialog, route, body, event=event, expires_s=expires_s)
        return self._subscribed(dialog, response, expires_s)

    async def resubscribe(
        self, dialog: Dialog, *, event: str, body: bytes, expires_s: int, route: Route | None = None
    ) -> Subscribed:
        response = await self._sent_in("SUBSCRIBE", dialog, route, body, event=event, expires_s=expires_s)
        return self._subscribed(replace(dialog, cseq=dialog.cseq + 1, route=route or dialog.route), response, expires_s)

    def accept_subscription(
        self, request: SipRequest, *, expires_s: int, body: bytes = b"", dialog: Dialog | None = None
    ) -> Dialog:
        self.responses.append(Response(request, 200, {"Expires": str(expires_s)}))
        self._dialogs += 1
        return Dialog(
            call_id=request.call_id,
            local_uri=f"<sip:{request.to_user}@{DOMAIN}>",
            local_tag=request.to_tag or f"us{self._dialogs}",
            remote_uri=f"<sip:{request.user}@{DOMAIN}>",
            remote_tag=request.from_tag,
            target=f"sip:{request.user}@{request.route.remote}",
            route_set=(),
            cseq=dialog.cseq if dialog else 0,
            route=request.route,
        )

    async def notify(self, dialog: Dialog, *, event: str, state: str, body: bytes, route: Route | None = None) -> SipResponse:
        return await self._sent_in("NOTIFY", dialog, route, body, event=event, state=state)

    async def _sent_in(
        self, method: str, dialog: Dialog, route: Route | None, body: bytes, **headers: str | int
    ) -> SipResponse:
        sent = SentInDialog(method, dialog, route or dialog.route, body, dict(headers))
        self.sent_in_dialogs.append(sent)
        await asyncio.sleep(0)
        if sent.route.remote in self.dead:
            raise Unreachable(f"{sent.route.remote} does not answer")
        return self.in_dialog_answer(sent)

    def _subscribed(self, dialog: Dialog, response: SipResponse, expires_s: int) -> Subscribed:
        if response.status >= 300:
            raise SubscriptionRefused(
                f"SUBSCRIBE was answered {response.status}",
                status=response.status,
                retry_after_s=int(response.headers.get("retry-after", "0")),
                min_expires_s=int(response.headers.get("min-expires", "0")),
            )
        return Subscribed(dialog, min(expires_s, int(response.headers.get("expires", expires_s))), response)

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
class FakeUserStore:
    """Args:
    audit: By whom, what and of what; `details` beside it.
    broken: The disk is full.
    """

    users: dict[str, User] = field(default_factory=dict)
    audit: list[tuple[str, str, str]] = field(default_factory=list)
    details: list[dict[str, object]] = field(default_factory=list)
    broken: bool = False

    async def load_user(self, username: str) -> User | None:
        return self.users.get(username)

    async def save_user(self, user: User) -> None:
        self.users[user.username] = user

    async def load_users(self) -> list[User]:
        return [self.users[name] for name in sorted(self.users)]

    async def delete_user(self, username: str) -> None:
        self.users.pop(username, None)

    async def audit_page(self, *, limit: int, before: int | None = None, user: str = "", action: str = "") -> list[AuditEntry]:
        rows = [
            AuditEntry(number, datetime(2026, 3, 1, tzinfo=UTC), *row, {})
            for number, row in enumerate(self.audit, 1)
            if (before is None or number < before) and user in ("", row[0]) and action in ("", row[1])
        ]
        return rows[::-1][:limit]

    async def add_audit(self, at: datetime, user: str, action: str, target: str, detail: Mapping[str, object]) -> None:
        if self.broken:
            raise StorageError("disk full")
        self.audit.append((user, action, target))
        self.details.append(dict(detail))


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


@dataclass(slots=True)
class FakeSubscriptionStore:
    subscriptions: dict[SubscriptionKey, Subscription] = field(default_factory=dict)

    async def load_subscriptions(self) -> list[Subscription]:
        return list(self.subscriptions.values())

    def save_subscription(self, subscription: Subscription) -> None:
        self.subscriptions[subscription.key] = subscription


@dataclass(slots=True)
class FakeAlarmStore:
    """Filters by device and by whether it was acknowledged; the database has tests of its own."""

    alarms: dict[int, Alarm] = field(default_factory=dict)

    def save_alarm(self, alarm: Alarm) -> None:
        self.alarms[alarm.alarm_id] = alarm

    async def save_alarm_now(self, alarm: Alarm) -> None:
        self.save_alarm(alarm)

    async def alarm(self, alarm_id: int) -> Alarm | None:
        return self.alarms.get(alarm_id)

    async def last_alarms(self, limit: int) -> list[Alarm]:
        return [self.alarms[number] for number in sorted(self.alarms)[-limit:]]

    async def alarms_page(self, wanted: AlarmFilter, *, limit: int, before: tuple[int, int] | None = None) -> list[Alarm]:
        rows = sorted(self.alarms.values(), key=lambda alarm: (to_us(alarm.at), alarm.alarm_id), reverse=True)
        return [
            alarm
            for alarm in rows
            if (before is None or (to_us(alarm.at), alarm.alarm_id) < before)
            and wanted.device_id in ("", alarm.device_id)
            and wanted.acknowledged in (None, bool(alarm.acknowledged_by))
            and (wanted.start is None or wanted.start <= to_us(alarm.at))
            and (wanted.end is None or to_us(alarm.at) < wanted.end)
        ][:limit]


@dataclass(slots=True)
class FakePositionStore:
    last: dict[ChannelKey, Position] = field(default_factory=dict)
    points: list[Position] = field(default_factory=list)

    def save_position(self, position: Position, *, is_last: bool, in_track: bool) -> None:
        if is_last:
            self.last[position.key] = position
        if in_track:
            self.points.append(position)

    async def last_positions(self, *, limit: int) -> list[Position]:
        return list(self.last.values())[:limit]

    async def track(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Position]:
        rows = sorted((to_us(point.at), point.position_id, point) for point in self.points if point.key == key)
        return [point for at, number, point in rows if start <= at < end and (after is None or (at, number) > after)][:limit]


@dataclass(slots=True)
class FakeOrderStore:
    orders: dict[str, Order] = field(default_factory=dict)
    failing: bool = False

    async def load_orders(self, *, limit: int) -> list[Order]:
        return sorted(self.orders.values(), key=lambda order: order.ordered_at)[-limit:]

    async def save_order(self, order: Order) -> None:
        if self.failing:
            raise StorageError("disk full")
        self.orders[order.order_id] = order

    async def delete_orders(self, order_ids: Sequence[str]) -> None:
        for order_id in order_ids:
            self.orders.pop(order_id, None)


@dataclass(slots=True)
class FakeDeposit:
    """Pictures by order, and firmware by its identifier."""

    kept: dict[str, list[Picture]] = field(default_factory=dict)
    files: dict[str, Firmware] = field(default_factory=dict)

    async def pictures(self, order_id: str) -> list[Picture]:
        return self.kept.get(order_id, [])

    async def firmwares(self) -> list[Firmware]:
        return list(self.files.values())

    async def firmware(self, firmware_id: str) -> Firmware:
        if firmware_id not in self.files:
            raise NotFound(f"there is no firmware {firmware_id}")
        return self.files[firmware_id]

    async def describe_firmware(self, firmware: Firmware) -> None:
        self.files[firmware.firmware_id] = firmware

    async def remove_firmware(self, firmware_id: str) -> None:
        del self.files[firmware_id]


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
