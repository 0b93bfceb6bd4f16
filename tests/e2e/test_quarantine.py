"""Unknown devices wait until somebody lets them in; what is set for one holds over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cameras import cameras
from tests.e2e.platform import platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio]
KNOWN, TYPO = "34020000001320000501", "34020000001320000502"


async def test_a_stranger_is_let_in_and_stays_what_it_was_set_to(tmp_path: Path) -> None:
    options = ("--ipc", "1", "--retry", "1", "--keepalive", "1", "--first-id")
    async with platform(tmp_path, SIP__UNKNOWN_DEVICES="quarantine") as server:
        with (
            cameras(server.sip_port, tmp_path, *options, KNOWN, name="known"),
            cameras(server.sip_port, tmp_path, *options, TYPO, name="typo", password="another-1"),
        ):

            async def waiting() -> dict[str, str] | None:
                found = {each["device_id"]: each["reason"] for each in (await server.call("GET", "/quarantine"))["items"]}
                return found if len(found) == 2 else None

            reasons = await poll(waiting, seconds=60, what="two strangers", log=server.log)
            assert reasons == {KNOWN: "unknown", TYPO: "wrong-password"}
            assert (await server.call("GET", "/devices"))["items"] == []
            await server.call("POST", f"/quarantine/{KNOWN}/accept", {"name": "东门"}, status=201)
            await server.call("POST", f"/quarantine/{TYPO}/accept", {}, status=400)
            await server.call("POST", f"/quarantine/{TYPO}/accept", {"password": "another-1"}, status=201)

            async def online(count: int) -> list[dict[str, object]] | None:
                found = (await server.call("GET", "/devices", online="true"))["items"]
                return found if len(found) == count else None

            await poll(lambda: online(2), seconds=60, what="both online", log=server.log)
            await server.call("PATCH", f"/devices/{KNOWN}", {"profile": {"charset": "utf-8"}, "networks": ["127.0.0.0/8"]})
            await server.call("PATCH", f"/devices/{TYPO}", {"networks": ["203.0.113.0/24"]})
            await poll(lambda: online(1), seconds=60, what="one outside its networks", log=server.log)
            server.kill("control")

            async def kept() -> bool:
                try:
                    device = await server.call("GET", f"/devices/{KNOWN}")
                except AssertionError:
                    return False  # control is not back yet
                return bool(device["online"]) and device["profile"]["charset"] == "utf-8"

            await poll(kept, seconds=30, what="the device after control was killed", log=server.log)
            assert (await server.call("GET", f"/devices/{TYPO}"))["online"] is False
