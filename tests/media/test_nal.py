"""NAL units: splitting, parameter sets, picture sizes, configuration records."""

from __future__ import annotations

import random
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.media import nal
from gb28181.media.nal import ParameterSets


def encoded(codec: str, width: int, height: int, **options: str) -> tuple[bytes, bytes]:
    """One key frame of a real encoder as Annex B, and the configuration record that FFmpeg makes of it."""
    context = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, "yuv420p", Fraction(1, 25)
    context.options = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1", **options}
    frame = av.VideoFrame(width, height, "yuv420p")
    frame.pts = 0
    packets = [*context.encode(frame), *context.encode(None)]
    return bytes(packets[0]), context.extradata


def sets_of(codec: nal.VideoCodec, data: bytes) -> ParameterSets:
    sets = ParameterSets(codec)
    for unit in nal.split(data):
        sets.see(nal.nal_type(codec, unit), unit)
    return sets


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize(("width", "height"), [(704, 576), (1920, 1080), (1280, 720), (640, 360), (178, 146)])
def test_picture_size_with_cropping(codec, width, height):
    data, _ = encoded(codec, width, height)
    sets = sets_of(codec, data)
    assert sets.info is not None
    assert (sets.info.width, sets.info.height) == (width, height)


def test_picture_size_of_interlaced_frames():
    data, _ = encoded("h264", 720, 576, **{"x264-params": "interlaced=1"})
    info = sets_of("h264", data).info
    assert info is not None
    assert (info.width, info.height, info.interlaced) == (720, 576, True)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("h264", {"profile": "baseline"}),
        ("h264", {"profile": "main"}),
        ("h264", {"profile": "high", "preset": "medium"}),
        ("h265", {}),
    ],
)
def test_a_decoder_takes_the_configuration_record(codec, options):
    data, _ = encoded(codec, 320, 240, **options)
    sets = sets_of(codec, data)
    decoder = av.CodecContext.create({"h264": "h264", "h265": "hevc"}[codec], "r")
    decoder.extradata = sets.configuration()
    sample = b"".join(
        len(unit).to_bytes(4, "big") + unit
        for unit in nal.split(data)
        if nal.nal_type(codec, unit) not in (7, 8, 9, 32, 33, 34, 35)
    )
    frames = [*decoder.decode(av.Packet(sample)), *decoder.decode(None)]
    assert [(frame.width, frame.height) for frame in frames] == [(320, 240)]


def test_avcc_byte_for_byte():
    sps, pps = bytes.fromhex("6742c01e95a8280f68404000000300400000 0ca3c58b65 80".replace(" ", "")), bytes.fromhex("68ce3c80")
    sets = ParameterSets("h264")
    assert sets.configuration() == b""
    assert sets.see(nal.H264_SPS, sps)
    assert sets.see(nal.H264_PPS, pps)
    assert not sets.see(nal.H264_SPS, sps)
    assert sets.configuration() == b"\x01\x42\xc0\x1e\xff\xe1" + len(sps).to_bytes(2, "big") + sps + b"\x01\x00\x04" + pps


def test_new_picture_size_forgets_what_described_the_old_one():
    first, second = sets_of("h264", encoded("h264", 320, 240)[0]), encoded("h264", 640, 480)[0]
    before = first.configuration()
    for unit in nal.split(second):
        first.see(nal.nal_type("h264", unit), unit)
    assert first.info is not None
    assert first.info.width == 640
    assert first.configuration() == sets_of("h264", second).configuration() != before


def test_split_takes_both_start_codes_and_trailing_zeros():
    data = b"junk\x00\x00\x01\x67\x01\x00\x00\x00\x00\x01\x68\x02\x00\x00\x01\x00\x00\x01\x65"
    assert list(nal.split(data)) == [b"\x67\x01", b"\x68\x02", b"\x65"]


@pytest.mark.parametrize(
    ("octets", "codec"),
    [
        ("6742", "h264"),
        ("274d", "h264"),
        ("4764", "h264"),
        ("6799", None),  # no such profile
        ("4001", "h265"),
        ("4201", "h265"),
        ("2601", None),  # an IDR of H.265, or an SEI of H.264
        ("419a", None),
    ],
)
def test_probe(octets, codec):
    first, second = bytes.fromhex(octets)
    assert nal.probe(first, second) == codec


@pytest.mark.parametrize(("codec", "kinds"), [("h264", {5}), ("h265", {16, 17, 18, 19, 20, 21, 22, 23})])
def test_key_frames_are_idr_and_irap(codec, kinds):
    assert {kind for kind in range(32) if nal.is_key(codec, kind)} == kinds


@given(st.sampled_from(["h264", "h265"]), st.binary(max_size=60))
def test_no_parameter_set_raises(codec, body):
    nal.sequence_info(codec, body)
    sets = ParameterSets(codec)
    for kind in range(64):
        sets.see(kind, b"\x67" + body)
    sets.configuration()


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=40))
def test_sets_are_bounded(bodies):
    sets = ParameterSets("h264")
    for body in bodies:
        sets.see(nal.H264_PPS, b"\x68" + body)
    assert len(sets._pps) <= ParameterSets.MAX_SETS


def test_the_first_sequence_is_found_behind_pack_header_and_map():
    """Spec 05 §4: the whole mini key frame; its sequence parameter set is a stub that tells no size."""
    frame = bytes.fromhex(
        "000001BA440016FC8401013883F8000001BB000C809C4105E17FE0E800C0C200000001BC0012E0FF000000081BE0000090C00000FEDFB1D7"
        "000001E00020848005210005BF21000000016742C01E0000000168CE3C80000000016588843A"
    )
    assert nal.first_sequence(frame) == ("h264", bytes.fromhex("6742C01E"))
    assert nal.first_sequence(frame[:60]) is None
    assert nal.first_sequence(b"") is None


@pytest.mark.parametrize(("codec", "options"), [("h264", {}), ("h265", {}), ("h264", {"x264-params": "slices=4"})])
def test_sets_describe_the_picture_that_refers_to_them(codec, options):
    data, _ = encoded(codec, 320, 240, **options)
    sets = sets_of(codec, data)
    assert sets.describe(data)
    assert not sets.describe(b"\x00\x00\x00\x01" + (b"\x65\x88\x20\x11" if codec == "h264" else b"\x26\x01\x81\x11"))
    assert not ParameterSets(codec).describe(data)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_noise_is_no_parameter_set(codec):
    """Q145: an encrypted stream, whose bytes after a start code are anything."""
    chance = random.Random(5)
    begin = {"h264": (b"\x67\x42", b"\x68"), "h265": (b"\x42\x01", b"\x44\x01")}[codec]
    believed = 0
    for _ in range(300):
        sets = ParameterSets(codec)
        for head in begin:
            unit = head + chance.randbytes(3000)
            sets.see(nal.nal_type(codec, unit), unit)
        believed += sets.info is not None or sets.complete
    assert not believed
