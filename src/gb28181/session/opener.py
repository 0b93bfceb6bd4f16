"""Opening a live stream, stage by stage: reserve, INVITE, answer, ACK, first RTP, first PS, first key frame."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from gb28181.clock import Clock
from gb28181.config import MediaSettings, SipSettings
from gb28181.device.model import Route
from gb28181.errors import Gb28181Error, MediaRefused, NoPicture, PeerTimeout, Unreachable
from gb28181.ids import Ssrc
from gb28181.messages import EndCause
from gb28181.ports import Devices, Ingests, Receiver, Signalling
from gb28181.session.diagnosis import refused, stuck, unanswered
from gb28181.session.dialogs import Dialogs
from gb28181.session.invite import Invitation, Invited
from gb28181.session.model import Stage
from gb28181.session.ssrc import SsrcPool
from gb28181.session.stream import LiveStream
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

#: How often one opening follows a device to a new address.
_MAX_MOVES: Final = 5
#: Statuses that refuse the transport and not the call.
_OTHER_TRANSPORT: Final = frozenset({415, 488, 606})
#: What devices answer that allow one session a channel and have not heard the BYE of the last one (quirk Q94).
_BUSY: Final = frozenset({400, 480, 486, 500, 503})


class _Moved(Exception):
    """The device registered from another address while it was invited."""


class Opener:
    """Walks one stream after the other up to its first key frame; everything that it reserves, `release` gives back."""

    def __init__(
        self,
        media: MediaSettings,
        sip: SipSettings,
        *,
        signalling: Signalling,
        ingests: Ingests,
        devices: Devices,
        dialogs: Dialogs,
        clock: Clock,
    ) -> None:
        self._media = media
        self._ingests = ingests
        self._devices = devices
        self._dialogs = dialogs
        self._clock = clock
        self._invitation = Invitation(media, sip, signalling=signalling, ingests=ingests, devices=devices)
        self.ssrcs = SsrcPool(sip.server_id)

    async def establish(self, stream: LiveStream, wish: str | None) -> None:
        """Reserves a receiver and walks INVITE, answer, commit, ACK, over the transports that the device may know.

        Args:
            wish: Transport that the caller wants; it is offered alone.

        Raises:
            NoPicture: The device is offline, does not answer or refuses.
        """
        peer = self._peer(stream, self._route(stream))
        stream.reach(Stage.RESERVED, self._clock.utc())
        refusal = MediaRefused(say("live.no_transport"), status=488)
        offers = deque(self._invitation.transports(stream.key, wish))
        moves = 0
        settled = False
        while offers:
            transport = stream.transport = offers.popleft()
            receiver, ssrc = await self._reserve(stream)
            route = self._route(stream)  # it may have moved while the receiver was made
            peer = self._peer(stream, route)
            try:
                invited = await self._invite(stream, route, receiver, ssrc, peer)
            except _Moved:
                await self.release(stream, "closed")
                moves += 1
                if moves > _MAX_MOVES:
                    raise NoPicture(say("live.ever_new_addresses", peer=peer), stage=Stage.INVITED) from None
                offers.appendleft(transport)
                continue
            except MediaRefused as error:
                refusal = error
                await self.release(stream, "closed")
                if refusal.status in _BUSY and not settled and await self._dialogs.settle(stream.key):
                    settled = True
                    offers.appendleft(transport)
                    continue
                if wish or refusal.status not in _OTHER_TRANSPORT:
                    break
                continue
            stream.doubt = invited.doubt
            await self._dialogs.commit(stream, receiver, invited)
            stream.reach(Stage.ANSWERED, self._clock.utc())
            if not invited.fallback:
                self._ingests.confirm(receiver, ssrc=invited.ssrc, peer=invited.media)
                return
            # The answer says RTP/AVP to a TCP offer: this device cannot do TCP.
            refusal = MediaRefused(say("live.avp_to_tcp"), status=488)
            if (record := self._dialogs.take(stream)) is not None:
                await self._dialogs.end(record)
            await self.release(stream, "closed")
        raise NoPicture(
            refused(refusal.status, refusal.reason, peer=peer), stage=stream.stage, detail={"sip_status": refusal.status}
        )

    async def await_picture(self, stream: LiveStream) -> None:
        """Waits for RTP, then for a key frame; each step has its own patience.

        Raises:
            NoPicture: It came no further; says to which stage.
        """
        started = asyncio.get_running_loop().time()
        first = self._media.first_rtp_timeout_s
        # A camera that sends has three of the longest groups in use (quirk Q146) to show a key frame.
        patience = {Stage.ANSWERED: first, Stage.CONNECTED: first}
        while (stage := stream.stage) is not Stage.FIRST_KEY_FRAME:
            stream.moved.clear()
            try:
                async with asyncio.timeout(patience.get(stage, max(30.0, 3 * first))):
                    while stream.stage is stage:
                        await stream.moved.wait()
                        stream.moved.clear()
            except TimeoutError:
                raise self._stuck(stream, asyncio.get_running_loop().time() - started) from None
        self._invitation.proved(stream.key, stream.transport)

    def redirect(self, stream: LiveStream) -> bool:
        """The device is somewhere else now: an INVITE under way to where it was is cancelled and sent again; whoever waits goes
        on waiting. A stream that was answered stays: media says more than an address (a NAT may just have bound anew)."""
        if stream.inviting is None or stream.invited_at is None:
            return False
        try:
            route = self._devices.route(stream.key.device_id)
        except Unreachable:
            return False
        if (route.transport, route.remote) == (stream.invited_at.transport, stream.invited_at.remote):
            return False
        return stream.inviting.cancel()

    async def release(self, stream: LiveStream, cause: EndCause) -> None:
        """Gives back the receiver and the SSRC."""
        receiver, stream.receiver = stream.receiver, None
        if stream.ssrc:
            self.ssrcs.give_back(stream.ssrc, asyncio.get_running_loop().time())
            stream.ssrc = 0
        if receiver is None:
            return
        try:
            await self._ingests.close_receiver(receiver.ingest, receiver.stream_id, cause)
        except Gb28181Error as error:
            logger.warning("receiver not closed", extra={"channel": str(stream.key), "reason": str(error)})

    async def _reserve(self, stream: LiveStream) -> tuple[Receiver, Ssrc]:
        stream.begin_again()
        try:
            ssrc = self.ssrcs.take(asyncio.get_running_loop().time())
            stream.ssrc = ssrc.value
            stream.receiver = await self._ingests.open_receiver(
                stream.stream_id, stream.key, transport=stream.transport, ssrc=ssrc.value
            )
        except Gb28181Error as error:
            raise NoPicture(str(error), stage=Stage.RESERVED) from None
        return stream.receiver, ssrc

    async def _invite(self, stream: LiveStream, route: Route, receiver: Receiver, ssrc: Ssrc, peer: str) -> Invited:
        """Sends the INVITE; `redirect` ends it when nobody will answer there any more.

        Raises:
            _Moved: It was ended; the device is at another address.
            MediaRefused: See `Invitation.send`.
            NoPicture: No answer, or no way to the device.
        """
        started = asyncio.get_running_loop().time()
        stream.reach(Stage.INVITED, self._clock.utc())
        stream.invited_at = route
        sending = asyncio.create_task(
            self._invitation.send(
                stream.key,
                route,
                receiver=receiver,
                transport=stream.transport,
                ssrc=ssrc,
                on_provisional=lambda _status: stream.reach(Stage.TRYING, self._clock.utc()),
            )
        )
        stream.inviting = sending
        try:
            return await sending
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise _Moved from None
        except PeerTimeout:
            waited = asyncio.get_running_loop().time() - started
            said = unanswered(stream.stage, peer=peer, waited=waited)
            raise NoPicture(said, stage=stream.stage, detail={"waited_s": round(waited, 1)}) from None
        except Unreachable as failure:
            raise NoPicture(str(failure), stage=Stage.RESERVED, detail={"peer": str(route.remote)}) from None
        finally:
            stream.inviting = None

    def _stuck(self, stream: LiveStream, waited: float) -> NoPicture:
        assert stream.record is not None
        if stream.stage is Stage.ANSWERED:
            self._invitation.distrust(stream.key, stream.transport)
        note = stream.state.note if stream.state else ""
        port = stream.record.receiver_port
        said = stuck(
            stream.stage,
            peer=self._peer(stream, stream.record.dialog.route),
            media=say("live.port", port=port),
            transport=stream.transport,
            waited=waited,
            note=note,
            doubt=stream.doubt,
        )
        return NoPicture(said, stage=stream.stage, detail={"waited_s": round(waited, 1), "port": port, "note": note})

    def _route(self, stream: LiveStream) -> Route:
        try:
            return self._devices.route(stream.key.device_id)
        except Unreachable as error:
            raise NoPicture(str(error), stage=Stage.RESERVED, detail={"device": "offline"}) from None

    def _peer(self, stream: LiveStream, route: Route) -> str:
        return say("live.peer", device_id=stream.key.device_id, address=route.remote)
