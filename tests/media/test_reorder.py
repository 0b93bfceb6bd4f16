from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.media.reorder import Reorder, Run

PACK = b"\x00\x00\x01\xba"


def body(seq: int) -> bytes:
    return (PACK if seq % 10 == 0 else b"data") + b"%d" % seq


class Sink:
    def __init__(self, *, window_s: float = 0.2, window_packets: int = 256) -> None:
        self.reorder = Reorder(window_s=window_s, window_packets=window_packets)
        self.out: list[bytes] = []
        self.runs: list[Run] = []

    def push(self, *seqs: int, now: float = 0.0) -> Sink:
        for seq in seqs:
            self.reorder.push(seq & 0xFFFF, body(seq), now)
        return self.take(self.reorder.pull(now))

    def take(self, runs: list[Run]) -> Sink:
        self.runs += runs
        for run in runs:
            self.out += run.payloads
        return self

    def flush(self) -> Sink:
        return self.take(self.reorder.flush())


def bodies(*seqs: int) -> list[bytes]:
    return [body(seq) for seq in seqs]


def test_packets_in_order_leave_at_once() -> None:
    assert Sink().push(10).push(11).push(12).out == bodies(10, 11, 12)


def test_swapped_packets_are_put_right() -> None:
    sink = Sink().push(10).push(12).push(11).push(13)
    assert sink.out == bodies(10, 11, 12, 13)
    assert (sink.reorder.lost, sink.reorder.reordered) == (0, 1)


def test_first_packets_may_be_swapped() -> None:
    sink = Sink().push(11).push(10).push(12)
    assert sink.out == bodies(10, 11, 12)
    assert sink.reorder.lost == 0


def test_stream_that_begins_inside_a_pack_waits_out_the_window() -> None:
    sink = Sink().push(13, now=0.0).push(14, now=0.1)
    assert sink.out == []
    assert sink.push(15, now=0.2).out == bodies(13, 14, 15)
    assert sink.reorder.lost == 0


def test_gap_is_waited_for_and_then_counted() -> None:
    sink = Sink().push(10, now=0.0).push(13, now=0.1)
    assert sink.out == bodies(10)
    assert sink.reorder.next_deadline() == pytest.approx(0.3)
    sink.take(sink.reorder.pull(0.31))
    assert sink.out == bodies(10, 13)
    assert sink.reorder.lost == 2
    assert [run.lost for run in sink.runs] == [0, 2]


def test_full_window_gives_the_gap_up() -> None:
    sink = Sink(window_packets=4).push(10, *range(12, 17))
    assert sink.out == bodies(10, *range(12, 17))
    assert sink.reorder.lost == 1


def test_chained_gaps_do_not_add_up_to_longer_waits() -> None:
    sink = Sink().push(10, now=0.0).push(12, now=0.0).push(14, now=0.15)
    sink.take(sink.reorder.pull(0.2))
    assert sink.out == bodies(10, 12)
    sink.take(sink.reorder.pull(0.36))
    assert sink.out == bodies(10, 12, 14)


def test_sequence_numbers_wrap() -> None:
    sink = Sink().push(65530).push(*range(65531, 65541))
    assert sink.out == bodies(*range(65530, 65541))
    assert sink.reorder.lost == 0


def test_loss_across_the_wrap_is_exact() -> None:
    sink = Sink().push(65530).push(65538).flush()
    assert sink.reorder.lost == 7
    assert sink.runs[-1].lost == 7


def test_duplicate_is_no_loss_and_leaves_once() -> None:
    sink = Sink().push(10, 10, 11, 13, 13, 12, 12).flush()
    assert sink.out == bodies(10, 11, 12, 13)
    assert (sink.reorder.lost, sink.reorder.duplicate) == (0, 3)


def test_packet_that_comes_after_it_was_given_up_is_late() -> None:
    sink = Sink().push(10, now=0.0).push(12, now=0.0).push(13, now=0.5).push(11, now=0.6)
    assert sink.out == bodies(10, 12, 13)
    assert (sink.reorder.lost, sink.reorder.late, sink.reorder.duplicate) == (1, 1, 0)


def test_restarted_sequence_is_no_loss() -> None:
    sink = Sink().push(10, 11).push(40000, 40001, 40002)
    assert sink.out == bodies(10, 11, 40000, 40001, 40002)
    assert sink.reorder.lost == 0
    assert [run.broken for run in sink.runs] == [False, True]


def test_single_stray_packet_restarts_nothing() -> None:
    sink = Sink().push(10, 11).push(40000).push(12, 13)
    assert sink.out == bodies(10, 11, 12, 13)
    assert sink.reorder.lost == 0


def test_losses_before_a_restart_count() -> None:
    sink = Sink().push(10, 12).push(40000, 40001)
    assert sink.out == bodies(10, 12, 40000, 40001)
    assert sink.reorder.lost == 1


def test_new_ssrc_begins_anew() -> None:
    sink = Sink().push(10, 11)
    sink.reorder.restart()
    sink.push(500)
    assert sink.out == bodies(10, 11, 500)
    assert sink.reorder.lost == 0


def test_overload_keeps_order_and_counts_every_gap() -> None:
    sink = Sink().push(10, 12)  # 11 is missing
    runs, kept = sink.reorder.skim([13, 15, 14, 16])
    sink.take(runs)
    assert sink.out == bodies(10, 12)
    assert kept == [0, 1, 3]
    assert sink.reorder.lost == 2
    assert sink.runs[-1] == Run(lost=1)
    assert sink.reorder.is_idle
    assert sink.reorder.next_seq == 17


@settings(max_examples=200)
@given(
    start=st.integers(0, 65535),
    count=st.integers(2, 300),
    dropped=st.sets(st.integers(0, 299), max_size=30),
    doubled=st.sets(st.integers(0, 299), max_size=10),
    seed=st.integers(0, 1000),
)
def test_everything_sent_leaves_once_in_order_or_is_counted(
    start: int, count: int, dropped: set[int], doubled: set[int], seed: int
) -> None:
    kept = [n for n in range(count) if n not in dropped]
    sent = [n for n in kept for _ in range(2 if n in doubled else 1)]
    rng = random.Random(seed)
    sent = [n for _, n in sorted((place + rng.uniform(0, 3), n) for place, n in enumerate(sent))]
    reorder = Reorder(window_s=1.0, window_packets=64)
    out: list[bytes] = []
    lost = 0
    for now, n in enumerate(sent):
        reorder.push((start + n) & 0xFFFF, b"%d" % n, now * 0.001)
        for run in reorder.pull(now * 0.001):
            out += run.payloads
            lost += run.lost
    for run in reorder.flush():
        out += run.payloads
        lost += run.lost
    assert out == [b"%d" % n for n in kept]
    assert lost == reorder.lost == ((kept[-1] - kept[0] + 1 - len(kept)) if kept else 0)
    assert reorder.duplicate == len(sent) - len(kept)


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 10)), max_size=200))
def test_any_sequence_is_survived_and_bounded(pushes: list[tuple[int, float]]) -> None:
    reorder = Reorder(window_s=0.2, window_packets=16)
    now = 0.0
    for seq, step in pushes:
        now += step
        reorder.push(seq, b"x", now)
        reorder.pull(now)
        assert len(reorder._held) <= 17
    reorder.flush()
    assert not reorder._held
