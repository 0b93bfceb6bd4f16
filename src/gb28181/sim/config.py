"""Configuration of a channel: what DeviceConfig writes and ConfigDownload reads back (A.2.3.2, A.2.6.9)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from gb28181.sim import manscdp
from gb28181.sim.edition import Edition

_DAY: Final = (
    "<TimeSegmentSumNum>1</TimeSegmentSumNum><TimeSegment><StartHour>0</StartHour><StartMin>0</StartMin><StartSec>0</StartSec>"
    "<StopHour>23</StopHour><StopMin>59</StopMin><StopSec>59</StopSec></TimeSegment>"
)
#: As it leaves the factory. Blocks that the edition does not have are never asked for.
_FACTORY: Final = {
    "VideoParamOpt": "<DownloadSpeed>1/2/4</DownloadSpeed><Resolution>2/4/5</Resolution>",
    "SVACEncodeConfig": "<AudioParam><AudioRecognitionFlag>0</AudioRecognitionFlag></AudioParam>",
    "SVACDecodeConfig": "<SVCParam><SVCSTMMode>0</SVCSTMMode><SVCSpaceSupportMode>0</SVCSpaceSupportMode>"
    "<SVCTimeSupportMode>0</SVCTimeSupportMode></SVCParam>",
    "VideoParamAttribute": "<Item><StreamNumber>0</StreamNumber><VideoFormat>2</VideoFormat><Resolution>5</Resolution>"
    "<FrameRate>25</FrameRate><BitRateType>1</BitRateType><VideoBitRate>2048</VideoBitRate></Item>"
    "<Item><StreamNumber>1</StreamNumber><VideoFormat>2</VideoFormat><Resolution>2</Resolution>"
    "<FrameRate>25</FrameRate><BitRateType>1</BitRateType><VideoBitRate>512</VideoBitRate></Item>",
    "VideoRecordPlan": "<RecordEnable>1</RecordEnable><RecordScheduleSumNum>1</RecordScheduleSumNum><RecordSchedule>"
    f"<WeekDayNum>1</WeekDayNum>{_DAY}</RecordSchedule><StreamNumber>0</StreamNumber>",
    "VideoAlarmRecord": "<RecordEnable>0</RecordEnable><RecordTime>30</RecordTime><PreRecordTime>5</PreRecordTime>"
    "<StreamNumber>0</StreamNumber>",
    "PictureMask": "<On>0</On><SumNum>0</SumNum>",
    "AlarmReport": "<MotionDetection>0</MotionDetection><FieldDetection>0</FieldDetection>",
    "OSDConfig": "<Length>704</Length><Width>576</Width><TimeX>16</TimeX><TimeY>16</TimeY><TimeEnable>1</TimeEnable>"
    "<TimeType>0</TimeType><TextEnable>1</TextEnable><SumNum>0</SumNum>",
    "SnapShotConfig": "<SnapNum>1</SnapNum><Interval>1</Interval><UploadURL></UploadURL><SessionID></SessionID>",
}  # fmt: skip
#: What the standard calls 1 to 3, and nothing else, is a mirror.
_MIRRORS: Final = re.compile("[0-3]")
_MOST_BYTES: Final = 16_384


class Configuration:
    """The blocks of one channel as XML."""

    def __init__(self, edition: Edition) -> None:
        self._edition = edition
        self._blocks = {name: ET.fromstring(f"<{name}>{inner}</{name}>") for name, inner in _FACTORY.items()}  # noqa: S314 - our own text
        self._blocks["VideoParamAttribute"].set("Num", "2")
        mirror = ET.Element("FrameMirror")
        mirror.text = "0"
        self._blocks["FrameMirror"] = mirror

    def read(self, names: str, basic: str) -> list[str]:
        """Blocks for a ConfigType `A/B/C`, those of other editions left out.

        Args:
            basic: Elements of BasicParam, which the device itself keeps.
        """
        known = {name.lower(): name for name in self._edition.config}
        asked = [known[name.strip().lower()] for name in names.split("/") if name.strip().lower() in known]
        return [
            manscdp.block(name, basic) if name == "BasicParam" else _written(self._blocks[name]) + "\r\n"
            for name in dict.fromkeys(asked)
        ]

    def write(self, written: ET.Element) -> bool:
        """Takes one block: its elements replace those of the same name; False where it cannot be taken."""
        known = {name.lower(): name for name in self._edition.config}
        name = known.get(written.tag.lower())
        if name in (None, "BasicParam", "VideoParamOpt") or len(ET.tostring(written)) > _MOST_BYTES:
            return False
        assert name is not None
        if name == "FrameMirror" and not _MIRRORS.fullmatch((written.text or "").strip()):
            return False
        kept = self._blocks[name]
        names = {child.tag for child in written}
        made = ET.Element(name, written.attrib or kept.attrib)
        made.text = written.text if name == "FrameMirror" else None
        made.extend([child for child in kept if child.tag not in names])
        made.extend(written)
        self._blocks[name] = made
        return True


def _written(element: ET.Element) -> str:
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in element.attrib.items())
    text = escape((element.text or "").strip())
    return f"<{element.tag}{attributes}>{text}{''.join(_written(child) for child in element)}</{element.tag}>"
