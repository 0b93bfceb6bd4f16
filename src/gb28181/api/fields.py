"""Field types of the API: identifiers, times, pages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, SerializationInfo, WithJsonSchema

from gb28181 import ids
from gb28181.api.routing import Model
from gb28181.clock import parse_rfc3339, rfc3339
from gb28181.errors import Invalid, WireError
from gb28181.texts.text import rendered, say

#: Far from the ends of what a date can hold: a range around any moment, and a session that outlives it, can be reckoned.
_YEARS: Final = range(1970, 2200)


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(say("http.rfc3339"))
    try:
        moment = parse_rfc3339(value)
    except (Invalid, OverflowError) as error:
        raise ValueError(str(error)) from None
    if moment.year not in _YEARS:
        raise ValueError(say("http.year", first=_YEARS.start, last=_YEARS.stop - 1))
    return moment


def _identifier(value: str) -> str:
    try:
        return ids.device_id(value)
    except WireError as error:
        raise ValueError(error.reason) from None


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError(say("http.control_characters"))
    return value.strip()


_MOMENT: dict[str, Any] = {"type": "string", "format": "date-time", "examples": ["2026-03-01T00:00:00.000Z"]}

Moment = Annotated[datetime, BeforeValidator(_parsed), PlainSerializer(rfc3339, return_type=str), WithJsonSchema(_MOMENT)]
"""A time with a zone; always given back in UTC with milliseconds."""

Shown = Annotated[datetime, PlainSerializer(rfc3339, return_type=str), WithJsonSchema(_MOMENT)]
"""A time in an answer."""


def _told(value: str, info: SerializationInfo) -> str:
    return rendered(value, (info.context or {}).get("language", "en"))


Said = Annotated[
    str, PlainValidator(lambda value: value), PlainSerializer(_told, when_used="json"), WithJsonSchema({"type": "string"})
]
"""A sentence in an answer, told in the language of whoever asked (`Accept-Language`)."""

Identifier = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_identifier)]
Name = Annotated[str, Field(max_length=128), AfterValidator(_one_line)]
SipPassword = Annotated[str, Field(max_length=64, pattern=r"^[\x21-\x7e]*$")]
Limit = Annotated[int, Field(ge=1, le=1000, description="rows of a page")]


class Page(Model):
    """Query of a list that comes in pages."""

    limit: Limit = 100
    cursor: str | None = Field(None, max_length=1024, description="`next` of the page before")
