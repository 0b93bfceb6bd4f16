#!/usr/bin/env python3
"""Storm: a region comes back after a power cut. Light devices register within seconds and then report every minute.

    .venv/bin/python bench/storm.py --devices 50000 --minutes 10
    .venv/bin/python bench/storm.py --devices 5000 --minutes 1 --restart

Each device has a UDP port of its own, nearly each an address of its own (127.16.0.0 and on), and answers the challenge with the
real digest. The platform keeps its default limits. The simulator has the last core, the platform the others. Prints a table and
writes `artifacts/storm-DEVICES.json`. What a keepalive costs by itself is measured by the row `signalling`: here the platform
goes on asking the new devices who they are, what channels they have and for its subscriptions.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import machine
from server import LOAD_CORE, PASSWORD, SERVER_ID, Platform, platform

ARTIFACTS: Final = Path(__file__).parents[1] / "artifacts"
KEEPALIVE_S: Final = 60.0
#: All devices are switched on within so many seconds.
OVER_S: Final = 30.0
#: Everybody has to be registered by then.
REGISTERED_S: Final = 60.0
_GIVE_UP_S: Final = 240.0
_SAMPLE_S: Final = 2.0
MEMORY_MIB: Final = 600.0


class Storm:
    """One run.

    Args:
        server: Running, with no device.
        report: File in which the simulator tells its figures.
    """

    def __init__(self, server: Platform, report: Path, devices: int) -> None:
        self.samples: list[dict[str, Any]] = []
        self._server, self._report, self._devices = server, report, devices
        self._began = time.monotonic()
        self._cpu_before = server.cpu()["control"]

    def sample(self) -> dict[str, Any]:
        """The state of both sides now."""
        row: dict[str, Any] = {"at": round(time.monotonic() - self._began, 1)}
        try:
            cpu, memory = self._server.usage("control")
            row |= {"cpu_s": round(cpu - self._cpu_before, 2), "memory_mib": round(memory, 1)}
            figures = self._server.figures()
            row |= {"online": int(figures["devices_online"]), "lag_ms": round(figures["loop_lag_max_seconds"] * 1000, 1)}
        except OSError:
            row["silent"] = True  # control is busy or being started again
        if self._report.exists():
            row["devices"] = json.loads(self._report.read_text())
        self.samples.append(row)
        return row

    def wait_until(self, what: Any, seconds: float) -> dict[str, Any] | None:
        """Samples until the claim holds of one; None when it did not in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(_SAMPLE_S)
            row = self.sample()
            if what(row):
                return row
        return None

    def registered(self, row: dict[str, Any]) -> bool:
        said = row.get("devices", {})
        return bool(said.get("all_registered_s")) and row.get("online", 0) >= self._devices

    def calm(self) -> dict[str, Any]:
        """Waits until what the registrations set off (queries, catalogues) has been done."""
        last = self.sample()
        for _ in range(30):
            time.sleep(_SAMPLE_S)
            row = self.sample()
            said, before = row.get("devices", {}), last.get("devices", {})
            if said.get("asked") == before.get("asked") and row["cpu_s"] - last["cpu_s"] < 0.5 * _SAMPLE_S:
                return row
            last = row
        return last


def storm(
    devices: int, minutes: float, *, over_s: float = OVER_S, seed: int = 1, restart: bool = False, folder: Path | None = None
) -> dict[str, Any]:
    """Runs it and returns figures, samples, and the claims that did not hold as `faults`."""
    with platform(folder) as server:
        report = server.folder / "light.json"
        memory_before = server.memory()["control"]
        time.sleep(1.0)
        run = Storm(server, report, devices)
        simulator = _simulator(server, report, devices, over_s, seed)
        try:
            return _measure(run, server, devices, minutes, memory_before, restart=restart)
        finally:
            simulator.send_signal(signal.SIGTERM)
            simulator.wait(60)


def _simulator(server: Platform, report: Path, devices: int, over_s: float, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            "taskset", "-c", LOAD_CORE, sys.executable, "-m", "gb28181", "sim", "--light", str(devices), "--quiet",
            "--light-over", str(over_s), "--server", f"127.0.0.1:{server.sip_port}", "--server-id", SERVER_ID,
            "--keepalive", str(KEEPALIVE_S), "--report", str(report), "--seed", str(seed),
        ],
        env={**os.environ, "GB28181_SIM_PASSWORD": PASSWORD}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _measure(
    run: Storm, server: Platform, devices: int, minutes: float, memory_before: float, *, restart: bool
) -> dict[str, Any]:
    faults: list[str] = []
    found = run.wait_until(run.registered, _GIVE_UP_S)
    if found is None:
        last = run.samples[-1]
        faults.append(f"not all registered in {_GIVE_UP_S:.0f} s: {last.get('devices')}, online {last.get('online')}")
        found = last
    registering = found
    settled = run.calm()
    steady = len(run.samples)
    run.wait_until(lambda _: False, minutes * 60)
    last = run.samples[-1]
    said, at_calm = last["devices"], settled["devices"]
    keepalives = said["keepalives_answered"] - at_calm["keepalives_answered"]
    questions = sum(said["asked"].values()) - sum(at_calm["asked"].values())
    used = last["cpu_s"] - settled["cpu_s"]
    offline = (server.folder / "log").read_text(errors="replace").count("device offline")
    least = min((row["online"] for row in run.samples[steady:] if "online" in row), default=0)
    registered_s = said["all_registered_s"]
    result: dict[str, Any] = {
        "devices": devices,
        "minutes": minutes,
        "all_registered_s": registered_s,
        "register_ms": said["register_ms"],
        "keepalive_ms": said["keepalive_ms"],
        "retransmissions": {"registering": registering["devices"]["retransmissions"], "all": said["retransmissions"]},
        "failed": said["failed"],
        "lost": said["lost"],
        "statuses": said["statuses"],
        "unanswered": said["unanswered"],
        "keepalives_answered": said["keepalives_answered"],
        "control_us_per_device": {
            "until all registered": round(registering["cpu_s"] / devices * 1e6),
            "with queries and catalogues": round(settled["cpu_s"] / devices * 1e6),
        },
        "control_us_per_keepalive": round(used / keepalives * 1e6) if keepalives else None,
        "questions_meanwhile": questions,
        "asked": said["asked"],
        "memory_mib": {"before": memory_before, "calm": settled["memory_mib"], "last": last["memory_mib"],
                       "most": max(row["memory_mib"] for row in run.samples)},
        "kib_per_device": round((last["memory_mib"] - memory_before) * 1024 / devices, 2),
        "lag_ms": {"registering": _worst(run.samples[:steady]), "steady": _worst(run.samples[steady:])},
        "least_online": least,
        "offline_events": offline,
        "simulator": {"cpu_s": said["cpu_s"], "memory_mib": said["resident_mib"]},
    }  # fmt: skip
    if registered_s is None or registered_s > REGISTERED_S:
        faults.append(f"all {devices} registered after {registered_s} s, wanted {REGISTERED_S:.0f}")
    if least < devices or offline or said["lost"]:
        faults.append(f"false offline: {least} of {devices} online, {offline} events, {said['lost']} registrations given up")
    if result["memory_mib"]["most"] > MEMORY_MIB:
        faults.append(f"control held {result['memory_mib']['most']:.0f} MiB, wanted {MEMORY_MIB:.0f}")
    if restart:
        _restart(run, server, devices, result, faults)
    return {**result, "machine": machine.words(), "commit": machine.commit(), "faults": faults, "samples": run.samples}


def _restart(run: Storm, server: Platform, devices: int, result: dict[str, Any], faults: list[str]) -> None:
    """Kills control; everybody has to be online again from the next keepalive, without registering."""
    before = run.sample()["devices"]
    os.kill(server.pid("control"), signal.SIGKILL)
    began = time.monotonic()
    back = run.wait_until(lambda row: row.get("online", 0) >= devices, 3 * KEEPALIVE_S)
    after = run.samples[-1]["devices"]
    result["restart_took_s"] = time.monotonic() - began + _SAMPLE_S
    result["restart"] = {
        "online_again_s": round(time.monotonic() - began, 1) if back else None,
        "registrations": after["registrations"] - before["registrations"],
    }
    if back is None or after["lost"] > before["lost"]:
        faults.append(
            f"after a restart {run.samples[-1].get('online')} of {devices} are online, {after['lost']} had to register"
        )


def _worst(samples: list[dict[str, Any]]) -> float:
    return max((row.get("lag_ms", 0.0) for row in samples), default=0.0)


def table(result: dict[str, Any]) -> str:
    """The figures that count, for people."""
    milliseconds = "/".join(str(result["register_ms"][share]) for share in ("p50", "p95", "p99"))
    reports = "/".join(str(result["keepalive_ms"][share]) for share in ("p50", "p95", "p99"))
    us, memory = result["control_us_per_device"], result["memory_mib"]
    rows = [
        ("devices", f"{result['devices']:,}", ""),
        ("all registered after", f"{result['all_registered_s']} s", f"{REGISTERED_S:.0f} s"),
        ("a registration took p50/p95/p99", f"{milliseconds} ms", ""),
        ("a keepalive took p50/p95/p99", f"{reports} ms", ""),
        ("requests repeated", f"{result['retransmissions']['all']:,}", ""),
        ("failed, given up", f"{result['failed']:,}, {result['lost']:,}", "0"),
        ("least online, offline events", f"{result['least_online']:,}, {result['offline_events']:,}", "all, 0"),
        ("control a device, registered", f"{us['until all registered']} us", "333 us"),
        ("control a device, with catalogue", f"{us['with queries and catalogues']} us", ""),
        ("control a keepalive, with questions", f"{result['control_us_per_keepalive']} us", ""),
        ("questions asked meanwhile", f"{result['questions_meanwhile']:,}", ""),
        ("memory of control, before/most/last", "{before}/{most}/{last} MiB".format(**memory), f"{MEMORY_MIB:.0f} MiB"),
        ("loop lag, registering/steady", f"{result['lag_ms']['registering']}/{result['lag_ms']['steady']} ms", ""),
        ("simulator", f"{result['simulator']['cpu_s']} CPU-s, {result['simulator']['memory_mib']} MiB", ""),
    ]  # fmt: skip
    if "restart" in result:
        rows.append(("online again after a restart", f"{result['restart']['online_again_s']} s", ""))
    return "\n".join(f"{what:38} {figure:28} {wanted}" for what, figure, wanted in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=50_000)
    parser.add_argument("--minutes", type=float, default=10, help="of keepalives")
    parser.add_argument("--over", type=float, default=OVER_S, metavar="S", help="switched on within S seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restart", action="store_true", help="kill control at the end and wait for all devices")
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS)
    options = parser.parse_args()
    result = storm(options.devices, options.minutes, over_s=options.over, seed=options.seed, restart=options.restart)
    options.artifacts.mkdir(parents=True, exist_ok=True)
    path = options.artifacts / f"storm-{options.devices}.json"
    path.write_text(json.dumps(result, indent=1))
    print(table(result))
    for fault in result["faults"]:
        print(f"fault: {fault}")
    print(f"written to {path}")
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
