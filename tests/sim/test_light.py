"""Light devices: registration, keepalive and loss by the clock; then a crowd of them over sockets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from gb28181.errors import Invalid
from gb28181.sim.light.crowd import Crowd, Plan
from gb28181.sim.light.figures import Figures, Latencies
from tests.sim.platform import NONCE, Platform, cut, expected_digest, response

PLAN = Plan(count=1, password="12345678", keepalive_s=10, retry_s=60, over_s=0)
REALM = "3402000000"


class Server:
    """Answers what a crowd sends, one request at a time, when the test wants it."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.crowd = Crowd(plan, [f"127.16.0.{n + 1}:5060" for n in range(plan.count)], 0.0)
        self.now = 0.0

    def until(self, now: float) -> list[bytes]:
        """Lets time pass; returns what was sent meanwhile."""
        self.now = now
        self.crowd.expire(now)
        return [data for _, data in self.crowd.packets_to_send()]

    def reply(self, request: bytes, status: int, *extra: str) -> list[bytes]:
        answer = response(cut(request, lambda _: None), status, "Because", list(extra))
        self.crowd.receive(0, answer, self.now)
        return [data for _, data in self.crowd.packets_to_send()]

    def registered(self, now: float = 1.0) -> None:
        [first] = self.until(now)
        [second] = self.reply(first, 401, challenge())
        assert self.reply(second, 200, "Expires: 3600") == []


def challenge(more: str = "") -> str:
    return f'WWW-Authenticate: Digest realm="{REALM}",nonce="{NONCE}",algorithm=MD5{more}'


def test_a_device_answers_the_challenge_with_the_real_digest() -> None:
    server = Server()
    [first] = server.until(1.0)
    assert b"Authorization" not in first
    [second] = server.reply(first, 401, challenge())
    sent = cut(second, lambda _: None).headers
    digest = expected_digest(sent["authorization"], "12345678", qop=False)
    assert f'response="{digest}"' in sent["authorization"]
    assert sent["call-id"] == cut(first, lambda _: None).headers["call-id"]
    server.reply(second, 200, "Expires: 3600")
    assert server.crowd.figures.registered == 1


def test_a_request_is_repeated_as_rfc_3261_says_and_given_up_after_32_seconds() -> None:
    server = Server()
    sent = [(0.1 * step, data) for step in range(1, 400) for data in server.until(0.1 * step)]
    times = [round(at - sent[0][0], 1) for at, _ in sent if at < 30]
    assert times[:6] == pytest.approx([0.0, 0.5, 1.5, 3.5, 7.5, 11.5], abs=0.21)
    assert len({data for _, data in sent}) == 1
    assert server.crowd.figures.failed == 1
    assert server.crowd.figures.unanswered == {"REGISTER": 1}
    assert server.until(90.0) == []
    assert server.until(110.0)


def test_keepalives_come_at_their_interval_and_the_third_unanswered_one_ends_the_registration() -> None:
    server = Server()
    server.registered()
    [keepalive] = server.until(11.5)
    assert b"<CmdType>Keepalive</CmdType>" in keepalive
    server.reply(keepalive, 200)
    assert server.crowd.figures.keepalives_answered == 1
    kinds = [data.split(b" ")[0] for step in range(120, 700) for data in server.until(step / 10)]
    assert kinds.index(b"REGISTER") > 0
    assert server.crowd.figures.lost == 1


def test_a_refused_keepalive_makes_it_register_at_once() -> None:
    server = Server()
    server.registered()
    [keepalive] = server.until(11.5)
    [register] = server.reply(keepalive, 403)
    assert register.startswith(b"REGISTER")
    assert server.crowd.figures.registered == 0


def test_a_server_that_is_busy_says_when_to_come_back() -> None:
    server = Server()
    [first] = server.until(1.0)
    assert server.reply(first, 503, "Retry-After: 5") == []
    assert server.until(5.0) == []
    assert server.until(8.0)


def test_a_stale_nonce_is_answered_once_more_a_wrong_password_is_not() -> None:
    server = Server()
    [first] = server.until(1.0)
    [second] = server.reply(first, 401, challenge())
    [third] = server.reply(second, 401, challenge(",stale=true"))
    assert b"Authorization" in third
    assert server.reply(third, 401, challenge()) == []
    assert server.crowd.figures.failed == 1


def test_the_registration_is_renewed_before_it_ends() -> None:
    server = Server()
    [first] = server.until(1.0)
    [second] = server.reply(first, 401, challenge())
    server.reply(second, 200, "Expires: 20")
    kinds = {data.split(b" ")[0] for step in range(10, 180) for data in server.until(step / 10)}
    assert b"REGISTER" in kinds
    assert server.crowd.figures.registered == 1


def test_a_query_is_answered_once_however_often_it_comes() -> None:
    server = Server()
    server.registered()
    query = Platform().request("MESSAGE", server.crowd.code(0), "q1", body=b"<Query><CmdType>Catalog</CmdType><SN>9</SN>"
                               b"<DeviceID>34020000001320000001</DeviceID></Query>")  # fmt: skip
    for turn in range(2):
        server.crowd.receive(0, query, server.now)
        sent = [data for _, data in server.crowd.packets_to_send()]
        assert sent[0].startswith(b"SIP/2.0 200")
        assert len(sent) == 2 - turn
    assert server.crowd.figures.asked == {"MESSAGE": 1}


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"SIP/2.0 ", b"SIP/2.0 200 OK\r\n\r\n", b"\xff" * 50, b"MESSAGE", b"INVITE x\r\n\r\n"]
)
def test_any_datagram_does_no_harm(data: bytes) -> None:
    Server().crowd.receive(0, data, 0.0)


def test_latencies_are_told_to_five_per_cent() -> None:
    kept = Latencies()
    for ms in range(1, 1001):
        kept.add(ms / 1000)
    assert kept.ms(0.5) == pytest.approx(500, rel=0.06)
    assert kept.ms(0.99) == pytest.approx(990, rel=0.06)
    assert Latencies().ms(0.5) is None


def test_figures_of_several_processes_are_added() -> None:
    total = Figures()
    for _ in range(2):
        total.add(Figures(devices=3, statuses={"401": 2}))
    assert total.devices == 6
    assert total.statuses == {"401": 4}


@pytest.mark.parametrize(
    "changes", [{"count": 0}, {"first_id": "1"}, {"first_id": "34020000001329999999", "count": 2}, {"keepalive_s": 0}]
)
def test_a_plan_that_cannot_be_carried_out_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        Plan(**{"count": 1, **changes})  # type: ignore[arg-type]


async def test_a_crowd_registers_over_sockets_each_with_a_port_of_its_own(platform: Platform, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gb28181", "sim", "--light", "30", "--light-over", "0.2", "--keepalive", "0.5",
        "--server", f"127.0.0.1:{platform.port}", "--report", str(report),
        env={**os.environ, "GB28181_SIM_PASSWORD": "12345678"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    senders = set()
    async with asyncio.timeout(30):
        while platform.keepalives.qsize() < 60:
            await asyncio.sleep(0.05)
    while platform.registers.qsize():
        found = re.search(r"@([\d.]+:\d+)>", platform.registers.get_nowait().headers["contact"])
        assert found
        senders.add(found[1])
    process.send_signal(signal.SIGTERM)
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert len(senders) == 30
    assert len({sender.partition(":")[0] for sender in senders}) == 27  # every tenth shares an address
    row = json.loads(said)
    assert row["registered"] == json.loads(report.read_text())["registered"] == 30
