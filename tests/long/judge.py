"""Verdicts of long runs: how a figure grows, and what is said about it."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: Values within so many seconds count as one: what is allocated and freed within a minute is no growth.
BIN_S = 60.0
#: Fewer bins say nothing about an hour.
FEWEST_BINS = 8


@dataclass(frozen=True, slots=True)
class Slope:
    """Straight line through a figure over time, in per cent of its mean per hour.

    Args:
        percent_per_hour: Estimate.
        low, high: 95 % confidence, widened for what one minute owes to the minute before.
        mean: Of the figure itself.
        minutes: Measured.
    """

    percent_per_hour: float
    low: float
    high: float
    mean: float
    minutes: int

    def __str__(self) -> str:
        return f"{self.percent_per_hour:+.2f} %/h (95 %: {self.low:+.2f} to {self.high:+.2f}) over {self.minutes} min"


def slope(samples: Sequence[tuple[float, float]], *, since: float) -> Slope | None:
    """The slope of `(seconds, value)` from `since` on; None when there are too few of them."""
    bins: dict[int, list[float]] = {}
    for at, value in samples:
        if at >= since:
            bins.setdefault(int((at - since) // BIN_S), []).append(value)
    if len(bins) < FEWEST_BINS:
        return None
    x = [number * BIN_S / 3600 for number in bins]
    y = [statistics.median(values) for values in bins.values()]
    line = statistics.linear_regression(x, y)
    rest = [value - line.slope * at - line.intercept for at, value in zip(x, y, strict=True)]
    spread = math.sqrt(sum(r * r for r in rest) / (len(x) - 2))
    width = math.sqrt(sum((at - statistics.fmean(x)) ** 2 for at in x))
    energy = sum(r * r for r in rest)
    echo = sum(a * b for a, b in itertools.pairwise(rest)) / energy if energy else 0.0
    echo = min(max(echo, 0.0), 0.9)
    error = 2.1 * spread / width * math.sqrt((1 + echo) / (1 - echo))
    mean = statistics.fmean(y)
    share = 100 / mean if mean else 0.0
    return Slope(line.slope * share, (line.slope - error) * share, (line.slope + error) * share, mean, len(bins))


@dataclass
class Report:
    """What a run found; written as JSON, and one line of verdict for people."""

    name: str
    seed: int
    minutes: float
    figures: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def claim(self, holds: bool, fault: str) -> None:
        """Notes a fault when a claim does not hold."""
        if not holds:
            self.faults.append(fault)

    def flat(self, name: str, samples: Sequence[tuple[float, float]], *, since: float, limit: float = 1.0) -> None:
        """Claims that a figure grows less than `limit` per cent an hour."""
        found = slope(samples, since=since)
        if found is None:
            self.notes.append(f"{name}: too short to tell a slope")
            return
        self.figures[f"slope {name}"] = asdict(found)
        self.notes.append(f"{name}: {found}")
        self.claim(found.percent_per_hour < limit, f"{name} grows {found}")

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"long-{self.name}-{self.seed}.json"
        path.write_text(json.dumps({"passed": not self.faults, **asdict(self)}, indent=1, ensure_ascii=False))
        return path

    def verdict(self) -> str:
        if not self.faults:
            return f"PASSED {self.name} {self.minutes:g} min, seed {self.seed}"
        return (
            f"FAILED {self.name} {self.minutes:g} min, seed {self.seed}: {len(self.faults)} faults, the first: {self.faults[0]}"
        )
