from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gb28181.errors import StorageError
from gb28181.ops.keys import load_or_create
from gb28181.ops.sealing import SealedSecrets


def test_keys_are_made_once_and_private(tmp_path: Path):
    first = load_or_create(tmp_path)
    assert load_or_create(tmp_path) == first
    assert len(first.secret) == 32
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["instance", "secret.key"]
    assert repr(first.secret) not in repr(first)


def test_processes_that_start_at_once_get_the_same_keys(tmp_path: Path):
    program = (
        "import sys, pathlib; from gb28181.ops.keys import load_or_create as f; print(f(pathlib.Path(sys.argv[1])).instance)"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(4)]
    assert len({process.communicate()[0] for process in started}) == 1


def test_damaged_key_is_refused_with_the_remedy(tmp_path: Path):
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(StorageError, match="has 5 bytes, expected 32: restore it"):
        load_or_create(tmp_path)


def test_damaged_instance_is_refused_with_the_remedy(tmp_path: Path):
    (tmp_path / "instance").write_bytes(b"\xff\xfe")
    with pytest.raises(StorageError, match="holds no id"):
        load_or_create(tmp_path)


def test_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(StorageError, match="No such file"):
        load_or_create(tmp_path / "none")


def test_sealed_text_opens_and_two_seals_differ():
    box = SealedSecrets(b"k" * 32)
    assert box.open(box.seal("密码")) == "密码"
    assert box.seal("x") != box.seal("x")


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s[:5], lambda s: b"", lambda s: s[:-1] + bytes([s[-1] ^ 1])])
def test_changed_seal_is_refused(change):
    box = SealedSecrets(b"k" * 32)
    with pytest.raises(StorageError, match="cannot be decrypted"):
        box.open(change(box.seal("password")))


def test_other_key_is_refused():
    with pytest.raises(StorageError):
        SealedSecrets(b"a" * 32).open(SealedSecrets(b"b" * 32).seal("x"))
