"""Login, health and what the console needs to know of the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, SecretStr

from gb28181 import __version__
from gb28181.accounts.model import Role
from gb28181.api import views
from gb28181.api.fields import Said, Shown
from gb28181.api.routing import Call, Model, Route, route


class LoginRequest(Model):
    username: str = Field(min_length=1, max_length=64)
    password: SecretStr = Field(min_length=1, max_length=1024)


class LoginAnswer(Model):
    token: str
    expires_at: Shown
    username: str
    role: Role


class PartView(Model):
    name: str
    state: str
    pid: int | None
    detail: Said


class LivenessPart(Model):
    name: str
    state: str
    pid: int | None


class LivenessView(Model):
    status: Literal["ok", "degraded"]
    version: str
    parts: list[LivenessPart]


class Counts(Model):
    total: int
    online: int


class RecordingCounts(Model):
    due: int
    recording: int


class SipView(Model):
    """What to type into a camera. The password is not shown; a device can be given one of its own.

    `tls_port`: of SIP over TLS, null where it is not configured.
    """

    server_id: str
    domain: str
    host: str
    port: int
    transports: list[str]
    tls_port: int | None


class SystemView(Model):
    """`one_source`: the address from which all devices come, null when there are several; a container bridge or a second NAT
    in front of the server looks like this, and pictures fail through it.
    """

    version: str
    time: Shown
    devices: Counts
    channels: Counts
    recording: RecordingCounts
    sessions: int
    one_source: str | None
    volumes: list[views.VolumeView]
    parts: list[PartView]
    sip: SipView


class RefusalView(Model):
    at: Shown | None
    device_id: str
    source: str
    reason: Said


class RefusalList(Model):
    items: list[RefusalView]


@route("POST", "/login", right=None, request=LoginRequest, response=LoginAnswer, errors=(401, 429))
async def login(call: Call[None, LoginRequest]) -> LoginAnswer:
    """Gives a token for a user name and password.

    Send it as `Authorization: Bearer <token>` with every other request.
    """
    made = await call.services.accounts.login(call.body.username, call.body.password.get_secret_value(), source=call.source)
    return LoginAnswer(token=made.token, expires_at=made.expires_at, username=made.caller.username, role=made.caller.role)


@route("GET", "/health", right=None, response=LivenessView)
async def health(call: Call[None, None]) -> LivenessView:
    """Shows which parts of the server run. Needs no login, so it names no folder, address or fault; `/system` does."""
    found = call.services.health()
    parts = [
        LivenessPart(name=_public_name(part.name, call.services.volumes), state=part.state, pid=part.pid)
        for part in found.parts
    ]
    return LivenessView(status=found.status, version=found.version, parts=parts)


def _public_name(name: str, volumes: Sequence[str]) -> str:
    """`volume 0` for the folder that a volume is."""
    kind, _, folder = name.partition(" ")
    if kind != "volume":
        return name
    return f"volume {list(volumes).index(folder)}" if folder in volumes else "volume, not configured any more"


@route("GET", "/system", right="view", response=SystemView)
async def system(call: Call[None, None]) -> SystemView:
    """Shows counts, volumes, parts with what is wrong with them, and what to type into a camera."""
    services = call.services
    devices = services.devices.devices()
    channels = services.catalog.counts()
    recording = services.recordings.counts()
    sip = services.sip()
    return SystemView(
        version=__version__,
        time=services.clock.utc(),
        devices=Counts(total=len(devices), online=sum(services.devices.is_online(found.device_id) for found in devices)),
        channels=Counts(total=channels.total, online=channels.online),
        recording=RecordingCounts(due=recording["due"], recording=recording["recording"]),
        sessions=len(services.sessions.sessions()),
        one_source=services.devices.one_source() or None,
        volumes=[views.volume(services, state) for state in services.volume_states()],
        parts=[
            PartView(name=part.name, state=part.state, pid=part.pid, detail=part.detail) for part in services.health().parts
        ],
        sip=SipView(
            server_id=sip.server_id,
            domain=sip.domain,
            host=sip.host,
            port=sip.port,
            transports=list(sip.transports),
            tls_port=sip.tls_port or None,
        ),
    )


@route("GET", "/refusals", right="operate", response=RefusalList)
async def refusals(call: Call[None, None]) -> RefusalList:
    """Lists registrations that were refused lately, newest first, with what to check."""
    found = call.services.devices.refusals()
    return RefusalList(
        items=[RefusalView(at=entry.at, device_id=entry.device_id, source=entry.source, reason=entry.reason) for entry in found]
    )


ROUTES: tuple[Route, ...] = (login, health, system, refusals)
