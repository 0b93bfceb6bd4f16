"""What the API shows of devices and of those that want to become one."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pydantic import Field

from gb28181.api.fields import Shown
from gb28181.api.routing import Model
from gb28181.api.services import Services
from gb28181.device.faults import words
from gb28181.device.hints import hints
from gb28181.device.model import Device, DeviceCharset, Edition, Fault, ProfileValue, Stranger, StrangerReason
from gb28181.device.offset import WARN_S


class Words(Model):
    zh: str
    en: str


class FaultView(Model):
    """A fault of the device that is tolerated. `detail`: what was seen last, where the name does not say it."""

    fault: str
    count: int
    last_at: Shown | None
    detail: str
    words: Words


class HintView(Model):
    """Something to look at, and what to do about it."""

    code: str
    words: Words


class ClockView(Model):
    """The device's clock against the server's; `offset_s` positive: it is ahead; null: not measured yet.

    `warning`: it is off by more than 5 seconds.
    """

    offset_s: float | None
    measured_at: Shown | None
    warning: bool


class ProfileView(Model):
    """How the device is treated: what its edition means, what its vendor does otherwise, what operators have set."""

    vendor: str = Field(description="row of the table of vendors, empty when none fits")
    edition: Edition = Field(description="2011 (X-GB-Ver 1.0), 2014 (1.1), 2016 (2.0, or none declared) or 2022 (3.0)")
    charset: DeviceCharset = Field(description="in which commands to it are written")
    media_transport: Literal["auto", "udp", "tcp"] = Field(description="what it is offered for media; auto learns it")
    ptz_target: Literal["device", "channel"] = Field(description="whose ID the request of a PTZ command is addressed to")
    ptz_address: int = Field(description="address in the bytes of a PTZ command; 0 is everybody's")
    config_target: Literal["device", "channel"] = Field(description="whose ID a configuration names first")
    catalog_first_wait_s: float = Field(description="patience for the first part of a catalogue answer")
    catalog_gap_s: float = Field(description="patience between two parts of a catalogue answer")
    ignore_notified_status: bool = Field(description="it pushes wrong states of its channels: only its catalogue counts")
    coordinate_system: Literal["wgs84", "gcj02", "bd09"] = Field(description="of the positions that it tells")
    set_guard: Literal["never", "camera", "always"] = Field(
        description="whether it is told to guard when its alarms are subscribed to; camera: unless it is a recorder"
    )
    date_header: bool = Field(description="whether 200 to its REGISTER carries the time")
    keep_open_s: float = Field(description="between two packets that keep its NAT open; 0: none")
    digest: Literal["MD5", "SHA-256"] = Field(description="SHA-256 is offered before MD5, which old firmware does not bear")
    keepalive_policy: Literal["revive", "strict"] = Field(description="what a keepalive does after the registration has lapsed")
    keepalive_interval_s: float = Field(description="what it is set to; 0: learned from its keepalives")
    keepalive_misses: int = Field(description="keepalives missed in a row that mean offline")


class CatalogView(Model):
    at: Shown | None
    announced: int
    received: int


class DeviceView(Model):
    """`keepalive_interval_s`: as it is kept, null while unknown. `overrides`: fields of `profile` that operators have set.

    `own_password`: it has a SIP password of its own, not that of the SIP domain. `networks`: from which alone it may register;
    empty: any. `redirect`: server to which it is sent on.
    """

    device_id: str
    name: str
    online: bool
    manufacturer: str
    model: str
    firmware: str
    user_agent: str
    gb_version: str
    address: str | None
    transport: str | None
    registered_at: Shown | None
    expires_at: Shown | None
    last_seen_at: Shown | None
    keepalive_interval_s: float | None
    media_transport: str
    channels: int
    catalog: CatalogView
    clock: ClockView
    own_password: bool
    networks: list[str]
    redirect: str
    profile: ProfileView
    overrides: dict[str, bool | int | float | str]
    faults: list[FaultView]
    hints: list[HintView]


class DevicePage(Model):
    items: list[DeviceView]
    next: str | None


class StrangerView(Model):
    """An identifier that wants to register and is no device.

    `reason`: unknown (it has proved the domain's password and waits to be accepted), wrong-password, or no-password (that of
    the domain is switched off); the latter two need a password of their own.
    """

    device_id: str
    source: str
    user_agent: str
    reason: StrangerReason
    count: int
    first_seen_at: Shown
    last_seen_at: Shown


def device(services: Services, found: Device) -> DeviceView:
    registration = found.registration
    offset = found.clock_offset_s
    overrides: dict[str, ProfileValue] = dict(found.overrides)
    return DeviceView(
        device_id=found.device_id,
        name=found.name,
        online=services.devices.is_online(found.device_id),
        manufacturer=found.manufacturer,
        model=found.model,
        firmware=found.firmware,
        user_agent=found.user_agent,
        gb_version=found.gb_version,
        address=str(registration.route.remote) if registration else None,
        transport=registration.route.transport if registration else None,
        registered_at=registration.registered_at if registration else None,
        expires_at=registration.expires_at if registration else None,
        last_seen_at=found.last_seen_at,
        keepalive_interval_s=round(services.devices.keepalive_interval_s(found.device_id), 1) or None,
        media_transport=found.media_transport,
        channels=services.catalog.shown(found.device_id),
        catalog=CatalogView(at=found.catalog_at, announced=found.catalog_announced, received=found.catalog_received),
        clock=ClockView(
            offset_s=offset, measured_at=found.clock_offset_at, warning=offset is not None and abs(offset) > WARN_S
        ),
        own_password=found.password is not None,
        networks=list(found.networks),
        redirect=found.redirect,
        profile=ProfileView(**dataclasses.asdict(found.profile)),
        overrides=overrides,
        faults=[fault(name, entry) for name, entry in sorted(found.faults.items(), key=lambda item: -item[1].count)],
        hints=[HintView(code=hint.code, words=Words(zh=hint.zh, en=hint.en)) for hint in hints(found, services.clock.utc())],
    )


def fault(name: str, found: Fault) -> FaultView:
    zh, en = words(name)
    told = Words(zh=f"{zh} {found.count} 次", en=f"{en} {found.count} time{'s' if found.count != 1 else ''}")
    return FaultView(fault=name, count=found.count, last_at=found.last_at, detail=found.detail, words=told)


def stranger(found: Stranger) -> StrangerView:
    return StrangerView(**dataclasses.asdict(found))
