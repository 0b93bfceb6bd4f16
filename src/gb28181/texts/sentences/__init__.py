"""All sentences by id: English, then Chinese, with the same parameters in both (`tests/texts` checks)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gb28181.texts.sentences import command, http, live

AREAS: Final = (command, http, live)

SENTENCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {name: sentence for area in AREAS for name, sentence in area.SENTENCES.items()}
)
