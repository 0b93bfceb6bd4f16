"""A device service among fakes, and devices that register with it."""

from __future__ import annotations

from gb28181.bus import Bus
from gb28181.config import Settings, SipSettings
from gb28181.device.handlers import routes
from gb28181.device.model import (
    Device,
    DeviceChanged,
    DeviceMoved,
    DeviceOffline,
    DeviceOnline,
    DeviceQuarantined,
    DeviceRegistered,
    RegistrationRefused,
    Route,
)
from gb28181.device.profile import Profiles
from gb28181.device.service import DeviceService
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.router import Router
from gb28181.sip.digest import DigestServer, digest_response
from tests.fakes import (
    DEVICE,
    DOMAIN,
    PLATFORM,
    FakeDeviceStore,
    FakeSecrets,
    FakeSignalling,
    ManualClock,
    message,
    request,
    udp,
)

PASSWORD = "12345678"
EVENTS = (DeviceRegistered, DeviceOnline, DeviceOffline, DeviceMoved, DeviceChanged, DeviceQuarantined, RegistrationRefused)


class World:
    """`uses_domain_password`: the setting `sip.domain_password`."""

    def __init__(
        self,
        *,
        domain_password: str = PASSWORD,
        uses_domain_password: bool = True,
        store: FakeDeviceStore | None = None,
        profiles: dict[str, dict[str, object]] | None = None,
        **sip: object,
    ) -> None:
        self.settings = SipSettings.model_validate({"server_id": PLATFORM, "domain_password": uses_domain_password, **sip})
        self.clock = ManualClock()
        self.signalling = FakeSignalling()
        self.store = store or FakeDeviceStore()
        self.bus = Bus()
        self.events: list[object] = []
        for kind in EVENTS:
            self.bus.subscribe(kind, self.events.append)
        self.devices = DeviceService(
            self.settings,
            signalling=self.signalling,
            store=self.store,
            secrets=FakeSecrets(),
            bus=self.bus,
            clock=self.clock,
            digest=DigestServer(b"k" * 32, DOMAIN, self.settings.nonce_ttl_s),
            strong=DigestServer(b"k" * 32, DOMAIN, self.settings.nonce_ttl_s, "SHA-256"),
            domain_password=domain_password,
            profiles=Profiles.of(Settings.model_validate({"sip": self.settings, "profiles": profiles or {}})),
            monotonic=self.clock.monotonic,
        )
        self.router = Router(self.signalling, self.devices, [routes(self.devices)])

    async def send(self, method: str, user: str = DEVICE, **parts: object) -> int:
        """One request through the router; the status of its answer."""
        await self.router.handle(request(method, user, **parts))  # type: ignore[arg-type]
        return self.signalling.status

    async def challenge(self, user: str = DEVICE, *, route: Route | None = None, **headers: str) -> str:
        """The nonce of a 401."""
        await self.send("REGISTER", user, route=route, **headers)
        assert self.signalling.status == 401
        return self.nonce()

    def nonce(self) -> str:
        return self.signalling.responses[-1].headers["WWW-Authenticate"].split('nonce="')[1].split('"')[0]

    async def register(
        self,
        user: str = DEVICE,
        *,
        password: str = PASSWORD,
        route: Route | None = None,
        nonce: str = "",
        contact: str = "<sip:34020000001110000001@10.0.0.5:5060>",
        call_id: str = "r1@10.0.0.5",
        uri_user: str = PLATFORM,
        **headers: str,
    ) -> int:
        """A REGISTER with credentials, after a challenge unless there is a nonce; the status of its answer."""
        route = route or udp()
        if not nonce:
            nonce = await self.challenge(user, route=route)
        uri = f"sip:{uri_user}@{DOMAIN}"
        response = digest_response(
            "MD5", username=user, realm=DOMAIN, password=password, method="REGISTER", uri=uri, nonce=nonce
        )
        credentials = (
            f'Digest username="{user}",realm="{DOMAIN}",nonce="{nonce}",uri="{uri}",response="{response}",algorithm=MD5'
        )
        return await self.send(
            "REGISTER",
            user,
            route=route,
            call_id=call_id,
            uri_user=uri_user,
            authorization=credentials,
            contact=contact,
            **headers,
        )

    async def keepalive(self, user: str = DEVICE, *, route: Route | None = None) -> int:
        await self.router.handle(message(Keepalive(sn=1, device_id=DeviceId(user)), user, route=route))
        return self.signalling.status

    def device(self, user: str = DEVICE) -> Device:
        return self.devices.get(user)

    def seen(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.devices.expire()
