"""What a device can do: queries are answered from a state that controls change, as far as its edition goes."""

from __future__ import annotations

import pytest

from gb28181.sim import manscdp
from gb28181.sim.edition import EDITIONS
from gb28181.sim.functions import Functions, KeyPicture, Reboot, Snapshot, Upgrade
from gb28181.sim.ptz import Dome, Position

DEVICE = "34020000001180000001"
CHANNELS = [("34020000001310000001", "东门"), ("34020000001310000002", "西门")]
CHANNEL = CHANNELS[0][0]
UTC = 1_772_323_200.0  # 2026-03-01T08:00:00 in Beijing


def functions(edition: str = "2022", hours: float = 0.0) -> Functions:
    return Functions(
        EDITIONS[edition], DEVICE, CHANNELS, name="录像机", model="SIM", expires_s=3600, keepalive_s=60,
        recorded_hours=hours, now=0.0, utc=UTC,
    )  # fmt: skip


def request(root: str, command: str, inner: str = "", target: str = CHANNEL) -> manscdp.Request:
    body = f"<{root}><CmdType>{command}</CmdType><SN>5</SN><DeviceID>{target}</DeviceID>{inner}</{root}>"
    return manscdp.parse(body.encode())


def ask(device: Functions, command: str, inner: str = "", target: str = CHANNEL, now: float = 0.0) -> str:
    answer = device.answer(request("Query", command, inner, target), now, UTC, is_encoding=False)
    assert answer is not None
    return answer


def order(device: Functions, inner: str, target: str = CHANNEL, now: float = 0.0) -> str | None:
    return device.control(request("Control", "DeviceControl", inner, target), now)[0]


def configure(device: Functions, inner: str, target: str = CHANNEL) -> str:
    return device.configure(request("Control", "DeviceConfig", inner, target))[0]


# A.3: address 1; the last byte is the sum of the others.
@pytest.mark.parametrize(
    ("octets", "seconds", "expected"),
    [
        pytest.param("A50F0101FF0000B5", 1.0, Position(90.0, 0.0, 1.0), id="right-full-speed"),
        pytest.param("A50F010233000 0EA".replace(" ", ""), 1.0, Position(342.0, 0.0, 1.0), id="left"),
        pytest.param("A50F010400FF00B8", 1.0, Position(0.0, 45.0, 1.0), id="down"),
        pytest.param("A50F010800FF00BC", 60.0, Position(0.0, -30.0, 1.0), id="up-to-the-limit"),
        pytest.param("A50F01100000F0B5", 1.0, Position(0.0, 0.0, 5.0), id="zoom-in"),
        pytest.param("A50F0103200000D8", 1.0, Position(), id="left-and-right-is-nothing"),
        pytest.param("A50F010120000000", 1.0, Position(), id="wrong-sum-is-nothing"),
        pytest.param("A50F0101200000D", 1.0, Position(), id="fifteen-digits-are-nothing"),
    ],
)
def test_a_dome_moves_as_the_bytes_say(octets: str, seconds: float, expected: Position) -> None:
    dome = Dome(0.0)
    dome.command(octets, 0.0)
    here = dome.position(seconds)
    assert (round(here.pan, 3), round(here.tilt, 3), round(here.zoom, 3)) == (expected.pan, expected.tilt, expected.zoom)


def test_motion_goes_on_until_the_stop() -> None:
    dome = Dome(0.0)
    dome.command("A50F0101FF0000B5", 0.0)
    dome.command("A50F0100000000B5", 0.5)
    assert dome.position(100.0).pan == pytest.approx(45.0)
    assert not dome.is_moving


def test_a_preset_is_stored_listed_called_and_deleted() -> None:
    device = functions()
    order(device, "<PTZPreciseCtrl><Pan>120.5</Pan><Tilt>10</Tilt><Zoom>4</Zoom></PTZPreciseCtrl>")
    order(device, "<PTZCmd>A50F018100010037</PTZCmd><PTZCmdParams><PresetName>门口</PresetName></PTZCmdParams>")
    answer = ask(device, "PresetQuery")
    assert '<PresetList Num="1">' in answer
    assert "<PresetName>门口</PresetName>" in answer
    order(device, "<PTZPreciseCtrl><Pan>0</Pan></PTZPreciseCtrl>")
    order(device, "<PTZCmd>A50F018200010038</PTZCmd>")
    assert "<Pan>120.50</Pan>" in ask(device, "PTZPosition")
    order(device, "<PTZCmd>A50F018300010039</PTZCmd>")
    assert '<PresetList Num="0">' in ask(device, "PresetQuery")


def test_precise_angles_beyond_the_limits_go_as_far_as_they_can() -> None:
    device = functions()
    assert order(device, "<PTZPreciseCtrl><Pan>400</Pan><Tilt>200</Tilt><Zoom>900</Zoom></PTZPreciseCtrl>") is None
    position = ask(device, "PTZPosition")
    assert "<Tilt>90.00</Tilt>" in position
    assert "<Zoom>32.00</Zoom>" in position


def test_a_cruise_is_told_point_by_point() -> None:
    device = functions()
    for octets in ("A50F01840103003D", "A50F0187011E005B", "A50F0186010F004B"):
        order(device, f"<PTZCmd>{octets}</PTZCmd>")
    assert "<SumNum>1</SumNum>" in ask(device, "CruiseTrackListQuery")
    track = ask(device, "CruiseTrackQuery", "<Number>0</Number>")
    assert "<PresetIndex>3</PresetIndex>" in track
    assert "<StayTime>30</StayTime>" in track
    assert "<Speed>15</Speed>" in track
    assert "ERROR" in ask(device, "CruiseTrackQuery", "<Number>1</Number>")


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    device = functions()
    assert "OK" in configure(device, "<OSDConfig><TimeX>99</TimeX></OSDConfig><FrameMirror>2</FrameMirror>")
    answer = ask(device, "ConfigDownload", "<ConfigType>OSDConfig/FrameMirror</ConfigType>")
    assert "<TimeX>99</TimeX>" in answer
    assert "<TimeY>16</TimeY>" in answer
    assert "<FrameMirror>2</FrameMirror>" in answer
    other = ask(device, "ConfigDownload", "<ConfigType>FrameMirror</ConfigType>", CHANNELS[1][0])
    assert "<FrameMirror>0</FrameMirror>" in other
    assert "ERROR" in configure(device, "<FrameMirror>9</FrameMirror>")


def test_basic_parameters_change_the_device_itself() -> None:
    device = functions("2016")
    assert "OK" in configure(device, "<BasicParam><Name>新名</Name><HeartBeatInterval>20</HeartBeatInterval></BasicParam>")
    assert device.keepalive_s == 20
    answer = ask(device, "ConfigDownload", "<ConfigType>BasicParam</ConfigType>")
    assert "<Name>新名</Name>" in answer
    assert "<HeartBeatInterval>20</HeartBeatInterval>" in answer


def test_guard_and_alarm_reset_show_in_the_duty_state() -> None:
    device = functions()
    assert "OK" in (order(device, "<GuardCmd>SetGuard</GuardCmd>") or "")
    assert "ONDUTY" in ask(device, "DeviceStatus", target=DEVICE)
    target = device.target(CHANNEL)
    assert target is not None
    target.is_alarming = True
    assert "ALARM" in ask(device, "DeviceStatus", target=DEVICE)
    order(device, "<AlarmCmd>ResetAlarm</AlarmCmd>", DEVICE)
    assert "<DutyStatus>ALARM" not in ask(device, "DeviceStatus", target=DEVICE)


def test_record_control_turns_recording_on_and_off() -> None:
    device = functions()
    order(device, "<RecordCmd>Record</RecordCmd>")
    assert "<Record>ON</Record>" in ask(device, "DeviceStatus")
    order(device, "<RecordCmd>StopRecord</RecordCmd>")
    assert "<Record>OFF</Record>" in ask(device, "DeviceStatus")


def test_a_home_position_is_kept() -> None:
    device = functions()
    home = "<HomePosition><Enabled>1</Enabled><ResetTime>30</ResetTime><PresetIndex>2</PresetIndex></HomePosition>"
    assert "OK" in (order(device, home) or "")
    assert "<ResetTime>30</ResetTime>" in ask(device, "HomePositionQuery")
    assert "ERROR" in (order(device, "<HomePosition><Enabled>x</Enabled></HomePosition>") or "")


def test_a_card_is_being_formatted_for_a_while() -> None:
    device = functions()
    order(device, "<FormatSDCard>1</FormatSDCard>", now=10.0)
    assert "<Status>formatting</Status>" in ask(device, "SDCardStatus", now=12.0)
    assert "<Status>ok</Status>" in ask(device, "SDCardStatus", now=16.0)


@pytest.mark.parametrize("edition", ["2011", "2016"])
@pytest.mark.parametrize("command", ["PTZPosition", "HomePositionQuery", "CruiseTrackListQuery", "SDCardStatus"])
def test_questions_of_2022_are_errors_to_older_devices(edition: str, command: str) -> None:
    assert "<Result>ERROR</Result>" in ask(functions(edition), command)


def test_an_older_device_does_nothing_about_controls_of_2022() -> None:
    device = functions("2016")
    assert order(device, "<PTZPreciseCtrl><Pan>90</Pan></PTZPreciseCtrl>") is None
    target = device.target(CHANNEL)
    assert target is not None
    assert target.dome.position(1.0).pan == 0.0
    upgrade = "<DeviceUpgrade><Firmware>2</Firmware><FileURL>http://x/</FileURL></DeviceUpgrade>"
    assert "ERROR" in (order(device, upgrade) or "")
    assert "ERROR" in configure(device, "<OSDConfig><TimeX>1</TimeX></OSDConfig>")
    assert "ERROR" in configure(functions("2011"), "<BasicParam><Name>x</Name></BasicParam>")


def test_what_a_device_has_to_do_is_told() -> None:
    device = functions()
    upgrade = "<DeviceUpgrade><Firmware>V2</Firmware><FileURL>http://x/f</FileURL><SessionID>s</SessionID></DeviceUpgrade>"
    orders = {
        "<TeleBoot>Boot</TeleBoot>": Reboot(),
        "<IFrameCmd>Send</IFrameCmd>": KeyPicture(CHANNEL),
        upgrade: Upgrade("V2", "http://x/f", "s"),
    }
    for inner, effect in orders.items():
        assert device.control(request("Control", "DeviceControl", inner), 0.0)[1] == effect
    snap = "<SnapShotConfig><SnapNum>3</SnapNum><Interval>2</Interval><UploadURL>http://x/u</UploadURL><SessionID>s</SessionID></SnapShotConfig>"
    assert device.configure(request("Control", "DeviceConfig", snap))[1] == Snapshot(CHANNEL, 3, 2.0, "http://x/u", "s")


def test_recordings_are_found_by_time_and_kind() -> None:
    device = functions(hours=24)
    times = "<StartTime>2026-03-01T06:00:00</StartTime><EndTime>2026-03-01T08:00:00</EndTime>"
    rows = device.found(request("Query", "RecordInfo", times), UTC)
    assert len(rows) == 12
    assert "<StartTime>2026-03-01T06:00:00</StartTime>" in rows[0]
    assert "<EndTime>2026-03-01T08:00:00</EndTime>" in rows[-1]
    alarms = device.found(request("Query", "RecordInfo", times + "<Type>alarm</Type>"), UTC)
    assert len(alarms) == 1
    assert not functions().found(request("Query", "RecordInfo", times), UTC)


@pytest.mark.parametrize(
    "inner", ["<OSDConfig/>", "<SnapShotConfig><SnapNum>99999999999999</SnapNum></SnapShotConfig>", "<X/>", ""]
)
def test_any_configuration_is_answered(inner: str) -> None:
    assert "<Result>" in configure(functions(), inner)
