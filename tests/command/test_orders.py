"""Orders that take minutes: restarts, cards, upgrades, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from gb28181 import tokens
from gb28181.command import orders
from gb28181.command.maintenance import Maintenance
from gb28181.command.model import ENDED, Firmware, Order, Picture, SnapshotDetail, State, UpgradeDetail
from gb28181.command.progress import TABLES, Event, advance
from gb28181.device.model import DeviceOffline, DeviceRegistered
from gb28181.errors import CommandFailed, Conflict, Denied, NotFound, NotInEdition, PeerTimeout
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.card import SDCard, SDCardStatusQuery, SDCardStatusResponse
from gb28181.manscdp.commands.config import DeviceConfig, DeviceConfigResponse
from gb28181.manscdp.commands.control import DeviceControl, DeviceControlResponse, TeleBoot
from gb28181.manscdp.commands.notify import DeviceUpgradeResult, UploadSnapShotFinished
from gb28181.manscdp.element import Result
from gb28181.messages import Transfer
from tests.command.world import LINK_KEY, World
from tests.fakes import CAMERA, DEVICE, settle

FIRMWARE = "f" * 32


def agrees(command: Any) -> Iterable[object]:
    """A device that accepts whatever it is told."""
    if isinstance(command, DeviceConfig):
        return [DeviceConfigResponse(sn=command.sn, device_id=command.device_id, result=Result.OK)]
    if isinstance(command, DeviceControl) and command.device_upgrade is not None:
        return [DeviceControlResponse(sn=command.sn, device_id=command.device_id, result=Result.OK)]
    return []


def refuses(command: Any) -> Iterable[object]:
    kind = DeviceConfigResponse if isinstance(command, DeviceConfig) else DeviceControlResponse
    return [kind(sn=command.sn, device_id=command.device_id, result=Result.ERROR)]


@pytest.mark.parametrize("kind", TABLES)
def test_every_open_state_ends_at_its_deadline_or_by_the_devices_word(kind: str):
    table = TABLES[kind]  # type: ignore[index]  # by name
    reached = {State.ORDERED, *table.values()}
    for state in reached - ENDED:
        ends = {event for (of, event), to in table.items() if of is state and to in ENDED}
        assert ends & {Event.EXPIRED, Event.FAILED}, state


def test_what_ended_stays_ended_but_for_a_truth_that_comes_late():
    late = {(of, event) for table in TABLES.values() for (of, event) in table if of in ENDED}
    assert {of for of, _ in late} == {State.TIMED_OUT, State.PARTIAL, State.FAILED}


# --- pictures ------------------------------------------------------------------------------------------------------


async def snapshot(world: World, count: int = 3) -> Order:
    world.script = agrees
    return await world.commands.snapshots.order(DEVICE, CAMERA, count=count, interval_s=2, user="ann")


def came(world: World, order: Order, number: int) -> None:
    """So many pictures lie with us, and the edge has said so."""
    pictures = [Picture(f"{n:02d}.jpg", 100, world.clock.utc()) for n in range(1, number + 1)]
    world.deposit.kept[order.order_id] = pictures
    world.commands.transferred(Transfer(order.order_id, number, 3))


def finished(order: Order, *ids: str) -> UploadSnapShotFinished:
    return UploadSnapShotFinished(device_id=CAMERA, session_id=order.order_id, snap_shot_list=ids)


async def test_an_order_for_pictures_gives_the_device_a_link_of_its_own(world: World):
    order = await snapshot(world)
    config = world.asked[0].snap_shot_config
    assert (config.snap_num, config.interval, config.session_id) == (3, 2, order.order_id)
    assert re.fullmatch(r"[0-9A-Za-z-]{32,128}", order.order_id)
    found = re.fullmatch(r"http://192\.0\.2\.10:8080/media/upload/([0-9a-f]{32})/3/([0-9A-Za-z_-]+)", config.upload_url)
    assert found is not None
    assert found[1] == order.order_id
    # SnapNum x Interval and a margin
    expiry = world.clock.utc().timestamp() + 6 + 60
    tokens.check(LINK_KEY, "upload", f"{order.order_id}/3", found[2], expiry)
    with pytest.raises(Denied):
        tokens.check(LINK_KEY, "upload", f"{order.order_id}/3", found[2], expiry + 1)
    assert (order.state, world.states) == (State.ACCEPTED, ["ordered", "accepted"])


async def test_all_pictures_make_it_done_whatever_the_device_says_or_does_not(world: World):
    order = await snapshot(world)
    for number in (1, 2, 3):
        came(world, order, number)
        await settle()
    assert world.states == ["ordered", "accepted", "uploading", "done"]
    await world.commands.pictures_uploaded(world.inbound(finished(order, "a", "b")))
    ended = world.commands.orders.get(order.order_id)
    assert ended.state is State.DONE
    assert ended.detail == SnapshotDetail(3, 2, 3, ("a", "b"))


async def test_fewer_files_than_ordered_end_it_as_partial(world: World):
    order = await snapshot(world)
    came(world, order, 1)
    await world.commands.pictures_uploaded(world.inbound(finished(order, "a")))
    ended = world.commands.orders.get(order.order_id)
    assert (ended.state, ended.message) == (State.PARTIAL, "1 of 3 pictures came")
    came(world, order, 3)  # two that were on their way
    await settle()
    assert world.commands.orders.get(order.order_id).state is State.DONE


async def test_no_file_at_all_means_that_it_failed(world: World):
    order = await snapshot(world)
    await world.commands.pictures_uploaded(world.inbound(finished(order)))
    ended = world.commands.orders.get(order.order_id)
    assert ended.state is State.FAILED
    assert "http.device_url" in ended.message


async def test_a_report_that_overtakes_its_pictures_waits_a_moment_for_them(world: World):
    order = await snapshot(world)
    await world.commands.pictures_uploaded(world.inbound(finished(order, "a", "b", "c")))
    assert world.commands.orders.get(order.order_id).is_open
    came(world, order, 2)
    await settle()
    world.clock.advance(11)
    await world.commands.tick()
    await settle()
    ended = world.commands.orders.get(order.order_id)
    assert (ended.state, ended.message) == (State.PARTIAL, "2 of 3 pictures came")


async def test_the_finished_notify_counts_as_bytes_and_only_from_the_device_that_was_asked(world: World):
    order = await snapshot(world)
    came(world, order, 1)
    body = (
        "<Notify><CmdType>uploadsnapshotfinished</CmdType><SN>9</SN>"
        f"<DeviceID>{CAMERA}</DeviceID><SessionID>{order.order_id}</SessionID>"
        "<SnapShotList><SnapShotFileID>x</SnapShotFileID></SnapShotList></Notify>"
    )
    command = parse(body.encode()).command
    assert isinstance(command, UploadSnapShotFinished)
    inbound = world.inbound(command)
    await world.commands.snapshots.finished(CAMERA, command)  # another device
    assert world.commands.orders.get(order.order_id).is_open
    await world.commands.pictures_uploaded(inbound)
    assert world.commands.orders.get(order.order_id).state is State.PARTIAL


async def test_what_nobody_reports_ends_at_the_deadline(world: World):
    order = await snapshot(world)
    world.clock.advance(67)
    await world.commands.tick()
    await settle()
    assert world.commands.orders.get(order.order_id).state is State.FAILED


async def test_a_refused_order_ends_and_the_caller_is_told(world: World):
    world.script = refuses
    with pytest.raises(CommandFailed):
        await world.commands.snapshots.order(DEVICE, CAMERA, count=1, interval_s=1, user="ann")
    assert world.states == ["ordered", "refused"]


async def test_an_edition_without_pictures_is_refused_before_anything_is_begun(world: World):
    world.devices.speaks("2016")
    with pytest.raises(NotInEdition, match="SnapShotConfig"):
        await world.commands.snapshots.order(DEVICE, CAMERA, count=1, interval_s=1, user="ann")
    assert not list(world.commands.orders.all())


# --- upgrade -------------------------------------------------------------------------------------------------------


async def upgrade(world: World) -> Order:
    world.script = agrees
    world.deposit.files[FIRMWARE] = Firmware(FIRMWARE, "v2.bin", "V2.0", "Hik", world.clock.utc(), 1000, "ab")
    return await world.commands.upgrades.order(DEVICE, "", firmware_id=FIRMWARE, user="ann")


def result(order: Order, outcome: Result, **more: Any) -> DeviceUpgradeResult:
    return DeviceUpgradeResult(device_id=DEVICE, session_id=order.order_id, upgrade_result=outcome, firmware="V2.0", **more)


async def test_an_upgrade_goes_its_whole_way(world: World):
    order = await upgrade(world)
    told = world.asked[0].device_upgrade
    assert (told.firmware, told.manufacturer, told.session_id) == ("V2.0", "Hik", order.order_id)
    base = rf"http://192\.0\.2\.10:8080/media/firmware/{FIRMWARE}/{order.order_id}"
    assert re.fullmatch(rf"{base}/[0-9A-Za-z_-]+/v2\.bin", told.file_url)
    for done in (300, 1000):
        world.commands.transferred(Transfer(order.order_id, done, 1000))
        await settle()
    world.bus.publish(DeviceOffline(DEVICE, "keepalive_timeout"))
    await settle()
    world.bus.publish(DeviceRegistered(DEVICE, is_new=True))
    await settle()
    await world.commands.upgraded(world.inbound(result(order, Result.OK)))
    assert world.states == ["ordered", "accepted", "downloading", "downloaded", "restarting", "restarted", "done"]
    assert [event.expects_absence for event in world.events] == [True] * 6 + [False]


@pytest.mark.parametrize(("code", "said"), [("01", "download"), ("2", "package"), (None, "no reason"), ("77", "does not know")])
async def test_a_failed_upgrade_says_why(world: World, code: str | None, said: str):
    order = await upgrade(world)
    await world.commands.upgraded(world.inbound(result(order, Result.ERROR, upgrade_failed_reason=code)))
    ended = world.commands.orders.get(order.order_id)
    assert ended.state is State.FAILED
    assert said in ended.message


async def test_an_upgrade_survives_our_restart(world: World):
    order = await upgrade(world)
    again = world.serve()
    async with again:
        await again.load()
        assert again.orders.get(order.order_id).state is State.ACCEPTED
        await again.upgraded(world.inbound(result(order, Result.OK)))
        assert again.orders.get(order.order_id).state is State.DONE
    assert world.store.orders[order.order_id].state is State.DONE


async def test_silence_ends_an_upgrade_after_its_time_and_a_late_report_corrects_that(world: World):
    order = await upgrade(world)
    world.clock.advance(1801)
    await world.commands.tick()
    await settle()
    assert world.commands.orders.get(order.order_id).state is State.TIMED_OUT
    await world.commands.upgraded(world.inbound(result(order, Result.OK)))
    assert world.commands.orders.get(order.order_id).state is State.DONE


async def test_the_firmware_after_the_restart_speaks_for_a_device_that_does_not_report(world: World):
    order = await upgrade(world)
    world.devices.registered("second")  # no offline was seen: too quick
    world.bus.publish(DeviceRegistered(DEVICE, is_new=False))
    await settle()
    assert world.states[-1] == "restarted"
    world.devices.change(firmware="V2.0")
    world.clock.advance(1801)
    await world.commands.tick()
    await settle()
    assert world.commands.orders.get(order.order_id).state is State.DONE


async def test_one_upgrade_at_a_time_and_only_of_a_file_that_is_there(world: World):
    await upgrade(world)
    with pytest.raises(Conflict, match=r"another order under way \(upgrade, "):
        await upgrade(world)
    with pytest.raises(Conflict, match="is taking it"):
        await world.commands.upgrades.remove_firmware(FIRMWARE)
    with pytest.raises(NotFound):
        await world.commands.upgrades.order(DEVICE, "", firmware_id="0" * 32, user="ann")
    made = await world.commands.upgrades.enter_firmware(name="a.bin", version="1", manufacturer="x")
    with pytest.raises(NotFound, match="not been stored"):
        await world.commands.upgrades.order(DEVICE, "", firmware_id=made.firmware_id, user="ann")


async def test_a_removed_device_has_no_orders_under_way(world: World):
    order = await upgrade(world)
    world.bus.publish(DeviceOffline(DEVICE, "deleted"))
    await settle()
    assert world.commands.orders.get(order.order_id).state is State.FAILED


# --- restart -------------------------------------------------------------------------------------------------------


async def test_a_restart_needs_no_answer_and_shows_when_the_device_is_back_q56(world: World):
    order = await world.commands.maintenance.reboot(DEVICE, "", user="ann")
    assert world.asked[0].tele_boot is TeleBoot.BOOT
    assert order.state is State.ACCEPTED
    world.bus.publish(DeviceRegistered(DEVICE, is_new=False))  # a mere renewal
    await settle()
    assert world.states[-1] == "accepted"
    world.bus.publish(DeviceOffline(DEVICE, "keepalive_timeout"))
    await settle()
    world.bus.publish(DeviceRegistered(DEVICE, is_new=True))
    await settle()
    assert world.states == ["ordered", "accepted", "restarting", "done"]


async def test_a_device_that_goes_down_before_its_200_is_restarting_all_the_same_q56(monkeypatch: pytest.MonkeyPatch):
    world = World()

    async def silent(*args: object, **more: object) -> object:
        raise PeerTimeout("nothing")

    monkeypatch.setattr(type(world.signalling), "message", silent)
    order = await world.commands.maintenance.reboot(DEVICE, "", user="ann")
    assert order.state is State.ACCEPTED


async def test_a_restart_that_nobody_saw_says_so(world: World):
    order = await world.commands.maintenance.reboot(DEVICE, "", user="ann")
    world.clock.advance(601)
    await world.commands.tick()
    await settle()
    ended = world.commands.orders.get(order.order_id)
    assert ended.state is State.TIMED_OUT
    assert "not seen to restart" in ended.message


# --- cards ---------------------------------------------------------------------------------------------------------


def cards(*found: SDCard, sum_num: int | None = None) -> Any:
    def script(command: Any) -> Iterable[object]:
        if not isinstance(command, SDCardStatusQuery):
            return []
        number = len(found) if sum_num is None else sum_num
        return [
            SDCardStatusResponse(sn=command.sn, device_id=command.device_id, sum_num=number, sd_card_status_info=(card,))
            for card in found
        ]

    return script


async def test_cards_come_in_parts_and_are_sorted(world: World):
    world.script = cards(SDCard(id=2, status="ok"), SDCard(id=1, status="error"), SDCard(id=2, status="ok"), sum_num=2)
    assert [card.id for card in await world.commands.maintenance.cards(DEVICE, "")] == [1, 2]


async def poll(maintenance: Maintenance, world: World, *found: SDCard) -> None:
    world.script = cards(*found)
    world.clock.advance(6)
    for order in maintenance.polls():
        await maintenance.poll(order)


async def test_a_format_is_followed_to_its_end(world: World):
    maintenance = world.commands.maintenance
    order = await maintenance.format(DEVICE, "", card=1, user="ann")
    assert world.asked[0].format_sd_card == 1
    assert maintenance.polls() == []
    await poll(maintenance, world, SDCard(id=1, status="formatting", format_progress=40), SDCard(id=2, status="error"))
    shown = world.commands.orders.get(order.order_id)
    assert (shown.state, shown.detail.progress) == (State.FORMATTING, 40)  # type: ignore[union-attr]  # a format
    await poll(maintenance, world, SDCard(id=1, status="OK", format_progress=100))
    assert world.commands.orders.get(order.order_id).state is State.DONE
    assert maintenance.polls() == []


@pytest.mark.parametrize("status", ["error", "unformatted"])
async def test_a_format_that_fails_says_so(world: World, status: str):
    maintenance = world.commands.maintenance
    order = await maintenance.format(DEVICE, "", card=0, user="ann")
    await poll(maintenance, world, SDCard(id=1, status="formatting"))
    await poll(maintenance, world, SDCard(id=1, status=status))
    assert world.commands.orders.get(order.order_id).state is State.FAILED


async def test_a_device_has_no_two_orders_that_exclude_each_other(world: World):
    await world.commands.maintenance.format(DEVICE, "", card=0, user="ann")
    with pytest.raises(Conflict, match=r"another order under way \(format, "):
        await world.commands.maintenance.reboot(DEVICE, "", user="ann")


# --- bounds --------------------------------------------------------------------------------------------------------


async def test_orders_are_bounded_and_the_oldest_that_ended_goes_first(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(orders, "_MOST", 3)
    world.script = refuses
    for _ in range(5):
        world.clock.advance(1)
        with pytest.raises(CommandFailed):
            await world.commands.snapshots.order(DEVICE, CAMERA, count=1, interval_s=1, user="ann")
    assert len(list(world.commands.orders.all())) == len(world.store.orders) == 3


async def test_one_device_has_a_bounded_number_of_open_orders(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(orders, "_MOST_OPEN_OF_DEVICE", 2)
    for _ in range(2):
        await snapshot(world)
    with pytest.raises(Conflict, match="2 orders"):
        await snapshot(world)


async def test_a_database_that_fails_later_does_not_stop_an_order(world: World):
    order = await snapshot(world)
    world.store.failing = True
    came(world, order, 3)
    await settle()
    assert world.commands.orders.get(order.order_id).state is State.DONE
    assert world.commands.counters()["not_saved"]


def test_an_event_that_changes_nothing_is_nothing(world: World):
    now = world.clock.utc()
    made = Order("0" * 32, "upgrade", DEVICE, "", "ann", State.DONE, now, now + timedelta(seconds=1), UpgradeDetail())
    assert advance(made, Event.LOST, now) is None
