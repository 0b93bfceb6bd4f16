"""All 151 messages of `tests/vectors/messages`: read, compared with what they say, and rebuilt where they are ours to send.

*What they say* is found without our parsers: heads by splitting lines, bodies with the XML parser of the standard library and
the tables of `said.py`.

*Equal* means: start line, headers in their order and values are the same, names of headers that nobody registered aside
from their capitals; a MANSCDP body is the same bytes, an element of type double aside, which is the same number
(`118.3760` is `118.376`); an SDP is the same bytes; a MANSRTSP body is the same lines, Scale as a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gb28181.ids import Ssrc
from gb28181.manscdp.codec import build, parse
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Spec, entry_of
from gb28181.manscdp.times import read_time, write_time
from gb28181.manscdp.values import read_float
from gb28181.sip import mansrtsp, sdp
from gb28181.sip.digest import digest_response
from gb28181.sip.message import Request, message_bytes
from gb28181.sip.parser import parse_datagram
from tests.manscdp import said

FOLDER = Path(__file__).parents[1] / "vectors" / "messages"
SHARED = Path(__file__).parents[3] / "shared" / "spec" / "08-test-vectors.md"
FILES = {int(path.name[:3]): path for path in sorted(FOLDER.glob("*.sip"))}
WIRE = {number: path.read_bytes() for number, path in FILES.items()}
MESSAGES = {number: parse_datagram(wire) for number, wire in WIRE.items()}
PLATFORM = "192.0.2.10:5060"


def head_and_body(number: int) -> tuple[list[str], bytes]:
    head, _, body = WIRE[number].partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


def is_ours(number: int) -> bool:
    """Whether the platform sends it: its requests bear its address in Via, its answers another's."""
    message = MESSAGES[number]
    assert message.via is not None
    return (message.via.sent_by == PLATFORM) == isinstance(message, Request)


def numbered(numbers: Iterable[int]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("number", [pytest.param(one, id=FILES[one].stem) for one in sorted(numbers)])


def test_there_are_151() -> None:
    assert sorted(FILES) == list(range(1, 152))


@pytest.mark.skipif(not SHARED.exists(), reason="the list of test vectors is not at hand")
def test_they_are_those_of_the_list() -> None:
    pattern = r"### TV-(\d+) .*?\n\n`charset=(\S+)` `body=(\d+)` `total=(\d+)`.*?```sip\n(.*?)```"
    found = re.findall(pattern, SHARED.read_text(encoding="utf-8"), re.DOTALL)
    assert {int(one[0]): one[4].replace("\n", "\r\n").encode(one[1]) for one in found} == WIRE
    assert [(int(one[2]), int(one[3])) for one in found] == [(len(head_and_body(n)[1]), len(WIRE[n])) for n in sorted(WIRE)]


# --- heads ---------------------------------------------------------------------------------------------------------


@numbered(FILES)
def test_start_line_headers_and_body_are_what_was_written(number: int) -> None:
    message = MESSAGES[number]
    (start, *lines), body = head_and_body(number)
    if isinstance(message, Request):
        assert start == f"{message.method} {message.uri} SIP/2.0"
    else:
        assert start == f"SIP/2.0 {message.status} {message.reason}"
    assert message.headers == [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    assert message.body == body
    assert int(message.header("content-length")) == len(body)
    assert message.faults == ()


@numbered(FILES)
def test_via_cseq_and_tags_are_taken_apart(number: int) -> None:
    message = MESSAGES[number]
    text = "\n".join(head_and_body(number)[0])
    via = re.search(r"^Via: SIP/2\.0/(\w+) ([\d.]+):(\d+);(.*)$", text, re.MULTILINE)
    cseq = re.search(r"^CSeq: (\d+) (\w+)$", text, re.MULTILINE)
    assert via is not None
    assert cseq is not None
    assert message.via is not None
    assert (message.via.transport, message.via.sent_by) == (via[1].upper(), f"{via[2]}:{via[3]}")
    assert message.via.branch == re.search(r"branch=(\w+)", via[4])[1]  # type: ignore[index]
    assert message.cseq == (int(cseq[1]), cseq[2])
    for name, tag in (("From", message.from_tag), ("To", message.to_tag)):
        found = re.search(rf"^{name}: <[^>]*>(?:;tag=(\w+))?$", text, re.MULTILINE)
        assert found is not None
        assert tag == (found[1] or "")


@numbered(said.CREDENTIALS)
def test_credentials_prove_the_password(number: int) -> None:
    message = MESSAGES[number]
    assert isinstance(message, Request)
    fields = dict(re.findall(r'(\w+)=(?:"([^"]*)"|)', message.header("authorization")))
    plain = dict(re.findall(r"(\w+)=([\w-]+)", message.header("authorization")))
    counter = f"{plain['nc']}:{fields['cnonce']}:{plain['qop']}" if "nc" in plain else ""
    response = digest_response(
        "SHA-256" if plain["algorithm"] == "SHA-256" else "MD5",
        username=fields["username"],
        realm=fields["realm"],
        password="12345678",
        method=message.method,
        uri=fields["uri"],
        nonce=fields["nonce"],
        counter=counter,
    )
    assert response == fields["response"]


def test_all_digest_credentials_are_checked() -> None:
    found = {number for number, message in MESSAGES.items() if message.header("authorization").startswith("Digest ")}
    assert found == said.CREDENTIALS


# --- MANSCDP -------------------------------------------------------------------------------------------------------


def leaves(element: ElementTree.Element, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and text of every element that holds text, in the order of the document."""
    for sub in element:
        if len(sub) == 0 and (sub.text or "").strip():
            yield (*path, sub.tag), sub.text or ""
        yield from leaves(sub, (*path, sub.tag))


def values(spec: Spec, command: object, edition: Edition, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of every field that has one, in the order of the declaration."""
    for slot in spec.fields:
        value = getattr(command, slot.attr)
        name = slot.wire.old_name if slot.wire.old_name and edition < Edition.E2022 else slot.name
        wrapper = slot.wire.names[:-1] if slot.many else ()
        for one in value if slot.many else () if value is None else (value,):
            if slot.block is None:
                yield (*path, *wrapper, name), one
            else:
                yield from values(slot.block, one, edition, (*path, *wrapper, name))


def same(text: str, value: Any) -> bool:
    if isinstance(value, StrEnum):
        return text == value.value
    if isinstance(value, datetime):
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S") == value.replace(tzinfo=None)
    return bool(type(value)(text) == value)


def document(body: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(body.decode("gb18030").partition("?>")[2])


def edition_of_label(body: bytes) -> Edition:
    return Edition.E2022 if b'encoding="GB18030"' in body else Edition.E2016


def test_every_manscdp_body_has_its_command() -> None:
    found = {
        number for number, message in MESSAGES.items() if message.content_type == "application/manscdp+xml" and message.body
    }
    assert found == set(said.COMMANDS)


@numbered(said.COMMANDS)
def test_a_manscdp_body_is_read_as_it_says(number: int) -> None:
    body = MESSAGES[number].body
    root = document(body)
    parsed = parse(body)
    assert parsed.faults == {}
    assert type(parsed.command) is said.COMMANDS[number]
    entry = entry_of(type(parsed.command))
    assert (root.tag, root.findtext("CmdType")) == (entry.category.value, entry.cmd_type)
    written = [(path, text) for path, text in leaves(root) if path != ("CmdType",)]
    read = list(values(entry.spec, parsed.command, edition_of_label(body)))
    assert [path for path, _ in read] == [path for path, _ in written]
    assert [(text, value) for (_, text), (_, value) in zip(written, read, strict=True) if not same(text, value)] == []
    for counted in root.iterfind(".//*[@Num]"):
        assert int(counted.attrib["Num"]) == len(counted)


@numbered(said.SUB_COMMANDS)
def test_a_control_carries_the_sub_command_that_it_says(number: int) -> None:
    command = parse(MESSAGES[number].body).command
    given = {slot.attr for slot in entry_of(type(command)).spec.fields if getattr(command, slot.attr) not in (None, ())}
    assert given >= {"sn", "device_id", said.SUB_COMMANDS[number]}
    extras = {"ptz_cmd_params", "stream_number", "info", "device_id2", "target_area"}
    assert given - {"sn", "device_id", said.SUB_COMMANDS[number]} <= extras


def equal_but_for_doubles(spec: Spec, ours: bytes, theirs: bytes) -> bool:
    """Line by line; the numbers in an element of type double are compared as numbers."""
    doubles = set(_doubles(spec))
    lines = list(zip(ours.split(b"\r\n"), theirs.split(b"\r\n"), strict=True))
    for mine, other in lines:
        one, two = (re.fullmatch(rb"<(\w+)>(-?[\d.]+)</\w+>", line) for line in (mine, other))
        if mine == other:
            continue
        if one is None or two is None or one[1] != two[1] or one[1].decode() not in doubles or float(one[2]) != float(two[2]):
            return False
    return True


def _doubles(spec: Spec) -> Iterator[str]:
    for slot in spec.fields:
        if slot.block is not None:
            yield from _doubles(slot.block)
        elif slot.convert is read_float:
            yield slot.name


# --- SDP and MANSRTSP ----------------------------------------------------------------------------------------------


def test_every_sdp_and_mansrtsp_body_is_expected() -> None:
    kinds = {number: message.content_type for number, message in MESSAGES.items() if message.body}
    assert {number for number, kind in kinds.items() if kind == "application/sdp"} == set(said.SDP)
    assert {number for number, kind in kinds.items() if kind == "application/mansrtsp"} == set(said.MANSRTSP)
    assert len(kinds) == len(said.COMMANDS) + len(said.SDP) + len(said.MANSRTSP)


@numbered(said.SDP)
def test_an_sdp_is_read_as_it_says(number: int) -> None:
    found = sdp.parse(MESSAGES[number].body)
    ssrc = found.ssrc.value if found.ssrc is not None else None
    facts = (found.media, found.port, found.transport, found.setup, ssrc, found.direction, found.name)
    assert facts == said.SDP[number]
    assert found.host == said.MEDIA_HOSTS[number]
    assert dict(found.rtpmap) == said.PAYLOADS[number]
    assert list(found.payloads) == list(said.PAYLOADS[number])
    assert (found.start, found.stop) == said.SDP_TIMES.get(number, (0, 0))
    assert found.uri == said.SDP_URIS.get(number, "")
    assert found.format == said.SDP_FORMATS.get(number, "")
    for name, value in said.SDP_ATTRIBUTES.get(number, {}).items():
        assert found.attributes[name] == value


@numbered(said.MANSRTSP)
def test_a_mansrtsp_body_is_read_as_it_says(number: int) -> None:
    assert mansrtsp.parse(MESSAGES[number].body) == said.MANSRTSP[number]


# --- what is ours to send ------------------------------------------------------------------------------------------


@numbered(number for number in FILES if is_ours(number))
def test_a_head_of_ours_is_rebuilt_equal(number: int) -> None:
    ours, theirs = message_bytes(MESSAGES[number]), WIRE[number]
    head, other = ours.partition(b"\r\n\r\n")[0], theirs.partition(b"\r\n\r\n")[0]
    for mine, line in zip(head.decode().split("\r\n"), other.decode().split("\r\n"), strict=True):
        name, colon, value = mine.partition(": ")
        assert (name.lower(), colon, value) == (line.partition(": ")[0].lower(), colon, line.partition(": ")[2])
    assert ours.partition(b"\r\n\r\n")[2] == theirs.partition(b"\r\n\r\n")[2]


@numbered(number for number in said.COMMANDS if is_ours(number))
def test_a_manscdp_body_of_ours_is_rebuilt_equal(number: int) -> None:
    body = MESSAGES[number].body
    command = parse(body).command
    rebuilt = build(command, edition=edition_of_label(body))
    assert equal_but_for_doubles(entry_of(type(command)).spec, rebuilt, body)


def test_our_sessions_are_offered_by_us_or_named_as_not_yet() -> None:
    assert {number for number in said.SDP if is_ours(number)} == said.OFFERS | set(said.NOT_OFFERED)


@numbered(said.OFFERS)
def test_an_sdp_of_ours_is_rebuilt_equal(number: int) -> None:
    _, port, transport, _, ssrc, _, name = said.SDP[number]
    assert ssrc is not None
    rebuilt = sdp.build_offer(
        owner="34020000002000000001",
        host=said.MEDIA_HOSTS[number],
        port=port,
        transport="tcp" if transport == "tcp" else "udp",
        ssrc=Ssrc(ssrc),
        name=name,
        payloads=tuple((payload, f"{encoding}/90000") for payload, encoding in said.PAYLOADS[number].items()),
    )
    assert rebuilt == MESSAGES[number].body


@numbered(number for number in said.MANSRTSP if is_ours(number))
def test_a_mansrtsp_body_of_ours_is_rebuilt_equal(number: int) -> None:
    body = MESSAGES[number].body
    rebuilt = mansrtsp.build(said.MANSRTSP[number], version="MANSRTSP/1.0" if b"MANSRTSP" in body else "RTSP/1.0")
    assert re.sub(rb"Scale: (-?\d+)\r\n", rb"Scale: \1.0\r\n", body) == rebuilt


def test_more_than_half_of_them_are_ours() -> None:
    ours = [number for number in FILES if is_ours(number)]
    assert len(ours) == 84
    assert {2, 20, 51, 83, 100, 105, 117, 144} <= set(ours)
    assert not {1, 14, 16, 27, 92, 107, 137, 142} & set(ours)


# --- computed values that belong to the messages -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "serial", "history", "text", "value"),
    [
        ("34020000002000000001", 1, False, "0200000001", 0x0BEBC201),
        ("34020000002000000001", 1, True, "1200000001", 0x47868C01),
        ("34020000002000000001", 9999, False, "0200009999", 0x0BEBE90F),
        ("13010000002000000001", 1, False, "0100000001", 0x05F5E101),
        ("65010200002000000001", 42, True, "1102000042", 0x41AF2FAA),
    ],
)
def test_an_ssrc_is_made_of_kind_platform_and_serial(platform: str, serial: int, history: bool, text: str, value: int) -> None:
    made = Ssrc.make(platform, serial, history=history)
    assert (str(made), made.value) == (text, value)
    assert Ssrc.parse(text) == made


@pytest.mark.parametrize(
    ("time", "seconds"), [("2026-03-01T00:00:00", 1772294400), ("2026-03-01T01:00:00", 1772298000), ("1970-01-01T08:00:00", 0)]
)
def test_a_time_in_a_body_and_in_t_is_the_same_moment(time: str, seconds: int) -> None:
    assert read_time(time).timestamp() == seconds
    assert write_time(datetime.fromtimestamp(seconds, UTC)) == time
