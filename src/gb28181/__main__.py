"""Command line. `serve` and `sim` are for people; `_control`, `_ingest`, `_edge` are what `serve` starts.

Each command loads what it needs and no more: the memory of every process begins with what it has imported.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gb28181 import __version__
from gb28181.errors import Gb28181Error, Unavailable
from gb28181.texts.language import of_terminal
from gb28181.texts.text import packed, rendered, say

if TYPE_CHECKING:
    import asyncio

    from gb28181.control.paths import DataFolder

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 0 when it ended as asked, 2 when it could not start."""
    parser = argparse.ArgumentParser(prog="gb28181", description=_told(say("start.help")))
    parser.add_argument("--version", action="version", version=f"gb28181 {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help=_told(say("start.help.serve")))
    serve.add_argument("--config", type=Path, help=_told(say("start.help.config")))
    serve.add_argument("--data", type=Path, help=_told(say("start.help.data")))
    serve.add_argument("--demo", action="store_true", help=_told(say("start.help.demo")))
    serve.set_defaults(run=_serve)

    sim = commands.add_parser("sim", help=_told(say("start.help.sim")))
    sim.set_defaults(run=_sim)
    if (arguments or sys.argv[1:])[:1] == ["sim"]:  # only this command loads what simulating needs
        from gb28181.sim import cli

        cli.add_arguments(sim)

    for part, run in (("_control", _control), ("_ingest", _ingest), ("_edge", _edge)):
        child = commands.add_parser(part)
        child.add_argument("--name", default=part[1:])
        child.set_defaults(run=functools.partial(_part, run))

    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except Gb28181Error as error:
        print(f"gb28181: {_told(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _told(text: str) -> str:
    """In the language of this terminal."""
    return rendered(text, of_terminal(os.environ))


def _serve(arguments: argparse.Namespace) -> int:
    from gb28181.config import load
    from gb28181.control import serve

    config: Path | None = arguments.config
    if config is None and Path("conf/gb28181.toml").is_file():
        config = Path("conf/gb28181.toml")
    data: Path = arguments.data or Path("data/demo" if arguments.demo else "data")
    return serve.run(load(config), data, demo=arguments.demo)


def _sim(arguments: argparse.Namespace) -> int:
    from gb28181.sim import cli

    return cli.run(arguments)


def _part(run: Callable[[str, str, DataFolder], int], arguments: argparse.Namespace) -> int:
    """Runs a part; what it cannot start for goes to `serve`, which tells the person who started it.

    Its settings come by a pipe from the process that started this one: they hold passwords.

    Raises:
        Unavailable: That process ended before it had handed them over, or a person ran the part.
    """
    from gb28181.control.paths import DataFolder

    try:
        given = json.loads(sys.stdin.read())
    except ValueError:
        raise Unavailable(say("start.part_alone", name=arguments.name)) from None
    folder = DataFolder.at(Path(given["data"]))
    note = folder.failure_note(arguments.name)
    note.unlink(missing_ok=True)
    try:
        return run(arguments.name, given["settings"], folder)
    except Gb28181Error as error:
        logging.getLogger(__name__).error("cannot run", extra={"part": arguments.name, "reason": str(error)})
        note.write_text(packed(str(error)), encoding="utf-8")
        return 2


def _control(_name: str, settings: str, folder: DataFolder) -> int:
    import asyncio

    from gb28181.config import restore
    from gb28181.control.app import main as control

    _die_with_parent()
    with asyncio.Runner(loop_factory=_uvloop()) as runner:
        return runner.run(control(restore(settings), folder.root))


def _ingest(name: str, settings: str, folder: DataFolder) -> int:
    from gb28181.frames import from_json
    from gb28181.ingest.app import main as ingest
    from gb28181.ingest_start import IngestStart
    from gb28181.ops.logs import configure

    start = from_json(IngestStart, settings)
    configure(start.logging, name)
    return ingest(start, data=folder.root, name=name, socket_path=folder.ingest_socket(name))


def _edge(_name: str, given: str, folder: DataFolder) -> int:
    from gb28181.config import restore
    from gb28181.control.paths import ingest_names
    from gb28181.edge.app import main as edge
    from gb28181.ops.keys import load_or_create
    from gb28181.ops.logs import configure
    from gb28181.tokens import derive

    _die_with_parent()
    settings = restore(given)
    configure(settings.log, "edge")
    return edge(
        settings,
        console=Path(__file__).parent / "edge" / "console",
        control_socket=folder.control_socket,
        edge_socket=folder.edge_socket,
        ingest_sockets={name: folder.ingest_socket(name) for name in ingest_names(settings)},
        volumes=folder.volumes(settings),
        deposit=folder.deposit,
        link_key=derive(load_or_create(folder.root).secret, "link"),
        pid_file=folder.pid_file("edge"),
    )


def _die_with_parent() -> None:
    """Ends this process with the supervisor. By SIGKILL: a control that ends in order would stop every camera."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        sys.exit(0)  # it died in between


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    sys.exit(main())
