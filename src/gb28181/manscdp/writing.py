"""Objects to XML, by declaration: elements in the order of the schema, no more and no less than the peer's edition has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Slot, Spec
from gb28181.manscdp.values import write


def encode(
    spec: Spec,
    value: object,
    escape: Callable[[str], str],
    edition: Edition | None = None,
    *,
    moved: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> Iterator[str]:
    """Lines of the elements of one instance.

    Args:
        edition: What it has no place for is left out, its spelling and order are used; None writes everything as 2022.
        moved: Lines that belong behind an element of this name, whether it has a value or not.
    """
    is_old = edition is not None and edition < Edition.E2022
    for slot in spec.fields:
        if (edition is None or slot.is_in(edition)) and not (is_old and slot.wire.old_place):
            yield from _encode_field(spec, slot, value, escape, edition)
        yield from moved.get(slot.name, ())


def _encode_field(
    spec: Spec, slot: Slot, value: object, escape: Callable[[str], str], edition: Edition | None
) -> Iterator[str]:
    field = getattr(value, slot.attr)
    is_old = edition is not None and edition < Edition.E2022
    name = slot.wire.old_name if slot.wire.old_name and is_old else slot.name
    if slot.wire.repeated:
        for item in field:
            yield from _encode_one(slot, name, item, escape, edition)
    elif slot.many:
        if field or slot.wire.always:
            number = f' Num="{len(field)}"' if slot.wire.counted else ""
            yield f"<{slot.wire.names[0]}{number}>"
            for item in field:
                yield from _encode_one(slot, name, item, escape, edition)
            yield f"</{slot.wire.names[0]}>"
    elif slot.block is not None:
        moved = _moved_into(spec, slot, value, escape) if is_old else {}
        if field is not None or moved:
            yield from _wrapped(name, encode(slot.block, field or slot.block.kind(), escape, edition, moved=moved))
    elif field is not None and (field != "" or slot.default is dataclasses.MISSING):
        yield from _encode_one(slot, name, field, escape, edition)


def _moved_into(spec: Spec, block: Slot, value: object, escape: Callable[[str], str]) -> dict[str, list[str]]:
    """What the editions before 2022 have in this block and 2022 beside it."""
    moved: dict[str, list[str]] = {}
    for slot in spec.fields:
        place, _, behind = slot.wire.old_place.partition("/")
        if place == block.name and (field := getattr(value, slot.attr)):
            moved.setdefault(behind, []).extend(_encode_one(slot, slot.name, field, escape, None))
    return moved


def _encode_one(slot: Slot, name: str, value: Any, escape: Callable[[str], str], edition: Edition | None) -> Iterator[str]:
    if slot.block is None:
        yield f"<{name}>{escape(write(value, slot.wire.decimals))}</{name}>"
    else:
        yield from _wrapped(name, encode(slot.block, value, escape, edition))


def _wrapped(name: str, inside: Iterator[str]) -> Iterator[str]:
    lines = list(inside)
    if lines:
        yield f"<{name}>"
        yield from lines
        yield f"</{name}>"
