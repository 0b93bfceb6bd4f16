"""The live INVITE: which transport to offer, the offer, and what the answer means (Annex D, G; 2016 Annex L, F)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gb28181.advertise import advertised, parse_rules
from gb28181.catalog.model import ChannelKey
from gb28181.config import MediaSettings, SipSettings
from gb28181.device.model import Address, Route
from gb28181.errors import WireError
from gb28181.ids import DeviceId, Ssrc
from gb28181.messages import MediaTransport
from gb28181.ports import Devices, Ingests, Receiver, Signalling
from gb28181.session.diagnosis import doubt
from gb28181.session.model import Dialog
from gb28181.sip import sdp
from gb28181.texts.text import say


@dataclass(frozen=True, slots=True)
class Invited:
    """A 2xx and what its SDP says.

    Args:
        ssrc: y= of the answer, or the offered one where it is missing (quirk Q80).
        media: Where media will come from, as the answer says.
        fallback: The answer is RTP/AVP although TCP was offered: the dialog must be ended and UDP offered.
        doubt: Why media may never come, "" where nothing in the answer says so.
    """

    dialog: Dialog
    transport: MediaTransport
    ssrc: int
    media: Address
    fallback: bool
    doubt: str = ""


class Invitation:
    """Sends live INVITEs and remembers which media transport each device can do."""

    def __init__(
        self, media: MediaSettings, sip: SipSettings, *, signalling: Signalling, ingests: Ingests, devices: Devices
    ) -> None:
        self._media = media
        self._told = parse_rules(media.advertise)
        self._sip = sip
        self._signalling = signalling
        self._ingests = ingests
        self._devices = devices
        self._distrusted: dict[DeviceId, MediaTransport] = {}

    def transports(self, key: ChannelKey, wish: str | None) -> list[MediaTransport]:
        """What to offer, best first. A caller's wish is offered alone."""
        if wish:
            return ["tcp" if wish == "tcp" else "udp"]
        device = self._devices.get(key.device_id)
        if device.profile.media_transport != "auto":
            first: MediaTransport = device.profile.media_transport
        elif self._media.transport != "auto":
            first = self._media.transport
        else:
            # TCP came with the 2016 edition (2.0); older peers may answer it with anything.
            first = device.media_transport or ("tcp" if device.gb_version >= "2.0" else "udp")
            if self._distrusted.get(key.device_id) == first:
                first = "udp" if first == "tcp" else "tcp"
        return [first, "udp" if first == "tcp" else "tcp"]

    def distrust(self, key: ChannelKey, transport: MediaTransport) -> None:
        """The device accepted this transport and no media came: the other one goes first next time."""
        if self._distrusted.get(key.device_id) == transport:
            return
        self._distrusted[key.device_id] = transport

    def proved(self, key: ChannelKey, transport: MediaTransport) -> None:
        self._distrusted.pop(key.device_id, None)
        self._devices.remember_media_transport(key.device_id, transport)

    async def send(
        self,
        key: ChannelKey,
        route: Route,
        *,
        receiver: Receiver,
        transport: MediaTransport,
        ssrc: Ssrc,
        on_provisional: Callable[[int], None],
    ) -> Invited:
        """Offers the receiver's port to the channel.

        Raises:
            MediaRefused: A final answer other than 2xx, or a 2xx whose SDP cannot work.
            PeerTimeout, Unreachable: See `Signalling.invite`.
        """
        rule = advertised(self._told, route.remote.host)
        host = rule.host if rule else self._signalling.local_for(route.remote, route.transport).host
        offer = sdp.build_offer(
            owner=self._sip.server_id,
            host=host,
            port=receiver.port,
            transport=transport,
            ssrc=ssrc,
            session_id=ssrc.value,  # some NVRs answer a repeated session id with the old session (quirk Q100)
        )
        answered = await self._signalling.invite(
            route,
            to=key.channel_id,
            sdp=offer,
            subject=f"{key.channel_id}:{ssrc},{self._sip.server_id}:0",
            timeout_s=self._media.invite_timeout_s,
            on_provisional=on_provisional,
        )
        return self._read(answered.response.body, answered.dialog, route, transport, ssrc)

    def _read(self, body: bytes, dialog: Dialog, route: Route, transport: MediaTransport, ssrc: Ssrc) -> Invited:
        try:
            answer = sdp.parse(body)
        except WireError:
            # A 200 without usable SDP: the port names the stream, media may well come (lenient in).
            unreadable = say("live.doubt.unreadable")
            return Invited(dialog, transport, ssrc.value, route.remote, fallback=False, doubt=unreadable)
        media = Address(answer.host or route.remote.host, answer.port)
        value = answer.ssrc.value if answer.ssrc else ssrc.value
        fallback = transport == "tcp" and answer.transport == "udp"
        return Invited(dialog, transport, value, media, fallback=fallback, doubt=doubt(answer, transport))
