"""What the benches measure is what happened, and a bench that is ended leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"

_ENDED = """
import server
class Held(server.Platform):
    def _meet(self):
        print(self.process.pid, flush=True)
        self.process.wait()
server.Platform = Held
with server.platform():
    pass
"""


@pytest.fixture
def signalling(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    import signalling as bench

    return bench


async def test_a_challenge_that_comes_twice_is_no_answer_to_the_second_register(signalling: Any) -> None:
    loop = asyncio.get_running_loop()
    heard: list[bytes] = []

    class Platform(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, request: bytes, source: Any) -> None:
            heard.append(request)
            wanted = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
            own = b"\r\n".join(row for row in request.split(b"\r\n") if row.split(b":")[0] in wanted)
            challenge = b'WWW-Authenticate: Digest realm="r", nonce="n"\r\n\r\n'
            self.transport.sendto(
                b"SIP/2.0 401 Unauthorized\r\n" + own.replace(b"CSeq: 2", b"CSeq: 1") + b"\r\n" + challenge, source
            )
            if len(heard) > 1:
                self.transport.sendto(b"SIP/2.0 200 OK\r\n" + own + b"\r\n\r\n", source)

    transport, _ = await loop.create_datagram_endpoint(Platform, local_addr=("127.0.0.1", 0))
    with signalling.Town(1, transport.get_extra_info("sockname")[1]) as town:
        async with asyncio.timeout(30):
            await town.register(town.devices[0])
    transport.close()
    await asyncio.sleep(0)
    assert b"Authorization" in heard[1]


def test_sigterm_ends_a_bench_with_the_platform_that_it_started(tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": f"{BENCH}:{BENCH.parent / 'src'}", "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen([sys.executable, "-c", _ENDED], env=environ, stdout=subprocess.PIPE, text=True)
    assert bench.stdout is not None
    platform = int(bench.stdout.readline())
    bench.send_signal(signal.SIGTERM)
    bench.communicate(timeout=90)
    assert bench.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(platform, 0)
    assert not list(tmp_path.iterdir())
