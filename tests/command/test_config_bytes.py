"""Every block of the configuration, as bytes on the wire: read from a device, and written to it as the standard prints it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gb28181.command.configuration import TYPES
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.config import ConfigDownloadQuery, DeviceConfig, DeviceConfigResponse
from gb28181.manscdp.element import Result
from tests.command.world import World
from tests.fakes import CAMERA, DEVICE

FOLDER = Path(__file__).parents[1] / "vectors" / "manscdp"


def files(start: str) -> list[Any]:
    """Fixtures that hold a block, with the block's name."""
    found = [(path, block_of(path.read_bytes())) for path in sorted(FOLDER.glob(f"standard-{start}-*.xml"))]
    return [pytest.param(path, name, id=path.stem) for path, name in found if name]


def block_of(body: bytes) -> str:
    command = parse(body).command
    return next((name for name in TYPES if getattr(command, name, None) not in (None, ())), "")


def edition_of(body: bytes) -> str:
    return "2022" if b"GB18030" in body else "2016"


def test_no_block_is_left_out() -> None:
    read = {parameters.values[1] for parameters in files("config-download")}
    written = {parameters.values[1] for parameters in files("device-config")}
    assert read == set(TYPES)
    assert written == set(TYPES) - {"video_param_opt"}


@pytest.mark.parametrize(("path", "name"), files("config-download"))
async def test_a_block_is_read_as_the_device_tells_it(world: World, path: Path, name: str) -> None:
    body = path.read_bytes()

    def script(query: ConfigDownloadQuery) -> Iterable[object]:
        head, _, rest = body.partition(b"<SN>")
        return [parse(head + b"<SN>" + str(query.sn).encode() + rest[rest.index(b"<") :]).command]

    world.devices.speaks(edition_of(body))
    world.script = script
    found = await world.commands.configurations.read(DEVICE, CAMERA, (name,))
    assert world.asked[0].config_type == TYPES[name].value
    assert found.blocks == {name: getattr(parse(body).command, name)}
    assert found.missing == ()


@pytest.mark.parametrize(("path", "name"), [one for one in files("device-config") if one.values[1] != "snap_shot_config"])
async def test_a_block_is_written_as_the_standard_prints_it(world: World, path: Path, name: str) -> None:
    """Pictures are ordered, not configured: their block has no way but the order's."""
    body = path.read_bytes()
    wanted = parse(body).command
    charset = "gb18030" if edition_of(body) == "2022" else "gb2312"

    def script(command: DeviceConfig) -> Iterable[object]:
        return [DeviceConfigResponse(sn=command.sn, device_id=command.device_id, result=Result.OK)]

    world.devices.speaks(edition_of(body), charset=charset)
    world.script = script
    assert await world.commands.configurations.write(DEVICE, CAMERA, name, getattr(wanted, name)) == DeviceId(CAMERA)
    sent = world.signalling.sent[0].body
    assert sent.partition(b"</DeviceID>")[2] == body.partition(b"</DeviceID>")[2]
    assert sent.partition(b"<SN>")[0] == body.partition(b"<SN>")[0]
