"""Objects to XML, by declaration: elements in the order of the schema, no more and no less than the peer's edition has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Slot, Spec
from gb28181.manscdp.values import write


def encode(spec: Spec, value: object, escape: Callable[[str], str], edition: Edition | None = None) -> Iterator[str]:
    """Lines of the elements of one instance.

    Args:
        edition: What it has no place for is left out, and its spelling is used; None writes everything as 2022 does.
    """
    for slot in spec.fields:
        field = getattr(value, slot.attr)
        if edition is not None and not slot.is_in(edition):
            continue
        name = slot.wire.old_name if slot.wire.old_name and edition is not None and edition < Edition.E2022 else slot.name
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
        elif field is not None and (field != "" or slot.default is dataclasses.MISSING):
            yield from _encode_one(slot, name, field, escape, edition)


def _encode_one(slot: Slot, name: str, value: Any, escape: Callable[[str], str], edition: Edition | None) -> Iterator[str]:
    if slot.block is None:
        yield f"<{name}>{escape(write(value, slot.wire.decimals))}</{name}>"
        return
    lines = list(encode(slot.block, value, escape, edition))
    if lines:
        yield f"<{name}>"
        yield from lines
        yield f"</{name}>"
