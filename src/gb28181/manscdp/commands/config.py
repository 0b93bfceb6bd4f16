"""Configuration of a device: written by DeviceConfig, read by ConfigDownload (A.2.3.2, A.2.4.7, A.2.6.8, A.2.6.9)."""

from __future__ import annotations

from enum import StrEnum

from gb28181.ids import DeviceId
from gb28181.manscdp.commands.config_blocks import (
    AlarmReport,
    BasicParam,
    OSDConfig,
    PictureMask,
    SnapShotConfig,
    SVACDecodeConfig,
    SVACEncodeConfig,
    VideoAlarmRecord,
    VideoParamAttribute,
    VideoParamOpt,
    VideoRecordPlan,
)
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, child, children, command, extension


class ConfigType(StrEnum):
    """Names of the blocks, as ConfigDownload asks for them."""

    BASIC_PARAM = "BasicParam"
    VIDEO_PARAM_OPT = "VideoParamOpt"
    SVAC_ENCODE_CONFIG = "SVACEncodeConfig"
    SVAC_DECODE_CONFIG = "SVACDecodeConfig"
    VIDEO_PARAM_ATTRIBUTE = "VideoParamAttribute"
    VIDEO_RECORD_PLAN = "VideoRecordPlan"
    VIDEO_ALARM_RECORD = "VideoAlarmRecord"
    PICTURE_MASK = "PictureMask"
    FRAME_MIRROR = "FrameMirror"
    ALARM_REPORT = "AlarmReport"
    OSD_CONFIG = "OSDConfig"
    SNAP_SHOT_CONFIG = "SnapShotConfig"


@command(Category.CONTROL, "DeviceConfig", clause="A.2.3.2", since=Edition.E2014)
class DeviceConfig:
    """Blocks to write, those that are given.

    Args:
        frame_mirror: A.2.3.2.9; 0 none, 1 horizontal, 2 vertical, 3 both.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    basic_param: BasicParam | None = child("BasicParam", default=None)
    svac_encode_config: SVACEncodeConfig | None = child("SVACEncodeConfig", default=None)
    svac_decode_config: SVACDecodeConfig | None = child("SVACDecodeConfig", default=None)
    video_param_attribute: tuple[VideoParamAttribute, ...] = children(
        "VideoParamAttribute", "Item", default=(), counted=True, since=Edition.E2022
    )
    video_record_plan: VideoRecordPlan | None = child("VideoRecordPlan", default=None, since=Edition.E2022)
    video_alarm_record: VideoAlarmRecord | None = child("VideoAlarmRecord", default=None, since=Edition.E2022)
    picture_mask: PictureMask | None = child("PictureMask", default=None, since=Edition.E2022)
    frame_mirror: int | None = child("FrameMirror", default=None, since=Edition.E2022)
    alarm_report: AlarmReport | None = child("AlarmReport", default=None, since=Edition.E2022)
    osd_config: OSDConfig | None = child("OSDConfig", default=None, since=Edition.E2022)
    snap_shot_config: SnapShotConfig | None = child("SnapShotConfig", default=None, since=Edition.E2022)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "DeviceConfig", clause="A.2.6.8", since=Edition.E2014)
class DeviceConfigResponse:
    """Whether the device took it."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result = child("Result")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.QUERY, "ConfigDownload", clause="A.2.4.7", since=Edition.E2014)
class ConfigDownloadQuery:
    """Asks for blocks.

    Args:
        config_type: Names of `ConfigType`, "/" between them.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    config_type: str = child("ConfigType")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "ConfigDownload", clause="A.2.6.9", since=Edition.E2014)
class ConfigDownloadResponse:
    """Blocks that were asked for; a device may send one message for each, all with the same SN.

    Any block counts, whatever was asked (quirk Q54). Fields as in `DeviceConfig`.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result = child("Result", default=Result.OK)
    basic_param: BasicParam | None = child("BasicParam", default=None)
    video_param_opt: VideoParamOpt | None = child("VideoParamOpt", default=None)
    svac_encode_config: SVACEncodeConfig | None = child("SVACEncodeConfig", default=None)
    svac_decode_config: SVACDecodeConfig | None = child("SVACDecodeConfig", default=None)
    video_param_attribute: tuple[VideoParamAttribute, ...] = children(
        "VideoParamAttribute", "Item", default=(), counted=True, since=Edition.E2022
    )
    video_record_plan: VideoRecordPlan | None = child("VideoRecordPlan", default=None, since=Edition.E2022)
    video_alarm_record: VideoAlarmRecord | None = child("VideoAlarmRecord", default=None, since=Edition.E2022)
    picture_mask: PictureMask | None = child("PictureMask", default=None, since=Edition.E2022)
    frame_mirror: int | None = child("FrameMirror", default=None, since=Edition.E2022)
    alarm_report: AlarmReport | None = child("AlarmReport", default=None, since=Edition.E2022)
    osd_config: OSDConfig | None = child("OSDConfig", default=None, since=Edition.E2022)
    snap_shot_config: SnapShotConfig | None = child("SnapShotConfig", default=None, also=("SnapShot",), since=Edition.E2022)
    extra_info: tuple[str, ...] = extension(default=())
