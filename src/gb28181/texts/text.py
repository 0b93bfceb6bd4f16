"""A sentence for people that is not tied to a language until somebody reads it.

A `Text` is its English sentence, so that it goes wherever a string goes: logs, comparisons, `str(error)`. Whoever shows it to
a person asks `rendered` for that person's language. It leaves the process, or is kept in the database, by `packed`.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gb28181.texts.language import Language
from gb28181.texts.sentences import SENTENCES

Parameter = str | int | float

_BEGIN: Final = '{"text":'
#: Texts within texts: a recording that failed because of a stream that failed because of a device.
_DEEPEST: Final = 16
#: Texts that `together` joins; what is beyond is left out.
_MOST: Final = 10


class Text(str):
    """A sentence of `SENTENCES` with its parameters; as a string it is the English one.

    Attributes:
        name: Its id.
        parameters: By name; one that is a text itself is told in the same language.
    """

    __slots__ = ("name", "parameters")
    name: str
    parameters: Mapping[str, Parameter]

    def __new__(cls, english: str, name: str, parameters: Mapping[str, Parameter]) -> Text:
        made = super().__new__(cls, english)
        made.name = name
        made.parameters = parameters
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Text, (str.__str__(self), self.name, self.parameters)


def say(name: str, /, **parameters: object) -> Text:
    """The sentence of this id; what is no number is told as its `str`."""
    plain = _plain(parameters)
    return Text(SENTENCES[name][0].format_map(plain), name, plain)


def told_as(name: str, english: str, parameters: Mapping[str, object]) -> str:
    """A sentence that somebody else's code made, as our sentence of the same meaning; as it is where there is none."""
    if name not in SENTENCES:
        return english
    plain = _plain(parameters)
    try:
        SENTENCES[name][1].format_map(plain)
    except KeyError:
        return english
    return Text(english, name, plain)


def rendered(text: str, language: Language, *, depth: int = _DEEPEST) -> str:
    """The text in a language; a string that is no `Text` is given back as it is."""
    if language == "en" or not isinstance(text, Text) or not depth:
        return str.__str__(text)
    told = {
        key: rendered(value, language, depth=depth - 1) if isinstance(value, str) else value
        for key, value in text.parameters.items()
    }
    return SENTENCES[text.name][1].format_map(told)


def together(texts: Sequence[str]) -> str:
    """Several sentences as one, the first few of many."""
    told: str = ""
    for each in reversed(texts[:_MOST]):
        told = say("text.two", first=each, rest=told) if told else each
    return told


def reason_of(error: OSError) -> str:
    """Why a call of the system failed; in both languages what disks and networks mostly say."""
    if isinstance(error.strerror, Text):
        return error.strerror  # ours, and it says more
    name = f"system.{errno.errorcode.get(error.errno or 0, '')}"
    return say(name) if name in SENTENCES else error.strerror or str(error)


def cause_of(name: str) -> str:
    """What ended a stream or a segment, in words; the name itself where there are none."""
    cause = f"cause.{name}"
    return say(cause) if cause in SENTENCES else name


def packed(text: str) -> str:
    """A string that `unpacked` makes the same text of, also in a later version that knows the sentence no more."""
    return json.dumps(_parts(text), ensure_ascii=False, separators=(",", ":")) if isinstance(text, Text) else text


def unpacked(kept: str) -> str:
    """The `Text` of a packed string; the English sentence where its id is unknown, and any other string as it is."""
    if not kept.startswith(_BEGIN):
        return kept
    try:
        return _whole(json.loads(kept))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return kept


def _plain(parameters: Mapping[str, object]) -> dict[str, Parameter]:
    return {key: value if isinstance(value, str | int | float) else str(value) for key, value in parameters.items()}


def _parts(text: Text) -> dict[str, Any]:
    told = {key: _parts(value) if isinstance(value, Text) else value for key, value in text.parameters.items()}
    return {"text": text.name, "with": told, "en": str.__str__(text)}


def _whole(parts: dict[str, Any]) -> str:
    name, english = str(parts["text"]), str(parts["en"])
    if name not in SENTENCES:
        return english
    told = {str(key): _whole(value) if isinstance(value, dict) else value for key, value in parts["with"].items()}
    for sentence in SENTENCES[name]:
        try:
            sentence.format_map(told)
        except (KeyError, ValueError):  # kept by a version whose sentence took other parameters
            return english
    return Text(english, name, told)
