"""Byte fixtures of this folder's tests."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "vectors" / "manscdp"


def vector(name: str) -> bytes:
    return (FOLDER / name).read_bytes()
