"""Messages of light devices as prepared bytes: nothing but numbers is filled in (RFC 3261 §7, GB/T 28181 §9.1, §9.6, A.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gb28181.ids import domain_of
from gb28181.sim import sip

_CSEQ: Final = re.compile(rb"\r\n[Cc][Ss][Ee][Qq][ \t]*:[ \t]*(\d{1,9})")
_EXPIRES: Final = re.compile(rb"(?i);\s*expires\s*=\s*(\d{1,9})|\r\n(?:expires)[ \t]*:[ \t]*(\d{1,9})")
_CHALLENGE: Final = re.compile(rb"(?i)\r\nwww-authenticate[ \t]*:[ \t]*([^\r\n]+)")
_RETRY_AFTER: Final = re.compile(rb"(?i)\r\nretry-after[ \t]*:[ \t]*(\d{1,6})")
_COPIED: Final = re.compile(rb"(?i)\r\n(?:via|v|from|f|call-id|i|cseq)[ \t]*:[^\r\n]*")
_TO: Final = re.compile(rb"(?i)\r\n(?:to|t)[ \t]*:[ \t]*([^\r\n]*)")
_TAGGED: Final = re.compile(rb"(?i);\s*tag\s*=")
_FIELD: Final = re.compile(rb"<(CmdType|SN|DeviceID)>\s*([^<\s]{1,64})\s*<")
_ROOT: Final = re.compile(rb"<(Query|Control|Notify|Response)\b")
#: Controls that the standard has answered (A.2.3); a light device can do none of them.
_ANSWERED: Final = re.compile(rb"<(?:RecordCmd|GuardCmd|AlarmCmd|HomePosition|DeviceUpgrade)\b")
_UNKNOWN: Final = "<Result>ERROR</Result>"
_INFO: Final = "<Result>OK</Result><Manufacturer>GB28181</Manufacturer><Model>SIM-LIGHT</Model><Firmware>V1.0</Firmware>"
_STATUS: Final = "<Result>OK</Result><Online>ONLINE</Online><Status>OK</Status><Encode>OFF</Encode><Record>OFF</Record>"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query or control of the platform names, and whether an answer is due."""

    root: str
    command: str
    sn: str
    target: str
    wants_answer: bool


def status_of(data: bytes) -> int:
    """Status of a response, 0 of a request or of what is neither."""
    return int(data[8:11]) if data[:8] == b"SIP/2.0 " and data[8:11].isdigit() else 0


def cseq_of(data: bytes) -> int:
    """Number of the CSeq, -1 where there is none."""
    found = _CSEQ.search(data)
    return int(found[1]) if found else -1


def granted_of(data: bytes, asked_s: int) -> int:
    """Lifetime in a 200 to REGISTER: the Contact's parameter or the header (RFC 3261 §10.2.4)."""
    found = _EXPIRES.search(data)
    return (int(found[1] or found[2]) or asked_s) if found else asked_s


def retry_after_of(data: bytes, default_s: float) -> float:
    """Seconds of Retry-After."""
    found = _RETRY_AFTER.search(data)
    return float(found[1]) if found else default_s


def method_of(data: bytes) -> bytes:
    """First word of a request."""
    return data[:32].partition(b" ")[0]


def identity_of(data: bytes) -> bytes:
    """What is equal in a request and its retransmissions, and in nothing else: Via, From, Call-ID and CSeq."""
    return b"".join(_COPIED.findall(data.partition(b"\r\n\r\n")[0]))


def reply(data: bytes, status: bytes) -> bytes:
    """The response without body to a request (RFC 3261 §8.2.6)."""
    head = data.partition(b"\r\n\r\n")[0]
    to = _TO.search(head)
    value = to[1] if to else b""
    if not _TAGGED.search(value):
        value += b";tag=light"
    return b"SIP/2.0 %b%b\r\nTo: %b\r\nContent-Length: 0\r\n\r\n" % (status, b"".join(_COPIED.findall(head)), value)


def asked_of(data: bytes) -> Asked | None:
    """The query or control in a MESSAGE, None where it holds nothing of that kind."""
    body = data.partition(b"\r\n\r\n")[2]
    root = _ROOT.search(body)
    fields = {name: value.decode("ascii", "replace") for name, value in reversed(_FIELD.findall(body))}
    if root is None or not {b"CmdType", b"SN", b"DeviceID"} <= fields.keys():
        return None
    kind, command = root[1].decode(), fields[b"CmdType"]
    wants = kind == "Query" or (kind == "Control" and (command == "DeviceConfig" or _ANSWERED.search(body) is not None))
    return Asked(kind, command, fields[b"SN"], fields[b"DeviceID"], wants)


class Wire:
    """Writes what the devices of one crowd send.

    Args:
        server_id: 20-digit code of the server.
        domain: SIP domain, "" for the first ten digits of `server_id`.
        password: For the digest; "" answers no challenge.
        expires_s: Lifetime asked for.
        run: Makes branches and Call-IDs unlike those of an earlier run.
    """

    def __init__(self, *, server_id: str, domain: str, password: str, expires_s: int, run: str) -> None:
        self._domain = domain or domain_of(server_id)
        self._server_id = server_id
        self._password = password
        self._uri = f"sip:{server_id}@{self._domain}"
        self._run = run
        self._expires_s = expires_s

    def register(self, code: str, own: str, cseq: int, credentials: str) -> bytes:
        """REGISTER; `credentials` is the Authorization value or ""."""
        line = f"Authorization: {credentials}\r\n" if credentials else ""
        return (
            f"REGISTER {self._uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{self._run}{code[-7:]}.{cseq}\r\n"
            f"From: <sip:{code}@{self._domain}>;tag={self._run}\r\nTo: <sip:{code}@{self._domain}>\r\n"
            f"Call-ID: {self._run}r{code}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{code}@{own}>\r\nMax-Forwards: 70\r\n"
            f"Expires: {self._expires_s}\r\nX-GB-Ver: 3.0\r\nUser-Agent: GB28181-simulator\r\n{line}Content-Length: 0\r\n\r\n"
        ).encode()

    def credentials(self, code: str, challenged: bytes) -> str | None:
        """Authorization value that answers the first challenge of a 401 that can be answered, else None."""
        for value in _CHALLENGE.findall(challenged) if self._password else ():
            answer = sip.authorization(
                value.decode("utf-8", "replace"), username=code, password=self._password, method="REGISTER", uri=self._uri
            )
            if answer is not None:
                return answer
        return None

    def keepalive(self, code: str, own: str, cseq: int) -> bytes:
        """Status report (A.2.5.2)."""
        body = (
            f'<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n<SN>{cseq}</SN>\r\n'
            f"<DeviceID>{code}</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
        )
        return self._message(code, own, cseq, body)

    def answer(self, code: str, own: str, cseq: int, asked: Asked) -> bytes:
        """Response to a query: one channel, a few facts; ERROR to everything else."""
        match asked.root, asked.command:
            case "Query", "Catalog":
                inner = _catalog(code)
            case "Query", "DeviceInfo":
                inner = f"<DeviceName>{code}</DeviceName>{_INFO}<Channel>1</Channel>"
            case "Query", "DeviceStatus":
                inner = _STATUS
            case "Query", "RecordInfo":
                inner = f"<Name>{code}</Name><SumNum>0</SumNum>"
            case _:
                inner = _UNKNOWN
        body = (
            f'<?xml version="1.0" encoding="GB2312"?>\r\n<Response>\r\n<CmdType>{asked.command}</CmdType>\r\n'
            f"<SN>{asked.sn}</SN>\r\n<DeviceID>{asked.target}</DeviceID>\r\n{inner}\r\n</Response>\r\n"
        )
        return self._message(code, own, cseq, body)

    def _message(self, code: str, own: str, cseq: int, body: str) -> bytes:
        return (
            f"MESSAGE {self._uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{self._run}{code[-7:]}.{cseq}\r\n"
            f"From: <sip:{code}@{self._domain}>;tag={self._run}\r\nTo: <{self._uri}>\r\n"
            f"Call-ID: {self._run}m{code[-7:]}.{cseq}\r\nCSeq: {cseq} MESSAGE\r\nMax-Forwards: 70\r\n"
            f"Content-Type: Application/MANSCDP+xml\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def _catalog(code: str) -> str:
    channel = f"{code[:10]}131{code[13:]}"
    return (
        f'<SumNum>1</SumNum>\r\n<DeviceList Num="1">\r\n<Item>\r\n<DeviceID>{channel}</DeviceID>\r\n'
        f"<Name>LIGHT {code[-7:]}</Name>\r\n"
        "<Manufacturer>GB28181</Manufacturer>\r\n<Model>SIM-LIGHT</Model>\r\n<Owner>Owner</Owner>\r\n"
        f"<CivilCode>{code[:6]}</CivilCode>\r\n<Address>Address</Address>\r\n<Parental>0</Parental>\r\n<ParentID>{code}</ParentID>"
        "\r\n<SafetyWay>0</SafetyWay>\r\n<RegisterWay>1</RegisterWay>\r\n<Secrecy>0</Secrecy>\r\n<Status>ON</Status>\r\n"
        "</Item>\r\n</DeviceList>"
    )
