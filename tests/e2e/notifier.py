"""A device that lets itself be subscribed to, written by hand from the standard (§9.11): SIP over UDP, nothing of ours."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from dataclasses import dataclass, field

from tests.e2e.platform import SERVER_ID, SIP_PASSWORD

DOMAIN = "3402000000"
PATIENCE_S = 60.0


@dataclass
class Message:
    first: str
    headers: dict[str, str]
    body: str

    @property
    def status(self) -> int:
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else 0

    def element(self, name: str) -> str:
        found = re.search(rf"<{name}>([^<]*)</{name}>", self.body)
        return found[1] if found else ""


def cut(data: bytes) -> Message:
    head, _, body = data.decode("gb18030").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Message(first, headers, body)


@dataclass
class Subscription:
    """What the device keeps of one: the SUBSCRIBE that made it, and its own tag."""

    made_by: Message
    tag: str
    cseq: int = 0


@dataclass
class Device(asyncio.DatagramProtocol):
    """Registers, keeps subscriptions by Call-ID, answers 481 to a renewal of what it does not know."""

    device_id: str
    server: tuple[str, int]
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    subscribes: list[Message] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answers: dict[str, asyncio.Future[Message]] = field(default_factory=dict)
    transport: asyncio.DatagramTransport | None = None
    registration: str = field(default_factory=lambda: uuid.uuid4().hex)
    cseq: int = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    @property
    def own(self) -> str:
        assert self.transport is not None
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = cut(data)
        if message.status:
            waiting = self.answers.get(message.headers["call-id"] + message.headers["cseq"])
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif message.first.startswith("SUBSCRIBE"):
            self._subscribed(message)
        else:
            self._answer(message, 200)

    def _subscribed(self, message: Message) -> None:
        self.subscribes.append(message)
        call_id, to = message.headers["call-id"], message.headers["to"]
        known = self.subscriptions.get(call_id)
        if "tag=" in to and known is None:
            self._answer(message, 481)
            return
        if known is None:
            known = self.subscriptions[call_id] = Subscription(message, uuid.uuid4().hex[:8])
        if message.headers["expires"] == "0":
            del self.subscriptions[call_id]
        self._answer(
            message, 200, known.tag, f"Expires: {message.headers['expires']}\r\nContact: <sip:{self.device_id}@{self.own}>\r\n"
        )

    def _answer(self, message: Message, status: int, tag: str = "", more: str = "") -> None:
        to = message.headers["to"]
        if tag and "tag=" not in to:
            to += f";tag={tag}"
        kept = "".join(f"{name}: {message.headers[name.lower()]}\r\n" for name in ("Via", "From", "Call-ID", "CSeq"))
        self.statuses.append(status)
        self._send(f"SIP/2.0 {status} X\r\n{kept}To: {to}\r\n{more}Content-Length: 0\r\n\r\n".encode())

    def _send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.sendto(data, self.server)

    async def ask(self, method: str, call_id: str, cseq: int, lines: str, body: str = "") -> Message:
        """Sends a request each half second until it is answered, as timer E does."""
        answer = self.answers[f"{call_id}{cseq} {method}"] = asyncio.get_running_loop().create_future()
        octets = body.encode("gb18030")
        kind = "Content-Type: Application/MANSCDP+xml\r\n" if body else ""
        head = (
            f"{method} sip:{SERVER_ID}@{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.own};rport;branch=z9hG4bK{uuid.uuid4().hex}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"{lines}{kind}Content-Length: {len(octets)}\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._send(head.encode() + octets)
                done, _ = await asyncio.wait({answer}, timeout=0.5)
                if done:
                    return answer.result()

    async def register(self) -> None:
        own = f"<sip:{self.device_id}@{DOMAIN}>"
        lines = f"From: {own};tag=r1\r\nTo: {own}\r\nContact: <sip:{self.device_id}@{self.own}>\r\nExpires: 3600\r\n"
        self.cseq += 1
        challenge = await self.ask("REGISTER", self.registration, self.cseq, lines)
        assert challenge.status == 401
        given = dict(re.findall(r'(\w+)="([^"]*)"', challenge.headers["www-authenticate"]))
        uri = f"sip:{SERVER_ID}@{DOMAIN}"
        ha1 = _md5(f"{self.device_id}:{given['realm']}:{SIP_PASSWORD}")
        response = _md5(f"{ha1}:{given['nonce']}:{_md5(f'REGISTER:{uri}')}")
        proof = (
            f'Authorization: Digest username="{self.device_id}", realm="{given["realm"]}", nonce="{given["nonce"]}", '
            f'uri="{uri}", response="{response}", algorithm=MD5\r\n'
        )
        self.cseq += 1
        assert (await self.ask("REGISTER", self.registration, self.cseq, lines + proof)).status == 200

    def reboot(self) -> None:
        """Forgets every subscription and registers under another Call-ID; where it is stays the same."""
        self.subscriptions.clear()
        self.registration = uuid.uuid4().hex

    async def notify(self, call_id: str, body: str) -> int:
        """NOTIFY in the dialog of a subscription, one that was forgotten too; the status of its answer."""
        made = next(message for message in self.subscribes if message.headers["call-id"] == call_id)
        known = self.subscriptions.get(call_id)
        tag, cseq = (known.tag, known.cseq + 1) if known is not None else ("gone", 99)
        if known is not None:
            known.cseq = cseq
        lines = (
            f"From: <sip:{self.device_id}@{DOMAIN}>;tag={tag}\r\nTo: {made.headers['from']}\r\n"
            f"Event: {made.headers['event']}\r\nSubscription-State: active;expires=590;retry-after=0\r\n"
            f"Contact: <sip:{self.device_id}@{self.own}>\r\n"
        )
        return (await self.ask("NOTIFY", call_id, cseq, lines, body)).status

    def alarm(self, time: str, description: str) -> str:
        return (
            '<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Alarm</CmdType>\r\n<SN>7</SN>\r\n'
            f"<DeviceID>{self.device_id}</DeviceID>\r\n<AlarmPriority>1</AlarmPriority>\r\n<AlarmMethod>5</AlarmMethod>\r\n"
            f"<AlarmTime>{time}</AlarmTime>\r\n<AlarmDescription>{description}</AlarmDescription>\r\n"
            "<Info>\r\n<AlarmType>6</AlarmType>\r\n</Info>\r\n</Notify>\r\n"
        )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
