"""Blocks of the device configuration, which DeviceConfig writes and ConfigDownload reads (A.2.3.2, A.2.6.9)."""

from __future__ import annotations

from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import block, child, children, repeated


@block
class BasicParam:
    """Name and periods of a device (A.2.3.2.2).

    Args:
        expiration: Seconds of a registration.
        heart_beat_interval: Seconds between keepalives.
        heart_beat_count: Missed keepalives after which the device takes the platform for gone.
        position_capability: 0 none, 1 GPS, 2 BeiDou.
    """

    name: str | None = child("Name", default=None)
    expiration: int | None = child("Expiration", default=None)
    heart_beat_interval: int | None = child("HeartBeatInterval", default=None)
    heart_beat_count: int | None = child("HeartBeatCount", default=None)
    position_capability: int | None = child("PositionCapability", default=None, until=Edition.E2016)
    longitude: float | None = child("Longitude", default=None, until=Edition.E2016)
    latitude: float | None = child("Latitude", default=None, until=Edition.E2016)


@block
class VideoParamOpt:
    """What the video encoder can do (A.2.6.9); lists are written with "/" between their parts."""

    download_speed: str | None = child("DownloadSpeed", default=None)
    resolution: str | None = child("Resolution", default=None)
    video_format_opt: str | None = child("VideoFormatOpt", default=None, until=Edition.E2014)
    resolution_opt: str | None = child("ResolutionOpt", default=None, until=Edition.E2014)
    frame_rate_opt: str | None = child("FrameRateOpt", default=None, until=Edition.E2014)
    bit_rate_type_opt: str | None = child("BitRateTypeOpt", default=None, until=Edition.E2014)
    video_bit_rate_opt: str | None = child("VideoBitRateOpt", default=None, until=Edition.E2014)
    download_speed_opt: str | None = child("DownloadSpeedOpt", default=None, until=Edition.E2014)


@block
class ROIItem:
    """A region of interest: raster index of its 32 x 32 blocks, quality 0 to 3."""

    roi_seq: int | None = child("ROISeq", default=None)
    top_left: int | None = child("TopLeft", default=None)
    bottom_right: int | None = child("BottomRight", default=None)
    roi_qp: int | None = child("ROIQP", default=None)


@block
class ROIParam:
    """Regions of interest, 16 at most."""

    roi_flag: int | None = child("ROIFlag", default=None)
    roi_number: int | None = child("ROINumber", default=None)
    items: tuple[ROIItem, ...] = repeated("Item", default=())
    back_ground_qp: int | None = child("BackGroundQP", default=None, until=Edition.E2016)
    back_ground_skip_flag: int | None = child("BackGroundSkipFlag", default=None, until=Edition.E2016)


@block
class SVCEncodeParam:
    """Scalable coding: 0 base layer, 1 to 3 layers of enhancement."""

    svc_space_domain_mode: int | None = child("SVCSpaceDomainMode", default=None)
    svc_time_domain_mode: int | None = child("SVCTimeDomainMode", default=None)
    ssvc_ratio_value: str | None = child("SSVCRatioValue", default=None, since=Edition.E2022)
    svc_space_support_mode: int | None = child("SVCSpaceSupportMode", default=None)
    svc_time_support_mode: int | None = child("SVCTimeSupportMode", default=None)
    ssvc_ratio_support_list: str | None = child("SSVCRatioSupportList", default=None, since=Edition.E2022)


@block
class SurveillanceEncodeParam:
    """Which information about the surveillance is coded, 1 or 0 each."""

    time_flag: int | None = child("TimeFlag", default=None)
    event_flag: int | None = child("EventFlag", default=None, until=Edition.E2016)
    alert_flag: int | None = child("AlertFlag", default=None, until=Edition.E2016)
    osd_flag: int | None = child("OSDFlag", default=None, since=Edition.E2022)
    ai_flag: int | None = child("AIFlag", default=None, since=Edition.E2022)
    gis_flag: int | None = child("GISFlag", default=None, since=Edition.E2022)


@block
class AudioParam:
    """Whether sound recognition parameters are coded, 1 or 0."""

    audio_recognition_flag: int | None = child("AudioRecognitionFlag", default=None)


@block
class SVACEncodeConfig:
    """SVAC encoder (A.2.3.2.3)."""

    roi_param: ROIParam | None = child("ROIParam", default=None)
    svc_param: SVCEncodeParam | None = child("SVCParam", default=None)
    surveillance_param: SurveillanceEncodeParam | None = child("SurveillanceParam", default=None)
    audio_param: AudioParam | None = child("AudioParam", default=None)


@block
class SVCDecodeParam:
    """Layers to decode: 0 the base layer, 1 to 3 with as many layers of enhancement."""

    svc_stm_mode: int | None = child("SVCSTMMode", default=None)
    svc_space_support_mode: int | None = child("SVCSpaceSupportMode", default=None)
    svc_time_support_mode: int | None = child("SVCTimeSupportMode", default=None)


@block
class SurveillanceDecodeParam:
    """Which information about the surveillance is shown, 1 or 0 each."""

    time_show_flag: int | None = child("TimeShowFlag", default=None)
    event_show_flag: int | None = child("EventShowFlag", default=None, until=Edition.E2016)
    alert_show_flag: int | None = child(  # so printed in 2016
        "AlerShowtFlag", default=None, also=("AlertShowFlag",), until=Edition.E2016
    )
    osd_show_flag: int | None = child("OSDShowFlag", default=None, since=Edition.E2022)
    ai_show_flag: int | None = child("AIShowFlag", default=None, since=Edition.E2022)
    gis_show_flag: int | None = child("GISShowFlag", default=None, since=Edition.E2022)


@block
class SVACDecodeConfig:
    """SVAC decoder (A.2.3.2.4)."""

    svc_param: SVCDecodeParam | None = child("SVCParam", default=None)
    surveillance_param: SurveillanceDecodeParam | None = child("SurveillanceParam", default=None)


@block
class VideoParamAttribute:
    """Encoding of one stream, in the codes of f= (A.2.3.2.5).

    Args:
        stream_number: 0 main, 1 sub stream.
        bit_rate_type: 1 constant, 2 variable.
        video_bit_rate: kbit/s; a constant rate needs it.
    """

    stream_number: int = child("StreamNumber")
    video_format: str | None = child("VideoFormat", default=None)
    resolution: str | None = child("Resolution", default=None)
    frame_rate: str | None = child("FrameRate", default=None)
    bit_rate_type: str | None = child("BitRateType", default=None)
    video_bit_rate: str | None = child("VideoBitRate", default=None)


@block
class TimeSegment:
    """A part of a day."""

    start_hour: int = child("StartHour")
    start_min: int = child("StartMin", default=0)
    start_sec: int = child("StartSec", default=0)
    stop_hour: int = child("StopHour")
    stop_min: int = child("StopMin", default=0)
    stop_sec: int = child("StopSec", default=0)


@block
class RecordSchedule:
    """Plan of one day: 1 is Monday, 7 Sunday; 8 segments at most."""

    week_day_num: int = child("WeekDayNum", required=True)
    time_segment_sum_num: int | None = child("TimeSegmentSumNum", default=None)
    time_segments: tuple[TimeSegment, ...] = repeated("TimeSegment", default=())


@block
class VideoRecordPlan:
    """When the device itself records (A.2.3.2.6).

    Args:
        record_enable: 1 or 0.
        record_schedule_sum_num: Number of days that have a plan.
    """

    record_enable: int = child("RecordEnable")
    record_schedule_sum_num: int | None = child("RecordScheduleSumNum", default=None)
    record_schedules: tuple[RecordSchedule, ...] = repeated("RecordSchedule", default=())
    stream_number: int | None = child("StreamNumber", default=None)


@block
class VideoAlarmRecord:
    """What the device records at an alarm (A.2.3.2.7).

    Args:
        record_time: Seconds after the alarm.
        pre_record_time: Seconds before it.
    """

    record_enable: int = child("RecordEnable")
    record_time: int | None = child("RecordTime", default=None)
    pre_record_time: int | None = child("PreRecordTime", default=None)
    stream_number: int | None = child("StreamNumber", default=None)


@block
class MaskRegion:
    """A masked rectangle: number 1 to 4 and `left,top,right,bottom` in pixels."""

    seq: int = child("Seq")
    point: str = child("Point", required=True)


@block
class PictureMask:
    """Masked regions, 4 at most (A.2.3.2.8)."""

    on: int = child("On")
    sum_num: int | None = child("SumNum", default=None)
    region_list: tuple[MaskRegion, ...] = children("RegionList", "Item", default=(), counted=True)


@block
class AlarmReport:
    """Which video alarms the device reports, 1 or 0 each (A.2.3.2.10)."""

    motion_detection: int | None = child("MotionDetection", default=None)
    field_detection: int | None = child("FieldDetection", default=None)


@block
class OSDText:
    """A line of text over the picture, 32 characters at most, and where it begins."""

    text: str = child("Text")
    x: int = child("X")
    y: int = child("Y")


@block
class OSDConfig:
    """Text over the picture (A.2.3.2.11); positions in pixels of a window of length x width.

    Args:
        time_type: 0 `YYYY-MM-DD HH:MM:SS`, 1 with 年月日.
        sum_num: Number of lines, 8 at most.
    """

    length: int | None = child("Length", default=None)
    width: int | None = child("Width", default=None)
    time_x: int | None = child("TimeX", default=None)
    time_y: int | None = child("TimeY", default=None)
    time_enable: int | None = child("TimeEnable", default=None)
    time_type: int | None = child("TimeType", default=None)
    text_enable: int | None = child("TextEnable", default=None)
    sum_num: int | None = child("SumNum", default=None)
    items: tuple[OSDText, ...] = repeated("Item", default=())


@block
class SnapShotConfig:
    """Pictures to take and where to send them (A.2.3.2.12).

    Args:
        snap_num: 1 to 10.
        interval: Seconds between two pictures, 1 or more.
        session_id: Ours: 32 to 128 letters, digits and hyphens; UploadSnapShotFinished names it.
    """

    snap_num: int = child("SnapNum")
    interval: int | None = child("Interval", default=None)
    upload_url: str = child("UploadURL")
    session_id: str = child("SessionID")
