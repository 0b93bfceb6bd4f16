"""Messages that the tests of this folder share: those of the specification where it is at hand, and our own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"
_VECTOR = re.compile(r"### (TV-\d+) (.*?)\n\n`charset=(\S+)` `body=(\d+)` `total=(\d+)`.*?```sip\n(.*?)```", re.DOTALL)

PLATFORM = "34020000002000000001"
DEVICE = "34020000001110000001"
CHANNEL = "34020000001320000001"
DOMAIN = "3402000000"

KEEPALIVE_XML = (
    b'<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n<SN>1</SN>\r\n'
    b"<DeviceID>34020000001110000001</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
)


@dataclass(frozen=True)
class Vector:
    name: str
    data: bytes
    body_bytes: int


def vectors() -> list[Vector]:
    """All messages of the specification's test vectors; [] where it is not at hand."""
    document = SHARED / "spec" / "08-test-vectors.md"
    if not document.exists():
        return []
    found = _VECTOR.findall(document.read_text(encoding="utf-8"))
    return [Vector(one[0], one[5].replace("\n", "\r\n").encode(one[2]), int(one[3])) for one in found]


def torture() -> list[Path]:
    return sorted((SHARED / "data" / "rfc4475").glob("*/*.dat"))


needs_vectors = pytest.mark.skipif(not vectors(), reason="the test vectors of the specification are not at hand")
needs_torture = pytest.mark.skipif(not torture(), reason="the messages of RFC 4475 are not at hand")


def request(
    method: str = "MESSAGE",
    *,
    uri: str = f"sip:{PLATFORM}@{DOMAIN}",
    branch: str = "z9hG4bK0001",
    call_id: str = "c1@192.0.2.20",
    cseq: int = 1,
    transport: str = "UDP",
    body: bytes = b"",
    length: int | None = -1,
    extra: str = "",
    from_tag: str = "d1",
    user: str = DEVICE,
) -> bytes:
    """A request of a device; `length` -1 is the true Content-Length, None leaves it out."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} 192.168.1.64:5060;rport" + (f";branch={branch}" if branch else ""),
        f"From: <sip:{user}@{DOMAIN}>" + (f";tag={from_tag}" if from_tag else ""),
        f"To: <sip:{user if method == 'REGISTER' else PLATFORM}@{DOMAIN}>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
    ]
    if extra:
        lines.append(extra)
    if body:
        lines.append("Content-Type: Application/MANSCDP+xml")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
