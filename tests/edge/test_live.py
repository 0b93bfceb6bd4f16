"""Viewers over real sockets: joining, sharing, slowness, refusals, restarts."""

from __future__ import annotations

import asyncio
import io
import socket
from pathlib import Path

import aiohttp
import av
import pytest

from gb28181 import tokens
from gb28181.media import nal
from gb28181.messages import LOSS
from tests.edge.world import CHANNEL, DEVICE, KEY, Pump, encoded, program_stream, until


def without_sets(picture: bytes) -> bytes:
    return b"".join(nal.START_CODE + unit for unit in nal.split(picture) if unit[0] & 0x1F not in (7, 8))


async def read_for(content, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(20):
        while len(data) < size:
            data += await content.read(1 << 16)
    return data


def decoded(data: bytes, kind: str) -> tuple[str, int, list[int]]:
    """Codec, number of decoded pictures and decoding times of a cut-off FLV or TS."""
    with av.open(io.BytesIO(data), format=kind) as container:
        stream = container.streams.video[0]
        times, frames = [], 0
        for packet in container.demux(stream):
            if packet.dts is not None:
                times.append(packet.dts)
            try:
                frames += len(packet.decode())
            except av.error.InvalidDataError:
                break  # the last one is cut
        return stream.codec_context.name, frames, times


@pytest.mark.parametrize(
    ("codec", "suffix", "query", "kind"),
    [
        pytest.param("h264", ".flv", "", "flv", id="h264-flv"),
        pytest.param("h264", ".ts", "", "mpegts", id="h264-ts"),
        pytest.param("h265", ".flv", "", "flv", id="h265-enhanced-flv"),
        pytest.param("h265", ".ts", "", "mpegts", id="h265-ts"),
    ],
)
async def test_http_viewer_sees_decodable_pictures_in_rising_time(make_world, codec, suffix, query, kind):
    world = await make_world()
    async with Pump(world.ingest, codec), world.client.get(world.live(suffix, query=query)) as answer:
        assert answer.status == 200
        data = await read_for(answer.content, 60_000)
    name, frames, times = decoded(data, kind)
    assert name == {"h264": "h264", "h265": "hevc"}[codec]
    assert frames > 10
    assert times == sorted(set(times))


async def test_websocket_viewer_gets_the_flv_in_binary_messages(make_world):
    world = await make_world()
    async with Pump(world.ingest), world.client.ws_connect(world.live()) as viewer:
        data = b""
        while len(data) < 40_000:
            data += await viewer.receive_bytes(timeout=20)
    assert data.startswith(b"FLV\x01\x01")
    assert decoded(data, "flv")[1] > 10


async def test_old_players_get_h265_as_codec_12(make_world):
    world = await make_world()
    async with Pump(world.ingest, "h265"), world.client.get(world.live(query="&hevc=12")) as answer:
        data = await read_for(answer.content, 20_000)
    first_video = data.index(b"\x09", 13 + 11)  # after the script tag
    assert b"\x1c\x00\x00\x00\x00\x01" in data[first_video:200]


async def test_second_viewer_begins_with_the_pictures_at_hand(make_world):
    world = await make_world()
    pictures = program_stream(encoded("h264", frames=6, gop=30))
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    for data in pictures:
        world.ingest.send(data)
    async with await opening as first:
        whole = await read_for(first.content, sum(map(len, pictures)) // 2)
        # The stream stands still now: what the second one gets was kept.
        await until(lambda: world.edge.hub.channels[0].feeds["flv"].viewers)
        for suffix, kind in ((".flv", "flv"), (".ts", "mpegts")):
            async with world.client.get(world.live(suffix)) as second:
                data = await read_for(second.content, 2 * len(whole) // 3)
                assert decoded(data, kind)[1] >= 3
        assert len(world.ingest.watches) == 1


async def test_viewer_joins_a_recorded_stream_from_its_last_key_frame_on_disk(make_world, tmp_path: Path):
    world = await make_world()
    packs = program_stream(encoded("h264", frames=8, gop=30))
    # The name with .part is gone: the segment was closed before the edge could open it.
    (tmp_path / "1.ps").write_bytes(b"older" + b"".join(packs[:6]))
    world.ingest.beginning = (str(tmp_path / "1.ps.part"), 5, 5 + sum(map(len, packs[:6])))
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    for data in packs[6:]:
        world.ingest.send(data)
    async with await opening as answer:
        data = b""
        async with asyncio.timeout(20):
            while not data or decoded(data, "flv")[1] < 8:
                data += await answer.content.read(1 << 16)
    assert decoded(data, "flv")[1] == 8


async def test_parameter_sets_that_came_once_serve_who_comes_later(make_world, tmp_path: Path):
    """Q143: from the file where it begins with them, and from then on."""
    world = await make_world()
    packs = program_stream([without_sets(data) if number else data for number, data in enumerate(encoded("h264", gop=10))])
    head = sum(map(len, packs[:10]))
    (tmp_path / "1.ps.part").write_bytes(b"".join(packs[:12]))
    world.ingest.beginning = (str(tmp_path / "1.ps.part"), head, head + sum(map(len, packs[10:12])))
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    for data in packs[12:20]:
        world.ingest.send(data)
    async with await opening as answer:
        data = b""
        async with asyncio.timeout(20):
            while not data or decoded(data, "flv")[1] < 10:
                data += await answer.content.read(1 << 16)
        for pack in packs[20:]:
            world.ingest.send(pack)
        async with asyncio.timeout(20):
            while decoded(data, "flv")[1] < 20:
                data += await answer.content.read(1 << 16)
        async with world.client.get(world.live(".ts")) as later:
            assert decoded(await later.content.read(1 << 16), "mpegts")[1] >= 9


async def test_refused_link_says_why(make_world):
    world = await make_world()
    other = tokens.sign(KEY, "live", f"{DEVICE}/x", 1 << 40)
    segment = tokens.sign(KEY, "segment", f"{DEVICE}/{CHANNEL}", 1 << 40)
    for url, reason in (
        (world.live().split("?")[0], "missing"),
        (world.live().split("?")[0] + f"?token={other}", "something else"),
        (world.live().split("?")[0] + f"?token={segment}", "something else"),
        (world.live(expires_in=-5), "expired"),
    ):
        async with world.client.get(url) as answer:
            assert answer.status == 403
            error = (await answer.json())["error"]
            assert error["code"] == "link_refused"
            assert reason in error["message"]
    assert not world.ingest.watches


async def test_head_says_what_a_picture_would_be_and_opens_nothing(make_world):
    world = await make_world()
    url = world.live()
    async with world.client.head(url) as answer:
        assert (answer.status, answer.content_type) == (200, "video/x-flv")
    async with world.client.head(world.url + f"/media/live/{DEVICE}/{CHANNEL}.flv") as answer:
        assert answer.status == 403
    assert not list(world.edge.hub.channels)


async def test_viewers_are_told_that_the_server_stops_in_their_language(make_world):
    world = await make_world()
    async with world.client.ws_connect(world.live(), headers={"Accept-Language": "zh"}) as socket:
        await world.ingest.watched.wait()
        stopping = asyncio.ensure_future(world.edge.stop())
        while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            pass
        assert message.extra == "服务器正在停止"
    await stopping


async def test_path_that_is_no_picture_is_404(make_world):
    world = await make_world()
    for path in ("/media/live/a/b.mp4", "/media/live/a/b", "/media/live/a%2f..%2fb/c.flv", "/media/other"):
        async with world.client.get(world.url + path) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "not_found"


async def test_viewer_beyond_the_cap_gets_503(make_world):
    world = await make_world(max_viewers=1)
    async with Pump(world.ingest), world.client.get(world.live()) as first:
        assert first.status == 200
        async with world.client.get(world.live()) as second:
            assert second.status == 503
            assert (await second.json())["error"]["code"] == "viewers_full"


async def test_viewers_are_reported_and_the_watch_ends_after_the_last_one_left(make_world):
    world = await make_world()
    async with Pump(world.ingest):
        async with world.client.get(world.live()) as answer:
            await read_for(answer.content, 1000)
            await until(lambda: ((DEVICE, CHANNEL, 1),) in world.control.viewers)
        await until(lambda: world.control.viewers[-1] == ())
        async with asyncio.timeout(20):
            await world.ingest.idle.wait()
    assert not world.edge.hub.channels


async def test_missing_stream_is_asked_for_and_shown_once_it_runs(make_world):
    world = await make_world()
    world.ingest.has_stream = False
    async with Pump(world.ingest):
        opening = asyncio.ensure_future(world.client.get(world.live()))
        await until(lambda: world.control.wanted)
        assert world.control.wanted[0] == (DEVICE, CHANNEL)
        world.ingest.has_stream = True
        async with await opening as answer:
            assert answer.status == 200
            await read_for(answer.content, 10_000)


async def test_stream_that_ends_after_its_last_viewer_left_is_not_asked_for_again(make_world):
    world = await make_world()
    async with Pump(world.ingest), world.client.get(world.live()) as answer:
        await read_for(answer.content, 10_000)
    await until(lambda: not world.edge.hub.viewers)
    world.ingest.has_stream = False
    world.ingest.end()
    # The channel lingers and looks for its stream; who comes meanwhile has it asked for at once.
    await asyncio.wait_for(world.ingest.asked.wait(), 20)
    world.ingest.asked.clear()
    await asyncio.wait_for(world.ingest.asked.wait(), 20)  # the second time: what the first one led to has been told
    assert not world.control.wanted
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await until(lambda: world.control.wanted)
    (await opening).close()  # the channel answers with the pictures that it kept


async def test_viewer_stays_while_the_stream_begins_anew(make_world):
    world = await make_world()
    async with Pump(world.ingest), world.client.get(world.live()) as answer:
        data = await read_for(answer.content, 30_000)
        world.ingest.end("silent")
        data += await read_for(answer.content, 30_000)
        await world.ingest.stop()
        await world.ingest.start()
        data += await read_for(answer.content, 60_000)
    _, frames, times = decoded(data, "flv")
    assert frames > 20
    assert times == sorted(set(times))


async def test_lost_bytes_cost_a_picture_and_not_the_stream(make_world):
    world = await make_world()
    packs = program_stream(encoded("h264", frames=20, gop=30))
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    for number, data in enumerate(packs):
        if number == 5:
            world.ingest.send(data[200:], flags=LOSS)
        else:
            world.ingest.send(data)
    async with await opening as answer:
        data = b""
        async with asyncio.timeout(20):
            while not data or len(decoded(data, "flv")[2]) < 19:
                data += await answer.content.read(1 << 16)
    assert len(decoded(data, "flv")[2]) == 19


async def test_slow_viewer_is_set_back_to_a_key_frame_and_nobody_waits_for_it(make_world):
    world = await make_world(viewer_buffer_bytes=1 << 16)
    target = world.live()
    reader = socket.create_connection(("127.0.0.1", world.edge.port))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    noise = [b"\x00\x00\x00\x01\x06" + b"\x55" * 40_000 + picture for picture in encoded("h264", frames=10, gop=10)]
    packs = program_stream(noise)
    with reader:
        reader.sendall(f"GET {target.removeprefix(world.url)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await world.ingest.watched.wait()
        for data in packs:
            world.ingest.send(data)
        async with world.client.get(target) as quick:
            got = 0
            turn = 1
            async with asyncio.timeout(30):
                while got < 12_000_000:
                    for data in program_stream(noise, start=90_000 + turn * 36_000):
                        world.ingest.send(data)
                    turn += 1
                    await asyncio.sleep(0)
                    got += len(await quick.content.read(1 << 20))
            slow = max(world.edge.hub.channels[0].feeds["flv"].viewers, key=lambda viewer: viewer.skips)
            assert slow.skips >= 1
            assert slow.sent < 12_000_000
            assert slow._transport.get_write_buffer_size() < 10 * 40_000 * 11


async def test_stream_without_pictures_is_explained(make_world, monkeypatch):
    monkeypatch.setattr("gb28181.edge.channel.PICTURE_S", 0.5)
    world = await make_world()
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    world.ingest.send(b"\x47" + bytes(187) * 20)
    async with await opening as answer:
        assert answer.status == 503
        error = (await answer.json())["error"]
        assert error["code"] == "no_picture"
        assert "no program stream" in error["message"]


async def test_stream_of_sound_alone_is_explained(make_world, monkeypatch):
    monkeypatch.setattr("gb28181.edge.channel.PICTURE_S", 0.5)
    world = await make_world()
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    pack = bytes.fromhex("000001ba440004000401013883f8 000001c000a8 80800521000101f9") + b"\xd5" * 160
    for _ in range(10):
        world.ingest.send(pack)
    async with await opening as answer:
        assert answer.status == 503
        assert "sound and no pictures" in (await answer.json())["error"]["message"]


async def test_noise_that_looks_like_a_key_picture_is_no_picture(make_world, monkeypatch):
    """Q145: the sets are those of a camera, the slice refers to others."""
    monkeypatch.setattr("gb28181.edge.channel.PICTURE_S", 0.5)
    world = await make_world()
    opening = asyncio.ensure_future(world.client.get(world.live()))
    await world.ingest.watched.wait()
    (picture,) = encoded("h264", frames=1, gop=1)
    sets = b"".join(nal.START_CODE + unit for unit in nal.split(picture) if unit[0] & 0x1F in (7, 8))
    for data in program_stream([sets + b"\x00\x00\x00\x01\x65\x88\x20" + b"\x77" * 500] * 4):
        world.ingest.send(data)
    async with await opening as answer:
        assert answer.status == 503
        assert "without parameter sets" in (await answer.json())["error"]["message"]


async def test_websocket_without_a_stream_is_closed_with_the_reason(make_world, monkeypatch):
    monkeypatch.setattr("gb28181.edge.channel.FIRST_S", 0.3)
    world = await make_world(ingest=False)
    async with world.client.ws_connect(world.live()) as viewer:
        message = await viewer.receive(timeout=20)
        assert viewer.close_code == 1013
        assert "no ingest process" in str(message.extra)


async def test_edge_figures_are_served(make_world):
    world = await make_world()
    async with Pump(world.ingest), world.client.get(world.live()) as answer:
        await read_for(answer.content, 1000)
        async with world.client.get(world.url + "/metrics/edge") as figures:
            text = await figures.text()
    assert "gb28181_edge_viewers 1.0" in text
    assert "gb28181_edge_ingests 1.0" in text
