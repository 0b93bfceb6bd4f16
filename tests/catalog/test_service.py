"""Catalogues end to end, without a socket (§9.5; quirks Q60-Q66, W10-W15)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gb28181.catalog.handlers import routes
from gb28181.catalog.model import CatalogFinished, ChannelsChanged
from gb28181.catalog.registry import Registry
from gb28181.device.model import Device, DeviceOffline, DeviceOnline, Profile
from gb28181.errors import Invalid, NotFound, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem, CatalogNotify, CatalogResponse, ItemInfo
from gb28181.manscdp.element import Status
from tests.catalog.world import World, item, key
from tests.fakes import CAMERA, DEVICE, request, settle

OTHER = DeviceId("34020000001110000002")
PLATFORM = DeviceId("34020100002000000001")


async def listed(world: World, *numbers: int) -> None:
    """The device is online and has listed these channels."""
    world.come_online()
    await world.tick()
    world.answer(*(item(number) for number in numbers), announced=len(numbers))


# --- asking --------------------------------------------------------------------------------------------------------


async def test_a_new_device_is_asked_and_its_items_are_channels() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        [query] = world.devices.asked
        assert query.device_id == DEVICE
        world.answer(item(1, "东门"), item(2), announced=3)
        assert world.names() == ["东门", "Camera 2"], "items count as they arrive"
        world.answer(item(3), announced=3)
    assert world.finished == [CatalogFinished(DEVICE, 3, 3, complete=True)]
    assert len(world.store.channels) == 3
    assert world.changes == [ChannelsChanged(DEVICE, added=(key(1).channel_id, key(2).channel_id, key(3).channel_id))]


async def test_a_device_with_a_fresh_copy_is_not_asked_until_it_is_old() -> None:
    world = World(refresh_hours=24)
    async with world.catalog:
        world.come_online(catalog_at=world.clock.utc() - timedelta(hours=23))
        await world.pass_time(3500, step=500)
        assert world.devices.asked == []
        await world.pass_time(200)
        assert len(world.devices.asked) == 1


async def test_a_restart_asks_nobody_whose_copy_is_fresh() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        after = World(world.store)
        after.devices.known, after.devices.online = dict(world.devices.known), {DEVICE}
        async with after.catalog:
            await after.catalog.load()
            after.bus.publish(DeviceOnline(DEVICE))
            await after.pass_time(60)
            assert after.devices.asked == []
            assert after.names() == ["Camera 1", "Camera 2"]


async def test_no_more_devices_than_allowed_are_asked_at_once() -> None:
    world = World(parallel_queries=2)
    async with world.catalog:
        devices = [DeviceId(f"3402000000111000{number:04d}") for number in range(5)]
        for device_id in devices:
            world.come_online(device_id)
        await world.tick()
        assert len(world.devices.asked) == 2
        world.answer(item(1), announced=1, device_id=world.devices.asked[0].device_id)
        await settle()
        assert len(world.devices.asked) == 3
        await world.pass_time(11)
        assert len(world.devices.asked) == 5, "silent ones give their places up"


async def test_a_device_that_does_not_answer_is_asked_again_with_growing_pauses() -> None:
    world = World(first_answer_s=120)
    async with world.catalog:
        world.come_online()
        await world.pass_time(120 + 10)
        assert len(world.devices.asked) == 1
        await world.pass_time(10)
        assert len(world.devices.asked) == 2
        await world.pass_time(3600)
        assert len(world.devices.asked) == 4
    assert world.finished == []


async def test_a_query_that_cannot_be_sent_fails_at_once_and_is_repeated() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        world.devices.silent.add(DEVICE)
        job = world.catalog.refresh(DEVICE)
        await settle()
        assert world.catalog.job(job.job_id).state == "failed"
        world.devices.silent.clear()
        await world.pass_time(16)
        world.answer(item(1), announced=1)
        assert world.names() == ["Camera 1"]


async def test_a_device_that_goes_offline_is_not_waited_for() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        job = world.catalog.refresh(DEVICE)
        await settle()
        world.go_offline()
        assert world.catalog.job(job.job_id).state == "failed"
        await world.pass_time(600)
        assert len(world.devices.asked) == 1
        with pytest.raises(Unreachable):
            world.catalog.refresh(DEVICE)


async def test_a_lower_platform_is_asked_likewise() -> None:
    world = World()
    async with world.catalog:
        world.come_online(PLATFORM)
        await world.tick()
        world.answer(item(1), item(2), announced=2, device_id=PLATFORM)
    assert len(world.shown(PLATFORM)) == 2


# --- counting ------------------------------------------------------------------------------------------------------


async def test_progress_and_end_are_seen_in_the_job() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        job = world.catalog.refresh(DEVICE)
        assert world.catalog.refresh(DEVICE).job_id == job.job_id, "one query at a time"
        await settle()
        world.answer(item(1), announced=2)
        running = world.catalog.job(job.job_id)
        assert (running.state, running.received, running.announced) == ("running", 1, 2)
        world.answer(item(2), announced=2)
    done = world.catalog.job(job.job_id)
    assert (done.state, done.received, done.announced) == ("done", 2, 2)
    assert done.finished_at is not None
    with pytest.raises(NotFound):
        world.catalog.job("nothing")


async def test_a_partial_answer_removes_nothing_and_is_asked_again() -> None:
    world = World(quiet_s=30)
    async with world.catalog:
        await listed(world, 1, 2, 3)
        await world.asked_again()
        for asked, pause in ((2, 20), (3, 65), (4, 305), (5, 3600)):
            assert len(world.devices.asked) == asked
            world.answer(item(1), announced=3)
            await world.pass_time(31)
            assert world.finished[-1] == CatalogFinished(DEVICE, 3, 1, complete=False)
            await world.pass_time(pause)
        assert len(world.devices.asked) == 5, "not for ever"
        assert len(world.shown()) == 3


async def test_a_channel_is_hidden_after_three_complete_answers_without_it() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        for expected in (2, 2, 1):
            await world.asked_again()
            world.answer(item(1), announced=1)
            assert len(world.shown()) == expected
        assert world.changes[-1].gone == (key(2).channel_id,)
        assert world.catalog.channel(key(2)).is_gone, "hidden, not deleted"
        assert not world.catalog.is_online(key(2))
        await world.asked_again()
        world.answer(item(1), item(2), announced=2)
        assert len(world.shown()) == 2
        assert world.changes[-1].added == (key(2).channel_id,)


async def test_a_channel_that_is_listed_in_between_starts_again() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        for numbers in ((1,), (1,), (1, 2), (1,), (1,)):
            await world.asked_again()
            world.answer(*map(item, numbers), announced=len(numbers))
        assert len(world.shown()) == 2


async def test_w11_an_empty_answer_of_a_device_that_had_channels_is_suspicious() -> None:
    """W11: SumNum 0 deletes nothing: it is asked again, and then counts like any complete answer."""
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        for shown, complete in ((2, False), (2, True), (2, True), (0, True)):
            await world.asked_again()
            world.answer(announced=0)
            assert len(world.shown()) == shown
            assert world.finished[-1].complete is complete
        assert len(world.store.channels) == 2, "hidden, not deleted"


async def test_w11_an_empty_answer_between_full_ones_is_forgotten() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        for _ in range(6):
            await world.asked_again()
            world.answer(announced=0)
            assert not world.finished[-1].complete
            await world.asked_again()
            world.answer(item(1), item(2), announced=2)
        assert len(world.shown()) == 2


async def test_repeated_items_keep_the_last_and_complete_the_answer() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        world.answer(item(1, "first"), item(1, "last"), item(2), announced=3)
    assert world.names() == ["last", "Camera 2"]
    assert world.finished[-1].complete


async def test_hundreds_of_messages_with_one_item_each_lose_nothing() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        for number in range(1, 401):
            world.answer(item(number), announced=400)
    assert len(world.shown()) == 400
    assert len(world.changes) == 1, "one event, not four hundred"


async def test_an_unchanged_catalogue_writes_nothing() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        writes, changes = world.store.writes, len(world.changes)
        await world.asked_again()
        world.answer(item(1), item(2), announced=2)
    assert (world.store.writes, len(world.changes)) == (writes, changes)


async def test_all_devices_together_list_so_many_channels_and_one_that_goes_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gb28181.catalog.registry._MAX_ALL", 3)
    registry, now = Registry(max_items=10), datetime(2026, 3, 1, tzinfo=UTC)
    first, second = DeviceId("34020000001110000001"), DeviceId("34020000001110000002")
    assert len(registry.answered(first, [item(1), item(2)], now)) == 2
    assert len(registry.answered(second, [item(1), item(2)], now)) == 1
    assert registry.overflow == 1
    registry.forget(first)
    assert len(registry.answered(second, [item(2), item(3), item(4)], now)) == 2


async def test_one_device_cannot_list_without_end() -> None:
    world = World(max_items=10)
    async with world.catalog:
        world.come_online()
        await world.tick()
        world.answer(*(item(number) for number in range(50)), announced=50)
    assert len(world.shown()) == 10
    assert world.catalog.counters()["channels_refused"] == 40


# --- identity and state --------------------------------------------------------------------------------------------


async def test_two_devices_may_list_the_same_channel() -> None:
    world = World()
    async with world.catalog:
        for device_id in (DEVICE, OTHER):
            world.come_online(device_id)
            await world.tick()
            world.answer(item(1, f"of {device_id}"), announced=1, device_id=device_id)
    assert world.names(DEVICE) == [f"of {DEVICE}"]
    assert world.names(OTHER) == [f"of {OTHER}"]
    assert world.catalog.owners(request("MESSAGE", key(1).channel_id)) == [DEVICE, OTHER]


async def test_a_channel_may_have_the_identifier_of_its_device() -> None:
    world = World()
    async with world.catalog:
        world.come_online(CAMERA)
        await world.tick()
        world.answer(CatalogItem(device_id=CAMERA, name="Dome"), announced=1, device_id=CAMERA)
    assert world.names(CAMERA) == ["Dome"]
    assert [node.name for node in await world.nodes(CAMERA)] == ["Dome"]


async def test_a_channel_is_online_only_while_its_device_is() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        unstated = CatalogItem(device_id=key(3).channel_id)
        world.answer(item(1), item(2, status=Status.OFF), unstated, announced=3)
        assert [world.catalog.is_online(key(number)) for number in (1, 2, 3, 4)] == [True, False, True, False]
        writes = world.store.writes
        world.go_offline()
        assert not world.catalog.is_online(key(1))
        assert world.store.writes == writes, "derived, never written row by row"


async def test_unasked_items_are_taken_over() -> None:
    world = World()
    world.come_online()
    world.answer(item(1), announced=1, sn=77)
    assert world.names() == ["Camera 1"]
    assert world.finished == []


async def test_notifications_change_only_what_they_say() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        world.notify(
            CatalogItem(device_id=key(1).channel_id, event="OFF"),
            CatalogItem(device_id=key(2).channel_id, event="DEL"),
            item(3, event="ADD"),
            CatalogItem(device_id=key(4).channel_id, event="OFF"),
        )
        assert world.names() == ["Camera 1", "Camera 3"]
        assert not world.catalog.is_online(key(1))
        await world.pass_time(3)
        world.notify(CatalogItem(device_id=key(1).channel_id, event="ON"))
        assert world.catalog.is_online(key(1))


# --- states that devices push (quirk Q74) ----------------------------------------------------------------------------


def told(number: int, event: str) -> CatalogItem:
    return CatalogItem(device_id=key(number).channel_id, event=event)


async def test_a_channel_that_flaps_changes_its_state_once_in_three_seconds() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        world.changes.clear()
        for second in range(12):
            for step in range(10):
                world.notify(told(1, "OFF" if step % 2 else "ON"))
                await world.pass_time(0.1, step=0.1)
                assert world.catalog.is_online(key(2))
            assert len(world.changes) <= 1 + second // 3
        assert len(world.changes) >= 3
        await world.pass_time(10, step=0.5)
        assert not world.catalog.is_online(key(1)), "the last that it said"
        assert len(world.catalog._states) == 0


async def test_a_state_that_comes_back_at_once_is_no_change() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1)
        world.notify(told(1, "OFF"))
        world.notify(told(1, "ON"))
        world.notify(told(1, "OFF"))
        await world.pass_time(1, step=0.5)
        world.changes.clear()
        await world.pass_time(10, step=0.5)
        assert world.changes == []
        assert not world.catalog.is_online(key(1))


async def test_a_catalogue_answer_counts_at_once_and_ends_what_waits() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1)
        world.notify(told(1, "OFF"), told(1, "ON"))
        await world.asked_again()
        world.answer(item(1), announced=1)
        assert world.catalog.is_online(key(1))
        await world.pass_time(10, step=0.5)
        assert world.catalog.is_online(key(1))


async def test_pushed_states_of_a_device_that_tells_wrong_ones_are_ignored() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1, 2)
        wrong = world.devices.known[DEVICE].with_changes(profile=Profile(ignore_notified_status=True))
        world.devices.known[DEVICE] = wrong
        writes = world.store.writes
        world.notify(told(1, "OFF"), told(2, "VLOST"), item(1, status=Status.OFF, event="UPDATE"))
        assert world.store.writes == writes
        world.notify(item(2, "Gate", status=Status.OFF, event="UPDATE"), told(1, "DEL"))
        assert world.names() == ["Gate"], "all but states still counts"
        assert world.catalog.is_online(key(2))
        await world.asked_again()
        world.answer(item(1), item(2, "Gate", status=Status.OFF), announced=2)
        assert not world.catalog.is_online(key(2))


async def test_an_update_without_a_state_leaves_the_state_alone() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1)
        world.notify(told(1, "OFF"))
        world.notify(CatalogItem(device_id=key(1).channel_id, event="UPDATE", name="Gate"))
        assert world.names() == ["Gate"]
        assert not world.catalog.is_online(key(1))


@pytest.mark.parametrize("event", ["UPDATE", None])
async def test_an_update_changes_what_it_names_and_leaves_the_rest_as_it_was(event: str | None) -> None:
    """Q75: some devices notify of a state or a name with an item that has nothing else, Event left out."""
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        info = ItemInfo(ptz_type="1", room_type=2)
        whole = item(1, "Gate", model="X1", civil_code="340200", longitude=118.3, latitude=31.3, parental=1, info=info)
        copies = [replace(whole, parent_id=parent) for parent in ("a", "b")]
        world.answer(*copies, announced=2)
        [before] = world.shown()
        world.notify(CatalogItem(device_id=key(1).channel_id, event=event, status=Status.OFF))
        [after] = world.shown()
        assert replace(after, status_on=True, updated_at=before.updated_at) == before
        writes = world.store.writes
        world.notify(CatalogItem(device_id=key(1).channel_id, event=event, status=Status.OFF))
        assert world.store.writes == writes, "nothing new was said"
        world.notify(CatalogItem(device_id=key(1).channel_id, event=event, parent_id="c", info=ItemInfo(room_type=1)))
        [moved] = world.shown()
        assert (moved.name, moved.model, moved.ptz_type, moved.longitude) == ("Gate", "X1", 1, 118.3)
        assert (moved.parent_id, moved.item) == ("c", {"RoomType": 1})


async def test_an_item_that_is_added_again_is_described_anew() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        world.answer(item(1, "Gate", model="X1"), announced=1)
        world.notify(CatalogItem(device_id=key(1).channel_id, event="ADD", name="Door"))
        [channel] = world.shown()
        assert (channel.name, channel.model) == ("Door", "")


# --- items that are listed more than once (quirk Q63) ------------------------------------------------------------------


def parents(world: World) -> object:
    [channel] = world.shown()
    return channel.parent_id, channel.item.get("ParentIDs")


@pytest.mark.parametrize("messages", [1, 3])
async def test_all_parents_of_an_item_are_remembered_and_the_last_counts(messages: int) -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        copies = [item(1, parent_id=parent) for parent in ("a", "b", "a", "c")]
        if messages == 1:
            world.answer(*copies, announced=4)
        else:
            for copy in copies:
                world.answer(copy, announced=4)
        assert parents(world) == (copies[-1].parent_id, ["a", "b", "c"])
        assert world.finished[-1].complete
        world.notify(item(1, "Gate", parent_id="b", event="UPDATE"))
        assert parents(world) == ("b", ["a", "b", "c"])
        await world.asked_again()
        world.answer(item(1, parent_id="b"), announced=1)
        assert parents(world) == ("b", None), "moved for good"


async def test_a_catalogue_that_lists_an_item_twice_writes_nothing_when_it_is_the_same_again() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        copies = [item(1, parent_id="a"), item(1, parent_id="b")]
        world.answer(*copies, announced=2)
        writes = world.store.writes
        await world.asked_again()
        world.answer(*copies, announced=2)
        assert world.store.writes == writes


async def test_the_parents_of_one_item_are_bounded() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.tick()
        world.answer(*(item(1, parent_id=f"p{number}") for number in range(500)), announced=500)
        assert len(world.shown()[0].item["ParentIDs"]) == 32


@pytest.mark.parametrize("answers", ["nothing", "empty"])
async def test_a_camera_that_lists_nothing_is_its_own_channel_in_the_end(answers: str) -> None:
    world = World()
    async with world.catalog:
        world.come_online(CAMERA)
        await world.tick()
        assert world.shown(CAMERA) == []
        for _ in range(2):
            if answers == "empty":
                world.answer(announced=0, device_id=CAMERA)
            await world.pass_time(20)
        if answers == "nothing":
            await world.pass_time(1200)
        [channel] = world.shown(CAMERA)
        assert channel.synthetic
        assert channel.is_playable
        world.catalog.refresh(CAMERA)
        await settle()
        world.answer(item(7), announced=1, device_id=CAMERA)
        assert world.names(CAMERA) == ["Camera 7"]


async def test_a_recorder_that_lists_nothing_has_no_channel() -> None:
    world = World()
    async with world.catalog:
        world.come_online()
        await world.pass_time(3600)
    assert world.shown() == []


# --- operators -----------------------------------------------------------------------------------------------------


async def test_what_operators_set_is_never_overwritten() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1)
        await world.catalog.change(key(1), alias="Main gate", recording_mode="always", retention_hours=48)
        await world.asked_again()
        world.answer(item(1, "renamed"), announced=1)
    channel = world.catalog.channel(key(1))
    assert (channel.name, channel.alias, channel.recording_mode, channel.retention_hours) == (
        "renamed",
        "Main gate",
        "always",
        48,
    )
    assert world.store.channels[key(1)] == channel


@pytest.mark.parametrize("change", [{"alias": "a\nb"}, {"recording_mode": "maybe"}, {"retention_hours": float("nan")}])
async def test_values_that_cannot_be_used_are_refused(change: dict[str, object]) -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1)
        with pytest.raises(Invalid):
            await world.catalog.change(key(1), **change)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await world.catalog.change(key(9), alias="x")


async def test_a_deleted_device_takes_its_channels_along() -> None:
    world = World()
    async with world.catalog:
        await listed(world, 1)
        del world.devices.known[DEVICE]
        world.devices.online.discard(DEVICE)
        world.bus.publish(DeviceOffline(DEVICE, "deleted"))
    assert world.catalog.all_channels() == []
    assert world.catalog.owners(request("MESSAGE", key(1).channel_id)) == []


async def test_a_device_that_was_never_online_has_a_place_in_the_tree() -> None:
    world = World()
    world.devices.known[DEVICE] = Device(DEVICE, name="Store")
    [node] = await world.nodes()
    assert (node.node_id, node.kind, node.name, node.online, node.has_children) == (DEVICE, "device", "Store", False, False)
    assert await world.nodes(DEVICE) == []
    with pytest.raises(NotFound):
        await world.nodes("nobody")
    with pytest.raises(NotFound):
        await world.nodes(f"{DEVICE}/nothing")


def test_answers_and_notifications_are_routed() -> None:
    assert set(routes(World().catalog)) == {CatalogResponse, CatalogNotify}
