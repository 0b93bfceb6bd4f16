"""The keepalive that is read in one step says what the long way says (§9.6: most of all messages)."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.errors import WireError
from gb28181.manscdp import codec
from gb28181.manscdp.codec import Parsed
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.manscdp.element import Result
from tests.manscdp.vectors import vector

PLAIN = vector("standard-keepalive.xml")

blanks = st.sampled_from([b"", b"\r\n", b"\n", b" ", b"\t", b"\r\n\r\n ", b"\x00", b"\x0b", b"x", b"&"])
declarations = st.sampled_from(
    [
        b"",
        b'<?xml version="1.0"?>',
        b'<?xml version="1.0" encoding="GB2312"?>',
        b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>',
        b'<?xml version="1.0" encoding="gb18030" ?>',
        b"<?xml version='1.0'?>",
        b"\xef\xbb\xbf",
        b'<?xml version="1.1"?>',
    ]
)


@st.composite
def keepalives(draw: st.DrawFn) -> bytes:
    """A keepalive near the form of the standard, and not always in it."""
    sn = draw(st.one_of(st.integers(0, 2**40).map(str), st.sampled_from(["", "007", "-1", "1.5", "x", "1 "])))
    device = draw(st.one_of(st.text("0123456789", max_size=22), st.sampled_from(["3402A", " 34020000001110000001"])))
    status = draw(st.sampled_from(["OK", "ERROR", "ok", "ON", "", "FAIL", " OK "]))
    parts = [b"<Notify>", b"<CmdType>Keepalive</CmdType>", f"<SN>{sn}</SN>".encode(), f"<DeviceID>{device}</DeviceID>".encode()]
    info = draw(
        st.sampled_from([b"", b"", b"<Info/>", b"<Info>\r\n</Info>", b"<Info>x</Info>", b"<Info><DeviceID>1</DeviceID></Info>"])
    )
    parts += [f"<Status>{status}</Status>".encode(), info, b"</Notify>"]
    wire = draw(declarations)
    for part in parts:
        wire += draw(blanks) + part
    return wire + draw(blanks)


def long_way(wire: bytes) -> Parsed | str:
    try:
        return codec._parse(wire)
    except WireError as error:
        return error.reason


def read(wire: bytes) -> Parsed | str:
    try:
        return codec.parse(wire)
    except WireError as error:
        return error.reason


@settings(max_examples=400, deadline=None)
@given(keepalives())
def test_one_step_and_the_long_way_agree(wire: bytes) -> None:
    assert read(wire) == long_way(wire)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(PLAIN)), st.integers(0, 12), st.binary(max_size=6))
def test_they_agree_on_any_damage_too(at: int, cut: int, put: bytes) -> None:
    wire = PLAIN[:at] + put + PLAIN[at + cut :]
    assert read(wire) == long_way(wire)


def test_the_form_of_the_standard_goes_in_one_step() -> None:
    found = codec._keepalive(PLAIN)
    assert found is not None
    assert found == codec._parse(PLAIN).command
    assert codec._keepalive(re.sub(rb"<Status>OK", b"<Status>ERROR", PLAIN)) == Keepalive(
        sn=found.sn, device_id=found.device_id, status=Result.ERROR
    )


def test_an_empty_list_of_faulty_channels_is_no_reason_for_the_long_way() -> None:
    wire = PLAIN.replace(b"</Notify>", b"<Info>\r\n</Info>\r\n</Notify>")
    assert codec._keepalive(wire) == codec._parse(wire).command


def test_a_list_of_faulty_channels_goes_the_long_way() -> None:
    assert codec._keepalive(vector("standard-keepalive-faulty.xml")) is None
    assert codec.parse(vector("standard-keepalive-faulty.xml")).command.faulty
