"""Devices: list, provision, change, remove, ask for the catalogue."""

from __future__ import annotations

from pydantic import Field

from gb28181.accounts.service import new_password
from gb28181.api import views
from gb28181.api.fields import Identifier, Name, Page, SipPassword
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.views import DevicePage, DeviceView, JobView

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


class DeviceChange(Model):
    """What is given is changed; an empty password means the one of the SIP domain."""

    name: Name | None = None
    password: SipPassword | None = Field(None, repr=False)
    ignore_notified_status: bool | None = Field(
        None, description="for a device that pushes wrong states of its channels: only its catalogue counts"
    )


class JobStarted(Model):
    job: str


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
    return DevicePage(items=[views.device(services, found) for found in page], next=following)


@route("POST", "/devices", right="administer", request=NewDevice, response=NewDeviceAnswer, status=201, errors=(409,))
async def create_device(call: Call[None, NewDevice]) -> NewDeviceAnswer:
    """Adds a device that has not registered yet, with a SIP password of its own."""
    made = None if call.body.password else new_password(_SIP_PASSWORD_LENGTH)
    device = await call.services.devices.provision(
        call.body.device_id, name=call.body.name, password=call.body.password or made or ""
    )
    await call.audit("device.create", device.device_id, name=call.body.name)
    return NewDeviceAnswer(**dict(views.device(call.services, device)), password=made)


@route("GET", "/devices/{device_id}", right="view", response=DeviceView, errors=(404,))
async def get_device(call: Call[None, None]) -> DeviceView:
    """Shows one device."""
    return views.device(call.services, call.services.devices.get(call.device_id))


@route("PATCH", "/devices/{device_id}", right="administer", request=DeviceChange, response=DeviceView, errors=(404,))
async def change_device(call: Call[None, DeviceChange]) -> DeviceView:
    """Changes the name or the SIP password of a device, or how it is treated."""
    body, overrides = call.body, {}
    if body.ignore_notified_status is not None:
        overrides["ignore_notified_status"] = body.ignore_notified_status
    device = await call.services.devices.update(call.device_id, name=body.name, password=body.password, overrides=overrides)
    await call.audit("device.change", device.device_id, fields=sorted(call.body.model_fields_set))
    return views.device(call.services, device)


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


ROUTES: tuple[Route, ...] = (
    list_devices, create_device, get_device, change_device, delete_device, refresh_catalog, get_job,
)  # fmt: skip
