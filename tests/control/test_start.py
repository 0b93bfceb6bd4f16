"""`gb28181 serve` that cannot start: one line with cause and remedy, status 2, within seconds."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gb28181.control.paths import DataFolder
from gb28181.control.supervisor import take_lock
from tests.e2e.platform import QUICK, free_ports
from tests.edge.test_app import certificate

DEADLINE_S = 60


def serve(data: Path, **settings: str) -> tuple[int, str]:
    """Status and last line of standard error."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GB28181__")}
    environ |= (
        QUICK | {"GB28181__MEDIA__PORTS": free_ports(40)} | {f"GB28181__{name}": value for name, value in settings.items()}
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "gb28181", "serve", "--data", str(data)],
        env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=data.parent,
    )  # fmt: skip
    watchdog = threading.Timer(DEADLINE_S, process.send_signal, (signal.SIGTERM,))
    watchdog.start()
    try:
        out, said = process.communicate()
    finally:
        watchdog.cancel()
    assert "Console" not in out
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("gb28181: ")
    return process.returncode, last


@contextmanager
def taken(kind: socket.SocketKind, port: int = 0) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        yield int(other.getsockname()[1])


@pytest.mark.parametrize(
    ("key", "kind", "told"),
    [
        ("HTTP__PORT", socket.SOCK_STREAM, "TCP port {port} (http.port) is in use"),
        ("SIP__PORT", socket.SOCK_DGRAM, "UDP port {port} (sip.port) is in use"),
        ("SIP__PORT", socket.SOCK_STREAM, "TCP port {port} (sip.port) is in use"),
    ],
    ids=["http", "sip-udp", "sip-tcp"],
)
def test_a_port_in_use_is_named_with_its_key(tmp_path: Path, key: str, kind: socket.SocketKind, told: str) -> None:
    with taken(kind) as port:
        status, said = serve(tmp_path / "data", **{key: str(port)})
    assert status == 2
    assert told.format(port=port) in said
    assert f"sport = :{port}" in said  # how to find out who has it


def test_media_ports_that_are_all_in_use_are_named(tmp_path: Path) -> None:
    low = int(free_ports(20).split("-")[0])
    held = [taken(socket.SOCK_DGRAM, port) for port in (low, low + 2)]
    with held[0], held[1]:
        status, said = serve(tmp_path / "data", MEDIA__PORTS=f"{low}-{low + 3}")
    assert status == 2
    assert f"every port of media.ports {low}-{low + 3} is in use" in said


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    status, said = serve(tmp_path / "data", HTTP__HOST="203.0.113.7", HTTP__PORT="18080")
    assert status == 2
    assert "http.host 203.0.113.7 is no address of this machine" in said


def _no_folder(tmp_path: Path) -> tuple[dict[str, str], str]:
    (tmp_path / "data").write_text("a file")
    return {}, "the data folder"


def _no_volume(tmp_path: Path) -> tuple[dict[str, str], str]:
    (tmp_path / "volume").write_text("a file")
    return {"RECORDING__VOLUMES": str(tmp_path / "volume")}, "recording volume"


def _foreign_volume(tmp_path: Path) -> tuple[dict[str, str], str]:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / ".gb28181-volume").write_text("another\n")
    return {"RECORDING__VOLUMES": str(tmp_path / "volume")}, "belongs to another server"


def _no_certificate(tmp_path: Path) -> tuple[dict[str, str], str]:
    return {"HTTP__CERTIFICATE": str(tmp_path / "none.pem")}, "http.certificate"


def _wrong_key(tmp_path: Path) -> tuple[dict[str, str], str]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    public, private = certificate(tmp_path / "a")[0], certificate(tmp_path / "b")[1]
    return {"HTTP__CERTIFICATE": public, "HTTP__PRIVATE_KEY": private}, "belong together"


def _no_sip_certificate(tmp_path: Path) -> tuple[dict[str, str], str]:
    return {"SIP__TLS_CERTIFICATE": str(tmp_path / "none.pem")}, "sip.tls_certificate"


def _newer_database(tmp_path: Path) -> tuple[dict[str, str], str]:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "gb28181.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999_from_tomorrow')")
    connection.close()
    return {}, "start the newer version that made it"


def _damaged_database(tmp_path: Path) -> tuple[dict[str, str], str]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gb28181.db").write_bytes(b"no database, but long enough to look like one" * 100)
    return {}, "restore a backup"


def _typing_mistake(_tmp_path: Path) -> tuple[dict[str, str], str]:
    return {"SIP__PROT": "5061"}, "did you mean sip.port"


def _port_inside_media(_tmp_path: Path) -> tuple[dict[str, str], str]:
    return {"SIP__PORT": "20010", "MEDIA__PORTS": "20000-20100"}, "sip.port 20010 lies in media.ports"


@pytest.mark.parametrize(
    "mistake",
    [
        _no_folder, _no_volume, _foreign_volume, _no_certificate, _no_sip_certificate, _wrong_key, _newer_database,
        _damaged_database, _typing_mistake, _port_inside_media,
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_one_line_with_its_remedy(
    tmp_path: Path, mistake: Callable[[Path], tuple[dict[str, str], str]]
) -> None:
    settings, told = mistake(tmp_path)
    status, said = serve(tmp_path / "data", **settings)
    assert status == 2
    assert told in said


def test_a_database_that_another_program_holds_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "gb28181.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        connection.execute("BEGIN IMMEDIATE")
        status, said = serve(tmp_path / "data")
    connection.close()
    connection.close()
    assert status == 2
    assert "Another program has the file open" in said


def test_a_second_server_is_told_who_has_the_data_folder(tmp_path: Path) -> None:
    held = take_lock(DataFolder.at(tmp_path / "data"))
    status, said = serve(tmp_path / "data")
    held.close()
    assert status == 2
    assert f"another server (pid {os.getpid()})" in said


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        status, said = serve(disk / "data")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert status == 2
    assert "is full" in said
    assert "--data" in said


def test_nothing_is_left_running_after_a_start_that_failed(tmp_path: Path) -> None:
    settings, _ = _newer_database(tmp_path)
    serve(tmp_path / "data", **settings)
    folder = DataFolder.at(tmp_path / "data")
    for name in ("control", "edge", "ingest-0"):
        file = folder.pid_file(name)
        if file.exists():
            with pytest.raises(ProcessLookupError):
                os.kill(int(file.read_text()), 0)


@pytest.mark.parametrize("given", ["", '{"settings": "{'])
@pytest.mark.parametrize("part", ["_ingest", "_control", "_edge"])
def test_a_part_whose_serve_died_before_it_handed_the_settings_over_ends_in_one_line(part: str, given: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gb28181", part], input=given, env=os.environ | {"LC_ALL": "C"},
        capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"gb28181: {part[1:]} was given no settings")
