"""Dialects byte by byte: each leaves the standard where its row says, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gb28181.errors import Invalid
from gb28181.sim import manscdp
from gb28181.sim.catalog import Item, row
from gb28181.sim.dialects import bodies, messages, rows, table
from gb28181.sim.edition import EDITIONS
from gb28181.sim.speech import Speech

QUIRKS = Path(__file__).parents[3] / "shared" / "quirks.md"
#: Starred rows that no device of this simulator can emit: broadcast, and upper platforms.
ELSEWHERE = {"Q177", "Q178", "Q182"}
DEVICE = "34020000001180000001"
BODY = "<Notify>\r\n<Name>东门&amp;西门</Name>\r\n</Notify>\r\n".encode("gb18030")
MESSAGE = (
    b"MESSAGE sip:34020000002000000001@3402000000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5061;rport;branch=z9hG4bK1\r\n"
    b"From: <sip:34020000001320000001@3402000000>;tag=a\r\nTo: <sip:34020000002000000001@3402000000>\r\nCall-ID: c1\r\n"
    b"CSeq: 20 MESSAGE\r\nContact: <sip:34020000001320000001@127.0.0.1:5061>\r\nContent-Type: Application/MANSCDP+xml\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY
RESPONSE = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 1.2.3.4:5060\r\nTo: <sip:a@b>;tag=t\r\nContent-Length: 0\r\n\r\n"


def items(count: int = 6) -> list[Item]:
    return [Item(device_id=f"3402000000131{n:07d}", name=f"n{n}", civil_code="340200", parent_id=DEVICE) for n in range(count)]


def test_every_starred_row_of_the_quirks_can_be_emitted() -> None:
    """§3.1 to 3.4, 3.7 and 3.8."""
    if not QUIRKS.exists():
        pytest.skip("the list of quirks is not in this checkout")
    sections = re.split(r"^## ", QUIRKS.read_text(), flags=re.MULTILINE)
    wanted = {
        found
        for section in sections
        if section.startswith(("3.1", "3.2", "3.3", "3.4", "3.7", "3.8"))
        for found in re.findall(r"^\| (Q\w+) ★", section, re.MULTILINE)
    }
    emitted = {name for dialect in table.DIALECTS.values() for name in dialect.rows.split()}
    assert wanted - emitted == ELSEWHERE


def test_bundles_are_made_of_dialects() -> None:
    for dialect in table.DIALECTS.values():
        assert all(part in table.DIALECTS and not table.DIALECTS[part].parts for part in dialect.parts)
    assert [dialect.name for dialect in table.resolve(["camera-4g", "private-via"])] == list(table.DIALECTS["camera-4g"].parts)
    with pytest.raises(Invalid):
        table.resolve(["no-such"])


def test_the_list_names_every_dialect_with_its_rows() -> None:
    lines = table.listed().splitlines()
    assert len(lines) == len(table.DIALECTS)
    assert all(
        dialect.name in line and dialect.zh in line for dialect, line in zip(table.DIALECTS.values(), lines, strict=True)
    )


@pytest.mark.parametrize(
    ("rewrite", "expected"),
    [
        pytest.param(messages.length_zero, rb"\r\nContent-Length: 0\r\n\r\n<Notify>", id="Q1"),
        pytest.param(
            messages.length_short, rb"\r\nContent-Length: %d\r\n\r\n<" % (len(BODY.decode("gb18030")) - 2), id="Q2-short"
        ),
        pytest.param(messages.length_long, rb"\r\nContent-Length: %d\r\n\r\n<" % (len(BODY) + 2), id="Q2-long"),
        pytest.param(messages.no_length, rb"MANSCDP\+xml\r\n\r\n<", id="Q3"),
        pytest.param(messages.line_noise, rb"^\r\n\r\nMESSAGE", id="Q4"),
        pytest.param(messages.lower_case, rb"\r\ncall-id:c1\r\ncseq:20 MESSAGE\r\n", id="Q5-small"),
        pytest.param(messages.compact, rb"\r\ni: c1\r\nCSeq: 20", id="Q5-compact"),
        pytest.param(messages.line_feed, rb"xml\nContent-Length: \d+\n\n<", id="Q5-lf"),
        pytest.param(messages.private_via, rb"UDP 192\.168\.1\.64:5060;rport;.*@192\.168\.1\.64:5060>", id="Q7"),
        pytest.param(messages.no_tags, rb"\r\nFrom: <sip:34020000001320000001@3402000000>\r\n", id="Q29"),
    ],
)
def test_a_message_leaves_the_standard_in_one_place(rewrite: Callable[[bytes], bytes], expected: bytes) -> None:
    written = rewrite(MESSAGE)
    assert re.search(expected, written, re.DOTALL), written
    assert written.endswith(BODY)


@pytest.mark.parametrize("rewrite", [messages.length_zero, messages.length_short, messages.length_long, messages.private_via])
def test_responses_keep_what_the_server_wrote(rewrite: Callable[[bytes], bytes]) -> None:
    assert rewrite(RESPONSE) == RESPONSE


@pytest.mark.parametrize(("name", "label", "codec"), [
    ("gbk-declared-utf8", "UTF-8", "gb18030"), ("utf8-declared-gb2312", "GB2312", "utf-8"), ("no-declaration", "", "gb18030"),
])  # fmt: skip
def test_label_and_bytes_differ(name: str, label: str, codec: str) -> None:
    """Row Q40."""
    body = Speech(EDITIONS["2022"], table.resolve([name])).body(f"<Name>{rows.RARE}</Name>")
    assert body.decode(codec).endswith(f"<Name>{rows.RARE}</Name>")
    assert (b"encoding" in body) == bool(label)
    assert label.encode() in body


@pytest.mark.parametrize(("edition", "label"), [("2011", b"GB2312"), ("2016", b"GB2312"), ("2022", b"GB18030")])
def test_without_a_dialect_the_edition_decides_the_label(edition: str, label: bytes) -> None:
    assert label in Speech(EDITIONS[edition], ()).body("<a/>")


@pytest.mark.parametrize(
    ("rewrite", "name", "expected"),
    [
        pytest.param(bodies.unescaped_ampersand, "甲&乙", "<Name>甲&乙</Name>", id="Q42-ampersand"),
        pytest.param(bodies.unescaped_angles, "东<1>门", "<Name>东<1>门</Name>", id="Q42-angle"),
        pytest.param(bodies.garbage_address, "a", "<\x1a&#>", id="Q42-memory"),
        pytest.param(bodies.nul_bytes, "a", "\x00", id="Q42-nul"),
        pytest.param(bodies.control_characters, "a", "a\x01\x08\x0b</Name>", id="Q43"),
        pytest.param(bodies.blanks, "a", "<Name> a\r\n </Name>", id="Q45"),
        pytest.param(bodies.null_words, "a", "<Address>null</Address>", id="Q46"),
        pytest.param(bodies.status_words, "a", "<Status>ONLINE</Status>", id="Q48"),
    ],
)
def test_a_body_leaves_the_standard_in_one_place(rewrite: Callable[[str], str], name: str, expected: str) -> None:
    text = row(Item(device_id="34020000001310000001", name=name), EDITIONS["2016"])
    assert expected in rewrite(text)


def test_what_is_cut_off_ends_inside_the_last_item() -> None:
    """Row Q44."""
    text = manscdp.listing("DeviceList", "Item", [row(item, EDITIONS["2016"]) for item in items(3)])
    cut = bodies.truncated(text)
    assert cut.count("<Item>") == 3
    assert cut.count("</Item>") == 2


def test_an_answer_under_another_number_is_still_an_answer() -> None:
    """Row Q52."""
    assert bodies.other_sn("<Response>\r\n<SN>17</SN>") != "<Response>\r\n<SN>17</SN>"
    assert bodies.other_sn("<Notify>\r\n<SN>17</SN>") == "<Notify>\r\n<SN>17</SN>"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param("duplicate-ids", lambda told: len(told) == 12 and len({item.device_id for item in told}) == 6, id="Q63"),
        pytest.param("same-channel-ids", lambda told: told[0].device_id == "34020000001310000001", id="Q64"),
        pytest.param("bad-parent", lambda told: {None, "null", "3402000000"} < {item.parent_id for item in told}, id="Q67"),
        pytest.param("bad-civil-code", lambda told: "芜湖市" in {item.civil_code for item in told}, id="Q68"),
        pytest.param("parents-last", lambda told: told[-1].device_id == told[0].parent_id, id="Q70"),
        pytest.param("channel-is-device", lambda told: [item.device_id for item in told] == [DEVICE], id="Q65"),
        pytest.param("odd-codes", lambda told: {len(item.device_id) for item in told} == {10, 18}, id="Q25"),
        pytest.param("empty-catalog", lambda told: told == [], id="Q66"),
        pytest.param("empty-slots", lambda told: sum(item.status == "OFF" for item in told) == 4, id="Q72"),
    ],
)
def test_a_catalogue_leaves_the_standard_in_one_place(name: str, check: Callable[[list[Item]], bool]) -> None:
    assert check(Speech(EDITIONS["2022"], table.resolve([name])).items(items(), DEVICE))


def test_the_total_is_wrong_by_what_the_name_says() -> None:
    """Rows Q60 and Q150."""
    assert Speech(EDITIONS["2022"], table.resolve(["wrong-sumnum"])).total(4) == 9
    assert Speech(EDITIONS["2022"], table.resolve(["small-sumnum"])).total(4) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ssrc-missing", "v=0\r\n"), ("ssrc-nine-digits", "v=0\r\ny=200000001\r\n")],
)
def test_an_answer_to_an_offer_leaves_the_standard_in_one_place(name: str, expected: str) -> None:
    """Rows Q80 and Q83."""
    answer = Speech(EDITIONS["2022"], table.resolve([name])).sdp(b"v=0\r\ny=0200000001\r\n")
    assert answer.decode() == expected
