"""Live streams: one INVITE per channel, BYE on every way out, and what an operator is told when there is no picture."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.device.model import Address, DeviceMoved, DeviceOffline, DeviceOnline, DeviceRegistered
from gb28181.errors import NoPicture, NotFound, PeerTimeout
from gb28181.ids import DeviceId
from gb28181.messages import Progress, Snapshot, Statistics, StreamState
from gb28181.ports import SipRequest
from gb28181.session.diagnosis import unanswered
from gb28181.session.model import Dialog, IngestDown, IngestUp, Stage, StreamDown, StreamRecord
from tests.session.world import CHANNEL, DEVICE, KEY, ROUTE, World, answer_sdp, refusal, service, until


async def test_two_callers_share_one_invite_and_the_last_one_ends_it() -> None:
    world = World()
    async with service(world) as sessions:
        first, second = await asyncio.gather(sessions.open_live(KEY, user="a"), sessions.open_live(KEY, user="b"))
        assert world.log.count("INVITE udp") == 1
        assert [stage.stage for stage in first.stages] == [
            Stage.RESERVED, Stage.INVITED, Stage.TRYING, Stage.ANSWERED, Stage.FIRST_RTP, Stage.FIRST_PS, Stage.FIRST_KEY_FRAME,
        ]  # fmt: skip
        await sessions.close(first.session_id)
        assert not any(line.startswith("BYE") for line in world.log)
        await sessions.close(second.session_id)
        assert [line for line in world.log if line.startswith("BYE")] == ["BYE call-1"]
        assert world.receivers == {}
        await until(lambda: not world.records)


async def test_the_dialog_is_stored_before_the_ack() -> None:
    world = World()
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
    assert world.log[:4] == ["open receiver", "INVITE udp", "save", "ACK"]


async def test_a_second_session_after_the_first_ended_invites_again() -> None:
    world = World()
    async with service(world) as sessions:
        session = await sessions.open_live(KEY, user="a")
        await sessions.close(session.session_id)
        await sessions.open_live(KEY, user="a")
    assert world.log.count("INVITE udp") == 2


async def test_an_unknown_channel_is_not_found() -> None:
    world = World()
    async with service(world) as sessions:
        with pytest.raises(NotFound):
            await sessions.open_live(ChannelKey(DEVICE, DeviceId("1")), user="a")
        with pytest.raises(NotFound):
            await sessions.close("none")
    assert world.log == []


async def test_an_offline_device_is_never_invited() -> None:
    world = World(online=False)
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match="offline") as caught:
            await sessions.open_live(KEY, user="a")
    assert caught.value.stage == Stage.RESERVED
    assert world.log == []


@pytest.mark.parametrize(("status", "said"), [(486, "no more streams"), (404, "catalogue"), (403, "server ID")])
async def test_a_refusal_is_explained_and_leaves_nothing(status: int, said: str) -> None:
    world = World(answers=[refusal(status)])
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match=said) as caught:
            await sessions.open_live(KEY, user="a")
        assert caught.value.detail["sip_status"] == status
        await until(lambda: not world.receivers)
        assert sessions.sessions() == []
    assert "save" not in world.log


async def test_no_answer_names_the_stage_and_the_wait() -> None:
    world = World(answers=[PeerTimeout("no answer")])
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match="no final answer") as caught:
            await sessions.open_live(KEY, user="a")
        assert caught.value.stage == Stage.TRYING
        await until(lambda: not world.receivers)


@pytest.mark.parametrize("stage", [Stage.CONNECTED, Stage.FIRST_RTP, Stage.FIRST_KEY_FRAME])
def test_media_without_an_answer_is_named(stage: Stage) -> None:
    """A 200 whose Content-Length is too long over TCP never ends, and the device sends all the same (Q2)."""
    assert "sends media but no answer" in unanswered(stage, peer="device 1", waited=18.0)


async def test_an_answer_without_a_media_description_is_named_when_no_media_come() -> None:
    world = World(answers=[b""], reaches=())
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match="no media description"):
            await sessions.open_live(KEY, user="a", transport="udp")


async def test_no_rtp_after_the_answer_ends_with_bye_and_a_hint_at_the_firewall() -> None:
    world = World(reaches=())
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match="firewall") as caught:
            await sessions.open_live(KEY, user="a")
        assert caught.value.stage == Stage.ANSWERED
        await until(lambda: not world.receivers and not world.records)
    assert "BYE call-1" in world.log


async def test_a_stream_of_which_nothing_can_be_shown_is_no_answer_to_who_wants_to_watch() -> None:
    world = World(lack="the camera sends sound and no pictures")
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match="sound and no pictures") as caught:
            await sessions.open_live(KEY, user="a")
        assert caught.value.stage == Stage.FIRST_PS
        await until(lambda: not world.receivers and not world.records)
        assert sessions.sessions() == []
    assert "BYE call-1" in world.log


async def test_a_stream_of_which_nothing_can_be_shown_is_recorded_on() -> None:
    world = World(lack="the camera sends sound and no pictures")
    async with service(world) as sessions:
        await sessions.hold_for_recording(KEY)
        with pytest.raises(NoPicture, match="sound and no pictures"):
            await sessions.open_live(KEY, user="a")
        assert sessions.is_recording(KEY)
        (stream_id,) = world.receivers
        state = StreamState(stream_id, str(DEVICE), str(CHANNEL), "udp", 20000, width=1920, height=1080)
        world.bus.publish(Statistics(0, 0, 0.0, 0.0, 0, 0, (), (state,)))
        assert (await sessions.open_live(KEY, user="a")).session_id
    assert not any(line.startswith("BYE") for line in world.log)


async def test_488_to_tcp_is_followed_by_an_offer_of_udp() -> None:
    world = World(answers=[refusal(488)])
    world.device = world.device.with_changes(gb_version="3.0")
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
        assert [line for line in world.log if line.startswith("INVITE")] == ["INVITE tcp", "INVITE udp"]
        assert world.device.media_transport == "udp"


async def test_an_answer_of_rtp_avp_to_tcp_is_ended_and_udp_is_offered() -> None:
    world = World(answers=[answer_sdp()])
    world.device = world.device.with_changes(gb_version="2.0")
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
    assert [line for line in world.log if line.split()[0] in ("INVITE", "BYE")] == ["INVITE tcp", "BYE call-1", "INVITE udp"]


async def test_an_offer_is_ours_and_differs_from_every_other() -> None:
    """The code in `o=` is that of who sends the description (Annex G); the session id differs (Q100)."""
    world = World(answers=[answer_sdp()])
    world.device = world.device.with_changes(gb_version="2.0")
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
    first, second = (offer.split(b"\r\n")[1].split() for offer in world.offers)
    assert first[0] == second[0] == b"o=34020000002000000001"
    assert first[1] != second[1]


async def test_a_callers_wish_for_a_transport_is_offered_alone() -> None:
    world = World(answers=[refusal(488)])
    async with service(world) as sessions:
        with pytest.raises(NoPicture, match="488"):
            await sessions.open_live(KEY, user="a", transport="tcp")
    assert [line for line in world.log if line.startswith("INVITE")] == ["INVITE tcp"]


async def test_a_caller_who_goes_away_during_the_invite_cancels_it() -> None:
    world = World(hold_invite=asyncio.Event())
    async with service(world) as sessions:
        caller = asyncio.create_task(sessions.open_live(KEY, user="a"))
        await world.invited.wait()
        caller.cancel()
        await until(lambda: "CANCEL" in world.log and not world.receivers)
        assert sessions.sessions() == []


ELSEWHERE = replace(ROUTE, remote=Address("198.51.100.7", 5060))


@pytest.mark.parametrize("event", [DeviceMoved(DEVICE), DeviceRegistered(DEVICE, is_new=True)])
async def test_an_invite_to_where_the_device_was_is_sent_again_to_where_it_is(event: object) -> None:
    world = World(hold_invite=asyncio.Event())
    assert world.hold_invite is not None
    async with service(world) as sessions:
        callers = [asyncio.create_task(sessions.open_live(KEY, user=name)) for name in "ab"]
        await world.invited.wait()
        world.at = ELSEWHERE
        world.hold_invite.set()
        world.bus.publish(event)
        await asyncio.gather(*callers)
        assert world.invited_at == [ROUTE, ELSEWHERE]
        assert world.log[:6] == [
            "open receiver",
            "INVITE udp",
            "CANCEL",
            "close receiver closed",
            "open receiver",
            "INVITE udp",
        ]
        assert len(world.receivers) == 1
        assert sessions.counters()["redirected"] == 1
        assert sessions.counters()["failed"] == 0


async def test_an_invite_is_left_alone_when_the_device_registers_from_where_it_was() -> None:
    world = World(hold_invite=asyncio.Event())
    assert world.hold_invite is not None
    async with service(world) as sessions:
        caller = asyncio.create_task(sessions.open_live(KEY, user="a"))
        await world.invited.wait()
        world.bus.publish(DeviceRegistered(DEVICE, is_new=True))
        world.at = ELSEWHERE
        world.bus.publish(DeviceRegistered(DEVICE, is_new=False))
        world.hold_invite.set()
        await caller
        assert world.invited_at == [ROUTE]


async def test_a_stream_that_delivers_stays_when_its_device_moves() -> None:
    world = World()
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
        world.at = ELSEWHERE
        world.bus.publish(DeviceMoved(DEVICE))
        world.bus.publish(DeviceRegistered(DEVICE, is_new=True))
        await asyncio.sleep(0)
        assert world.invited_at == [ROUTE]
        assert not {"CANCEL", "BYE call-1"} & set(world.log)


async def test_a_device_that_moves_on_and_on_is_given_up() -> None:
    world = World(hold_invite=asyncio.Event())
    async with service(world) as sessions:
        caller = asyncio.create_task(sessions.open_live(KEY, user="a"))
        for moves in range(1, 7):
            await until(lambda count=moves: len(world.invited_at) == count)  # type: ignore[misc]
            world.at = replace(ROUTE, remote=Address("198.51.100.7", 40000 + moves))
            world.bus.publish(DeviceMoved(DEVICE))
        with pytest.raises(NoPicture, match="ever new addresses"):
            await caller
        assert len(world.invited_at) == 6
        assert world.receivers == {}


async def test_a_caller_who_goes_away_after_a_move_cancels_the_new_invite() -> None:
    world = World(hold_invite=asyncio.Event())
    async with service(world) as sessions:
        caller = asyncio.create_task(sessions.open_live(KEY, user="a"))
        await world.invited.wait()
        world.at = ELSEWHERE
        world.bus.publish(DeviceMoved(DEVICE))
        await until(lambda: len(world.invited_at) == 2)
        caller.cancel()
        await until(lambda: world.log.count("CANCEL") == 2 and not world.receivers)


async def test_a_missing_y_and_a_different_one_are_both_accepted() -> None:
    """Quirk Q80."""
    for body in (answer_sdp().replace(b"y=0200000001\r\n", b""), answer_sdp(ssrc="0200009999"), b""):
        world = World(answers=[body])
        async with service(world) as sessions:
            await sessions.open_live(KEY, user="a")


async def test_recording_and_viewing_are_separate_holders() -> None:
    """W29: whoever leaves, the other goes on."""
    world = World()
    async with service(world) as sessions:
        session = await sessions.open_live(KEY, user="a")
        await sessions.hold_for_recording(KEY)
        assert "recording True" in world.log
        assert sessions.is_recording(KEY)
        await sessions.close(session.session_id)
        assert not any(line.startswith("BYE") for line in world.log)
        sessions.release_recording(KEY)
        await until(lambda: "BYE call-1" in world.log)


async def test_recording_that_is_switched_off_stops_at_once_though_somebody_watches() -> None:
    world = World()
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
        await sessions.hold_for_recording(KEY)
        sessions.release_recording(KEY)
        assert [line for line in world.log if line.startswith("recording")][-1] == "recording False"
        assert not any(line.startswith("BYE") for line in world.log)


async def test_a_bye_of_the_device_is_answered_and_ends_the_stream() -> None:
    world = World()
    ended: list[StreamDown] = []
    world.bus.subscribe(StreamDown, ended.append)
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
        await sessions.bye(replace(_request("call-1"), route=ELSEWHERE))  # whoever has heard of the call (S7)
        assert world.responses == [481]
        await sessions.bye(replace(_request("call-1"), route=replace(ROUTE, remote=Address(ROUTE.remote.host, 9))))
        await sessions.bye(_request("unknown"))
        await until(lambda: bool(ended))
        assert world.responses == [481, 200, 481]
        assert ended[0].cause == "device_bye"
        assert "BYE call-1" not in world.log


async def test_an_info_in_a_call_leaves_it_as_it_is() -> None:
    world = World()
    async with service(world) as sessions:
        session = await sessions.open_live(KEY, user="a")
        await sessions.info(_request("call-1"))
        await sessions.info(replace(_request("call-1"), route=ELSEWHERE))
        await sessions.info(_request("unknown"))
        assert world.responses == [200, 481, 481]
        assert sessions.session(session.session_id).session_id == session.session_id


async def test_a_silent_stream_is_ended_and_may_be_opened_again() -> None:
    world = World()
    ended: list[StreamDown] = []
    world.bus.subscribe(StreamDown, ended.append)
    async with service(world, silence_s=0.01, lost_after_s=0.02) as sessions:
        await sessions.open_live(KEY, user="a")
        (stream_id,) = world.receivers
        world.bus.publish(Progress(stream_id, "silent", 1))
        await until(lambda: bool(ended))
        assert ended[0].cause == "silent"
        await sessions.open_live(KEY, user="b")


async def test_a_missed_keepalive_does_not_end_a_stream_that_delivers_but_a_deregistration_does() -> None:
    world = World()
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
        world.bus.publish(DeviceOffline(DEVICE, "keepalive_timeout"))
        await asyncio.sleep(0)
        assert not any(line.startswith("BYE") for line in world.log)
        world.bus.publish(DeviceOffline(DEVICE, "deregistered"))
        await until(lambda: "BYE call-1" in world.log)


async def test_a_session_that_nobody_watches_ends_and_a_watched_one_stays() -> None:
    world = World()
    async with service(world) as sessions:
        await sessions.open_live(KEY, user="a")
        sessions.viewers({KEY: 1})
        sessions._sweep_once(asyncio.get_running_loop().time())
        assert len(sessions.sessions()) == 1
        sessions.viewers({})
        await until(lambda: sessions.sessions() == [])
        await until(lambda: "BYE call-1" in world.log)


async def test_a_bye_that_is_never_answered_does_not_hold_the_channel() -> None:
    world = World(bye_answered=False)
    async with service(world) as sessions:
        session = await sessions.open_live(KEY, user="a")
        await sessions.close(session.session_id)
        await sessions.open_live(KEY, user="a")
    assert world.log.count("INVITE udp") == 2


async def test_a_bye_after_its_ingest_died_has_the_ingest_as_cause() -> None:
    world = World()
    ended: list[StreamDown] = []
    world.bus.subscribe(StreamDown, ended.append)
    async with service(world) as sessions:
        await sessions.hold_for_recording(KEY)
        world.bus.publish(IngestDown("ingest-0", 7))
        await sessions.bye(_request("call-1"))
        await until(lambda: bool(ended))
    assert ended[0].cause == "ingest_restarted"


async def test_a_camera_that_heard_no_bye_is_told_again_when_it_is_back() -> None:
    world = World(bye_answered=False)
    async with service(world) as sessions:
        session = await sessions.open_live(KEY, user="a")
        await sessions.close(session.session_id)
        assert world.log.count("BYE call-1") == 1
        assert world.records
        world.bye_answered = True
        world.bus.publish(DeviceOnline(DEVICE))
        await until(lambda: world.log.count("BYE call-1") == 2)
        await until(lambda: not world.records)


# --- after a restart of control -------------------------------------------------------------------------------


def _record(stream_id: str = "s1", *, epoch: int = 7, closing: bool = False) -> StreamRecord:
    dialog = Dialog("call-9", "<sip:us@d>", "a", f"<sip:{CHANNEL}@d>", "b", f"sip:{CHANNEL}@192.0.2.20", (), 1, ROUTE)
    return StreamRecord(stream_id, KEY, "ingest-0", epoch, "udp", 20000, 200000001, dialog, Clock().utc(), closing)


def _held(stream_id: str = "s1") -> StreamState:
    now = Clock().utc_us()
    return StreamState(
        stream_id, str(DEVICE), str(CHANNEL), "udp", 20000, recording=True, first_rtp_at=now, first_ps_at=now,
        first_key_frame_at=now, last_media_at=now, segment_start=now,
    )  # fmt: skip


async def test_a_running_stream_is_adopted_without_a_word_to_the_camera() -> None:
    world = World(records={"s1": _record()})
    async with service(world) as sessions:
        world.bus.publish(IngestUp("ingest-0", 7, Snapshot(1, (_held(),))))
        await until(lambda: sessions.is_recording(KEY))
        assert not any(line.split()[0] in ("INVITE", "BYE") for line in world.log)
        assert sessions.owner_of_call("call-9") == KEY
        await sessions.open_live(KEY, user="a")
        assert "INVITE udp" not in world.log


@pytest.mark.parametrize(
    ("record", "held"),
    [
        pytest.param(_record(), (), id="receiver-gone"),
        pytest.param(_record(epoch=6), (_held(),), id="ingest-restarted"),
        pytest.param(_record(closing=True), (_held(),), id="was-being-closed"),
    ],
)
async def test_a_dialog_without_a_receiver_is_ended(record: StreamRecord, held: tuple[StreamState, ...]) -> None:
    world = World(records={"s1": record})
    async with service(world):
        world.bus.publish(IngestUp("ingest-0", 7, Snapshot(1, held)))
        await until(lambda: "BYE call-9" in world.log and not world.records)


async def test_a_receiver_that_nobody_knows_is_closed() -> None:
    world = World()
    async with service(world):
        world.bus.publish(IngestUp("ingest-0", 7, Snapshot(1, (_held("leaked"),))))
        await until(lambda: "close receiver closed" in world.log)


async def test_streams_of_an_ingest_that_was_restarted_end_with_bye() -> None:
    world = World()
    ended: list[StreamDown] = []
    world.bus.subscribe(StreamDown, ended.append)
    async with service(world) as sessions:
        await sessions.hold_for_recording(KEY)
        world.bus.publish(IngestUp("ingest-0", 8, Snapshot(1, ())))
        await until(lambda: bool(ended))
        assert ended[0].cause == "ingest_restarted"
        assert "BYE call-1" in world.log


def _request(call_id: str) -> SipRequest:
    return SipRequest("BYE", "sip:x", "x", str(CHANNEL), "", call_id, "a", "b", 2, {}, "", b"", ROUTE)
