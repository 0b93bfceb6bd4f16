"""A channel: one item of a device's catalogue (A.2.1, 5.1). Identity is (device, channel), never the channel alone (Q64)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from gb28181.ids import CAMERA_TYPES, DeviceId, type_code


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
        item: All further fields of the item, by their element names.
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
    item: dict[str, Any] = field(default_factory=dict)
    updated_at: datetime | None = None
    alias: str = ""
    recording_mode: Literal["", "always", "off"] = ""
    retention_hours: float = 0.0

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


NodeKind = Literal["device", "civil", "system", "group", "organisation", "channel"]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One line of the tree.

    Args:
        node_id: What to ask the level below with: the device's identifier, or `device/channel`.
        kind: `civil`, `system`, `group` and `organisation` only hold others.
        channel_id: "" for a device.
        online: The effective state: of the device, and of the item (W15).
        has_children: Whether there is a level below.
    """

    node_id: str
    kind: NodeKind
    name: str
    device_id: DeviceId
    channel_id: str
    online: bool
    has_children: bool
    is_playable: bool = False


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
