"""Nobody can forget a translation: every sentence has both languages, and what a person may read is raised as a sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from gb28181.texts.sentences import AREAS, SENTENCES

SOURCE = Path(__file__).parents[2] / "src" / "gb28181"
TABLES = SOURCE / "texts" / "sentences"
FILES = [path for path in SOURCE.rglob("*.py") if TABLES not in path.parents and "sim" not in path.relative_to(SOURCE).parts]
CHINESE = re.compile(r"[\u4e00-\u9fff]")

#: Errors whose message the API, the edge or the terminal shows; `WireError` is told to peers and to the log.
TOLD = {
    "BadRequest", "CannotExport", "Conflict", "Denied", "Invalid", "NoPicture", "NotFound", "NotInEdition", "PeerTimeout",
    "StorageError", "TooManyRequests", "Unavailable", "Unreachable", "Unsupported", "problem",
}  # fmt: skip
#: Raised and caught within a folder, or a fault of our own that only the log shows.
INTERNAL = {
    "ids.py": "SSRC serials are chosen by the server itself",
    "storage/manifest.py": "rows that cannot be read are counted and left out",
    "storage/segment.py": "paths are made by the server; a foreign file is left out",
    "storage/io/writer.py": "told to the ledger, which tries again",
}


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("name", sorted(SENTENCES))
def test_both_languages_of_a_sentence_take_the_same_parameters(name: str) -> None:
    english, chinese = SENTENCES[name]
    assert fields(english) == fields(chinese)
    assert not CHINESE.search(english)
    words = Formatter().parse(chinese)
    assert CHINESE.search(chinese) or not any(re.search(r"[A-Za-z]{2}", literal) for literal, *_ in words), chinese


def test_no_two_areas_have_the_same_id() -> None:
    assert len(SENTENCES) == sum(len(area.SENTENCES) for area in AREAS)
    assert {path.stem for path in TABLES.glob("*.py")} - {"__init__"} == {area.__name__.rpartition(".")[2] for area in AREAS}


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield path, node


def test_every_sentence_is_said_with_its_parameters() -> None:
    wrong = []
    for path, call in calls("say"):
        if not isinstance(call.args[0], ast.Constant) or path.parent.name == "texts":
            continue  # chosen from a table of ids; the tests of that table say each
        name = str(call.args[0].value)
        sentence = SENTENCES.get(name)
        given = {keyword.arg for keyword in call.keywords}
        if sentence is None or fields(sentence[0]) != given:
            wrong.append(f"{path.relative_to(SOURCE)}:{call.lineno}: {name} with {sorted(map(str, given))}")
    assert not wrong, "no such sentence, or other parameters than it takes (texts/sentences): " + "; ".join(wrong)


def test_no_sentence_is_left_that_nobody_says() -> None:
    source = "\n".join(path.read_text() for path in FILES)
    unsaid = [name for name in SENTENCES if f'"{name}"' not in source and f'"{name.rpartition(".")[0]}.{{' not in source]
    assert not unsaid


def test_what_a_person_may_read_is_raised_in_both_languages() -> None:
    bare = []
    for kind in TOLD:
        for path, call in calls(kind):
            if str(path.relative_to(SOURCE)) in INTERNAL:
                continue
            for argument in [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg is None)]:
                position = call.args.index(argument)
                if position == (2 if kind == "problem" else 0) and is_bare(argument):
                    bare.append(f"{path.relative_to(SOURCE)}:{call.lineno}: {ast.unparse(argument)[:60]}")
    assert not bare, "say(…) a sentence of texts/sentences, so that it can be read in Chinese too: " + "; ".join(bare)


def is_bare(argument: ast.expr) -> bool:
    if isinstance(argument, ast.List):
        return any(
            isinstance(key, ast.Constant) and key.value == "message" and is_bare(value)
            for each in argument.elts
            if isinstance(each, ast.Dict)
            for key, value in zip(each.keys, each.values, strict=True)
        )
    if isinstance(argument, ast.IfExp):
        return is_bare(argument.body) or is_bare(argument.orelse)
    return isinstance(argument, ast.JoinedStr | ast.BinOp) or (isinstance(argument, ast.Constant) and bool(argument.value))
