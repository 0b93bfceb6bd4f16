"""Breaks each tolerance that `tests/quirks.toml` names in a copy of the source, and sees one of the row's tests fail.

A tolerance without which all tests pass is not proved; neither is one whose tests fail as they are.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from tests.long.judge import Report

ROOT: Final = Path(__file__).parents[2]
#: A test that hangs without its tolerance has failed.
_PATIENCE_S: Final = 60.0
_TESTS_FAILED: Final = 1


async def run(folder: Path, report: Report, *, kbps: int = 0) -> None:
    """Every row; `kbps` is that of the other runs."""
    rows: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tests" / "quirks.toml").read_text())
    shutil.copytree(ROOT / "src" / "gb28181", folder / "gb28181", ignore=shutil.ignore_patterns("__pycache__"))
    broken = 0
    for row, entry in rows.items():
        names = [f"tests/{name}" for name in entry.get("tests", ()) if not name.startswith("e2e/")]
        if names and (status := await _pytest(folder, names)):
            report.faults.append(f"{row}: its tests fail as they are (pytest says {status})")
            continue
        for file, found, instead in entry.get("breaks", ()):
            path = folder / "gb28181" / file
            text = path.read_text()
            if found not in text:
                report.faults.append(f"{row}: in {file} there is no {found!r}")
                continue
            path.write_text(text.replace(found, instead, 1))
            try:
                status = await _pytest(folder, names)
            finally:
                path.write_text(text)
            broken += status == _TESTS_FAILED
            if status != _TESTS_FAILED:
                report.faults.append(f"{row}: without {found!r} in {file} no test fails (pytest says {status})")
    report.notes.append(f"{broken} tolerances of {len(rows)} rows broken, and seen")


async def _pytest(folder: Path, names: list[str]) -> int:
    """Status of these tests with the copy of the source; a run that does not end has failed."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names,
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return await asyncio.wait_for(process.wait(), _PATIENCE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return _TESTS_FAILED
