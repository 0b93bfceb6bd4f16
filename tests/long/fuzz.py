"""Coverage-guided fuzzing (atheris) of everything that reads the bytes of strangers: `tests/fuzz/targets.py`, two at a time.

Each target runs in a process of its own with a bound of memory and of time per input. An input that takes a new way through the
code is kept in `tests/fuzz/corpus` after the run, the smallest first and a bounded number, so that the suite replays them
for ever; one that broke something is kept as a file beside the report.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import sys
from pathlib import Path

from tests.fuzz.corpus import keep, kept, seeds
from tests.fuzz.targets import TARGETS
from tests.long.judge import Report

_ARTIFACTS = Path(__file__).parents[2] / "artifacts"
_RSS_MB = 768
_INPUT_S = 10
_LONGEST_INPUT = 8 << 10
_MOST_KEPT = 250
#: Targets at once: as many as there are cores to spare.
_AT_ONCE = 2
_FIGURES = re.compile(rb"#(\d+)\s+\w+\s+cov: (\d+).*?exec/s: (\d+) rss: (\d+)Mb")


async def run(folder: Path, report: Report, **_more: object) -> None:
    seconds = max(5, int(report.minutes * 60 * _AT_ONCE / len(TARGETS)))
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(target: str) -> None:
        async with turns:
            await _fuzz(target, folder, report, seconds)

    await asyncio.gather(*(one(target) for target in TARGETS))


async def _fuzz(target: str, folder: Path, report: Report, seconds: int) -> None:
    work, broken = folder / target, folder / f"{target}-broken"
    work.mkdir()
    for data in (*kept(target), *seeds(target)):
        (work / hashlib.sha1(data).hexdigest()).write_bytes(data)
    status, output = await _atheris(
        target, str(broken), f"-max_total_time={seconds}", f"-seed={report.seed}", f"-artifact_prefix={broken}-", str(work)
    )
    lines = [tuple(map(int, line)) for line in _FIGURES.findall(output)]
    report.claim(bool(lines), f"{target}: no figures were told")
    runs, cover, rate = lines[-1][:3] if lines else (0, 0, 0)
    rss = max((line[3] for line in lines), default=0)
    report.notes.append(f"{target}: {runs} inputs in {seconds} s, {cover} branches, {rate}/s, {rss} MB at most")
    report.figures[target] = {"inputs": runs, "seconds": seconds, "branches": cover, "per_second": rate, "rss_mb": rss}
    if status:
        told = output.decode("utf-8", "replace")
        report.faults.append(f"{target}: {told[-3000:]}")
        _ARTIFACTS.mkdir(exist_ok=True)
        for path in folder.glob(f"{broken.name}*"):
            shutil.copyfile(path, _ARTIFACTS / f"fuzz-{path.name}")
    _keep(target, work)


def _keep(target: str, work: Path) -> None:
    """What the fuzzer left in its folder takes a new way each; a smaller input that took the same one has replaced a larger."""
    own = set(seeds(target))
    found = {path.read_bytes() for path in work.iterdir()} - own
    keep(target, sorted(found, key=lambda data: (len(data), data))[:_MOST_KEPT])


async def _atheris(target: str, *options: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.long.fuzz_target", target, *options, f"-rss_limit_mb={_RSS_MB}", f"-timeout={_INPUT_S}",
        f"-max_len={_LONGEST_INPUT}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output
