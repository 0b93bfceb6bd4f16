"""A platform played by a script: raw SIP over UDP or TCP as the standard prints it, and a socket that collects RTP."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

SERVER_ID = "34020000002000000001"
DOMAIN = "3402000000"
NONCE = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
PATIENCE_S = 15.0


@dataclass
class Received:
    """One SIP message, cut into what the tests look at."""

    first: str
    headers: dict[str, str]
    body: bytes
    reply: Callable[[bytes], None] = field(repr=False)

    @property
    def method(self) -> str:
        return self.headers["cseq"].split()[1]

    @property
    def status(self) -> int:
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else 0

    @property
    def text(self) -> str:
        return self.body.decode("gb18030")

    def element(self, name: str) -> str:
        match = re.search(rf"<{name}>([^<]*)</{name}>", self.text)
        return match[1] if match else ""


def cut(data: bytes, reply: Callable[[bytes], None]) -> Received:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Received(first, headers, body, reply)


def expected_digest(authorization: str, password: str, *, qop: bool) -> str:
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1 = md5(f"{given['username']}:{DOMAIN}:{password}")
    ha2 = md5(f"REGISTER:{given['uri']}")
    middle = f"{NONCE}:{given['nc']}:{given['cnonce']}:auth" if qop else NONCE
    return md5(f"{ha1}:{middle}:{ha2}")


class Platform(asyncio.DatagramProtocol):
    """Registers whoever knows the password and keeps everything that comes, by kind.

    Args:
        answers: Set an entry to False to leave requests of that method without an answer.
    """

    def __init__(self, password: str = "12345678", *, qop: bool = False, expires: int = 3600) -> None:
        self.password, self.qop, self.expires = password, qop, expires
        self.answers = {"REGISTER": True, "MESSAGE": True, "BYE": True, "NOTIFY": True}
        self.statuses: dict[str, int] = {}
        self.registers: asyncio.Queue[Received] = asyncio.Queue()
        self.messages: asyncio.Queue[Received] = asyncio.Queue()
        self.keepalives: asyncio.Queue[Received] = asyncio.Queue()
        self.byes: asyncio.Queue[Received] = asyncio.Queue()
        self.notifies: asyncio.Queue[Received] = asyncio.Queue()
        self.responses: asyncio.Queue[Received] = asyncio.Queue()
        self.device: Callable[[bytes], None] | None = None
        self.port = 0
        self.kind = "UDP"
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def listen_udp(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    async def listen_tcp(self) -> None:
        self.kind = "TCP"
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        self.disconnect()

    def disconnect(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        transport = self._transport
        self._take(cut(data, lambda answer: transport.sendto(answer, addr)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"Content-Length:\s*(\d+)", head)[1])  # type: ignore[index]
                self._take(cut(head + await reader.readexactly(length), writer.write))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def _take(self, message: Received) -> None:
        self.device = message.reply
        if message.status:
            self.responses.put_nowait(message)
        elif message.method == "REGISTER":
            self._register(message)
        elif message.method == "NOTIFY":
            self.notifies.put_nowait(message)
            self._answer(message)
        elif message.method == "BYE":
            self.byes.put_nowait(message)
            self._answer(message)
        elif message.method == "MESSAGE":
            is_keepalive = message.element("CmdType") == "Keepalive"
            (self.keepalives if is_keepalive else self.messages).put_nowait(message)
            if is_keepalive:
                self._answer(message)

    def _register(self, message: Received) -> None:
        self.registers.put_nowait(message)
        if not self.answers["REGISTER"]:
            return
        authorization = message.headers.get("authorization", "")
        if not authorization:
            extra = f'WWW-Authenticate: Digest realm="{DOMAIN}",nonce="{NONCE}",algorithm=MD5'
            message.reply(response(message, 401, "Unauthorized", [extra + (',qop="auth"' if self.qop else "")]))
        elif f'response="{expected_digest(authorization, self.password, qop=self.qop)}"' in authorization:
            message.reply(response(message, 200, "OK", [f"Expires: {min(self.expires, int(message.headers['expires']))}"]))
        else:
            message.reply(response(message, 403, "Forbidden"))

    def _answer(self, message: Received) -> None:
        if self.answers[message.method]:
            status = self.statuses.get(message.method, 200)
            message.reply(response(message, status, "OK" if status == 200 else "Forbidden"))

    def accept(self, message: Received) -> None:
        """200 to a MESSAGE that waits for its answer."""
        message.reply(response(message, 200, "OK"))

    def send(self, data: bytes) -> None:
        assert self.device is not None
        self.device(data)

    def query(self, command: str, sn: int, device_id: str, inner: str = "", root: str = "Query") -> None:
        body = (
            f'<?xml version="1.0" encoding="GB2312"?>\r\n<{root}>\r\n<CmdType>{command}</CmdType>\r\n<SN>{sn}</SN>\r\n'
            f"<DeviceID>{device_id}</DeviceID>\r\n{inner}</{root}>\r\n"
        )
        headers = ["Content-Type: Application/MANSCDP+xml"]
        self.send(self.request("MESSAGE", device_id, f"m{sn}", headers=headers, body=body.encode("gb18030")))

    def subscribe(
        self, command: str, target: str, call_id: str, *, expires: int = 600, cseq: int = 1, to_tag: str = "", inner: str = ""
    ) -> None:
        body = f"<Query><CmdType>{command}</CmdType><SN>7</SN><DeviceID>{target}</DeviceID>{inner}</Query>".encode()
        headers = ["Event: presence;id=7", f"Expires: {expires}", "Content-Type: Application/MANSCDP+xml"]
        self.send(self.request("SUBSCRIBE", target, call_id, cseq=cseq, to_tag=to_tag, headers=headers, body=body))

    def request(
        self,
        method: str,
        target: str,
        call_id: str,
        *,
        cseq: int = 1,
        to_tag: str = "",
        branch: str = "",
        headers: list[str] | None = None,
        body: bytes = b"",
    ) -> bytes:
        lines = [
            f"{method} sip:{target}@{DOMAIN} SIP/2.0",
            f"Via: SIP/2.0/{self.kind} 127.0.0.1:{self.port};rport;branch={branch or f'z9hG4bK{method}{call_id}{cseq}'}",
            f"From: <sip:{SERVER_ID}@{DOMAIN}>;tag=p1",
            f"To: <sip:{target}@{DOMAIN}>{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{SERVER_ID}@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
            *(headers or []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def invite(
        self,
        channel: str,
        call_id: str,
        port: int,
        *,
        setup: str = "",
        serial: str = "0200000001",
        operation: str = "Play",
    ) -> bytes:
        lines = [
            "v=0",
            f"o={SERVER_ID} 0 0 IN IP4 127.0.0.1",
            f"s={operation}",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            f"m=video {port} {'TCP/RTP/AVP' if setup else 'RTP/AVP'} 96 98 97",
            "a=recvonly",
            "a=rtpmap:96 PS/90000",
            *([f"a=setup:{setup}", "a=connection:new"] if setup else []),
            "y=0200000001",
            "",
        ]
        headers = [f"Subject: {channel}:{serial},{SERVER_ID}:0", "Content-Type: application/sdp"]
        return self.request("INVITE", channel, call_id, headers=headers, body="\r\n".join(lines).encode())

    async def final(self, method: str) -> Received:
        """The next final response to a request of this method."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                response = await self.responses.get()
                if response.method == method and response.status >= 200:
                    return response

    def acknowledge(self, answer: Received, channel: str) -> None:
        tag = answer.headers["to"].partition(";tag=")[2]
        self.send(self.request("ACK", channel, answer.headers["call-id"], to_tag=tag, branch="z9hG4bKack"))

    def bye(self, answer: Received, channel: str) -> None:
        tag = answer.headers["to"].partition(";tag=")[2]
        self.send(self.request("BYE", channel, answer.headers["call-id"], to_tag=tag, cseq=2))


def response(request: Received, status: int, reason: str, extra: list[str] | None = None) -> bytes:
    lines = [
        f"SIP/2.0 {status} {reason}",
        *(f"{name.title()}: {request.headers[name]}" for name in ("via", "from")),
        f"To: {request.headers['to']}{'' if 'tag=' in request.headers['to'] else ';tag=p9'}",
        f"Call-ID: {request.headers['call-id']}",
        f"CSeq: {request.headers['cseq']}",
        *(extra or []),
        "Content-Length: 0",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def take(queue: asyncio.Queue[Received]) -> Received:
    async with asyncio.timeout(PATIENCE_S):
        return await queue.get()


@dataclass
class Rtp:
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes


def rtp(data: bytes) -> Rtp:
    assert data[0] == 0x80
    assert data[1] & 127 == 96
    number = int.from_bytes
    return Rtp(number(data[2:4], "big"), number(data[4:8], "big"), number(data[8:12], "big"), bool(data[1] >> 7), data[12:])


class RtpSink(asyncio.DatagramProtocol):
    """An even UDP port and the next one; keeps the packets of both."""

    def __init__(self) -> None:
        self.packets: list[Rtp] = []
        self.reports: list[bytes] = []
        self.sender: tuple[str, int] | None = None
        self.reporter: tuple[str, int] | None = None
        self.port = 0
        self._sockets: list[asyncio.DatagramTransport] = []
        self._changed = asyncio.Event()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
            if self.port % 2 == 0:
                try:
                    control, _ = await loop.create_datagram_endpoint(lambda: _Control(self), ("127.0.0.1", self.port + 1))
                except OSError:
                    probe.close()
                    continue
                media, _ = await loop.create_datagram_endpoint(lambda: self, sock=probe)
                self._sockets = [media, control]
                return
            probe.close()
        raise OSError("no even port")

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.sender = addr
        self.packets.append(rtp(data))
        self._changed.set()

    def reported(self, data: bytes, addr: tuple[str, int]) -> None:
        self.reporter = addr
        self.reports.append(data)
        self._changed.set()

    def send_report(self, data: bytes) -> None:
        assert self.reporter is not None
        self._sockets[1].sendto(data, self.reporter)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    def program_stream(self) -> bytes:
        """All payloads in the order of their sequence numbers, counted from the first packet's neighbourhood."""
        first = self.packets[0].sequence
        ordered = sorted(self.packets, key=lambda packet: (packet.sequence - first + 1000) % 65_536)
        return b"".join(packet.payload for packet in ordered)

    def close(self) -> None:
        for transport in self._sockets:
            transport.close()


class _Control(asyncio.DatagramProtocol):
    def __init__(self, sink: RtpSink) -> None:
        self._sink = sink

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._sink.reported(data, addr)
