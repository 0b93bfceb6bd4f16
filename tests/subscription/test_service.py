"""Subscriptions that refresh themselves and survive restarts on either side (§9.11; quirks Q77, Q78; W6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gb28181.device.model import Device, DeviceOnline, Profile
from gb28181.errors import Conflict, Invalid, NotFound, NotInEdition
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.alarm import AlarmNotify, AlarmQuery
from gb28181.manscdp.commands.catalog import CatalogQuery
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.manscdp.commands.position import MobilePositionQuery
from gb28181.manscdp.commands.ptz import PTZPositionQuery
from gb28181.ports import SipResponse
from gb28181.subscription.model import Topic, Wish
from gb28181.texts.text import rendered
from tests.fakes import CAMERA, DEVICE, HOME, FakeSubscriptionStore
from tests.subscription.world import ALARM, World

ON = Wish(enabled=True)
NOTIFY = AlarmNotify(sn=1, device_id=DEVICE)


# --- asking and renewing -----------------------------------------------------------------------------------------------


async def test_a_device_that_comes_online_is_subscribed_to_what_the_configuration_says() -> None:
    async with World() as world:
        await world.online()
        [sent] = world.sent
        assert (sent.method, sent.headers["expires_s"]) == ("SUBSCRIBE", 3600)
        assert str(sent.headers["event"]).startswith("presence;id=")
        assert isinstance(parse(sent.body).command, AlarmQuery)
        assert world.view().subscription.state == "active"


@pytest.mark.parametrize(
    ("topic", "query", "package"),
    [
        (Topic.CATALOG, CatalogQuery, "Catalog"),
        (Topic.MOBILE_POSITION, MobilePositionQuery, "presence"),
        (Topic.PTZ_POSITION, PTZPositionQuery, "presence"),
    ],
)
async def test_each_topic_has_its_query_and_event(topic: Topic, query: type, package: str) -> None:
    async with World(alarm=False) as world:
        world.devices.profiles[DEVICE] = Profile(edition="2022", charset="gb18030")
        await world.online()
        world.service.change(DEVICE, topic, ON, target=CAMERA)
        await world.wait(1)
        [sent] = world.sent
        command = parse(sent.body).command
        assert isinstance(command, query)
        assert command.device_id == CAMERA  # type: ignore[attr-defined]
        assert str(sent.headers["event"]).partition(";")[0] == package
        assert sent.body.startswith(b'<?xml version="1.0" encoding="GB18030"?>')


async def test_it_is_renewed_in_its_dialog_with_the_same_event_id_before_it_ends() -> None:
    """Q77: Event id must match on renew."""
    async with World() as world:
        await world.online()
        first = world.sent[0]
        await world.wait(0.5 * 3600)
        assert len(world.sent) == 1
        await world.wait(0.25 * 3600)
        [_, renewal] = world.sent
        assert renewal.dialog.call_id == first.dialog.call_id
        assert renewal.headers["event"] == first.headers["event"]
        assert world.dialog.cseq > first.dialog.cseq


async def test_what_the_device_grants_counts_and_not_what_was_asked_for() -> None:
    async with World() as world:
        world.answer(200, expires="90")
        await world.online()
        await world.wait(89)
        assert len(world.sent) == 2


async def test_a_device_that_names_no_expires_is_believed_to_grant_what_was_asked_for() -> None:
    """Q78: Huawei answers without Expires."""
    async with World() as world:
        await world.online()
        left = world.view().subscription.expires_at
        assert left is not None
        assert 3590 < (left - world.clock.utc()).total_seconds() <= 3600


@pytest.mark.parametrize("status", [481, 408, 400, 501])
async def test_a_renewal_that_finds_no_dialog_makes_a_new_one_at_once(status: int) -> None:
    """Q77: the subscription is silently lost when the device reboots."""
    async with World() as world:
        await world.online()
        old = world.dialog.call_id
        world.signalling.in_dialog_answer = lambda sent: SipResponse(status if sent.dialog.call_id == old else 200, "", {}, b"")
        await world.wait(0.7 * 3600)
        assert [sent.dialog.call_id == old for sent in world.sent] == [True, True, False]
        assert world.view().subscription.state == "active"


async def test_a_renewal_that_is_refused_for_now_keeps_the_dialog() -> None:
    async with World() as world:
        await world.online()
        world.answer(503, retry_after="40")
        await world.wait(0.7 * 3600)
        assert world.view().subscription.state == "failing"
        world.answer(200)
        await world.wait(120)
        assert {sent.dialog.call_id for sent in world.sent} == {world.sent[0].dialog.call_id}
        assert world.view().subscription.state == "active"


async def test_no_answer_is_tried_again_ever_more_slowly() -> None:
    async with World() as world:
        world.signalling.dead.add(HOME)
        await world.online()
        await world.wait(3600)
        assert 5 <= len(world.sent) <= 8
        assert world.view().subscription.state == "failing"
        world.signalling.dead.clear()
        await world.wait(3600)
        assert world.view().subscription.state == "active"


# --- not supported -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 405, 489, 501])
async def test_a_refusal_is_remembered_with_its_status_and_asked_about_again_after_a_day(status: int) -> None:
    async with World() as world:
        world.answer(status)
        await world.online()
        subscription = world.view().subscription
        assert (subscription.state, subscription.status) == ("refused", status)
        await world.wait(20 * 3600)
        assert len(world.sent) == 1
        await world.wait(7 * 3600)
        assert len(world.sent) == 2


async def test_a_refusal_is_asked_about_again_when_the_device_registers_anew_but_not_each_minute() -> None:
    async with World() as world:
        world.answer(489)
        await world.online()
        await world.offline()
        world.devices.online.add(DEVICE)
        await world.registers("r2", is_new=True)
        assert len(world.sent) == 1
        await world.wait(601)
        await world.registers("r3", is_new=True)
        assert len(world.sent) == 2


@pytest.mark.parametrize(
    ("topic", "events"),
    [(Topic.CATALOG, ["Catalog", "presence"]), (Topic.MOBILE_POSITION, ["presence", "MobilePosition"])],
)
async def test_a_device_that_does_not_know_the_event_is_asked_by_the_other_name_of_it(topic: Topic, events: list[str]) -> None:
    """2016 J.20 prints `presence` for the catalogue of a device, Annex P `Catalog;id=…` between domains."""
    async with World(alarm=False, **{topic.value: True}) as world:
        world.signalling.in_dialog_answer = lambda sent: SipResponse(
            489 if str(sent.headers["event"]).startswith(f"{events[0]};") else 200, "", {}, b""
        )
        await world.online()
        assert [str(sent.headers["event"]).partition(";id=")[0] for sent in world.sent] == events
        assert len({str(sent.headers["event"]).partition(";id=")[2] for sent in world.sent}) == 1
        assert world.view(topic).subscription.state == "active"
        await world.wait(3600)
        assert world.sent[-1].headers["event"] == world.sent[1].headers["event"], "a renewal repeats it"
        assert len(world.sent) == 3


async def test_ptz_position_is_not_asked_of_an_edition_that_lacks_it() -> None:
    async with World(alarm=False, ptz_position=True) as world:
        await world.online()
        assert world.sent == []
        subscription = world.view(Topic.PTZ_POSITION).subscription
        assert subscription.state == "refused"
        assert "edition 2016" in subscription.reason
        with pytest.raises(NotInEdition):
            world.service.change(DEVICE, Topic.PTZ_POSITION, ON)


# --- restarts ----------------------------------------------------------------------------------------------------------


async def test_after_our_restart_the_dialog_goes_on() -> None:
    store = FakeSubscriptionStore()
    async with World(store=store) as before:
        await before.online()
        dialog = before.dialog
        clock = before.clock
    async with World(store=store, clock=clock) as world:
        notice = world.service.notified(world.notify(NOTIFY), DEVICE, NOTIFY)
        assert notice.status == 200
        await world.online()
        assert world.sent == []
        await world.wait(0.75 * 3600)
        [renewal] = world.sent
        assert renewal.dialog.call_id == dialog.call_id


async def test_after_our_long_absence_a_new_dialog_is_made() -> None:
    store = FakeSubscriptionStore()
    async with World(store=store) as before:
        await before.online()
        clock = before.clock
    clock.advance(2 * 3600)
    async with World(store=store, clock=clock) as world:
        old = before.dialog
        await world.online()
        assert world.dialog.call_id == world.sent[-1].dialog.call_id
        assert world.view().subscription.state == "active"
        assert world.view().subscription.expires_at > clock.utc()  # type: ignore[operator]
        assert old is not None


async def test_a_device_that_registers_from_offline_gets_a_new_dialog() -> None:
    """Q77: re-subscribe on every REGISTER from offline."""
    async with World() as world:
        await world.online()
        await world.offline()
        world.devices.online.add(DEVICE)
        await world.registers("r2", is_new=True)
        assert len(world.sent) == 2
        assert world.sent[1].dialog.call_id != world.sent[0].dialog.call_id


async def test_a_device_that_restarted_before_anybody_missed_it_is_asked_in_its_dialog() -> None:
    """Q77: another Call-ID of REGISTER may mean a reboot; one that forgot the dialog says so."""
    async with World() as world:
        await world.online()
        await world.registers("r1", is_new=False)
        assert len(world.sent) == 1
        await world.registers("r2", is_new=False)
        assert [sent.dialog.call_id for sent in world.sent] == [world.sent[0].dialog.call_id] * 2
        await world.registers("r2", is_new=False)
        assert len(world.sent) == 2


async def test_nothing_is_sent_to_a_device_that_is_offline() -> None:
    async with World() as world:
        await world.online()
        await world.offline()
        await world.wait(3 * 3600)
        assert len(world.sent) == 1


# --- switches ----------------------------------------------------------------------------------------------------------


async def test_switched_off_it_is_ended_with_expires_0() -> None:
    async with World() as world:
        await world.online()
        event = world.sent[0].headers["event"]
        world.service.change(DEVICE, Topic.ALARM, Wish(enabled=False))
        await world.wait(1)
        end = world.sent[-1]
        assert (end.headers["expires_s"], end.headers["event"]) == (0, event)
        assert end.dialog.call_id == world.sent[0].dialog.call_id
        assert world.view().subscription.state == "off"
        assert world.view().subscription.dialog is None
        await world.wait(2 * 3600)
        assert len(world.sent) == 2


async def test_a_removed_device_is_unsubscribed_and_forgotten() -> None:
    async with World() as world:
        await world.online()
        await world.offline("deleted")
        assert world.sent[-1].headers["expires_s"] == 0
        with pytest.raises(NotFound):
            world.service.subscriptions(DEVICE)
        assert world.service.gauges()["active"] == 0


async def test_a_device_removed_while_it_was_asked_is_unsubscribed() -> None:
    async with World() as world:
        world.service.change(DEVICE, Topic.ALARM, ON)
        world.clock.advance(1)
        world.service.expire()
        await asyncio.sleep(0)  # the request has left, its answer has not come
        assert len(world.sent) == 1
        await world.offline("deleted")
        assert [sent.headers["expires_s"] for sent in world.sent][-1] == 0


async def test_other_times_are_asked_for_at_once_and_survive_a_restart() -> None:
    store = FakeSubscriptionStore()
    async with World(store=store) as world:
        await world.online()
        world.service.change(DEVICE, Topic.MOBILE_POSITION, Wish(enabled=True, expires_s=600, interval_s=30))
        await world.wait(1)
        sent = world.sent[-1]
        assert sent.headers["expires_s"] == 600
        command = parse(sent.body).command
        assert isinstance(command, MobilePositionQuery)
        assert command.interval == 30
    async with World(store=store) as world:
        assert world.view(Topic.MOBILE_POSITION).interval_s == 30


@pytest.mark.parametrize("wish", [Wish(expires_s=10), Wish(expires_s=10**9), Wish(interval_s=0)])
async def test_a_time_out_of_range_is_refused(wish: Wish) -> None:
    async with World() as world:
        with pytest.raises(Invalid):
            world.service.change(DEVICE, Topic.ALARM, wish)


async def test_channels_that_are_subscribed_to_one_by_one_are_bounded() -> None:
    async with World() as world:
        for number in range(100, 300):
            world.service.change(DEVICE, Topic.MOBILE_POSITION, ON, target=f"3402000000132{number:07d}")
        with pytest.raises(Conflict):
            world.service.change(DEVICE, Topic.MOBILE_POSITION, ON, target=CAMERA)
        with pytest.raises(Invalid):
            world.service.change(DEVICE, Topic.ALARM, ON, target="not an id")


# --- NOTIFY ------------------------------------------------------------------------------------------------------------


async def test_a_notify_in_a_dialog_of_ours_is_200_and_counted() -> None:
    async with World() as world:
        await world.online()
        assert world.service.notified(world.notify(NOTIFY), DEVICE, NOTIFY).status == 200
        assert world.view().notified == 1


async def test_a_notify_of_a_dialog_that_is_forgotten_is_481() -> None:
    async with World() as world:
        await world.online()
        assert world.service.notified(world.notify(NOTIFY, call_id="old@x"), DEVICE, NOTIFY).status == 481
        assert world.service.notified(world.notify(call_id="old@x"), DEVICE, None).status == 481


async def test_its_last_word_is_no_stale_notify() -> None:
    async with World() as world:
        last = world.notify(call_id="old@x", state="terminated;reason=timeout")
        assert world.service.notified(last, DEVICE, None).status == 200


async def test_a_keepalive_in_a_notify_frightens_nobody() -> None:
    async with World() as world:
        keepalive = Keepalive(sn=1, device_id=DEVICE)
        assert world.service.notified(world.notify(keepalive, call_id="x@x"), DEVICE, keepalive).status == 200


async def test_a_notify_without_a_dialog_is_200_where_there_ought_to_be_one() -> None:
    """Q29, Q78: no To tag and a Call-ID of its own, from a device that is subscribed to."""
    async with World() as world:
        await world.online()
        assert world.service.notified(world.notify(NOTIFY, call_id="own@x", to_tag=""), DEVICE, NOTIFY).status == 200
        world.service.change(DEVICE, Topic.ALARM, Wish(enabled=False))
        await world.wait(1)
        assert world.service.notified(world.notify(NOTIFY, call_id="own@x", to_tag=""), DEVICE, NOTIFY).status == 481


async def test_a_notify_that_overtakes_the_answer_is_200() -> None:
    async with World() as world:
        world.service.change(DEVICE, Topic.ALARM, ON)
        world.clock.advance(1)
        world.service.expire()
        await asyncio.sleep(0)  # the request has left, its answer has not come
        assert world.service.notified(world.notify(NOTIFY, call_id="sub1@192.0.2.10"), DEVICE, NOTIFY).status == 200


async def test_a_subscription_that_its_device_ended_is_made_again() -> None:
    async with World() as world:
        await world.online()
        await world.wait(600)
        world.service.notified(world.notify(state="terminated;reason=deactivated"), DEVICE, None)
        await world.wait(5)
        assert world.view().subscription.state == "active"
        assert world.sent[-1].dialog.call_id != world.sent[0].dialog.call_id


async def test_one_that_is_ended_as_soon_as_it_is_made_is_made_again_after_a_pause_only() -> None:
    async with World() as world:
        await world.online()
        world.service.notified(world.notify(state="terminated"), DEVICE, None)
        await world.wait(5)
        assert len(world.sent) == 1
        await world.wait(60)
        assert len(world.sent) == 2


async def test_one_that_its_device_rejects_is_remembered_as_refused() -> None:
    async with World() as world:
        await world.online()
        world.service.notified(world.notify(state="terminated;reason=rejected"), DEVICE, None)
        await world.wait(3600)
        assert world.view().subscription.state == "refused"
        assert rendered(world.view().subscription.reason, "zh") == "设备终止了此订阅：rejected"
        assert len(world.sent) == 1


async def test_where_the_device_counts_less_time_it_is_renewed_before_that() -> None:
    async with World() as world:
        await world.online()
        world.service.notified(world.notify(NOTIFY, state="active;expires=100;retry-after=0"), DEVICE, NOTIFY)
        await world.wait(90)
        assert len(world.sent) == 2


async def test_the_notify_of_another_device_under_this_call_id_is_stale() -> None:
    async with World() as world:
        await world.online()
        other = DeviceId("34020000001110000099")
        assert world.service.notified(world.notify(NOTIFY), other, NOTIFY).status == 481


async def test_the_owner_of_a_dialog_is_found_by_its_call_id() -> None:
    async with World() as world:
        await world.online()
        assert world.service.owners(world.notify()) == [DEVICE]
        assert world.service.owners(world.notify(call_id="x@x")) == []


# --- many --------------------------------------------------------------------------------------------------------------


async def test_thousands_that_come_at_once_are_asked_at_a_pace() -> None:
    async with World(per_s=10, parallel=1000) as world:
        devices = [DeviceId(f"3402000000111{number:07d}") for number in range(300)]
        for device_id in devices:
            world.devices.known[device_id] = replace(Device(device_id), registration=world.devices.registration("r"))
            world.devices.online.add(device_id)
        for device_id in devices:
            world.bus.publish(DeviceOnline(device_id))
        await world.wait(5)
        assert len(world.sent) <= 60
        await world.wait(40)
        assert len(world.sent) == 300


async def test_a_change_while_the_device_is_asked_counts_afterwards() -> None:
    async with World() as world:
        world.service.change(DEVICE, Topic.ALARM, ON)
        world.clock.advance(1)
        world.service.expire()
        await asyncio.sleep(0)
        world.service.change(DEVICE, Topic.ALARM, Wish(enabled=False))
        await world.wait(10)
        assert world.sent[-1].headers["expires_s"] == 0
        assert world.view().subscription.state == "off"


async def test_every_change_of_state_is_told() -> None:
    async with World() as world:
        world.answer(489)
        await world.online()
        assert [(change.state, change.status) for change in world.changes] == [("refused", 489)]
        assert ALARM in world.store.subscriptions


async def test_in_a_storm_neither_renewals_nor_operators_wait() -> None:
    async with World(catalog=True, expires_s=3600) as world:
        await world.online()
        assert len(world.sent) == 2
        world.may_ask = False
        await world.wait(3600)
        assert len(world.sent) == 4
        world.service.change(DEVICE, Topic.MOBILE_POSITION, ON)
        await world.wait(1)
        assert len(world.sent) == 5


async def test_in_a_storm_a_device_that_comes_waits_for_its_turn() -> None:
    async with World() as world:
        world.may_ask = False
        await world.online()
        assert world.sent == []
        world.may_ask = True
        await world.wait(1)
        assert len(world.sent) == 1
