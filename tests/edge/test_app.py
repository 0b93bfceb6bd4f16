"""The edge as a process: where it listens, how it ends, TLS."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = """
import json, logging, sys
from pathlib import Path
from gb28181.config import Settings
from gb28181.edge.app import main
run, http = Path(sys.argv[1]), json.loads(sys.argv[2])
logging.basicConfig(level="INFO")
sys.exit(main(Settings.model_validate({"http": {"host": "127.0.0.1", "port": 0, **http}}), console=run / "console",
    control_socket=run / "c.sock", edge_socket=run / "e.sock", ingest_sockets={"ingest-0": run / "i.sock"}, volumes=[run],
    deposit=run / "deposit",
    link_key=b"k" * 32, pid_file=run / "edge.pid"))
"""


async def start(run: Path, **http: str | int) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(run), json.dumps(http), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(30):
        while not (run / "edge.port").exists() and process.returncode is None:
            await asyncio.sleep(0.02)
    return process, int((run / "edge.port").read_text()) if (run / "edge.port").exists() else 0


def certificate(folder: Path) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1))
    (folder / "c.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "c.pem"), str(folder / "k.pem")


async def test_process_tells_its_port_serves_and_ends_on_sigterm(tmp_path):
    process, port = await start(tmp_path)
    assert int((tmp_path / "edge.pid").read_text()) == process.pid
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/media/live/a/b.flv?token=TELLTALE") as answer,
    ):
        assert answer.status == 403
    process.terminate()
    async with asyncio.timeout(15):
        out, log = await process.communicate()
    assert process.returncode == 0
    assert out == b""
    assert b"edge listening" in log
    assert b"TELLTALE" not in log


async def test_https_when_a_certificate_is_set(tmp_path):
    public, private = certificate(tmp_path)
    process, port = await start(tmp_path, certificate=public, private_key=private)
    context = ssl.create_default_context(cafile=public)
    context.check_hostname = False
    async with aiohttp.ClientSession() as client, client.get(f"https://127.0.0.1:{port}/", ssl=context) as answer:
        assert answer.status == 200
        assert "max-age" in answer.headers["Strict-Transport-Security"]
    process.terminate()
    async with asyncio.timeout(15):
        await process.communicate()


@pytest.mark.parametrize("wrong", [{"certificate": "/nonexistent.pem"}, {"host": "203.0.113.7"}])
async def test_address_or_certificate_that_cannot_be_used_ends_it_with_a_reason(tmp_path, wrong):
    process, port = await start(tmp_path, **wrong)
    async with asyncio.timeout(15):
        _, log = await process.communicate()
    assert (process.returncode, port) == (1, 0)
    assert b"certificate" in log or b"cannot listen" in log
