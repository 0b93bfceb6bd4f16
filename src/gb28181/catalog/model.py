"""A channel: one item of a device's catalogue (A.2.1, 5.1). Identity is (device, channel), never the channel alone (Q64)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from gb28181.ids import CAMERA_TYPES, DeviceId, type_code

#: Front-end main devices and the hybrid recorder (E.1): what has slots into which cameras are put.
_RECORDER_TYPES: Final = frozenset({"111", "112", "113", "118", "130"})


@dataclass(frozen=True, slots=True)
class ChannelKey:
    device_id: DeviceId
    channel_id: DeviceId

    def __str__(self) -> str:
        return f"{self.device_id}/{self.channel_id}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One item as the device last described it, and what operators added; only the first is overwritten by an answer.

    Args:
        status_on: The item's own Status; effective state also needs the device (W15).
        is_gone: Repeated complete answers lacked it; it is hidden, never deleted.
        missed: Consecutive complete answers without it.
        synthetic: Made by us for a device that lists no channel (Q66).
        seen_on: Whether it was ever on; what never was may be an unused slot (Q72).
        elements: All further elements of the item by their names, as JSON: a hundred thousand texts are half of so many dicts.
        alias: Name given by an operator.
        recording_mode: What the operator wants; "" means the configured default.
        retention_hours: 0 means the configured default.
    """

    key: ChannelKey
    name: str = ""
    manufacturer: str = ""
    model: str = ""
    civil_code: str = ""
    parent_id: str = ""
    parental: bool = False
    status_on: bool = True
    longitude: float | None = None
    latitude: float | None = None
    ptz_type: int = 0
    is_gone: bool = False
    missed: int = 0
    synthetic: bool = False
    seen_on: bool = False
    elements: str = ""
    updated_at: datetime | None = None
    alias: str = ""
    recording_mode: Literal["", "always", "off"] = ""
    retention_hours: float = 0.0

    @property
    def item(self) -> dict[str, Any]:
        """`elements`, decoded: a new dict each time."""
        return json.loads(self.elements) if self.elements else {}

    @property
    def is_shown(self) -> bool:
        """Whether lists and trees have it: not gone, and no unused slot."""
        return not self.is_gone and (self.status_on or self.seen_on or not self.is_unused_slot)

    @property
    def is_unused_slot(self) -> bool:
        """A place of a recorder into which no camera was ever put: off, never on, without an address (quirk Q72)."""
        return (
            not (self.status_on or self.seen_on or self.alias or self.recording_mode)
            and type_code(self.key.device_id) in _RECORDER_TYPES
            and self.is_playable
            and self.item.get("IPAddress", "0.0.0.0") == "0.0.0.0"
        )

    @property
    def is_camera(self) -> bool:
        """Whether it counts as a camera: playable, and no device that only holds others."""
        return self.is_playable and not (self.parental and type_code(self.key.channel_id) not in CAMERA_TYPES)

    @property
    def is_playable(self) -> bool:
        """Whether it makes sense to INVITE it: cameras, and whatever is no division, platform, group or alarm (Q71)."""
        code = type_code(self.key.channel_id)
        if code in CAMERA_TYPES:
            return True
        if not code:
            return len(self.key.channel_id) > 8  # 2 to 8 digits are civil divisions; odd codes may well be cameras
        return 111 <= int(code) <= 132 or code == "138"


@dataclass(frozen=True, slots=True)
class ChannelsChanged:
    """Items of a device were added, changed or marked gone."""

    device_id: DeviceId
    added: tuple[DeviceId, ...] = ()
    updated: tuple[DeviceId, ...] = ()
    gone: tuple[DeviceId, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogFinished:
    """A catalogue answer ended: complete, or partial after silence."""

    device_id: DeviceId
    announced: int
    received: int
    complete: bool


@dataclass(frozen=True, slots=True)
class SubtreeChanged:
    """A device or lower platform came or went, and all below it with it: one event, however many channels that are.

    Args:
        online: What all below it is now: by its own state when True, offline when False.
        channels: Cameras below it.
    """

    device_id: DeviceId
    online: bool
    channels: int


#: The three trees: devices and what they list; divisions of the country; business groups and their organisations.
View = Literal["device", "civil", "group"]
NodeKind = Literal["device", "civil", "system", "group", "organisation", "channel"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Cameras, and those whose effective state is online."""

    total: int = 0
    online: int = 0


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One line of a tree.

    Args:
        node_id: What to ask the level below with: a device's identifier, `device/channel`, or `~` and the code of a division.
        kind: `civil`, `system`, `group` and `organisation` only hold others.
        device_id: "" for a division.
        channel_id: "" for a device and a division.
        online: The effective state of the device or item (W15); of what only holds others: whether any of them is online.
        has_children: Whether there is a level below.
        counts: Of the cameras below, not of the node itself.
    """

    node_id: str
    kind: NodeKind
    name: str
    device_id: str
    channel_id: str
    online: bool
    has_children: bool
    is_playable: bool = False
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Job:
    """Work that an operator waits for.

    Args:
        received, announced: Items that came, and SumNum.
        message: Why it is not `done`, and what to do.
    """

    job_id: str
    kind: Literal["catalog"]
    device_id: DeviceId
    state: Literal["running", "done", "partial", "failed"]
    received: int
    announced: int
    message: str
    started_at: datetime
    finished_at: datetime | None = None
