"""One target under atheris: `python -m tests.long.fuzz_target NAME FILE [libFuzzer options] [folders]`.

The input that broke something goes to FILE: libFuzzer writes it only where it dies by a signal.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gb28181"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, broken = sys.argv.pop(1), Path(sys.argv.pop(1))

    def once(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except BaseException:
            broken.write_bytes(data)
            raise

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
