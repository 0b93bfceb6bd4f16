"""How a command is declared: one class per command, one field per element (A.2).

`@command` and `@block` make frozen, slotted, keyword-only dataclasses and compile, once at import, what the codec needs
to read and write them. Reading is lenient: names without regard to case, any order, unknown elements ignored, a value that
cannot be read is as good as absent and counted.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar, cast, dataclass_transform

from gb28181.errors import MisuseError, WireError
from gb28181.ids import DeviceId, device_id
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.times import read_time, write_time

MAX_ITEMS: Final = 20_000  # in one message; Annex M allows 10,000
MAX_VALUE: Final = 1024  # characters, the longest that A.2 allows any element

#: What firmware writes for "no value" (quirk Q46).
_NOTHING: Final = frozenset({"", "null", "(null)", "n/a", "-"})
_WIRE: Final = "manscdp"

Faults = Counter[str]
T = TypeVar("T")


class Category(StrEnum):
    """Root element of a message."""

    CONTROL = "Control"
    QUERY = "Query"
    NOTIFY = "Notify"
    RESPONSE = "Response"


class Result(StrEnum):
    """resultType. What does not say that it failed has not failed (quirk Q15)."""

    OK = "OK"
    ERROR = "ERROR"

    @classmethod
    def from_wire(cls, text: str) -> Result:
        return cls.ERROR if text.upper().startswith(("ERR", "FAIL", "NG")) else cls.OK


class Status(StrEnum):
    """statusType, in every spelling seen; empty and absent mean ON (quirks Q48, W13b)."""

    ON = "ON"
    OFF = "OFF"

    @classmethod
    def from_wire(cls, text: str) -> Status:
        return cls.ON if text.upper() in {"", "ON", "OK", "ONLINE", "1", "TRUE"} else cls.OFF


class Element(Protocol):
    """What is read of an XML element; lxml's has more."""

    tag: Any
    text: str | None

    @property
    def attrib(self) -> Any: ...

    def __iter__(self) -> Iterator[Element]: ...

    def __len__(self) -> int: ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Wire:
    names: tuple[str, ...]
    counted: bool = False
    required: bool = False
    also_in: str = ""
    inline: bool = False
    always: bool = False
    repeated: bool = False
    also: tuple[str, ...] = ()
    old_name: str = ""
    since: Edition = Edition.E2011
    until: Edition = Edition.E2022


@dataclasses.dataclass(frozen=True, slots=True)
class Slot:
    """One field: where its element stands and how its text becomes a value."""

    attr: str
    wire: _Wire
    many: bool
    default: Any
    convert: Callable[[str], Any] | None
    block: Spec | None

    @property
    def name(self) -> str:
        return self.wire.names[-1]

    def is_in(self, edition: Edition) -> bool:
        """Whether this edition has the element."""
        return self.wire.since <= edition <= self.wire.until


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """One class, compiled.

    Args:
        slots: Fields by lower-case name of their outermost element.
        stray: Lists by lower-case name of their items, for items that stand outside their list.
        extension: The repeatable strings `ExtraInfo`, which 2016 calls `Info`.
        inlined: Fields of an inline block, by name, for elements that stand beside it instead of in it (quirk Q47).
        wrapped: Fields that may also stand inside a wrapper, by wrapper and name (quirks Q47, Q58).
    """

    kind: type
    fields: tuple[Slot, ...]
    slots: dict[str, Slot]
    stray: dict[str, Slot]
    extension: Slot | None
    inlined: dict[str, tuple[Slot, Slot]]
    wrapped: dict[str, dict[str, Slot]]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One command in the registry."""

    category: Category
    cmd_type: str
    clause: str
    spec: Spec
    since: Edition = Edition.E2011
    until: Edition = Edition.E2022


_specs: dict[type, Spec] = {}
_registry: dict[tuple[Category, str], Entry] = {}
_entries: dict[type, Entry] = {}
#: Lower-case names of all declared elements, for the repair of broken XML.
leaf_names: set[str] = {"cmdtype"}
container_names: set[str] = {category.value.lower() for category in Category}


def child(
    name: str,
    *,
    default: Any = dataclasses.MISSING,
    required: bool = False,
    also_in: str = "",
    inline: bool = False,
    also: tuple[str, ...] = (),
    old_name: str = "",
    since: Edition = Edition.E2011,
    until: Edition = Edition.E2022,
) -> Any:
    """A field that is one element.

    Args:
        default: Value when the element is absent or unreadable; without one it is the zero of its type.
        required: A block without it is dropped, because it means nothing.
        also_in: Wrapper in which some firmware puts the element instead.
        inline: Of a block: its elements may stand beside it instead of in it.
        also: Other names under which it is read, never written.
        old_name: What the editions before 2022 call it; both are read.
        since, until: First and last edition that has it.
    """
    wire = _Wire(
        (name,), required=required, also_in=also_in, inline=inline, also=also, old_name=old_name, since=since, until=until
    )
    return dataclasses.field(default=default, metadata={_WIRE: wire})


def children(
    wrapper: str,
    name: str,
    *,
    default: tuple[()] = (),
    counted: bool = False,
    always: bool = False,
    since: Edition = Edition.E2011,
    until: Edition = Edition.E2022,
) -> Any:
    """A field that is a list inside a wrapper; an empty one is not written at all.

    Args:
        counted: The wrapper has the attribute Num.
        always: The wrapper is written when it is empty too.
        since, until: First and last edition that has it.
    """
    wire = _Wire((wrapper, name), counted=counted, always=always, since=since, until=until)
    return dataclasses.field(default=default, metadata={_WIRE: wire})


def repeated(
    name: str,
    *,
    default: tuple[()] = (),
    old_name: str = "",
    since: Edition = Edition.E2011,
    until: Edition = Edition.E2022,
) -> Any:
    """A field that is a list without a wrapper: the element occurs any number of times. Arguments as for `child`."""
    wire = _Wire((name,), repeated=True, old_name=old_name, since=since, until=until)
    return dataclasses.field(default=default, metadata={_WIRE: wire})


def extension() -> Any:
    """The field of the repeatable strings that extend a command: `ExtraInfo`, in 2016 `Info` (A.2.1)."""
    return repeated("ExtraInfo", old_name="Info")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(child, children, repeated, extension))
def block(cls: type[T]) -> type[T]:
    """Declares an element that has elements."""
    made = dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(cls)
    _specs[made] = _compile(made)
    return made


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(child, children, repeated, extension))
def command(
    category: Category,
    cmd_type: str,
    *,
    clause: str,
    since: Edition = Edition.E2011,
    until: Edition = Edition.E2022,
) -> Callable[[type[T]], type[T]]:
    """Declares a command and enters it under (category, CmdType).

    Args:
        clause: Of GB/T 28181-2022, or of 2016 where 2022 dropped it.
        since, until: First and last edition that has it.

    Raises:
        MisuseError: Another class has this place.
    """

    def declare(cls: type[T]) -> type[T]:
        made = block(cls)
        key = (category, cmd_type.lower())
        if key in _registry:
            raise MisuseError(f"{category} {cmd_type} is declared twice")
        _registry[key] = _entries[made] = Entry(category, cmd_type, clause, _specs[made], since, until)
        return made

    return declare


def lookup(category: Category, cmd_type: str) -> Entry | None:
    return _registry.get((category, cmd_type.lower()))


def entry_of(kind: type) -> Entry:
    """The registry's entry of a command class.

    Raises:
        MisuseError: It is none.
    """
    try:
        return _entries[kind]
    except KeyError:
        raise MisuseError(f"{kind.__name__} is no command") from None


def commands() -> Iterable[tuple[type, Entry]]:
    """Every declared command."""
    return _entries.items()


# --- reading -------------------------------------------------------------------------------------------------------


def local_name(tag: str) -> str:
    """Lower-case name without namespace or prefix."""
    return tag.rpartition("}")[2].rpartition(":")[2].lower()


def value_of(text: str | None) -> str | None:
    """The text of an element, None where it says nothing."""
    text = (text or "").strip()
    return None if text.lower() in _NOTHING else text


def decode(spec: Spec, element: Element, faults: Faults) -> Any:
    """An instance of the class, or None where a required element is missing."""
    return _construct(spec, _read(spec, element, faults), faults)


def _construct(spec: Spec, values: dict[str, Any], faults: Faults) -> Any:
    for slot in spec.fields:
        if slot.attr in values:
            if slot.many:
                values[slot.attr] = tuple(values[slot.attr])
        elif slot.wire.required:
            return None
        elif slot.default is dataclasses.MISSING:
            faults[f"missing-{slot.name}"] += 1
            values[slot.attr] = slot.convert("") if slot.convert in _EMPTY_IS_A_VALUE else _zero(slot)
    return spec.kind(**values)


def _zero(slot: Slot) -> Any:
    return 0 if slot.convert is _integer else ""


def _read(spec: Spec, element: Element, faults: Faults) -> dict[str, Any]:
    values: dict[str, Any] = {}
    late: dict[str, Any] = {}
    beside: dict[str, dict[str, Any]] = {}
    for sub in element:
        if not isinstance(sub.tag, str):
            continue  # a comment or a processing instruction
        name = local_name(sub.tag)
        if (slot := spec.slots.get(name)) is not None:
            if slot.block is not None and spec.extension is not None and name == "info" and not len(sub):
                slot = spec.extension
            _read_slot(slot, sub, values, faults)
        elif (slot := spec.stray.get(name)) is not None:
            faults["stray-item"] += 1
            _read_item(slot, sub, values, faults)
        elif (pair := spec.inlined.get(name)) is not None:
            _read_slot(pair[1], sub, beside.setdefault(pair[0].attr, {}), faults)
        if (inner_slots := spec.wrapped.get(name)) is not None:
            for inner in sub:
                if isinstance(inner.tag, str) and (slot := inner_slots.get(local_name(inner.tag))) is not None:
                    _read_slot(slot, inner, late, faults)
    for slot in spec.fields:
        if slot.block is not None and (found := beside.get(slot.attr)):
            _merge_inline(slot, slot.block, found, values)
    for name, text in element.attrib.items():
        slot = spec.slots.get(local_name(name))
        if slot is not None and slot.convert is not None and not slot.many and slot.attr not in values:
            faults["value-in-attribute"] += 1
            _read_text(slot, text, values, faults)
    return {**late, **values}


def _merge_inline(slot: Slot, spec: Spec, found: dict[str, Any], values: dict[str, Any]) -> None:
    inside = values.get(slot.attr)
    if inside is None:
        values[slot.attr] = spec.kind(**found)
        return
    absent = {attr: value for attr, value in found.items() if getattr(inside, attr) is None}
    values[slot.attr] = dataclasses.replace(inside, **absent)


def _read_slot(slot: Slot, element: Element, values: dict[str, Any], faults: Faults) -> None:
    if slot.wire.repeated:
        _read_item(slot, element, values, faults)
    elif slot.many:
        inner_name = slot.name.lower()
        for inner in element:
            if isinstance(inner.tag, str) and local_name(inner.tag) == inner_name:
                _read_item(slot, inner, values, faults)
    elif slot.block is not None:
        # 2016 has `Info` as a block and as a repeatable string: content decides (A.2.1).
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
    value = value_of(text)
    if value is None or slot.convert is None:
        return
    if len(value) > MAX_VALUE:
        faults["value-too-long"] += 1
        value = value[:MAX_VALUE].rstrip()
    try:
        values[slot.attr] = slot.convert(value)
    except (ValueError, WireError):
        faults["bad-value"] += 1


def _integer(text: str) -> int:
    number = int(text) if len(text) <= 20 and text.lstrip("+-").isdecimal() else int(_float(text))
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_SCALARS: Final[dict[Any, Callable[[str], Any]]] = {
    int: _integer,
    float: _float,
    str: str,
    DeviceId: device_id,
    Result: Result.from_wire,
    Status: Status.from_wire,
    datetime: read_time,
}


def _one_of(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Reads a value of an enumeration, its letter case aside."""
    members = {member.value.lower(): member for member in kind}

    def convert(text: str) -> StrEnum:
        if (member := members.get(text.lower())) is None:
            raise ValueError(text)
        return member

    return convert


_EMPTY_IS_A_VALUE: Final = (Result.from_wire, Status.from_wire)


# --- writing -------------------------------------------------------------------------------------------------------


def encode(spec: Spec, value: object, escape: Callable[[str], str], edition: Edition | None = None) -> Iterator[str]:
    """Lines of the elements of one instance, in the order of declaration, which is that of the schema.

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
        yield f"<{name}>{escape(_text(value))}</{name}>"
        return
    lines = list(encode(slot.block, value, escape, edition))
    if lines:
        yield f"<{name}>"
        yield from lines
        yield f"</{name}>"


def lacking(command: object, edition: Edition) -> tuple[str, ...]:
    """What this command says that an edition has no place for: its CmdType, or names of elements with a value.

    Raises:
        MisuseError: It is no command.
    """
    entry = entry_of(type(command))
    if not entry.since <= edition <= entry.until:
        return (entry.cmd_type,)
    return tuple(_lacking(entry.spec, command, edition, ""))


def _lacking(spec: Spec, value: object, edition: Edition, path: str) -> Iterator[str]:
    for slot in spec.fields:
        field = getattr(value, slot.attr)
        if field is None or field in ((), ""):
            continue
        if not slot.is_in(edition):
            yield path + slot.wire.names[0]
        elif slot.block is not None:
            for part in field if slot.many else (field,):
                yield from _lacking(slot.block, part, edition, f"{path}{slot.wire.names[0]}/")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return write_time(value)
    # double is decimal text: never an exponent
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def elements_of(value: object) -> dict[str, str | int | float]:
    """The values of a block by element name, those of its inline block among them; what is absent is left out."""
    out: dict[str, str | int | float] = {}
    for slot in _specs[type(value)].fields:
        field = getattr(value, slot.attr)
        if field is None or field == () or slot.many:
            continue
        if slot.block is not None:
            out.update(elements_of(field))
        else:
            out[slot.name] = str(field) if isinstance(field, str) else field
    return out


# --- compiling -----------------------------------------------------------------------------------------------------


def _compile(cls: type) -> Spec:
    hints = typing.get_type_hints(cls)
    fields = tuple(_slot(field, hints[field.name]) for field in dataclasses.fields(cast(Any, cls)))
    slots = {name.lower(): slot for slot in fields for name in (slot.wire.old_name, *slot.wire.also) if name}
    slots |= {slot.wire.names[0].lower(): slot for slot in fields}
    stray = {slot.name.lower(): slot for slot in fields if slot.many and slot.block is not None and not slot.wire.repeated}
    extension = next((slot for slot in fields if slot.name == "ExtraInfo"), None)
    inlined = {
        name: (slot, inner)
        for slot in fields
        if slot.wire.inline and slot.block is not None
        for name, inner in slot.block.slots.items()
    }
    wrapped: dict[str, dict[str, Slot]] = {}
    for slot in fields:
        if slot.wire.also_in:
            wrapped.setdefault(slot.wire.also_in.lower(), {})[slot.name.lower()] = slot
        names = {name.lower() for name in (*slot.wire.names, *slot.wire.also, slot.wire.old_name) if name}
        if slot.many and slot.block is None and not slot.wire.repeated:
            container_names.add(slot.wire.names[0].lower())
            leaf_names.add(slot.name.lower())
        else:
            (leaf_names if slot.block is None else container_names).update(names)
    container_names.update(wrapped)
    return Spec(cls, fields, slots, stray, extension, inlined, wrapped)


def _slot(field: dataclasses.Field[Any], hint: Any) -> Slot:
    wire: _Wire = field.metadata[_WIRE]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:  # X | None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    spec = _specs.get(hint) if isinstance(hint, type) else None
    convert = _SCALARS.get(hint) or (_one_of(hint) if isinstance(hint, type) and issubclass(hint, StrEnum) else None)
    if spec is None and convert is None:
        raise MisuseError(f"{field.name}: {hint} has no text on the wire")
    return Slot(field.name, wire, many, field.default, convert, spec)
