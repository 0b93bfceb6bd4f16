"""Configurations of devices and channels: read and written (§9.5.5)."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from pydantic import Field, field_validator

from gb28181.api.config_blocks import ConfigChange
from gb28181.api.device_routes import device_route, named
from gb28181.api.fields import Said, Shown
from gb28181.api.routing import Call, Model, Route
from gb28181.command.configuration import TYPES
from gb28181.errors import CommandFailed, NotInEdition
from gb28181.ids import DeviceId
from gb28181.texts.text import say


class ConfigQuery(Model):
    types: str = Field(
        "",
        max_length=512,
        description="names joined by commas, such as basic_param,osd_config; empty: all that the device's edition has",
    )

    @field_validator("types")
    @classmethod
    def _known(cls, value: str) -> str:
        for name in filter(None, (part.strip() for part in value.split(","))):
            if name not in TYPES:
                near = difflib.get_close_matches(name, TYPES, n=1, cutoff=0.4)
                known = say("http.known_are", known=", ".join(TYPES))
                hint = say("http.did_you_mean", near=near[0]) if near else known
                raise ValueError(say("http.unknown_block", name=name[:40], hint=hint))
        return value

    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (part.strip() for part in self.types.split(",")))))


class ConfigView(Model):
    """`config`: blocks by name, as the device told them, what it did not tell left out; `missing`: asked for and not told.

    `target`: the identifier under which the device answered. `known`: what its edition can be asked for.
    """

    asked_at: Shown
    config: dict[str, Any]
    missing: list[str]
    target: str
    known: list[str]


class ConfigResult(Model):
    """`ok`, or why not; `target`: the identifier under which the device took it."""

    ok: bool
    target: str | None = None
    code: str | None = None
    message: Said | None = None
    stage: str | None = None


class ConfigWritten(Model):
    asked_at: Shown
    results: dict[str, ConfigResult]


@device_route("GET", "/config", right="operate", query=ConfigQuery, response=ConfigView, errors=(409, 502, 503, 504))
async def read_config(call: Call[ConfigQuery, None], device_id: DeviceId, channel_id: str) -> ConfigView:
    """Asks for configurations."""
    configurations = call.services.commands.configurations
    answer = await configurations.read(device_id, channel_id, call.query.names())
    return ConfigView(
        asked_at=answer.asked_at,
        config={name: plain(block) for name, block in answer.blocks.items()},
        missing=list(answer.missing),
        target=answer.target,
        known=list(configurations.types(device_id)),
    )


@device_route("PUT", "/config", right="administer", request=ConfigChange, response=ConfigWritten, errors=(409, 502, 503, 504))
async def write_config(call: Call[None, ConfigChange], device_id: DeviceId, channel_id: str) -> ConfigWritten:
    """Writes configurations, one block after the other. One alone that fails is an error; of several, each says how it went."""
    asked_at = call.services.clock.utc()
    given = call.body.given()
    results: dict[str, ConfigResult] = {}
    try:
        for name, block in given.items():
            try:
                target = await call.services.commands.configurations.write(device_id, channel_id, name, block)
            except (CommandFailed, NotInEdition) as error:
                if len(given) == 1:
                    raise
                results[name] = _failed(error)
            else:
                results[name] = ConfigResult(ok=True, target=target)
    finally:
        done = {name: result.ok for name, result in results.items()}
        await call.audit("device.config", named(device_id, channel_id), blocks=sorted(given), written=done)
    return ConfigWritten(asked_at=asked_at, results=results)


def _failed(error: CommandFailed | NotInEdition) -> ConfigResult:
    if isinstance(error, CommandFailed):
        return ConfigResult(ok=False, code="command_failed", message=str(error), stage=error.stage)
    return ConfigResult(ok=False, code="edition", message=str(error))


def plain(block: Any) -> Any:
    """A block as JSON, without what the device did not tell, and without a link that somebody could use."""
    if isinstance(block, tuple):
        return [plain(item) for item in block]
    if not dataclasses.is_dataclass(block):
        return block
    values = {field.name: getattr(block, field.name) for field in dataclasses.fields(block)}
    return {name: plain(value) for name, value in values.items() if value is not None and name != "upload_url"}


ROUTES: tuple[Route, ...] = (*read_config, *write_config)
