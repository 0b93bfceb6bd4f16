"""What services need of the world. Each port has the real adapter and a fake in `tests/fakes.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from gb28181.accounts.model import AuditEntry, User
from gb28181.alarm.model import Alarm, AlarmFilter
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.command.model import Firmware, Order, Picture
from gb28181.device.model import Address, Device, Profile, Route, SipTransport
from gb28181.ids import DeviceId
from gb28181.messages import EndCause, MediaTransport, StreamState
from gb28181.position.model import Position
from gb28181.recording.model import Gap, GapTotal, Segment, Span
from gb28181.session.model import Dialog, StreamRecord
from gb28181.storage.manifest import ManifestRow
from gb28181.subscription.model import Subscription

# --- signalling ----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class SipRequest:
    """A request that arrived, outside or inside a dialog; already de-duplicated by its server transaction. Nobody changes it;
    it is not frozen because one is made for each datagram (STYLE §10).

    Args:
        headers: First value of each header by its full lower-case name (`from`, `user-agent`, `x-gb-ver`); the address
            headers as text. Unknown ones are kept.
        user: User part of From: the source of the message (A.1). `to_user`, `uri_user`: of To and of the Request-URI.
        route: Where it came from and where the answer goes.
        faults: Names of the faults that the parser tolerated in it ("wrong-content-length").
    """

    method: str
    uri: str
    uri_user: str
    user: str
    to_user: str
    call_id: str
    from_tag: str
    to_tag: str
    cseq: int
    headers: Mapping[str, str]
    content_type: str
    body: bytes
    route: Route
    key: object = field(repr=False, compare=False, default=None)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SipResponse:
    """A final or provisional answer to a request of ours."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx to an INVITE: the dialog it made and its SDP. The ACK has not been sent yet."""

    response: SipResponse
    dialog: Dialog


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A 2xx to SUBSCRIBE.

    Args:
        dialog: Store it: NOTIFYs come in it, by its `call_id`, and its refresh and end go out in it.
        expires_s: Seconds granted, never more than were asked for; 0 after an end.
    """

    dialog: Dialog
    expires_s: int
    response: SipResponse


class Signalling(Protocol):
    """SIP for the services: real transactions below, no sockets above."""

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
        """Answers once; a retransmission of the request is answered from the transaction."""

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        """Sends MESSAGE with an `Application/MANSCDP+xml` body to `sip:<to>@<remote>`; returns the final answer.

        Raises:
            PeerTimeout: No final answer within the transaction's time.
            Unreachable: No connection, or the transport refused.
        """

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
        """Sends INVITE; returns on 2xx. The caller persists the dialog, then calls `ack`.

        On cancellation or timeout CANCEL is sent, and a late 2xx is answered by ACK and BYE without the caller.

        Raises:
            MediaRefused: A final answer of 300 or more; its `status` says which.
            PeerTimeout, Unreachable: As for `message`.
        """

    def ack(self, dialog: Dialog) -> None:
        """Sends the ACK of the INVITE that made this dialog; later copies of its 2xx are answered with it again."""

    async def bye(self, dialog: Dialog, *, route: Route | None = None) -> SipResponse:
        """Ends a dialog, one of an earlier process too; any final answer counts as ended (quirk Q37)."""

    async def info(self, dialog: Dialog, *, body: bytes, content_type: str, route: Route | None = None) -> SipResponse:
        """Sends INFO in an INVITE dialog (playback control, §9.8); returns the final answer, whatever it is.

        Raises: PeerTimeout, Unreachable: As for `message`.
        """

    async def options(self, route: Route, *, to: str) -> SipResponse:
        """Asks a peer for a sign of life; any answer is one.

        Raises: PeerTimeout, Unreachable: As for `message`.
        """

    async def subscribe(self, route: Route, *, to: str, event: str, body: bytes, expires_s: int) -> Subscribed:
        """Sends SUBSCRIBE with a MANSCDP body to `sip:<to>@<remote>`; its first NOTIFY may arrive before this returns.

        An interval that is too brief for the peer (423) is asked for once more as long as it wants it.

        Args:
            event: Value of the Event header, with its id: `Catalog;id=7`, `presence`.

        Raises:
            SubscriptionRefused: A final answer of 300 or more.
            PeerTimeout, Unreachable: As for `message`.
        """

    async def resubscribe(
        self, dialog: Dialog, *, event: str, body: bytes, expires_s: int, route: Route | None = None
    ) -> Subscribed:
        """Refreshes a subscription in its dialog, or ends it with `expires_s` 0; store the dialog that comes back.

        Args:
            route: The way to the peer now, where it is not that of the dialog any more.

        Raises: SubscriptionRefused, PeerTimeout, Unreachable: As for `subscribe`; after status 481 begin a new one.
        """

    def accept_subscription(
        self, request: SipRequest, *, expires_s: int, body: bytes = b"", dialog: Dialog | None = None
    ) -> Dialog:
        """Answers a SUBSCRIBE with 200, To tag, Contact and Expires; returns the dialog in which `notify` sends.

        Args:
            expires_s: Granted; 0 ends it.
            body: MANSCDP, only for peers of the 2011 and 2016 editions that want it.
            dialog: That of the subscription which this request refreshes; its sequence numbers go on.

        Raises: Unreachable: Its transaction has ended; the peer has got another answer.
        """

    async def notify(self, dialog: Dialog, *, event: str, state: str, body: bytes, route: Route | None = None) -> SipResponse:
        """Sends NOTIFY to a subscriber; a final answer of 300 or more, 481 above all, means that it has forgotten us.

        Args:
            event: As the SUBSCRIBE had it, with its id.
            state: Value of Subscription-State: `active;expires=593`, `terminated;reason=timeout`.

        Raises: PeerTimeout, Unreachable: As for `message`.
        """

    def local_for(self, remote: Address, transport: SipTransport) -> Address:
        """The address told to this peer: configured, else the local address of the route to it."""

    def is_connected(self, route: Route) -> bool:
        """Whether a TCP route's connection, or another to the same address, stands; always true for UDP."""

    def keep_open(self, route: Route) -> None:
        """Sends an empty line over UDP, so that the NAT on the way keeps its hole (quirk Q9); nobody answers it."""


Handler = Callable[[SipRequest], Awaitable[None] | None]


# --- media ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receiver:
    """A reserved media port in one ingest."""

    stream_id: str
    ingest: str
    ingest_epoch: int
    port: int


class Ingests(Protocol):
    """The ingest processes, chosen by load."""

    async def open_receiver(self, stream_id: str, key: ChannelKey, *, transport: MediaTransport, ssrc: int) -> Receiver:
        """Reserves a port.

        Raises:
            Unavailable: No ingest runs, or no port is free.
        """

    def confirm(self, receiver: Receiver, *, ssrc: int, peer: Address) -> None: ...

    def set_recording(self, ingest: str, stream_id: str, recording: bool) -> None: ...

    async def close_receiver(self, ingest: str, stream_id: str, cause: EndCause) -> None:
        """Closes it and waits until its segment is closed; an ingest that is gone counts as closed."""

    async def delete_segments(self, volume: str, paths: Sequence[str]) -> frozenset[str]:
        """Removes closed segments; returns the paths that could **not** be removed.

        Raises:
            Unavailable: No ingest serves this volume now.
        """


# --- features to each other ----------------------------------------------------------------------------------------


class Devices(Protocol):
    """What other features ask about devices; `device.service.DeviceService` is the one."""

    def devices(self) -> list[Device]: ...

    def get(self, device_id: str) -> Device:
        """Raises: NotFound: No such device."""

    def is_online(self, device_id: str) -> bool: ...

    def route(self, device_id: str) -> Route:
        """Raises: Unreachable: it is offline; an old address is never used (W16)."""

    def profile(self, device_id: str) -> Profile:
        """How a device is treated: edition, charset and what its vendor does otherwise; of an unknown one, as any."""

    def next_sn(self) -> int:
        """A serial number that no outstanding query of ours has."""

    async def send(self, device_id: str, command: object) -> None:
        """Sends one command that nothing answers; returns when the device's SIP has accepted it.

        Raises:
            NotFound: No such device.
            PeerTimeout: No answer to the MESSAGE.
            Unreachable: The device is offline, or refused the MESSAGE.
        """

    def remember_media_transport(self, device_id: str, transport: MediaTransport) -> None: ...


class Channels(Protocol):
    """What other features ask about channels; `catalog.service.CatalogService` is the one."""

    def channel(self, key: ChannelKey) -> Channel:
        """Raises: NotFound: No such channel."""

    def channels(self, device_id: str) -> list[Channel]:
        """Raises: NotFound: No such device."""

    def all_channels(self) -> list[Channel]: ...

    def is_online(self, key: ChannelKey) -> bool: ...

    async def change(
        self,
        key: ChannelKey,
        *,
        alias: str | None = None,
        recording_mode: Literal["", "always", "off"] | None = None,
        retention_hours: float | None = None,
    ) -> Channel: ...


class Streams(Protocol):
    """Live streams for recording; `session.service.SessionService` is the one."""

    async def hold_for_recording(self, key: ChannelKey, *, transport: str | None = None) -> None:
        """Joins or opens the channel's stream and has it written; returns once its first key frame came.

        Raises:
            NoPicture: It could not be opened; says how far it came.
        """

    def release_recording(self, key: ChannelKey) -> None: ...

    def stream_state(self, key: ChannelKey) -> StreamState | None: ...

    def channel_of(self, stream_id: str) -> ChannelKey | None: ...

    def is_recording(self, key: ChannelKey) -> bool:
        """Whether the stream stands and recording holds it."""


# --- stores --------------------------------------------------------------------------------------------------------


class DeviceStore(Protocol):
    async def load_devices(self) -> list[Device]: ...

    def save_device(self, device: Device) -> None:
        """Written behind, in batches within `database.flush_ms`; the last state of a device wins."""

    async def save_device_now(self, device: Device) -> None: ...

    async def delete_device(self, device_id: DeviceId) -> None:
        """Removes the device and its channels; recordings, their rows and gaps stay."""


class ChannelStore(Protocol):
    async def load_channels(self) -> list[Channel]: ...

    def save_channels(self, channels: Sequence[Channel]) -> None:
        """Written behind like devices; never removes a row."""

    async def save_channel_now(self, channel: Channel) -> None: ...


class StreamStore(Protocol):
    async def load_streams(self) -> list[StreamRecord]: ...

    async def save_stream(self, record: StreamRecord) -> None:
        """Committed when it returns: the ACK waits for it."""

    async def delete_stream(self, stream_id: str) -> None: ...


class SegmentStore(Protocol):
    async def add_segments(self, segments: Sequence[Segment]) -> None:
        """Committed when it returns; a segment that is there already (volume, path) is left alone."""

    async def add_missing(self, segments: Sequence[Segment], *, volumes: Sequence[str]) -> int:
        """Adds those of one volume that are not there yet and returns how many these were. The rows of the same segments
        (path) on other volumes than `volumes` go: they were moved."""

    async def newest_by_volume(self) -> dict[str, int]:
        """Start of the newest segment of every volume that has one, by the volume's root."""

    async def segments_between(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Segment]:
        """Segments that overlap [start, end), by start then id; `after` is (start, id) of the last one of the page before."""

    async def spans_between(self, key: ChannelKey, start: int, end: int, *, bridge: int) -> list[Span]:
        """What [start, end) has recorded, joined where a hole is no longer than `bridge`; cut at neither border."""

    async def recorded_by_day(self, key: ChannelKey, start: int, days: int) -> list[tuple[int, int]]:
        """Recorded microseconds and bytes of so many days of 24 hours from `start` on."""

    async def oldest_by_volume(self) -> dict[str, int]:
        """Start of the oldest segment of every volume that has one, by the volume's root."""

    async def oldest_by_channel(self) -> dict[ChannelKey, int]:
        """Start of the oldest segment of every channel that has one."""

    async def last_segment(self, key: ChannelKey) -> Segment | None: ...

    async def expired_segments(
        self, key: ChannelKey, before: int, *, limit: int, volumes: Collection[str] | None = None
    ) -> list[Segment]:
        """Segments that ended before, oldest first; where `volumes` are given only of these."""

    async def oldest_segments(self, volume: str, *, limit: int) -> list[Segment]: ...

    async def recorded_channels(self) -> list[ChannelKey]:
        """Every channel that has a segment."""

    async def delete_segments(self, segment_ids: Sequence[int]) -> None: ...

    async def open_gap(self, gap: Gap) -> None:
        """Adds a gap that begins; one that is open on the channel already is left alone."""

    async def close_gap(self, key: ChannelKey, end: int, *, shortest: int) -> None:
        """Ends the open gap of a channel; removes it when it is shorter than `shortest` microseconds."""

    async def gaps_between(self, key: ChannelKey, start: int, end: int, *, limit: int) -> list[Gap]: ...

    async def gaps_by_cause(self, start: int, end: int) -> list[GapTotal]:
        """Gaps of all channels that overlap [start, end), summed by cause, the longest first."""

    async def open_gaps(self, *, limit: int) -> list[Gap]:
        """Gaps that last, of all channels, the longest first."""


class Manifests(Protocol):
    """What the volumes say of themselves; `storage.io.manifests` reads them."""

    def rows(self, volume: str, *, since_us: int) -> AsyncIterator[list[ManifestRow]]:
        """Closed segments of a volume that ended since then, 0 means all; in batches. Raises: StorageError: The disk failed."""

    def orphans(self, volume: str) -> AsyncIterator[ManifestRow]:
        """Closed segments that no manifest named; they have their rows now. Slow on purpose. Raises: StorageError."""


class OrderStore(Protocol):
    async def load_orders(self, *, limit: int) -> list[Order]:
        """The newest, the oldest of them first; what is older is deleted."""

    async def save_order(self, order: Order) -> None:
        """Committed when it returns."""

    async def delete_orders(self, order_ids: Sequence[str]) -> None: ...


class Deposit(Protocol):
    """Files that devices leave with us or fetch from us; `storage.io.deposit` has the folder."""

    async def pictures(self, order_id: str) -> list[Picture]:
        """By their number; none where they made room for newer ones."""

    async def firmwares(self) -> list[Firmware]:
        """The newest first."""

    async def firmware(self, firmware_id: str) -> Firmware:
        """Raises: NotFound: There is none."""

    async def describe_firmware(self, firmware: Firmware) -> None:
        """Raises: StorageError: It cannot be written."""

    async def remove_firmware(self, firmware_id: str) -> None: ...


class SubscriptionStore(Protocol):
    async def load_subscriptions(self) -> list[Subscription]: ...

    def save_subscription(self, subscription: Subscription) -> None:
        """Written behind like devices, and removed with its device."""


class AlarmStore(Protocol):
    def save_alarm(self, alarm: Alarm) -> None:
        """Written behind; the last state of an alarm wins."""

    async def save_alarm_now(self, alarm: Alarm) -> None: ...

    async def alarm(self, alarm_id: int) -> Alarm | None: ...

    async def last_alarms(self, limit: int) -> list[Alarm]:
        """By number, the newest last."""

    async def alarms_page(self, wanted: AlarmFilter, *, limit: int, before: tuple[int, int] | None = None) -> list[Alarm]:
        """Newest first by (time in UTC microseconds, number); `before` is that of the last one of the page before."""


class PositionStore(Protocol):
    def save_position(self, position: Position, *, is_last: bool, in_track: bool) -> None:
        """Written behind: as the last one of its channel, as a point of its track, or both."""

    async def last_positions(self, *, limit: int) -> list[Position]:
        """The last position of each channel that has one."""

    async def track(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Position]:
        """Positions of [start, end) by (time, number); `after` is that of the last one of the page before."""


class UserStore(Protocol):
    async def load_user(self, username: str) -> User | None: ...

    async def save_user(self, user: User) -> None: ...

    async def load_users(self) -> list[User]:
        """By name."""

    async def delete_user(self, username: str) -> None: ...

    async def add_audit(self, at: datetime, user: str, action: str, target: str, detail: Mapping[str, Any]) -> None: ...

    async def audit_page(self, *, limit: int, before: int | None = None, user: str = "", action: str = "") -> list[AuditEntry]:
        """Newest first; `before` is the number of the last one of the page before, "" any user or action."""


class MovingNotes(Protocol):
    """Which cameras we set in motion; outlives this process."""

    def load(self) -> list[ChannelKey]: ...

    def save(self, keys: Sequence[ChannelKey]) -> None: ...


class Secrets(Protocol):
    """Encrypts what is kept at rest under the key file of the data folder."""

    def seal(self, text: str) -> bytes: ...

    def open(self, sealed: bytes) -> str: ...
