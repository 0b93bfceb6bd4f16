"""`gb28181 sim`: a crowd of simulated cameras and recorders against one server."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gb28181.errors import Gb28181Error, Invalid
from gb28181.ids import device_id as checked_id
from gb28181.sim.calls import Channel
from gb28181.sim.device import SimulatedCamera, SimulatedDevice, SimulatedNvr, SimulatedPlatform
from gb28181.sim.dialects import table
from gb28181.sim.edition import EDITIONS
from gb28181.sim.encoder import Codec, Picture
from gb28181.sim.light import processes
from gb28181.sim.light.crowd import Plan
from gb28181.sim.sender import Metronome
from gb28181.sim.settings import Settings
from gb28181.sim.source import PsFile
from gb28181.sim.statistics import Recorder
from gb28181.sim.studio import Studio

PASSWORD_VARIABLE: Final = "GB28181_SIM_PASSWORD"  # noqa: S105 - the name of a variable
_PROGRESS_S: Final = 5.0
#: Devices are switched on one after the other, as nobody switches on a town at once.
_START_PAUSE_S: Final = 0.01
#: Serial numbers between one recorder's channels and the next one's, and the first of them.
_NVR_STEP: Final = 1_000
_NVR_FIRST: Final = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `gb28181 sim`."""
    add = parser.add_argument
    server = parser.add_argument_group("server")
    server.add_argument("--server", default="127.0.0.1:5060", metavar="HOST:PORT", help="SIP address (default %(default)s)")
    server.add_argument("--server-id", default="34020000002000000001", metavar="ID", help="20-digit code (default %(default)s)")
    server.add_argument("--domain", default="", help="SIP domain (default: first ten digits of the server's code)")
    server.add_argument("--password", help=f"registration password (default: environment variable {PASSWORD_VARIABLE})")
    server.add_argument("--wrong-password", action="store_true", help="register with another password than the one given")
    crowd = parser.add_argument_group("devices")
    crowd.add_argument("--ipc", type=int, default=1, metavar="N", help="cameras (default %(default)s)")
    crowd.add_argument("--nvr", type=int, default=0, metavar="N", help="recorders (default %(default)s)")
    crowd.add_argument("--channels", type=int, default=4, metavar="N", help="channels of each recorder (default %(default)s)")
    crowd.add_argument("--first-id", default="34020000001320000001", metavar="ID", help="first camera (default %(default)s)")
    crowd.add_argument("--transport", choices=("udp", "tcp"), default="udp", help="of SIP (default %(default)s)")
    crowd.add_argument("--keepalive", type=float, default=60, metavar="S", help="interval (default %(default)s)")
    crowd.add_argument("--expires", type=int, default=86_400, metavar="S", help="of the registration (default %(default)s)")
    crowd.add_argument(
        "--retry", type=float, default=60, metavar="S", help="after a failed one, plus chance (default %(default)s)"
    )
    crowd.add_argument("--catalog-items-per-message", type=int, default=2, metavar="N", help="(default %(default)s)")
    crowd.add_argument("--answer-delay", type=float, default=0, metavar="S", help="time to answer an INVITE (default 0)")
    crowd.add_argument("--streams", type=int, default=2, metavar="N", help="per channel, else 486 (default %(default)s)")
    crowd.add_argument("--local-ip", default="", metavar="IP", help="address to bind (default: by route)")
    _add_character(parser)
    light = parser.add_argument_group(
        "light devices", "thousands that only register and report, a UDP port each; nothing else runs then"
    )
    light.add_argument("--light", type=int, default=0, metavar="N", help="so many light devices")
    light.add_argument(
        "--light-over", type=float, default=20, metavar="S", help="switched on over S seconds (default %(default)s)"
    )
    light.add_argument("--report", type=Path, metavar="FILE", help="figures as JSON, written anew every second")
    media = parser.add_argument_group("media")
    media.add_argument("--media", choices=("auto", "udp", "tcp"), default="auto", help="what an offer may ask for")
    media.add_argument("--codec", choices=("h264", "h265", "mixed"), default="h264", help="mixed: every second device H.265")
    media.add_argument("--size", default="704x576", metavar="WxH", help="(default %(default)s)")
    media.add_argument("--fps", type=int, default=25, metavar="N", help="(default %(default)s)")
    media.add_argument("--bitrate", type=int, default=1024, metavar="KBIT", help="video, kbit/s (default %(default)s)")
    media.add_argument("--gop", type=float, default=1.0, metavar="S", help="seconds between key pictures (default %(default)s)")
    media.add_argument("--no-audio", action="store_true", help="without the G.711A tone")
    media.add_argument("--ps", type=Path, metavar="FILE", help="send this program stream byte for byte instead")
    media.add_argument("--once", action="store_true", help="send the file once, then BYE")
    media.add_argument("--cache", type=Path, metavar="DIR", help="folder of encoded loops (default: the user's cache folder)")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--loss", type=float, default=0.0, metavar="SHARE", help="of RTP packets left out on UDP, e.g. 0.01")
    faults.add_argument("--reorder", type=float, default=0.0, metavar="SHARE", help="of RTP packets overtaken on UDP")
    faults.add_argument("--seed", default="0", help="makes faults repeatable (default %(default)s)")
    faults.add_argument("--rtcp-strict", type=float, metavar="S", help="BYE when no RTCP receiver report came for S seconds")
    add("--stats", type=Path, metavar="FILE", help="append what happens as JSON lines")
    add("--quiet", action="store_true", help="print nothing but errors")


def _add_character(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_argument_group("character")
    add = kind.add_argument
    add("--edition", choices=tuple(EDITIONS), default="2022", help="of GB/T 28181 (default %(default)s)")
    add(
        "--dialect", action="append", default=[], metavar="NAME",
        help="a way to leave the standard, on every device; several are combined; list: shows all; each: a recorder for each",
    )  # fmt: skip
    add("--platform", action="store_true", help="a lower platform (type 200) with a whole tree and --channels cameras")
    add("--recorded-hours", type=float, default=0, metavar="H", help="of the devices' own recordings (default none)")
    add("--alarms-per-minute", type=float, default=0, metavar="N", help="of each device (default none)")
    add("--positions-every", type=float, default=0, metavar="S", help="reported unasked, each device (default never)")
    add("--catalog-changes-per-minute", type=float, default=0, metavar="N", help="told to subscribers (default none)")


def _server_of(args: argparse.Namespace) -> tuple[str, int]:
    host, _, port = args.server.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Invalid(f"--server {args.server!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _password_of(args: argparse.Namespace) -> str:
    password = args.password if args.password is not None else os.environ.get(PASSWORD_VARIABLE, "")
    return f"{password}-wrong" if args.wrong_password else password


def settings_of(args: argparse.Namespace) -> list[Settings]:
    """Settings of the first device, the second, and so on by turns.

    Raises:
        Invalid: An option's value cannot be used; the message names it.
    """
    host, port = _server_of(args)
    width, _, height = args.size.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise Invalid(f"--size {args.size!r} is not WIDTHxHEIGHT")
    password = _password_of(args)
    try:
        ps_file = PsFile(args.ps) if args.ps is not None else None
    except OSError as error:
        raise Invalid(f"--ps: {error}") from error
    codecs: tuple[Codec, ...] = ("h264", "h265") if args.codec == "mixed" else (args.codec,)
    return [
        Settings(
            host=host,
            port=port,
            server_id=args.server_id,
            domain=args.domain,
            password=password,
            transport=args.transport,
            media=args.media,
            keepalive_s=args.keepalive,
            expires_s=args.expires,
            retry_s=args.retry,
            picture=Picture(codec, int(width), int(height), args.fps, args.bitrate, args.gop),
            audio=not args.no_audio,
            loss=args.loss,
            reorder=args.reorder,
            seed=args.seed,
            local_ip=args.local_ip,
            streams_per_channel=args.streams,
            items_per_message=args.catalog_items_per_message,
            rtcp_strict_s=args.rtcp_strict,
            answer_delay_s=args.answer_delay,
            ps_file=ps_file,
            once=args.once,
            edition=args.edition,
            dialects=() if args.dialect == ["each"] else tuple(args.dialect),
            recorded_hours=args.recorded_hours,
            alarms_per_minute=args.alarms_per_minute,
            positions_every_s=args.positions_every,
            catalog_changes_per_minute=args.catalog_changes_per_minute,
        )
        for codec in codecs
    ]


def devices_of(args: argparse.Namespace, settings: list[Settings], studio: Studio, recorder: Recorder) -> list[SimulatedDevice]:
    """All devices, not yet started: cameras (type 132, channel of type 131), then recorders (118, channels 131).

    Raises:
        Invalid: `--first-id` is no 20-digit code.
    """
    first = args.first_id
    if len(checked_id(first)) != 20 or not first.isdecimal():
        raise Invalid(f"--first-id {first!r} is not a 20-digit code")
    region, serial = first[:10], int(first[13:])
    metronome = Metronome()

    def code(kind: str, number: int) -> str:
        return f"{region}{kind}{(serial + number) % 10_000_000:07d}"

    devices: list[SimulatedDevice] = []
    shared: dict[str, Any] = {"studio": studio, "metronome": metronome, "recorder": recorder}
    if args.platform:
        return [SimulatedPlatform(settings[0], code("200", 1), args.channels, **shared)]
    if args.dialect == ["each"]:
        return [
            SimulatedNvr(
                replace(settings[0], dialects=(name,)), code("118", index), _channels(code, index, args), name=name, **shared
            )
            for index, name in enumerate(table.DIALECTS)
        ]
    for index in range(args.ipc):
        camera = SimulatedCamera(
            settings[index % len(settings)],
            f"{region}{first[10:13]}{(serial + index) % 10_000_000:07d}",
            code("131", index),
            name=f"模拟摄像机 {index + 1:02d}",
            label=f"CAM {index + 1:02d}",
            **shared,
        )
        devices.append(camera)
    for index in range(args.nvr):
        recorder_device = SimulatedNvr(
            settings[(args.ipc + index) % len(settings)],
            code("118", index),
            _channels(code, index, args),
            name=f"模拟录像机 {index + 1:02d}",
            **shared,
        )
        devices.append(recorder_device)
    return devices


def _channels(code: Callable[[str, int], str], index: int, args: argparse.Namespace) -> list[Channel]:
    return [
        Channel(
            code("131", _NVR_FIRST + index * _NVR_STEP + channel),
            f"录像机 {index + 1:02d} 通道 {channel + 1:02d}",
            f"NVR {index + 1:02d}-{channel + 1:02d}",
        )
        for channel in range(args.channels)
    ]


def run(args: argparse.Namespace) -> int:
    """Runs the devices until SIGINT or SIGTERM; returns the exit status."""
    if "list" in args.dialect:
        print(table.listed())
        return 0
    if args.light:
        return _run_light(args)
    try:
        settings = settings_of(args)
        recorder = Recorder(args.stats)
    except (Gb28181Error, OSError) as error:
        print(f"gb28181 sim: {error}", file=sys.stderr)
        return 2
    studio = Studio(args.cache)
    # A SIP port and two media ports a device soon exceed the usual limit of 1024 files.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536) if hard > 0 else 65_536), hard))
    try:
        asyncio.run(_run(args, settings, studio, recorder))
    except Gb28181Error as error:
        print(f"gb28181 sim: {error}", file=sys.stderr)
        return 2
    finally:
        studio.close()
        recorder.close()
    return 0


def _run_light(args: argparse.Namespace) -> int:
    try:
        plan = Plan(
            count=args.light,
            first_id=args.first_id,
            server_id=args.server_id,
            domain=args.domain,
            password=_password_of(args),
            keepalive_s=args.keepalive,
            expires_s=args.expires,
            retry_s=args.retry,
            over_s=args.light_over,
            seed=args.seed,
        )
        figures = processes.run(plan, _server_of(args), args.local_ip, args.report, lambda figures: None)
    except Gb28181Error as error:
        print(f"gb28181 sim: {error}", file=sys.stderr)
        return 2
    if not args.quiet:
        print(json.dumps(figures.row()))
    return 0


async def _run(args: argparse.Namespace, settings: list[Settings], studio: Studio, recorder: Recorder) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    devices = devices_of(args, settings, studio, recorder)
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(_start(devices)), group.create_task(_progress(devices))]
        if not args.quiet:
            work += [group.create_task(_announce(device)) for device in devices]
        await stopped.wait()
        for task in work:
            task.cancel()
        for device in devices:
            group.create_task(device.stop())


async def _start(devices: list[SimulatedDevice]) -> None:
    """Starts the devices at once, so that none waits for the other codec's encoder."""
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.start())
            await asyncio.sleep(_START_PAUSE_S)


async def _progress(devices: list[SimulatedDevice]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        for device in devices:
            device.record_progress()


async def _announce(device: SimulatedDevice) -> None:
    await device.registered.wait()
    print(f"registered {device.device_id}", flush=True)
