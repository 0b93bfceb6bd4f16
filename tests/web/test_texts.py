"""The console speaks Chinese and English alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.console_build import WEB


def _flat(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _texts(language: str) -> dict[str, str]:
    return dict(_flat(json.loads((WEB / "src" / "i18n" / f"{language}.json").read_text(encoding="utf-8"))))


ZH, EN = _texts("zh"), _texts("en")


def test_both_languages_have_the_same_keys():
    assert sorted(ZH) == sorted(EN)


def test_each_text_takes_the_same_figures_in_both_languages():
    def figures(text: str) -> list[str]:
        return sorted(re.findall(r"\{(\w+)\}", text))

    assert {key: figures(text) for key, text in ZH.items()} == {key: figures(text) for key, text in EN.items()}


def test_no_text_is_empty_or_holds_what_the_translator_would_interpret():
    for texts in (ZH, EN):
        assert [key for key, text in texts.items() if not text.strip() or re.search(r"[@|]", text)] == []


def test_chinese_is_chinese_and_english_is_not():
    han = re.compile("[\u4e00-\u9fff]")
    assert [key for key, text in EN.items() if han.search(text)] == []
    assert [key for key, text in ZH.items() if not han.search(text)] == []


def _sources() -> str:
    paths = [*(WEB / "src").rglob("*.vue"), *(WEB / "src").rglob("*.ts")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if not path.name.endswith(".test.ts"))


def test_each_text_that_a_page_names_exists():
    named = set(re.findall(r"\bt\([^`)]*?'([a-z_0-9]+(?:\.[a-z_0-9]+)+)'", _sources()))
    assert len(named) > 40
    assert named - set(ZH) == set()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_hold_no_text_of_their_own(language: str):
    pattern = {"zh": r"[\u4e00-\u9fff]", "en": r">\s*[A-Z][a-z]+ [a-z]+[^<{]*<"}[language]
    for path in (WEB / "src").rglob("*.vue"):
        template = path.read_text(encoding="utf-8").partition("<template>")[2]
        assert re.findall(pattern, template.replace("中文", "")) == [], path.name
