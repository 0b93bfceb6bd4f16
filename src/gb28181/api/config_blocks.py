"""Configurations as the API takes them: the standard's names in snake_case, its ranges checked, what can be counted left out.

A name that does not exist is refused with the nearest one: a camera would say nothing about it.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from gb28181.api.routing import Model
from gb28181.manscdp.commands import config_blocks as blocks
from gb28181.texts.text import say

Flag = Annotated[int, Field(ge=0, le=1, description="1 or 0")]
Mode = Annotated[int, Field(ge=0, le=3)]
Pixels = Annotated[int, Field(ge=0, le=65535)]
Code = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+$", description="code of f= (Annex G)")]


class ConfigModel(Model):
    """A block, or a part of one.

    Attributes:
        BLOCK: What it becomes on the wire.
        COUNTS: Elements that say how many there are of another one.
    """

    BLOCK: ClassVar[type]
    COUNTS: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest(cls, data: Any) -> Any:
        unknown = [name for name in data if name not in cls.model_fields] if isinstance(data, dict) else []
        if unknown:
            name = str(unknown[0])[:40]
            near = difflib.get_close_matches(name, cls.model_fields, n=1, cutoff=0.4)
            known = say("http.known_are", known=", ".join(cls.model_fields))
            hint = say("http.did_you_mean", near=near[0]) if near else known
            raise ValueError(say("http.unknown_name", name=name, hint=hint))
        return data

    def wire(self) -> Any:
        """The block as MANSCDP declares it."""
        values: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, list):
                values[name] = tuple(item.wire() for item in value)
            elif value is not None:
                values[name] = value.wire() if isinstance(value, ConfigModel) else value
        return self.BLOCK(**values | {count: len(values.get(of, ())) for count, of in self.COUNTS.items()})


class BasicParamIn(ConfigModel):
    """`expiration`: seconds of a registration; `heart_beat_interval`: seconds; `position_capability` and coordinates: 2016."""

    BLOCK = blocks.BasicParam
    name: str | None = Field(None, min_length=1, max_length=255)
    expiration: int | None = Field(None, ge=60, le=2_592_000)
    heart_beat_interval: int | None = Field(None, ge=1, le=86_400)
    heart_beat_count: int | None = Field(None, ge=1, le=255)
    position_capability: int | None = Field(None, ge=0, le=2)
    longitude: float | None = Field(None, ge=-180, le=180)
    latitude: float | None = Field(None, ge=-90, le=90)


class ROIItemIn(ConfigModel):
    """A region: raster index of the 32 x 32 blocks at its corners, quality 0 to 3."""

    BLOCK = blocks.ROIItem
    roi_seq: int = Field(ge=1, le=16)
    top_left: int = Field(ge=0)
    bottom_right: int = Field(ge=0)
    roi_qp: Mode


class ROIParamIn(ConfigModel):
    BLOCK = blocks.ROIParam
    COUNTS: ClassVar[dict[str, str]] = {"roi_number": "items"}
    roi_flag: Flag
    items: list[ROIItemIn] = Field(default_factory=list, max_length=16)
    back_ground_qp: Mode | None = None
    back_ground_skip_flag: Flag | None = None


class SVCEncodeParamIn(ConfigModel):
    BLOCK = blocks.SVCEncodeParam
    svc_space_domain_mode: Mode
    svc_time_domain_mode: Mode
    ssvc_ratio_value: str | None = Field(None, max_length=32, pattern=r"^[0-9]+:[0-9]+$")


class AudioParamIn(ConfigModel):
    BLOCK = blocks.AudioParam
    audio_recognition_flag: Flag


class SVACEncodeConfigIn(ConfigModel):
    BLOCK = blocks.SVACEncodeConfig
    roi_param: ROIParamIn | None = None
    svc_param: SVCEncodeParamIn | None = None
    audio_param: AudioParamIn | None = None


class SVCDecodeParamIn(ConfigModel):
    BLOCK = blocks.SVCDecodeParam
    svc_stm_mode: Mode


class SurveillanceDecodeParamIn(ConfigModel):
    BLOCK = blocks.SurveillanceDecodeParam
    time_show_flag: Flag | None = None
    event_show_flag: Flag | None = None
    alert_show_flag: Flag | None = None
    osd_show_flag: Flag | None = None
    ai_show_flag: Flag | None = None
    gis_show_flag: Flag | None = None


class SVACDecodeConfigIn(ConfigModel):
    BLOCK = blocks.SVACDecodeConfig
    svc_param: SVCDecodeParamIn | None = None
    surveillance_param: SurveillanceDecodeParamIn | None = None


class VideoParamAttributeIn(ConfigModel):
    """One stream. `bit_rate_type` 1 is a constant rate, which needs `video_bit_rate` in kbit/s."""

    BLOCK = blocks.VideoParamAttribute
    stream_number: int = Field(ge=0, le=31)
    video_format: Code
    resolution: Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(x[0-9]+)?$")]
    frame_rate: Code
    bit_rate_type: Literal["1", "2"]
    video_bit_rate: Code | None = None

    @model_validator(mode="after")
    def _rate(self) -> VideoParamAttributeIn:
        if self.bit_rate_type == "1" and self.video_bit_rate is None:
            raise ValueError(say("http.constant_rate"))
        return self


class TimeSegmentIn(ConfigModel):
    BLOCK = blocks.TimeSegment
    start_hour: int = Field(ge=0, le=23)
    start_min: int = Field(0, ge=0, le=59)
    start_sec: int = Field(0, ge=0, le=59)
    stop_hour: int = Field(ge=0, le=23)
    stop_min: int = Field(59, ge=0, le=59)
    stop_sec: int = Field(59, ge=0, le=59)

    @model_validator(mode="after")
    def _order(self) -> TimeSegmentIn:
        start = (self.start_hour, self.start_min, self.start_sec)
        if (self.stop_hour, self.stop_min, self.stop_sec) <= start:
            raise ValueError(say("http.day_segment"))
        return self


class RecordScheduleIn(ConfigModel):
    """`week_day_num`: 1 is Monday, 7 Sunday."""

    BLOCK = blocks.RecordSchedule
    COUNTS: ClassVar[dict[str, str]] = {"time_segment_sum_num": "time_segments"}
    week_day_num: int = Field(ge=1, le=7)
    time_segments: list[TimeSegmentIn] = Field(min_length=1, max_length=8)


class VideoRecordPlanIn(ConfigModel):
    """When the device itself records; days that are left out have no plan."""

    BLOCK = blocks.VideoRecordPlan
    COUNTS: ClassVar[dict[str, str]] = {"record_schedule_sum_num": "record_schedules"}
    record_enable: Flag
    record_schedules: list[RecordScheduleIn] = Field(default_factory=list, max_length=7)
    stream_number: int = Field(0, ge=0, le=31)

    @model_validator(mode="after")
    def _days(self) -> VideoRecordPlanIn:
        if len({day.week_day_num for day in self.record_schedules}) < len(self.record_schedules):
            raise ValueError(say("http.week_day"))
        return self


class VideoAlarmRecordIn(ConfigModel):
    """`record_time`: seconds after the alarm, `pre_record_time` before it."""

    BLOCK = blocks.VideoAlarmRecord
    record_enable: Flag
    record_time: int | None = Field(None, ge=0, le=86_400)
    pre_record_time: int | None = Field(None, ge=0, le=3600)
    stream_number: int = Field(0, ge=0, le=31)


class MaskRegionIn(ConfigModel):
    """`point`: left, top, right, bottom in pixels, such as `10,20,110,90`."""

    BLOCK = blocks.MaskRegion
    seq: int = Field(ge=1, le=4)
    point: str = Field(pattern=r"^[0-9]{1,5},[0-9]{1,5},[0-9]{1,5},[0-9]{1,5}$")


class PictureMaskIn(ConfigModel):
    BLOCK = blocks.PictureMask
    COUNTS: ClassVar[dict[str, str]] = {"sum_num": "region_list"}
    on: Flag
    region_list: list[MaskRegionIn] = Field(default_factory=list, max_length=4)


class AlarmReportIn(ConfigModel):
    BLOCK = blocks.AlarmReport
    motion_detection: Flag
    field_detection: Flag


class OSDTextIn(ConfigModel):
    BLOCK = blocks.OSDText
    text: str = Field(max_length=32)
    x: Pixels
    y: Pixels


class OSDConfigIn(ConfigModel):
    """Positions are pixels of a window of `length` (horizontal) x `width` (vertical)."""

    BLOCK = blocks.OSDConfig
    COUNTS: ClassVar[dict[str, str]] = {"sum_num": "items"}
    length: Annotated[int, Field(ge=1, le=65535)]
    width: Annotated[int, Field(ge=1, le=65535)]
    time_x: Pixels
    time_y: Pixels
    time_enable: Flag = 1
    time_type: Flag = 0
    text_enable: Flag = 1
    items: list[OSDTextIn] = Field(default_factory=list, max_length=8)


class ConfigChange(ConfigModel):
    """Blocks to write; each is sent by itself. `frame_mirror`: 0 none, 1 horizontal, 2 vertical, 3 both."""

    basic_param: BasicParamIn | None = None
    svac_encode_config: SVACEncodeConfigIn | None = None
    svac_decode_config: SVACDecodeConfigIn | None = None
    video_param_attribute: list[VideoParamAttributeIn] | None = Field(None, min_length=1, max_length=32)
    video_record_plan: VideoRecordPlanIn | None = None
    video_alarm_record: VideoAlarmRecordIn | None = None
    picture_mask: PictureMaskIn | None = None
    frame_mirror: Mode | None = None
    alarm_report: AlarmReportIn | None = None
    osd_config: OSDConfigIn | None = None

    @model_validator(mode="after")
    def _something(self) -> ConfigChange:
        if not self.given():
            raise ValueError(say("http.nothing_to_write", known=", ".join(WRITABLE)))
        return self

    def given(self) -> dict[str, Any]:
        """The blocks as MANSCDP declares them, by name."""
        found: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, list):
                found[name] = tuple(item.wire() for item in value)
            elif value is not None:
                found[name] = value.wire() if isinstance(value, ConfigModel) else value
        return found


WRITABLE: Final = tuple(ConfigChange.model_fields)
