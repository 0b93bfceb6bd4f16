"""Program stream, sound and RTP of the simulator: bytes of the standard's examples, and what a decoder makes of them."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gb28181.errors import Invalid
from gb28181.sim import ps, rtp, tone
from gb28181.sim.encoder import Picture
from gb28181.sim.source import FileSource, FilmSource, PsFile
from gb28181.sim.studio import Studio
from tests.sim.conftest import SMALL

H265 = Picture("h265", 176, 144, 5, 200, 1.0)
FOOTAGE = Path(__file__).parents[2] / ".." / "shared" / "data" / "ps"


@pytest.mark.parametrize(
    ("scr", "rate", "extension", "octets"),
    [
        (0, 20000, 0, "000001ba440004000401013883f8"),
        (3600, 20000, 0, "000001ba440004708401013883f8"),
        (324000000, 20000, 0, "000001ba4534fec80401013883f8"),
        (90000, 6106, 150, "000001ba440016fc852d005f6bf8"),
        (0x123456789, 8192, 150, "000001ba6634573c4d2d008003f8"),
    ],
)
def test_pack_header(scr: int, rate: int, extension: int, octets: str) -> None:
    assert ps.pack_header(scr, rate, extension).hex() == octets


def test_system_header() -> None:
    assert ps.system_header(20000, audio=True).hex() == "000001bb000c809c4105e17fe0e800c0c200"


@pytest.mark.parametrize(
    ("kind", "audio", "octets"),
    [
        (0x1B, True, "000001bc0012e0ff000000081be0000090c00000fedfb1d7"),
        (0x1B, False, "000001bc000ee0ff000000041be00000f4dcbd45"),
    ],
)
def test_stream_map(kind: int, audio: bool, octets: str) -> None:
    assert ps.stream_map(kind, audio=audio).hex() == octets


@pytest.mark.parametrize("section", ["000001bc0012e0ff0000000824e000000fc00000eac5e41d"])
def test_crc_of_a_correct_section_leaves_nothing(section: str) -> None:
    assert ps.crc32(bytes.fromhex(section)) == 0


def test_video_pes() -> None:
    payload = bytes.fromhex("000000016742c01e0000000168ce3c80000000016588843a")
    assert ps.pes(0xE0, payload, 90000).hex() == "000001e0002084800521000 5bf21".replace(" ", "") + payload.hex()


def test_audio_pes() -> None:
    assert ps.pes(0xC0, b"\xd5" * 8, 90000).hex() == "000001c0001080800521000 5bf21".replace(" ", "") + "d5" * 8


def test_a_picture_longer_than_a_pes_packet_is_split() -> None:
    picture = b"\x00\x00\x00\x01\x65" + bytes(range(1, 251)) * 800
    pack = ps.Muxer("h264", 1000, audio=False).pack(picture, 90000, is_key=False, audio=[])
    at, found, lengths = 14, b"", []
    while at < len(pack):
        length = int.from_bytes(pack[at + 4 : at + 6], "big")
        lengths.append(length)
        found += pack[at + 9 + pack[at + 8] : at + 6 + length]
        at += 6 + length
    assert found == picture
    assert max(lengths) <= 65_535
    assert len(lengths) == 4


def test_times_wrap_at_33_bits() -> None:
    muxer = ps.Muxer("h264", 1000, audio=False)
    assert muxer.pack(b"x", (1 << 33) + 3600, is_key=False, audio=[])[:14] == ps.pack_header(0, muxer._rate)


def test_rtp_header() -> None:
    assert rtp.header(1, 90000, 200000001, marker=True).hex() == "80e0000100015f900bebc201"


def test_framed_packet() -> None:
    packet = (rtp.header(1, 90000, 200000001, marker=True), memoryview(bytes(94)))
    assert rtp.framed(packet)[:14].hex() == "006a80e0000100015f900bebc201"


def test_sender_report_counts_and_tells_the_time() -> None:
    report = rtp.sender_report(7, 1.5, 90000, 10, 1000)
    assert report[:28].hex() == "80c80006" + "00000007" + "83aa7e81" + "80000000" + "00015f90" + "0000000a" + "000003e8"
    assert len(report) % 4 == 0
    assert report[29] == 202


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        ("81c90007" + "00" * 28, 1),
        ("80c80006" + "00" * 24 + "81c90007" + "00" * 28, 1),
        ("81c90000" + "81c90000" + "0000", 1),
        ("", 0),
        ("ffff", 0),
        ("80600001000000010000000700", 0),
    ],
)
def test_receiver_reports_are_counted(packet: str, count: int) -> None:
    assert rtp.receiver_reports(bytes.fromhex(packet)) == count


def test_packets_are_cut_from_a_stream_at_any_place() -> None:
    stream = b"\x00\x03abc\x00\x00\x00\x01d"
    reader = rtp.FrameReader()
    assert [packet for octet in stream for packet in reader.feed(bytes([octet]))] == [b"abc", b"d"]


def test_the_same_seed_loses_the_same_packets() -> None:
    def run(seed: str) -> list[int]:
        impairment, counters = rtp.Impairment(0.1, 0.1, seed), rtp.Counters()
        packet = (b"", memoryview(b""))
        out = [number for n in range(500) for number, _ in impairment.admit(n, packet, counters)]
        out += [number for number, _ in impairment.flush()]
        assert len(out) == 500 - counters.dropped
        assert sum(a > b for a, b in pairwise(out)) == counters.swapped
        assert counters.dropped > 20
        assert counters.swapped > 20
        return out

    assert run("a") == run("a")
    assert run("a") != run("b")


def test_a_law_is_that_of_the_decoder() -> None:
    samples = np.arange(-32768, 32768, 7).astype(np.int16)
    decoder: Any = av.CodecContext.create("pcm_alaw", "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in decoder.decode(av.Packet(tone.alaw(samples)))])
    error = np.abs(decoded.astype(int) - samples)
    # Half a step: a step is a sixteenth of the segment, 16 in the lowest.
    assert np.all(error <= np.maximum(8, np.abs(samples.astype(int)) / 32 + 1))


def mux(source: FilmSource | FileSource, utc: float, packs: int) -> list[Any]:
    source.begin(utc)
    return [source.next() for _ in range(packs)]


@pytest.mark.parametrize("picture", [SMALL, H265], ids=["h264", "h265"])
async def test_a_demuxer_finds_every_picture_at_its_time(picture: Picture, studio: Studio) -> None:
    film = await studio.film(picture, "CAM 01")
    start = 1_795_350_840 + 40  # across the end of a minute
    packs = mux(FilmSource(film, "CAM 01", audio=True), start, 150)
    stream = b"".join(pack.data for pack in packs)
    with av.open(io.BytesIO(stream), format="mpeg", options={"probesize": "200000"}) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.codec_context.name == picture.codec.replace("h265", "hevc")
        assert audio.codec_context.name == "pcm_alaw"
        stamps: dict[str, list[int]] = {"video": [], "audio": []}
        decoded = 0
        for packet in container.demux():
            if packet.pts is not None:
                stamps[packet.stream.type].append(packet.pts)
            decoded += len(packet.decode()) if packet.stream is video else 0
    assert decoded == 150
    assert {b - a for a, b in pairwise(stamps["video"])} == {18_000}
    assert len(stamps["audio"]) >= 745
    assert packs[0].is_key
    assert packs[0].timestamp == start * 90_000


async def test_sound_is_complete_at_odd_frame_rates(studio: Studio) -> None:
    film = await studio.film(Picture("h264", 128, 96, 7, 100, 1.0), "CAM 01")
    packs = mux(FilmSource(film, "CAM 01", audio=True), 1_795_350_840, 14)
    assert b"".join(pack.data for pack in packs).count(b"\x00\x00\x01\xc0") == 50


def test_a_file_is_sent_byte_for_byte_again_and_again(tmp_path: Path) -> None:
    muxer = ps.Muxer("h264", 1000, audio=False)
    packs = [muxer.pack(b"\x00\x00\x00\x01\x65" + bytes([n]) * 50, 5000 + n * 3600, is_key=n == 0, audio=[]) for n in range(5)]
    path = tmp_path / "a.ps"
    path.write_bytes(b"".join(packs))
    sent = mux(FileSource(PsFile(path), once=False), 100.0, 12)
    assert [pack.data for pack in sent] == (packs * 3)[:12]
    assert [pack.timestamp for pack in sent] == [3600 * n for n in range(12)]
    assert mux(FileSource(PsFile(path), once=True), 100.0, 6)[5] is None


def test_a_pack_header_inside_sound_starts_no_pack(tmp_path: Path) -> None:
    muxer = ps.Muxer("h264", 1000, audio=True)
    sound = b"\x00\x00\x01\xba" * 80
    packs = [muxer.pack(b"\x00\x00\x00\x01\x65x", n * 3600, is_key=False, audio=[(n * 3600, sound)]) for n in range(3)]
    path = tmp_path / "a.ps"
    path.write_bytes(b"".join(packs))
    assert [data for data, _ in PsFile(path).packs] == packs


@pytest.mark.parametrize("content", [b"", b"not a stream", b"\x00\x00\x01\xe0"], ids=str)
def test_a_file_that_is_no_program_stream_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ps"
    path.write_bytes(content)
    with pytest.raises(Invalid):
        PsFile(path)


def test_a_file_cut_anywhere_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ps"
    pack = ps.Muxer("h264", 1000, audio=True).pack(b"\x00\x00\x00\x01\x65x", 0, is_key=True, audio=[(0, b"\xd5" * 320)])
    for end in range(4, len(pack)):
        path.write_bytes(pack + pack[:end])
        assert b"".join(data for data, _ in PsFile(path).packs) == pack + pack[:end]


def test_real_footage_is_paced_at_its_frame_rate() -> None:
    path = FOOTAGE / "ipc-d1-h264.ps"
    if not path.exists():
        pytest.skip("the shared footage is not there")
    file = PsFile(path)
    assert b"".join(data for data, _ in file.packs) == path.read_bytes()
    assert file.duration / 90_000 == pytest.approx(len(file.packs) / 25, rel=0.01)
