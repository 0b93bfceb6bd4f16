"""Short pauses: what survived a full collection is set aside, and dead cycles among it are found in the end."""

from __future__ import annotations

import gc
import weakref

from gb28181.ops.garbage import ShortPauses


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.self = self


async def test_survivors_of_a_long_collection_are_not_looked_at_again() -> None:
    with ShortPauses(long_s=0.0):
        new = [[number] for number in range(1000)]
        before = gc.get_freeze_count()
        gc.collect()
        assert gc.get_freeze_count() >= before + len(new)
    assert gc.get_freeze_count() == 0


async def test_what_is_under_way_during_a_short_collection_is_found_when_it_dies_in_a_cycle() -> None:
    with ShortPauses(long_s=60.0):
        assert gc.get_freeze_count() > 1000  # what was there at the start
        ring = Ring()
        dead = weakref.ref(ring)
        gc.collect()
        del ring
        gc.collect()
        assert dead() is None


async def test_a_cycle_that_dies_after_it_was_set_aside_is_found_when_all_is_collected() -> None:
    with ShortPauses(long_s=0.0) as pauses:
        ring = Ring()
        dead = weakref.ref(ring)
        gc.collect()
        del ring
        gc.collect()
        assert dead() is not None
        pauses.thaw()
        assert dead() is None
