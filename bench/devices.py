"""Cameras without pictures: they register, list one channel, accept INVITEs and say where media are wanted."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, field
from typing import cast

DOMAIN = "3402000000"
#: Between two cameras: one source may ask 500 times a second.
_PAUSE_S = 0.006


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where one camera's media go."""

    host: str
    port: int
    ssrc: int
    transport: str
    device: str


@dataclass
class Light(asyncio.DatagramProtocol):
    """One camera on a UDP port of its own."""

    device: str
    server: tuple[str, int]
    server_id: str
    password: str
    wanted: asyncio.Queue[Wanted]
    registered: asyncio.Event = field(default_factory=asyncio.Event)
    cseq: int = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.own = "{}:{}".format(*transport.get_extra_info("sockname"))
        self._register("")

    def register_again(self) -> None:
        """Begins anew where a datagram was lost."""
        if not self.registered.is_set():
            self._register("")

    def _register(self, authorization: str) -> None:
        self._request("REGISTER", f"Contact: <sip:{self.device}@{self.own}>\r\nExpires: 3600\r\n{authorization}", "")

    def _request(self, method: str, headers: str, body: str) -> None:
        self.cseq += 1
        target = self.device if method == "REGISTER" else self.server_id
        text = (
            f"{method} sip:{self.server_id}@{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.own};rport;branch=z9hG4bK{self.device}{self.cseq}\r\n"
            f"From: <sip:{self.device}@{DOMAIN}>;tag=a\r\nTo: <sip:{target}@{DOMAIN}>\r\n"
            f"Call-ID: {method}{self.device if method == 'REGISTER' else self.cseq}@{self.own}\r\n"
            f"CSeq: {self.cseq} {method}\r\n"
            f"Max-Forwards: 70\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.transport.sendto(text.encode(), self.server)

    def datagram_received(self, data: bytes, addr: object) -> None:
        head, _, body = data.decode("gb18030", "replace").partition("\r\n\r\n")
        if head.startswith("SIP/2.0 401"):
            self._authorize(head)
        elif head.startswith("SIP/2.0 200") and "REGISTER" in head:
            self.registered.set()
        elif "SIP/2.0" in head and not head.startswith("SIP/2.0"):
            self._serve(head, body)

    def _authorize(self, head: str) -> None:
        found = re.search(r'realm="([^"]*)".*?nonce="([^"]*)"|nonce="([^"]*)".*?realm="([^"]*)"', head)
        assert found
        realm, nonce = found[1] or found[4], found[2] or found[3]
        uri = f"sip:{self.server_id}@{DOMAIN}"
        ha1, ha2 = _md5(f"{self.device}:{realm}:{self.password}"), _md5(f"REGISTER:{uri}")
        self._register(
            f'Authorization: Digest username="{self.device}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{_md5(f"{ha1}:{nonce}:{ha2}")}", algorithm=MD5\r\n'
        )

    def _serve(self, head: str, body: str) -> None:
        method = head.split(" ", 1)[0]
        if method == "ACK":
            return
        fields = "\r\n".join(
            line for line in head.split("\r\n")[1:] if line.split(":")[0] in ("Via", "From", "Call-ID", "CSeq")
        )
        to = next(line for line in head.split("\r\n") if line.startswith("To:"))
        to = to if "tag=" in to else f"{to};tag=b"
        sdp = ""
        if method == "INVITE":
            sdp = self._answer(body)
        kind = "Content-Type: application/sdp\r\n" if sdp else ""
        self.transport.sendto(
            f"SIP/2.0 200 OK\r\n{fields}\r\n{to}\r\nContact: <sip:{self.device}@{self.own}>\r\n{kind}"
            f"Content-Length: {len(sdp)}\r\n\r\n{sdp}".encode(),
            self.server,
        )
        if method == "MESSAGE" and "<CmdType>Catalog<" in body:
            sn = re.search(r"<SN>(\d+)<", body)
            assert sn
            self._request("MESSAGE", "Content-Type: Application/MANSCDP+xml\r\n", self._catalog(sn[1]))

    def _answer(self, offer: str) -> str:
        host = re.search(r"c=IN IP4 (\S+)", offer)
        media = re.search(r"m=video (\d+) (\S+)", offer)
        ssrc = re.search(r"y=(\d+)", offer)
        assert host
        assert media
        assert ssrc
        tcp = "TCP" in media[2]
        self.wanted.put_nowait(Wanted(host[1], int(media[1]), int(ssrc[1]), "tcp" if tcp else "udp", self.device))
        setup = "a=setup:active\r\na=connection:new\r\n" if tcp else ""
        return (
            f"v=0\r\no={self.device} 0 0 IN IP4 127.0.0.1\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=video 15060 {media[2]} 96\r\na=sendonly\r\n{setup}a=rtpmap:96 PS/90000\r\ny={ssrc[1]}\r\n"
        )

    def _catalog(self, sn: str) -> str:
        return (
            f'<?xml version="1.0"?><Response><CmdType>Catalog</CmdType><SN>{sn}</SN><DeviceID>{self.device}</DeviceID>'
            f'<SumNum>1</SumNum><DeviceList Num="1"><Item><DeviceID>{self.device}</DeviceID><Name>{self.device}</Name>'
            "<Manufacturer>bench</Manufacturer><Model>m</Model><Owner>o</Owner><CivilCode>340200</CivilCode><Address>a</Address>"
            f"<Parental>0</Parental><ParentID>{self.device}</ParentID><RegisterWay>1</RegisterWay><Secrecy>0</Secrecy>"
            "<Status>ON</Status></Item></DeviceList></Response>"
        )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


async def start(count: int, *, sip_port: int, server_id: str, password: str) -> asyncio.Queue[Wanted]:
    """Registers `count` cameras; the queue gives one `Wanted` for each INVITE."""
    loop = asyncio.get_running_loop()
    wanted: asyncio.Queue[Wanted] = asyncio.Queue()
    lights = []
    for number in range(count):
        device = f"{DOMAIN}1320{number + 1:06d}"
        light = Light(device, ("127.0.0.1", sip_port), server_id, password, wanted)
        await loop.create_datagram_endpoint(lambda light=light: light, local_addr=("127.0.0.1", 0))  # type: ignore[misc]
        lights.append(light)
        await asyncio.sleep(_PAUSE_S)
    async with asyncio.timeout(120):
        while waiting := [light for light in lights if not light.registered.is_set()]:
            await asyncio.sleep(1)
            for light in waiting:
                light.register_again()
    return wanted
