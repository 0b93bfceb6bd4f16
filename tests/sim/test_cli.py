"""The command: its options, and a crowd of it in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from gb28181.errors import Invalid
from gb28181.sim import cli
from gb28181.sim.dialects import table
from gb28181.sim.statistics import Recorder
from gb28181.sim.studio import Studio
from tests.sim.platform import PATIENCE_S, Platform, RtpSink, take


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    "words",
    [
        ("--server", "host"),
        ("--server", "host:99999"),
        ("--size", "big"),
        ("--size", "1x1"),
        ("--loss", "1"),
        ("--fps", "0"),
        ("--keepalive", "0"),
        ("--ps", "/nonexistent"),
        ("--dialect", "nonsense"),
        ("--alarms-per-minute", "-1"),
        ("--light", "-1"),
    ],
    ids="=".join,
)
def test_an_option_that_cannot_be_used_ends_the_command(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(parsed(*words)) == 2
    assert capsys.readouterr().err.startswith("gb28181 sim: ")


def test_a_first_id_that_is_no_code_is_refused(studio: Studio) -> None:
    with pytest.raises(Invalid):
        cli.devices_of(parsed("--first-id", "123"), [], studio, Recorder())


async def test_ids_are_distinct_and_of_their_types(studio: Studio) -> None:
    args = parsed("--ipc", "20", "--nvr", "3", "--channels", "16")
    devices = cli.devices_of(args, cli.settings_of(args), studio, Recorder())
    assert [device.device_id for device in devices[:2]] == ["34020000001320000001", "34020000001320000002"]
    assert devices[20].device_id == "34020000001180000001"
    assert len({device.device_id for device in devices}) == 23


def test_dialects_are_listed_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(parsed("--dialect", "list")) == 0
    said = capsys.readouterr().out
    assert "content-length-zero" in said
    assert "Q42" in said


async def test_each_dialect_gets_a_recorder_of_its_own(studio: Studio) -> None:
    args = parsed("--dialect", "each")
    devices = cli.devices_of(args, cli.settings_of(args), studio, Recorder())
    assert len({device.device_id for device in devices}) == len(table.DIALECTS)
    assert {device.settings.dialects[0] for device in devices} == set(table.DIALECTS)


async def test_dialects_that_are_named_are_combined_on_every_device(studio: Studio) -> None:
    args = parsed("--ipc", "2", "--dialect", "private-via", "--dialect", "wrong-sumnum", "--edition", "2016")
    devices = cli.devices_of(args, cli.settings_of(args), studio, Recorder())
    assert [device.settings.dialects for device in devices] == [("private-via", "wrong-sumnum")] * 2
    assert devices[0].speech.edition.name == "2016"


async def test_a_lower_platform_is_no_server_of_ours(studio: Studio) -> None:
    args = parsed("--platform", "--channels", "100")
    [lower] = cli.devices_of(args, cli.settings_of(args), studio, Recorder())
    assert lower.device_id == "34020000002000000002" != args.server_id
    assert sum(item.is_camera for item in lower.contents.all()) == 100


def test_the_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.PASSWORD_VARIABLE, "from-outside")
    assert cli.settings_of(parsed())[0].password == "from-outside"
    assert cli.settings_of(parsed("--password", "given"))[0].password == "given"
    assert cli.settings_of(parsed("--wrong-password"))[0].password != "from-outside"


def test_mixed_codecs_take_turns() -> None:
    assert [settings.picture.codec for settings in cli.settings_of(parsed("--codec", "mixed"))] == ["h264", "h265"]


async def test_a_crowd_registers_streams_and_writes_what_it_did(
    platform: Platform, sink: RtpSink, cache: Path, tmp_path: Path
) -> None:
    program = (
        "import argparse, sys\nfrom gb28181.sim import cli\n"
        "parser = argparse.ArgumentParser()\ncli.add_arguments(parser)\nsys.exit(cli.run(parser.parse_args()))"
    )
    stats = tmp_path / "stats.jsonl"
    words = f"--server 127.0.0.1:{platform.port} --ipc 2 --nvr 1 --channels 2 --size 176x144 --fps 5 --bitrate 200"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *words.split(),
        "--cache",
        str(cache),
        "--stats",
        str(stats),
        env={**os.environ, cli.PASSWORD_VARIABLE: "12345678"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            lines = {await process.stdout.readline() for _ in range(3)}
        assert lines == {b"registered 3402000000%s0000001\n" % kind for kind in (b"132", b"118")} | {
            b"registered 34020000001320000002\n"
        }
        camera = "34020000001320000001"
        while (message := await take(platform.registers)).headers["contact"].find(camera) < 0:
            pass
        platform.device = message.reply
        platform.send(platform.invite("34020000001310000001", "c1", sink.port))
        answer = await platform.final("INVITE")
        platform.acknowledge(answer, camera)
        await sink.until(lambda: len(sink.packets) > 3)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    rows = [json.loads(line) for line in stats.read_text().splitlines()]
    assert sum(row["event"] == "registered" for row in rows) == 3
    assert sum(row["event"] == "unregistered" for row in rows) == 3
    (end,) = (row for row in rows if row["event"] == "stream_end")
    assert (end["call_id"], end["channel"], end["ended"]) == ("c1", "34020000001310000001", "switched_off")
    await sink.until(lambda: len(sink.packets) == end["sent"])
    assert end["first_sequence"] == sink.packets[0].sequence
    assert end["last_sequence"] == sink.packets[-1].sequence
