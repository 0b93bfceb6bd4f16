"""The console against a made-up API, for looking at its pages without a platform: `python -m tests.web.demo_server`.

Answers in the shape of the API contract, and sends real FLV over WebSocket: pictures encoded by PyAV, muxed by `media.flv`.
The channels of the second device each fail at another stage. Recordings are real fMP4, always the same clip: everything but
the holes of `World.holes`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from aiohttp import WSMsgType, web

from gb28181.edge.replies import POLICY
from gb28181.media.flv import FlvMuxer
from tests.web import demo_desk, demo_events, demo_ptz, demo_tree

CONSOLE = Path(__file__).resolve().parents[2] / "src" / "gb28181" / "edge" / "console"
TOKEN = "demo-token"
PASSWORD = "demo-password"
FRAMES_PER_S = 10
CLIP_S = 6
CAMERA = "34020000001320000001"
RECORDER = "34020000001180000002"
SILENT = "34020000001320000003"
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


@functools.cache
def clip() -> tuple[bytes, bytes]:
    """Initialisation section and one fragment of `CLIP_S` seconds."""
    out = io.BytesIO()
    options = {"movflags": "empty_moov+default_base_moof+frag_keyframe", "frag_duration": str(CLIP_S * 10_000_000)}
    with av.open(out, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S)
        stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(CLIP_S * FRAMES_PER_S)}
        for number in range(CLIP_S * FRAMES_PER_S):
            image = np.full((288, 352, 3), 48, np.uint8)
            at = number * 320 // (CLIP_S * FRAMES_PER_S)
            image[96:192, at : at + 24] = (240, 220, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    data = out.getvalue()
    cut = data.index(b"moof") - 4
    return data[:cut], data[cut:]


def _moved(fragment: bytes, seconds: int) -> bytes:
    """The fragment at another place of its line; `tfdt` is of version 1, in the timescale of libavformat's video."""
    at = fragment.index(b"tfdt") + 4
    assert fragment[at] == 1
    timescale = _timescale(clip()[0])
    return fragment[: at + 4] + (seconds * timescale).to_bytes(8, "big") + fragment[at + 12 :]


def _timescale(initialisation: bytes) -> int:
    at = initialisation.index(b"mdhd") + 4
    return int.from_bytes(initialisation[at + 12 : at + 16], "big")


@dataclass
class World:
    """State of the made-up platform; tests change it."""

    devices: list[dict[str, Any]]
    channels: dict[str, list[dict[str, Any]]]
    refusals: list[dict[str, Any]] = field(default_factory=list)
    strangers: list[dict[str, Any]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    jobs: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    holes: list[tuple[datetime, datetime | None, str]] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=9, hours=3))
    exports: dict[str, int] = field(default_factory=dict)
    overview: dict[str, Any] = field(default_factory=dict)
    opened: int = 0
    role: str = "admin"
    alarms: list[dict[str, Any]] = field(default_factory=list)
    positions: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    desk: demo_desk.Desk = field(default_factory=demo_desk.Desk)
    steered: demo_ptz.Steered = field(default_factory=demo_ptz.Steered)

    def channel(self, device: str, channel: str) -> dict[str, Any]:
        for item in self.channels.get(device, []):
            if item["channel_id"] == channel:
                return item
        raise web.HTTPNotFound

    def recorded(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """What lies between the holes, in the range and before now."""
        begin, out = max(start, self.began), []
        stop = min(end, datetime.now(UTC))
        for hole, until, _ in self.holes:
            if begin < min(hole, stop):
                out.append((begin, min(hole, stop)))
            begin = max(begin, until or stop)
        return [*out, (begin, stop)] if begin < stop else out

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
        "keepalive_interval_s": 60.0,
        "clock": {"offset_s": 0.4, "measured_at": "2026-03-01T00:59:10Z", "warning": False},
        "own_password": False,
        "networks": [],
        "redirect": "",
        "profile": {"vendor": "hikvision", "edition": "2022", "charset": "gb18030"},
        "overrides": {},
        "faults": [_fault("wrong-content-length", 312), _fault("gb2312-declared-utf8", 4)] if channels > 5 else [],
        "hints": [],
        **more,
    }


def _fault(name: str, count: int) -> dict[str, Any]:
    words = {"zh": f"{name} 共 {count} 次", "en": f"{name} {count} times"}
    return {"fault": name, "count": count, "last_at": None, "detail": "", "words": words}


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
        "ptz_type": 0,
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
        "format": "ps",
        "bitrate_kbps": 2043.2,
        "packets": 812_344,
        "lost": 0,
        "gop_s": 2.0,
        "fps": 25.0,
        "width": 1920,
        "height": 1080,
        "key_frame_age_s": 1.2,
        "note": "",
    }
    failed = {"mode": "always", "state": "failed", "since": None, "message": "no free space on volume 0"}
    working = [_channel(CAMERA, number, name) for number, name in enumerate(places, start=1)]
    working[0] |= {"recording": recorded, "stream": stream, "ptz_type": 1}
    working[1] |= {"recording": recorded, "stream": {**stream, "transport": "udp", "lost": 143, "bitrate_kbps": 912.0}}
    working[1]["ptz_type"] = 3
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
    made = World(devices, {CAMERA: working, RECORDER: failing, SILENT: []}, refusals)
    now = datetime.now(UTC).replace(microsecond=0)
    for hours, minutes, cause in (
        (50, 400, "device_offline"),
        (20, 15, "no_media"),
        (3, 42, "volume_failed"),
        (0.25, 2, "no_media"),
    ):
        begin = now - timedelta(hours=hours)
        made.holes.append((begin, begin + timedelta(minutes=minutes), cause))
    made.alarms = demo_events.alarms(working, now)
    made.positions = demo_events.track(working[0], now)
    made.subscriptions = demo_events.subscriptions(now)
    disk = {"pending_bytes": 0, "suspect": False, "error": "", "oldest_at": _text(made.began), "kept_h": 219.0}
    made.overview = {
        "sessions": 3,
        "disks": [
            {**disk, "path": "/srv/recordings/disk-1", "total_bytes": 8_001_563_222_016, "free_bytes": 1_912_332_115_968},
            {**disk, "path": "/srv/recordings/disk-2", "total_bytes": 8_001_563_222_016, "free_bytes": 240_046_896_660},
            {
                **disk,
                "path": "/srv/recordings/disk-3",
                "total_bytes": 8_001_563_222_016,
                "free_bytes": 0,
                "oldest_at": None,
                "error": "Input/output error while writing: its channels have moved to the other volumes",
            },
        ],
        "kept": [
            {"retention_hours": 360.0, "channels": 38, "shortest_h": 2.4, "longest_h": 219.0},
            {"retention_hours": 2160.0, "channels": 2, "shortest_h": 218.5, "longest_h": 219.0},
        ],
        "missing": [
            _missing(working[2], "no_picture", "no free space on volume 0", now - timedelta(minutes=17)),
            _missing(failing[1], "device_offline", "the device is offline", now - timedelta(hours=26)),
            _missing(failing[3], "", "", None, state="starting"),
        ],
        "missing_total": 3,
        "gaps": [
            {"cause": "device_offline", "gaps": 4, "channels": 3, "lasting": 1, "seconds": 88_340.0},
            {"cause": "no_media", "gaps": 11, "channels": 6, "lasting": 0, "seconds": 1_921.5},
            {"cause": "volume_failed", "gaps": 2, "channels": 2, "lasting": 1, "seconds": 1_044.0},
        ],
    }
    return made


def _missing(
    channel: dict[str, Any], cause: str, message: str, since: datetime | None, *, state: str = "failed"
) -> dict[str, Any]:
    known = {name: channel[name] for name in ("device_id", "channel_id", "name")}
    return {**known, "online": cause != "device_offline", "state": state, "cause": cause, "message": message,
            "since": since and _text(since)}  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


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


async def _tree(request: web.Request) -> web.Response:
    of = request.app[WORLD]
    rows = [channel for group in of.channels.values() for channel in group]
    return await demo_tree.answer(demo_tree.levels(of.devices, rows), request)


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
        "tls_port": 5061,
    }
    parts = [{"name": "control", "state": "running", "pid": 101, "detail": ""}]
    of = request.app[WORLD]
    channels = [channel for group in of.channels.values() for channel in group]

    def counts(items: list[dict[str, Any]]) -> dict[str, int]:
        return {"total": len(items), "online": sum(item["online"] for item in items)}

    states = [channel["recording"]["state"] for channel in channels if channel["recording"]["mode"] == "always"]
    recording = {"due": len(states), "recording": states.count("recording")}
    answer = {"version": "0.1.0", "devices": counts(of.devices), "channels": counts(channels), "recording": recording}
    return web.json_response({**answer, "volumes": of.volumes, "parts": parts, "one_source": None, "sip": sip})


async def _overview(request: web.Request) -> web.Response:
    system = json.loads((await _system(request)).body or b"{}")  # type: ignore[arg-type]
    counts = {name: system[name] for name in ("devices", "channels", "recording")}
    return web.json_response({"time": _text(datetime.now(UTC)), **counts, **request.app[WORLD].overview})


def _range(request: web.Request) -> tuple[datetime, datetime]:
    start, end = (datetime.fromisoformat(request.query[name]) for name in ("start", "end"))
    return start, end


async def _recordings(request: web.Request) -> web.Response:
    of = request.app[WORLD]
    start, end = _range(request)
    recorded = of.recorded(start, end)
    holes = [(begin, until, cause) for begin, until, cause in of.holes if begin < end and (until or end) > start]
    length = (min(end, datetime.now(UTC)) - start).total_seconds()
    share = sum((until - begin).total_seconds() for begin, until in recorded) / length if length > 0 else 0.0
    return web.json_response(
        {
            "segments": [],
            "recorded": [{"start": _text(begin), "end": _text(until)} for begin, until in recorded],
            "gaps": [{"start": _text(begin), "end": until and _text(until), "cause": cause} for begin, until, cause in holes],
            "coverage": share,
            "next": None,
        }
    )


async def _calendar(request: web.Request) -> web.Response:
    of = request.app[WORLD]
    zone = datetime.fromisoformat(f"2000-01-01T00:00:00{request.query['zone']}").tzinfo
    day = datetime.fromisoformat(f"{request.query['month']}-01").replace(tzinfo=zone)
    days = []
    while f"{day:%Y-%m}" == request.query["month"] and day < datetime.now(UTC):
        following = day + timedelta(days=1)
        seconds = sum((until - begin).total_seconds() for begin, until in of.recorded(day, following))
        length = (min(following, datetime.now(UTC)) - day).total_seconds()
        days.append(
            {"date": f"{day:%Y-%m-%d}", "recorded_s": seconds, "coverage": seconds / length, "bytes": int(seconds * 250_000)}
        )
        day = following
    return web.json_response({"month": request.query["month"], "days": days})


async def _playback(request: web.Request) -> web.Response:
    of = request.app[WORLD]
    body = await request.json()
    start, end = (datetime.fromisoformat(body[name]) for name in ("start", "end"))
    if not of.recorded(start, end):
        return _fail(404, "not_found", "nothing is recorded in this range")
    of.opened += 1
    url = f"/media/hls/{start.timestamp():.0f}-{end.timestamp():.0f}/index.m3u8"
    return web.json_response(
        {"session_id": f"p{of.opened}", "urls": {"hls": url}, "start": body["start"], "end": body["end"]}, status=201
    )


async def _playlist(request: web.Request) -> web.Response:
    start, end = (datetime.fromtimestamp(int(text), UTC) for text in request.match_info["range"].split("-"))
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{CLIP_S}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for number, (begin, until) in enumerate(request.app[WORLD].recorded(start, end)):
        if number:
            lines.append("#EXT-X-DISCONTINUITY")
        lines.append('#EXT-X-MAP:URI="init.mp4"')
        for place in range(0, int((until - begin).total_seconds()), CLIP_S):
            moment = _text(begin + timedelta(seconds=place))
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{moment}", f"#EXTINF:{CLIP_S}.0,", f"{place}.m4s"]
    lines += ["#EXT-X-ENDLIST", ""]
    return web.Response(text="\n".join(lines), content_type="application/vnd.apple.mpegurl")


async def _entry(request: web.Request) -> web.Response:
    first, fragment = await asyncio.to_thread(clip)
    name = request.match_info["name"]
    body = first if name == "init.mp4" else _moved(fragment, int(name.removesuffix(".m4s")))
    return web.Response(body=body, content_type="video/mp4")


async def _export(request: web.Request) -> web.Response:
    body = await request.json()
    made = "/media/export/clip.mp4?token=demo"
    answer = {"url": made, "job_url": made, "bytes_estimate": 14_700_000, "segments": 1, "gaps": []}
    return web.json_response(answer | ({} if body["format"] == "mp4" else {"job_url": None}))


async def _job_of_export(request: web.Request) -> web.Response:
    exports = request.app[WORLD].exports
    exports["e1"] = 0 if request.method == "POST" else exports["e1"] + 1
    done = exports["e1"] >= 2
    answer = {"state": "done" if done else "running", "percent": 50.0 * exports["e1"], "bytes": 7_000_000 * exports["e1"]}
    url = "/media/exports/e1/file" if done else None
    return web.json_response({"id": "e1", **answer, "error": None, "progress_url": "/media/exports/e1", "url": url})


async def _strangers(request: web.Request) -> web.Response:
    return web.json_response({"items": request.app[WORLD].strangers})


async def _accept(request: web.Request) -> web.Response:
    world, device = request.app[WORLD], request.match_info["device"]
    world.strangers = [found for found in world.strangers if found["device_id"] != device]
    made = _device(device, "", 0, online=False)
    world.devices.append(made)
    return web.json_response(made, status=201)


async def _refusals(request: web.Request) -> web.Response:
    return web.json_response({"items": request.app[WORLD].refusals})


async def _alarms(request: web.Request) -> web.Response:
    wanted = request.query.get("acknowledged")
    rows = request.app[WORLD].alarms
    found = [row for row in rows if wanted is None or bool(row["acknowledged_by"]) is (wanted == "true")]
    return web.json_response({"items": found, "next": None})


async def _alarm_words(request: web.Request) -> web.Response:
    words = {2: {"zh": "设备报警", "en": "device"}, 5: {"zh": "视频报警", "en": "video"}}
    methods = [{"method": method, "words": named} for method, named in words.items()]
    return web.json_response({"methods": methods, "types": []})


async def _acknowledge(request: web.Request) -> web.Response:
    alarm = next(each for each in request.app[WORLD].alarms if str(each["alarm_id"]) == request.match_info["alarm"])
    if alarm["acknowledged_by"]:
        return _fail(409, "conflict", f"alarm {alarm['alarm_id']} was acknowledged by {alarm['acknowledged_by']} already")
    alarm |= {"acknowledged_by": "admin", "acknowledged_at": _text(datetime.now(UTC)), "note": (await request.json())["note"]}
    return web.json_response(alarm)


async def _open_alarms(request: web.Request) -> web.Response:
    found = [row for row in request.app[WORLD].alarms if not row["acknowledged_by"]]
    return web.json_response({"count": len(found), "more": False})


async def _one_alarm(request: web.Request) -> web.Response:
    number = request.match_info["alarm"]
    return web.json_response(next(each for each in request.app[WORLD].alarms if str(each["alarm_id"]) == number))


async def _acknowledge_all(request: web.Request) -> web.Response:
    """Two at a time."""
    of, body = request.app[WORLD], await request.json()
    found = [row for row in of.alarms if not row["acknowledged_by"] and body.get("priority", 4) >= row["priority"]]
    for row in found[:2]:
        row |= {"acknowledged_by": "admin", "acknowledged_at": _text(datetime.now(UTC)), "note": body["note"]}
    await of.tell({"type": "alarm_acknowledged"})
    return web.json_response({"acknowledged": len(found[:2]), "more": len(found) > 2})


async def _change(request: web.Request) -> web.Response:
    of = request.app[WORLD]
    device = next(each for each in of.devices if each["device_id"] == request.match_info["device"])
    of.changes.append(await request.json())
    device["overrides"] |= {name: value for name, value in of.changes[-1].get("profile", {}).items() if value is not None}
    return web.json_response(device)


async def _positions(request: web.Request) -> web.Response:
    return web.json_response({"items": request.app[WORLD].positions[-1:], "next": None})


async def _track(request: web.Request) -> web.Response:
    return web.json_response({"items": request.app[WORLD].positions, "next": None})


async def _subscriptions(request: web.Request) -> web.Response:
    return web.json_response({"items": request.app[WORLD].subscriptions})


async def _subscribe(request: web.Request) -> web.Response:
    found = next(each for each in request.app[WORLD].subscriptions if each["topic"] == request.match_info["topic"])
    enabled = (await request.json())["enabled"]
    found["own"]["enabled"] = enabled
    found |= {"enabled": bool(enabled), "state": "waiting" if enabled else "off"}
    return web.json_response(found)


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(CONSOLE / "index.html")


def application(of: World) -> web.Application:
    app = web.Application(middlewares=[_guard])
    app[WORLD] = of
    app[demo_ptz.STEERED] = of.steered
    app[demo_desk.DESK] = of.desk
    api, device = "/api/v1", "/api/v1/devices/{device}"
    channel = device + "/channels/{channel}"
    app.add_routes(
        [
            web.post(f"{api}/login", _login),
            web.get(f"{api}/events", _events),
            web.get(f"{api}/system", _system),
            web.get(f"{api}/refusals", _refusals),
            web.get(f"{api}/quarantine", _strangers),
            web.post(f"{api}/quarantine/{{device}}/accept", _accept),
            web.get(f"{api}/devices", _devices),
            web.post(f"{api}/devices", _add),
            web.get(device, _one_device),
            web.patch(device, _change),
            web.post(f"{device}/catalog", _catalog),
            web.get(f"{api}/jobs/{{job}}", _job),
            web.get(f"{device}/channels", _channels),
            web.get(f"{api}/channels", _all_channels),
            web.get(f"{api}/tree", _tree),
            web.get(channel, _one_channel),
            web.put(f"{channel}/recording", _record),
            web.post(f"{channel}/live", _live),
            *demo_ptz.routes(channel),
            *demo_desk.routes(api, channel),
            web.get(f"{api}/overview", _overview),
            web.get(f"{api}/alarms", _alarms),
            web.get(f"{api}/alarms/words", _alarm_words),
            web.get(f"{api}/alarms/open", _open_alarms),
            web.get(f"{api}/alarms/{{alarm}}", _one_alarm),
            web.post(f"{api}/alarms/acknowledge", _acknowledge_all),
            web.post(f"{api}/alarms/{{alarm}}/acknowledge", _acknowledge),
            web.get(f"{api}/positions", _positions),
            web.get(f"{channel}/track", _track),
            web.get(f"{device}/subscriptions", _subscriptions),
            web.put(f"{device}/subscriptions/{{topic}}", _subscribe),
            web.get(f"{channel}/recordings", _recordings),
            web.get(f"{channel}/recordings/calendar", _calendar),
            web.post(f"{channel}/recordings/export", _export),
            web.post("/media/export/clip.mp4", _job_of_export),
            web.get("/media/exports/e1", _job_of_export),
            web.post(f"{channel}/playback", _playback),
            web.get("/media/hls/{range}/index.m3u8", _playlist),
            web.get("/media/hls/{range}/{name}", _entry),
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
