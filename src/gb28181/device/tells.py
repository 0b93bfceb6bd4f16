"""What commands tell beside what they are for: the device's clock, and the edition that knows them.

A table by command class, made of the declarations: a handler need not know that anybody else is interested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from gb28181.device.directory import Directory
from gb28181.device.lifesigns import LifeSigns
from gb28181.device.model import Edition
from gb28181.device.profile import declared_edition
from gb28181.ids import DeviceId
from gb28181.manscdp import edition
from gb28181.manscdp.commands.alarm import AlarmNotify
from gb28181.manscdp.commands.notify import VideoUploadNotify
from gb28181.manscdp.commands.position import MobilePosition
from gb28181.manscdp.element import entry_of

#: Fields that say when the message was written.
_TIMES: Final[Mapping[type, str]] = {AlarmNotify: "alarm_time", MobilePosition: "time", VideoUploadNotify: "time"}


class Tells:
    """Listens to every command of a registered device."""

    def __init__(self, directory: Directory, life: LifeSigns) -> None:
        self._directory = directory
        self._life = life
        self._since: dict[type, edition.Edition] = {}

    def told(self, device_id: DeviceId, command: Any) -> None:
        kind = type(command)
        since = self._since.get(kind)
        if since is None:
            since = self._since[kind] = entry_of(kind).since
        time = _TIMES.get(kind)
        if time is None and since <= edition.Edition.E2016:
            return
        peer = self._directory.find(device_id)
        if peer is None:
            return
        if time is not None:
            self._life.told_time(peer, getattr(command, time))
        device = peer.device
        if since > edition.Edition.E2016 and not device.edition_hint and declared_edition(device.gb_version) is None:
            self._directory.change(peer, edition_hint=cast("Edition", str(since)))
