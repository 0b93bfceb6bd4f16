"""`python -m tests.long NAME`: one long run; writes a report, prints a line of verdict, exits 1 when it failed."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.long.judge import Report

NAMES = ("soak", "storm", "kill", "fuzz", "quirks")
_FILES = 65_536


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test --long", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", type=int, help="cameras; of storm: devices")
    parser.add_argument("--devices", type=int, help="of storm: so many light devices with a port each, instead of waves")
    parser.add_argument("--kbps", type=int, default=384, help="video of each stream; sound is 64 more")
    parser.add_argument("--artifacts", type=Path, default=Path(__file__).parents[2] / "artifacts")
    parser.add_argument("--folder", type=Path, help="where the platform's data lie while it runs (default: a temporary one)")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix=f"gb28181-{options.name}-", dir=options.folder))
    report = Report(options.name, options.seed, options.minutes)
    scenario = importlib.import_module(f"tests.long.{options.name}")
    more = {name: value for name in ("streams", "devices") if (value := getattr(options, name))}
    try:
        asyncio.run(scenario.run(folder, report, kbps=options.kbps, **more))
    except (Exception, KeyboardInterrupt) as error:  # border: a run that breaks off still tells what it saw
        report.faults.insert(0, f"broke off: {type(error).__name__}: {str(error)[:2000]}")
    path = report.write(options.artifacts)
    log = options.artifacts / f"long-{options.name}-{options.seed}.log"
    if (folder / "data.log").exists():
        shutil.copyfile(folder / "data.log", log)
    shutil.rmtree(folder, ignore_errors=True)
    for note in report.notes:
        print(note)
    for fault in report.faults:
        print(f"fault: {fault}")
    print(f"{report.verdict()}; report: {path}, log: {log}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
