"""Hostile SIP: the messages of RFC 4475 and 10,000 mutations of them and of what devices say leave the server alive, answering,
and as small as before."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.cameras import SHARED
from tests.e2e.notifier import Device
from tests.e2e.platform import Platform, platform, poll

RFC4475 = sorted((SHARED / "rfc4475").glob("*/*.dat"))
COMMANDS = sorted((Path(__file__).parents[1] / "vectors" / "manscdp").glob("*.xml"))
MUTATIONS = 10_000

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not RFC4475, reason="the messages of RFC 4475 are not beside this checkout"),
]


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def options_answered(port: int) -> bool:
    """Whether the server answers OPTIONS now, as an upper platform asks it (quirk Q36)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.settimeout(0.5)
        own = f"127.0.0.1:{probe.getsockname()[1]}"
        number = time.monotonic_ns()
        probe.sendto(
            (
                "OPTIONS sip:34020000002000000001@3402000000 SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {own};rport;branch=z9hG4bK{number}\r\n"
                f"From: <sip:probe@x>;tag=1\r\nTo: <sip:34020000002000000001@3402000000>\r\nCall-ID: {number}\r\n"
                "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            ).encode(),
            ("127.0.0.1", port),
        )
        try:
            while True:
                answer = probe.recv(65535)
                if answer.startswith(b"SIP/2.0 200") and str(number).encode() in answer:
                    return True
        except TimeoutError:
            return False


def mutated(message: bytes, chance: random.Random) -> bytes:
    """The message with a few bytes changed, cut, doubled or moved."""
    data = bytearray(message)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if data:
                data[at % len(data)] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 20)]
            case 2:
                data[at:at] = data[max(0, at - chance.randint(1, 60)) : at]
            case 3:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 10)))
            case _:
                data[at:at] = chance.choice([b"\r\n", b"\r\n\r\n", b":", b";", b'"', b"<", b">", b"\0", b"99999999999", b"%00"])
    return bytes(data)


def command(device: Device, chance: random.Random) -> bytes:
    """A MESSAGE or NOTIFY of a registered device; its body is one that devices send, mutated every other time."""
    body = chance.choice(COMMANDS).read_bytes().replace(b"34020000001320000001", device.device_id.encode())
    if chance.random() < 0.5:
        body = mutated(body, chance)
    method = chance.choice(["MESSAGE", "NOTIFY"])
    event = f"Event: {chance.choice(['Catalog', 'Alarm', 'presence'])}\r\nSubscription-State: active;expires=60\r\n"
    head = (
        f"{method} sip:34020000002000000001@3402000000 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {device.own};rport;branch=z9hG4bK{chance.getrandbits(64):x}\r\n"
        f"From: <sip:{device.device_id}@3402000000>;tag=1\r\nTo: <sip:34020000002000000001@3402000000>\r\n"
        f"Call-ID: {chance.getrandbits(64):x}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        f"{event if method == 'NOTIFY' else ''}Content-Type: Application/MANSCDP+xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answering(server: Platform) -> None:
    async def answers() -> bool:
        return await asyncio.to_thread(options_answered, server.sip_port)

    await poll(answers, seconds=60, what="OPTIONS answered", log=server.log)


async def test_rfc_4475_and_mutations_leave_the_server_alive_and_small(tmp_path: Path) -> None:
    chance = random.Random(4475)
    messages = [path.read_bytes() for path in RFC4475]
    async with platform(tmp_path, SIP__PER_SOURCE_PER_S="100000", SIP__UNAUTHENTICATED_PER_S="100000") as server:
        await answering(server)
        device = Device("34020000001320000666", ("127.0.0.1", server.sip_port))
        await device.start()
        await device.register()
        assert device.transport is not None
        control = server.pid("control")
        before = resident_mib(control)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            for message in messages:
                sender.sendto(message, ("127.0.0.1", server.sip_port))
                with socket.create_connection(("127.0.0.1", server.sip_port)) as stream:
                    stream.sendall(message)
            await answering(server)
            for number in range(MUTATIONS):
                if number % 2:
                    device.transport.sendto(command(device, chance), device.server)
                    if number % 100 == 1:
                        await asyncio.sleep(0.05)  # as fast as it is read
                    continue
                data = mutated(chance.choice(messages), chance)
                if number % 20:
                    sender.sendto(data[:65000], ("127.0.0.1", server.sip_port))
                else:
                    await asyncio.to_thread(over_tcp, server.sip_port, data)
                if number % 100 == 0:
                    await asyncio.sleep(0)
        await answering(server)
        device.close()
        assert server.pid("control") == control, "control was restarted"
        end = time.monotonic() + 60

        async def a_minute_later() -> bool:
            return time.monotonic() >= end

        await poll(a_minute_later, seconds=70, what="a minute", pause=1)
        await answering(server)
        assert server.pid("control") == control
        assert resident_mib(control) < before + 50
        assert "Traceback" not in server.log.read_text()


def over_tcp(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
        try:
            stream.sendall(data)
        except OSError:
            pass  # it may close on us: that is an answer too
