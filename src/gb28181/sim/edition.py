"""What the editions of GB/T 28181 make different on the wire (2022 Annex I, spec tables of A.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_CONFIG_2016: Final = ("BasicParam", "VideoParamOpt", "SVACEncodeConfig", "SVACDecodeConfig")
_CONFIG_2022: Final = (
    "VideoParamAttribute", "VideoRecordPlan", "VideoAlarmRecord", "PictureMask", "FrameMirror", "AlarmReport", "OSDConfig",
    "SnapShotConfig",
)  # fmt: skip
_QUERIES_2011: Final = frozenset({"Catalog", "DeviceInfo", "DeviceStatus", "RecordInfo"})
_QUERIES_2016: Final = _QUERIES_2011 | {"ConfigDownload", "PresetQuery", "MobilePosition"}
_QUERIES_2022: Final = _QUERIES_2016 | {
    "HomePositionQuery", "CruiseTrackListQuery", "CruiseTrackQuery", "PTZPosition", "SDCardStatus",
}  # fmt: skip
_CONTROLS_2011: Final = frozenset({"ptzcmd", "teleboot", "recordcmd", "guardcmd", "alarmcmd"})
_CONTROLS_2016: Final = _CONTROLS_2011 | {"ifamecmd", "dragzoomin", "dragzoomout", "homeposition"}
_CONTROLS_2022: Final = (_CONTROLS_2016 - {"ifamecmd"}) | {
    "iframecmd", "ptzprecisectrl", "deviceupgrade", "formatsdcard", "targettrack",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition as a device speaks it.

    Args:
        version: X-GB-Ver, "" where the edition has no such header.
        label: Encoding that the XML declaration names.
        queries: CmdTypes that are answered with data; any other query gets Result ERROR.
        controls: Sub-commands of DeviceControl that are carried out, in lower case.
        config: Blocks of ConfigDownload and DeviceConfig.
        subscriptions: CmdTypes that SUBSCRIBE may carry.
        has_tcp_media: Whether media go over TCP.
    """

    name: str
    version: str
    label: str
    queries: frozenset[str]
    controls: frozenset[str]
    config: tuple[str, ...]
    subscriptions: frozenset[str]
    has_tcp_media: bool = True

    @property
    def is_2022(self) -> bool:
        return self.name == "2022"


EDITIONS: Final[Mapping[str, Edition]] = {
    "2011": Edition("2011", "", "GB2312", _QUERIES_2011, _CONTROLS_2011, (), frozenset({"Catalog", "Alarm"}), False),
    "2016": Edition(
        "2016", "", "GB2312", _QUERIES_2016, _CONTROLS_2016, _CONFIG_2016, frozenset({"Catalog", "Alarm", "MobilePosition"})
    ),
    "2022": Edition(
        "2022", "3.0", "GB18030", _QUERIES_2022, _CONTROLS_2022, _CONFIG_2016 + _CONFIG_2022,
        frozenset({"Catalog", "Alarm", "MobilePosition", "PTZPosition"}),
    ),
}  # fmt: skip
