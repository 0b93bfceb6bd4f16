"""Every starred row of the quirks of signalling is borne and proved: `tests/quirks.toml` says by what."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "gb28181"
VECTORS = TESTS / "vectors"
SHARED = TESTS.parents[1] / "shared" / "quirks.md"
ROWS: dict[str, dict[str, Any]] = tomllib.loads((TESTS / "quirks.toml").read_text())

STARRED = {
    *("Q1", "Q2", "Q7", "Q8", "Q9", "Q11", "Q12", "Q32"),
    *("Q40", "Q42", "Q43"),
    *("Q60", "Q61", "Q63", "Q64", "Q67", "Q68", "Q74"),
    *("Q80", "Q87", "Q94"),
    *("Q149b", "Q150", "Q155", "Q158"),
    *("Q177", "Q178", "Q182"),
}
WEAKNESSES = {*(f"W{number}" for number in range(1, 19)), "W13b", "S7"}
#: Nothing of these can be shown before the feature that they are about.
WAITING = {"Q158", "Q178", "Q182"}
SECTIONS = ("3.1", "3.2", "3.3", "3.4", "3.7", "3.8")
PROVED = sorted(set(ROWS) - WAITING)


@cache
def functions(path: Path) -> frozenset[str]:
    """Dotted names of everything that a file defines."""
    found: set[str] = set()

    def walk(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(prefix + node.target.id)

    walk(ast.parse(path.read_text()).body, "")
    return frozenset(found)


def test_every_row_is_listed() -> None:
    assert set(ROWS) == STARRED | WEAKNESSES


def test_the_rows_are_those_that_are_starred() -> None:
    if not SHARED.exists():
        pytest.skip("the list of quirks is not in this checkout")
    sections = re.split(r"^## ", SHARED.read_text(), flags=re.MULTILINE)
    starred = {
        row
        for section in sections
        if section.startswith(SECTIONS)
        for row in re.findall(r"^\| (Q\w+) ★", section, re.MULTILINE)
    }
    assert starred == STARRED


@pytest.mark.parametrize("row", PROVED)
def test_the_tests_of_a_row_exist(row: str) -> None:
    assert ROWS[row]["tests"]
    for name in ROWS[row]["tests"]:
        path, _, function = name.partition("::")
        assert function in functions(TESTS / path), f"{row}: there is no {name}"


@pytest.mark.parametrize("row", PROVED)
def test_the_bytes_of_a_row_exist_and_its_tests_read_them(row: str) -> None:
    fixtures = ROWS[row].get("fixtures", [])
    assert fixtures or row not in STARRED, f"{row}: no bytes"
    texts = "".join((TESTS / name.partition("::")[0]).read_text() for name in ROWS[row]["tests"])
    for fixture in fixtures:
        path = VECTORS / fixture
        assert path.stat().st_size
        assert path.stem in texts, f"{row}: no test of it names {fixture}"


@pytest.mark.parametrize("row", PROVED)
def test_what_bears_a_row_exists(row: str) -> None:
    for name in ROWS[row]["tolerance"]:
        path, _, symbol = name.partition(":")
        assert (SOURCE / path).exists(), f"{row}: there is no {name}"
        assert not symbol or symbol in functions(SOURCE / path), f"{row}: there is no {name}"


def test_only_rows_of_features_to_come_wait() -> None:
    assert {row for row, entry in ROWS.items() if "tests" not in entry} == WAITING
    assert all(ROWS[row].get("waits_for") for row in WAITING)


@pytest.mark.parametrize("row", PROVED)
def test_a_row_can_be_broken(row: str) -> None:
    """`scripts/test --long quirks` does it; here, that it is said how, and that what it takes away stands there."""
    breaks = ROWS[row].get("breaks", [])
    assert breaks or row not in STARRED
    for path, found, instead in breaks:
        assert found != instead
        assert found in (SOURCE / path).read_text(), (
            f"{row}: {path} has no {found!r} any more: say in quirks.toml what bears it"
        )
