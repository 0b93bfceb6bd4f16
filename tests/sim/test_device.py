"""A simulated device against a platform that is played by a script: registration, keepalive, queries, calls, media."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from gb28181.sim import ps
from gb28181.sim.calls import Channel
from gb28181.sim.device import SimulatedCamera, SimulatedDevice, SimulatedNvr
from gb28181.sim.settings import Settings
from gb28181.sim.source import PsFile
from gb28181.sim.studio import Studio
from gb28181.sim.transactions import Timers
from tests.sim.conftest import SMALL
from tests.sim.platform import PATIENCE_S, Platform, Received, RtpSink, rtp, take

CAMERA = "34020000001320000001"
CHANNEL = "34020000001310000001"
NVR = "34020000001180000001"
NVR_CHANNELS = [f"3402000000131010000{n}" for n in range(5)]
#: Transactions fail within a second, so that a test need not wait half a minute.
QUICK = Timers(t1=0.02, t2=0.1)


def settings(platform: Platform, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "port": platform.port,
        "password": "12345678",
        "picture": SMALL,
        "transport": platform.kind.lower(),
        "retry_s": 0.05,
        "timers": QUICK,
    }
    return Settings(**{**values, **changes})


async def camera(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], *, is_registered: bool = True, **changes: Any
) -> SimulatedCamera:
    made = SimulatedCamera(settings(platform, **changes), CAMERA, CHANNEL, studio=studio)
    devices.append(made)
    await made.start()
    if is_registered:
        async with asyncio.timeout(PATIENCE_S):
            await made.registered.wait()
    return made


async def play(platform: Platform, port: int, *, call_id: str = "c1", **changes: Any) -> Received:
    platform.send(platform.invite(CHANNEL, call_id, port, **changes))
    answer = await platform.final("INVITE")
    assert answer.status == 200
    platform.acknowledge(answer, CHANNEL)
    return answer


async def ended(device: SimulatedDevice, reason: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while device.statistics.streams[-1].ended != reason:
            await asyncio.sleep(0.005)


def small_file(tmp_path: Path, packs: int = 40) -> PsFile:
    """Packs of 7 RTP packets, 1 ms apart."""
    muxer = ps.Muxer("h264", 4000, audio=False)
    path = tmp_path / "small.ps"
    pictures = (b"\x00\x00\x00\x01\x65" + n.to_bytes(2, "big") + bytes([1 + n % 250]) * 9000 for n in range(packs))
    path.write_bytes(b"".join(muxer.pack(p, 4000 + n * 90, is_key=n == 0, audio=[]) for n, p in enumerate(pictures)))
    return PsFile(path)


# -- registration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qop", [False, True], ids=["no-qop", "qop-auth"])
async def test_a_challenge_is_answered_in_the_same_call(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], qop: bool
) -> None:
    platform.qop = qop
    device = await camera(platform, studio, devices)
    first, second = await take(platform.registers), await take(platform.registers)
    assert first.first == "REGISTER sip:34020000002000000001@3402000000 SIP/2.0"
    assert "authorization" not in first.headers
    assert second.headers["call-id"] == first.headers["call-id"]
    assert (first.headers["cseq"], second.headers["cseq"]) == ("1 REGISTER", "2 REGISTER")
    assert first.headers["contact"].startswith(f"<sip:{CAMERA}@127.0.0.1:")
    assert device.statistics.registrations == 1


async def test_a_wrong_password_is_tried_again_only_after_the_retry_time(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices, is_registered=False, password="wrong")
    methods = [await take(platform.registers) for _ in range(4)]
    assert ["authorization" in message.headers for message in methods] == [False, True, False, True]
    assert not device.registered.is_set()
    assert device.statistics.registrations == 0
    platform.password = "wrong"
    async with asyncio.timeout(PATIENCE_S):
        await device.registered.wait()


async def test_an_unanswered_register_is_repeated_and_then_started_anew(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    platform.answers["REGISTER"] = False
    device = await camera(platform, studio, devices, is_registered=False)
    first, again = await take(platform.registers), await take(platform.registers)
    assert again.headers == first.headers
    while (later := await take(platform.registers)).headers["cseq"] == first.headers["cseq"]:
        pass
    assert later.headers["via"] != first.headers["via"]
    platform.answers["REGISTER"] = True
    async with asyncio.timeout(PATIENCE_S):
        await device.registered.wait()


async def test_the_registration_is_renewed_before_it_ends(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    platform.expires = 1
    device = await camera(platform, studio, devices)
    messages = [await take(platform.registers) for _ in range(4)]
    assert len({message.headers["call-id"] for message in messages}) == 1
    assert [message.headers["cseq"].split()[0] for message in messages] == ["1", "2", "3", "4"]
    assert device.registered.is_set()


async def test_stop_unregisters(platform: Platform, studio: Studio, devices: list[SimulatedDevice]) -> None:
    device = await camera(platform, studio, devices)
    await device.stop()
    seen = [platform.registers.get_nowait() for _ in range(platform.registers.qsize())]
    assert [message.headers["expires"] for message in seen] == ["86400", "86400", "0", "0"]


# -- keepalive ---------------------------------------------------------------------------------------------------------


async def test_three_unanswered_keepalives_release_media_and_register_anew(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices, keepalive_s=0.1)
    await play(platform, sink.port)
    await sink.until(lambda: len(sink.packets) > 0)
    assert (await take(platform.keepalives)).element("Status") == "OK"
    platform.answers["MESSAGE"] = False
    await ended(device, "released")
    platform.answers["MESSAGE"] = True
    for _ in range(4):
        await take(platform.registers)
    async with asyncio.timeout(PATIENCE_S):
        await device.registered.wait()
    assert platform.byes.empty()


async def test_a_refused_keepalive_makes_it_register_at_once(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    platform.statuses["MESSAGE"] = 403
    device = await camera(platform, studio, devices, keepalive_s=0.05)
    for _ in range(4):
        await take(platform.registers)
    assert device.statistics.keepalives_answered == 0


# -- queries -----------------------------------------------------------------------------------------------------------


async def test_a_catalogue_comes_in_parts_each_after_the_answer_to_the_previous_one(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    channels = [Channel(code, f"通道 {n}", f"NVR 01-{n}") for n, code in enumerate(NVR_CHANNELS)]
    device = SimulatedNvr(settings(platform, timers=Timers()), NVR, channels, studio=studio)
    devices.append(device)
    await device.start()
    async with asyncio.timeout(PATIENCE_S):
        await device.registered.wait()
    platform.query("Catalog", 17, NVR)
    assert (await platform.final("MESSAGE")).status == 200
    found: list[str] = []
    for expected in (2, 2, 1):
        part = await take(platform.messages)
        assert (part.element("CmdType"), part.element("SN"), part.element("SumNum")) == ("Catalog", "17", "5")
        assert f'<DeviceList Num="{expected}">' in part.text
        found += re.findall(r"<Item>\s*<DeviceID>(\d+)</DeviceID>\s*<Name>通道 \d</Name>", part.text)
        assert platform.messages.empty()
        platform.accept(part)
    assert found == NVR_CHANNELS


async def test_a_catalogue_of_one_channel_holds_that_channel(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices)
    platform.query("Catalog", 3, CHANNEL)
    part = await take(platform.messages)
    assert part.element("SumNum") == "1"
    assert f"<ParentID>{CAMERA}</ParentID>" in part.text


async def test_a_catalogue_of_somebody_else_is_empty_and_has_no_list(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices)
    platform.query("Catalog", 3, "34020000001320009999")
    part = await take(platform.messages)
    assert part.element("SumNum") == "0"
    assert "DeviceList" not in part.text


@pytest.mark.parametrize(
    ("command", "inner", "element", "value"),
    [
        pytest.param("DeviceInfo", "", "Channel", "1", id="info"),
        pytest.param("DeviceStatus", "", "Online", "ONLINE", id="status"),
        pytest.param("RecordInfo", "", "SumNum", "0", id="records"),
        pytest.param("ConfigDownload", "<ConfigType>BasicParam</ConfigType>", "HeartBeatCount", "3", id="basic"),
        pytest.param("ConfigDownload", "<ConfigType>NoSuchConfig</ConfigType>", "Result", "ERROR", id="config-unknown"),
        pytest.param("NoSuchQuery", "", "Result", "ERROR", id="query-unknown"),
    ],
)
async def test_a_query_is_answered_under_its_number(
    platform: Platform,
    studio: Studio,
    devices: list[SimulatedDevice],
    command: str,
    inner: str,
    element: str,
    value: str,
) -> None:
    await camera(platform, studio, devices)
    platform.query(command, 21, CAMERA, inner)
    answer = await take(platform.messages)
    assert (answer.element("CmdType"), answer.element("SN"), answer.element("DeviceID")) == (command, "21", CAMERA)
    assert answer.element(element) == value


@pytest.mark.parametrize("body", [b"no xml", b"<!DOCTYPE a><Query><CmdType>Catalog</CmdType></Query>", b"<Query></Query>", b""])
async def test_a_body_that_is_no_command_gets_400(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], body: bytes
) -> None:
    await camera(platform, studio, devices)
    platform.send(platform.request("MESSAGE", CAMERA, "bad", body=body))
    assert (await platform.final("MESSAGE")).status == 400


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"\xff" * 500, b"SIP/2.0 200\r\n\r\n", b"INVITE\r\n\r\n", b"a b SIP/2.0\r\nno colon\r\n\r\n"],
    ids=lambda data: data[:8].hex(),
)
async def test_a_datagram_that_is_no_message_does_no_harm(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], data: bytes
) -> None:
    await camera(platform, studio, devices)
    platform.send(data)
    platform.send(platform.request("OPTIONS", CAMERA, "o1"))
    assert (await platform.final("OPTIONS")).status == 200


async def test_a_repeated_request_gets_the_same_answer_and_is_carried_out_once(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices, timers=Timers())
    for _ in range(2):
        platform.query("DeviceInfo", 21, CAMERA)
    assert [(await platform.final("MESSAGE")).status for _ in range(2)] == [200, 200]
    platform.accept(await take(platform.messages))
    platform.send(platform.request("OPTIONS", CAMERA, "o1"))
    await platform.final("OPTIONS")
    assert platform.messages.empty()


# -- calls -------------------------------------------------------------------------------------------------------------


async def test_invite_over_udp_sends_a_stream_until_bye(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices)
    platform.send(platform.invite(CHANNEL, "c1", sink.port))
    trying = await take(platform.responses)
    assert trying.status == 100
    answer = await platform.final("INVITE")
    lines = answer.text.split("\r\n")
    assert answer.status == 200
    assert "y=0200000001" in lines
    assert "a=sendonly" in lines
    assert lines[-1] == ""
    assert sink.packets == []  # nothing before the ACK
    platform.acknowledge(answer, CHANNEL)
    await sink.until(lambda: sum(packet.marker for packet in sink.packets) >= 3 and len(sink.reports) >= 1)
    assert {packet.ssrc for packet in sink.packets} == {200000001}
    assert max(len(packet.payload) for packet in sink.packets) <= 1400
    assert sink.packets[0].payload.startswith(b"\x00\x00\x01\xba")
    assert b"\x00\x00\x01\xbc" in sink.packets[0].payload[:80]
    assert f"m=video {sink.sender[1] if sink.sender else 0} RTP/AVP 96" in lines
    assert sink.reporter is not None
    assert sink.sender is not None
    assert sink.reporter[1] == sink.sender[1] + 1
    platform.bye(answer, CHANNEL)
    assert (await platform.final("BYE")).status == 200
    await ended(device, "bye")
    counters = device.statistics.streams[-1].counters
    await sink.until(lambda: len(sink.packets) == counters.sent)
    assert sink.program_stream().count(b"\x00\x00\x01\xba") == counters.pictures
    with av.open(io.BytesIO(sink.program_stream()), format="mpeg") as container:
        assert sum(1 for _ in container.decode(video=0)) >= 3


async def test_all_packets_of_a_picture_share_a_timestamp_and_the_last_has_the_marker(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    await camera(platform, studio, devices)
    await play(platform, sink.port)
    await sink.until(lambda: sum(packet.marker for packet in sink.packets) >= 6)
    pictures: dict[int, list[bool]] = {}
    for packet in sink.packets:
        pictures.setdefault(packet.timestamp, []).append(packet.marker)
    whole = list(pictures.values())[:6]
    assert all(markers == [False] * (len(markers) - 1) + [True] for markers in whole)
    stamps = list(pictures)[:6]
    assert {(b - a) % (1 << 32) for a, b in itertools.pairwise(stamps)} == {18_000}


async def test_receiver_reports_are_counted(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices)
    await play(platform, sink.port)
    await sink.until(lambda: len(sink.reports) > 0)
    sink.send_report(bytes.fromhex("81c90007" + "00" * 28))
    async with asyncio.timeout(PATIENCE_S):
        while device.statistics.streams[-1].counters.receiver_reports != 1:
            await asyncio.sleep(0.005)


async def test_without_receiver_reports_a_strict_camera_hangs_up(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices, rtcp_strict_s=0.2)
    answer = await play(platform, sink.port)
    bye = await take(platform.byes)
    assert bye.headers["call-id"] == "c1"
    assert bye.headers["from"] == answer.headers["to"]
    assert bye.headers["to"] == answer.headers["from"]
    assert device.statistics.streams[-1].ended == "no_rtcp"


async def test_what_is_dropped_and_swapped_is_counted_exactly(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink, tmp_path: Path
) -> None:
    file = small_file(tmp_path, 100)
    device = await camera(platform, studio, devices, ps_file=file, once=True, loss=0.05, reorder=0.05)
    await play(platform, sink.port)
    await take(platform.byes)
    record = device.statistics.streams[-1]
    counters = record.counters
    await sink.until(lambda: len(sink.packets) >= counters.sent)
    total = sum(-(-len(data) // 1400) for data, _ in file.packs)
    assert counters.sent + counters.dropped == total
    assert len(sink.packets) == counters.sent
    start = record.figures()["first_sequence"]
    assert isinstance(start, int)
    numbers = [(packet.sequence - start) % 65_536 for packet in sink.packets]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) + 1 - len(numbers) == counters.lost > 0
    assert record.figures()["sequence_span"] == max(numbers) + 1
    assert sum(a > b for a, b in itertools.pairwise(numbers)) == counters.swapped > 0
    assert record.ended == "file_end"


async def test_a_file_arrives_byte_for_byte_over_udp(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink, tmp_path: Path
) -> None:
    file = small_file(tmp_path)
    device = await camera(platform, studio, devices, ps_file=file, once=True, reorder=0.1)
    await play(platform, sink.port)
    await take(platform.byes)
    await sink.until(lambda: len(sink.packets) == device.statistics.streams[-1].counters.sent)
    assert sink.program_stream() == (tmp_path / "small.ps").read_bytes()


@asynccontextmanager
async def tcp_collector() -> AsyncIterator[tuple[int, bytearray, asyncio.Event]]:
    """A media server that waits for the device; whole framed stream and the end of the connection."""
    collected, is_over = bytearray(), asyncio.Event()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            collected.extend(data)
        is_over.set()
        writer.close()

    server = await asyncio.start_server(collect, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], collected, is_over


def unframed(stream: bytes) -> list[bytes]:
    packets, at = [], 0
    while at < len(stream):
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        packets.append(stream[at + 2 : end])
        at = end
    return packets


async def test_a_file_arrives_byte_for_byte_over_tcp_that_the_device_opens(
    tcp_platform: Platform, studio: Studio, devices: list[SimulatedDevice], tmp_path: Path
) -> None:
    await camera(tcp_platform, studio, devices, ps_file=small_file(tmp_path), once=True, loss=0.1, reorder=0.1)
    async with tcp_collector() as (port, collected, is_over):
        answer = await play(tcp_platform, port, setup="passive")
        assert "a=setup:active" in answer.text.split("\r\n")
        assert re.search(r"m=video \d+ TCP/RTP/AVP 96\r\n", answer.text)
        await take(tcp_platform.byes)
        async with asyncio.timeout(PATIENCE_S):
            await is_over.wait()
    packets = unframed(bytes(collected))
    reports = [packet for packet in packets if packet[1] == 200]
    media = [rtp(packet) for packet in packets if packet[1] not in (200, 203)]
    assert b"".join(packet.payload for packet in media) == (tmp_path / "small.ps").read_bytes()
    assert len(reports) >= 1


async def test_a_file_arrives_byte_for_byte_over_tcp_that_we_open(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], tmp_path: Path
) -> None:
    await camera(platform, studio, devices, ps_file=small_file(tmp_path), once=True)
    platform.send(platform.invite(CHANNEL, "c1", 9, setup="active"))
    answer = await platform.final("INVITE")
    assert "a=setup:passive" in answer.text.split("\r\n")
    port = re.search(r"m=video (\d+)", answer.text)
    assert port is not None
    platform.acknowledge(answer, CHANNEL)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port[1]))
    async with asyncio.timeout(PATIENCE_S):
        stream = await reader.read(-1)
    writer.close()
    media = [rtp(packet) for packet in unframed(stream) if packet[1] not in (200, 203)]
    assert b"".join(packet.payload for packet in media) == (tmp_path / "small.ps").read_bytes()


async def test_a_media_connection_that_ends_is_told_by_bye(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        await play(platform, server.sockets[0].getsockname()[1], setup="passive")
        await take(platform.byes)
    assert device.statistics.streams[-1].ended == "connection_lost"


async def test_the_answer_is_repeated_until_the_ack(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    await camera(platform, studio, devices)
    platform.send(platform.invite(CHANNEL, "c1", sink.port))
    first, second = await platform.final("INVITE"), await platform.final("INVITE")
    assert first.headers == second.headers
    platform.acknowledge(second, CHANNEL)
    await sink.until(lambda: len(sink.packets) > 0)


async def test_without_ack_the_device_hangs_up(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices)
    platform.send(platform.invite(CHANNEL, "c1", sink.port))
    await take(platform.byes)
    assert device.statistics.streams[-1].ended == "no_ack"
    assert sink.packets == []


async def test_cancel_ends_a_call_that_is_not_answered_yet(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    await camera(platform, studio, devices, answer_delay_s=30)
    platform.send(platform.invite(CHANNEL, "c1", sink.port))
    platform.send(platform.request("CANCEL", CHANNEL, "c1", branch="z9hG4bKINVITEc11"))
    assert (await platform.final("CANCEL")).status == 200
    assert (await platform.final("INVITE")).status == 487


async def test_the_same_sender_in_subject_restarts_the_stream(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices, streams_per_channel=1)
    await play(platform, sink.port, call_id="c1")
    await play(platform, sink.port, call_id="c2")
    assert [record.ended for record in device.statistics.streams] == ["replaced", ""]
    assert platform.byes.empty()


@pytest.mark.parametrize(
    ("target", "changes", "status"),
    [
        pytest.param("34020000001310009999", {}, 404, id="no-such-channel"),
        pytest.param(CHANNEL, {"operation": "Playback"}, 404, id="no-recordings"),
        pytest.param(CHANNEL, {"setup": "passive"}, 488, id="udp-only"),
        pytest.param(CHANNEL, {"port": 0}, 488, id="no-port"),
    ],
)
async def test_an_invite_that_cannot_be_met_is_refused(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], target: str, changes: dict[str, Any], status: int
) -> None:
    await camera(platform, studio, devices, media="udp")
    platform.send(
        platform.invite(target, "c1", changes.get("port", 30_000), **{k: v for k, v in changes.items() if k != "port"})
    )
    assert (await platform.final("INVITE")).status == status


async def test_one_stream_too_many_is_busy(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    await camera(platform, studio, devices, streams_per_channel=1)
    await play(platform, sink.port)
    platform.send(platform.invite(CHANNEL, "c2", sink.port, serial="0200000002"))
    assert (await platform.final("INVITE")).status == 486


async def test_bye_of_an_unknown_call_gets_481(platform: Platform, studio: Studio, devices: list[SimulatedDevice]) -> None:
    await camera(platform, studio, devices)
    platform.send(platform.request("BYE", CHANNEL, "none", to_tag="x"))
    assert (await platform.final("BYE")).status == 481


# -- faults of the device ----------------------------------------------------------------------------------------------


async def test_a_silent_camera_keeps_its_call_and_goes_on_with_the_present(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices)
    await play(platform, sink.port)
    await sink.until(lambda: len(sink.packets) > 0)
    device.go_silent()
    platform.send(platform.request("OPTIONS", CAMERA, "o1"))
    await platform.final("OPTIONS")
    sent = device.statistics.streams[-1].counters.sent
    platform.send(platform.request("OPTIONS", CAMERA, "o2"))
    await platform.final("OPTIONS")
    assert device.statistics.streams[-1].counters.sent == sent
    device.resume()
    await sink.until(lambda: len(sink.packets) > sent)


@pytest.mark.parametrize("kind", ["udp", "tcp"])
async def test_without_network_nothing_comes_and_afterwards_it_goes_on(
    kind: str, platform: Platform, tcp_platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    played = platform if kind == "udp" else tcp_platform
    device = await camera(played, studio, devices, keepalive_s=0.05)
    await take(played.keepalives)
    device.drop_network()
    while not played.keepalives.empty():
        played.keepalives.get_nowait()
    played.send(played.request("OPTIONS", CAMERA, "o1"))
    sent = device.statistics.keepalives_sent
    async with asyncio.timeout(PATIENCE_S):
        while device.statistics.keepalives_sent < sent + 2:
            await asyncio.sleep(0.005)
    assert played.keepalives.empty()
    assert played.responses.empty()
    device.resume()
    await take(played.keepalives)


async def test_after_teleboot_it_registers_with_new_ids_and_ports(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(platform, studio, devices)
    await play(platform, sink.port)
    before = await take(platform.registers)
    await take(platform.registers)
    platform.query("DeviceControl", 9, CAMERA, "<TeleBoot>Boot</TeleBoot>", root="Control")
    after = await take(platform.registers)
    assert after.headers["call-id"] != before.headers["call-id"]
    assert after.headers["contact"] != before.headers["contact"]
    assert device.statistics.streams[-1].ended == "switched_off"
    assert platform.byes.empty()


async def test_a_lost_sip_connection_is_opened_again_and_media_goes_on(
    tcp_platform: Platform, studio: Studio, devices: list[SimulatedDevice], sink: RtpSink
) -> None:
    device = await camera(tcp_platform, studio, devices)
    await play(tcp_platform, sink.port)
    before = await take(tcp_platform.registers)
    await take(tcp_platform.registers)
    tcp_platform.disconnect()
    after = await take(tcp_platform.registers)
    assert after.headers["call-id"] == before.headers["call-id"]
    count = len(sink.packets)
    await sink.until(lambda: len(sink.packets) > count)
    assert device.statistics.streams[-1].ended == ""
