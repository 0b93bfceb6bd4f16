"""Bodies as they come: character sets, broken XML, and the standard's own form (Annex A; quirks of the XML body)."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.errors import MisuseError, WireError
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import MAX_BYTES, MAX_TAGS, Parsed, Unknown, build, parse
from gb28181.manscdp.commands.alarm import AlarmInfo, AlarmTypeParam
from gb28181.manscdp.commands.catalog import CatalogItem, CatalogNotify, CatalogQuery, CatalogResponse, ItemInfo
from gb28181.manscdp.commands.device import DeviceStatusResponse
from gb28181.manscdp.commands.notify import Keepalive, MediaStatus
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, Status, child, command, commands, elements_of
from gb28181.manscdp.reading import MAX_ITEMS
from tests.manscdp.vectors import FOLDER, vector, whole_seconds

DEVICE = DeviceId("34020000001110000001")
CAMERA = DeviceId("34020000001320000001")


def names(parsed: Parsed) -> list[str | None]:
    return [item.name for item in parsed.command.items]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("standard-*.xml")), ids=lambda path: path.stem)
def test_the_standards_own_form_is_read_without_fault_and_written_to_the_byte(path) -> None:  # type: ignore[no-untyped-def]
    wire = path.read_bytes()
    parsed = parse(wire)
    assert not isinstance(parsed.command, Unknown)
    assert parsed.faults == {}
    assert build(parsed.command, edition=Edition.E2022 if b"GB18030" in wire else Edition.E2016) == wire


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[!h]*.xml")), ids=lambda path: path.stem)
def test_what_was_read_is_read_again_from_what_we_write(path) -> None:  # type: ignore[no-untyped-def]
    first = whole_seconds(parse(path.read_bytes()).command)
    assert parse(build(first)).command == first


# --- Q40: character sets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("q40-gb2312-label-utf8-bytes.xml", {"wrong-charset": 1}),
        ("q40-gb2312-label-gb18030-bytes.xml", {}),
        ("q40-utf8-label-gbk-bytes.xml", {"wrong-charset": 1}),
        ("q40-no-declaration-gbk.xml", {}),
    ],
)
def test_the_bytes_and_not_the_label_decide_the_character_set(name: str, faults: dict[str, int]) -> None:
    parsed = parse(vector(name))
    assert names(parsed) == ["东门", "西门", "喆𠮷广场"]
    assert parsed.faults == faults


def test_gb18030_text_that_happens_to_be_valid_utf8_is_chinese() -> None:
    assert names(parse(vector("q40-gbk-that-is-valid-utf8.xml")))[0] == "一楼"


def test_utf8_that_is_cut_inside_a_character_stays_utf8() -> None:
    parsed = parse(vector("q40-utf8-cut-in-character.xml"))
    assert names(parsed) == ["东门"]
    assert parsed.faults["truncated"] == 1


def test_a_few_foreign_bytes_do_not_spoil_the_other_names_of_utf8() -> None:
    wire = vector("q40-gb2312-label-utf8-bytes.xml").replace(b"ACME", b"AC\xffME", 1)
    assert names(parse(wire)) == ["东门", "西门", "喆𠮷广场"]


# --- Q42-Q44: broken XML -------------------------------------------------------------------------------------------


def test_ampersand_and_less_than_are_text_where_they_begin_nothing() -> None:
    parsed = parse(vector("q42-ampersand-and-less-than.xml"))
    assert names(parsed) == ["A&B shop", "a<b & c>d", "R&D <x> 北"]
    assert parsed.faults["malformed-xml"] == 1


def test_uninitialised_memory_in_one_value_leaves_the_other_items_alone() -> None:
    parsed = parse(vector("q42-memory-in-address.xml"))
    assert [item.device_id[-1] for item in parsed.command.items] == ["1", "2", "3"]


def test_surplus_end_tags_lose_no_item() -> None:
    parsed = parse(vector("q42-one-item-end-too-many.xml"))
    assert len(parsed.command.items) == 3
    assert parsed.faults["extra-end-tag"] == 2


def test_missing_end_tags_lose_no_item() -> None:
    parsed = parse(vector("q42-missing-end-tags.xml"))
    assert names(parsed) == ["Camera", "Camera", "Camera"]
    assert [item.manufacturer for item in parsed.command.items] == ["ACME"] * 3
    assert parsed.faults["missing-end-tag"] == 2


def test_control_characters_are_stripped() -> None:
    parsed = parse(vector("q43-control-characters.xml"))
    assert names(parsed) == ["Gate", "Yard", "Camera"]
    assert parsed.faults == {"control-characters": 1}


def test_complete_items_of_a_truncated_message_survive() -> None:
    parsed = parse(vector("q44-truncated.xml"))
    assert [item.device_id[-1] for item in parsed.command.items] == ["1", "2"]
    assert parsed.faults["truncated"] == 1


def test_items_that_mean_nothing_never_fail_the_batch() -> None:
    parsed = parse(vector("w13-item-without-id.xml"))
    assert [item.device_id[-1] for item in parsed.command.items] == ["3"]
    assert parsed.faults["bad-item"] == 2


def test_attributes_stand_in_for_elements() -> None:
    parsed = parse(vector("attributes-for-elements.xml"))
    assert isinstance(parsed.command, CatalogResponse)
    assert parsed.command.sn == 17
    assert len(parsed.command.items) == 1


# --- Q45-Q53: values -----------------------------------------------------------------------------------------------


def test_values_are_stripped() -> None:
    item = parse(vector("q45-blanks-in-values.xml")).command.items[0]
    assert (item.name, item.secrecy, item.parental) == ("Gate", 0, 1)


def test_null_is_no_value() -> None:
    item = parse(vector("q46-null-values.xml")).command.items[0]
    assert (item.name, item.model, item.owner, item.address, item.longitude) == (None,) * 5


def test_elements_of_info_are_found_beside_it_and_in_it() -> None:
    item = parse(vector("q47-info-at-top.xml")).command.items[0]
    assert item.info == ItemInfo(ptz_type="1", room_type=2)
    assert item.business_group_id == "34020000002150000001"


def test_every_spelling_of_status() -> None:
    items = parse(vector("q48-status-spellings.xml")).command.items
    assert [item.status is not Status.OFF for item in items] == [True] * 6 + [False] * 3


def test_the_cmdtype_and_not_the_root_tells_the_command() -> None:
    assert isinstance(parse(vector("q53-notify-root.xml")).command, CatalogNotify)
    parsed = parse(vector("q53-keepalive-as-response.xml"))
    assert parsed.command == Keepalive(sn=4, device_id=DEVICE)
    assert parsed.faults["wrong-root"] == 1


def test_any_keepalive_status_is_life_and_lists_faulty_channels() -> None:
    assert parse(vector("standard-keepalive-faulty.xml")).command.faulty
    body = b"<Notify><CmdType>Keepalive</CmdType><SN>1</SN><DeviceID>34020000001110000001</DeviceID><Status></Status></Notify>"
    assert parse(body).command.status is Result.OK


def test_alarm_status_is_read_in_both_spellings() -> None:
    wire = vector("standard-device-status.xml").replace(b"Alarmstatus", b"AlarmStatus")
    found = parse(wire).command
    assert isinstance(found, DeviceStatusResponse)
    assert len(found.alarm_status) == 2


@pytest.mark.parametrize("text", ["1e400", "nan", "inf", "99999999999999999999999999", "１２", "x" * 5000])
def test_a_number_that_is_none_is_absent_and_counted(text: str) -> None:
    body = f"<Response><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>1</DeviceID><SumNum>{text}</SumNum></Response>"
    parsed = parse(body.encode())
    assert parsed.command.sum_num in (None, 12)
    assert parsed.command.sum_num == 12 or parsed.faults["bad-value"] == 1


def test_a_missing_sn_and_device_id_are_zero_and_empty() -> None:
    parsed = parse(b"<Notify><CmdType>Keepalive</CmdType></Notify>")
    assert parsed.command == Keepalive(device_id=DeviceId(""))
    assert parsed.faults == {"missing-DeviceID": 1}


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0",
        b"hello",
        b"<a/>",
        b"<Notify/>",
        b"<Notify><SN>1</SN></Notify>",
        b"<" * 5000,
        b"<x>" * 5000,
        vector("hostile-entities.xml"),
        b" " * (MAX_BYTES + 1),
    ],
    ids=["empty", "nul", "text", "root", "nothing", "no-cmdtype", "brackets", "deep", "entities", "large"],
)
def test_what_is_no_manscdp_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        parse(body)


def test_more_tags_than_any_message_needs_are_refused() -> None:
    with pytest.raises(WireError) as refused:
        parse(b"<Notify><CmdType>Keepalive</CmdType>" + b"<a/>" * MAX_TAGS + b"</Notify>")
    assert refused.value.status == 413


def test_depth_alone_does_no_harm() -> None:
    body = b"<Notify><CmdType>Keepalive</CmdType><DeviceID>1</DeviceID>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</Notify>"
    assert parse(body).command == Keepalive(device_id=DeviceId("1"))


@pytest.mark.parametrize("wrapping", ["<DeviceList><Item>{}</Item></DeviceList>", "<DeviceList>{}</DeviceList>", "{}"])
def test_so_many_items_and_no_more_are_read(wrapping: str) -> None:
    items = "<Item><DeviceID>1</DeviceID></Item>" * (MAX_ITEMS + 5)
    parsed = parse(
        f"<Response><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>1</DeviceID>{wrapping.format(items)}</Response>".encode()
    )
    assert len(parsed.command.items) <= MAX_ITEMS
    if len(parsed.command.items) > 1:
        assert parsed.faults["too-many-items"] == 5


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]>',
        '<!DOCTYPE Notify SYSTEM "file:///etc/passwd">',
        "<! DOCTYPE x>",
        '<!ENTITY a SYSTEM "http://192.0.2.1/">',
        '<!doctype x [<!entity a "b">]>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_document_types_and_entities_are_refused_before_any_parser_sees_them(declaration: str, encoding: str) -> None:
    body = f'<?xml version="1.0"?>{declaration}<Notify><CmdType>Keepalive</CmdType><DeviceID>1</DeviceID><X>门&a;</X></Notify>'
    with pytest.raises(WireError, match="document type"):
        parse(body.encode(encoding))


def test_an_entity_that_nobody_declared_is_text() -> None:
    body = b"<Notify><CmdType>MediaStatus</CmdType><SN>1</SN><DeviceID>1</DeviceID><NotifyType>a&b;c</NotifyType></Notify>"
    parsed = parse(body)
    assert parsed.command.notify_type == "a&b;c"
    assert parsed.faults == {"malformed-xml": 1}


def test_names_of_one_message_are_not_kept_for_the_next() -> None:
    """A device that sends other names each time must not fill the memory (docs/decisions: expat)."""
    tracemalloc.start()
    try:
        for round_ in range(3):
            names = "".join(f"<n{round_}x{number}/>" for number in range(20_000))
            parse(f"<Notify><CmdType>MediaStatus</CmdType><DeviceID>1</DeviceID>{names}</Notify>".encode())
            if round_ == 0:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500_000


def test_prefixes_and_namespaces_are_passed_over() -> None:
    bound = b'<g:Notify xmlns:g="urn:x"><g:CmdType>Keepalive</g:CmdType><g:DeviceID>1</g:DeviceID></g:Notify>'
    assert parse(bound).command == parse(bound.replace(b' xmlns:g="urn:x"', b"")).command == Keepalive(device_id=DeviceId("1"))


def test_a_carriage_return_in_a_value_survives() -> None:
    sent = MediaStatus(sn=1, device_id=DEVICE, notify_type="a\rb\nc")
    assert parse(build(sent)).command == sent


def test_what_unicode_calls_no_character_is_stripped() -> None:
    sent = MediaStatus(sn=1, device_id=DEVICE, notify_type="1\ufffe2\uffff1")
    assert b"<NotifyType>121</NotifyType>" in build(sent)
    body = build(MediaStatus(sn=1, device_id=DEVICE), charset="utf-8").replace(b"121", "门1\ufffe2\uffff1".encode())
    assert parse(body).command.notify_type == "门121"


def test_every_text_that_is_utf8_of_two_byte_characters_is_gb18030_too() -> None:
    pairs = [bytes((first, second)) for first in range(0xC2, 0xE0) for second in range(0x80, 0xC0)]
    assert all(len(pair.decode()) == len(pair.decode("gb18030")) == 1 for pair in pairs)


def test_broken_xml_keeps_its_empty_elements_comments_and_cdata() -> None:
    body = (
        b"<Response><CmdType>DeviceInfo</CmdType><SN>1</SN><DeviceID>1</DeviceID><Reason/><!-- <Model>no</Model> -->"
        b"<Model><![CDATA[A<B>]]></Model></Item></Response>"
    )
    parsed = parse(body)
    assert parsed.command.model == "A<B>"
    assert parsed.faults == {"malformed-xml": 1, "extra-end-tag": 1}


def test_an_alarm_type_beside_info_and_in_it_make_one() -> None:
    head = b"<Notify><CmdType>Alarm</CmdType><SN>1</SN><DeviceID>1</DeviceID>"
    beside = b"<AlarmType>6</AlarmType>"
    inside = b"<Info><AlarmTypeParam><EventType>1</EventType></AlarmTypeParam></Info>"
    both = AlarmInfo(alarm_type=6, alarm_type_param=AlarmTypeParam(event_type=1))
    assert parse(head + beside + b"</Notify>").command.info == AlarmInfo(alarm_type=6)
    assert parse(head + inside + beside + b"</Notify>").command.info == both
    assert parse(head + beside + inside + b"</Notify>").command.info == both


def test_a_field_of_a_type_that_has_no_text_is_misuse() -> None:
    with pytest.raises(MisuseError):
        command(Category.NOTIFY, "Odd", clause="A.1")(
            type("Odd", (), {"__annotations__": {"a": bytes}, "a": child("A", default=None)})
        )


def test_an_unknown_command_is_named() -> None:
    body = b"<Query><CmdType>Weather</CmdType><SN>7</SN><DeviceID>34020000001110000001</DeviceID></Query>"
    assert parse(body).command == Unknown("Query", "Weather", 7, DEVICE)


# --- what we send --------------------------------------------------------------------------------------------------


def test_every_value_is_escaped_and_passwords_are_never_sent() -> None:
    item = CatalogItem(device_id=CAMERA, name="A<B>&\x01C", parent_id="1/2")
    wire = build(CatalogResponse(sn=1, device_id=DEVICE, sum_num=1, items=(item,)))
    assert b"<Name>A&lt;B&gt;&amp;C</Name>" in wire
    leaked = vector("standard-catalog-part-1.xml").replace(b"<Port>", b"<Password>secret</Password>\r\n<Port>")
    assert b"secret" not in build(parse(leaked).command)
    assert "secret" not in repr(parse(leaked).command)


def test_the_label_and_the_bytes() -> None:
    command_ = CatalogResponse(sn=1, device_id=DEVICE, items=(CatalogItem(device_id=CAMERA, name="𠮷"),))
    assert b'encoding="GB2312"' in build(command_)
    assert "𠮷".encode("gb18030") in build(command_)
    assert b'encoding="GB18030"' in build(command_, charset="gb18030")
    assert "𠮷".encode() in build(command_, charset="utf-8")


def test_an_empty_list_is_not_written_at_all() -> None:
    assert b"DeviceList" not in build(CatalogResponse(sn=1, device_id=DEVICE, sum_num=0))


def test_elements_of_an_item_have_their_own_names() -> None:
    item = CatalogItem(device_id=CAMERA, owner="X", info=ItemInfo(ptz_type="1"))
    assert elements_of(item) == {"DeviceID": CAMERA, "Owner": "X", "PTZType": "1"}


def test_two_classes_cannot_be_one_command() -> None:
    with pytest.raises(MisuseError):
        command(Category.NOTIFY, "keepalive", clause="A.2.5.2")(type("Again", (), {"__annotations__": {}}))
    with pytest.raises(MisuseError):
        build(object())


#: Fields that have another name than their element, because there the element is a list of many or says little.
RENAMED = {"faulty", "items", "record_schedules", "time_segments", "alarm_status", "alert_show_flag"}


def test_fields_have_the_names_of_their_elements() -> None:
    seen = set()
    specs = [entry.spec for _kind, entry in commands()]
    while specs:
        spec = specs.pop()
        if spec.kind in seen:
            continue
        seen.add(spec.kind)
        for slot in spec.fields:
            if slot.attr not in RENAMED:
                assert slot.attr.replace("_", "") == slot.wire.names[0].lower(), f"{spec.kind.__name__}.{slot.attr}"
            if slot.block is not None:
                specs.append(slot.block)
    assert len(seen) > 70


def test_every_command_names_its_clause() -> None:
    assert all(entry.clause for _kind, entry in commands())


# --- fuzz ----------------------------------------------------------------------------------------------------------

SEEDS = [path.read_bytes() for path in sorted(FOLDER.glob("*.xml"))]
TOKENS = [b"<Item>", b"</Item>", b"<DeviceID>", b"</DeviceID>", b"<", b">", b"&", b"<Info>", b"</Info>", b"]]>", b"<![CDATA["]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    wire = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(wire)))
        match draw(st.integers(0, 3)):
            case 0:
                wire[at:at] = draw(st.sampled_from(TOKENS))
            case 1:
                del wire[at : at + draw(st.integers(1, 40))]
            case 2:
                wire[at : at + 1] = draw(st.binary(max_size=4))
            case _:
                del wire[at:]
    return bytes(wire)


def survives(wire: bytes) -> None:
    try:
        found = parse(wire).command
    except WireError:
        return
    if not isinstance(found, Unknown):
        found = whole_seconds(found)
        again = parse(build(found, charset="utf-8")).command
        assert again == found


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_any_mutation_is_read_or_refused_and_what_is_read_can_be_written(wire: bytes) -> None:
    survives(wire)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(wire: bytes) -> None:
    survives(wire)
    survives(b"<Response><CmdType>Catalog</CmdType><DeviceList><Item>" + wire)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_name_comes_back_as_it_was_sent(name: str) -> None:
    sent = MediaStatus(sn=1, device_id=DEVICE, notify_type=name)
    wire = build(sent, charset="utf-8")
    assert parse(build(parse(wire).command, charset="utf-8")).command == parse(wire).command


HEAD = b"<Response><CmdType>Catalog</CmdType>"


@pytest.mark.parametrize(
    "repeated", [b"<", b"&", b" ", b"<!--", b"<![CDATA[", b"<?", b"<Item>", b"</Item>", b"<Name>", b"&#1", b";"]
)
def test_the_cost_of_a_flood_of_one_token_is_linear(repeated: bytes) -> None:
    wire = HEAD + repeated * (400_000 // len(repeated))
    assert isinstance(parse(wire).command, CatalogResponse)  # the square of this would take minutes
    parse(HEAD + b"<Item " + repeated.replace(b"<", b"a").replace(b">", b"=") * 50_000 + b">")


def test_a_query_has_only_what_it_needs() -> None:
    assert b"StartTime" not in build(CatalogQuery(sn=1, device_id=DEVICE))
