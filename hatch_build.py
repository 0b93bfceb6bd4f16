"""Build hook: the wheel carries the built console, made with the Node that comes as a wheel, so that no machine needs its own.

An editable install leaves the console to `scripts/build-console`. A source distribution carries it built, beside its
sources and their digest: installing from it needs no npm registry.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleBuildHook(BuildHookInterface[Any]):
    """Makes `src/gb28181/edge/console/` before files are collected for a wheel or a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Args: version: `editable` or `standard`."""
        if version == "editable":
            return
        root = Path(self.root)
        if (root / "web").is_dir():
            runpy.run_path(str(root / "web" / "build.py"))["build"](root)
        elif not (root / "src" / "gb28181" / "edge" / "console" / "index.html").is_file():
            raise RuntimeError("neither web/ nor the built console is here: this is no complete source tree")
