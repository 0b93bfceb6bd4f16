"""A device: camera, NVR or lower platform that registers with us (§9.1), and what it says on the bus.

Whether it is online is never stored row by row: presence is decided in memory by `presence.py` from what was heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from gb28181.ids import DeviceId

SipTransport = Literal["udp", "tcp"]


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
    """Where one device is treated otherwise than the rest, because an operator says so.

    Args:
        ignore_notified_status: The states of channels that it pushes are wrong; only its catalogue counts (quirk Q74).
    """

    ignore_notified_status: bool = False


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
        faults: Counters of tolerated faults by name ("wrong-content-length": 312).
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
    faults: dict[str, int] = field(default_factory=dict)
    profile: Profile = Profile()

    def with_changes(self, **changes: object) -> Device:
        return replace(self, **changes)  # type: ignore[arg-type]  # replace() of typeshed takes no keyword mapping


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
    """The device deregistered (`deregistered`), fell silent (`keepalive_timeout`) or was deleted (`deleted`)."""

    device_id: DeviceId
    cause: Literal["deregistered", "keepalive_timeout", "deleted"]


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
