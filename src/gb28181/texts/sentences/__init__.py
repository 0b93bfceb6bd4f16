"""All sentences by id: English, then Chinese, with the same parameters in both (`tests/texts` checks)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gb28181.texts.sentences import (
    accounts,
    alarm,
    catalog,
    cause,
    command,
    device,
    export,
    http,
    invalid,
    live,
    media,
    ptz,
    recording,
    server,
    start,
    storage,
    system,
    text,
)

AREAS: Final = (
    accounts,
    alarm,
    catalog,
    cause,
    command,
    device,
    export,
    http,
    invalid,
    live,
    media,
    ptz,
    recording,
    server,
    start,
    storage,
    system,
    text,
)

SENTENCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {name: sentence for area in AREAS for name, sentence in area.SENTENCES.items()}
)
