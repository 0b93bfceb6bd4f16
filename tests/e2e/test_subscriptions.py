"""A subscription to alarms survives kill -9 of control and the device's reboot; its alarms arrive (§9.11; quirk Q77)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.notifier import Device
from tests.e2e.platform import Platform, platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio]
DEVICE = "34020000001320777001"


@asynccontextmanager
async def device(server: Platform) -> AsyncIterator[Device]:
    made = Device(DEVICE, ("127.0.0.1", server.sip_port))
    await made.start()
    try:
        await made.register()
        yield made
    finally:
        made.close()


@asynccontextmanager
async def events(server: Platform) -> AsyncIterator[asyncio.Queue[dict[str, Any]]]:
    assert server.client is not None
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with server.client.ws_connect(f"{server.url}/api/v1/events") as socket:
        await socket.send_json({"token": server.token})

        async def read() -> None:
            async for message in socket:
                queue.put_nowait(json.loads(message.data))

        reader = asyncio.create_task(read())
        try:
            async with asyncio.timeout(60):
                while (await queue.get())["type"] != "ready":
                    pass
            yield queue
        finally:
            reader.cancel()


async def raised(queue: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (event := await queue.get())["type"] != "alarm_raised":
            pass
        return event


async def granted(server: Platform) -> dict[str, Any] | None:
    try:
        items = (await server.call("GET", f"/devices/{DEVICE}/subscriptions"))["items"]
    except (AssertionError, aiohttp.ClientError):
        return None
    return next((item for item in items if item["topic"] == "alarm" and item["state"] == "active"), None)


async def alarms(server: Platform, count: int) -> list[dict[str, Any]] | None:
    try:
        items = (await server.call("GET", "/alarms", device_id=DEVICE))["items"]
    except (AssertionError, aiohttp.ClientError):
        return None
    return items if len(items) >= count else None


async def test_an_alarm_subscription_survives_a_kill_of_control_and_a_reboot_of_the_device(tmp_path: Path) -> None:
    now = datetime.now(timezone(timedelta(hours=8))).replace(tzinfo=None, microsecond=0)
    async with platform(tmp_path, SUBSCRIPTION__CATALOG="false") as server, device(server) as camera:
        await poll(lambda: granted(server), seconds=60, what="the subscription", log=server.log)
        [first] = camera.subscriptions
        async with events(server) as queue:
            assert await camera.notify(first, camera.alarm(now.isoformat(), "入侵")) == 200
            event = await raised(queue)
            assert (event["device_id"], event["method"], event["description"]) == (DEVICE, 5, "入侵")
        await poll(lambda: alarms(server, 1), seconds=60, what="the alarm in the API", log=server.log)

        old = server.pid("control")
        server.kill("control")
        await poll(lambda: _restarted(server, old), seconds=30, what="another control", log=server.log)
        assert await camera.notify(first, camera.alarm((now + timedelta(seconds=1)).isoformat(), "二")) == 200
        assert len(camera.subscriptions) == 1
        await poll(lambda: alarms(server, 2), seconds=60, what="the alarm after the kill", log=server.log)

        camera.reboot()
        await camera.register()

        async def subscribed_anew() -> bool:
            return bool(camera.subscriptions)

        await poll(subscribed_anew, seconds=60, what="a subscription in a new dialog", log=server.log)
        assert 481 in camera.statuses
        [second] = camera.subscriptions
        assert second != first
        async with events(server) as queue:
            # A dialog that was given up is answered 481, and what it says counts all the same.
            assert await camera.notify(first, camera.alarm((now + timedelta(seconds=2)).isoformat(), "三")) == 481
            assert (await raised(queue))["description"] == "三"
            assert await camera.notify(second, camera.alarm((now + timedelta(seconds=3)).isoformat(), "四")) == 200
            assert (await raised(queue))["description"] == "四"
        found = await poll(lambda: alarms(server, 4), seconds=60, what="every alarm, once", log=server.log)
        assert [item["description"] for item in found] == ["四", "三", "二", "入侵"]


async def _restarted(server: Platform, old: int) -> bool:
    try:
        return server.pid("control") != old
    except (FileNotFoundError, ValueError):
        return False
