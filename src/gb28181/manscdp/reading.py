"""XML elements to objects, by declaration: names without regard to case, any order, unknown elements passed over.

A value that cannot be read is as good as absent and counted; an item that means nothing is dropped and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final
from xml.etree.ElementTree import Element

from gb28181.errors import WireError
from gb28181.manscdp.element import Faults, Slot, Spec, local_name
from gb28181.manscdp.values import EMPTY_IS_A_VALUE, LONGEST_NOTHING, MAX_VALUE, NOTHING, read_integer, value_of

MAX_ITEMS: Final = 20_000  # in one message; Annex M allows 10,000


def decode(spec: Spec, element: Element, faults: Faults) -> Any:
    """An instance of the class, or None where a required element is missing."""
    return _construct(spec, _read(spec, element, faults), faults)


def _construct(spec: Spec, values: dict[str, Any], faults: Faults) -> Any:
    for slot in spec.lists:
        if slot.attr in values:
            values[slot.attr] = tuple(values[slot.attr])
    for slot in spec.needed:
        if slot.attr in values:
            continue
        if slot.wire.required:
            return None
        faults[f"missing-{slot.name}"] += 1
        values[slot.attr] = slot.convert("") if slot.convert in EMPTY_IS_A_VALUE else _zero(slot)
    return spec.kind(**values)


def _zero(slot: Slot) -> Any:
    return 0 if slot.convert is read_integer else ""


def _read(spec: Spec, element: Element, faults: Faults) -> dict[str, Any]:
    values: dict[str, Any] = {}
    plain = spec.plain
    odd: list[Element] = []
    for sub in element:
        # The hot path: an element of one value, spelled as the standard does. Everything else can wait.
        found = plain.get(sub.tag)
        if found is None:
            odd.append(sub)
            continue
        text = (sub.text or "").strip()
        if len(text) > LONGEST_NOTHING or text.lower() not in NOTHING:
            attr, convert = found
            if convert is str and len(text) <= MAX_VALUE:
                values[attr] = text
            else:
                _convert(attr, convert, text, values, faults)
    if odd:
        return _read_odd(spec, odd, element, values, faults)
    _read_attributes(spec, element, values, faults)
    return values


def _read_odd(spec: Spec, odd: list[Element], element: Element, values: dict[str, Any], faults: Faults) -> dict[str, Any]:
    late: dict[str, Any] = {}
    beside: dict[str, dict[str, Any]] = {}
    for sub in odd:
        name = local_name(sub.tag)
        if (slot := spec.slots.get(name)) is not None:
            if slot.block is not None and spec.extension is not None and name == "info" and not len(sub):
                # 2016 has `Info` as a block and as a repeatable string: content decides (A.2.1).
                slot = spec.extension
            _read_slot(slot, sub, values, faults)
        elif (slot := spec.stray.get(name)) is not None:
            faults["stray-item"] += 1
            _read_item(slot, sub, values, faults)
        elif (pair := spec.inlined.get(name)) is not None:
            _read_slot(pair[1], sub, beside.setdefault(pair[0].attr, {}), faults)
        if (inner_slots := spec.wrapped.get(name)) is not None:
            for inner in sub:
                if (slot := inner_slots.get(local_name(inner.tag))) is not None:
                    _read_slot(slot, inner, late, faults)
    for slot in spec.fields:
        if slot.block is not None and (found := beside.get(slot.attr)):
            _merge_inline(slot.block, slot.attr, found, values, faults)
    _read_attributes(spec, element, values, faults)
    return {**late, **values}


def _read_attributes(spec: Spec, element: Element, values: dict[str, Any], faults: Faults) -> None:
    for name, text in element.items():
        slot = spec.slots.get(local_name(name))
        if slot is not None and slot.convert is not None and not slot.many and slot.attr not in values:
            faults["value-in-attribute"] += 1
            _read_text(slot, text, values, faults)


def _merge_inline(spec: Spec, attr: str, found: dict[str, Any], values: dict[str, Any], faults: Faults) -> None:
    inside = values.get(attr)
    if inside is None:
        values[attr] = _construct(spec, found, faults)
        return
    absent = {name: value for name, value in found.items() if getattr(inside, name) is None}
    values[attr] = dataclasses.replace(inside, **absent)


def _read_slot(slot: Slot, element: Element, values: dict[str, Any], faults: Faults) -> None:
    if slot.wire.repeated:
        _read_item(slot, element, values, faults)
    elif slot.many:
        inner_name = slot.name.lower()
        for inner in element:
            if local_name(inner.tag) == inner_name:
                _read_item(slot, inner, values, faults)
    elif slot.block is not None:
        found = _read(slot.block, element, faults)
        if found and (value := _construct(slot.block, found, faults)) is not None:
            values[slot.attr] = value
    else:
        _read_text(slot, element.text, values, faults)


def _read_item(slot: Slot, element: Element, values: dict[str, Any], faults: Faults) -> None:
    items: list[Any] = values.setdefault(slot.attr, [])
    if len(items) >= MAX_ITEMS:
        faults["too-many-items"] += 1
        return
    if slot.block is not None:
        item = decode(slot.block, element, faults)
        if item is None:
            faults["bad-item"] += 1
        else:
            items.append(item)
        return
    found: dict[str, Any] = {}
    _read_text(slot, element.text, found, faults)
    items.extend(found.values())


def _read_text(slot: Slot, text: str | None, values: dict[str, Any], faults: Faults) -> None:
    if slot.convert is not None and (value := value_of(text)) is not None:
        _convert(slot.attr, slot.convert, value, values, faults)


def _convert(attr: str, convert: Callable[[str], Any], text: str, values: dict[str, Any], faults: Faults) -> None:
    if len(text) > MAX_VALUE:
        faults["value-too-long"] += 1
        text = text[:MAX_VALUE].rstrip()
    try:
        values[attr] = convert(text)
    except (ValueError, WireError):
        faults["bad-value"] += 1
