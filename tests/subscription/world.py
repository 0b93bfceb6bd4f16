"""A subscription service among fakes, and devices that come and go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gb28181.bus import Bus
from gb28181.config import SubscriptionSettings
from gb28181.device.model import (
    Device,
    DeviceOffline,
    DeviceOnline,
    DeviceRegistered,
    Profile,
    Registration,
    Route,
)
from gb28181.errors import NotFound, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build
from gb28181.ports import SipRequest, SipResponse
from gb28181.session.model import Dialog
from gb28181.subscription.model import SubscriptionChanged, SubscriptionKey, SubscriptionView, Topic
from gb28181.subscription.service import SubscriptionService
from tests.fakes import DEVICE, FakeSignalling, FakeSubscriptionStore, ManualClock, SentInDialog, request, settle, udp

ALARM = SubscriptionKey(DEVICE, Topic.ALARM)


class Devices:
    """One device that is online, unless a test says otherwise."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.known = {DEVICE: Device(DEVICE, registration=self.registration("r1"))}
        self.online = {DEVICE}
        self.profiles: dict[DeviceId, Profile] = {}
        self._sn = 0

    def registration(self, call_id: str) -> Registration:
        now = self._clock.utc()
        return Registration(udp(), "", call_id, now, now + timedelta(days=1))

    def get(self, device_id: str) -> Device:
        if device_id not in self.known:
            raise NotFound(device_id)
        return self.known[DeviceId(device_id)]

    def profile(self, device_id: DeviceId) -> Profile:
        return self.profiles.get(device_id, Profile())

    def route(self, device_id: DeviceId) -> Route:
        self.get(device_id)
        if device_id not in self.online:
            raise Unreachable(f"{device_id} is offline")
        return udp()

    def next_sn(self) -> int:
        self._sn += 1
        return self._sn


class World:
    def __init__(
        self, *, store: FakeSubscriptionStore | None = None, clock: ManualClock | None = None, **settings: object
    ) -> None:
        defaults: dict[str, object] = {"catalog": False, "alarm": True}
        self.settings = SubscriptionSettings.model_validate(defaults | settings)
        self.clock = clock or ManualClock()
        self.may_ask = True
        self.bus = Bus()
        self.devices = Devices(self.clock)
        self.signalling = FakeSignalling()
        self.store = store or FakeSubscriptionStore()
        self.changes: list[SubscriptionChanged] = []
        self.bus.subscribe(SubscriptionChanged, self.changes.append)
        self.service = SubscriptionService(
            self.settings,
            signalling=self.signalling,
            devices=self.devices,
            store=self.store,
            bus=self.bus,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            chance=lambda: 0.5,
            may_ask=lambda: self.may_ask,
        )

    async def __aenter__(self) -> World:
        await self.service.load()
        await self.service.__aenter__()
        await settle()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.service.__aexit__(*error)

    @property
    def sent(self) -> list[SentInDialog]:
        return self.signalling.sent_in_dialogs

    async def online(self, device_id: DeviceId = DEVICE) -> None:
        self.devices.online.add(device_id)
        self.bus.publish(DeviceOnline(device_id))
        await self.wait(5)

    async def registers(self, call_id: str, *, is_new: bool) -> None:
        device = self.devices.get(DEVICE)
        self.devices.known[DEVICE] = replace(device, registration=self.devices.registration(call_id))
        self.bus.publish(DeviceRegistered(DEVICE, is_new=is_new))
        await self.wait(5)

    async def offline(self, cause: str = "keepalive_timeout") -> None:
        self.devices.online.discard(DEVICE)
        if cause == "deleted":
            del self.devices.known[DEVICE]
        self.bus.publish(DeviceOffline(DEVICE, cause))  # type: ignore[arg-type]
        await settle()

    async def wait(self, seconds: float) -> None:
        """Time goes by in steps of at most a second."""
        while seconds > 0:
            step = min(seconds, 1.0 if seconds < 60 else seconds / 60)
            self.clock.advance(step)
            self.service.expire()
            await settle()
            seconds -= step

    def answer(self, status: int, **headers: str) -> None:
        """What every SUBSCRIBE is answered from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.signalling.in_dialog_answer = lambda _sent: SipResponse(status, "", named, b"")

    def view(self, topic: Topic = Topic.ALARM) -> SubscriptionView:
        return next(view for view in self.service.subscriptions(DEVICE) if view.subscription.key.topic is topic)

    @property
    def dialog(self) -> Dialog:
        dialog = self.view().subscription.dialog
        assert dialog is not None
        return dialog

    def notify(self, command: object | None = None, *, call_id: str = "", to_tag: str = "us1", state: str = "") -> SipRequest:
        headers = {"subscription_state": state} if state else {}
        made = request("NOTIFY", body=build(command) if command else b"", call_id=call_id or self.dialog.call_id, **headers)
        return replace(made, to_tag=to_tag)
