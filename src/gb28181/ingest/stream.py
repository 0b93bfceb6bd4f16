"""One stream: from the packets on its port to pieces of program stream, and all that is known about it.

It opens no socket and asks no clock. Packets come by the batch (`take`, `take_carefully`, `skim`), pieces go to the recorder,
to those who watch, and, while nothing is recorded, to a bounded memory from which a watcher can be joined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from gb28181.ingest.batch import Expected, Packets, traits_of
from gb28181.ingest.lock import NOWHERE, Source, SourceLock, Verdict, address_of
from gb28181.ingest.recorder import Recorder
from gb28181.ingest_start import Receiving
from gb28181.media import nal, rtcp, rtp
from gb28181.media.keyframe import KeyFrameCutter, Piece
from gb28181.media.ps import PsParser
from gb28181.media.reorder import Reorder, Run
from gb28181.messages import LOSS, RECORDED, EndCause, MediaTransport, OpenReceiver, Progress, StreamState
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

What = Literal["connected", "first_rtp", "first_ps", "first_key_frame", "silent", "resumed", "disconnected", "recording"]

#: Most that is kept in memory since the last key frame of a stream that is not recorded.
_GOP_BYTES: Final = 8 << 20

_NOTES: Final = {
    "ts": say("stream.ts"),
    "es-h264": say("stream.es_h264"),
    "es-h265": say("stream.es_h265"),
}
_SIP_NOTE: Final = say("stream.sip")
_IDLE_KBPS_S: Final = 1.0
#: Parameter sets stand at the start of a key frame, behind pack header, system header and stream map.
_SEQUENCE_WITHIN: Final = 1024
#: Of the first key frame more is searched: private data may come first.
_SEARCHED: Final = 64 << 10


@dataclass(slots=True)
class Moment:
    """The time of the present tick, shared by all streams: monotonic seconds and UTC microseconds."""

    now: float = 0.0
    utc_us: int = 0


class Watcher(Protocol):
    """One reader of a stream."""

    def send(self, piece: Piece, flags: int) -> None: ...

    def ended(self, cause: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Join:
    """The bytes since the last key frame.

    Args:
        file: Where the first of them lie on disk, "" where all are in memory; `begin`, `end`: the range to read there.
        pieces: The rest.
    """

    file: str = ""
    begin: int = 0
    end: int = 0
    pieces: tuple[Piece, ...] = ()
    recorded: bool = False


class Stream:
    """See the module.

    Args:
        request: What control asked for.
        say: Where progress goes.
    """

    # Found without a dictionary: each tick touches every stream.
    __slots__ = (
        "_bytes", "_connected_at", "_cutter", "_first_key_at", "_first_ps_at", "_first_rtp_at", "_foreign", "_gop",
        "_gop_bytes", "_gop_s", "_kbps", "_lack", "_last_key_at", "_last_media_at", "_lock", "_moment", "_packets", "_probe",
        "_rated_at", "_rated_bytes", "_reorder", "_say", "_sequence", "_settings", "_size", "_straight", "_timestamp",
        "channel_id", "deadline_s", "device_id", "expected", "format", "is_silent", "last_heard", "note", "opened", "port",
        "reception", "recorder", "source_name", "stream_id", "transport", "watchers",
    )  # fmt: skip

    def __init__(
        self, request: OpenReceiver, port: int, *, settings: Receiving, moment: Moment, say: Callable[[Progress], None]
    ) -> None:
        self.stream_id = request.stream_id
        self.device_id = request.device_id
        self.channel_id = request.channel_id
        self.transport: MediaTransport = request.transport
        self.port = port
        self.opened = moment.now
        self.deadline_s = request.deadline_s
        self.expected = Expected()
        self.reception = rtcp.Reception()
        self.recorder: Recorder | None = None
        self.watchers: list[Watcher] = []
        self.source_name = ""
        self.note = ""
        self.format = ""
        self.is_silent = False
        self.last_heard = 0.0
        self._settings = settings
        self._moment = moment
        self._say = say
        self._lock = SourceLock()
        self._reorder = Reorder(window_s=settings.reorder_ms / 1000, window_packets=settings.reorder_packets)
        self._cutter = KeyFrameCutter()
        self._probe: rtp.FormatProbe | None = rtp.FormatProbe()
        self._gop: list[Piece] = []
        self._gop_bytes = 0
        self._connected_at = self._first_rtp_at = self._first_ps_at = self._first_key_at = 0
        self._last_media_at = self._last_key_at = 0
        self._gop_s = 0.0
        self._sequence = b""
        self._size = (0, 0)
        self._lack = ""  # why nothing of it can be shown
        self._packets = self._bytes = self._foreign = 0
        # What went the straight way since `_settle`, and the last RTP timestamp of it.
        self._straight = 0
        self._timestamp = 0
        self._rated_at = moment.now
        self._rated_bytes = 0
        self._kbps = 0.0

    # --- what the batch calls ----------------------------------------------------------------------------------------

    def let_pass(self, data: bytes, count: int, timestamp: int) -> bool:
        recorder, cutter = self.recorder, self._cutter
        if recorder is None or self.watchers or not cutter.credit:
            return False
        now, at = self._moment.now, self._moment.utc_us
        if not recorder.extend(data, now, at):
            return False
        size = len(data)
        cutter.credit -= 1
        cutter.offset += size
        self._bytes += size
        # As `_went_straight`, without the call: every stream comes by here in nearly every tick.
        expected = self.expected
        expected.next_seq = expected.next_seq + count & 0xFFFF
        self._straight += count
        self._timestamp = timestamp
        self.last_heard = now
        self._last_media_at = at
        return True

    def take(self, data: bytes, packs: Sequence[int], count: int, timestamp: int) -> None:
        self._went_straight(count, timestamp)
        self._feed(data, packs)

    def _went_straight(self, count: int, timestamp: int) -> None:
        expected, moment = self.expected, self._moment
        expected.next_seq = expected.next_seq + count & 0xFFFF
        self._straight += count
        self._timestamp = timestamp
        self.last_heard = moment.now
        self._last_media_at = moment.utc_us

    def _settle(self) -> None:
        """Tells what went the straight way to those who count; before anything else is done with the order of packets."""
        count, self._straight = self._straight, 0
        if not count:
            return
        next_seq = self.expected.next_seq
        self._packets += count
        self._lock.last_heard = self.last_heard
        self._reorder.advance(next_seq)
        self.reception.received(self._lock.ssrc, next_seq - 1 & 0xFFFF, count, self._timestamp, self.last_heard)

    def take_carefully(self, packets: Packets, first: int, end: int) -> None:
        self._settle()
        for row in range(first, end):
            source: Source = NOWHERE
            if packets.sources is not None:
                source = tuple(packets.sources[row].tolist())
            self._packet(packets.whole(row), source)
        self.pull()

    def skim(self, payloads: Sequence[memoryview], seqs: Sequence[int]) -> None:
        self._settle()
        if not payloads:
            return
        runs, kept = self._reorder.skim(seqs)
        self._feed_runs(runs)
        if kept:
            self._heard(len(payloads), seqs[kept[-1]], self.reception.timestamp)
            self._feed(b"".join([payloads[place] for place in kept]), None)
        self._expect()

    def failed(self) -> None:
        """A fault of ours met these packets: they are given up, the stream begins anew with the next ones."""
        self.note = say("stream.internal")
        self._straight = 0
        logger.exception("stream failed", extra={"stream_id": self.stream_id})
        if self.recorder is not None:
            self.recorder.close("closed", self._moment.now)
        offset = self._cutter.offset
        self._reorder = Reorder(window_s=self._settings.reorder_ms / 1000, window_packets=self._settings.reorder_packets)
        self._cutter = KeyFrameCutter(offset)
        self._gop.clear()
        self._gop_bytes = 0
        self._expect()

    # --- time --------------------------------------------------------------------------------------------------------

    def pull(self) -> None:
        """Lets packets go on whose predecessors came or are given up."""
        self._settle()
        self._feed_runs(self._reorder.pull(self._moment.now))
        self._expect()

    @property
    def is_waiting(self) -> bool:
        """Whether packets are held back, so that `pull` must be called again."""
        return self._reorder.next_deadline() is not None

    @property
    def is_quick(self) -> bool:
        """Whether somebody waits for each tick: it is watched, or its first picture is due."""
        return bool(self.watchers) or not self._first_key_at

    def check(self) -> None:
        """Now and then: notices silence, lets nothing wait in memory."""
        now = self._moment.now
        self._settle()
        if self.recorder is not None:
            self._catch_up(self.recorder)
            self.recorder.flush_if_due(now)
        if self.last_heard and not self.is_silent and now - self.last_heard >= self._settings.silence_s:
            self.is_silent = True
            self.expected.next_seq = -1  # whatever comes next is looked at, and found to be a resumption
            self._drain()
            if self.recorder is not None:
                self.recorder.close("silent", now)
            self._progress("silent", f"no media for {self._settings.silence_s:g} s")

    # --- what happens to it ------------------------------------------------------------------------------------------

    def connected(self, peer: str) -> None:
        """A TCP connection carries it now; one that carried it before does no more."""
        self._settle()
        self._lock.release()
        self._expect()
        self.source_name = peer
        self._connected_at = self._connected_at or self._moment.utc_us
        self._progress("connected", peer)

    def disconnected(self) -> None:
        """The peer closed its TCP connection. The stream goes on when it connects again."""
        self._drain()
        self._progress("disconnected", self.source_name)

    def record(self, recorder: Recorder | None) -> None:
        """Begins at the last key frame that is in memory, else at the next one; None stops at once."""
        self._settle()
        if self.recorder is not None and recorder is None:
            self._feed_runs(self._reorder.flush())
            self.recorder.close("stopped", self._moment.now)
        self.recorder = recorder
        if recorder is not None:
            self._catch_up(recorder)
        self._expect()

    def close(self, cause: EndCause) -> None:
        """Everything held goes on, the segment ends, watchers are told."""
        self._drain()
        if self.recorder is not None:
            self.recorder.close(cause, self._moment.now)
            # The recorder knows this stream: together they would stay in memory until a full collection, hours later.
            self.recorder = None
        for watcher in tuple(self.watchers):
            watcher.ended(cause)
        self.watchers.clear()

    def join(self) -> Join:
        """Where a reader begins: at the last key frame, in a file and in memory."""
        segment = self.recorder.segment if self.recorder is not None else None
        if segment is None:
            return Join(pieces=tuple(self._gop))
        file, begin, end, pieces = segment.since_key()
        return Join(file, begin, end, tuple(pieces), recorded=True)

    def watch(self, watcher: Watcher, join: Join) -> None:
        """Gives a reader the rest of what it joins, and everything from now on."""
        self.watchers.append(watcher)
        for piece in join.pieces:
            if watcher in self.watchers:
                watcher.send(piece, _flags(piece, recorded=join.recorded))

    def began_recording(self, volume: str) -> None:
        self._gop.clear()
        self._gop_bytes = 0
        self._progress("recording", volume)

    def saw_sip(self) -> None:
        self.note = _SIP_NOTE

    def heard_rtcp(self, data: bytes) -> bool:
        """Takes RTCP of the sender; returns whether it was any."""
        for report in rtcp.parse(data):
            self.reception.heard(report, self._moment.now)
        return rtp.is_rtcp(data)

    def rtcp_addresses(self) -> list[tuple[str, int]]:
        """Where the sender listens for RTCP by convention: the port above the one it sends media from."""
        if self._lock.source == NOWHERE:
            return []
        host, port = address_of(self._lock.source)
        return [(host, port + 1)] if port < 0xFFFF else []

    def state(self) -> StreamState:
        self._settle()
        segment = self.recorder.segment if self.recorder is not None else None
        reorder = self._reorder
        return StreamState(
            stream_id=self.stream_id,
            device_id=self.device_id,
            channel_id=self.channel_id,
            transport=self.transport,
            port=self.port,
            ssrc=self._lock.ssrc,
            recording=self.recorder is not None,
            watched=bool(self.watchers),
            connected_at=self._connected_at,
            first_rtp_at=self._first_rtp_at,
            first_ps_at=self._first_ps_at,
            first_key_frame_at=self._first_key_at,
            last_media_at=self._last_media_at,
            last_key_frame_at=self._last_key_at,
            packets=self._packets,
            bytes=self._bytes,
            lost=reorder.lost,
            late=reorder.late,
            reordered=reorder.reordered,
            duplicate=reorder.duplicate,
            foreign=self._foreign,
            bitrate_kbps=self._rate(),
            jitter_ms=round(self.reception.jitter_ms, 2),
            gop_s=round(self._gop_s, 3),
            source=self.source_name,
            format=self.format,
            note=(self.recorder.note if self.recorder is not None else "") or self.note or self._lack,
            width=self._size[0],
            height=self._size[1],
            segment_start=segment.start_us if segment is not None else 0,
            volume=segment.slot.root if segment is not None else "",
        )

    # --- inside ------------------------------------------------------------------------------------------------------

    def _packet(self, data: bytes, source: Source) -> None:
        """One packet, with every question asked."""
        packet = rtp.parse(data)
        if packet is None:
            self._not_media(data)
            return
        payload = data[packet.begin : packet.end]
        if not payload:
            return
        before = self._lock.source
        verdict = self._lock.admit(source, packet, payload.startswith(rtp.PACK_START), self._moment.now)
        if self._lock.source != before:
            host, port = address_of(self._lock.source)
            self.source_name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if verdict is Verdict.FOREIGN:
            self._foreign += 1
            return
        if verdict is Verdict.RESTART:
            self._reorder.restart()
        if verdict is Verdict.BESIDE:
            self.note = self.note or say("stream.beside", payload_type=packet.payload_type)
            payload = b""
        elif self._probe is not None:
            self._examine_format(packet.payload_type, payload)
        self._heard(1, packet.seq, packet.timestamp)
        self._reorder.push(packet.seq, payload, self._moment.now)

    def _not_media(self, data: bytes) -> None:
        if rtp.is_rtcp(data):
            self.heard_rtcp(data)
            return
        self._foreign += 1
        if rtp.is_sip(data):
            self.saw_sip()

    def _examine_format(self, payload_type: int, payload: bytes) -> None:
        assert self._probe is not None
        self.format = self._probe.feed(payload_type, payload)
        if self.format:
            self._probe = None
            self.note = _NOTES[self.format]

    def _heard(self, count: int, last_seq: int, timestamp: int) -> None:
        moment = self._moment
        self._packets += count
        self.last_heard = self._lock.last_heard = moment.now
        self._last_media_at = moment.utc_us
        self.reception.received(self._lock.ssrc, last_seq, count, timestamp, moment.now)
        if not self._first_rtp_at:
            self._first_rtp_at = moment.utc_us
            self._progress("first_rtp", self.source_name)
        if self.is_silent:
            self.is_silent = False
            self._progress("resumed", self.source_name)

    def _expect(self) -> None:
        """Opens the fast way when nothing is left to be asked about the next packet."""
        lock, expected = self._lock, self.expected
        expected.traits = traits_of(lock.source, lock.ssrc, max(lock.payload_type, 0))
        is_clear = lock.is_locked and self._probe is None and self._reorder.is_idle and not self.is_silent
        expected.next_seq = self._reorder.next_seq if is_clear and self._reorder.next_seq is not None else -1

    def _feed_runs(self, runs: Sequence[Run]) -> None:
        for run in runs:
            packs, position = [], 0
            for payload in run.payloads:
                if payload.startswith(rtp.PACK_START):
                    packs.append(position)
                position += len(payload)
            self._feed(b"".join(run.payloads), packs, run.lost, run.broken)

    def _feed(self, data: bytes, packs: Sequence[int] | None, lost: int = 0, broken: bool = False) -> None:
        self._bytes += len(data)
        if self.format not in ("", "ps"):
            return
        pieces = self._cutter.feed(data, self._moment.utc_us, packs, lost=lost, broken=broken)
        if not self._first_ps_at and self._cutter.packs:
            self._first_ps_at = self._moment.utc_us
            self.format, self._probe = "ps", None
            self._progress("first_ps")
        for piece in pieces:
            self._deliver(piece)

    def _drain(self) -> None:
        """What is held back in order and at the cutter goes on."""
        self._settle()
        self._feed_runs(self._reorder.flush())
        for piece in self._cutter.flush():
            self._deliver(piece)
        self._expect()

    def _deliver(self, piece: Piece) -> None:
        if piece.is_key:
            self._key_frame(piece)
        elif not self._first_key_at:
            self._measure(piece.data[:_SEARCHED])  # some devices send parameter sets in a pack of their own
        is_recorded = self.recorder is not None and self.recorder.add(piece, self._moment.now)
        if not is_recorded:
            self._remember(piece)
        if self.watchers:
            flags = _flags(piece, recorded=is_recorded)
            for watcher in tuple(self.watchers):
                watcher.send(piece, flags)

    def _catch_up(self, recorder: Recorder) -> None:
        """Gives a recorder that writes nothing yet what is in memory: it was told late, or had no volume before."""
        if recorder.segment is not None or not self._gop:
            return
        pieces = tuple(self._gop)
        if recorder.add(pieces[0], self._moment.now):
            for piece in pieces[1:]:
                recorder.add(piece, self._moment.now)

    def _key_frame(self, piece: Piece) -> None:
        self._measure(piece.data[: _SEQUENCE_WITHIN if self._first_key_at and not self._lack else _SEARCHED])
        if self._size != (0, 0):
            self._lack = ""
        if self._last_key_at:
            self._gop_s = (piece.at - self._last_key_at) / 1e6
        self._last_key_at = piece.at
        if not self._first_key_at:
            self._first_key_at = piece.at
            self._lack = "" if self._size != (0, 0) else _lack_of(piece.data[:_SEARCHED])
            self._progress("first_key_frame", self._lack)

    def _measure(self, data: bytes) -> None:
        """Takes the size of the pictures from the sequence parameter set, when it changes (quirk Q143)."""
        for codec, unit in nal.sequences(data):
            if unit == self._sequence:
                return
            info = nal.sequence_info(codec, unit)
            if info is not None:  # private data, and an encrypted stream (quirk Q145), may begin like one
                self._sequence = unit
                self._size = (info.width, info.height)
                return

    def _remember(self, piece: Piece) -> None:
        """Keeps the bytes since the last key frame for who may join; a stream that is not recorded is there to be watched."""
        if piece.is_key:
            self._gop.clear()
            self._gop_bytes = 0
        elif not self._gop:
            return
        self._gop.append(piece)
        self._gop_bytes += len(piece.data)
        if self._gop_bytes > _GOP_BYTES:
            self._gop.clear()  # who joins now waits for the next key frame
            self._gop_bytes = 0

    def _rate(self) -> float:
        elapsed = self._moment.now - self._rated_at
        if elapsed >= _IDLE_KBPS_S:
            self._kbps = round((self._bytes - self._rated_bytes) * 8 / 1000 / elapsed, 1)
            self._rated_at, self._rated_bytes = self._moment.now, self._bytes
        return self._kbps

    def _progress(self, what: What, detail: str = "") -> None:
        self._say(Progress(self.stream_id, what, self._moment.utc_us, detail))


def _lack_of(data: bytes) -> str:
    """Why what begins with a key frame can be shown nowhere, as far as it lacks a sequence parameter set."""
    parser = PsParser()
    units = [*parser.feed(data, 0), *parser.flush()]
    if parser.codec in ("svac", "mpeg4", "mpeg2"):
        return say("live.codec", codec=parser.codec)
    heard = parser.declared or any(not unit.is_video for unit in units)
    return say("live.sound_only" if heard and not parser.codec else "live.no_parameter_sets")


def _flags(piece: Piece, *, recorded: bool) -> int:
    return (LOSS if piece.lost or piece.broken else 0) | (RECORDED if recorded else 0)
