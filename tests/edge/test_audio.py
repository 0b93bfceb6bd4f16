"""Sound: what the encoder is given, how it joins over entries, and what players find in FLV and TS."""

from __future__ import annotations

import asyncio
import io
import itertools

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.edge import audio
from gb28181.edge.audio import FRAME, SoundFrame, SoundTrack, SoundUnit, adts, entry_sound, joined
from gb28181.edge.timeline import Timeline
from gb28181.edge.ts import TsMuxer
from gb28181.media.flv import FlvMuxer
from gb28181.sim import ps, tone
from tests.edge.world import encoded

#: 25 packets of 40 ms a second.
STEP = 3600


def packets(seconds: float, *, codec="g711a", start: int = 0) -> list[SoundUnit]:
    return [SoundUnit(codec, start + n * STEP, tone.frame(n)) for n in range(int(seconds * 25))]


def decoded(specific: bytes, frames: list[SoundFrame]) -> np.ndarray:
    """Samples as FFmpeg hears them; the first frame stands at 0."""
    context = av.CodecContext.create("aac", "r")
    context.extradata = specific
    out = [frame for packet in frames for frame in context.decode(av.Packet(packet.data))]
    out += context.decode(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in out])


def pcm_of(units: list[SoundUnit]) -> np.ndarray:
    return np.concatenate([audio._G711[unit.codec][np.frombuffer(unit.data, np.uint8)] for unit in units])


def fed(track: SoundTrack, units: list[SoundUnit]) -> list[SoundFrame]:
    return [frame for unit in units for frame in track.feed(unit)]


@pytest.mark.parametrize(("codec", "name"), [("g711a", "pcm_alaw"), ("g711u", "pcm_mulaw")])
def test_every_code_of_g711_has_the_value_that_ffmpeg_gives_it(codec, name):
    context = av.CodecContext.create(name, "r")
    context.sample_rate, context.layout = 8000, "mono"
    (frame,) = context.decode(av.Packet(bytes(range(256))))
    assert np.array_equal(np.round(audio._G711[codec] * 32768).astype(int), frame.to_ndarray()[0])


def test_frames_stand_1024_samples_apart_and_sound_as_before():
    units, track = packets(8), SoundTrack()
    frames = fed(track, units) + track.flush()
    assert [frame.sample for frame in frames] == [(n - 1) * FRAME for n in range(len(frames))]
    heard, meant = decoded(track.config.specific, frames)[FRAME:], pcm_of(units)
    size = min(len(heard), len(meant)) // 8000 * 8000
    spectrum = np.abs(np.fft.rfft(heard[:size])) * 8000 / size
    assert abs(int(spectrum.argmax()) * 8000 / size - 440) < 2
    assert np.corrcoef(heard[:size], meant[:size])[0, 1] > 0.97


# --- entries of a playlist --------------------------------------------------------------------------------------------


def entries(groups: list[list[SoundUnit]], cuts: list[int]) -> list[tuple]:
    out = []
    for begin, end in zip(cuts, [*cuts[1:], len(groups)], strict=True):
        out.append(entry_sound(groups[max(0, begin - 1) : begin], groups[begin:end], last=end == len(groups)))
    return out


def test_entries_join_without_hole_or_overlap():
    units = packets(24)
    groups = [units[at : at + 50] for at in range(0, len(units), 50)]
    joined = [frame for _, frames in entries(groups, [0, 3, 6, 9]) for frame in frames]
    assert [frame.sample for frame in joined] == [n * FRAME for n in range(len(joined))]
    assert len(joined) == -(-len(pcm_of(units)) // FRAME)


def test_nothing_clicks_where_entries_join():
    units = packets(24)
    groups = [units[at : at + 50] for at in range(0, len(units), 50)]
    made = entries(groups, [0, 3, 6, 9])
    config, whole = entry_sound([], groups, last=True)
    alone, joined = (decoded(config.specific, frames) for frames in (whole, [frame for _, frames in made for frame in frames]))
    meant = pcm_of(units)
    size = len(meant) // FRAME * FRAME
    error = [np.sqrt(np.square(heard[:size] - meant[:size]).reshape(-1, FRAME).mean(axis=1)) for heard in (alone, joined)]
    for _, frames in made[1:]:
        border = frames[0].sample // FRAME
        # The frames on both sides hold the border between them; they are as near to the truth as in one run.
        assert error[1][border - 1 : border + 1].max() < 2 * np.percentile(error[0], 60) + 1e-3


def test_an_entry_is_the_same_on_every_request():
    units = packets(6)
    groups = [units[:50], units[50:100], units[100:]]
    assert entry_sound(groups[:1], groups[1:2], last=False) == entry_sound(groups[:1], groups[1:2], last=False)


def test_jitter_of_stamps_within_a_group_is_not_heard():
    rng = np.random.default_rng(3)
    units = [unit._replace(at_90k=unit.at_90k + int(rng.integers(-2000, 2000))) for unit in packets(8)]
    units[0] = units[0]._replace(at_90k=0)
    smooth, rough = (entry_sound([], [found], last=True) for found in (packets(8), units))
    assert smooth == rough


def test_groups_that_are_a_few_samples_apart_still_join():
    units = packets(12)
    groups = [[unit._replace(at_90k=unit.at_90k + 23 * (n % 3)) for unit in units[n * 50 : n * 50 + 50]] for n in range(6)]
    joined = [frame.sample for _, frames in entries(groups, [0, 2, 4]) for frame in frames]
    assert joined == [n * FRAME for n in range(len(joined))]


def test_entry_without_sound_has_none():
    assert entry_sound([], [[], []], last=True) is None


def test_group_without_sound_is_silence_inside_an_entry():
    units = packets(6)
    config, frames = entry_sound([], [units[:50], [], units[100:]], last=True)
    heard = decoded(config.specific, frames)
    assert np.abs(heard[8000 * 2 + 3000 : 8000 * 4 - 3000]).max() < 0.01
    assert np.abs(heard[8000 * 4 + 2000 :]).max() > 0.03


def test_a_clock_that_jumps_by_a_day_asks_for_no_day_of_silence():
    units = packets(1)
    wild = [*units, units[-1]._replace(at_90k=86_400 * 90_000)]
    assert len(entry_sound([], [wild], last=True)[1]) < 5000


# --- along a stream ---------------------------------------------------------------------------------------------------


def test_a_hole_becomes_silence_and_a_longer_one_a_step():
    units, track = packets(10), SoundTrack()
    frames = fed(track, units[:50] + units[60:100] + units[200:]) + track.flush()
    places = [frame.sample for frame in frames]
    holes = [later - before for before, later in itertools.pairwise(places) if later - before != FRAME]
    assert len(holes) == 1
    assert holes[0] > 8000 * 3


def test_sound_that_comes_twice_is_given_once():
    units, track = packets(4), SoundTrack()
    places = [frame.sample for frame in fed(track, units[:75] + units[50:])]
    assert places == sorted(set(places))
    assert len(places) >= 28


def test_silence_takes_the_place_of_sound_that_ended():
    units, track = packets(2), SoundTrack()
    fed(track, units)
    frames = track.keep_up(5 * 90_000)
    assert track.end_90k == 5 * 90_000
    assert len(frames) > 20


def test_aac_passes_through_however_it_is_cut():
    track = SoundTrack()
    frames = fed(track, packets(4)) + track.flush()
    stream = b"".join(adts(track.config.specific, frame.data) for frame in frames)
    with av.open(io.BytesIO(stream), format="aac") as container:
        assert container.streams.audio[0].rate == 8000
    cut, passed = SoundTrack(), []
    for at in range(0, len(stream), 301):
        passed += cut.feed(SoundUnit("aac", at * 60, stream[at : at + 301]))
    assert [frame.data for frame in passed] == [frame.data for frame in frames]
    assert cut.config.rate == 8000
    assert all(later.sample - before.sample >= FRAME for before, later in itertools.pairwise(passed))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["aac", "g711a", "g711u", "g729"]), st.integers(-(1 << 34), 1 << 34), st.binary(max_size=400)
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_hostile_sound_gives_rising_frames_and_never_fails(items):
    track = SoundTrack()
    frames = fed(track, [SoundUnit(*item) for item in items])
    rates = {track.config.rate} if track.config else set()
    frames += track.flush()
    if len(rates) <= 1 and not any(item[0] == "aac" for item in items):
        assert all(later.sample - before.sample >= FRAME for before, later in itertools.pairwise(frames))
    entry_sound([], [[SoundUnit(*item) for item in items if item[0] == "g711a"]], last=True)


def test_sound_stands_beside_the_pictures_on_their_timeline():
    timeline = Timeline()
    assert timeline.place(90_000, 0) is None
    timeline.stamp(900_000, 900_000, 0)
    assert timeline.place(901_000, 0) - timeline.place(900_000, 0) == 1000
    assert timeline.place(900_000, 0) == 0
    # Sound with a clock of its own goes with the newest picture.
    assert timeline.place(77 * 90_000_000, 0) == 0


def test_joined_packets_sound_the_same():
    units = [*packets(4)[:60], *packets(4)[70:], *packets(1, codec="g711u", start=4 * 90_000)]
    few = joined(units)
    assert len(few) == 3
    assert fed(SoundTrack(), few) == fed(SoundTrack(), units)


# --- FLV and TS -------------------------------------------------------------------------------------------------------


def muxed(muxer, seconds: int = 4, *, sound_from: int = 0) -> list[bytes]:
    track, out = SoundTrack(), []
    pictures = encoded("h264", frames=seconds * 25, gop=25)
    for n, (picture, unit) in enumerate(zip(pictures, packets(seconds), strict=True)):
        out.append(muxer.write(picture, n * STEP, n * STEP, is_key=n % 25 == 0))
        if n >= sound_from:
            out += [muxer.sound(f.data, f.sample * 90 // 8, track.config.specific) for f in track.feed(unit)]
    return out


@pytest.mark.parametrize(("kind", "name"), [(FlvMuxer, "flv"), (TsMuxer, "mpegts")])
@pytest.mark.parametrize("sound_from", [0, 50])
def test_players_find_pictures_and_sound_that_fit_together(kind, name, sound_from):
    muxer = kind("h264")
    parts = muxed(muxer, sound_from=sound_from)
    body = b"".join(parts) if name == "mpegts" else muxer.header() + b"".join(parts)
    with av.open(io.BytesIO(body), format=name) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        seen = {"video": [], "audio": []}
        for frame in container.decode():
            seen["video" if isinstance(frame, av.VideoFrame) else "audio"].append(frame.time)
    assert len(seen["video"]) == 100
    first = seen["video"][0]
    assert seen["audio"][0] - first == pytest.approx(sound_from / 25, abs=0.15)
    assert len(seen["audio"]) >= (4 - sound_from / 25) * 8000 / FRAME - 5
    steps = np.diff(seen["audio"])
    assert steps.min() > 0.12
    assert steps.max() < 0.14


def test_track_is_declared_by_its_first_frame_only():
    flv, ts = FlvMuxer("h264"), TsMuxer("h264")
    for muxer in (flv, ts):
        assert muxer.sound(b"frame", 0, b"\x15\x88") == b""
        muxer.write(encoded("h264", frames=1)[0], 0, 0, is_key=True)
    assert flv.header()[4] == 1
    before = ts.header()
    for muxer in (flv, ts):
        assert muxer.sound(b"", 0, b"\x15\x88")
    assert flv.header()[4] == 5
    assert ts.header() != before


# --- through the edge -------------------------------------------------------------------------------------------------


def recorded_stream(seconds: int, *, declared: bool = True, sound: bool = True) -> list[bytes]:
    muxer = ps.Muxer("h264", 1000, audio=declared)
    return [
        muxer.pack(
            picture,
            90_000 + n * STEP,
            is_key=n % 25 == 0,
            audio=[(90_000 + n * STEP, tone.frame(n))] if sound else [],
        )
        for n, picture in enumerate(encoded("h264", frames=seconds * 25, gop=25))
    ]


def pictures_in_ts(body: bytes) -> int:
    return body.count(b"\x00\x00\x01\xe0")


def pictures_in_flv(body: bytes) -> int:
    at, found = 13, 0
    while at + 13 <= len(body):
        found += body[at] == 9 and body[at + 12] == 1
        at += 15 + int.from_bytes(body[at + 1 : at + 4], "big")
    return found


async def watched(world, packs: list[bytes], suffix: str = ".flv", *, pictures: int = 0) -> bytes:
    """What a viewer gets who was there before the first picture, up to the last one or so many of them."""
    count = pictures_in_flv if suffix == ".flv" else pictures_in_ts

    async def send() -> None:
        await world.ingest.watched.wait()
        for pack in packs:
            world.ingest.send(pack)
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        async with world.client.get(world.live(suffix)) as answer:
            body = b""
            async with asyncio.timeout(20):
                while count(body) < (pictures or len(packs)):
                    body += await answer.content.read(1 << 16)
    return body


def streams_of(body: bytes, name: str) -> dict[str, int]:
    """Decoded frames of each codec; the last packet may be cut."""
    counts: dict[str, int] = {}
    with av.open(io.BytesIO(body), format=name) as container:
        counts = {stream.codec_context.name: 0 for stream in container.streams}
        for packet in container.demux():
            try:
                counts[packet.stream.codec_context.name] += len(packet.decode())
            except av.error.FFmpegError:
                break
    return counts


@pytest.mark.parametrize(("suffix", "name"), [(".flv", "flv"), (".ts", "mpegts")])
async def test_viewer_hears_the_camera(make_world, suffix, name):
    world = await make_world()
    body = await watched(world, recorded_stream(4), suffix)
    counts = streams_of(body, name)
    assert counts["h264"] > 80
    assert counts["aac"] > 20


async def test_sound_that_is_announced_and_never_comes_costs_a_second(make_world):
    world = await make_world()  # quirk Q134
    # All comes in less than the second; who waited begins with the last key frame.
    body = await watched(world, recorded_stream(4, sound=False), pictures=25)
    assert body[4] == 1
    assert streams_of(body, "flv") == {"h264": 25}


async def test_sound_that_comes_unannounced_is_added(make_world):
    world = await make_world()  # quirk Q130
    packs = recorded_stream(4, declared=False)
    body = await watched(world, packs)
    assert streams_of(body, "flv")["aac"] > 20
