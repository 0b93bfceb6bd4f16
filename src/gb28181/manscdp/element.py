"""How a command is declared: one class per command, one field per element (A.2).

`@command` and `@block` make frozen, slotted, keyword-only dataclasses and compile, once at import, what `reading.py` and
`writing.py` need. A declaration says it all: names, order, types, and the editions that have an element.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, Final, TypeVar, cast, dataclass_transform

from gb28181.errors import MisuseError
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.values import Result as Result
from gb28181.manscdp.values import Status as Status
from gb28181.manscdp.values import reader_of

_WIRE: Final = "manscdp"

Faults = Counter[str]
T = TypeVar("T")


class Category(StrEnum):
    """Root element of a message."""

    CONTROL = "Control"
    QUERY = "Query"
    NOTIFY = "Notify"
    RESPONSE = "Response"


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
    old_place: str = ""
    decimals: int = 0
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
        plain: Name and reader of the fields of one value, by element as the standard spells it; none whose element may
            mean another thing too.
        needed: Fields that must have a value; `lists` those that hold several.
        stray: Lists by lower-case name of their items, for items that stand outside their list.
        extension: The repeatable strings `ExtraInfo`, which 2016 calls `Info`.
        inlined: Fields of an inline block, by name, for elements that stand beside it instead of in it (quirk Q47).
        wrapped: Fields that may also stand inside a wrapper, by wrapper and name (quirks Q47, Q58).
        leaves, containers: Lower-case names of all its elements that hold text, or elements; for the repair of broken XML.
    """

    kind: type
    fields: tuple[Slot, ...]
    slots: dict[str, Slot]
    plain: dict[str, tuple[str, Callable[[str], Any]]]
    needed: tuple[Slot, ...]
    lists: tuple[Slot, ...]
    stray: dict[str, Slot]
    extension: Slot | None
    inlined: dict[str, tuple[Slot, Slot]]
    wrapped: dict[str, dict[str, Slot]]
    leaves: frozenset[str]
    containers: frozenset[str]


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


def child(
    name: str,
    *,
    default: Any = dataclasses.MISSING,
    required: bool = False,
    also_in: str = "",
    inline: bool = False,
    also: tuple[str, ...] = (),
    old_name: str = "",
    old_place: str = "",
    decimals: int = 0,
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
        old_place: Where the editions before 2022 have it: "Block/Element" is in that block behind that element.
        decimals: Of a float: how many it is written with at least.
        since, until: First and last edition that has it.
    """
    wire = _Wire(
        (name,),
        required=required,
        also_in=also_in,
        inline=inline,
        also=also,
        old_name=old_name,
        old_place=old_place,
        decimals=decimals,
        since=since,
        until=until,
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


def extension(*, default: tuple[()] = ()) -> Any:
    """The field of the repeatable strings that extend a command: `ExtraInfo`, in 2016 `Info` (A.2.1)."""
    return repeated("ExtraInfo", default=default, old_name="Info")


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


# --- what a declaration tells --------------------------------------------------------------------------------------


def local_name(tag: str) -> str:
    """Lower-case name without namespace or prefix."""
    return tag.lower() if tag.isalnum() else tag.rpartition("}")[2].rpartition(":")[2].lower()


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
    wrapped: dict[str, dict[str, Slot]] = {}
    for slot in fields:
        if slot.wire.also_in:
            wrapped.setdefault(slot.wire.also_in.lower(), {})[slot.name.lower()] = slot
    leaves, containers = _names(fields)
    return Spec(
        kind=cls,
        fields=fields,
        slots=slots,
        plain={
            slot.name: (slot.attr, slot.convert)
            for slot in fields
            if slot.convert is not None
            and not slot.many
            and slot.name.lower() not in wrapped
            and slots[slot.name.lower()] is slot
        },
        needed=tuple(slot for slot in fields if slot.wire.required or slot.default is dataclasses.MISSING),
        lists=tuple(slot for slot in fields if slot.many),
        stray={slot.name.lower(): slot for slot in fields if slot.many and slot.block is not None and not slot.wire.repeated},
        extension=next((slot for slot in fields if slot.name == "ExtraInfo"), None),
        inlined={
            name: (slot, inner)
            for slot in fields
            if slot.wire.inline and slot.block is not None
            for name, inner in slot.block.slots.items()
        },
        wrapped=wrapped,
        leaves=leaves,
        containers=containers | frozenset(wrapped),
    )


def _names(fields: tuple[Slot, ...]) -> tuple[frozenset[str], frozenset[str]]:
    leaves: set[str] = set()
    containers: set[str] = set()
    for slot in fields:
        if slot.many and not slot.wire.repeated:
            containers.add(slot.wire.names[0].lower())
        names = {name.lower() for name in (slot.name, slot.wire.old_name, *slot.wire.also) if name}
        if slot.block is None:
            leaves |= names
        else:
            containers |= names | slot.block.containers
            leaves |= slot.block.leaves
    return frozenset(leaves), frozenset(containers)


def _slot(field: dataclasses.Field[Any], hint: Any) -> Slot:
    wire: _Wire = field.metadata[_WIRE]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:  # X | None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    spec = _specs.get(hint) if isinstance(hint, type) else None
    convert = None if spec is not None else reader_of(hint)
    if spec is None and convert is None:
        raise MisuseError(f"{field.name}: {hint} has no text on the wire")
    return Slot(field.name, wire, many, field.default, convert, spec)
