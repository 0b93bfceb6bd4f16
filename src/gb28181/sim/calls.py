"""INVITE, ACK, CANCEL and BYE of one device, and the streams that they start and end (§9.2, Annex D, G, K)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from gb28181.errors import MediaRefused, PeerTimeout, Unreachable, WireError
from gb28181.ids import Ssrc
from gb28181.sim import manscdp, sip
from gb28181.sim.connections import accepted, connected
from gb28181.sim.dialects.dialect import Trait
from gb28181.sim.playback import PlaybackSource, Steering, parse_steering
from gb28181.sim.rtp import Impairment
from gb28181.sim.sdp import Offer, answer, parse_offer
from gb28181.sim.sender import Metronome, Stream, TcpWire, UdpWire, Wire
from gb28181.sim.settings import Settings
from gb28181.sim.sip import Message
from gb28181.sim.source import FileSource, FilmSource, Source
from gb28181.sim.speech import Speech
from gb28181.sim.statistics import Recorder, Statistics, StreamRecord
from gb28181.sim.studio import Film
from gb28181.sim.transactions import Address
from gb28181.sim.useragent import UserAgent

logger = logging.getLogger(__name__)

#: How long the platform has for its BYE after MediaStatus.
_HANG_UP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One video channel.

    Args:
        channel_id: 20-digit code.
        name: As the catalogue tells it.
        label: As it stands in the picture; ASCII.
    """

    channel_id: str
    name: str
    label: str


@dataclass(eq=False, slots=True)
class _Call:
    invite: Message
    source: Address
    offer: Offer
    channel: Channel
    sender: str  # `id:serial` of the media sender in Subject; the same one again restarts the stream
    tag: str
    record: StreamRecord
    wire: Wire | None = None
    waiting_socket: socket.socket | None = None  # bound for TCP media, not yet connected
    stream: Stream | None = None
    is_answered: bool = False
    is_over: bool = False
    recording: PlaybackSource | None = None
    theirs: int = 0  # CSeq of the last request inside the call
    ours: int = 0  # the same of our own


class Calls:
    """All calls of one device.

    Args:
        speech: What the device's dialects make of answers and of RTP.
        spawn: Starts a task that ends with the device.
        is_recorded: Whether a channel has recordings in a range.
        film_of: The film of a channel, ready to be sent.
    """

    def __init__(
        self,
        settings: Settings,
        device_id: str,
        channels: dict[str, Channel],
        *,
        speech: Speech,
        metronome: Metronome,
        statistics: Statistics,
        recorder: Recorder,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        film_of: Callable[[Channel], Film | None],
        is_recorded: Callable[[str, int, int], bool],
    ) -> None:
        self._settings = settings
        self._device_id = device_id
        self._channels = channels
        self._speech = speech
        self._metronome = metronome
        self._statistics = statistics
        self._recorder = recorder
        self._spawn = spawn
        self._film_of = film_of
        self._is_recorded = is_recorded
        self._is_stuck = False  # row Q149b: a BYE was not understood
        self._calls: dict[str, _Call] = {}
        self._is_muted = False

    def active(self) -> list[StreamRecord]:
        """The streams that run."""
        return [call.record for call in self._calls.values()]

    def mute(self, *, is_muted: bool) -> None:
        """Holds all media back, also that of calls to come; nobody is told."""
        self._is_muted = is_muted
        for call in self._calls.values():
            if call.stream is not None:
                call.stream.is_muted = is_muted

    def release(self, reason: str) -> None:
        """Ends all media without a word to the server (Annex K 2)."""
        for call in list(self._calls.values()):
            self._finish(call, reason)

    def invited(self, agent: UserAgent, request: Message, source: Address) -> None:
        """INVITE: 100 at once, then 200, or the reason why not."""
        self._statistics.invites += 1
        tag = sip.new_tag()
        agent.respond(request, sip.response_to(request, 100, source=source), source)
        try:
            call = self._accept(request, source, tag)
        except WireError as refusal:
            logger.info(
                "invite refused", extra={"device_id": self._device_id, "status": refusal.status, "reason": refusal.reason}
            )
            self._recorder.write("invite_refused", self._device_id, call_id=request.call_id, status=refusal.status)
            agent.respond(request, sip.response_to(request, refusal.status, to_tag=tag, source=source), source)
            return
        self._calls[request.call_id] = call
        self._recorder.write("invite", self._device_id, **call.record.figures())
        self._spawn(self._answer(agent, call))

    def _accept(self, request: Message, source: Address, tag: str) -> _Call:
        if sip.tag_of(request.get("to")) or request.call_id in self._calls:
            raise MediaRefused("a running call is not changed", status=488)
        sender = request.get("subject").split(",")[0].strip()
        channel = self._channels.get(sip.uri_parts(request.uri)[0]) or self._channels.get(sender.split(":")[0])
        if channel is None:
            raise WireError(f"no such channel: {request.uri[:60]}", status=404, clause="§9.2")
        offer = parse_offer(request.body)
        if offer.transport != "udp" and not self._speech.edition.has_tcp_media:
            raise MediaRefused("the device's edition has no media over TCP", status=488)
        wanted = "udp" if offer.transport == "udp" else "tcp"
        if self._settings.media not in ("auto", wanted):
            raise MediaRefused(f"the device sends media over {self._settings.media} only", status=488)
        if offer.operation not in ("play", "playback", "download"):
            raise MediaRefused(f"s={offer.operation} is not available", status=488)
        if offer.operation != "play" and not self._is_recorded(channel.channel_id, offer.start, offer.end):
            raise WireError("nothing is recorded in this range", status=404, clause="§9.8")
        for other in list(self._calls.values()):
            if sender.partition(":")[2] and other.sender == sender:
                self._finish(other, "replaced")  # Annex K 3
        if sum(other.channel is channel for other in self._calls.values()) >= self._settings.streams_per_channel:
            raise MediaRefused("the channel has no capacity for another stream", status=486)
        ssrc = offer.ssrc.value if offer.ssrc is not None else 0
        if self._speech.does(Trait.OTHER_SSRC):
            ssrc = (ssrc + 5_000) % 2_000_000_000
            offer = replace(offer, ssrc_text=str(Ssrc(ssrc)))
        elif self._speech.does(Trait.OTHER_RTP_SSRC):
            ssrc = ssrc ^ 0x5A5A5A5A
        record = StreamRecord(
            channel.channel_id, request.call_id, offer.transport, f"{offer.address}:{offer.port}", ssrc, time.time()
        )
        self._statistics.streams.append(record)
        return _Call(request, source, offer, channel, sender, tag, record)

    async def _answer(self, agent: UserAgent, call: _Call) -> None:
        if self._speech.does(Trait.RINGS):
            agent.respond(call.invite, sip.response_to(call.invite, 180, to_tag=call.tag, source=call.source), call.source)
        if self._settings.answer_delay_s:
            await asyncio.sleep(self._settings.answer_delay_s)
        if call.is_over:
            return
        address = agent.local[0]
        try:
            port = self._open_media(call, address)
        except OSError as error:
            logger.warning("no media port", extra={"device_id": self._device_id, "reason": str(error)})
            self._finish(call, "no_port")
            agent.respond(call.invite, sip.response_to(call.invite, 486, to_tag=call.tag, source=call.source), call.source)
            return
        body = self._speech.sdp(answer(call.offer, channel_id=call.channel.channel_id, address=address, port=port))
        headers = [
            ("Contact", f"<sip:{call.channel.channel_id}@{agent.local[0]}:{agent.local[1]}>"),
            ("Content-Type", "application/sdp"),
        ]
        response = sip.response_to(call.invite, 200, to_tag=call.tag, headers=headers, body=body, source=call.source)
        call.is_answered = True
        agent.respond(call.invite, response, call.source)

    def _open_media(self, call: _Call, address: str) -> int:
        """Takes the sockets that the answer names; returns their port."""
        if call.offer.transport == "udp":
            wire = UdpWire(address, (call.offer.address, call.offer.port))
            call.wire = wire
            return wire.port
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        call.waiting_socket = bound
        bound.setblocking(False)
        bound.bind((address, 0))
        if call.offer.transport == "tcp-passive":
            bound.listen(1)
        return int(bound.getsockname()[1])

    def acknowledged(self, agent: UserAgent, call_id: str) -> None:
        """ACK: the stream starts."""
        call = self._calls.get(call_id)
        if call is None or not call.is_answered or call.stream is not None:
            return
        if self._is_stuck:
            self._spawn(self._hang_up(agent, call, "stuck"))
            return
        if call.wire is not None:
            self._start(agent, call, call.wire)
        else:
            self._spawn(self._connect(agent, call))

    async def _connect(self, agent: UserAgent, call: _Call) -> None:
        bound, call.waiting_socket = call.waiting_socket, None
        if bound is None:
            return
        passive = call.offer.transport == "tcp-passive"
        connection = await (accepted(bound) if passive else connected(bound, (call.offer.address, call.offer.port)))
        if connection is None:
            await self._hang_up(agent, call, "connect_failed")
        elif call.is_over:
            connection.close()
        else:
            self._start(agent, call, TcpWire(connection))

    def _start(self, agent: UserAgent, call: _Call, wire: Wire) -> None:
        settings = self._settings
        source: Source
        film = self._film_of(call.channel)
        if settings.ps_file is not None:
            source = FileSource(settings.ps_file, once=settings.once)
        elif film is not None and call.offer.operation != "play":
            source = call.recording = self._playback(call, film)
        elif film is not None:
            source = FilmSource(film, call.channel.label, audio=settings.audio)
        else:
            wire.close()
            return
        # The nth stream of a channel is impaired in the same way whenever the seed is the same.
        turn = sum(record.channel_id == call.channel.channel_id for record in self._statistics.streams)
        seed = f"{settings.seed}:{call.channel.channel_id}:{turn}"
        is_udp = call.offer.transport == "udp"
        call.wire = None
        call.stream = Stream(
            wire,
            source,
            call.record.ssrc,
            impairment=Impairment(settings.loss, settings.reorder, seed) if is_udp else Impairment(),
            seed=seed,
            payload_type=self._speech.payload_type,
            strict_rtcp_s=settings.rtcp_strict_s,
            ended=lambda reason: self._spawn(self._ended_by_itself(agent, call, reason)),
        )
        call.stream.is_muted = self._is_muted
        call.record.counters = call.stream.counters
        self._metronome.add(call.stream)

    def never_acknowledged(self, agent: UserAgent, call_id: str) -> None:
        """No ACK in 64 x T1: BYE (RFC 3261 §13.3.1.4)."""
        call = self._calls.get(call_id)
        if call is not None and call.stream is None:
            self._spawn(self._hang_up(agent, call, "no_ack"))

    def cancelled(self, agent: UserAgent, request: Message, source: Address) -> None:
        """CANCEL: 487 to an INVITE that is not yet answered."""
        call = self._calls.get(request.call_id)
        status = 200 if call is not None and call.invite.cseq == request.cseq else 481
        agent.respond(request, sip.response_to(request, status, to_tag=sip.new_tag(), source=source), source)
        if call is not None and status == 200 and not call.is_answered:
            self._finish(call, "cancelled")
            agent.respond(call.invite, sip.response_to(call.invite, 487, to_tag=call.tag, source=call.source), call.source)

    def ended(self, agent: UserAgent, request: Message, source: Address) -> None:
        """BYE: the stream stops."""
        call = self._calls.get(request.call_id)
        if call is not None and self._speech.does(Trait.STRICT_CSEQ) and request.cseq <= call.theirs:
            self._is_stuck = True
            return
        agent.respond(request, sip.response_to(request, 481 if call is None else 200, source=source), source)
        if call is not None:
            self._statistics.byes_received += 1
            self._finish(call, "bye")

    # -- recordings of the device ------------------------------------------------------------------------------------

    def _playback(self, call: _Call, film: Film) -> PlaybackSource:
        does = self._speech.does
        return PlaybackSource(
            film,
            call.channel.label,
            call.offer.start,
            call.offer.end,
            scale=call.offer.speed,
            is_keys_only=does(Trait.KEYS_ONLY),
            is_restamped=does(Trait.RESTAMPED),
            is_endless=does(Trait.ENDLESS_PLAYBACK),
        )

    def informed(self, agent: UserAgent, request: Message, source: Address) -> None:
        """INFO with MANSRTSP: speed, place, pause (§9.8.2.2, Annex B)."""
        call = self._calls.get(request.call_id)
        status = 200
        if call is None or call.stream is None or call.recording is None:
            status = 481 if call is None else 488
        else:
            call.theirs = request.cseq
            try:
                self._steer(call.stream, call.recording, parse_steering(request.body))
            except WireError as refusal:
                status = refusal.status
        agent.respond(request, sip.response_to(request, status, source=source), source)

    def _steer(self, stream: Stream, recording: PlaybackSource, steering: Steering) -> None:
        if steering.method == "PLAY":
            recording.steer(steering, stream.elapsed_s)
        stream.is_muted = self._is_muted or steering.method != "PLAY"

    async def _ended_by_itself(self, agent: UserAgent, call: _Call, reason: str) -> None:
        """A recording that was sent whole is told by MediaStatus, and the platform hangs up; anything else by BYE."""
        does = self._speech.does
        if reason != "file_end" or call.recording is None or does(Trait.BYE_AT_END):
            await self._hang_up(agent, call, reason)
            return
        self._recorder.write("recording_end", self._device_id, call_id=call.record.call_id)
        if does(Trait.NO_MEDIA_STATUS):
            return
        for _ in range(2 if does(Trait.MEDIA_STATUS_TWICE) else 1):
            with contextlib.suppress(PeerTimeout, Unreachable):
                await agent.request(self._media_status(agent, call))
        await asyncio.sleep(_HANG_UP_S)
        await self._hang_up(agent, call, reason)

    def _media_status(self, agent: UserAgent, call: _Call) -> Message:
        inner = manscdp.elements(NotifyType=121)
        body = self._speech.body(manscdp.document("Notify", "MediaStatus", 8, call.channel.channel_id, inner))
        message = self._within(agent, call, "MESSAGE")
        message.body = body
        renamed: dict[str, str] = {}
        if self._speech.does(Trait.MEDIA_STATUS_OUTSIDE):
            domain = self._settings.sip_domain
            renamed |= {
                "Call-ID": f"{sip.new_tag()}@{self._device_id}",
                "From": f"<sip:{call.channel.channel_id}@{domain}>;tag={sip.new_tag()}",
                "To": f"<sip:{self._settings.server_id}@{domain}>",
            }
        message.headers = [(name, renamed.get(name, value)) for name, value in message.headers]
        message.headers.append(("Content-Type", manscdp.CONTENT_TYPE))
        return message

    async def _hang_up(self, agent: UserAgent, call: _Call, reason: str) -> None:
        if call.is_over:
            return
        self._finish(call, reason)
        self._statistics.byes_sent += 1
        self._recorder.write("bye_sent", self._device_id, call_id=call.record.call_id, reason=reason)
        with contextlib.suppress(PeerTimeout, Unreachable):
            await agent.request(self._within(agent, call, "BYE"))

    def _within(self, agent: UserAgent, call: _Call, method: str) -> Message:
        """A request inside the call (RFC 3261 §12.2.1.1)."""
        call.ours += 1
        invite = call.invite
        contact = sip.uri_of(invite.get("contact") or invite.get("from"))
        headers = [
            agent.via(),
            ("From", f"{invite.get('to')};tag={call.tag}"),
            ("To", invite.get("from")),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{call.ours} {method}"),
            *[("Route", value) for value in invite.all("record-route")],
            ("Max-Forwards", "70"),
        ]
        return Message(method, contact, headers=headers)

    def _finish(self, call: _Call, reason: str) -> None:
        self._calls.pop(call.invite.call_id, None)
        call.is_over = True
        if call.stream is not None:
            self._metronome.remove(call.stream)
        if call.wire is not None:
            call.wire.close()
        if call.waiting_socket is not None:
            call.waiting_socket.close()
        call.record.ended = reason
        self._recorder.write("stream_end", self._device_id, **call.record.figures())
