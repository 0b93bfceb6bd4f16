"""What the 151 messages of `tests/vectors/messages` say, by their numbers: written down by hand, not read by a parser."""

from __future__ import annotations

from gb28181.manscdp.commands import (
    alarm,
    broadcast,
    card,
    catalog,
    config,
    control,
    device,
    notify,
    position,
    ptz,
    record,
)
from gb28181.sip.mansrtsp import Order, Range, Reply

#: Command by number of the message; every message with a MANSCDP body stands here.
COMMANDS: dict[int, type] = {
    **dict.fromkeys([16, 18, 19, 146, 147], notify.Keepalive),
    **dict.fromkeys([20, 99, 102, 103, 145], catalog.CatalogQuery),
    **dict.fromkeys([21, 22, 23, 24, 25], catalog.CatalogResponse),
    **dict.fromkeys([100, 101], catalog.CatalogNotify),
    26: device.DeviceInfoQuery,
    27: device.DeviceInfoResponse,
    28: device.DeviceStatusQuery,
    29: device.DeviceStatusResponse,
    **dict.fromkeys([30, 34], record.RecordInfoQuery),
    **dict.fromkeys([31, 32, 33], record.RecordInfoResponse),
    35: config.ConfigDownloadQuery,
    **dict.fromkeys([36, 37], config.ConfigDownloadResponse),
    38: ptz.PresetQuery,
    **dict.fromkeys([39, 40], ptz.PresetQueryResponse),
    41: ptz.HomePositionQuery,
    42: ptz.HomePositionQueryResponse,
    43: ptz.CruiseTrackListQuery,
    44: ptz.CruiseTrackListQueryResponse,
    45: ptz.CruiseTrackQuery,
    46: ptz.CruiseTrackQueryResponse,
    **dict.fromkeys([47, 97], ptz.PTZPositionQuery),
    48: ptz.PTZPositionResponse,
    98: ptz.PTZPositionNotify,
    49: card.SDCardStatusQuery,
    50: card.SDCardStatusResponse,
    **dict.fromkeys([*range(51, 56), 57, *range(59, 71)], control.DeviceControl),
    **dict.fromkeys([56, 58], control.DeviceControlResponse),
    **dict.fromkeys([71, *range(73, 82)], config.DeviceConfig),
    72: config.DeviceConfigResponse,
    **dict.fromkeys([82, 84, 93], alarm.AlarmNotify),
    **dict.fromkeys([83, 92], alarm.AlarmResponse),
    91: alarm.AlarmQuery,
    85: notify.UploadSnapShotFinished,
    **dict.fromkeys([86, 87], notify.DeviceUpgradeResult),
    88: notify.VideoUploadNotify,
    89: broadcast.Broadcast,
    90: broadcast.BroadcastResponse,
    94: position.MobilePositionQuery,
    **dict.fromkeys([95, 96], position.MobilePosition),
    **dict.fromkeys([126, 127], notify.MediaStatus),
}

#: The element that a DeviceControl or DeviceConfig is about.
SUB_COMMANDS: dict[int, str] = {
    **dict.fromkeys([51, 52, 53], "ptz_cmd"),
    54: "tele_boot",
    **dict.fromkeys([55, 57], "record_cmd"),
    **dict.fromkeys([59, 60], "guard_cmd"),
    61: "alarm_cmd",
    **dict.fromkeys([62, 63], "i_frame_cmd"),
    64: "drag_zoom_in",
    65: "drag_zoom_out",
    66: "home_position",
    67: "ptz_precise_ctrl",
    68: "device_upgrade",
    69: "format_sd_card",
    70: "target_track",
    71: "basic_param",
    73: "video_param_attribute",
    74: "video_record_plan",
    75: "video_alarm_record",
    76: "picture_mask",
    77: "frame_mirror",
    78: "alarm_report",
    79: "osd_config",
    80: "svac_encode_config",
    81: "snap_shot_config",
}

#: Media, port, transport, setup, SSRC, direction, name of a session description.
SDP: dict[int, tuple[str, int, str, str, int | None, str, str]] = {
    105: ("video", 30000, "udp", "", 200000001, "recvonly", "Play"),
    107: ("video", 15060, "udp", "", 200000001, "sendonly", "Play"),
    111: ("video", 30002, "tcp", "passive", 200000002, "recvonly", "Play"),
    112: ("video", 15062, "tcp", "active", 200000002, "sendonly", "EmbeddedNetDVR"),
    113: ("video", 30004, "tcp", "active", 200000003, "recvonly", "Play"),
    114: ("video", 15064, "tcp", "passive", 200000003, "sendonly", "Play"),
    115: ("video", 30006, "udp", "", 1200000001, "recvonly", "Playback"),
    116: ("video", 15066, "udp", "", 1200000001, "sendonly", "Playback"),
    128: ("video", 30008, "udp", "", 1200000002, "recvonly", "Download"),
    129: ("video", 15068, "udp", "", 1200000002, "sendonly", "Download"),
    130: ("audio", 16000, "udp", "", None, "recvonly", "Play"),
    131: ("audio", 30010, "udp", "", 200000004, "sendonly", "Play"),
    132: ("audio", 30012, "tcp", "passive", 200000005, "sendrecv", "Talk"),
    134: ("video", 30000, "udp", "", None, "recvonly", "Play"),
    135: ("video", 15060, "udp", "", 200000001, "sendonly", "Play"),
    136: ("video", 30014, "udp", "", 200000006, "recvonly", "Play"),
    142: ("video", 40000, "udp", "", 1, "recvonly", "Play"),
    143: ("video", 30020, "udp", "", 200000007, "sendonly", "Play"),
    144: ("video", 30022, "udp", "", 200000007, "recvonly", "Play"),
}
#: Where media goes to or comes from.
MEDIA_HOSTS: dict[int, str] = {
    **dict.fromkeys([107, 112, 114, 116, 129, 130, 135], "192.0.2.20"),
    **dict.fromkeys([105, 111, 113, 115, 128, 131, 132, 134, 136, 143, 144], "192.0.2.11"),
    142: "198.51.100.2",
}
PAYLOADS: dict[int, dict[int, str]] = {
    **{key: {96: "PS", 98: "H264", 97: "MPEG4"} for key in [105, 111, 113, 115, 128, 134, 142, 144]},
    **{key: {96: "PS"} for key in [107, 112, 114, 116, 129, 135, 143]},
    **{key: {8: "PCMA"} for key in [130, 131, 132]},
    136: {96: "PS", 100: "H265", 98: "H264"},
}
#: Begin and end in seconds, of those that have them: 2026-03-01 00:00 to 01:00 in Beijing.
SDP_TIMES: dict[int, tuple[int, int]] = dict.fromkeys([115, 116, 128, 129], (1772294400, 1772298000))
SDP_URIS: dict[int, str] = dict.fromkeys([115, 128], "34020000001320000001:0")
SDP_ATTRIBUTES: dict[int, dict[str, str]] = {
    113: {"streamnumber": "1"},
    128: {"downloadspeed": "4"},
    129: {"filesize": "10485760"},
}
SDP_FORMATS: dict[int, str] = {**dict.fromkeys([130, 131, 132], "v/////a/1/8/1"), 136: "v/5/6/25/1/4096a///"}

#: Our offers that this server makes: arguments of `sdp.build_offer` beside the payloads.
OFFERS: frozenset[int] = frozenset({105, 111, 144})
#: Ours to send by their list, in sessions that this server does not open yet: read only.
NOT_OFFERED: dict[int, str] = {
    113: "live over TCP where we connect, a stream by number",
    115: "playback from a device",
    128: "download from a device",
    131: "broadcast",
    132: "talk",
    135: "a media server that speaks SIP",
    136: "an offer with f=",
    143: "an answer to an upper platform",
}

MANSRTSP: dict[int, Order | Reply] = {
    117: Order("PLAY", 1, scale=2.0),
    119: Order("PAUSE", 2),
    120: Order("PLAY", 3, range=Range()),
    121: Order("PLAY", 4, range=Range(100.0)),
    122: Reply(200, 4, "OK", range=Range(100.0), seq=18139, rtptime=9000000),
    123: Order("PLAY", 5, scale=-1.0, range=Range(600.0, 120.0)),
    124: Order("PLAY", 6, scale=1.0, range=Range(196.0)),
    125: Order("TEARDOWN", 7),
}

#: Messages whose credentials were made with the password 12345678.
CREDENTIALS: frozenset[int] = frozenset({3, 6, 8, 9, 12, 15})
