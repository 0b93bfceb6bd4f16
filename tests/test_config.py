"""The configuration file and the settings say the same; a wrong key or value is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gb28181.config import Settings, dump, load, restore
from gb28181.errors import Invalid

CONF = Path(__file__).parents[1] / "conf" / "gb28181.toml"


def test_the_file_lists_every_key_with_its_default() -> None:
    written = tomllib.loads(CONF.read_text())
    assert {section: set(keys) for section, keys in written.items()} == {
        section: set(keys) for section, keys in Settings().model_dump().items()
    }
    assert load(CONF, {}) == Settings()


def test_every_key_in_the_file_has_a_comment_above_it_or_above_its_neighbour() -> None:
    previous_is_explained = False
    for line in CONF.read_text().splitlines():
        if line.startswith("#"):
            previous_is_explained = True
        elif "=" in line:
            assert previous_is_explained, line
        else:
            previous_is_explained = False


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GB28181__SIP__PROT", "1", "did you mean sip.port"),
        ("GB28181__RECORDNG__VOLUMES", "/a", "did you mean recording"),
        ("GB28181__SIP__PORT", "70000", "sip.port"),
        ("GB28181__SIP__SERVER_ID", "123", "sip.server_id"),
        ("GB28181__MEDIA__PORTS", "9-3", "1024"),
        ("GB28181__PORT", "1", "GB28181__SECTION__KEY"),
        ("GB28181__LOG__LEVEL", "loud", "log.level.*'debug'.*not 'loud'"),
        ("GB28181__RECORDING__VOLUMES", "/a,/b,/a/", "/a .*name separate ones"),
        ("GB28181__RECORDING__VOLUMES", "/a,/a/b", "lie in each other"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_remedy(name: str, value: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        load(None, {name: value})


def test_an_empty_path_is_no_volume(tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text('[recording]\nvolumes = [""]\n')
    with pytest.raises(Invalid, match="empty path"):
        load(file, {})


def test_a_wrong_password_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text('[admin]\npassword = ["geheim"]\n')
    with pytest.raises(Invalid, match=r"admin\.password") as raised:
        load(file, {})
    assert "geheim" not in str(raised.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text("[sip]\nport = 5070\n")
    settings = load(file, {"GB28181__SIP__PORT": "5080", "GB28181__RECORDING__VOLUMES": "/a, /b"})
    assert settings.sip.port == 5080
    assert settings.recording.volumes == ["/a", "/b"]


def test_the_domain_follows_the_server_id() -> None:
    assert load(None, {"GB28181__SIP__SERVER_ID": "11010000002000000001"}).sip.domain == "1101000000"


def test_a_file_that_is_no_toml_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text("[sip\n")
    with pytest.raises(Invalid, match="not TOML"):
        load(file, {})
    with pytest.raises(Invalid, match="cannot be read"):
        load(tmp_path / "none.toml", {})


def test_settings_survive_the_way_to_a_child_process() -> None:
    settings = load(None, {"GB28181__RECORDING__SEGMENT_SECONDS": "10", "GB28181__SIP__PASSWORD": "x"})
    assert restore(dump(settings)) == settings
