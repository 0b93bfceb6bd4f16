"""The console against a made-up API, for looking at its pages without a platform: `python tests/web/demo_server.py`.

Answers in the shape of the API contract, and sends real FLV over WebSocket: pictures encoded by PyAV, muxed by `media.flv`.
The channels of the second device each fail at another stage.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from aiohttp import WSMsgType, web

from gb28181.media.flv import FlvMuxer

CONSOLE = Path(__file__).resolve().parents[2] / "src" / "gb28181" / "edge" / "console"
TOKEN = "demo-token"
PASSWORD = "demo-password"
FRAMES_PER_S = 10
CAMERA = "34020000001320000001"
RECORDER = "34020000001180000002"
SILENT = "34020000001320000003"
#: What the edge is to send with the console's files.
POLICY = (
    "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; img-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("reserved", {}),
    ("invited", {"waited_s": 18.0}),
    ("trying", {"sip_status": 486}),
    ("answered", {"waited_s": 10.0, "port": 20012}),
    ("connected", {"waited_s": 10.0}),
    ("first_rtp", {"note": "payload looks like ES"}),
    ("first_ps", {}),
]


@functools.cache
def pictures(codec: Literal["h264", "h265"]) -> tuple[tuple[bytes, bool], ...]:
    """Two seconds of a moving bar as Annex B access units, in a loop that begins with a key frame."""
    context = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 352, 288, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FRAMES_PER_S), Fraction(FRAMES_PER_S)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(FRAMES_PER_S), "x265-params": "log-level=none"}
    units = []
    for number in range(2 * FRAMES_PER_S):
        image = np.full((288, 352, 3), 48, np.uint8)
        image[:, :, 2] = np.linspace(40, 160, 352, dtype=np.uint8)
        at = number * 352 // (2 * FRAMES_PER_S)
        image[96:192, at : at + 24] = (240, 220, 90)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = number
        units += [(bytes(packet), packet.is_keyframe) for packet in context.encode(frame)]
    units += [(bytes(packet), packet.is_keyframe) for packet in context.encode(None)]
    return tuple(units)


@dataclass
class World:
    """State of the made-up platform; tests change it."""

    devices: list[dict[str, Any]]
    channels: dict[str, list[dict[str, Any]]]
    refusals: list[dict[str, Any]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    jobs: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    opened: int = 0
    role: str = "admin"

    def channel(self, device: str, channel: str) -> dict[str, Any]:
        for item in self.channels.get(device, []):
            if item["channel_id"] == channel:
                return item
        raise web.HTTPNotFound

    async def tell(self, event: dict[str, Any]) -> None:
        for socket in self.sockets:
            await socket.send_json(event)


def _device(device_id: str, name: str, channels: int, *, online: bool, **more: Any) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "name": name,
        "online": online,
        "manufacturer": "Hikvision",
        "model": "DS-7608N",
        "firmware": "V4.30",
        "user_agent": "IP Camera",
        "gb_version": "3.0",
        "address": "192.168.1.64:5060",
        "transport": "udp",
        "registered_at": "2026-03-01T00:00:00Z",
        "expires_at": "2026-03-01T01:00:00Z",
        "last_seen_at": "2026-03-01T00:59:10Z",
        "channels": channels,
        "catalog": {"at": "2026-03-01T00:00:05Z", "announced": channels, "received": channels},
        "faults": {"wrong-content-length": 312, "gb2312-declared-utf8": 4} if channels > 5 else {},
        **more,
    }


def _channel(device: str, number: int, name: str, **more: Any) -> dict[str, Any]:
    return {
        "device_id": device,
        "channel_id": f"3402000000131{number:07d}",
        "name": name,
        "online": True,
        "manufacturer": "Hikvision",
        "model": "DS-2CD2",
        "parent_id": device,
        "playable": True,
        "recording": {"mode": "off", "state": "off", "since": None, "message": ""},
        "stream": None,
        "codec": "h264",
        **more,
    }


def world() -> World:
    places = [
        "城北出入口",
        "人民路与解放街路口",
        "实验小学正门",
        "汽车站候车厅",
        "新华商场东侧",
        "滨江公园",
        "医院急诊通道",
        "加油站",
    ]
    recorded = {"mode": "always", "state": "recording", "since": "2026-03-01T00:00:09Z", "message": ""}
    stream = {
        "state": "running",
        "transport": "tcp",
        "source": "192.168.1.64:15060",
        "bitrate_kbps": 2043.2,
        "packets": 812_344,
        "lost": 0,
        "note": "",
    }
    failed = {"mode": "always", "state": "failed", "since": None, "message": "no free space on volume 0"}
    working = [_channel(CAMERA, number, name) for number, name in enumerate(places, start=1)]
    working[0] |= {"recording": recorded, "stream": stream}
    working[1] |= {"recording": recorded, "stream": {**stream, "transport": "udp", "lost": 143, "bitrate_kbps": 912.0}}
    working[2] |= {"recording": failed}
    working[3] |= {"recording": {**recorded, "state": "starting"}, "stream": {**stream, "state": "silent"}}
    working.append(_channel(CAMERA, 9, "H.265 卡口", codec="h265"))
    failing = [
        _channel(RECORDER, number, f"故障 {stage}", fault=(stage, detail))
        for number, (stage, detail) in enumerate(_FAULTS, start=101)
    ]
    failing.append(_channel(RECORDER, 120, "停电的摄像机", online=False))
    failing.append(_channel(RECORDER, 121, "报警输入 1", playable=False))
    devices = [
        _device(CAMERA, "区政府监控室 NVR", len(working), online=True),
        _device(RECORDER, "上塘派出所", len(failing), online=True),
        _device(
            SILENT,
            "",
            0,
            online=False,
            registered_at=None,
            last_seen_at=None,
            address=None,
            catalog={"at": None, "announced": 0, "received": 0},
        ),
    ]
    refusals = [
        {
            "device_id": "34020000001320000077",
            "source": "192.168.1.77:5060",
            "reason": "wrong password (2 of 2 before 403): type the password of this device again",
        }
    ]
    return World(devices, {CAMERA: working, RECORDER: failing, SILENT: []}, refusals)


WORLD = web.AppKey("world", World)


def _fail(status: int, code: str, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, **more}}, status=status)


@web.middleware
async def _guard(request: web.Request, handler: Any) -> web.StreamResponse:
    path = request.path
    is_open = not path.startswith("/api/") or path.endswith(("/login", "/events"))
    if not is_open and request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return _fail(401, "unauthenticated", "log in first")
    response: web.StreamResponse = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = POLICY
    return response


async def _login(request: web.Request) -> web.Response:
    body = await request.json()
    if body != {"username": "admin", "password": PASSWORD}:
        return _fail(401, "unauthenticated", "user name or password is wrong")
    return web.json_response(
        {"token": TOKEN, "expires_at": "2099-01-01T00:00:00Z", "username": "admin", "role": request.app[WORLD].role}
    )


def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    word = request.query.get("q", "")
    online = request.query.get("online")
    found = [item for item in items if word in json.dumps(item, ensure_ascii=False)]
    found = [item for item in found if online is None or item["online"] is (online == "true")]
    start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 100))
    following = str(start + limit) if start + limit < len(found) else None
    return web.json_response({"items": found[start : start + limit], "next": following})


async def _devices(request: web.Request) -> web.Response:
    return _page(request, request.app[WORLD].devices)


async def _add(request: web.Request) -> web.Response:
    body = await request.json()
    of = request.app[WORLD]
    if any(device["device_id"] == body["device_id"] for device in of.devices):
        return _fail(409, "conflict", f"device {body['device_id']} is there already")
    made = _device(body["device_id"], body["name"], 0, online=False, registered_at=None, last_seen_at=None)
    of.devices.append(made)
    of.channels[body["device_id"]] = []
    return web.json_response({**made, "password": "k7Qm-2xVd-9pRt"}, status=201)


async def _one_device(request: web.Request) -> web.Response:
    for device in request.app[WORLD].devices:
        if device["device_id"] == request.match_info["device"]:
            return web.json_response(device)
    return _fail(404, "not_found", f"no device {request.match_info['device']}")


async def _catalog(request: web.Request) -> web.Response:
    request.app[WORLD].jobs["7"] = 0
    return web.json_response({"job": "7"}, status=202)


async def _job(request: web.Request) -> web.Response:
    jobs = request.app[WORLD].jobs
    jobs["7"] += 3
    received = min(9, jobs["7"])
    return web.json_response(
        {"state": "done" if received == 9 else "running", "announced": 9, "received": received, "message": ""}
    )


async def _channels(request: web.Request) -> web.Response:
    return _page(request, request.app[WORLD].channels.get(request.match_info["device"], []))


async def _all_channels(request: web.Request) -> web.Response:
    return _page(request, [channel for group in request.app[WORLD].channels.values() for channel in group])


async def _one_channel(request: web.Request) -> web.Response:
    return web.json_response(request.app[WORLD].channel(request.match_info["device"], request.match_info["channel"]))


async def _record(request: web.Request) -> web.Response:
    channel = request.app[WORLD].channel(request.match_info["device"], request.match_info["channel"])
    mode = (await request.json())["mode"]
    channel["recording"] |= {"mode": mode, "state": "recording" if mode == "always" else "off"}
    return web.json_response(channel["recording"])


async def _live(request: web.Request) -> web.Response:
    of = request.app[WORLD]
    channel = of.channel(request.match_info["device"], request.match_info["channel"])
    if "fault" in channel:
        stage, detail = channel["fault"]
        message = f"192.168.1.64:5060 went no further than {stage}; 0 packets at 10.0.0.1:20012"
        refused = "sip_status" in detail
        return _fail(
            502 if refused else 504, "refused_by_device" if refused else "no_picture", message, stage=stage, detail=detail
        )
    of.opened += 1
    path = f"/media/live/{channel['device_id']}/{channel['channel_id']}.flv?token=demo"
    stages = [{"stage": "first_key_frame", "at": "2026-03-01T00:59:10Z"}]
    return web.json_response({"session_id": f"s{of.opened}", "urls": {"ws_flv": path}, "stages": stages}, status=201)


async def _end(request: web.Request) -> web.Response:
    request.app[WORLD].ended.append(request.match_info["session"])
    return web.Response(status=204)


async def _media(request: web.Request) -> web.WebSocketResponse:
    channel = request.app[WORLD].channel(request.match_info["device"], request.match_info["channel"])
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    loop = asyncio.get_running_loop()
    units = await asyncio.to_thread(pictures, channel["codec"])
    muxer = FlvMuxer(channel["codec"])
    begun, number = loop.time(), 0
    while not socket.closed:
        data, is_key = units[number % len(units)]
        stamp = number * 90_000 // FRAMES_PER_S
        tags = muxer.write(data, stamp, stamp, is_key=is_key)
        try:
            await socket.send_bytes(muxer.header() + tags if number == 0 else tags)
        except ConnectionError:
            break
        number += 1
        await asyncio.sleep(max(0.0, begun + number / FRAMES_PER_S - loop.time()))
    return socket


async def _events(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    first = await socket.receive_json()
    if first != {"token": TOKEN}:
        await socket.close(code=4401)
        return socket
    await socket.send_json({"type": "ready"})
    sockets = request.app[WORLD].sockets
    sockets.append(socket)
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            break
    sockets.remove(socket)
    return socket


async def _system(request: web.Request) -> web.Response:
    sip = {
        "server_id": "34020000002000000001",
        "domain": "3402000000",
        "host": "192.168.1.10",
        "port": 5060,
        "transports": ["udp", "tcp"],
    }
    of = request.app[WORLD]
    channels = [channel for group in of.channels.values() for channel in group]

    def counts(items: list[dict[str, Any]]) -> dict[str, int]:
        return {"total": len(items), "online": sum(item["online"] for item in items)}

    states = [channel["recording"]["state"] for channel in channels if channel["recording"]["mode"] == "always"]
    recording = {"due": len(states), "recording": states.count("recording")}
    answer = {"version": "0.1.0", "devices": counts(of.devices), "channels": counts(channels), "recording": recording}
    return web.json_response({**answer, "volumes": of.volumes, "sip": sip})


async def _refusals(request: web.Request) -> web.Response:
    return web.json_response({"items": request.app[WORLD].refusals})


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(CONSOLE / "index.html")


def application(of: World) -> web.Application:
    app = web.Application(middlewares=[_guard])
    app[WORLD] = of
    api, device = "/api/v1", "/api/v1/devices/{device}"
    channel = device + "/channels/{channel}"
    app.add_routes(
        [
            web.post(f"{api}/login", _login),
            web.get(f"{api}/events", _events),
            web.get(f"{api}/system", _system),
            web.get(f"{api}/refusals", _refusals),
            web.get(f"{api}/devices", _devices),
            web.post(f"{api}/devices", _add),
            web.get(device, _one_device),
            web.post(f"{device}/catalog", _catalog),
            web.get(f"{api}/jobs/{{job}}", _job),
            web.get(f"{device}/channels", _channels),
            web.get(f"{api}/channels", _all_channels),
            web.get(channel, _one_channel),
            web.put(f"{channel}/recording", _record),
            web.post(f"{channel}/live", _live),
            web.delete(f"{api}/sessions/{{session}}", _end),
            web.get("/media/live/{device}/{channel}.flv", _media),
            web.get("/", _index),
            web.static("/", CONSOLE),
        ]
    )
    return app


@asynccontextmanager
async def serving(of: World, port: int = 0) -> AsyncIterator[str]:
    """Serves until left; yields the address."""
    runner = web.AppRunner(application(of), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


async def _main(port: int) -> None:
    async with serving(world(), port) as address:
        print(f"{address}  admin / {PASSWORD}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=8090)
    asyncio.run(_main(parser.parse_args().port))
