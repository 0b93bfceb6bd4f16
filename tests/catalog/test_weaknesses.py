"""Rows of the lists of quirks and weaknesses that concern catalogues, each from the bytes (Q62, Q64, Q69-Q76, W10-W18)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gb28181.catalog.model import ChannelKey
from gb28181.device.model import Profile
from gb28181.errors import Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp import codec
from gb28181.manscdp.commands.catalog import CatalogItem, CatalogResponse
from tests.catalog.test_bytes import Wire
from tests.fakes import request, settle

VECTORS = Path(__file__).parents[1] / "vectors" / "catalog"
RECORDER = DeviceId("34020000001180000001")
OTHER = DeviceId("34020000001180000002")
LOWER = DeviceId("34020100002000000001")
GROUP, BUREAU, STATION = "34020100002150000001", "34020100002160000001", "34020100002160000002"


def camera(number: int, device_id: DeviceId = RECORDER) -> ChannelKey:
    return ChannelKey(device_id, DeviceId(f"3402000000132{number:07d}"))


class Town(Wire):
    """Devices whose answers are files; each was asked when it came online."""

    async def online(self, *devices: DeviceId) -> None:
        for device_id in devices:
            self.come_online(device_id)
        await self.tick()

    async def said(self, name: str, device_id: DeviceId = RECORDER) -> None:
        """The device sends this file as an answer to its last query, or as a notification."""
        body = (VECTORS / f"{name}.xml").read_bytes()
        asked = [query.sn for query in self.devices.asked if query.device_id == device_id]
        body = body.replace(b"<SN>1<", b"<SN>%d<" % (asked[-1] if asked else 1))
        self.peers.neighbour = device_id
        await self.router.handle(request("MESSAGE", user=device_id, body=body))
        assert self.signalling.status == 200

    async def asked_now(self, device_id: DeviceId = RECORDER) -> None:
        self.catalog.refresh(device_id)
        await settle()

    def shown_of(self, device_id: DeviceId = RECORDER) -> list[str]:
        return sorted(channel.name for channel in self.shown(device_id))

    def is_on(self, number: int) -> bool:
        return self.catalog.is_online(camera(number))


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    """A recorder that has listed two channels."""
    town = Town()
    async with town.catalog:
        await town.online(RECORDER)
        await town.said("two-channels")
        assert town.shown_of() == ["东门", "西门"]
        yield town


async def test_q62_a_device_has_its_own_patience() -> None:
    """Q62: the first part after two minutes and more, half a minute between parts, or whatever its profile says."""
    town = Town()
    async with town.catalog:
        await town.online(RECORDER)
        slow = Profile(catalog_first_wait_s=300, catalog_gap_s=90)
        town.devices.known[RECORDER] = town.devices.known[RECORDER].with_changes(profile=slow)
        await town.asked_now()
        await town.pass_time(290)
        await town.said("w10-half")
        await town.pass_time(85)
        assert town.finished == []
        await town.pass_time(10)
        assert not town.finished[-1].complete
        assert town.shown_of() == ["东门"]


async def test_q64_w14_the_same_channel_of_two_recorders_is_two_channels() -> None:
    town = Town()
    async with town.catalog:
        await town.online(RECORDER, OTHER)
        await town.said("q64-factory-id", RECORDER)
        await town.said("q64-factory-id", OTHER)
        await town.catalog.change(camera(1, OTHER), alias="二号楼")
        assert town.catalog.channel(camera(1)).alias == ""
        assert len(town.store.channels) == 2
        assert town.catalog.owners(request("MESSAGE", camera(1).channel_id)) == [RECORDER, OTHER]


async def test_q69_groups_organisations_and_what_they_hold_by_whatever_link_there_is() -> None:
    town = Town()
    async with town.catalog:
        await town.online(LOWER)
        await town.said("q69-organisations", LOWER)
        top = await town.nodes(by="group", device_id=LOWER)
        assert [(node.name, node.kind) for node in top] == [("公安局", "group"), ("未归组", "channel")]
        assert (top[0].counts.total, top[0].counts.online) == (3, 2)
        below = await town.nodes(f"{LOWER}/{GROUP}", by="group")
        assert [(node.name, node.kind) for node in below] == [("镜湖分局", "organisation"), ("只有组", "channel")]
        assert [node.name for node in await town.nodes(f"{LOWER}/{BUREAU}", by="group")] == ["城北派出所"]
        assert [node.name for node in await town.nodes(f"{LOWER}/{STATION}", by="group")] == ["停车场", "出入口"]


async def test_q70_children_before_parents_and_orphans_below_the_device() -> None:
    town = Town()
    async with town.catalog:
        await town.online(LOWER)
        await town.said("q70-child-first", LOWER)
        assert [node.name for node in await town.nodes(LOWER)] == ["后到的录像机", "孤儿"]
        assert [node.name for node in await town.nodes(f"{LOWER}/34020100001180000009")] == ["先到的子设备"]


async def test_q72_unused_places_are_hidden_until_a_camera_was_seen_there(town: Town) -> None:
    await town.asked_now()
    await town.said("q72-unused-slots")
    assert town.shown_of() == ["Camera 02", "东门", "西门"], "two was on before, four has an address"
    assert [channel.name for channel in town.catalog.unused(RECORDER)] == ["Camera 03"]
    await town.catalog.change(camera(3), alias="预留")
    assert "Camera 03" in town.shown_of()


async def test_q73_without_a_name_the_identifier_is_the_name(town: Town) -> None:
    await town.asked_now()
    await town.said("q73-no-names")
    assert town.shown_of() == [camera(1).channel_id, camera(2).channel_id]


async def test_q74_wrong_states_of_all_channels_are_ignored_where_an_operator_says_so(town: Town) -> None:
    await town.said("q74-all-off")
    assert not town.is_on(1)
    assert not town.is_on(2)
    await town.said("q74-all-on")
    assert not town.is_on(1), "a change within three seconds waits"
    await town.pass_time(4, step=0.5)
    assert town.is_on(1)
    wrong = town.devices.known[RECORDER].with_changes(profile=Profile(ignore_notified_status=True))
    town.devices.known[RECORDER] = wrong
    await town.pass_time(4, step=0.5)
    await town.said("q74-all-off")
    assert town.is_on(1)


async def test_q75_a_notified_item_without_an_event_is_an_update_or_new(town: Town) -> None:
    await town.said("q75-no-event")
    assert town.shown_of() == ["东门 2 号", "新通道", "西门"]
    assert not town.is_on(1)


async def test_events_in_any_spelling(town: Town) -> None:
    await town.said("events")
    assert (town.is_on(1), town.is_on(2), town.is_on(3)) == (False, False, True)


async def test_q76_a_group_that_is_deleted_takes_nothing_along() -> None:
    town = Town()
    async with town.catalog:
        await town.online(LOWER)
        await town.said("q69-organisations", LOWER)
        await town.said("q76-del-group", LOWER)
        assert "城北派出所" not in town.shown_of(LOWER)
        assert {"出入口", "停车场"} <= set(town.shown_of(LOWER))
        assert [node.name for node in await town.nodes(by="group", device_id=LOWER)][1:] == ["停车场", "出入口", "未归组"]


async def test_w10_only_repeated_complete_answers_hide_and_nothing_is_deleted(town: Town) -> None:
    await town.catalog.change(camera(2), alias="二号", recording_mode="always", retention_hours=72)
    await town.asked_now()
    await town.said("w10-half")
    await town.pass_time(31)
    assert town.shown_of() == ["东门", "西门"]
    for shown in (2, 2, 1):
        await town.asked_now()
        await town.said("w10-without-the-second")
        assert len(town.shown_of()) == shown
    kept = town.store.channels[camera(2)]
    assert (kept.is_gone, kept.alias, kept.recording_mode, kept.retention_hours) == (True, "二号", "always", 72)
    await town.asked_now()
    await town.said("two-channels")
    assert town.shown_of() == ["东门", "西门"]


async def test_w10_what_a_complete_answer_lacks_is_soon_asked_for_again(town: Town) -> None:
    await town.asked_now()
    await town.said("w10-without-the-second")
    asked = len(town.devices.asked)
    await town.pass_time(660)
    assert len(town.devices.asked) == asked + 1


async def test_w11_a_sum_of_zero_hides_nothing_at_once(town: Town) -> None:
    for _ in range(3):
        await town.asked_now()
        await town.said("w11-sum-zero")
        assert len(town.shown_of()) == 2


async def test_w12_duplicates_and_items_without_identifier_end_the_answer_all_the_same(town: Town) -> None:
    await town.asked_now()
    await town.said("w12-duplicates")
    assert (town.finished[-1].complete, town.finished[-1].received) == (True, 3)


async def test_w12_an_item_without_identifier_that_is_counted_in_the_sum_ends_the_answer(town: Town) -> None:
    await town.asked_now()
    await town.said("w12-item-without-id-counted")
    assert (town.finished[-1].complete, town.finished[-1].received) == (True, 3)
    assert town.shown_of() == ["东门", "西门"], "one complete answer hides nothing"


async def test_w13_a_notification_during_an_answer_counts_over_parts_that_were_on_their_way(town: Town) -> None:
    await town.asked_now()
    await town.said("q74-all-off")
    assert not town.is_on(1), "it counts at once"
    await town.said("two-channels")
    assert not town.is_on(1), "the part says ON, but is older"
    await town.pass_time(4, step=0.5)
    await town.said("q74-all-on")
    assert town.is_on(1)


async def test_w13b_a_bad_item_fails_alone(town: Town) -> None:
    await town.asked_now()
    await town.said("w13b-no-status")
    assert town.shown_of() == ["没有状态", "长度"]
    assert town.is_on(1), "without a Status it is on"


async def test_w15_a_device_that_goes_takes_all_below_it_along_in_one_event(town: Town) -> None:
    writes = town.store.writes
    town.go_offline(RECORDER)
    assert not town.is_on(1)
    assert not town.is_on(2)
    assert [(event.device_id, event.online, event.channels) for event in town.subtrees] == [(RECORDER, False, 2)]
    assert [(node.online, node.counts.online) for node in await town.nodes()] == [(False, 0)]
    assert [node.counts.online for node in await town.nodes(by="civil")] == [0]
    assert town.store.writes == writes


async def test_w16_an_offline_device_is_not_asked_at_its_old_address(town: Town) -> None:
    town.go_offline(RECORDER)
    with pytest.raises(Unreachable):
        town.catalog.refresh(RECORDER)


async def test_w17_passwords_are_not_kept_and_names_are_escaped(town: Town) -> None:
    await town.asked_now()
    await town.said("w17-password")
    channel = town.catalog.channel(camera(1))
    assert channel.name == "东门 & 西门 <1>"
    assert "top-secret-1" not in repr(channel)
    sent = codec.build(
        CatalogResponse(
            sn=1, device_id=RECORDER, sum_num=1, items=(CatalogItem(device_id=camera(1).channel_id, name=channel.name),)
        )
    )
    assert "东门 &amp; 西门 &lt;1&gt;".encode("gb18030") in sent
    assert b"Password" not in sent


async def test_w18_control_characters_in_names_do_not_break_the_answer(town: Town) -> None:
    await town.asked_now()
    await town.said("w18-control-characters")
    channel = town.catalog.channel(camera(1))
    assert (channel.name, channel.item["Address"]) == ("东门", "北街")
