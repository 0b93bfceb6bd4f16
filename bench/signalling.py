"""Registrations and keepalives: what one costs the control process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from server import PASSWORD, SERVER_ID, Platform, platform

DOMAIN = SERVER_ID[:10]
#: Addresses behind which the devices stand, as many recorders do behind a router.
SOCKETS = 32
#: Requests without an answer at any moment.
WINDOW = 256

_CALL = re.compile(rb"^Call-ID: ?(\S+)", re.M | re.I)
_CSEQ = re.compile(rb"^CSeq: ?(\d+)", re.M | re.I)


@dataclass(slots=True)
class Device:
    """One of thousands: no state but the number of its last request."""

    code: str
    line: socket.socket
    own: str
    cseq: int = 0


class Town:
    """Devices that register with the full digest and report their state, as fast as they are answered."""

    def __init__(self, count: int, sip_port: int, *, first: int = 1) -> None:
        self._server = ("127.0.0.1", sip_port)
        self._lines = []
        for _ in range(SOCKETS):
            line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            line.bind(("127.0.0.1", 0))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            line.setblocking(False)
            self._lines.append(line)
        self.devices = [self._device(number) for number in range(first, first + count)]
        #: By Call-ID and CSeq: the two requests of a registration are one call, and the challenge may come twice.
        self._waiting: dict[tuple[bytes, int], asyncio.Future[bytes]] = {}
        self.repeated = 0

    def _device(self, number: int) -> Device:
        line = self._lines[number % SOCKETS]
        return Device(f"{DOMAIN}1320{number:06d}", line, f"127.0.0.1:{line.getsockname()[1]}")

    def __enter__(self) -> Town:
        for line in self._lines:
            asyncio.get_running_loop().add_reader(line, self._read, line)
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:
            asyncio.get_running_loop().remove_reader(line)
            line.close()

    def _read(self, line: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data = line.recv(65536)
                call, cseq = _CALL.search(data), _CSEQ.search(data)
                if call is None or cseq is None:
                    continue
                if not data.startswith(b"SIP/2.0"):
                    self._accept(line, data)
                elif (future := self._waiting.get((call[1], int(cseq[1])))) is not None and not future.done():
                    future.set_result(data)

    def _accept(self, line: socket.socket, request: bytes) -> None:
        """200 to whatever the platform asks; nothing else follows."""
        kept = [row for row in request.split(b"\r\n") if row.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")]
        rows = [row + b";tag=t" if row.startswith(b"To:") else row for row in kept]
        line.sendto(b"SIP/2.0 200 OK\r\n" + b"\r\n".join(rows) + b"\r\nContent-Length: 0\r\n\r\n", self._server)

    async def _ask(self, device: Device, message: bytes, call: bytes) -> bytes:
        """Sends until it is answered, as RFC 3261 says (T1 500 ms)."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        key = call, device.cseq
        self._waiting[key] = future
        pause = 0.5
        try:
            for _ in range(7):
                with contextlib.suppress(BlockingIOError):
                    device.line.sendto(message, self._server)
                done, _ = await asyncio.wait({future}, timeout=pause)
                if done:
                    return future.result()
                self.repeated += 1
                pause = min(4.0, pause * 2)
        finally:
            del self._waiting[key]
        raise SystemExit(f"{device.code} was not answered")

    async def register(self, device: Device) -> None:
        call = f"r{device.code}"
        answer = await self._ask(device, self._register(device, call, ""), call.encode())
        if not answer.startswith(b"SIP/2.0 401"):
            raise SystemExit(f"no challenge: {answer[:200]!r}")
        fields = dict(re.findall(r'(realm|nonce)="([^"]*)"', answer.decode()))
        realm, nonce = fields["realm"], fields["nonce"]
        uri = f"sip:{SERVER_ID}@{DOMAIN}"
        ha1, ha2 = _md5(f"{device.code}:{realm}:{PASSWORD}"), _md5(f"REGISTER:{uri}")
        response = _md5(f"{ha1}:{nonce}:{ha2}")
        credentials = (
            f'Authorization: Digest username="{device.code}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5\r\n'
        )
        answer = await self._ask(device, self._register(device, call, credentials), call.encode())
        if not answer.startswith(b"SIP/2.0 200"):
            raise SystemExit(f"not registered: {answer[:300]!r}")

    def _register(self, device: Device, call: str, more: str) -> bytes:
        return self._request(
            device, "REGISTER", call, f"Contact: <sip:{device.code}@{device.own}>\r\nExpires: 3600\r\n{more}", ""
        )

    async def keep_alive(self, device: Device) -> None:
        body = (
            '<?xml version="1.0"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n<SN>1</SN>\r\n'
            f"<DeviceID>{device.code}</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
        )
        call = f"k{device.code}{device.cseq}"
        message = self._request(device, "MESSAGE", call, "Content-Type: Application/MANSCDP+xml\r\n", body)
        answer = await self._ask(device, message, call.encode())
        if not answer.startswith(b"SIP/2.0 200"):
            raise SystemExit(f"keepalive refused: {answer[:300]!r}")

    def _request(self, device: Device, method: str, call: str, headers: str, body: str) -> bytes:
        device.cseq += 1
        to = device.code if method == "REGISTER" else SERVER_ID
        return (
            f"{method} sip:{SERVER_ID}@{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {device.own};rport;branch=z9hG4bK{method[0]}{device.code}{device.cseq}\r\n"
            f"From: <sip:{device.code}@{DOMAIN}>;tag=a\r\nTo: <sip:{to}@{DOMAIN}>\r\nCall-ID: {call}\r\n"
            f"CSeq: {device.cseq} {method}\r\nMax-Forwards: 70\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


async def everyone(devices: Sequence[Device], act: Callable[[Device], Awaitable[None]], *, window: int = WINDOW) -> float:
    """Every device once, `window` of them at a time; returns the seconds it took."""
    rest = iter(devices)

    async def work() -> None:
        for device in rest:
            await act(device)

    begun = time.monotonic()
    await asyncio.gather(*(work() for _ in range(window)))
    return time.monotonic() - begun


async def signalling(count: int) -> dict[str, Any]:
    """First registrations, renewals and keepalives of `count` devices.

    The devices answer the platform's catalogue queries with 200 and send no catalogue.
    """
    flood = "1000000"
    with (
        platform(SIP__PER_SOURCE_PER_S=flood, SIP__UNAUTHENTICATED_PER_S=flood) as server,
        Town(count, server.sip_port) as town,
    ):
        result: dict[str, Any] = {"devices": count, "memory_mib_before": server.memory()["control"]}
        for name, act in (("first", town.register), ("renewal", town.register), ("keepalive", town.keep_alive)):
            before, repeated = server.cpu()["control"], town.repeated
            seconds = await everyone(town.devices, act)
            used = server.cpu()["control"] - before
            result[name] = {
                "per_s": round(count / seconds), "per_cpu_s": round(count / used), "us": round(used / count * 1e6),
                "repeated": town.repeated - repeated,
            }  # fmt: skip
            await _calm(server)
        result["memory_mib"] = server.memory()["control"]
        result["online"] = int(server.figures()["devices_online"])
        return result


async def _calm(server: Platform) -> None:
    """Waits until what was set off has been done: the next figure is only its own."""
    async with asyncio.timeout(120):
        last = server.cpu()["control"]
        while True:
            await asyncio.sleep(2)
            now = server.cpu()["control"]
            if now - last < 0.1:
                return
            last = now


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
