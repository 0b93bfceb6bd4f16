"""Whatever stands in the configuration: settings, or one message that says what is wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gb28181.config import Settings, dump, load, restore
from gb28181.errors import Invalid
from tests.fuzz.hostile import words

FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = sorted((section, key) for section, keys in Settings().model_dump().items() for key in keys)


@FUZZ
@given(
    st.dictionaries(st.sampled_from(KEYS), words, max_size=4),
    st.dictionaries(st.text(st.characters(codec="ascii"), max_size=20), words, max_size=2),
)
def test_any_environment_is_settings_or_a_message(known: dict[tuple[str, str], str], unknown: dict[str, str]):
    environ = {f"GB28181__{section}__{key}".upper(): value for (section, key), value in known.items()}
    environ |= {f"GB28181__{name}": value for name, value in unknown.items()}
    try:
        made = load(None, environ)
    except Invalid:
        return
    assert restore(dump(made)) == made


@FUZZ
@given(raw=st.one_of(st.binary(max_size=120), st.text(max_size=120).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_file_is_settings_or_a_message(tmp_path: Path, raw: bytes):
    file = tmp_path / "conf.toml"
    file.write_bytes(raw)
    with contextlib.suppress(Invalid):
        load(file, {})


@FUZZ
@given(
    section=st.sampled_from(KEYS),
    value=st.recursive(st.integers() | st.floats() | st.booleans() | words, st.lists, max_leaves=4),
)
def test_any_value_of_any_key_is_taken_or_refused(section: tuple[str, str], value: object):
    with contextlib.suppress(ValidationError):
        Settings.model_validate({section[0]: {section[1]: value}})


@pytest.mark.parametrize("text", ["sip = 1", "sip = []", "[sip.port]\nx = 1", "[[sip]]", "[http]\nport = []"])
def test_a_section_that_is_none_is_named(tmp_path: Path, text: str):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(Invalid, match=r"sip|http"):
        load(tmp_path / "c.toml", {"GB28181__SIP__HOST": "x", "GB28181__HTTP__HOST": "y"})
