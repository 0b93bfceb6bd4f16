"""The rows of the table: what is run, how it is told, and the target beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import live
import machine
import playback
import record
import signalling
from server import end_in_order

import catalog

HERE = Path(__file__).parent
RESULTS = HERE / "results"

Run = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; `holds` is None where there is no target."""

    what: str
    figure: str
    beside: str
    target: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """One bench.

    Args:
        run: Takes the seconds of a window and returns the figures; `void` among them when the load came late.
        lines: Tells the runs that count.
        repeat: How often it is run unless said otherwise.
    """

    name: str
    run: Callable[[float], Run]
    lines: Callable[[list[Run]], list[Line]]
    repeat: int = 3


def middle(runs: list[Run], *path: str) -> float:
    """Median of one figure over the runs."""
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        values.append(float(value))
    return statistics.median(values)


def _record(transport: str, streams: int, kbps: int, most: float, *, watched: int = 0) -> Row:
    name = f"record-{transport}-{streams}x{kbps / 1000:g}"

    def run(seconds: float) -> Run:
        floor = record.floor(streams, kbps, transport, seconds)
        plain = asyncio.run(record.record(streams, kbps, transport, seconds, watched=watched, hashing=False))
        hashed = asyncio.run(record.record(streams, kbps, transport, seconds, watched=watched))
        own = [one["cpu_s_per_gbit"]["ingest-0"] for one in (plain, hashed)]
        return {
            "floor": floor, "plain": plain, "hashed": hashed,
            "ratio": own[0] / floor["cpu_s_per_gbit"], "ratio_hashed": own[1] / floor["cpu_s_per_gbit"],
            "void": floor["void"] or plain["void"] or hashed["void"],
        }  # fmt: skip

    def lines(runs: list[Run]) -> list[Line]:
        ratio, plain, hashed = middle(runs, "ratio"), *(middle(runs, kind, "cpu_s_per_gbit", "ingest-0") for kind in _KINDS)
        lost = sum(run[kind]["lost_packets"] for run in runs for kind in _KINDS)
        cores = middle(runs, "hashed", "cores", "ingest-0") + middle(runs, "hashed", "cores", "control")
        memory, empty = (middle(runs, "hashed", key, "ingest-0") for key in ("resident_mib", "resident_mib_empty"))
        bound = 40 + 0.4 * streams
        floor = middle(runs, "floor", "cpu_s_per_gbit")
        return [
            Line(
                f"record {transport.upper()} {streams} x {kbps / 1000:g} Mbit/s" + (f", {watched} watched" if watched else ""),
                f"{plain:.2f} CPU-s/Gbit, {hashed:.2f} with SHA-256; {cores:.2f} cores; {lost} packets lost",
                f"{ratio:.2f} x C floor ({floor:.2f}), {middle(runs, 'ratio_hashed'):.2f} x with",
                f"<= {most} x, no loss",
                ratio <= most and not lost,
            ),
            Line(
                f"  memory of its ingest, {streams} streams",
                f"{memory:.0f} MiB ({empty:.0f} before)",
                f"{(memory - empty) / streams:.2f} MiB a stream",
                f"<= {bound:.0f} MiB",
                memory <= bound,
            ),
        ]

    return Row(name, run, lines)


_KINDS = ("plain", "hashed")


def _times(name: str, what: str, run: Callable[[float], Run], *, key: str = "p95_ms", most: float) -> Row:
    def lines(runs: list[Run]) -> list[Line]:
        return [
            Line(
                what,
                f"p50 {middle(runs, 'p50_ms'):.0f} ms, p95 {middle(runs, 'p95_ms'):.0f} ms",
                f"worst {max(run['worst_ms'] for run in runs):.0f} ms of {sum(run['count'] for run in runs)}",
                f"{key.removesuffix('_ms')} <= {most:.0f} ms",
                middle(runs, key) <= most,
            )
        ]

    return Row(name, run, lines)


def _fan_out(runs: list[Run]) -> list[Line]:
    cost, silence = middle(runs, "cpu_s_per_gbit", "edge"), middle(runs, "longest_silence_ms")
    return [
        Line(
            f"fan-out 4 Mbit/s to {runs[0]['viewers']} viewers",
            f"{cost:.3f} CPU-s per delivered Gbit; longest silence {silence:.0f} ms",
            f"{middle(runs, 'delivered_gbit') / runs[0]['seconds']:.2f} Gbit/s delivered",
            "<= 0.14, <= 100 ms",
            cost <= 0.14 and silence <= 100,
        )
    ]


def _signalling(runs: list[Run]) -> list[Line]:
    def line(what: str, key: str, target: str, holds: bool | None) -> Line:
        figure = f"{middle(runs, key, 'per_cpu_s'):.0f} per CPU second ({middle(runs, key, 'us'):.0f} µs)"
        return Line(what, figure, f"{middle(runs, key, 'per_s'):.0f}/s reached", target, holds)

    count = runs[0]["devices"]
    grown = middle(runs, "memory_mib") - middle(runs, "memory_mib_before")
    renewal = middle(runs, "renewal", "per_cpu_s")
    return [
        line(f"registration, full digest, {count} new devices, their catalogue asked for", "first", "", None),
        line("registration, full digest, known devices", "renewal", ">= 3000 per CPU second", renewal >= 3000),
        line("keepalive", "keepalive", "", None),
        Line(
            f"  memory of control, {count} devices",
            f"{middle(runs, 'memory_mib'):.0f} MiB",
            f"{grown * 1024 / count:.1f} KiB a device",
            "",
            None,
        ),
    ]


def _catalog(runs: list[Run]) -> list[Line]:
    cpu, wall, lag = (middle(runs, key) for key in ("cpu_s", "wall_s", "lag_p99_ms"))
    slowest = max(runs[0]["queries"], key=lambda name: middle(runs, "queries", name, "p95_ms"))
    p95 = middle(runs, "queries", slowest, "p95_ms")
    count = runs[0]["channels"]
    return [
        Line(
            f"catalogue of {count} channels over SIP, {runs[0]['senders']} senders, stored",
            f"{cpu:.0f} CPU-s, {wall:.0f} s; {middle(runs, 'us_per_message'):.0f} µs a message",
            f"{middle(runs, 'repeated'):.0f} of {runs[0]['messages']} messages repeated",
            "<= 60 CPU-s, <= 120 s",
            cpu <= 60 and wall <= 120,
        ),
        Line(
            "  lag of the loop meanwhile",
            f"p99 {lag:.0f} ms",
            f"worst {middle(runs, 'lag_worst_ms'):.0f} ms",
            "<= 100 ms",
            lag <= 100,
        ),
        Line("  slowest question afterwards", f"p95 {p95:.0f} ms", slowest, "<= 100 ms", p95 <= 100),
        Line(
            "  memory of control",
            f"{middle(runs, 'memory_mib_after'):.0f} MiB ({middle(runs, 'memory_mib_before'):.0f} before)",
            f"{middle(runs, 'bytes_a_channel'):.0f} bytes a channel, its device included",
            "",
            None,
        ),
    ]


def _playback(runs: list[Run]) -> list[Line]:
    lost = sum(run["lost_packets"] for run in runs)
    seek, movie = middle(runs, "seek", "p95_ms"), middle(runs, "export", "mp4", "times_real_time")
    original = middle(runs, "export", "ps", "times_real_time")
    meanwhile = f"{runs[0]['streams_recorded']} streams recorded meanwhile, {lost} packets lost"
    return [
        Line(
            "seek: request to first media byte (HLS: playlist, initialisation, entry)",
            f"p50 {middle(runs, 'seek', 'p50_ms'):.0f} ms, p95 {seek:.0f} ms",
            meanwhile,
            "p95 <= 200 ms",
            seek <= 200,
        ),
        Line(
            f"export MP4 of {runs[0]['footage_s'] // 60} min of 2 Mbit/s with sound",
            f"{movie:.0f} x real time, {middle(runs, 'export', 'mp4', 'cpu_s'):.1f} CPU-s",
            meanwhile,
            ">= 500 x, no loss",
            movie >= 500 and not lost,
        ),
        Line(
            "export of the original PS",
            f"{original:.0f} x real time, {middle(runs, 'export', 'ps', 'cpu_s'):.1f} CPU-s",
            meanwhile,
            "",
            None,
        ),
    ]


ROWS = (
    _record("udp", 100, 2000, 1.5),
    _record("tcp", 100, 2000, 1.9),
    _record("udp", 100, 4000, 1.5),
    _record("tcp", 100, 4000, 1.9),
    _record("udp", 1040, 1000, 1.5, watched=16),
    _record("tcp", 1040, 1000, 1.9, watched=16),
    _times("first-picture-udp", "first picture, UDP", lambda _: asyncio.run(live.first_picture("udp", 30)), most=60),
    _times("first-picture-tcp", "first picture, TCP", lambda _: asyncio.run(live.first_picture("tcp", 30)), most=60),
    _times("join-watched", "join a watched stream", lambda _: asyncio.run(live.join_running(50)), most=10),
    _times(
        "join-recorded", "join a recorded, unwatched stream, GOP 10 s", lambda _: asyncio.run(live.join_recorded(30)), most=100
    ),
    Row("fan-out", lambda seconds: asyncio.run(live.fan_out(400, seconds)), _fan_out),
    Row("signalling", lambda _: asyncio.run(signalling.signalling(5000)), _signalling),
    Row("catalog", lambda _: catalog.catalog(), _catalog, repeat=1),
    Row("playback", lambda _: asyncio.run(playback.playback(30, 3600)), _playback, repeat=1),
)


def tell(row: Row, runs: list[Run]) -> list[Line]:
    """Lines of a row; one that says "void" when no run counts."""
    good = [run for run in runs if not run.get("void")]
    if not good:
        return [Line(row.name, "void: the sender ran late, or viewers were closed", "", "", None)]
    return row.lines(good)


def print_table(lines: list[Line]) -> None:
    rows = [("", "figure", "beside", "target", "")]
    marks = {True: "holds", False: "MISSED", None: ""}
    rows += [(line.what, line.figure, line.beside, line.target, marks[line.holds]) for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def kept() -> dict[str, dict[str, Any]]:
    """The newest result of every row."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def main(about: str | None) -> int:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="rows whose name begins so; may be repeated")
    parser.add_argument(
        "--seconds", type=float, default=20, help="window of the rows that run by the clock (default %(default)s)"
    )
    parser.add_argument("--repeat", type=int, help="runs of each row; the table shows medians")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--kept", action="store_true", help="run nothing, print the table of the kept results")
    options = parser.parse_args()
    rows = [row for row in ROWS if not options.only or any(row.name.startswith(name) for name in options.only)]
    if options.list or not rows:
        print("\n".join(row.name for row in ROWS))
        return 0 if options.list else 2
    lines: list[Line] = []
    if options.kept:
        results = kept()
        for row in rows:
            lines += tell(row, results[row.name]["runs"]) if row.name in results else [Line(row.name, "not run", "", "", None)]
        print_table(lines)
        return 0
    end_in_order()
    subprocess.run(["make", "-s", "-C", HERE], check=True)
    RESULTS.mkdir(exist_ok=True)
    print(f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; {machine.words()}; commit {machine.commit()}", flush=True)
    for row in rows:
        runs = [row.run(options.seconds) for _ in range(options.repeat or row.repeat)]
        result = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine.words(),
                  "commit": machine.commit(), "seconds": options.seconds, "runs": runs}  # fmt: skip
        (RESULTS / f"{row.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        lines += tell(row, runs)
        print(f"{row.name}: {tell(row, runs)[0].figure}", flush=True)
    print()
    print_table(lines)
    return 0
