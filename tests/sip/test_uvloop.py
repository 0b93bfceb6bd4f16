"""What the server does on asyncio's loop it does on uvloop, which is what the control process runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from . import test_borders, test_server, test_ways


def test_everything_works_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")
    failures: list[dict[str, object]] = []

    async def watched(scenario: Callable[[], Awaitable[None]]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        await scenario()

    for scenario in (
        test_server.test_a_device_registers_over_udp_with_a_challenge,
        test_server.test_a_device_registers_over_tcp_on_the_same_port_and_is_asked_over_that_connection,
        test_server.test_a_call_is_made_acknowledged_and_ended,
        test_server.test_a_peer_that_is_silent_is_a_timeout,
        lambda: test_ways.test_a_server_with_several_addresses_answers_from_the_one_that_was_written_to("0.0.0.0"),
        test_borders.test_junk_on_one_connection_leaves_the_others_alone,
    ):
        uvloop.run(watched(scenario))
    assert failures == []
