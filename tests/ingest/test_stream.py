"""A stream alone: packets in, pieces and state out, a clock by hand."""

from __future__ import annotations

import socket
import struct

import numpy as np
import pytest

from gb28181.config import MediaSettings
from gb28181.ingest.batch import HEADER, CarefulBudget, Packets, dispatch
from gb28181.ingest.lock import Source, address_of
from gb28181.ingest.ports import PortPool
from gb28181.ingest.stream import Join, Moment, Stream
from gb28181.media.keyframe import Piece
from gb28181.messages import LOSS, OpenReceiver, Progress
from tests.ingest.sender import packetise

PACK = bytes.fromhex("000001ba440016fc8401013883f8")
IDR = bytes.fromhex("000001e0000f84800521000 5bf210000000165 88".replace(" ", ""))
SLICE = bytes.fromhex("000001e0000f848005210005bf21000000016188")


def video(packs: int, gop: int = 5) -> bytes:
    return b"".join(PACK + (IDR if n % gop == 0 else SLICE) + bytes([n & 0x7F | 0x80]) * 3000 for n in range(packs))


def source(host: str = "127.0.0.1", port: int = 4000) -> Source:
    raw = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(16)
    first, second, third = struct.unpack("=QQQ", raw)
    return first, second, third


class Watcher:
    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.flags: list[int] = []
        self.cause = ""

    def send(self, piece: Piece, flags: int) -> None:
        self.pieces.append(piece)
        self.flags.append(flags)

    def ended(self, cause: str) -> None:
        self.cause = cause

    @property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)


class Bench:
    def __init__(self, *, budget: int = 1000) -> None:
        self.moment = Moment(100.0, 1_000_000)
        self.said: list[Progress] = []
        request = OpenReceiver(1, "s", "d", "c", "udp", 1)
        self.stream = Stream(request, 20000, settings=MediaSettings(), moment=self.moment, say=self.said.append)
        self.watcher = Watcher()
        self.stream.watch(self.watcher, Join())
        self.budget = CarefulBudget(budget)

    def tick(self, packets: list[bytes], *, origin: Source | None = None, step: float = 0.04) -> Bench:
        """One tick with these packets."""
        self.moment.now += step
        self.moment.utc_us += int(step * 1e6)
        if packets:
            memory = np.frombuffer(b"".join(packet.ljust(1600, b"\0") for packet in packets), np.uint8)
            lengths = np.array([len(packet) for packet in packets], np.int64)
            words = np.array([origin or source()] * len(packets), np.uint64)
            batch = Packets(
                view=memoryview(memory.tobytes()),
                memory=memory,
                headers=np.ascontiguousarray(memory.reshape(-1, 1600)[:, :16]).view(HEADER).reshape(-1),
                offsets=np.arange(len(packets), dtype=np.int64) * 1600,
                lengths=lengths,
                fits=None,
                sources=words,
                whole=lambda row: packets[row],
            )
            dispatch(batch, [self.stream], [len(packets)], self.budget)
        self.stream.pull()
        return self


def test_fast_way_and_careful_way_give_the_same_bytes() -> None:
    data = video(40)
    packets = packetise(data, seq=65500)
    whole, single = Bench(), Bench()
    for begin in range(0, len(packets), 9):
        whole.tick(packets[begin : begin + 9])
    for packet in packets:
        single.tick([packet], step=0.001)
    whole.stream.close("closed")
    single.stream.close("closed")
    assert whole.watcher.data == single.watcher.data == data
    keys = [piece.offset for piece in whole.watcher.pieces if piece.is_key]
    assert keys == [piece.offset for piece in single.watcher.pieces if piece.is_key]
    assert len(keys) == 8


def test_overload_gives_gaps_up_at_once_and_counts_them() -> None:
    packets = packetise(video(40))
    bench = Bench(budget=0).tick(packets[:30])
    del packets[60:62]
    for begin in range(30, len(packets), 30):
        bench.tick(packets[begin : begin + 30])
    bench.stream.close("closed")
    assert bench.watcher.data == b"".join(packet[12:] for packet in packets)
    assert bench.stream.state().lost == 2
    assert bench.budget.exhausted == 1


def test_loss_is_told_with_the_bytes_behind_it() -> None:
    packets = packetise(video(20))
    bench = Bench().tick(packets[:20]).tick(packets[22:30]).tick([], step=0.3).tick(packets[30:])
    flags = [flag & LOSS for flag in bench.watcher.flags]
    assert flags.count(LOSS) == 1
    before = b"".join(piece.data for piece, flag in zip(bench.watcher.pieces, flags, strict=True) if not flag)
    assert before.startswith(b"".join(packet[12:] for packet in packets[:20])[:-3])
    assert bench.stream.state().lost == 2


def test_other_source_takes_over_when_the_old_one_is_silent_for_two_seconds() -> None:
    packets = packetise(video(20))
    other = source(port=5000)
    bench = Bench().tick(packets[:20])
    assert bench.stream.state().source == "127.0.0.1:4000"
    bench.tick(packetise(video(5), ssrc=9, seq=7000), origin=other)
    assert bench.stream.state().foreign == 15
    bench.tick([], step=2.0).tick(packetise(video(5), ssrc=9, seq=7000), origin=other)
    state = bench.stream.state()
    assert (state.source, state.ssrc, state.lost) == ("127.0.0.1:5000", 9, 0)


def test_source_with_a_program_stream_replaces_one_without_at_once() -> None:
    noise = [struct.pack(">BBHII", 0x80, 96, seq, 0, 3) + b"noise" * 20 for seq in range(5)]
    bench = Bench().tick(noise, origin=source(port=9999)).tick(packetise(video(5)))
    assert bench.stream.state().source == "127.0.0.1:4000"
    assert bench.stream.state().format == "ps"


def test_silence_is_said_once_and_so_is_its_end() -> None:
    bench = Bench().tick(packetise(video(5)))
    for _ in range(3):
        bench.tick([], step=3.0)
        bench.stream.check()
    bench.tick(packetise(video(5), seq=15))
    assert [event.what for event in bench.said] == ["first_rtp", "first_ps", "first_key_frame", "silent", "resumed"]


def test_memory_of_an_unrecorded_stream_begins_at_its_last_key_frame_and_is_bounded() -> None:
    bench = Bench().tick(packetise(video(8)))
    joined = b"".join(piece.data for piece in bench.stream.join().pieces)
    assert video(8).endswith(joined)
    assert joined.startswith(PACK + IDR)
    endless = packetise(video(4000, gop=100_000), seq=24)
    for begin in range(0, len(endless), 500):
        bench.tick(endless[begin : begin + 500])
    assert sum(len(piece.data) for piece in bench.stream.join().pieces) <= 8 << 20


def test_fault_of_ours_ends_with_its_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = packetise(video(20))
    bench = Bench().tick(packets[:20])
    monkeypatch.setattr(Stream, "take", lambda *_: 1 / 0)
    bench.tick(packets[20:30])
    monkeypatch.undo()
    bench.tick(packets[30:])
    assert bench.stream.state().packets == 50
    assert bench.watcher.pieces[-1].offset > 0


def test_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert address_of(source("10.1.2.3", 6000)) == ("10.1.2.3", 6000)
    raw = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", 6001, 0) + socket.inet_pton(socket.AF_INET6, "fe80::1")
    words = struct.unpack("=QQQ", raw)
    assert address_of((words[0], words[1], words[2])) == ("fe80::1", 6001)


def test_ports_rest_before_they_are_used_again() -> None:
    pool = PortPool(range(20000, 20006), quarantine_s=20)
    for port in (20000, 20002):
        pool.taken(port)
    pool.release(20002, 0.0)
    pool.release(20000, 1.0)
    assert list(pool.candidates(5.0)) == [20004, 20002, 20000]
    assert list(pool.candidates(20.5)) == [20004, 20002, 20000]
    pool.taken(20004)
    assert next(iter(pool.candidates(25.0))) == 20002


def test_port_that_another_program_holds_is_tried_last() -> None:
    pool = PortPool(range(20001, 20007), quarantine_s=20)
    assert list(pool.candidates(0.0)) == [20002, 20004]
    pool.unusable(20002)
    assert list(pool.candidates(0.0)) == [20004, 20002]


SEQUENCE = bytes.fromhex("0000000167640028acb403c0113f2c200000030020000006 51e30655".replace(" ", ""))


def stream_map(entries: str) -> bytes:
    body = bytes.fromhex(f"e0ff0000{len(entries) // 2:04x}{entries}00000000")
    return b"\x00\x00\x01\xbc" + struct.pack(">H", len(body)) + body


def pes(payload: bytes, stream: int = 0xE0) -> bytes:
    return b"\x00\x00\x01" + bytes([stream]) + struct.pack(">H", len(payload) + 3) + b"\x84\0\0" + payload


def shown(stream: bytes) -> tuple[str, str]:
    """What is said of the first key frame, and the note of the stream."""
    bench = Bench()
    packets = packetise(stream)
    for begin in range(0, len(packets), 30):
        bench.tick(packets[begin : begin + 30])
    (said,) = [progress.detail for progress in bench.said if progress.what == "first_key_frame"]
    return said, bench.stream.state().note


SYSTEM = bytes.fromhex("000001bb000c809c4105e17fe0e800c0c200")
KEY_SLICE, OTHER_SLICE = b"\0\0\0\1\x65\x88\x84" + b"\x99" * 300, b"\0\0\0\1\x61\xe0\x08" + b"\x99" * 300


def test_stream_of_which_nothing_can_be_shown_says_so_with_its_first_key_frame() -> None:
    sound = PACK + pes(b"\xd5" * 160, 0xC0)
    said, note = shown((PACK + SYSTEM + stream_map("90c00000") + pes(b"\xd5" * 160, 0xC0) + sound * 9) * 30)
    assert said == note
    assert "sound and no pictures" in said
    svac = PACK + pes(b"\0\0\1\x9f" + b"\x99" * 300)
    said, _ = shown((PACK + SYSTEM + stream_map("80e00000") + svac[len(PACK) :] + svac * 9) * 30)
    assert "sends svac" in said
    said, _ = shown((PACK + pes(KEY_SLICE) + (PACK + pes(OTHER_SLICE)) * 9) * 3)
    assert "without parameter sets" in said


def test_parameter_sets_before_or_in_a_later_key_frame_are_enough() -> None:
    group = PACK + pes(KEY_SLICE) + (PACK + pes(OTHER_SLICE)) * 9
    assert shown(PACK + pes(SEQUENCE + KEY_SLICE) + group) == ("", "")
    assert shown(PACK + pes(SEQUENCE) + group) == ("", "")
    private = pes(b"\0\0\1\x42" + b"\1" * 16, 0xBD)  # begins like a set of H.265
    assert shown(PACK + private + pes(SEQUENCE + KEY_SLICE) + group) == ("", "")
    said, note = shown(group + PACK + pes(SEQUENCE + KEY_SLICE) + group)
    assert said
    assert not note
