"""A real ingest process, real sockets, real footage."""

from __future__ import annotations

import random
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiortp.packet import RtcpPacket, RtcpRrPacket

from gb28181.messages import Done, OpenReceiver, Progress, ReceiverOpened, SegmentClosed, Snapshot, SnapshotRequest, Stop
from gb28181.storage.index import KEY, LOSS, Index, parse_index
from tests.ingest.process import IngestProcess
from tests.ingest.sender import UdpSender, chopped, framed, packetise, packs, swapped

Start = Callable[..., IngestProcess]


def index_of(ingest: IngestProcess, segment: SegmentClosed) -> Index:
    return parse_index(ingest.file(segment).with_suffix(".idx").read_bytes())


def send_udp(port: int, packets: list[bytes]) -> None:
    sender = UdpSender(port)
    sender.send(packets)
    sender.close()


def test_footage_over_udp_is_recorded_byte_for_byte(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    packets = packetise(footage, seq=65000)  # the sequence wraps on the way
    send_udp(port, packets)
    state = control.until("s1", lambda stream: stream.packets == len(packets))
    assert (state.lost, state.reordered, state.duplicate, state.format) == (0, 0, 0, "ps")
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage
    assert segment.bytes == len(footage)
    assert segment.key_frames == 54
    keys = index_of(running, segment).keys
    assert len(keys) == 54
    assert keys[1].pts_90k - keys[0].pts_90k == 90000
    assert all(footage[key.offset : key.offset + 4] == b"\x00\x00\x01\xba" for key in keys)
    heard = [event.what for event in control.inbox if isinstance(event, Progress)]
    assert heard == ["first_rtp", "first_ps", "first_key_frame", "recording"]


@pytest.mark.parametrize("seed", [1, 2])
def test_footage_over_tcp_split_anywhere_is_recorded_byte_for_byte(ingest: Start, footage: bytes, seed: int) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1", transport="tcp")
    control.record("s1")
    packets = packetise(footage)
    with socket.create_connection(("127.0.0.1", port)) as camera:
        for part in chopped(framed(packets), seed=seed):
            camera.sendall(part)
        control.until("s1", lambda stream: stream.packets == len(packets))
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage
    assert next(event.what for event in control.inbox if isinstance(event, Progress)) == "connected"


def test_swapped_packets_are_recorded_byte_for_byte(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    packets = swapped(packetise(footage), 0.02)
    send_udp(port, packets)
    state = control.until("s1", lambda stream: stream.packets == len(packets))
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage
    assert segment.lost == 0
    assert state.reordered > 10


def test_dropped_packets_are_counted_and_marked(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    rng = random.Random(3)
    packets = packetise(footage)
    dropped = {place for place in range(1, len(packets) - 1) if rng.random() < 0.01}
    kept = [packet for place, packet in enumerate(packets) if place not in dropped]
    send_udp(port, kept)
    control.until("s1", lambda stream: stream.packets == len(kept))
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert segment.lost == len(dropped)
    data = running.file(segment).read_bytes()
    assert data == b"".join(packet[12:] for packet in kept)
    offsets, offset = set(), 0
    for place, packet in enumerate(packets):
        if place in dropped:
            offsets.add(offset)
        else:
            offset += len(packet) - 12
    rows = [row for row in index_of(running, segment).rows if row.flags & LOSS]
    assert {row.offset for row in rows} == offsets
    assert sum(row.lost for row in rows) == len(dropped)


def test_every_header_form_is_recorded_byte_for_byte(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    plain = packetise(footage[:400_000])
    forms = [
        lambda p: p,
        lambda p: bytes([0x90]) + p[1:12] + bytes.fromhex("bede0001") + b"extn" + p[12:],
        lambda p: bytes([0x82]) + p[1:12] + b"csrccsrc" + p[12:],
        lambda p: bytes([0xA0]) + p[1:] + b"\x00\x00\x00\x04",
    ]
    packets = [forms[place % 4](packet) for place, packet in enumerate(plain)]
    rtcp = bytes.fromhex("80c90001000003e8")
    send_udp(port, [rtcp, *packets])
    control.until("s1", lambda stream: stream.packets == len(packets))
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage[:400_000]


def test_datagrams_of_any_length_are_recorded_whole(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    packets = packetise(footage[:1_000_000], size=60_000)
    sender = UdpSender(port)
    sender.send(packets, burst=4, pause_s=0.01)
    control.until("s1", lambda stream: stream.packets == len(packets))
    sender.close()
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage[:1_000_000]


def test_recording_rotates_at_key_frames_and_loses_nothing(ingest: Start, footage: bytes) -> None:
    running = ingest(recording={"segment_seconds": 1, "segment_max_seconds": 4})
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    sender = UdpSender(port)
    sender.send(packetise(footage), burst=20, pause_s=0.02)  # three seconds
    sender.close()
    control.close_receiver("s1")
    segments = [control.of(SegmentClosed)]
    while segments[-1].end_cause == "rotated":
        segments.append(control.of(SegmentClosed))
    assert len(segments) >= 3
    assert b"".join(running.file(segment).read_bytes() for segment in segments) == footage
    assert all(index_of(running, segment).rows[0].flags & KEY for segment in segments)


def test_recording_that_begins_late_begins_with_the_last_key_frame(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    packets = packetise(footage)
    half = len(packets) // 2
    sender = UdpSender(port)
    sender.send(packets[:half])
    control.until("s1", lambda stream: stream.packets == half)
    control.record("s1")
    control.of(Progress, what="recording")
    sender.send(packets[half:])
    control.until("s1", lambda stream: stream.packets == len(packets))
    sender.close()
    control.close_receiver("s1")
    data = running.file(control.of(SegmentClosed)).read_bytes()
    assert footage.endswith(data)
    assert len(data) > sum(len(packet) - 12 for packet in packets[half:])


def test_silence_ends_the_segment_and_media_begin_the_next(ingest: Start, footage: bytes) -> None:
    running = ingest(media={"silence_s": 0.5})
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    packets = packetise(footage)
    sender = UdpSender(port)
    sender.send(packets[:1000])
    first = control.of(SegmentClosed)
    assert first.end_cause == "silent"
    control.of(Progress, what="silent")
    sender.send(packets[1000:])
    control.of(Progress, what="resumed")
    control.until("s1", lambda stream: stream.packets == len(packets))
    sender.close()
    control.close_receiver("s1")
    second = control.of(SegmentClosed)
    assert first.end <= second.start
    assert footage.endswith(running.file(second).read_bytes())
    assert footage.startswith(running.file(first).read_bytes())


def test_receiver_reports_reach_both_places(ingest: Start, footage: bytes) -> None:
    running = ingest(media={"rtcp_interval_s": 0.3})
    control = running.client().attach()
    port = control.open("s1")
    sender = UdpSender(port)
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind(("127.0.0.1", 0))
    report = struct.pack(">BBHIQIII", 0x80, 200, 6, 200000001, 0x0102030405060708, 9000, 10, 1000)
    elsewhere.sendto(report, ("127.0.0.1", port + 1))
    packets = packetise(footage)[:300]
    sender.send([*packets[:100], *packets[110:]])
    control.until("s1", lambda stream: stream.lost == 10)
    for sock in (sender.rtcp, elsewhere):
        sock.settimeout(10)
        while True:
            compound = RtcpPacket.parse(sock.recv(2000))[0]
            assert isinstance(compound, RtcpRrPacket)
            if compound.reports and compound.reports[0].packets_lost == 10:
                break
        block = compound.reports[0]
        assert (block.ssrc, block.highest_sequence, block.lsr) == (200000001, 299, 0x03040506)
    elsewhere.close()
    sender.close()


def test_receiver_reports_come_framed_on_the_connection(ingest: Start, footage: bytes) -> None:
    running = ingest(media={"rtcp_interval_s": 0.2})
    control = running.client().attach()
    port = control.open("s1", transport="tcp")
    with socket.create_connection(("127.0.0.1", port)) as camera:
        camera.sendall(framed(packetise(footage)[:50]))
        camera.settimeout(10)
        (size,) = struct.unpack(">H", camera.recv(2, socket.MSG_WAITALL))
        report = RtcpPacket.parse(camera.recv(size, socket.MSG_WAITALL))[0]
        assert isinstance(report, RtcpRrPacket)
        assert report.reports[0].highest_sequence == 49


def test_camera_may_connect_again_and_again(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1", transport="tcp")
    control.record("s1")
    packets = packetise(footage)
    sent = 0
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", port)) as camera:
            camera.sendall(framed(packets[sent : sent + 500]))
            sent += 500
            control.until("s1", lambda stream, sent=sent: stream.packets == sent)  # type: ignore[misc]
        control.of(Progress, what="disconnected")
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == b"".join(packet[12:] for packet in packets[:2000])
    assert segment.lost == 0


def test_newest_connection_wins_where_the_old_one_brought_nothing(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1", transport="tcp")
    with socket.create_connection(("127.0.0.1", port)):
        control.of(Progress, what="connected")
        with socket.create_connection(("127.0.0.1", port)) as camera:
            camera.sendall(framed(packetise(footage)[:100]))
            control.until("s1", lambda stream: stream.packets == 100)


def test_foreign_packets_are_counted_and_not_recorded(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    packets = packetise(footage)
    camera, stranger = UdpSender(port), UdpSender(port)
    camera.send(packets[:1000])
    control.until("s1", lambda stream: stream.packets == 1000)
    stranger.send(packetise(footage, ssrc=7, seq=500)[:50])
    stranger.send([b"REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\n\r\n", b"\xff" * 40])
    state = control.until("s1", lambda stream: stream.foreign == 52)
    assert "SIP" in state.note
    camera.send(packets[1000:])
    control.until("s1", lambda stream: stream.packets == len(packets))
    camera.close()
    stranger.close()
    control.close_receiver("s1")
    assert running.file(control.of(SegmentClosed)).read_bytes() == footage


def test_restarted_encoder_is_followed_and_is_no_loss(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    halves = packs(footage)
    first, second = b"".join(halves[:600]), b"".join(halves[600:])
    sender = UdpSender(port)
    wire = [*packetise(first, ssrc=1), *packetise(second, ssrc=2, seq=40000)]
    sender.send(wire)
    control.until("s1", lambda stream: stream.packets == len(wire))
    sender.close()
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage
    assert segment.lost == 0


def test_audio_beside_the_program_stream_is_not_recorded(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    wire: list[bytes] = []
    for place, packet in enumerate(packetise(footage)):
        wire.append(packet)
        if place % 10 == 0:
            wire.append(packet[:1] + b"\x08" + packet[2:12] + b"\xd5" * 160)
    for seq, packet in enumerate(wire):  # one sequence for both, as one SSRC has
        wire[seq] = packet[:2] + struct.pack(">H", seq) + packet[4:]
    send_udp(port, wire)
    state = control.until("s1", lambda stream: stream.packets == len(wire))
    assert "payload type 8" in state.note
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == footage
    assert segment.lost == 0


def test_elementary_stream_is_named_and_not_recorded(ingest: Start) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    fu_a = [struct.pack(">BBHII", 0x80, 98, seq, seq, 5) + b"\x7c\x05" + b"x" * 500 for seq in range(100)]
    send_udp(port, fu_a)
    state = control.until("s1", lambda stream: stream.format != "")
    assert state.format == "es-h264"
    assert "not recorded" in state.note


def test_killed_ingest_adopts_its_segment_when_it_starts_again(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    sender = UdpSender(port)
    sender.send(packetise(footage), burst=20, pause_s=0.01)
    control.until("s1", lambda stream: stream.packets > 2900)
    files = list(running.volume.rglob("*.ps.part"))
    assert len(files) == 1
    running.end(signal.SIGKILL)
    sender.close()
    again = running.start().client().attach()
    segment = again.of(SegmentClosed)
    assert segment.adopted
    assert segment.end_cause == "crash"
    data = running.file(segment).read_bytes()
    assert data
    assert footage.startswith(data)
    assert not list(running.volume.rglob("*.part"))


def test_journal_outlives_the_process_until_it_is_acknowledged(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    send_udp(port, packetise(footage)[:500])
    control.until("s1", lambda stream: stream.packets == 500)
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.end() == 0
    again = running.start().client().attach()
    assert again.of(SegmentClosed) == segment
    newest = running.client().attach()  # a second control replaces the first and hears it again
    assert newest.of(SegmentClosed) == segment
    newest.acknowledge(segment)
    port = newest.open("s2")
    newest.record("s2")
    send_udp(port, packetise(footage)[:500])
    newest.until("s2", lambda stream: stream.packets == 500)
    newest.close_receiver("s2")
    assert newest.of(SegmentClosed).seq == segment.seq + 1


def test_termination_closes_every_segment(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    send_udp(port, packetise(footage))
    control.until("s1", lambda stream: stream.packets > 2900)
    assert running.end() == 0
    (file,) = running.volume.rglob("*.ps")
    assert file.read_bytes() == footage
    assert not list(running.volume.rglob("*.part"))


def test_stop_answers_when_all_is_closed(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    send_udp(port, packetise(footage)[:500])
    control.until("s1", lambda stream: stream.packets == 500)
    control.send(Stop(77))
    assert control.of(SegmentClosed).end_cause == "stopped"
    control.of(Done, request_id=77)
    assert running.process is not None
    assert running.process.wait(20) == 0


def test_orders_said_twice_change_nothing(ingest: Start) -> None:
    control = ingest().client().attach()
    port = control.open("s1")
    order = OpenReceiver(90, "s1", "34020000001110000001", "34020000001320000001", "udp", 1)
    control.send(order)
    assert control.of(ReceiverOpened, request_id=90).port == port
    control.record("s1")
    control.record("s1")
    control.close_receiver("s1")
    control.close_receiver("s1")
    assert control.open("s2") != port, "the port rests"


def test_rotten_volume_leaves_the_good_one(ingest: Start, footage: bytes, tmp_path: Path) -> None:
    (tmp_path / "rotten").write_text("no folder")
    running = ingest()
    running.close()
    running.record_to(tmp_path / "rotten", running.volume)
    control = running.start().client().attach()
    port = control.open("s1")
    control.record("s1")
    send_udp(port, packetise(footage)[:800])
    control.until("s1", lambda stream: stream.packets == 800 and stream.volume == str(running.volume))
    control.close_receiver("s1")
    assert control.of(SegmentClosed).volume == str(running.volume)


def test_receiver_that_nobody_uses_closes_itself_without_control(ingest: Start) -> None:
    running = ingest()
    control = running.client().attach()
    control.send(OpenReceiver(1, "s1", "d", "c", "udp", 1, deadline_s=0.2))
    first = control.of(ReceiverOpened).port
    control.close()
    second = running.client()
    while True:
        second.attach()
        second.send(SnapshotRequest(5))
        if not second.of(Snapshot, request_id=5).streams:
            break
        second.close()
        time.sleep(0.3)
        second = running.client()
    assert second.open("s2") != first


def test_orphan_closes_its_segments_and_ends(ingest: Start, footage: bytes) -> None:
    running = ingest(media={"orphan_s": 1.0})
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    packets = packetise(footage)
    send_udp(port, packets)
    control.until("s1", lambda stream: stream.packets == len(packets))
    control.close()
    assert running.process is not None
    assert running.process.wait(20) == 0
    (file,) = running.volume.rglob("*.ps")
    assert file.read_bytes() == footage


def test_segment_of_an_ingest_that_is_not_configured_any_more_is_adopted(ingest: Start, footage: bytes) -> None:
    running = ingest()
    control = running.client().attach()
    port = control.open("s1")
    control.record("s1")
    send_udp(port, packetise(footage))
    control.until("s1", lambda stream: stream.packets > 2900)
    (part,) = running.volume.rglob("*.ps.part")
    deadline = time.monotonic() + 20
    while part.stat().st_size < 1 << 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    running.end(signal.SIGKILL)
    (running.volume / ".open" / "ingest-0").rename(running.volume / ".open" / "ingest-7")
    again = running.start().client().attach()
    segment = again.of(SegmentClosed)
    assert segment.adopted
    assert footage.startswith(running.file(segment).read_bytes())
    assert not list(running.volume.rglob("*.part"))
