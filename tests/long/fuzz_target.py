"""One target under atheris: `python -m tests.long.fuzz_target NAME [libFuzzer options] [folders]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["gb28181"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
