"""What `serve` prepares and prints: passwords are made once, sealed at rest, and never in the log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gb28181.config import Settings, load
from gb28181.control import serve
from gb28181.control.paths import DataFolder
from gb28181.control.supervisor import Started


def test_the_sip_password_is_made_once_and_sealed(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path)
    made, is_new = serve._sip_password(Settings(), folder)
    assert is_new
    assert len(made) == 12
    assert serve._sip_password(Settings(), folder) == (made, False)
    assert made.encode() not in (tmp_path / "sip-password").read_bytes()
    assert (tmp_path / "sip-password").stat().st_mode & 0o077 == 0


def test_a_configured_sip_password_is_used_and_not_stored(tmp_path: Path) -> None:
    settings = load(None, {"GB28181__SIP__PASSWORD": "chosen"})
    assert serve._sip_password(settings, DataFolder.at(tmp_path)) == ("chosen", False)
    assert not (tmp_path / "sip-password").exists()


def test_the_banner_shows_a_new_password_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(None, {"GB28181__SIP__PASSWORD": "chosen"})
    folder = DataFolder.at(tmp_path)
    serve._say(settings, folder, Started(8080, 5060, "made-now"), show_sip_password=False, demo=False)
    first = capsys.readouterr().out
    assert "made-now" in first
    assert ":8080/" in first
    assert settings.sip.server_id in first
    assert "chosen" not in first
    serve._say(settings, folder, Started(8080, 5060, None), show_sip_password=True, demo=False)
    second = capsys.readouterr().out
    assert "made-now" not in second
    assert "chosen" in second


def test_a_demo_records_its_cameras_and_has_a_new_password_each_time() -> None:
    one, other = serve._for_demo(Settings()), serve._for_demo(Settings())
    assert one.recording.default_mode == "always"
    assert one.admin.password != other.admin.password
    assert len(one.admin.password) >= 12


def test_the_banner_tells_the_advertised_address_and_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(None, {"GB28181__SIP__ADVERTISE": "203.0.113.9:15060"})
    serve._say(settings, DataFolder.at(tmp_path), Started(8080, 5060, None), show_sip_password=False, demo=False)
    said = capsys.readouterr().out
    assert "203.0.113.9\n" in said
    assert "15060 (UDP, TCP)" in said


def test_other_users_of_the_machine_read_neither_what_is_written_nor_a_database_of_before(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        old, new = tmp_path / "gb28181.db", tmp_path / "new"
        old.touch()
        old.chmod(0o644)
        serve.keep_private(tmp_path)
        new.touch()
        (tmp_path / "made").mkdir()
        assert [path.stat().st_mode & 0o777 for path in (old, new, tmp_path / "made")] == [0o640, 0o640, 0o750]
        os.umask(0o077)
        serve.keep_private(tmp_path)
        assert os.umask(0o077) == 0o077  # a stricter one stays
    finally:
        os.umask(before)
