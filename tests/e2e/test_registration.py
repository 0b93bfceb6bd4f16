"""Registration over the real sockets: sipp as 500 devices, wrong passwords, foreign nonces."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.platform import SERVER_ID, SIP_PASSWORD, Platform, platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SCENARIO = Path(__file__).parent / "sipp" / "register.xml"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(tmp_path_factory.mktemp("registration")) as started:
        yield started


@pytest.mark.parametrize(("transport", "mode", "first"), [("udp", "u1", 100_000), ("tcp", "t1", 200_000)])
async def test_sipp_registers_500_devices_with_digest(
    server: Platform, tmp_path: Path, transport: str, mode: str, first: int
) -> None:
    assert shutil.which("sipp"), "sipp is missing: scripts/setup --test installs it"
    devices = [f"34020000001320{first + number:06d}" for number in range(500)]
    rows = [f"{device};[authentication username={device} password={SIP_PASSWORD}]" for device in devices]
    (tmp_path / "devices.csv").write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
    sipp = await asyncio.create_subprocess_exec(
        "sipp", f"127.0.0.1:{server.sip_port}", "-sf", str(SCENARIO), "-inf", str(tmp_path / "devices.csv"), "-t", mode,
        "-i", "127.0.0.1", "-m", "500", "-r", "200", "-l", "500", "-nostdin", "-timeout", "60", "-timeout_error",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
    )  # fmt: skip
    said, _ = await sipp.communicate()
    assert sipp.returncode == 0, said.decode(errors="replace")[-3000:]

    async def registered() -> bool:
        found: set[str] = set()
        cursor = ""
        while True:
            further: dict[str, Any] = {"cursor": cursor} if cursor else {}
            page = await server.call("GET", "/devices", online="true", limit=500, **further)
            found |= {device["device_id"] for device in page["items"]}
            cursor = page["next"]
            if not cursor:
                return set(devices) <= found

    await poll(registered, seconds=60, what=f"500 devices online over {transport}", log=server.log)


class Peer:
    """A device that speaks SIP by hand over UDP."""

    def __init__(self, port: int, device: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(60)
        self.server = ("127.0.0.1", port)
        self.device = device
        self.cseq = 0

    def register(self, authorization: str = "") -> tuple[int, str]:
        self.cseq += 1
        own = f"127.0.0.1:{self.socket.getsockname()[1]}"
        lines = [
            f"REGISTER sip:{SERVER_ID}@3402000000 SIP/2.0",
            f"Via: SIP/2.0/UDP {own};rport;branch=z9hG4bK{self.device}{self.cseq}",
            f"From: <sip:{self.device}@3402000000>;tag=t1",
            f"To: <sip:{self.device}@3402000000>",
            f"Call-ID: c{self.device}@{own}",
            f"CSeq: {self.cseq} REGISTER",
            f"Contact: <sip:{self.device}@{own}>",
            "Max-Forwards: 70",
            "Expires: 3600",
            *([f"Authorization: {authorization}"] if authorization else []),
            "Content-Length: 0",
            "",
            "",
        ]
        self.socket.sendto("\r\n".join(lines).encode(), self.server)
        answer = self.socket.recv(65535).decode()
        return int(answer.split()[1]), answer

    def authorization(self, answer: str, password: str, nonce: str = "") -> str:
        realm = re.search(r'realm="([^"]*)"', answer)
        given = re.search(r'nonce="([^"]*)"', answer)
        assert realm
        assert given
        nonce = nonce or given[1]
        uri = f"sip:{SERVER_ID}@3402000000"
        ha1 = hashlib.md5(f"{self.device}:{realm[1]}:{password}".encode()).hexdigest()
        ha2 = hashlib.md5(f"REGISTER:{uri}".encode()).hexdigest()
        response = hashlib.md5(f"{ha1}:{nonce}:{ha2}".encode()).hexdigest()
        return (
            f'Digest username="{self.device}", realm="{realm[1]}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5'
        )


@pytest.fixture
def peer(server: Platform) -> Iterator[Peer]:
    made = Peer(server.sip_port, "34020000001320900001")
    with made.socket:
        yield made


async def test_a_wrong_password_is_refused_from_the_third_with_403_and_no_device_appears(server: Platform, peer: Peer) -> None:
    statuses = []
    status, answer = await asyncio.to_thread(peer.register)
    assert status == 401
    for _ in range(3):
        status, refused = await asyncio.to_thread(peer.register, peer.authorization(answer, "wrong"))
        statuses.append(status)
        answer = refused if status == 401 else answer
    assert statuses == [401, 401, 403]
    await server.call("GET", f"/devices/{peer.device}", status=404)
    refusals = await server.call("GET", "/refusals")
    assert any(refusal["device_id"] == peer.device for refusal in refusals["items"])
    assert "wrong" not in server.log.read_text().replace("wrong password", "").replace("wrong_password", "")


async def test_a_nonce_that_we_did_not_issue_gets_401_with_a_new_one(server: Platform, peer: Peer) -> None:
    peer.device = "34020000001320900002"
    _, answer = await asyncio.to_thread(peer.register)
    for _ in range(4):
        foreign = peer.authorization(answer, SIP_PASSWORD, nonce="0123456789abcdef0123456789abcdef")
        status, stale = await asyncio.to_thread(peer.register, foreign)
        assert status == 401  # never counts as a wrong password
        assert "stale=true" in stale.lower()
    status, _ = await asyncio.to_thread(peer.register, peer.authorization(stale, SIP_PASSWORD))
    assert status == 200
