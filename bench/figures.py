#!/usr/bin/env python3
"""Draws bench/figures.png from the kept results, by way of SVG and headless Chromium.

.venv/bin/python bench/figures.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import table

WIDTH, MARGIN, LABEL = 1100, 24, 300
BAR, SPACE, TITLE = 15, 12, 34
FLOOR, OURS, HASHED, TARGET = "#9aa4b2", "#2f6fde", "#7aa6f0", "#d1493f"


@dataclass(frozen=True, slots=True)
class Group:
    """A label, its bars as (value, colour, note), and the target, None where there is none."""

    label: str
    bars: list[tuple[float, str, str]]
    target: float | None = None


def _good(name: str, results: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for run in results.get(name, {"runs": []})["runs"] if not run.get("void")]


def record_groups(results: dict[str, Any]) -> list[Group]:
    """CPU of recording beside the floor of the same run."""
    groups = []
    for row in table.ROWS:
        runs = _good(row.name, results)
        if not row.name.startswith("record") or not runs:
            continue
        load = runs[0]["plain"]
        floor = table.middle(runs, "floor", "cpu_s_per_gbit")
        plain = table.middle(runs, "plain", "cpu_s_per_gbit", "ingest-0")
        hashed = table.middle(runs, "hashed", "cpu_s_per_gbit", "ingest-0")
        most = 1.9 if load["transport"] == "tcp" else 1.5
        bars = [
            (floor, FLOOR, f"{floor:.2f}  C floor"),
            (plain, OURS, f"{plain:.2f}  {plain / floor:.2f} x"),
            (hashed, HASHED, f"{hashed:.2f}  with SHA-256"),
        ]
        groups.append(
            Group(f"{load['transport'].upper()} {load['streams']} x {load['kbps'] / 1000:g} Mbit/s", bars, most * floor)
        )
    return groups


def time_groups(results: dict[str, Any]) -> list[Group]:
    """What somebody waits for: 95 % of the time not longer than this."""
    groups = []
    for name, label, target in (
        ("first-picture-udp", "first picture, UDP", 60),
        ("first-picture-tcp", "first picture, TCP", 60),
        ("join-watched", "join, watched", 10),
        ("join-recorded", "join, recorded only", 100),
        ("playback", "seek in a recording", 200),
    ):
        runs = _good(name, results)
        if not runs:
            continue
        path = ("seek",) if name == "playback" else ()
        half, most = table.middle(runs, *path, "p50_ms"), table.middle(runs, *path, "p95_ms")
        groups.append(Group(label, [(half, HASHED, f"{half:.0f} ms  median"), (most, OURS, f"{most:.0f} ms  p95")], target))
    return groups


def _panel(title: str, groups: list[Group], top: int) -> tuple[str, int]:
    widest = max(max(value for value, _, _ in group.bars) for group in groups)
    widest = max([widest, *(group.target for group in groups if group.target is not None)])
    scale = (WIDTH - 2 * MARGIN - LABEL - 150) / widest
    out = [f'<text x="{MARGIN}" y="{top + 18}" class="title">{escape(title)}</text>']
    y = top + TITLE
    for group in groups:
        height = BAR * len(group.bars)
        out.append(f'<text x="{MARGIN}" y="{y + height / 2 + 5}">{escape(group.label)}</text>')
        for number, (value, colour, note) in enumerate(group.bars):
            line = y + number * BAR
            out.append(f'<rect x="{LABEL}" y="{line}" width="{value * scale:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            out.append(f'<text x="{LABEL + value * scale + 6:.1f}" y="{line + 11}" class="note">{escape(note)}</text>')
        if group.target is not None:
            x = LABEL + group.target * scale
            out.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 3}" y2="{y + height + 1}" stroke="{TARGET}" stroke-width="2"/>'
            )
        y += height + SPACE
    return "\n".join(out), y + 8


def draw(results: dict[str, Any]) -> tuple[str, int]:
    """The picture as SVG, and its height."""
    newest = max(results.values(), key=lambda result: str(result["at"]))
    head = f"{newest['at'][:10]}, {newest['machine']}. Red line: target."
    parts, y = [f'<text x="{MARGIN}" y="28" class="head">{escape(head)}</text>'], 48
    for title, groups in (
        ("Recording: CPU seconds per Gbit, beside the C floor of the same run", record_groups(results)),
        ("Waiting: milliseconds", time_groups(results)),
    ):
        if groups:
            panel, y = _panel(title, groups, y)
            parts.append(panel)
    style = (
        "text{font:13px sans-serif;fill:#1c2430}.title{font-weight:bold;font-size:15px}"
        ".note,.head{fill:#556}.note{font-size:11px}"
    )
    size = f'width="{WIDTH}" height="{y}"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style><rect {size} fill="white"/>\n{body}\n</svg>\n',
        y,
    )


def main() -> int:
    browser = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    results = table.kept()
    if browser is None or not results:
        print("needs Chromium and results in bench/results")
        return 1
    svg, height = draw(results)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "figures.html"
        page.write_text(f"<!doctype html><style>body{{margin:0}}</style>{svg}")
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{height}",
             f"--screenshot={table.HERE / 'figures.png'}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
