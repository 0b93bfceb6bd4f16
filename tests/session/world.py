"""A device, an ingest and a store around a session service: fakes that implement the ports and note what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gb28181.bus import Bus
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.clock import Clock
from gb28181.config import MediaSettings, SipSettings
from gb28181.device.model import Address, Device, Route
from gb28181.errors import MediaRefused, NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.messages import Progress
from gb28181.ports import Answered, Receiver, SipRequest, SipResponse
from gb28181.session.model import Dialog, StreamRecord
from gb28181.session.service import SessionService

DEVICE = DeviceId("34020000001110000001")
CHANNEL = DeviceId("34020000001320000001")
KEY = ChannelKey(DEVICE, CHANNEL)
ROUTE = Route("udp", Address("192.0.2.20", 5060), Address("192.0.2.10", 5060))


def answer_sdp(proto: str = "RTP/AVP", ssrc: str = "0200000001", setup: str = "") -> bytes:
    lines = [
        "v=0", f"o={CHANNEL} 0 0 IN IP4 192.0.2.20", "s=Play", "c=IN IP4 192.0.2.20", "t=0 0",
        f"m=video 15060 {proto} 96", "a=sendonly", "a=rtpmap:96 PS/90000", *([f"a=setup:{setup}"] if setup else []),
        f"y={ssrc}", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


@dataclass
class World:
    """What the fakes do and what they saw, in order."""

    log: list[str] = field(default_factory=list)
    answers: list[object] = field(default_factory=list)
    reaches: Sequence[str] = ("first_rtp", "first_ps", "first_key_frame")
    lack: str = ""
    online: bool = True
    device: Device = field(default_factory=lambda: Device(DEVICE))
    bus: Bus = field(default_factory=Bus)
    records: dict[str, StreamRecord] = field(default_factory=dict)
    offers: list[bytes] = field(default_factory=list)
    receivers: dict[str, int] = field(default_factory=dict)
    responses: list[int] = field(default_factory=list)
    invited: asyncio.Event = field(default_factory=asyncio.Event)
    hold_invite: asyncio.Event | None = None
    bye_answered: bool = True
    at: Route = ROUTE
    invited_at: list[Route] = field(default_factory=list)

    # signalling
    def respond(self, request: SipRequest, status: int, reason: str = "", **_: Any) -> None:
        self.responses.append(status)

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        raise Unreachable("not in this test")

    async def invite(
        self, route: Route, *, to: str, sdp: bytes, subject: str, timeout_s: float,
        on_provisional: Callable[[int], None] | None = None,
    ) -> Answered:  # fmt: skip
        self.log.append(f"INVITE {'tcp' if b'TCP/RTP' in sdp else 'udp'}")
        self.offers.append(sdp)
        self.invited_at.append(route)
        self.invited.set()
        if on_provisional:
            on_provisional(100)
        if self.hold_invite:
            try:
                await self.hold_invite.wait()
            except asyncio.CancelledError:
                self.log.append("CANCEL")
                raise
        answer = self.answers.pop(0) if self.answers else answer_sdp()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, bytes)
        number = sum(line.startswith("INVITE") for line in self.log)
        dialog = Dialog(f"call-{number}", "<sip:us@d>", "a", f"<sip:{to}@d>", "b", f"sip:{to}@192.0.2.20", (), 1, route)
        return Answered(SipResponse(200, "OK", {}, answer), dialog)

    def ack(self, dialog: Dialog) -> None:
        self.log.append("ACK")

    async def bye(self, dialog: Dialog, *, route: Route | None = None) -> SipResponse:
        self.log.append(f"BYE {dialog.call_id}")
        if not self.bye_answered:
            raise PeerTimeout("no answer")
        return SipResponse(200, "OK", {}, b"")

    def local_for(self, remote: Address, transport: str) -> Address:
        return Address("192.0.2.10", 5060)

    def is_connected(self, route: Route) -> bool:
        return True

    def keep_open(self, route: Route) -> None:
        return None

    # ingests
    async def open_receiver(self, stream_id: str, key: ChannelKey, *, transport: str, ssrc: int) -> Receiver:
        self.log.append("open receiver")
        self.receivers[stream_id] = ssrc
        return Receiver(stream_id, "ingest-0", 7, 20000)

    def confirm(self, receiver: Receiver, *, ssrc: int, peer: Address) -> None:
        for what in self.reaches:
            self.bus.publish(Progress(receiver.stream_id, what, 1_700_000_000_000_000, self.lack))  # type: ignore[arg-type]

    def set_recording(self, ingest: str, stream_id: str, recording: bool) -> None:
        self.log.append(f"recording {recording}")

    async def close_receiver(self, ingest: str, stream_id: str, cause: str) -> None:
        self.log.append(f"close receiver {cause}")
        self.receivers.pop(stream_id, None)

    async def delete_segments(self, volume: str, paths: Sequence[str]) -> frozenset[str]:
        return frozenset()

    # devices and channels
    def get(self, device_id: DeviceId) -> Device:
        return self.device

    def is_online(self, which: object) -> bool:
        return self.online

    def route(self, device_id: DeviceId) -> Route:
        if not self.online:
            raise Unreachable(f"device {device_id} is offline")
        return self.at

    def remember_media_transport(self, device_id: DeviceId, transport: str) -> None:
        self.device = self.device.with_changes(media_transport=transport)

    def channel(self, key: ChannelKey) -> Channel:
        if key != KEY:
            raise NotFound(f"no channel {key}")
        return Channel(KEY)

    def all_channels(self) -> list[Channel]:
        return [Channel(KEY)]

    async def change(self, key: ChannelKey, **_: Any) -> Channel:
        return Channel(KEY)

    # store
    async def load_streams(self) -> list[StreamRecord]:
        return list(self.records.values())

    async def save_stream(self, record: StreamRecord) -> None:
        self.log.append("save" + (" closing" if record.closing else ""))
        self.records[record.stream_id] = record

    async def delete_stream(self, stream_id: str) -> None:
        self.log.append("forget")
        self.records.pop(stream_id, None)


def refusal(status: int) -> MediaRefused:
    return MediaRefused(f"INVITE was answered {status} Refused", status=status)


@asynccontextmanager
async def service(world: World, **media: Any) -> AsyncIterator[SessionService]:
    settings = MediaSettings(**{"first_rtp_timeout_s": 0.1, "idle_s": 0.0, **media})
    made = SessionService(
        settings, SipSettings.model_validate({}), signalling=world, ingests=world, devices=world, channels=world,
        store=world, bus=world.bus, clock=Clock(),
    )  # fmt: skip
    await made.load()
    async with made:
        yield made


async def until(claim: Callable[[], bool], seconds: float = 5.0) -> None:
    """Polls a claim until it holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.005)
