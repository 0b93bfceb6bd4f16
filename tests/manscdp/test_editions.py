"""What each edition has, how it spells it, and that a peer gets no more than that."""

from __future__ import annotations

import pytest

from gb28181.errors import MisuseError
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build, parse
from gb28181.manscdp.commands.alarm import AlarmInfo, AlarmNotify
from gb28181.manscdp.commands.catalog import CatalogItem, CatalogResponse, ItemInfo
from gb28181.manscdp.commands.control import ControlInfo, DeviceControl, IFrameCmd, RecordCmd
from gb28181.manscdp.commands.position import MobilePosition, PositionItem
from gb28181.manscdp.commands.ptz import PTZPositionQuery, PTZPreciseCtrl
from gb28181.manscdp.edition import Edition, edition_of
from gb28181.manscdp.element import lacking

CAMERA = DeviceId("34020000001320000001")


@pytest.mark.parametrize(
    ("gb_version", "edition"),
    [
        ("1.0", Edition.E2011),
        ("1.1", Edition.E2014),
        ("2.0", Edition.E2016),
        ("3.0", Edition.E2022),
        (" 3.0 ", Edition.E2022),
        ("3", Edition.E2022),
        ("4.1", Edition.E2022),
        ("2.1", Edition.E2016),
        ("1.x", Edition.E2011),
        ("", Edition.E2016),
        ("0.1", Edition.E2016),
        ("２.0", Edition.E2016),
        ("GB28181", Edition.E2016),
        ("9" * 5000, Edition.E2022),
    ],
)
def test_what_a_peer_declares_names_its_edition(gb_version: str, edition: Edition) -> None:
    assert edition_of(gb_version) is edition


def test_an_edition_is_told_by_its_year_and_its_version() -> None:
    assert [(str(edition), edition.gb_version) for edition in Edition] == [
        ("2011", "1.0"),
        ("2014", "1.1"),
        ("2016", "2.0"),
        ("2022", "3.0"),
    ]


def test_a_key_frame_is_asked_for_in_the_spelling_of_the_edition_and_read_in_both() -> None:
    order = DeviceControl(sn=1, device_id=CAMERA, i_frame_cmd=IFrameCmd.SEND)
    assert b"<IFameCmd>Send</IFameCmd>" in build(order, edition=Edition.E2016)
    assert b"<IFrameCmd>Send</IFrameCmd>" in build(order, edition=Edition.E2022)
    assert parse(build(order, edition=Edition.E2016)).command == parse(build(order, edition=Edition.E2022)).command == order


def test_the_label_is_that_of_the_edition_unless_the_peer_wants_another() -> None:
    query = PTZPositionQuery(sn=1, device_id=CAMERA)
    assert b'encoding="GB2312"' in build(query, edition=Edition.E2016)
    assert b'encoding="GB18030"' in build(query, edition=Edition.E2022)
    assert b'encoding="UTF-8"' in build(query, edition=Edition.E2022, charset="utf-8")


def test_lacking_names_what_an_edition_has_no_place_for() -> None:
    assert lacking(PTZPositionQuery(device_id=CAMERA), Edition.E2016) == ("PTZPosition",)
    assert lacking(PTZPositionQuery(device_id=CAMERA), Edition.E2022) == ()
    turn = DeviceControl(device_id=CAMERA, ptz_precise_ctrl=PTZPreciseCtrl(pan=1.0))
    assert lacking(turn, Edition.E2016) == ("PTZPreciseCtrl",)
    record = DeviceControl(device_id=CAMERA, record_cmd=RecordCmd.RECORD, stream_number=1)
    assert lacking(record, Edition.E2016) == ("StreamNumber",)
    item = CatalogItem(device_id=CAMERA, owner="Owner", info=ItemInfo(ptz_type="1", mac="00-11-22-33-44-55"))
    assert lacking(CatalogResponse(device_id=CAMERA, items=(item,)), Edition.E2016) == ("DeviceList/Info/MAC",)
    assert lacking(CatalogResponse(device_id=CAMERA, items=(item,)), Edition.E2022) == ("DeviceList/Owner",)
    with pytest.raises(MisuseError):
        lacking(item, Edition.E2022)


def test_a_peer_gets_no_element_that_its_edition_does_not_know() -> None:
    item = CatalogItem(device_id=CAMERA, owner="Owner", info=ItemInfo(ptz_type="1", mac="00-11-22-33-44-55"))
    answer = CatalogResponse(device_id=CAMERA, items=(item,))
    assert b"MAC" not in build(answer, edition=Edition.E2016)
    assert b"Owner" in build(answer, edition=Edition.E2016)
    assert b"MAC" in build(answer, edition=Edition.E2022)
    assert b"Owner" not in build(answer, edition=Edition.E2022)


def test_extensions_are_info_before_2022_and_extra_info_since() -> None:
    alarm = AlarmNotify(device_id=CAMERA, info=AlarmInfo(alarm_type=2), extra_info=("door=3", "a<b"))
    old, new = build(alarm, edition=Edition.E2016), build(alarm, edition=Edition.E2022)
    assert b"<Info>door=3</Info>" in old
    assert b"ExtraInfo" not in old
    assert b"<ExtraInfo>a&lt;b</ExtraInfo>" in new
    assert parse(old).command == parse(new).command == alarm


def test_an_info_of_text_is_an_extension_and_one_of_elements_is_the_block() -> None:
    order = parse(
        b"<Control><CmdType>DeviceControl</CmdType><SN>1</SN><DeviceID>1</DeviceID><AlarmCmd>resetalarm</AlarmCmd>"
        b"<Info>vendor text</Info><Info><AlarmMethod>2</AlarmMethod></Info></Control>"
    ).command
    assert order.info == ControlInfo(alarm_method="2")
    assert order.extra_info == ("vendor text",)


def test_a_position_has_one_shape_in_2016_and_another_in_2022() -> None:
    one = PositionItem(device_id=CAMERA, longitude=118.376, latitude=31.326)
    report = MobilePosition(device_id=CAMERA, longitude=118.376, latitude=31.326, sum_num=1, device_list=(one,))
    old, new = build(report, edition=Edition.E2016), build(report, edition=Edition.E2022)
    assert b"DeviceList" not in old
    assert old.count(b"Longitude>") == 2
    assert b"DeviceList" in new
    assert new.count(b"Longitude>") == 2


def test_degrees_of_a_position_have_two_decimals_and_lose_none() -> None:
    wire = build(DeviceControl(device_id=CAMERA, ptz_precise_ctrl=PTZPreciseCtrl(pan=90.0, tilt=-10.5, zoom=1.125)))
    assert b"<Pan>90.00</Pan>\r\n<Tilt>-10.50</Tilt>\r\n<Zoom>1.125</Zoom>" in wire
