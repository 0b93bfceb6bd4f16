"""Who is answered what, and which handler gets it (quirks Q12, Q13, Q31, Q32, Q36, W3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from gb28181.errors import Conflict, Gb28181Error, MisuseError, NotFound, PeerTimeout, Unavailable, Unreachable, WireError
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogQuery
from gb28181.manscdp.commands.notify import Keepalive, MediaStatus
from gb28181.ports import SipRequest
from gb28181.router import Admission, Inbound, Router, Routes, status_of
from tests.fakes import CAMERA, DEVICE, HOME, FakeSignalling, message, request


class FakePeers:
    """One registered device at one host."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.neighbour: DeviceId | None = None
        self.heard: list[DeviceId] = []

    def admit(self, device_id: DeviceId, request: SipRequest) -> Admission:
        return "accepted" if device_id == DEVICE and request.route.remote.host == HOME.host else "refused"

    def at_address(self, request: SipRequest) -> DeviceId | None:
        return self.neighbour

    def seen(self, device_id: DeviceId) -> None:
        self.heard.append(device_id)

    def told(self, device_id: DeviceId, command: object) -> None: ...

    def count_faults(self, device_id: DeviceId, faults: Mapping[str, int]) -> None:
        self.faults.update(faults)


class World:
    def __init__(self, *routes: Routes, by_call: Mapping[str, DeviceId] | None = None) -> None:
        self.signalling = FakeSignalling()
        self.peers = FakePeers()
        self.heard: list[Inbound[object]] = []
        calls = by_call or {}
        self.router = Router(
            self.signalling,
            self.peers,
            routes or ({Keepalive: self.heard.append, MediaStatus: self.heard.append},),
            finders=[
                lambda request: [calls[request.call_id]] if request.call_id in calls else [],
                lambda request: [DeviceId("other"), DEVICE] if request.user == CAMERA else [],
            ],
        )

    async def send(self, request: SipRequest) -> int:
        await self.router.handle(request)
        return self.signalling.status


KEEPALIVE = Keepalive(sn=1, device_id=DEVICE)


async def test_a_message_is_answered_before_the_work_is_done() -> None:
    world = World()

    def handler(_inbound: Inbound[object]) -> None:
        assert world.signalling.status == 200

    world.router = Router(world.signalling, world.peers, [{Keepalive: handler}])
    await world.send(message(KEEPALIVE))
    assert world.router.counters() == {}


async def test_the_handler_gets_command_and_device() -> None:
    world = World()
    assert await world.send(message(KEEPALIVE)) == 200
    [inbound] = world.heard
    assert (inbound.command, inbound.device_id) == (KEEPALIVE, DEVICE)


async def test_an_unknown_sender_is_refused_with_403() -> None:
    world = World()
    assert await world.send(message(KEEPALIVE, "34020000001320000099")) == 403
    assert world.heard == []


async def test_a_message_from_a_channel_is_that_of_its_device() -> None:
    world = World()
    assert await world.send(message(MediaStatus(sn=1, device_id=CAMERA), CAMERA)) == 200
    assert world.heard[0].device_id == DEVICE


async def test_a_message_of_a_session_is_known_by_its_call_id() -> None:
    world = World(by_call={"live@1": DEVICE})
    assert await world.send(message(MediaStatus(sn=1, device_id=CAMERA), "someone", call_id="live@1")) == 200
    assert world.heard[0].device_id == DEVICE


async def test_the_source_address_is_the_last_resort() -> None:
    world = World()
    world.peers.neighbour = DEVICE
    assert await world.send(message(KEEPALIVE, "someone")) == 200
    assert world.heard[0].device_id == DEVICE


async def test_what_is_no_xml_is_400_and_counted() -> None:
    world = World()
    assert await world.send(request("MESSAGE", body=b"hello")) == 400
    assert world.peers.faults == {"refused-xml": 1}


async def test_tolerated_faults_are_counted_for_the_device() -> None:
    world = World()
    await world.send(request("MESSAGE", body=b"<Notify><CmdType>Keepalive</CmdType>", faults=("wrong-content-length",)))
    assert world.peers.faults["wrong-content-length"] == 1
    assert world.peers.faults["truncated"] == 1


@pytest.mark.parametrize("body", [b"<Notify><CmdType>Weather</CmdType></Notify>", b"<Query><CmdType>Catalog</CmdType></Query>"])
async def test_a_command_that_nobody_handles_is_answered_200_and_counted(body: bytes) -> None:
    world = World()
    assert await world.send(request("MESSAGE", body=body)) == 200
    assert world.router.counters() == {"command_unknown": 1}


async def test_options_is_answered_with_what_we_take() -> None:
    world = World()
    assert await world.send(request("OPTIONS")) == 200
    assert "MESSAGE" in world.signalling.responses[-1].headers["Allow"]


@pytest.mark.parametrize(("method", "status"), [("REFER", 405), ("DANCE", 501)])
async def test_a_method_that_nobody_handles_is_refused(method: str, status: int) -> None:
    world = World()
    assert await world.send(request(method)) == status
    assert "Allow" in world.signalling.responses[-1].headers


def test_w8_every_error_has_a_status_that_sip_knows() -> None:
    kinds: list[type[Gb28181Error]] = [Gb28181Error]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if not issubclass(kind, WireError):  # says its own
            assert status_of(kind.__new__(kind)) in range(400, 700), kind


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE"])
async def test_q177_a_call_or_a_subscription_that_nobody_asked_for_is_forbidden(method: str) -> None:
    assert await World().send(request(method)) == 403


async def test_an_ack_is_never_answered() -> None:
    world = World()
    await world.router.handle(request("ACK"))
    assert world.signalling.responses == []


async def test_a_failing_method_is_answered_by_the_table() -> None:
    async def handler(_request: SipRequest) -> None:
        raise NotFound("no such dialog")

    assert await World({"BYE": handler}).send(request("BYE")) == 404


async def test_a_command_that_fails_later_is_counted_and_answered_once() -> None:
    async def handler(_inbound: Inbound[object]) -> None:
        raise Unreachable("gone")

    world = World({Keepalive: handler})
    assert await world.send(message(KEEPALIVE)) == 200
    assert len(world.signalling.responses) == 1
    assert world.router.counters() == {"handler_failed": 1}


def test_two_features_cannot_handle_the_same() -> None:
    async def method(_request: SipRequest) -> None: ...

    def command(_inbound: Inbound[object]) -> None: ...

    with pytest.raises(MisuseError):
        World({"BYE": method}, {"BYE": method})
    with pytest.raises(MisuseError):
        World({CatalogQuery: command}, {CatalogQuery: command})
    with pytest.raises(MisuseError):
        World({int: command})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WireError("x", status=488), 488),
        (NotFound("x"), 404),
        (Conflict("x"), 486),
        (PeerTimeout("x"), 408),
        (Unreachable("x"), 480),
        (Unavailable("x"), 503),
        (MisuseError("x"), 500),
    ],
)
def test_every_error_has_a_status(error: Exception, status: int) -> None:
    assert status_of(error) == status  # type: ignore[arg-type]


def test_a_request_whose_handler_waits_for_nothing_is_served_at_once() -> None:
    world = World()
    assert world.router.receive(message(KEEPALIVE)) is None
    assert world.signalling.status == 200
    assert len(world.heard) == 1


async def test_what_a_handler_waits_for_comes_back_and_its_failure_is_told() -> None:
    gate = asyncio.Event()

    async def refuse(request: SipRequest) -> None:
        await gate.wait()
        raise NotFound("no such call")

    world = World({"BYE": refuse})
    work = world.router.receive(request("BYE"))
    assert work is not None
    assert not world.signalling.responses
    gate.set()
    await work
    assert world.signalling.status == 404
