"""Where pictures stand in their group, whatever the camera's clock says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.edge.recorded_pictures import spread


# quirks Q119, Q121, Q148c
@pytest.mark.parametrize(
    ("stamps", "duration", "places"),
    [
        pytest.param([], 100, [], id="none"),
        pytest.param([7], 100, [0], id="one"),
        pytest.param([50, 3650, 7250], 10_800, [0, 3600, 7200], id="as-stamped"),
        pytest.param([50, 3650, 90_000], 100_000, [0, 3600, 89_950], id="a-picture-that-stood"),
        pytest.param([0, 0, 0, 0], 14_400, [0, 3600, 7200, 10_800], id="no-clock"),
        pytest.param([0, 40, 80, 120], 14_400, [0, 3600, 7200, 10_800], id="milliseconds"),
        pytest.param([0, 3600, 1 << 31, (1 << 31) + 3600], 14_400, [0, 3600, 7200, 10_800], id="a-jump-ahead"),
        pytest.param([9_000_000, 9_003_600, 0, 3600], 14_400, [0, 3600, 7200, 10_800], id="a-jump-back"),
        pytest.param([0, 7200, 14_400, 21_600], 14_400, [0, 3600, 7200, 10_800], id="twice-too-long"),
        pytest.param([0, 0, 0, 10_800, 10_800, 10_800], 21_600, [0, 3600, 7200, 10_800, 14_400, 18_000], id="three-alike"),
    ],
)
def test_places(stamps: list[int], duration: int, places: list[int]) -> None:
    assert spread(stamps, duration) == places


@given(st.lists(st.integers(-(1 << 40), 1 << 40), max_size=60), st.integers(1, 1 << 31))
def test_places_rise_from_zero_and_end_before_the_next_group(stamps: list[int], duration: int) -> None:
    places = spread(stamps, duration)
    assert len(places) == len(stamps)
    assert all(after > before for before, after in pairwise(places))
    assert not places or places[0] == 0
    assert not places or places[-1] < max(duration, len(places))
