from hypothesis import given
from hypothesis import strategies as st

from gb28181.storage.retention import Marks, Policy, Stored, decide

HOUR = 3_600_000_000
NOW = 1000 * HOUR
MARKS = Marks(high=0.90, low=0.80, critical=0.97)


def segment(number, channel, age_hours, size=10, *, locked=False):
    return Stored(number, channel, NOW - (age_hours + 1) * HOUR, NOW - age_hours * HOUR, size, locked)


def run(segments, policies, *, total=1000, free, marks=MARKS, complete=True):
    ordered = sorted(segments, key=lambda stored: stored.start)
    return decide(ordered, policies.__getitem__, now_us=NOW, total_bytes=total, free_bytes=free, marks=marks, complete=complete)


def test_recordings_past_their_time_go_whatever_the_space():
    decision = run([segment(1, "a", 361), segment(2, "a", 359)], {"a": Policy(360 * HOUR, 360 * HOUR)}, free=1000)
    assert [stored.segment for stored in decision.remove] == [1]


def test_below_the_high_mark_nothing_younger_goes():
    assert not run([segment(1, "a", 100)], {"a": Policy(360 * HOUR, HOUR)}, free=100).remove


def test_above_the_high_mark_the_oldest_go_until_the_low_mark():
    segments = [segment(n, "a", 100 - n) for n in range(30)]
    decision = run(segments, {"a": Policy(360 * HOUR, HOUR)}, free=95)
    assert [stored.segment for stored in decision.evicted] == list(range(11))  # 105 bytes to 200 free, 10 each
    assert decision.short_bytes == 0


def test_a_lower_class_gives_way_before_an_older_recording_of_a_higher_one():
    segments = [segment(1, "key", 200, 60), segment(2, "general", 20, 60), segment(3, "general", 10, 60)]
    policies = {"key": Policy(360 * HOUR, HOUR, rank=1), "general": Policy(360 * HOUR, HOUR)}
    assert [stored.segment for stored in run(segments, policies, free=90).remove] == [2, 3]


def test_a_guarantee_holds_between_high_and_critical_mark():
    decision = run([segment(1, "a", 100, 500)], {"a": Policy(360 * HOUR, 360 * HOUR)}, free=50)
    assert not decision.remove
    assert decision.short_bytes == 0


def test_past_the_critical_mark_the_oldest_guaranteed_go_and_the_breach_is_reported():
    segments = [segment(1, "a", 100), segment(2, "b", 90), segment(3, "a", 80), segment(4, "b", 70)]
    policies = {"a": Policy(360 * HOUR, 360 * HOUR), "b": Policy(360 * HOUR, 360 * HOUR)}
    decision = run(segments, policies, free=5)
    assert [stored.segment for stored in decision.breached] == [1, 2, 3]
    assert [(breach.channel, breach.bytes) for breach in decision.breaches] == [("a", 20), ("b", 10)]
    assert decision.breaches[0].start == segments[0].start
    assert decision.breaches[0].end == segments[2].end


def test_a_page_of_the_oldest_never_breaks_a_guarantee():
    segments = [segment(1, "a", 100)]
    decision = run(segments, {"a": Policy(360 * HOUR, 360 * HOUR)}, free=5, complete=False)
    assert not decision.remove
    assert decision.short_bytes > 0


def test_locked_recordings_stay_and_what_is_missing_is_told():
    decision = run([segment(1, "a", 900, 500, locked=True)], {"a": Policy(360 * HOUR, HOUR)}, free=0)
    assert not decision.remove
    assert decision.short_bytes == 30


def test_min_free_is_a_mark_too_but_never_more_than_a_quarter_of_the_volume():
    policies = {"a": Policy(360 * HOUR, HOUR)}
    segments = [segment(n, "a", 100 - n) for n in range(30)]
    marks = Marks(high=1.0, low=1.0, critical=1.0, min_free_bytes=10_000)
    assert len(run(segments, policies, free=200, marks=marks).remove) == 5


@st.composite
def volumes(draw):
    channels = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    policies = {}
    for channel in channels:
        guarantee = draw(st.integers(0, 300))
        policies[channel] = Policy((guarantee + draw(st.integers(0, 300))) * HOUR, guarantee * HOUR, draw(st.integers(0, 2)))
    segments = [
        segment(number, draw(st.sampled_from(channels)), draw(st.integers(0, 700)), draw(st.integers(0, 60)), locked=locked)
        for number, locked in enumerate(draw(st.lists(st.booleans(), max_size=40)))
    ]
    used = sum(stored.bytes for stored in segments) + draw(st.integers(0, 300))
    total = used + draw(st.integers(0, 300))
    return segments, policies, total, total - used


@given(volumes())
def test_nothing_under_its_guarantee_goes_while_another_has_surplus(volume):
    segments, policies, total, free = volume
    decision = run(segments, policies, total=total, free=free)
    left = set(segments) - set(decision.remove)
    if decision.breached:
        assert not [s for s in left if not s.locked and s.end < NOW - policies[s.channel].guarantee_us]


@given(volumes())
def test_of_one_class_an_older_recording_never_stays_behind_a_younger_one(volume):
    segments, policies, total, free = volume
    decision = run(segments, policies, total=total, free=free)
    left = [stored for stored in segments if not stored.locked and stored not in decision.remove]
    for part, stays in (
        (decision.evicted, [s for s in left if s.end < NOW - policies[s.channel].guarantee_us]),
        (decision.breached, left),
    ):
        for gone in part:
            rank = policies[gone.channel].rank
            assert all(s.end >= gone.end for s in stays if policies[s.channel].rank == rank)
            assert all(policies[s.channel].rank >= rank for s in stays)


@given(volumes())
def test_space_is_made_or_the_shortage_told_and_locked_recordings_stay(volume):
    segments, policies, total, free = volume
    decision = run(segments, policies, total=total, free=free)
    assert not [stored for stored in decision.remove if stored.locked]
    assert len(set(decision.remove)) == len(decision.remove)
    after = free + sum(stored.bytes for stored in decision.remove)
    assert after + decision.short_bytes >= total - int(MARKS.critical * total)
    assert {breach.channel for breach in decision.breaches} == {stored.channel for stored in decision.breached}
    assert sum(breach.bytes for breach in decision.breaches) == sum(stored.bytes for stored in decision.breached)


@given(volumes())
def test_no_more_is_removed_than_is_needed(volume):
    segments, policies, total, free = volume
    decision = run(segments, policies, total=total, free=free)
    after = free + sum(stored.bytes for stored in decision.remove)
    if decision.breached:
        assert after - decision.breached[-1].bytes < total - int(MARKS.critical * total)
    elif decision.evicted:
        assert after - decision.evicted[-1].bytes < total - int(MARKS.low * total)
