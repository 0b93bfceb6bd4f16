"""Configurations of a device: read by ConfigDownload, written by DeviceConfig (§9.5.5, A.2.3.2, A.2.4.7).

Several types are asked for at once; a device that answers only some, or none, is asked for each alone. A block that nobody
asked for counts too (quirk Q54). Whose identifier a camera wants in DeviceID, its own or its channel's, is tried in the order
of its profile (quirk Q55), but only where both mean the same camera: a recorder would configure another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.command.editions import demand, spoken, too_old
from gb28181.command.model import ConfigAnswer
from gb28181.errors import CommandFailed, Invalid
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.config import (
    ConfigDownloadQuery,
    ConfigDownloadResponse,
    ConfigType,
    DeviceConfig,
    DeviceConfigResponse,
)
from gb28181.manscdp.edition import Edition
from gb28181.ports import Channels, Devices
from gb28181.texts.text import say

#: Every type by the name that it has as a field and in the API.
TYPES: Final[Mapping[str, ConfigType]] = {kind.name.lower(): kind for kind in ConfigType}
#: What 2016 can be asked for; the others came with 2022.
_OLD: Final = frozenset({"basic_param", "video_param_opt", "svac_encode_config", "svac_decode_config"})
_ALONE_S: Final = 4.0
_WHOLE_S: Final = 60.0  # below the edge's patience with an answer of control
_QUIET_S: Final = 2.0
#: Failures after which another identifier, or one type alone, may be understood.
_MISUNDERSTOOD: Final = frozenset({"sip_status", "no_response", "result_error"})


class Configurations:
    """Reads and writes configurations.

    Args:
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        *,
        devices: Devices,
        channels: Channels,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._exchanges = exchanges
        self._devices = devices
        self._channels = channels
        self._clock = clock
        self._monotonic = monotonic

    def types(self, device_id: DeviceId) -> tuple[str, ...]:
        """What a device of this edition can be asked for."""
        edition = spoken(self._devices, device_id)
        return tuple(name for name in TYPES if name in _OLD or edition >= Edition.E2022)

    async def read(self, device_id: DeviceId, channel_id: str, types: Sequence[str]) -> ConfigAnswer:
        """Configurations of a device, or of one of its channels.

        Args:
            channel_id: "" for the device itself.
            types: Names of `TYPES`; none means all of the device's edition.

        Raises:
            NotInEdition: Its edition has not all of them.
            NotFound, CommandFailed: As of `Exchanges.query`, where not one of them came.
        """
        known = self.types(device_id)
        if old := [name for name in types if name not in known]:
            raise too_old(device_id, ", ".join(TYPES[name].value for name in old), spoken(self._devices, device_id))
        wanted = tuple(types) or known
        asked_at = self._clock.utc()
        until = self._monotonic() + _WHOLE_S
        failure: CommandFailed | None = None
        for target in self._targets(device_id, channel_id):
            try:
                blocks = await self._read(device_id, target, wanted, until)
            except CommandFailed as error:
                if error.stage not in _MISUNDERSTOOD:
                    raise
                failure = failure or error
                continue
            missing = tuple(name for name in wanted if name not in blocks)
            return ConfigAnswer(asked_at, blocks, missing, target)
        assert failure is not None
        raise failure

    async def write(self, device_id: DeviceId, channel_id: str, block: str, value: object) -> DeviceId:
        """Writes one block; returns the identifier under which the device took it.

        Args:
            value: The block as `DeviceConfig` declares it.

        Raises:
            Invalid: It cannot be written.
            NotInEdition, NotFound, CommandFailed: As of `Exchanges.control`.
        """
        if block not in TYPES or block not in DeviceConfig.__dataclass_fields__ or block == "snap_shot_config":
            raise Invalid(say("command.read_only_block", block=block))
        failure: CommandFailed | None = None
        content: dict[str, Any] = {block: value}
        for target in self._targets(device_id, channel_id):
            command = DeviceConfig(device_id=target, **content)
            demand(self._devices, device_id, command)
            try:
                await self.send(device_id, command)
            except CommandFailed as error:
                if error.stage not in _MISUNDERSTOOD:
                    raise
                failure = failure or error
                continue
            return target
        assert failure is not None
        raise failure

    async def send(self, device_id: DeviceId, command: DeviceConfig) -> DeviceConfigResponse:
        """Raises: NotInEdition, NotFound, CommandFailed."""
        answer: DeviceConfigResponse = await self._exchanges.control(device_id, command, answered=True, to=command.device_id)
        return answer

    def _targets(self, device_id: DeviceId, channel_id: str) -> tuple[DeviceId, ...]:
        """Whose identifier DeviceID is to be, the likeliest first."""
        own, theirs = device_id, DeviceId(channel_id)
        if not theirs or theirs == own:
            return (own,)
        cameras = {found.key for found in self._channels.channels(own) if found.is_playable and not found.is_gone}
        if not cameras <= {ChannelKey(own, theirs)}:
            return (theirs,)
        return (own, theirs) if self._devices.profile(own).config_target == "device" else (theirs, own)

    async def _read(self, device_id: DeviceId, target: DeviceId, wanted: Sequence[str], until: float) -> dict[str, object]:
        """Blocks by name, at least one.

        Raises:
            CommandFailed: Not one came.
        """
        blocks: dict[str, object] = {}
        failure: CommandFailed | None = None
        try:
            blocks = await self._ask(device_id, target, wanted)
        except CommandFailed as error:
            if error.stage not in _MISUNDERSTOOD or len(wanted) == 1:
                raise
            failure = error
        if len(wanted) > 1:
            for name in wanted:
                if name in blocks or self._monotonic() > until - _ALONE_S:
                    continue
                try:
                    blocks |= await self._ask(device_id, target, (name,), timeout_s=_ALONE_S)
                except CommandFailed as error:
                    if error.stage not in _MISUNDERSTOOD:
                        break
                    failure = failure or error
        if not blocks and failure is not None:
            raise failure
        return blocks

    async def _ask(
        self, device_id: DeviceId, target: DeviceId, wanted: Sequence[str], *, timeout_s: float | None = None
    ) -> dict[str, object]:
        def has_all(parts: Sequence[ConfigDownloadResponse]) -> bool:
            return blocks_of(parts).keys() >= set(wanted)

        query = ConfigDownloadQuery(device_id=target, config_type="/".join(TYPES[name].value for name in wanted))
        parts = await self._exchanges.query(
            device_id,
            query,
            expects=ConfigDownloadResponse,
            complete=has_all,
            quiet_s=_QUIET_S,
            timeout_s=timeout_s,
            to=target,
        )
        return blocks_of(parts)


def blocks_of(parts: Sequence[ConfigDownloadResponse]) -> dict[str, Any]:
    """Every block in the answers by its name; where one came twice, the last."""
    return {name: value for part in parts for name in TYPES if (value := getattr(part, name)) is not None and value != ()}
