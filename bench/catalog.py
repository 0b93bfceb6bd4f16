"""A catalogue of 200,000 channels over real UDP, and what trees and searches take afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import random
import re
import select
import socket
import sqlite3
import statistics
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from server import PASSWORD, SERVER_ID, Platform, platform, wait

DOMAIN = SERVER_ID[:10]
#: Senders that are in the middle of registering at any moment.
WINDOW = 256
#: Characters of the places that cameras are named after.
PLACES = "城北出入口东西南大门停车场中广街派所人民路小学幼儿园医院诊楼电梯厅桥洞加油站河公交枢纽市长春江"
DIVISIONS = ("340202", "340203", "340208", "340221", "340222", "340223", "340225", "340181")

_CALL = re.compile(rb"^Call-ID: ?(\S+)", re.M | re.I)
_SN = re.compile(rb"<SN>(\d+)</SN>")
_KEPT = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
_SN_MARK = b"<SN>0000000000</SN>"


@dataclass(slots=True)
class Recorder:
    """One sender on a port of its own; its catalogue is ready before the clock starts.

    Args:
        parts: Whole messages but for the serial number, which has ten digits.
        state: What it does: registering, or the number of the next part.
    """

    code: str
    line: socket.socket
    own: str
    parts: list[bytes] = field(default_factory=list)
    serial: bytes = b""
    at: int = 0
    waits: bytes = b""
    sent_at: float = 0.0
    registered: bool = False


class Town:
    """Recorders that register with the full digest, answer what they are asked, and repeat what is not answered.

    Each sends the next part of its catalogue when the one before has its 200 (Annex M); all in one thread, on `select.epoll`.
    """

    def __init__(self, count: int, channels: int, items: int, sip_port: int) -> None:
        self._server = ("127.0.0.1", sip_port)
        self._poll = select.epoll()
        self._lines: dict[int, Recorder] = {}
        chance = random.Random(28181)
        self.recorders = [self._recorder(number, channels, items, chance) for number in range(1, count + 1)]
        self._unregistered = iter(self.recorders)
        self._ended = threading.Event()
        self.repeated = 0
        self.messages = 0

    def _recorder(self, number: int, channels: int, items: int, chance: random.Random) -> Recorder:
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        line.bind(("127.0.0.1", 0))
        line.setblocking(False)
        recorder = Recorder(f"{DOMAIN}118{number:07d}", line, f"127.0.0.1:{line.getsockname()[1]}")
        rows = [_item(recorder.code, number * channels + index, chance) for index in range(channels)]
        for first in range(0, channels, items):
            some = rows[first : first + items]
            body = _part(recorder.code, channels, some)
            head = self._request(
                recorder, "MESSAGE", f"c{recorder.code}{first}", "Content-Type: Application/MANSCDP+xml\r\n", body
            )
            recorder.parts.append(head + body)
        self._lines[line.fileno()] = recorder
        self._poll.register(line.fileno(), select.EPOLLIN)
        return recorder

    def __enter__(self) -> Town:
        self._thread = threading.Thread(target=self._run, name="recorders")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for recorder in self.recorders:
            recorder.line.close()
        self._poll.close()

    def _run(self) -> None:
        for recorder in list(itertools.islice(self._unregistered, WINDOW)):
            self._register(recorder, "")
        swept = time.monotonic()
        while not self._ended.is_set():
            for number, _ in self._poll.poll(0.2):
                recorder = self._lines[number]
                with contextlib.suppress(BlockingIOError):
                    while True:
                        self._read(recorder, recorder.line.recv(65536))
            if time.monotonic() - swept > 0.5:
                swept = time.monotonic()
                self._repeat(swept)

    def _read(self, recorder: Recorder, data: bytes) -> None:
        if not data.startswith(b"SIP/2.0"):
            self._asked(recorder, data)
            return
        call = _CALL.search(data)
        if call is None or call[1] != recorder.waits:
            return  # of a repetition
        recorder.waits = b""
        if data.startswith(b"SIP/2.0 401"):
            self._register(recorder, _credentials(recorder.code, data))
        elif not data.startswith(b"SIP/2.0 200"):
            raise SystemExit(f"refused: {data[:300]!r}")
        elif not recorder.registered:
            recorder.registered = True
            if (following := next(self._unregistered, None)) is not None:
                self._register(following, "")
        else:
            recorder.at += 1
            self._send_part(recorder)

    def _asked(self, recorder: Recorder, request: bytes) -> None:
        kept = [row for row in request.split(b"\r\n") if row.split(b":")[0] in _KEPT]
        rows = [row + b";tag=t" if row.startswith(b"To:") else row for row in kept]
        self._send(recorder, b"SIP/2.0 200 OK\r\n" + b"\r\n".join(rows) + b"\r\nContent-Length: 0\r\n\r\n")
        serial = _SN.search(request)
        is_query = request.startswith(b"MESSAGE") and b"<CmdType>Catalog<" in request
        if is_query and serial is not None and not recorder.serial:
            recorder.serial = b"<SN>" + serial[1].rjust(10, b"0") + b"</SN>"
            self._send_part(recorder)

    def _send_part(self, recorder: Recorder) -> None:
        if recorder.at < len(recorder.parts):
            packet = recorder.parts[recorder.at].replace(_SN_MARK, recorder.serial, 1)
            recorder.parts[recorder.at] = packet
            self.messages += 1
            self._await(recorder, packet)

    def _await(self, recorder: Recorder, packet: bytes) -> None:
        call = _CALL.search(packet)
        assert call
        recorder.waits, recorder.sent_at = call[1], time.monotonic()
        self._send(recorder, packet)

    def _send(self, recorder: Recorder, packet: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            recorder.line.sendto(packet, self._server)

    def _repeat(self, now: float) -> None:
        for recorder in self.recorders:
            if recorder.waits and now - recorder.sent_at > 1.0:
                self.repeated += 1
                if recorder.registered:
                    self._await(recorder, recorder.parts[recorder.at])
                else:
                    self._register(recorder, "")

    def _register(self, recorder: Recorder, credentials: str) -> None:
        more = f"Contact: <sip:{recorder.code}@{recorder.own}>\r\nExpires: 3600\r\n{credentials}"
        call = f"r{recorder.code}{'b' if credentials else 'a'}"
        self._await(recorder, self._request(recorder, "REGISTER", call, more, b""))

    def _request(self, recorder: Recorder, method: str, call: str, headers: str, body: bytes) -> bytes:
        to = recorder.code if method == "REGISTER" else SERVER_ID
        cseq = 2 if call.endswith("b") else 1
        return (
            f"{method} sip:{SERVER_ID}@{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {recorder.own};rport;branch=z9hG4bK{call}\r\n"
            f"From: <sip:{recorder.code}@{DOMAIN}>;tag=a\r\nTo: <sip:{to}@{DOMAIN}>\r\nCall-ID: {call}\r\n"
            f"CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        ).encode()


def _credentials(code: str, challenge: bytes) -> str:
    fields = dict(re.findall(r'(realm|nonce)="([^"]*)"', challenge.decode()))
    realm, nonce = fields["realm"], fields["nonce"]
    uri = f"sip:{SERVER_ID}@{DOMAIN}"
    ha1, ha2 = _md5(f"{code}:{realm}:{PASSWORD}"), _md5(f"REGISTER:{uri}")
    return (
        f'Authorization: Digest username="{code}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f'response="{_md5(f"{ha1}:{nonce}:{ha2}")}", algorithm=MD5\r\n'
    )


def _item(device: str, number: int, chance: random.Random) -> str:
    """As recorders list a camera: every mandatory element of the 2016 edition and the usual optional ones."""
    name = "".join(chance.choice(PLACES) for _ in range(chance.randrange(4, 12)))
    return (
        f"<Item>\r\n<DeviceID>{DOMAIN}132{number:07d}</DeviceID>\r\n<Name>{name}{number % 100:02d}</Name>\r\n"
        "<Manufacturer>Hikvision</Manufacturer>\r\n<Model>IP Camera</Model>\r\n<Owner>Owner</Owner>\r\n"
        f"<CivilCode>{chance.choice(DIVISIONS)}</CivilCode>\r\n<Address>Address</Address>\r\n<Parental>0</Parental>\r\n"
        f"<ParentID>{device}</ParentID>\r\n<SafetyWay>0</SafetyWay>\r\n<RegisterWay>1</RegisterWay>\r\n<Secrecy>0</Secrecy>\r\n"
        f"<IPAddress>192.168.{number // 250 % 250}.{number % 250}</IPAddress>\r\n<Port>8000</Port>\r\n"
        f"<Status>{'OFF' if number % 20 == 7 else 'ON'}</Status>\r\n<Longitude>118.{number % 1000000:06d}</Longitude>\r\n"
        f"<Latitude>31.{number % 1000000:06d}</Latitude>\r\n<Info>\r\n<PTZType>{number % 4}</PTZType>\r\n</Info>\r\n</Item>\r\n"
    )


def _part(device: str, total: int, items: list[str]) -> bytes:
    return (
        '<?xml version="1.0" encoding="GB2312"?>\r\n<Response>\r\n<CmdType>Catalog</CmdType>\r\n<SN>0000000000</SN>\r\n'
        f"<DeviceID>{device}</DeviceID>\r\n<SumNum>{total}</SumNum>\r\n"
        f'<DeviceList Num="{len(items)}">\r\n{"".join(items)}</DeviceList>\r\n</Response>\r\n'
    ).encode("gb18030")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class _Lag(threading.Thread):
    """Worst delay of control's loop in each half second, as it tells itself."""

    def __init__(self, server: Platform) -> None:
        super().__init__(name="lag")
        self._server = server
        self._ended = threading.Event()
        self.worst_ms: list[float] = []

    def run(self) -> None:
        while not self._ended.wait(0.5):
            self.worst_ms.append(self._server.figures()["loop_lag_max_seconds"] * 1000)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def catalog(senders: int = 2000, channels: int = 100, items: int = 4) -> dict[str, Any]:
    """Senders register, are asked and answer; then levels and searches are asked for over the API."""
    flood = "1000000"
    settings: dict[str, Any] = {"SIP__PER_SOURCE_PER_S": flood, "SIP__UNAUTHENTICATED_PER_S": flood}
    settings |= {f"SUBSCRIPTION__{topic}": "false" for topic in ("CATALOG", "ALARM")}
    with platform(**settings) as server:
        total = senders * channels
        before = server.usage("control")
        town = Town(senders, channels, items, server.sip_port)
        lag = _Lag(server)
        begun = time.monotonic()
        cpu = server.usage("control")[0]
        lag.start()
        with town:
            wait(lambda: _stored(server) >= total, f"{total} channels in the database", 600)
            wall = time.monotonic() - begun
            used = server.usage("control")[0] - cpu
            lag.stop()
            memory = server.usage("control")[1]
            time.sleep(15)  # sums and search lines are made in the background
            result = {
                "senders": senders, "channels": total, "messages": town.messages, "repeated": town.repeated,
                "cpu_s": round(used, 1), "wall_s": round(wall, 1), "us_per_message": round(used / town.messages * 1e6),
                "lag_p99_ms": round(_percentile(lag.worst_ms, 99), 1), "lag_worst_ms": round(max(lag.worst_ms), 1),
                "memory_mib_before": round(before[1]), "memory_mib": round(memory),
                "bytes_a_channel": round((memory - before[1]) * 2**20 / total),
                "queries": _queries(server, town),
            }  # fmt: skip
            result["memory_mib_after"] = round(server.usage("control")[1])
        return result


def _stored(server: Platform) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{server.data / 'gb28181.db'}?mode=ro", uri=True)) as database:
        if server.figures().get("catalog_events_total items", 0) < 1000:
            return 0
        return int(database.execute("SELECT COUNT(*) FROM channels").fetchone()[0])


def _queries(server: Platform, town: Town) -> dict[str, dict[str, float]]:
    """p50 and p95 of each kind of question, asked one after another as a console does."""
    chance = random.Random(1)
    codes = [recorder.code for recorder in town.recorders]

    def search(text: str) -> str:
        return "/channels?limit=50&q=" + urllib.parse.quote(text)

    kinds = {
        "tree: top": lambda: "/tree?limit=100",
        "tree: a recorder": lambda: f"/tree?limit=200&parent={chance.choice(codes)}",
        "tree: divisions": lambda: "/tree?by=civil&parent=~3402&limit=100",
        "tree: a division": lambda: f"/tree?by=civil&parent=~{chance.choice(DIVISIONS)}&limit=100",
        "search: two characters": lambda: search("".join(chance.choice(PLACES) for _ in range(2))),
        "search: pinyin": lambda: search("".join(chance.choice("cbrkdxntzgjplysmh") for _ in range(4))),
        "search: part of an identifier": lambda: search(f"{chance.randrange(10**6):06d}"),
        "search: nothing found": lambda: search("没有这个地方"),
        "list: offline": lambda: "/channels?online=false&limit=100",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    headers = {"Authorization": f"Bearer {server._token}"}
    answers: dict[str, dict[str, float]] = {}
    for name, path in kinds.items():
        times = []
        for _ in range(40):
            begun = time.perf_counter()
            connection.request("GET", f"/api/v1{path()}", headers=headers)
            response = connection.getresponse()
            text = response.read()
            times.append((time.perf_counter() - begun) * 1000)
            if response.status != 200:
                raise SystemExit(f"{name}: {response.status} {text[:300]!r}")
        answers[name] = {
            "p50_ms": round(statistics.median(times), 1),
            "p95_ms": round(_percentile(times, 95), 1),
            "worst_ms": round(max(times), 1),
        }
    connection.close()
    return answers


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


if __name__ == "__main__":
    import sys

    counts = [int(one) for one in sys.argv[1:3]] or [2000, 100]
    print(json.dumps(catalog(*counts), indent=1, ensure_ascii=False))
