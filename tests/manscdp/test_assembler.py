"""Answers in many messages (Annex M, N; quirks Q52, Q60-Q63, W12)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gb28181.manscdp.assembler import Assembler, Finished

PEER = "34020000001110000001"


def expecting(sn: int = 7) -> Assembler:
    assembler = Assembler(first_answer_s=120, quiet_s=30, max_items=100)
    assembler.expect(PEER, "Catalog", sn, 0.0)
    return assembler


def add(assembler: Assembler, *ids: str, announced: int | None = 3, sn: int = 7, now: float = 1.0):  # type: ignore[no-untyped-def]
    return assembler.add(PEER, "Catalog", sn, announced=announced, ids=ids, now=now)


def test_as_many_different_items_as_announced_complete_an_answer() -> None:
    assembler = expecting()
    assert add(assembler, "a", "b") == (7, [])
    sn, [done] = add(assembler, "c")
    assert (sn, done.is_complete, done.received, done.ids) == (7, True, 3, frozenset("abc"))
    assert assembler.next_deadline() is None


def test_repeated_items_count_as_received() -> None:
    _sn, [done] = add(expecting(), "a", "a", "b")
    assert done.is_complete
    assert (done.received, done.ids) == (3, frozenset("ab"))


def test_more_items_than_announced_are_complete() -> None:
    _sn, [done] = add(expecting(), "a", "b", "c", "d", announced=2)
    assert (done.is_complete, done.announced, done.received) == (True, 2, 4)


def test_fewer_items_than_announced_end_after_the_quiet_period() -> None:
    assembler = expecting()
    add(assembler, "a", now=100.0)
    assert assembler.next_deadline() == 130.0
    assert assembler.expire(129.9) == []
    [ended] = assembler.expire(130.0)
    assert (ended.end, ended.received, ended.announced) == ("quiet", 1, 3)


def test_parts_without_items_do_not_keep_an_answer_open_for_ever() -> None:
    assembler = expecting()
    add(assembler, "a", now=100.0)
    for now in (110.0, 120.0, 129.0):
        assert add(assembler, now=now) == (7, [])
    assert [ended.end for ended in assembler.expire(130.0)] == ["quiet"]
    assembler = expecting()
    add(assembler, now=100.0)
    add(assembler, now=119.0)
    assert [ended.end for ended in assembler.expire(120.0)] == ["no_answer"]


def test_no_answer_ends_after_two_minutes() -> None:
    assembler = expecting()
    assert assembler.expire(119.9) == []
    assert [ended.end for ended in assembler.expire(120.0)] == ["no_answer"]


def test_an_empty_answer_is_complete_at_once() -> None:
    _sn, [done] = add(expecting(), announced=0)
    assert (done.is_complete, done.received) == (True, 0)


def test_a_sum_of_zero_with_items_is_not_believed() -> None:
    assembler = expecting()
    assert add(assembler, "a", announced=0) == (7, [])
    assert [ended.end for ended in assembler.expire(60.0)] == ["quiet"]


def test_the_largest_of_changing_sums_counts() -> None:
    assembler = expecting()
    add(assembler, "a", announced=4)
    assert add(assembler, "b", "c", announced=3) == (7, [])
    assert add(assembler, "d", announced=None)[1][0].is_complete


def test_an_answer_with_a_foreign_sn_belongs_to_the_only_query() -> None:
    sn, [done] = add(expecting(), "a", announced=1, sn=999)
    assert (sn, done.sn) == (7, 7)


def test_an_answer_with_a_foreign_sn_belongs_to_none_of_two_queries() -> None:
    assembler = expecting()
    assembler.expect(PEER, "Catalog", 8, 0.0)
    assert add(assembler, "a", sn=999) == (None, [])
    assert add(assembler, "a", announced=1, sn=8)[0] == 8


def test_nobody_else_answers() -> None:
    assembler = expecting()
    assert assembler.add("other", "Catalog", 7, announced=1, ids=["a"], now=1.0) == (None, [])
    assert assembler.add(PEER, "RecordInfo", 7, announced=1, ids=["a"], now=1.0) == (None, [])


def test_an_abandoned_query_is_forgotten() -> None:
    assembler = expecting()
    assembler.abandon(PEER, "Catalog", 7)
    assert add(assembler, "a") == (None, [])


def test_an_endless_answer_is_cut() -> None:
    _sn, [ended] = add(expecting(), *map(str, range(150)), announced=10**9)
    assert ended.end == "too_many"


@given(st.lists(st.text("abcdef", min_size=1, max_size=5), min_size=1, max_size=30), st.integers(1, 60))
def test_how_an_answer_is_cut_into_messages_never_changes_what_it_is(parts: list[str], announced: int) -> None:
    """One message an item, against any cut; both end at the same item or fall silent alike."""
    ended = []
    for messages in (parts, list("".join(parts))):
        assembler = expecting()
        found: list[Finished] = []
        for identifiers in messages:
            found += add(assembler, *identifiers, announced=announced)[1] if not found else []
        ended.append((found or assembler.expire(1000))[0])
    whole, single = ended
    assert (whole.end, whole.announced) == (single.end, single.announced)
    assert single.ids <= whole.ids
    assert whole.end == "complete" or (whole.received, whole.ids) == (single.received, single.ids)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(-5, 8)), st.floats(0, 40)), max_size=40))
def test_every_query_ends_exactly_once(parts: list[tuple[str, int | None, float]]) -> None:
    assembler, now, ended = expecting(), 0.0, []
    for identifier, announced, pause in parts:
        now += pause
        ended += assembler.expire(now)
        ended += assembler.add(PEER, "Catalog", 7, announced=announced, ids=[identifier], now=now)[1]
    ended += assembler.expire(now + 1000)
    assert len(ended) == 1
    assert len(ended[0].ids) <= ended[0].received
