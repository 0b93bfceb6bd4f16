"""The page of limits says what the settings and the source say."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from gb28181.config import Settings

PAGE = Path(__file__).parents[1] / "docs" / "limits.md"
ROWS = re.findall(r"^\| (.+?) \| ([-0-9.]+) \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
KEYS = {found[1]: default for _, default, where, _ in ROWS if (found := re.fullmatch(r"`([a-z]+\.[a-z0-9_]+)`", where))}
CONSTANTS = [
    (found[1], found[2], default)
    for _, default, where, _ in ROWS
    if (found := re.fullmatch(r"`([a-z_.0-9]+):([A-Z_0-9]+)`", where))
]
#: Numbers that bound nothing.
NO_LIMITS = {"sip.port", "sip.tls_port", "http.port"}


def test_every_number_of_the_configuration_is_on_the_page_with_its_default() -> None:
    numbers = {
        f"{section}.{key}": value
        for section, keys in Settings().model_dump().items()
        for key, value in keys.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert set(KEYS) == set(numbers) - NO_LIMITS
    assert {key: float(default) for key, default in KEYS.items()} == {key: float(numbers[key]) for key in KEYS}


@pytest.mark.parametrize(("module", "name", "value"), CONSTANTS, ids=lambda part: str(part))
def test_every_constant_on_the_page_exists_with_its_value(module: str, name: str, value: str) -> None:
    assert getattr(importlib.import_module(f"gb28181.{module}"), name) == float(value)


def test_every_row_is_complete() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and not line.startswith(("|--", "| what"))]
    assert len(rows) == len(ROWS)
