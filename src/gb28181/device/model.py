"""A device: camera, NVR or lower platform that registers with us (§9.1), and what it says on the bus.

Whether it is online is never stored row by row: presence is decided in memory by `presence.py` from what was heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from gb28181.ids import DeviceId

SipTransport = Literal["udp", "tcp", "tls"]
Edition = Literal["2011", "2014", "2016", "2022"]  # 2014: the amendment of 2011
DeviceCharset = Literal["gb2312", "gb18030", "utf-8"]
ProfileValue = str | float | bool

OfflineCause = Literal["deregistered", "keepalive_timeout", "expired", "redirected", "not_allowed", "deleted"]
NOTHING: Final[Mapping[str, ProfileValue]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a peer: where its last authenticated REGISTER came from.

    Args:
        local: Address of ours that the peer reached, told to it in Via, Contact and SDP unless configured otherwise.
        connection: Number of the TCP connection, 0 for UDP or when it is gone.
    """

    transport: SipTransport
    remote: Address
    local: Address
    connection: int = 0


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration in force. Times are UTC.

    Args:
        contact: URI of the Contact header, used when the packet source no longer answers.
        call_id: Call-ID of the registration.
        expires_at: End unless renewed; a keepalive revives it (quirk Q11).
        behind_nat: It came from elsewhere than its sender believes; the way back is kept open (quirk Q9).
    """

    route: Route
    contact: str
    call_id: str
    registered_at: datetime
    expires_at: datetime
    behind_nat: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """How one device is treated. Its edition's defaults, then its vendor's row, then what an operator says (`profile.py`).

    Args:
        vendor: Row of the table of vendors, "" when none fits.
        edition: What it speaks: 2011 (X-GB-Ver 1.0), 2014 (1.1), 2016 (2.0, or none declared) or 2022 (3.0).
        charset: In which commands to it are written (§6.10).
        media_transport: What it is offered for media; "auto" learns it.
        ptz_target: Whose identifier the Request-URI and To of a PTZ command hold; its DeviceID is always the channel's.
        ptz_address: In the bytes of a PTZ command, 0 to 4095; old domes listen to theirs alone (A.3.1, quirk Q172).
        config_target: Whose identifier the DeviceID of a configuration holds first; the other follows an error (quirk Q55).
        catalog_first_wait_s, catalog_gap_s: Patience for the first part of a catalogue answer and between parts (quirk Q62).
        ignore_notified_status: The states of channels that it pushes are wrong; only its catalogue counts (quirk Q74).
        coordinate_system: Of the positions that it tells (quirk Q50).
        set_guard: Whether it is told to guard when its alarms are subscribed to: some cameras report none before (quirk Q174).
            "camera": where the device is a camera itself, and no recorder.
        date_header: Whether 200 to its REGISTER carries the time (quirk Q26).
        keep_open_s: Between two empty lines that keep its NAT open (quirk Q9); 0 for none.
        digest: What it is challenged with: SHA-256 before MD5 (RFC 8760), or MD5 alone, which old firmware needs.
        keepalive_policy: Whether a keepalive revives a registration that has lapsed, or is refused with 403 (quirk Q11).
        keepalive_interval_s: What it is set to; 0 learns it from its keepalives.
        keepalive_misses: Keepalives missed in a row that mean offline.
    """

    vendor: str = ""
    edition: Edition = "2016"
    charset: DeviceCharset = "gb2312"
    media_transport: Literal["auto", "udp", "tcp"] = "auto"
    ptz_target: Literal["device", "channel"] = "device"
    ptz_address: int = 1
    config_target: Literal["device", "channel"] = "channel"
    catalog_first_wait_s: float = 120.0
    catalog_gap_s: float = 30.0
    ignore_notified_status: bool = False
    coordinate_system: Literal["wgs84", "gcj02", "bd09"] = "wgs84"
    set_guard: Literal["never", "camera", "always"] = "never"
    date_header: bool = True
    keep_open_s: float = 25.0
    digest: Literal["MD5", "SHA-256"] = "MD5"
    keepalive_policy: Literal["revive", "strict"] = "revive"
    keepalive_interval_s: float = 0.0
    keepalive_misses: int = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of what was tolerated.

    Args:
        detail: What was seen last where the name does not say it ("34020000002000000009").
    """

    count: int
    last_at: datetime | None = None
    detail: str = ""


NO_FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Device:
    """One registering peer, as stored.

    Args:
        name: Given by an operator or, failing that, by the device (DeviceInfo).
        gb_version: X-GB-Ver as declared, "" when it declared none (Annex I).
        password: Its own SIP password, encrypted; None means the domain's password.
        registration: None after a deregistration or before the first REGISTER.
        last_seen_at: Last REGISTER or keepalive.
        keepalive_interval_s: The interval that the device keeps, learned; 0 unknown.
        media_transport: What worked for media last, "" unknown.
        catalog_at: End of the last complete catalogue answer.
        catalog_announced, catalog_received: SumNum and number of items of the last catalogue answer.
        faults: What was tolerated of it, by name ("wrong-content-length").
        edition_hint: Edition that it must speak because of what it sends, where it declares none; "" unknown.
        networks: Networks from which alone it may register ("192.0.2.0/24"); empty: from any that `sip.networks` allows.
        redirect: URI of the server to which it is sent on (2022 §9.1.2.3), "" for none.
        clock_offset_s: How far its clock is ahead of ours, None while unknown; `clock_offset_at` says when that was measured.
        overrides: Fields of `profile` that an operator has set.
        profile: How it is treated; made of the rest when it is loaded or changes, never stored.
    """

    device_id: DeviceId
    name: str = ""
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    user_agent: str = ""
    gb_version: str = ""
    password: bytes | None = field(default=None, repr=False)
    registration: Registration | None = None
    last_seen_at: datetime | None = None
    keepalive_interval_s: float = 0.0
    media_transport: Literal["", "udp", "tcp"] = ""
    catalog_at: datetime | None = None
    catalog_announced: int = 0
    catalog_received: int = 0
    created_at: datetime | None = None
    faults: Mapping[str, Fault] = field(default_factory=lambda: NO_FAULTS)
    edition_hint: Edition | Literal[""] = ""
    networks: tuple[str, ...] = ()
    redirect: str = ""
    clock_offset_s: float | None = None
    clock_offset_at: datetime | None = None
    overrides: Mapping[str, ProfileValue] = field(default_factory=lambda: NOTHING)
    profile: Profile = Profile()

    def with_changes(self, **changes: object) -> Device:
        """As `dataclasses.replace`, in a third of its time: a storm of registrations spends a tenth on it."""
        made = object.__new__(Device)
        for name in _DEVICE_FIELDS:
            object.__setattr__(made, name, changes.pop(name) if name in changes else getattr(self, name))
        if changes:
            raise TypeError(f"a device has no {', '.join(changes)}")
        return made


_DEVICE_FIELDS: Final = tuple(each.name for each in fields(Device))


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What an operator changes of a device; None leaves a thing as it is.

    Args:
        password: Its own SIP password; "" for that of the domain.
        networks: From which alone it may register; () for any.
        redirect: URI of the server to which it is sent on; "" for none.
        overrides: Fields of its profile; None takes back what was set.
    """

    name: str | None = None
    password: str | None = field(default=None, repr=False)
    networks: tuple[str, ...] | None = None
    redirect: str | None = None
    overrides: Mapping[str, ProfileValue | None] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class DeviceRegistered:
    """A REGISTER was accepted. `is_new`: from offline or from another address; False for a mere renewal."""

    device_id: DeviceId
    is_new: bool


@dataclass(frozen=True, slots=True)
class DeviceOnline:
    """The device came online, or was heard for the first time since our start: from now on it has a route."""

    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class DeviceOffline:
    """The device deregistered, fell silent (`keepalive_timeout`), let its registration lapse by the strict policy (`expired`),
    was sent to another server (`redirected`), stands outside the networks that are allowed now (`not_allowed`) or was deleted.
    """

    device_id: DeviceId
    cause: OfflineCause


@dataclass(frozen=True, slots=True)
class DeviceMoved:
    """An authenticated REGISTER came from another address: what was bound to the old one is stale."""

    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """Name, model or firmware changed."""

    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class RegistrationRefused:
    """A REGISTER was refused; shown to operators with what to check (quirks Q20, Q21)."""

    device_id: DeviceId
    source: str
    reason: str
    at: datetime | None = None


#: Why an identifier is in quarantine: nobody has accepted it, though it proved the domain's password; its password is wrong;
#: the domain's password is switched off, so that it needs one of its own.
StrangerReason = Literal["unknown", "wrong-password", "no-password"]


@dataclass(frozen=True, slots=True)
class Stranger:
    """An identifier that wants to register and is no device of ours. Source and words are of its last attempt."""

    device_id: DeviceId
    source: str
    user_agent: str
    reason: StrangerReason
    count: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceQuarantined:
    """An identifier that nobody knows has tried to register for the first time."""

    device_id: DeviceId
    source: str
    reason: StrangerReason


@dataclass(frozen=True, slots=True)
class ChannelsFaulty:
    """The sub-devices that a keepalive lists as faulty have changed (§9.6, quirk Q15); none: all work again."""

    device_id: DeviceId
    faulty: tuple[DeviceId, ...]
