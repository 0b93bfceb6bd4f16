"""What was recorded is played back at the second asked for: playlist and stream, over segment borders and a gap."""

from __future__ import annotations

import asyncio
import io
import json
import re
import struct
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import av
import pytest

from gb28181.sim import barcode
from tests.e2e.cameras import cameras
from tests.e2e.platform import Platform, path_of, platform, poll, rfc3339

pytestmark = pytest.mark.e2e
SMALL = ("--size", "176x144", "--fps", "10", "--bitrate", "200", "--gop", "1")


async def fetched(server: Platform, path: str) -> bytes:
    assert server.client is not None
    async with server.client.get(server.url + path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


def seconds_off(shown: int | None, utc: float) -> int:
    """Seconds of the minute between what a picture shows and when it ought to have been taken."""
    assert shown is not None
    return min((shown - int(utc)) % 60, (int(utc) - shown) % 60)


async def played(server: Platform, path: str) -> list[tuple[float, int | None]]:
    """Wall clock by the playlist, and bar code, of every picture."""
    folder = path.rpartition("/")[0]
    out: list[tuple[float, int | None]] = []
    begin, clock = b"", 0.0
    for line in (await fetched(server, path)).decode().splitlines():
        if (found := re.match(r'#EXT-X-MAP:URI="(.*)"', line)) is not None:
            begin = await fetched(server, f"{folder}/{found[1]}")
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            clock = datetime.fromisoformat(line.partition(":")[2]).timestamp()
        elif line.endswith(".m4s"):
            with av.open(io.BytesIO(begin + await fetched(server, f"{folder}/{line}")), "r") as container:
                for frame in container.decode(video=0):
                    out.append((clock + float(frame.time), barcode.read(frame.to_ndarray(format="gray"))))
    return out


async def test_every_second_is_played_back_at_its_time(tmp_path: Path) -> None:
    async with platform(tmp_path, RECORDING__SEGMENT_SECONDS="5") as server:
        with cameras(server.sip_port, tmp_path, *SMALL):
            (channel,) = await server.online(1)
            await server.record(channel)
            await poll(lambda: segments(server, channel, 2), seconds=60, what="two segments", log=server.log)
            await server.record(channel, "off")
            await poll(lambda: segments(server, channel, 3), seconds=60, what="the end of the recording", log=server.log)
            await poll(lambda: silent(server, channel, 6), seconds=30, what="a gap", log=server.log)
            await server.record(channel)
            await poll(lambda: segments(server, channel, 4), seconds=60, what="a segment after the gap", log=server.log)
            rows = (await server.recordings(channel))["segments"]
            start, end = rows[0]["start"], rfc3339(time.time())
            opened = await server.call("POST", f"{path_of(channel)}/playback", {"start": start, "end": end})

            shown = await played(server, opened["urls"]["hls"])
            assert len(shown) > 150
            assert max(seconds_off(code, utc) for utc, code in shown) <= 1
            gaps = [after - before for (before, _), (after, _) in pairwise(shown)]
            assert sum(gap > 4 for gap in gaps) == 1
            assert max(gap for gap in gaps if gap <= 4) < 0.5  # over the borders of segments and entries

            await film(server, opened, rows)
            await nothing(server, channel)


async def segments(server: Platform, channel: dict[str, Any], count: int) -> bool:
    return len((await server.recordings(channel))["segments"]) >= count


async def silent(server: Platform, channel: dict[str, Any], seconds: float) -> bool:
    last = (await server.recordings(channel))["segments"][-1]
    return time.time() - datetime.fromisoformat(last["end"]).timestamp() > seconds


async def film(server: Platform, opened: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Seeks through the API shows the second of the bar code; a closed session shows nothing any more."""
    assert server.client is not None
    session = f"/sessions/{opened['session_id']}"
    for row in (rows[-1], rows[1]):
        wanted = datetime.fromisoformat(row["start"]).timestamp() + 1.5
        async with server.client.ws_connect(server.url + opened["urls"]["ws_flv"]) as socket:
            data = await received(socket, b"")
            position = datetime.fromtimestamp(wanted).astimezone().isoformat()
            await server.call("PATCH", session, {"action": "seek", "position": position})
            while not (told := [utc for utc in clocks(data) if abs(utc - wanted) < 0.2]):
                data = await received(socket, data)
        with av.open(io.BytesIO(data), "r", format="flv") as container:
            codes = [barcode.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
        assert seconds_off(codes[-1], told[0]) <= 1
    answer = await server.call("PATCH", session, {"action": "speed", "speed": 4})
    assert answer["speed"] == 4
    await server.call("DELETE", session)
    async with server.client.get(server.url + opened["urls"]["flv"]) as answer:
        assert answer.status == 404


async def received(socket: aiohttp.ClientWebSocketResponse, data: bytes) -> bytes:
    async with asyncio.timeout(60):
        message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.BINARY, message
    return data + message.data


def clocks(flv: bytes) -> list[float]:
    """Seconds of the wall clock that the stream has told."""
    places = [found.end() for found in re.finditer(rb"onWallClock\x08....\x00\x03utc\x00", flv, re.DOTALL)]
    return [struct.unpack(">d", flv[place : place + 8])[0] / 1000 for place in places if place + 8 <= len(flv)]


async def nothing(server: Platform, channel: dict[str, Any]) -> None:
    """Where nothing is recorded the answer says where something is."""
    day = time.time() - 86400
    body = {"start": rfc3339(day), "end": rfc3339(day + 60)}
    answer = await server.call("POST", f"{path_of(channel)}/playback", body, status=404)
    assert "nearest recording" in json.dumps(answer)
