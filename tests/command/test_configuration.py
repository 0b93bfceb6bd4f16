"""ConfigDownload and DeviceConfig."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from gb28181.catalog.model import ChannelKey
from gb28181.command import configuration
from gb28181.command.configuration import TYPES
from gb28181.errors import CommandFailed, Invalid, NotInEdition
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.config import (
    ConfigDownloadQuery,
    ConfigDownloadResponse,
    DeviceConfig,
    DeviceConfigResponse,
)
from gb28181.manscdp.commands.config_blocks import BasicParam, OSDConfig, VideoParamAttribute
from gb28181.manscdp.element import Result
from tests.command.world import KEY, OTHER, World
from tests.fakes import CAMERA, DEVICE

BASIC = BasicParam(name="门口", expiration=3600, heart_beat_interval=60, heart_beat_count=3)
OSD = OSDConfig(length=704, width=576, time_x=8, time_y=8)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_QUIET_S", 0.02)
    monkeypatch.setattr(configuration, "_ALONE_S", 0.05)


def tells(**blocks: Any) -> Any:
    """A device that tells these blocks, a Response each, of those that it is asked for."""

    def script(query: ConfigDownloadQuery) -> Iterable[object]:
        wanted = query.config_type.split("/")
        for name, block in blocks.items():
            if TYPES[name].value in wanted:
                yield ConfigDownloadResponse(sn=query.sn, device_id=query.device_id, **{name: block})

    return script


async def test_several_types_are_asked_for_at_once_and_may_come_in_several_responses(world: World):
    world.script = tells(basic_param=BASIC, osd_config=OSD)
    found = await world.commands.configurations.read(DEVICE, CAMERA, ("basic_param", "osd_config"))
    assert found.blocks == {"basic_param": BASIC, "osd_config": OSD}
    assert (found.missing, found.target, found.asked_at) == ((), CAMERA, world.clock.utc())
    assert [query.config_type for query in world.asked] == ["BasicParam/OSDConfig"]


async def test_what_a_device_does_not_tell_together_it_is_asked_for_alone(world: World):
    def script(query: ConfigDownloadQuery) -> Iterable[object]:
        wanted = query.config_type.split("/")
        if len(wanted) > 1:
            return [ConfigDownloadResponse(sn=query.sn, device_id=query.device_id, result=Result.ERROR)]
        return tells(basic_param=BASIC)(query)  # type: ignore[no-any-return]  # a script

    world.script = script
    found = await world.commands.configurations.read(DEVICE, "", ("basic_param", "osd_config"))
    assert (found.blocks, found.missing) == ({"basic_param": BASIC}, ("osd_config",))


async def test_any_known_block_counts_whatever_it_was_asked_for_q54(world: World):
    """A device that is asked for OSDConfig and answers with VideoParamAttribute, as bytes."""

    def script(query: ConfigDownloadQuery) -> Iterable[object]:
        body = (
            f'<?xml version="1.0"?><Response><CmdType>ConfigDownload</CmdType><SN>{query.sn}</SN><DeviceID>{CAMERA}</DeviceID>'
            '<Result>OK</Result><VideoParamAttribute Num="1"><Item><StreamNumber>0</StreamNumber><VideoFormat>2</VideoFormat>'
            "</Item></VideoParamAttribute></Response>"
        )
        return [parse(body.encode()).command]

    world.script = script
    found = await world.commands.configurations.read(DEVICE, CAMERA, ("osd_config",))
    assert found.blocks == {"video_param_attribute": (VideoParamAttribute(stream_number=0, video_format="2"),)}
    assert found.missing == ("osd_config",)


async def test_without_names_all_of_the_edition_are_read(world: World):
    world.script = tells(basic_param=BASIC)
    world.devices.speaks("2016")
    found = await world.commands.configurations.read(DEVICE, "", ())
    assert world.asked[0].config_type == "BasicParam/VideoParamOpt/SVACEncodeConfig/SVACDecodeConfig"
    assert found.missing == ("video_param_opt", "svac_encode_config", "svac_decode_config")
    with pytest.raises(NotInEdition, match="edition 2016: OSDConfig is not available"):
        await world.commands.configurations.read(DEVICE, "", ("osd_config", "basic_param"))


def takes(*targets: str) -> Any:
    """A device that knows a configuration only under these identifiers."""

    def script(command: DeviceConfig) -> Iterable[object]:
        result = Result.OK if command.device_id in targets else Result.ERROR
        return [DeviceConfigResponse(sn=command.sn, device_id=command.device_id, result=result)]

    return script


@pytest.mark.parametrize(
    ("first", "knows", "tried"),
    [
        pytest.param("channel", CAMERA, [CAMERA], id="channel-at-once"),
        pytest.param("channel", DEVICE, [CAMERA, DEVICE], id="device-after-an-error"),
        pytest.param("device", DEVICE, [DEVICE], id="device-at-once"),
        pytest.param("device", CAMERA, [DEVICE, CAMERA], id="channel-after-an-error"),
    ],
)
async def test_device_and_channel_are_tried_in_the_order_of_the_profile_q55(
    world: World, first: str, knows: str, tried: list[str]
):
    world.devices.speaks("2022", config_target=first)
    world.script = takes(knows)
    assert await world.commands.configurations.write(DEVICE, CAMERA, "frame_mirror", 1) == knows
    assert [command.device_id for command in world.asked] == tried
    assert [sent.to for sent in world.signalling.sent] == tried


async def test_a_recorders_other_cameras_are_never_configured_in_place_of_one(world: World):
    world.catalogue.keys = [KEY, ChannelKey(DEVICE, OTHER)]
    world.devices.speaks("2022", config_target="device")
    world.script = takes(DEVICE)
    with pytest.raises(CommandFailed) as caught:
        await world.commands.configurations.write(DEVICE, CAMERA, "osd_config", OSD)
    assert caught.value.stage == "result_error"
    assert [command.device_id for command in world.asked] == [CAMERA]


async def test_what_an_edition_lacks_is_not_sent(world: World):
    world.devices.speaks("2016")
    with pytest.raises(NotInEdition):
        await world.commands.configurations.write(DEVICE, CAMERA, "osd_config", OSD)
    assert world.asked == []
    world.script = takes(CAMERA)
    assert await world.commands.configurations.write(DEVICE, CAMERA, "basic_param", BASIC) == CAMERA


@pytest.mark.parametrize("block", ["snap_shot_config", "video_param_opt", "sn", "nonsense"])
async def test_only_blocks_can_be_written(world: World, block: str):
    with pytest.raises(Invalid):
        await world.commands.configurations.write(DEVICE, CAMERA, block, 1)


async def test_an_offline_device_is_asked_once(world: World):
    world.devices.online = False
    with pytest.raises(CommandFailed) as caught:
        await world.commands.configurations.read(DEVICE, CAMERA, ("basic_param", "osd_config"))
    assert caught.value.stage == "not_sent"
