"""`web/build.py` as a module: it lies outside of the package because builds run before anything is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("console_build", WEB / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
