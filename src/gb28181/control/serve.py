"""The `serve` command: prepares the data folder, starts the parts, says what to open and what to type into a camera."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gb28181.advertise import advertised, parse_rules
from gb28181.config import Settings
from gb28181.control import preflight
from gb28181.control.paths import DataFolder, ingest_names
from gb28181.control.supervisor import Started, Supervisor, find_ingest, take_lock
from gb28181.errors import StorageError
from gb28181.ops.keys import load_or_create
from gb28181.ops.logs import configure
from gb28181.ops.sealing import SealedSecrets
from gb28181.texts.text import reason_of, say
from gb28181.tokens import derive

logger = logging.getLogger(__name__)

#: Camera web pages lose or refuse odd characters, and people type it by hand: no l, I, O, 0, 1.
_TYPEABLE: Final = "".join(sorted(set(string.ascii_letters + string.digits) - set("lIO01")))
_PRINTED_BEFORE: Final = "(as printed at the first start, or as set / 见首次启动时的输出，或配置中的设置)"
_DEMO_IPCS: Final = 6
_DEMO_CHANNELS: Final = 4


def run(settings: Settings, data: Path, *, demo: bool) -> int:
    """Runs the platform until it is told to stop."""
    keep_private(data)
    folder = DataFolder.at(data)
    configure(settings.log, "serve")
    lock = take_lock(folder)
    running = any(find_ingest(folder.ingest_socket(name)) for name in ingest_names(settings))
    instance = load_or_create(folder.root).instance
    preflight.check(settings, folder, instance=instance, ingest_runs=running)
    sip_password, is_new = _sip_password(settings, folder)
    settings = settings.model_copy(update={"sip": settings.sip.model_copy(update={"password": sip_password})})
    if demo:
        settings = _for_demo(settings)
    cameras: list[subprocess.Popen[bytes]] = []

    def ready(started: Started) -> None:
        _say(settings, folder, started, show_sip_password=is_new or demo, demo=demo)
        if demo:
            cameras.append(_start_cameras(settings, started.sip_port))

    try:
        asyncio.run(_supervise(settings, folder, instance, ready))
    finally:
        for camera in cameras:
            camera.send_signal(signal.SIGTERM)
            camera.wait(10)
        lock.close()
    return 0


def keep_private(data: Path) -> None:
    """What this process and its children write is not for other users of the machine; nor is a database of before."""
    os.umask(os.umask(0o077) | 0o027)
    for name in ("gb28181.db", "gb28181.db-wal", "gb28181.db-shm"):
        with contextlib.suppress(OSError):
            path = data / name
            path.chmod(path.stat().st_mode & 0o750)


async def _supervise(settings: Settings, folder: DataFolder, instance: str, ready: Callable[[Started], None]) -> None:
    await Supervisor(settings, folder, instance=instance).run(ready)


def _sip_password(settings: Settings, folder: DataFolder) -> tuple[str, bool]:
    """The domain's SIP password, and whether it was made just now."""
    if settings.sip.password:
        return settings.sip.password, False
    box = SealedSecrets(derive(load_or_create(folder.root).secret, "sip passwords"))
    path = folder.root / "sip-password"
    try:
        return box.open(path.read_bytes()), False
    except FileNotFoundError:
        password = "".join(secrets.choice(_TYPEABLE) for _ in range(12))
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(box.seal(password))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(say("start.unwritable", path=path, strerror=reason_of(error))) from None
    return password, True


def _for_demo(settings: Settings) -> Settings:
    """A demo records its cameras and has a new administrator's password each time: its first one is long forgotten."""
    password = settings.admin.password or "".join(secrets.choice(_TYPEABLE) for _ in range(12))
    return settings.model_copy(
        update={
            "admin": settings.admin.model_copy(update={"password": password}),
            "recording": settings.recording.model_copy(update={"default_mode": "always"}),
        }
    )


def _start_cameras(settings: Settings, sip_port: int) -> subprocess.Popen[bytes]:
    host = settings.sip.host if settings.sip.host not in ("0.0.0.0", "::") else "127.0.0.1"
    return subprocess.Popen(
        [
            sys.executable, "-m", "gb28181", "sim", "--server", f"{host}:{sip_port}",
            "--server-id", settings.sip.server_id, "--domain", settings.sip.domain,
            "--ipc", str(_DEMO_IPCS), "--nvr", "1", "--channels", str(_DEMO_CHANNELS), "--retry", "5", "--quiet",
        ],
        env={**os.environ, "GB28181_SIM_PASSWORD": settings.sip.password},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _say(settings: Settings, folder: DataFolder, started: Started, *, show_sip_password: bool, demo: bool) -> None:
    """Prints to the terminal, not to the log: passwords are in it."""
    scheme = "https" if settings.http.certificate else "http"
    here = _own_address() if settings.http.host in ("0.0.0.0", "::") else settings.http.host
    admin = started.admin_password or (settings.admin.password if demo else None)
    bound = _own_address() if settings.sip.host in ("0.0.0.0", "::") else settings.sip.host
    told = advertised(parse_rules(settings.sip.advertise), "")
    sip_host, sip_port = (told.host, told.port or started.sip_port) if told else (bound, started.sip_port)
    if not settings.sip.domain_password:
        told_password = "(each device has its own / 每台设备单独设置)"  # noqa: S105  words, no password
    else:
        told_password = settings.sip.password if show_sip_password else _PRINTED_BEFORE
    lines = [
        "",
        f"  Console / 控制台           {scheme}://{here}:{started.http_port}/",
        "  User / 用户名              admin",
        f"  Password / 密码            {admin or _PRINTED_BEFORE}",
        "",
        "  What to type into a camera / 摄像机国标参数",
        f"  SIP server ID / 服务器编号 {settings.sip.server_id}",
        f"  SIP domain / 域            {settings.sip.domain}",
        f"  SIP server / 服务器地址    {sip_host}",
        f"  SIP port / 端口            {sip_port} (UDP, TCP)"
        + (f", {settings.sip.tls_port} (TLS)" if settings.sip.tls_certificate and settings.sip.tls_port else ""),
        f"  SIP password / 密码        {told_password}",
        f"  Device ID / 设备编号       {settings.sip.domain}1320000101 (any 20 digits of its own / 每台不同的 20 位编号)",
        "",
        f"  Data / 数据目录            {folder.root}",
        "",
    ]
    print("\n".join(lines), flush=True)


def _own_address() -> str:
    """The address of this machine that others most likely reach; the loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks the routing table (documentation address)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
