"""Values that firmware gets wrong, one byte fixture a row (Q41, Q49-Q58; test_codec has Q40 and Q42-Q48)."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.alarm import AlarmNotify
from gb28181.manscdp.commands.catalog import CatalogQuery, CatalogResponse
from gb28181.manscdp.commands.config import ConfigDownloadResponse, DeviceConfigResponse
from gb28181.manscdp.commands.config_blocks import SnapShotConfig, VideoParamAttribute, VideoParamOpt
from gb28181.manscdp.commands.device import DeviceInfoResponse
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.manscdp.commands.ptz import Preset, PresetQueryResponse
from gb28181.manscdp.commands.record import RecordInfoResponse
from gb28181.manscdp.element import Result
from gb28181.manscdp.times import BEIJING, read_time, write_time
from tests.manscdp.vectors import vector

CAMERA = "34020000001320000001"
TIME = datetime(2024, 1, 2, 3, 4, 5, tzinfo=BEIJING)


def test_q41_chinese_names_without_a_declaration_lose_no_channel() -> None:
    parsed = parse(vector("q41-chinese-names-in-gbk.xml"))
    assert [item.name for item in parsed.command.items] == ["镜湖区中山路", "步行街北口", "火车站广场"]
    assert parsed.faults == {}


def test_q49_any_number_is_read_as_parental() -> None:
    assert [item.parental for item in parse(vector("q49-parental-65535.xml")).command.items] == [65535, 2, 0]


def test_q50_coordinates_come_as_they_were_sent_and_what_is_no_number_is_absent() -> None:
    items = parse(vector("q50-coordinates.xml")).command.items
    assert [(item.longitude, item.latitude) for item in items] == [
        (0.0, 0.0),
        (None, None),
        (31.326, 118.376),
        (118376000.0, 31326000.0),
        (118.376, 31.326),
        (118.376, None),
    ]


def test_q51_every_form_of_a_time_is_the_same_time() -> None:
    parsed = parse(vector("q51-times.xml"))
    assert isinstance(parsed.command, RecordInfoResponse)
    times = [item.start_time for item in parsed.command.record_list]
    midnight = TIME.replace(hour=0, minute=0, second=0)
    assert times == [TIME, TIME.replace(microsecond=678000), *[TIME] * 5, midnight, TIME, None, None, None]
    assert parsed.faults == {"bad-value": 3}


def test_times_are_written_in_beijing_to_the_second() -> None:
    assert write_time(read_time("2024-01-01T19:04:05.678Z")) == "2024-01-02T03:04:05"
    assert write_time(datetime(2024, 1, 2, 3, 4, 5)) == "2024-01-02T03:04:05"


@pytest.mark.parametrize(
    "text", ["", "2024", "2024-13-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-01-02T03:04:05+99:99"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_time(text)


def test_q52_an_answer_under_another_sn_is_read_and_keeps_it() -> None:
    assert parse(vector("q52-sn-is-another.xml")).command.sn == 0


def test_q53_names_in_lower_case_are_the_same_names() -> None:
    parsed = parse(vector("q53-root-in-lower-case.xml"))
    assert isinstance(parsed.command, Keepalive)
    assert (parsed.command.sn, parsed.command.status) == (4, Result.OK)


def test_q53_the_elements_tell_what_a_message_is_where_its_root_lies() -> None:
    alarm = parse(vector("q53-alarm-as-response.xml"))
    assert isinstance(alarm.command, AlarmNotify)
    assert (alarm.command.alarm_method, alarm.faults) == (5, {"wrong-root": 1})
    catalog = parse(vector("q53-catalog-as-query.xml"))
    assert isinstance(catalog.command, CatalogResponse)
    assert (len(catalog.command.items), catalog.faults) == (1, {"wrong-root": 1})


def test_q53_what_a_root_does_not_know_alone_makes_it_no_other_message() -> None:
    for extra in (b"", b"<Vendor>1</Vendor>", b"<SumNum>1</SumNum>"):
        parsed = parse(b"<Query><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>1</DeviceID>" + extra + b"</Query>")
        assert isinstance(parsed.command, CatalogQuery)
        assert parsed.faults == {}


def test_q54_any_block_counts_whatever_was_asked() -> None:
    found = parse(vector("q54-another-block-than-asked.xml")).command
    assert isinstance(found, ConfigDownloadResponse)
    assert found.video_param_attribute == (
        VideoParamAttribute(
            stream_number=0, video_format="2", resolution="6", frame_rate="25", bit_rate_type="1", video_bit_rate="4096"
        ),
    )


def test_q54_a_block_is_found_under_its_other_names() -> None:
    assert parse(vector("q54-snap-shot-by-another-name.xml")).command.snap_shot_config == SnapShotConfig(
        snap_num=1, interval=1, upload_url="http://192.0.2.10/snap", session_id="0123456789abcdef0123456789abcdef"
    )
    assert parse(vector("q54-video-param-opt-of-2014.xml")).command.video_param_opt == VideoParamOpt(
        video_format_opt="2",
        resolution_opt="5/6",
        frame_rate_opt="25",
        bit_rate_type_opt="1/2",
        video_bit_rate_opt="512-4096",
        download_speed_opt="1/2/4",
    )


def test_q55_a_refused_configuration_is_a_result_in_any_letter_case() -> None:
    found = parse(vector("q55-config-refused.xml")).command
    assert isinstance(found, DeviceConfigResponse)
    assert found.result is Result.ERROR


def test_q57_presets_are_those_that_came_whatever_was_announced() -> None:
    parsed = parse(vector("q57-presets-announced-255.xml"))
    assert isinstance(parsed.command, PresetQueryResponse)
    assert parsed.command.sum_num == 255
    assert parsed.command.preset_list == (Preset(preset_id="1", preset_name="Gate"), Preset(preset_id="300"))
    assert parsed.faults == {"bad-item": 1}
    assert parse(vector("q57-presets-without-sum.xml")).command.preset_list == (Preset(preset_id="1", preset_name="Gate"),)


def test_q58_device_info_inside_info_is_found_and_what_is_missing_is_absent() -> None:
    found = parse(vector("q58-device-info-under-info.xml")).command
    assert isinstance(found, DeviceInfoResponse)
    assert (found.device_name, found.manufacturer, found.model, found.firmware, found.channel) == (
        "NVR-1",
        "ACME",
        "NVR-8",
        "V1",
        8,
    )
    bare = parse(vector("q58-device-info-without-maker.xml")).command
    assert (bare.manufacturer, bare.model, bare.result) == (None, None, Result.OK)


def test_a_list_for_each_picture_is_one_list_of_all() -> None:
    found = parse(vector("snap-shot-lists-side-by-side.xml")).command
    assert found.snap_shot_list == (f"{CAMERA}022026030108220000001", f"{CAMERA}022026030108220100002")


@given(st.one_of(st.text(max_size=40), st.text("0123456789-/T: .+Zz,", max_size=32)))
def test_any_text_is_a_time_or_no_time(text: str) -> None:
    try:
        found = read_time(text)
    except ValueError:
        return
    assert read_time(write_time(found)) == found.replace(microsecond=0)
