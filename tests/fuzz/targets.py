"""What reads the bytes of strangers, each as a function of bytes that must not raise.

`WireError` is the one answer to what cannot be read. What was read is asked a little: what cannot be used is a fault too.
Used by `test_corpus.py` for the kept inputs, and by `scripts/test --long fuzz`, which looks for new ones.
"""

from __future__ import annotations

from collections.abc import Callable

from gb28181.errors import WireError
from gb28181.manscdp import codec, ptz_code
from gb28181.manscdp.assembler import Assembler
from gb28181.media.ps import PsParser
from gb28181.sip import mansrtsp, sdp
from gb28181.sip.digest import DigestServer, Verdict
from gb28181.sip.endpoint import SipEndpoint
from gb28181.sip.framing import StreamFramer
from gb28181.sip.limits import FloodLimits
from gb28181.sip.message import Request
from gb28181.sip.parser import parse_datagram, parse_head
from gb28181.sip.transaction import Flow, RequestArrived
from tests.manscdp.vectors import whole_seconds

#: Between the pieces of an input that is several: datagrams, chunks of a connection.
CUT = b"\x00\xff\x00"


def message(data: bytes) -> None:
    """One SIP message."""
    try:
        found = parse_datagram(data)
    except WireError:
        return
    assert found.via is None or found.via.text
    if isinstance(found, Request):
        assert found.method


def endpoint(data: bytes) -> None:
    """Datagrams of one peer, with time passing between them."""
    made = SipEndpoint(
        server_id="34020000002000000001", domain="3402000000", limits=FloodLimits(per_source=1e9, unauthenticated=1e9)
    )
    flow, now = Flow("udp", "192.0.2.7", 5060), 1000.0
    for piece in data.split(CUT)[:16]:
        made.receive_datagram(piece, flow, now)
        while (event := made.next_event()) is not None:
            if isinstance(event, RequestArrived):
                made.respond(event.transaction, 404, "", (), b"", "", now)
        for _, packet in made.packets_to_send():
            assert packet
        now += 0.7
        made.expire(now)
    made.expire(now + 1000)
    assert made.next_deadline() is None, "a transaction is left over"


def stream(data: bytes) -> None:
    """A TCP connection: its messages do not depend on how its bytes are cut, and it holds no more than it may."""
    whole = StreamFramer(max_message=1 << 16)
    cut = StreamFramer(max_message=1 << 16)
    pieces = data.split(CUT)
    got = whole.feed(b"".join(pieces), 1.0)
    parts = [framed for piece in pieces for framed in cut.feed(piece, 1.0)]
    assert parts == got or whole.is_broken or cut.is_broken
    for framed in got:
        try:
            parse_head(*framed[:1], framed.faults, framed.body)
        except WireError:
            pass
    whole.expire(1e9)
    assert whole.buffered <= (1 << 16) + (1 << 17)


def description(data: bytes) -> None:
    """SDP."""
    try:
        sdp.parse(data)
    except WireError:
        pass


def digest(data: bytes) -> None:
    """The value of an Authorization header."""
    text = data.decode("utf-8", "surrogateescape")
    server = DigestServer(b"k" * 32, "3402000000", 60.0)
    found = server.verify(
        text, method="REGISTER", uri="sip:34020000002000000001@3402000000", device_id="34020000001320000001",
        source="192.0.2.7", password="password", now=1_700_000_000.0,
    )  # fmt: skip
    assert found.verdict is not Verdict.OK, "nobody knows this key"


def command(data: bytes) -> None:
    """A MANSCDP body; what was read without a fault is written and read again as the same."""
    try:
        parsed = codec.parse(data)
    except WireError:
        return
    assert len(parsed.faults) <= 64
    if isinstance(parsed.command, codec.Unknown) or parsed.faults:
        return
    try:
        written = codec.build(parsed.command)
    except WireError:
        return
    again = codec.parse(written)
    # Some texts of GB 18030 are valid UTF-8 too: no decoder can tell, and the guess is counted.
    assert "wrong-charset" in again.faults or again.command == whole_seconds(parsed.command)


def assembler(data: bytes) -> None:
    """Parts of answers in any order: what is expected ends, and ends once."""
    made = Assembler(max_items=500)
    expected = ended = 0
    now = 0.0
    for at in range(0, min(len(data), 4000) - 3, 4):
        kind, sn, announced, ids = data[at : at + 4]
        now += kind >> 4
        peer = str(kind & 1)
        if kind & 2:
            made.expect(peer, "Catalog", sn & 3, now)
            expected += 1
        else:
            _, finished = made.add(
                peer, "Catalog", sn & 3, announced=announced if announced < 250 else None,
                ids=[str(number) for number in range(ids & 31)], now=now,
            )  # fmt: skip
            ended += len(finished)
        ended += len(made.expire(now))
    ended += len(made.expire(now + 1e6))
    assert made.next_deadline() is None
    assert ended <= expected


def ptz(data: bytes) -> None:
    """A PTZ code; one that was read is written the same."""
    try:
        found = ptz_code.parse(data.decode("latin-1"))
    except WireError:
        return
    if found.action is not None:
        ptz_code.build(found.action, address=found.address)


def rtsp(data: bytes) -> None:
    """MANSRTSP."""
    try:
        mansrtsp.parse(data)
    except WireError:
        pass


def program_stream(data: bytes) -> None:
    """PS: what comes out does not depend on how the bytes are cut."""
    pieces = data.split(CUT)
    whole, cut = PsParser(), PsParser()
    got = whole.feed(b"".join(pieces), 0) + whole.flush()
    parts = [unit for piece in pieces for unit in cut.feed(piece, 0)] + cut.flush()
    assert [(unit.codec, unit.data) for unit in parts] == [(unit.codec, unit.data) for unit in got]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message, "endpoint": endpoint, "stream": stream, "description": description, "digest": digest,
    "command": command, "assembler": assembler, "ptz": ptz, "rtsp": rtsp, "program_stream": program_stream,
}  # fmt: skip
