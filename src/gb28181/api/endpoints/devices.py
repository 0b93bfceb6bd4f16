"""Devices: list, provision, change, remove, ask for the catalogue; and those in quarantine that want to become one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gb28181.accounts.service import new_password
from gb28181.api import device_views, views
from gb28181.api.device_views import DevicePage, DeviceView, StrangerView
from gb28181.api.fields import Identifier, Name, Page, SipPassword
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.views import JobView
from gb28181.device.model import DeviceChange as Change
from gb28181.device.model import DeviceCharset, Edition

#: Many cameras take no more than 12 characters.
_SIP_PASSWORD_LENGTH = 12


class DevicesQuery(Page):
    online: bool | None = None
    q: str = Field("", max_length=128, description="part of the name or of the identifier")


class NewDevice(Model):
    device_id: Identifier
    name: Name = ""
    password: SipPassword | None = Field(None, description="SIP password; one is made when it is missing", repr=False)


class NewDeviceAnswer(DeviceView):
    """`password`: the one that was made, shown this once; null when the caller gave it."""

    password: str | None


class ProfileChange(Model):
    """Fields of the profile. What is given is set; null takes back what was set, so that vendor and edition decide again."""

    vendor: str | None = Field(None, max_length=64, description="a name of the table of vendors")
    edition: Edition | None = None
    charset: DeviceCharset | None = None
    media_transport: Literal["auto", "udp", "tcp"] | None = None
    ptz_target: Literal["device", "channel"] | None = None
    ptz_address: int | None = Field(None, ge=0, le=0xFFF)
    config_target: Literal["device", "channel"] | None = None
    catalog_first_wait_s: float | None = Field(None, ge=1, le=3600)
    catalog_gap_s: float | None = Field(None, ge=1, le=3600)
    ignore_notified_status: bool | None = None
    coordinate_system: Literal["wgs84", "gcj02", "bd09"] | None = None
    set_guard: Literal["never", "camera", "always"] | None = None
    date_header: bool | None = None
    keep_open_s: float | None = Field(None, ge=0, le=600)
    digest: Literal["MD5", "SHA-256"] | None = None
    keepalive_policy: Literal["revive", "strict"] | None = None
    keepalive_interval_s: float | None = Field(None, ge=0, le=3600)
    keepalive_misses: int | None = Field(None, ge=1, le=100)


class DeviceChange(Model):
    """What is given is changed; an empty password means the one of the SIP domain."""

    name: Name | None = None
    password: SipPassword | None = Field(None, repr=False)
    networks: list[str] | None = Field(
        None, max_length=64, description="networks from which alone it may register, as 192.0.2.0/24; empty: any"
    )
    redirect: str | None = Field(
        None, max_length=255, description="SIP URI of the server to which its next REGISTER is sent on (302); empty: none"
    )
    profile: ProfileChange | None = None


class JobStarted(Model):
    job: str


class StrangerList(Model):
    items: list[StrangerView]


class Acceptance(Model):
    """`password`: the SIP password that the device is set to; needed unless it has proved that of the domain."""

    name: Name = ""
    password: SipPassword | None = Field(None, repr=False)


@route("GET", "/devices", right="view", query=DevicesQuery, response=DevicePage)
async def list_devices(call: Call[DevicesQuery, None]) -> DevicePage:
    """Lists devices by identifier."""
    services, query = call.services, call.query
    rows = (
        found
        for found in services.devices.devices()
        if views.matches(query.q, found.name, found.device_id)
        and query.online in (None, services.devices.is_online(found.device_id))
    )
    page, following = Cursors(services.link_key, "devices").page(
        rows, key=lambda found: (found.device_id,), limit=query.limit, cursor=query.cursor
    )
    shown = [device_views.device(services, services.devices.get(found.device_id)) for found in page]
    return DevicePage(items=shown, next=following)


@route("POST", "/devices", right="administer", request=NewDevice, response=NewDeviceAnswer, status=201, errors=(409,))
async def create_device(call: Call[None, NewDevice]) -> NewDeviceAnswer:
    """Adds a device that has not registered yet, with a SIP password of its own."""
    made = None if call.body.password else new_password(_SIP_PASSWORD_LENGTH)
    device = await call.services.devices.provision(
        call.body.device_id, name=call.body.name, password=call.body.password or made or ""
    )
    await call.audit("device.create", device.device_id, name=call.body.name)
    return NewDeviceAnswer(**dict(device_views.device(call.services, device)), password=made)


@route("GET", "/devices/{device_id}", right="view", response=DeviceView, errors=(404,))
async def get_device(call: Call[None, None]) -> DeviceView:
    """Shows one device."""
    return device_views.device(call.services, call.services.devices.get(call.device_id))


@route("PATCH", "/devices/{device_id}", right="administer", request=DeviceChange, response=DeviceView, errors=(404,))
async def change_device(call: Call[None, DeviceChange]) -> DeviceView:
    """Changes the name or the SIP password of a device, from where it may register, or how it is treated."""
    body = call.body
    overrides = {} if body.profile is None else {name: getattr(body.profile, name) for name in body.profile.model_fields_set}
    change = Change(
        name=body.name,
        password=body.password,
        networks=None if body.networks is None else tuple(body.networks),
        redirect=body.redirect,
        overrides=overrides,
    )
    device = await call.services.devices.update(call.device_id, change)
    told = body.model_dump(exclude_unset=True, exclude={"password"})
    await call.audit("device.change", device.device_id, fields=sorted(body.model_fields_set), **told)
    return device_views.device(call.services, device)


@route("DELETE", "/devices/{device_id}", right="administer", errors=(404,))
async def delete_device(call: Call[None, None]) -> None:
    """Forgets a device and its channels. Its recordings stay until their retention ends."""
    await call.services.devices.remove(call.device_id)
    await call.audit("device.delete", call.device_id)


@route("POST", "/devices/{device_id}/catalog", right="operate", response=JobStarted, status=202, errors=(404, 503))
async def refresh_catalog(call: Call[None, None]) -> JobStarted:
    """Asks the device for its catalogue; `GET /jobs/{job}` shows how far the answer is."""
    job = call.services.catalog.refresh(call.device_id)
    await call.audit("device.catalog", call.device_id)
    return JobStarted(job=job.job_id)


@route("GET", "/jobs/{job_id}", right="view", response=JobView, errors=(404,))
async def get_job(call: Call[None, None]) -> JobView:
    """Shows how far a job is."""
    return views.job(call.services.catalog.job(call.path["job_id"]))


@route("GET", "/quarantine", right="operate", response=StrangerList)
async def list_strangers(call: Call[None, None]) -> StrangerList:
    """Lists who wants to register and is no device, newest first: at most 1000, since the start of the server."""
    return StrangerList(items=[device_views.stranger(found) for found in call.services.devices.strangers()])


@route(
    "POST", "/quarantine/{device_id}/accept", right="administer", request=Acceptance, response=DeviceView, status=201,
    errors=(404, 409),
)  # fmt: skip
async def accept_stranger(call: Call[None, Acceptance]) -> DeviceView:
    """Makes a device of it. It appears when it tries to register again, mostly within a minute."""
    device = await call.services.devices.accept(call.device_id, name=call.body.name, password=call.body.password or "")
    await call.audit("device.accept", device.device_id, name=call.body.name)
    return device_views.device(call.services, device)


@route("DELETE", "/quarantine/{device_id}", right="administer", errors=(404,))
async def dismiss_stranger(call: Call[None, None]) -> None:
    """Takes it off the list; it is back when it tries again."""
    call.services.devices.dismiss(call.device_id)
    await call.audit("device.dismiss", call.device_id)


ROUTES: tuple[Route, ...] = (
    list_devices, create_device, get_device, change_device, delete_device, refresh_catalog, get_job, list_strangers,
    accept_stranger, dismiss_stranger,
)  # fmt: skip
