"""STYLE §2: who may import whom, no cycles, one composition root per process."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gb28181"
MODULES = {
    ".".join(("gb28181", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}
VOCABULARY = {
    "background",
    "errors",
    "ids",
    "clock",
    "bus",
    "config",
    "messages",
    "frames",
    "ingest_start",
    "tokens",
    "advertise",
    "pace",
    "texts",
}
WIRE = {"sip", "manscdp", "media", "storage"}
ADAPTERS = {"database", "api", "ops"}
PROCESSES = {"control", "ingest", "edge", "__main__"}
FEATURES = {"device", "catalog", "session", "recording", "command", "accounts", "ptz", "alarm", "position", "subscription"}


def level(module: str) -> int:
    parts = module.split(".")[1:]
    if not parts or parts[0] in VOCABULARY:
        return 0
    if "io" in parts[1:2] or parts[0] in ADAPTERS:
        return 4
    if parts[0] in WIRE:
        return 1
    if parts[0] in FEATURES:
        return 2 if parts[-1] == "model" else 3
    if parts[0] in ("ports", "router", "exchange"):
        return 3
    if parts[0] in PROCESSES:
        return 5
    if parts[0] == "sim":
        return 6
    raise AssertionError(f"{module} is in no layer: add it to tests/test_architecture.py and STYLE §2")


def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """Modules of this package that a file imports; with `at_import` only those that a cycle could hurt."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_import else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.startswith("gb28181"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gb28181"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else str(node.module))
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_lower_levels_or_its_own_folder(module: str) -> None:
    own = module.split(".")[1:2]
    for target in imports(MODULES[module]):
        assert target in MODULES, f"{module} imports {target}, which does not exist"
        folder = target.split(".")[1:2]
        if level(module) == 6:
            allowed = folder in (["sim"], ["ids"], ["errors"], [])
        elif folder == own or module == "gb28181.__main__":
            allowed = True
        elif level(module) == 4:
            allowed = level(target) < 4
        elif level(module) == 1:
            allowed = level(target) == 0
        elif level(module) == 3 and level(target) == 3:
            allowed = target in ("gb28181.ports", "gb28181.router", "gb28181.exchange")
        elif level(module) == 5:
            allowed = level(target) < 5 or folder == ["control"]
        else:
            allowed = level(target) <= level(module)
        assert allowed, f"{module} (level {level(module)}) may not import {target} (level {level(target)})"


def test_there_are_no_import_cycles() -> None:
    graph = {module: imports(path, at_import=True) for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "import cycle: " + " -> ".join((*path[path.index(module) :], module))
        if module in done:
            return
        for target in graph.get(module, ()):
            if target != module:
                visit(target, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_services_see_no_socket_no_database_and_no_web_request() -> None:
    for module, path in MODULES.items():
        if level(module) not in (1, 2, 3) or ".io" in module:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert name.split(".")[0] not in {"socket", "sqlalchemy", "aiohttp", "av"}, f"{module} imports {name}"


def test_each_process_has_one_composition_root() -> None:
    """Only the roots construct services and adapters."""
    constructed = {"SipServer", "Database", "DeviceService", "CatalogService", "SessionService", "RecordingService"}
    for module, path in MODULES.items():
        if module in ("gb28181.control.app", "gb28181.ingest.app", "gb28181.edge.app"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in constructed, f"{module} constructs {node.func.id}"


def test_the_simulator_is_loaded_only_by_its_command() -> None:
    for module, path in MODULES.items():
        if level(module) != 6 and module != "gb28181.__main__":
            assert not any(target.startswith("gb28181.sim") for target in imports(path)), module
    assert not any(target.startswith("gb28181.sim") for target in imports(MODULES["gb28181.__main__"], at_import=True))


def test_an_ingest_loads_nothing_that_it_has_no_use_for() -> None:
    """Each of these costs every ingest 3 to 14 MiB before its first stream."""
    program = "import json, sys, gb28181.__main__, gb28181.control.paths, gb28181.ingest.app; print(json.dumps([*sys.modules]))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    loaded = {name.split(".")[0] for name in json.loads(said)}
    assert not loaded & {"pydantic", "asyncio", "ssl", "cryptography", "sqlalchemy", "aiohttp", "av", "email", "http"}
