"""A device over UDP, written from the standard and from nothing of ours: it registers, answers, and says what a test wants."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import cast

from tests.e2e.platform import SERVER_ID, SIP_PASSWORD


class PlainDevice(asyncio.DatagramProtocol):
    """Registers with digest as soon as it has a socket; a test's device says in `asked` what a MESSAGE does.

    Args:
        declared: Headers of its own in every request, such as X-GB-Ver.

    Attributes:
        registered: Set with the 200 to its REGISTER.
    """

    def __init__(self, server: tuple[str, int], device_id: str, *declared: str) -> None:
        self.server = server
        self.device_id = device_id
        self.registered = asyncio.Event()
        self._declared = declared
        self._cseq = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # in Python 3.11 its class says less than it is
        self.own = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        self.send("REGISTER", "Expires: 3600")

    def datagram_received(self, data: bytes, _addr: object) -> None:
        text = data.decode("gb18030")
        if text.startswith("SIP/2.0 401"):
            self.send("REGISTER", f"Authorization: {self._credentials(text)}", "Expires: 3600")
        elif text.startswith("SIP/2.0 200") and "REGISTER" in text:
            self.registered.set()
        elif text.startswith("SUBSCRIBE"):
            self.answer(text, "489 Bad Event")
        elif text.startswith("MESSAGE"):
            self.asked(text)

    def asked(self, text: str) -> None:
        """A MESSAGE has come."""
        raise NotImplementedError

    def answer(self, text: str, status: str = "200 OK") -> None:
        kept = [line for line in text.split("\r\n") if re.match(r"(?i)(via|from|call-id|cseq)\s*:", line)]
        to = next(line for line in text.split("\r\n") if line.lower().startswith("to:"))
        self._write(f"SIP/2.0 {status}", *kept, f"{to};tag=cam", "Content-Length: 0")

    def says(self, root: str, cmd_type: str, sn: str, inner: str) -> None:
        head = f'<?xml version="1.0" encoding="GB18030"?><{root}><CmdType>{cmd_type}</CmdType><SN>{sn}</SN>'
        body = f"{head}<DeviceID>{self.device_id}</DeviceID>{inner}</{root}>"
        self.send("MESSAGE", "Content-Type: Application/MANSCDP+xml", body=body.encode("gb18030"))

    def send(self, method: str, *headers: str, body: bytes = b"") -> None:
        self._cseq += 1
        self._write(
            f"{method} sip:{SERVER_ID}@3402000000 SIP/2.0", f"Via: SIP/2.0/UDP {self.own};rport;branch=z9hG4bKcam{self._cseq}",
            f"From: <sip:{self.device_id}@3402000000>;tag=t{self._cseq}", f"To: <sip:{self.device_id}@3402000000>",
            f"Call-ID: {method}{self._cseq if method == 'MESSAGE' else ''}@{self.own}", f"CSeq: {self._cseq} {method}",
            f"Contact: <sip:{self.device_id}@{self.own}>", "Max-Forwards: 70", *self._declared, *headers,
            f"Content-Length: {len(body)}", body=body,
        )  # fmt: skip

    def _write(self, *lines: str, body: bytes = b"") -> None:
        self.transport.sendto("\r\n".join((*lines, "", "")).encode() + body, self.server)

    def _credentials(self, text: str) -> str:
        realm, nonce = (re.search(f'{name}="([^"]*)"', text) for name in ("realm", "nonce"))
        assert realm
        assert nonce
        uri = f"sip:{SERVER_ID}@3402000000"
        ha1 = hashlib.md5(f"{self.device_id}:{realm[1]}:{SIP_PASSWORD}".encode()).hexdigest()
        ha2 = hashlib.md5(f"REGISTER:{uri}".encode()).hexdigest()
        response = hashlib.md5(f"{ha1}:{nonce[1]}:{ha2}".encode()).hexdigest()
        return (
            f'Digest username="{self.device_id}", realm="{realm[1]}", nonce="{nonce[1]}", uri="{uri}", response="{response}", '
            "algorithm=MD5"
        )
