"""The public doors of a whole platform: what strangers see, and users from making to removal."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.platform import ADMIN_PASSWORD, SIP_PASSWORD, platform, poll


async def test_strangers_see_states_and_figures_but_no_folder_and_no_secret(tmp_path: Path):
    async with platform(tmp_path) as running:
        client = running.client
        assert client is not None

        async def settled() -> str | None:
            async with client.get(f"{running.url}/health") as response:
                text = await response.text()
            return text if '"volume 0"' in text and '"status":"ok"' in text else None

        said = [await poll(settled, seconds=60, what="the volume in /health", log=running.log)]
        for path in ("/metrics", "/metrics/edge", "/api/openapi.json"):
            async with client.get(running.url + path) as response:
                assert response.status == 200
                said.append(await response.text())
        assert 'volume="0"' in said[1]
        for text in said:
            assert str(tmp_path) not in text
            assert ADMIN_PASSWORD not in text
            assert SIP_PASSWORD not in text
        assert (await running.call("GET", "/health", token=""))["status"] == "ok"
        await running.call("GET", "/system", token="", status=401)
        assert {part["state"] for part in (await running.call("GET", "/system"))["parts"]} == {"running"}


async def test_a_user_is_made_logs_in_is_bounded_by_its_role_and_ends(tmp_path: Path):
    async with platform(tmp_path) as running:
        await running.call("POST", "/users", {"username": "wei", "password": "long-enough", "role": "viewer"}, status=201)
        login = await running.call("POST", "/login", {"username": "wei", "password": "long-enough"}, token="")
        await running.call("GET", "/devices", token=login["token"])
        await running.call("GET", "/audit", token=login["token"], status=403)
        await running.call("DELETE", "/users/admin", status=409)
        await running.call("PATCH", "/users/wei", {"disabled": True})
        await running.call("GET", "/devices", token=login["token"], status=401)
        rows = (await running.call("GET", "/audit", limit=2))["items"]
        assert [(row["user"], row["action"], row["target"]) for row in rows] == [
            ("admin", "user.change", "wei"), ("wei", "login", "127.0.0.1"),
        ]  # fmt: skip
        logged = running.log.read_text()
        for secret in (ADMIN_PASSWORD, SIP_PASSWORD, "long-enough", login["token"]):
            assert secret not in logged
