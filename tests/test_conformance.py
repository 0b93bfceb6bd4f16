"""docs/conformance.md is what `scripts/conformance` writes, and every test that it names is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_is_not_stale() -> None:
    """After a change of commands, flows or their tests: run scripts/conformance."""
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts/conformance"), "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert checked.returncode == 0, checked.stderr
