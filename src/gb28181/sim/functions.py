"""What a device can do besides pictures: queries answered from a state that controls change (A.2.3 to A.2.6). No I/O.

Everything is kept by target: the device itself and each channel. A camera with one channel is one target with two codes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from gb28181.sim import manscdp, records
from gb28181.sim.config import Configuration
from gb28181.sim.edition import Edition
from gb28181.sim.manscdp import Request, block, elements, listing, number, result
from gb28181.sim.ptz import Dome
from gb28181.sim.records import Records

MISSES: Final = 3
_MANUFACTURER: Final = "GB28181"
_CAPACITY_MB: Final = 131_072
_FORMAT_S: Final = 5.0
#: A device tells and sets the duty of so many channels at once; a platform's others are asked one by one.
_MOST_DUTIES: Final = 64
#: Controls that the standard has answered by a Response (A.2.3); all others end with the 200.
_ANSWERED: Final = ("recordcmd", "guardcmd", "alarmcmd", "homeposition", "deviceupgrade")


@dataclass(frozen=True, slots=True)
class Reboot:
    """TeleBoot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Take pictures and leave them at a URL (2022 §9.14)."""

    target: str
    count: int
    interval_s: float
    url: str
    session: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Fetch firmware, install it, register again and tell the result (2022 §9.13)."""

    firmware: str
    url: str
    session: str


@dataclass(frozen=True, slots=True)
class KeyPicture:
    """An IDR at once."""

    target: str


Effect = Reboot | Snapshot | Upgrade | KeyPicture


class Target:
    """State of one code.

    Args:
        hours: How far back its recordings go.
    """

    def __init__(self, edition: Edition, hours: float, now: float, utc: float) -> None:
        self.dome = Dome(now)
        self.config = Configuration(edition)
        self.records = Records(hours, utc)
        self.home: tuple[int, int, int] | None = None  # enabled, reset time, preset
        self.is_guarded = False
        self.is_alarming = False
        self.is_recording = False
        self.tracking = "Stop"
        self.status = "ON"


class Functions:
    """Answers queries and carries out controls.

    Args:
        device_id: The device's own code.
        channels: Codes and names of its channels.
        name: As DeviceInfo tells it; BasicParam may change it.
    """

    def __init__(
        self,
        edition: Edition,
        device_id: str,
        channels: Sequence[tuple[str, str]],
        *,
        name: str,
        model: str,
        expires_s: int,
        keepalive_s: float,
        recorded_hours: float,
        now: float,
        utc: float,
    ) -> None:
        self.edition = edition
        self.name = name
        self.model = model
        self.firmware = "V1.0"
        self.expires_s = expires_s
        self.keepalive_s = keepalive_s
        self.misses = MISSES
        self._device_id = device_id
        self.names = dict(channels)
        self.aliases: dict[str, str] = {}  # codes that the catalogue tells for channels
        self._new_target = functools.partial(Target, edition, recorded_hours, now, utc)
        self._targets: dict[str, Target] = {}
        self._format_at: float | None = None

    def target(self, code: str) -> Target | None:
        """State of the device or a channel, made when it is first asked for; None for a code that is neither."""
        code = self.aliases.get(code, code)
        if len(self.names) == 1 and code == self._device_id:
            code = next(iter(self.names))
        if code not in self._targets and (code in self.names or code == self._device_id):
            self._targets[code] = self._new_target()
        return self._targets.get(code)

    # -- queries -------------------------------------------------------------------------------------------------------

    def answer(self, query: Request, now: float, utc: float, *, is_encoding: bool) -> str | None:
        """One document for everything but Catalog and RecordInfo; None for what this is not the place for."""
        target = self.target(query.device_id)
        if target is None or query.command not in self.edition.queries:
            return result(query, is_ok=False)
        match query.command:
            case "DeviceInfo":
                inner = elements(
                    DeviceName=self.name if self.edition.name != "2011" else None,
                    Result="OK",
                    Manufacturer=_MANUFACTURER,
                    Model=self.model,
                    Firmware=self.firmware,
                    Channel=len(self.names),
                )
            case "DeviceStatus":
                inner = self._status(target, utc, is_encoding=is_encoding)
            case "ConfigDownload":
                return self._configuration(query, target)
            case "PresetQuery":
                rows = [elements(PresetID=n, PresetName=p.name) for n, p in sorted(target.dome.presets.items())]
                inner = (elements(SumNum=len(rows)) if self.edition.is_2022 else "") + listing("PresetList", "Item", rows)
            case "HomePositionQuery":
                enabled, reset_s, preset = target.home or (0, 0, 0)
                inner = block("HomePosition", elements(Enabled=enabled, ResetTime=reset_s, PresetIndex=preset))
            case "CruiseTrackListQuery":
                rows = [
                    elements(Number=n, Name=cruise.name) for n, (_, cruise) in enumerate(sorted(target.dome.cruises.items()))
                ]
                inner = elements(SumNum=len(rows)) + (listing("CruiseTrackList", "CruiseTrack", rows) if rows else "")
            case "CruiseTrackQuery":
                return self._track(query, target)
            case "PTZPosition":
                inner = self.position(query.device_id, now)
            case "SDCardStatus":
                inner = self._card(now)
            case _:
                return None
        return manscdp.response(query, inner)

    def _status(self, target: Target, utc: float, *, is_encoding: bool) -> str:
        codes = list(self.names)[:_MOST_DUTIES] or [self._device_id]
        kept = {code: self._targets.get(code) for code in codes}
        duties = {
            code: "OFFDUTY" if each is None else "ALARM" if each.is_alarming else "ONDUTY" if each.is_guarded else "OFFDUTY"
            for code, each in kept.items()
        }
        rows = [elements(DeviceID=code, DutyStatus=duty) for code, duty in duties.items()]
        return elements(
            Result="OK",
            Online="ONLINE",
            Status="OK",
            Encode="ON" if is_encoding else "OFF",
            Record="ON" if target.is_recording else "OFF",
            DeviceTime=manscdp.local(utc),
        ) + listing("Alarmstatus", "Item", rows)

    def _configuration(self, query: Request, target: Target) -> str:
        basic = elements(
            Name=self.name, Expiration=self.expires_s, HeartBeatInterval=round(self.keepalive_s), HeartBeatCount=self.misses
        )
        blocks = target.config.read(query.fields.get("configtype", ""), basic)
        if not blocks:
            return result(query, is_ok=False)
        return manscdp.response(query, elements(Result="OK") + "".join(blocks))

    def _track(self, query: Request, target: Target) -> str:
        asked = query.fields.get("number", "0")
        tracks = [cruise for _, cruise in sorted(target.dome.cruises.items())]
        index = int(asked) if asked.isdecimal() else -1
        if not 0 <= index < len(tracks):
            return result(query, is_ok=False)
        cruise = tracks[index]
        rows = [elements(PresetIndex=point, StayTime=cruise.stay_s, Speed=cruise.speed) for point in cruise.points]
        inner = elements(Number=index, Name=cruise.name, SumNum=len(rows))
        return manscdp.response(query, inner + (listing("CruisePointList", "CruisePoint", rows) if rows else ""))

    def _card(self, now: float) -> str:
        progress = None
        if self._format_at is not None:
            progress = min(100, round((now - self._format_at) / _FORMAT_S * 100))
        is_done = progress in (None, 100)
        row = elements(
            ID=1,
            HddName="SD1",
            Status="ok" if is_done else "formatting",
            FormatProgress=None if is_done else progress,
            Capacity=_CAPACITY_MB,
            FreeSpace=_CAPACITY_MB if self._format_at is not None else _CAPACITY_MB // 2,
        )
        return elements(SumNum=1) + listing("SDCardStatusInfo", "Item", [row])

    def position(self, code: str, now: float) -> str:
        """Fields of PTZPosition."""
        target = self.target(code)
        assert target is not None  # the caller knows the code
        here = target.dome.position(now)
        return elements(
            Pan=f"{here.pan:.2f}",
            Tilt=f"{here.tilt:.2f}",
            Zoom=f"{here.zoom:.2f}",
            HorizontalFieldAngle=f"{60 / here.zoom:.2f}",
            VerticalFieldAngle=f"{34 / here.zoom:.2f}",
            MaxViewDistance="200.00",
        )

    def found(self, query: Request, utc: float) -> list[str]:
        """Rows of RecordInfo."""
        target = self.target(query.device_id)
        if target is None:
            return []
        start, end = (manscdp.utc_of(query.fields.get(name, ""), at) for name, at in (("starttime", 0.0), ("endtime", utc)))
        code = query.device_id if query.device_id in self.names else next(iter(self.names), self._device_id)
        files = target.records.find(start, end, query.fields.get("type", "").lower(), utc)
        return [records.row(file, code, self.names.get(code, self.name), is_2022=self.edition.is_2022) for file in files]

    def is_recorded(self, code: str, start: float, end: float, utc: float) -> bool:
        """Whether the channel has anything of this range."""
        target = self.target(code)
        return target is not None and bool(target.records.find(start, end, "all", utc))

    # -- controls ------------------------------------------------------------------------------------------------------

    def configure(self, control: Request) -> tuple[str, Effect | None]:
        """DeviceConfig: every block that it holds."""
        target = self.target(control.device_id)
        if target is None or not self.edition.config:
            return result(control, is_ok=False), None
        blocks = [
            part for part in control.element if part.tag.lower() not in ("cmdtype", "sn", "deviceid", "extrainfo", "info")
        ]
        is_ok = bool(blocks)
        effect: Effect | None = None
        for part in blocks:
            if part.tag.lower() == "basicparam":
                self._basic(part)
            elif part.tag.lower() == "videoparamopt" or not target.config.write(part):
                is_ok = False
            elif part.tag.lower() == "snapshotconfig":
                effect = Snapshot(
                    control.device_id,
                    min(max(1, round(number(manscdp.text(part, "SnapNum"), 1))), 10),
                    max(1.0, number(manscdp.text(part, "Interval"), 1)),
                    manscdp.text(part, "UploadURL"),
                    manscdp.text(part, "SessionID"),
                )
        return result(control, is_ok=is_ok), effect

    def _basic(self, part: Element) -> None:
        read = {child.tag.lower(): (child.text or "").strip() for child in part}
        self.name = read.get("name") or self.name
        self.expires_s = round(number(read.get("expiration", ""), self.expires_s)) or self.expires_s
        self.keepalive_s = number(read.get("heartbeatinterval", ""), self.keepalive_s) or self.keepalive_s
        self.misses = round(number(read.get("heartbeatcount", ""), self.misses)) or self.misses

    def control(self, control: Request, now: float) -> tuple[str | None, Effect | None]:
        """DeviceControl: the answer where one is due, and what the device has to do besides."""
        fields = control.fields
        names = set(fields)
        target = self.target(control.device_id)
        wants = any(name in names for name in _ANSWERED)
        known = names & self.edition.controls
        if target is None or not known:
            return (result(control, is_ok=False) if wants else None), None
        is_ok, effect = True, None
        for name in sorted(known):
            if name == "deviceupgrade":
                is_ok, effect = self._upgrade(control)
            elif name == "teleboot":
                effect = Reboot()
            elif name in ("ifamecmd", "iframecmd"):
                effect = KeyPicture(control.device_id)
            elif name == "homeposition":
                is_ok = self._home(target, control)
            elif name == "formatsdcard":
                self._format_at = now
            else:
                is_ok = self._carry_out(name, target, control, now)
        return (result(control, is_ok=is_ok) if wants else None), effect

    def _carry_out(self, name: str, target: Target, control: Request, now: float) -> bool:
        value = control.fields[name]
        match name:
            case "ptzcmd":
                words = manscdp.child(control.element, "PTZCmdParams")
                target.dome.command(
                    value,
                    now,
                    preset_name=manscdp.text(words, "PresetName"),
                    track_name=manscdp.text(words, "CruiseTrackName"),
                )
            case "ptzprecisectrl":
                block_ = manscdp.child(control.element, "PTZPreciseCtrl")
                angles = {axis: manscdp.text(block_, axis.capitalize()) for axis in ("pan", "tilt", "zoom")}
                target.dome.go(now, **{axis: number(text) for axis, text in angles.items() if text})
            case "recordcmd" if value in ("Record", "StopRecord"):
                target.is_recording = value == "Record"
            case "guardcmd" if value in ("SetGuard", "ResetGuard"):
                for kept in self._group(control.device_id):
                    kept.is_guarded = value == "SetGuard"
            case "alarmcmd" if value == "ResetAlarm":
                for kept in self._group(control.device_id):
                    kept.is_alarming = False
            case "targettrack":
                target.tracking = value
            case "dragzoomin" | "dragzoomout":
                here = target.dome.position(now)
                target.dome.go(now, zoom=here.zoom * (2 if name == "dragzoomin" else 0.5))
            case _:
                return False
        return True

    def _group(self, code: str) -> list[Target]:
        codes = list(self.names)[:_MOST_DUTIES] if code == self._device_id else [code]
        return [target for target in (self.target(each) for each in codes) if target is not None]

    def _home(self, target: Target, control: Request) -> bool:
        part = manscdp.child(control.element, "HomePosition")
        enabled, reset, preset = (manscdp.text(part, name) for name in ("Enabled", "ResetTime", "PresetIndex"))
        if enabled not in ("0", "1"):
            return False
        target.home = (int(enabled), round(number(reset)), round(number(preset)))
        return True

    def _upgrade(self, control: Request) -> tuple[bool, Effect | None]:
        part = manscdp.child(control.element, "DeviceUpgrade")
        firmware, url, session = (manscdp.text(part, name) for name in ("Firmware", "FileURL", "SessionID"))
        if not firmware or not url:
            return False, None
        return True, Upgrade(firmware, url, session)
