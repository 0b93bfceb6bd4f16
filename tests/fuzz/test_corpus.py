"""Every input that was ever found to matter is read again, and each target bears what hypothesis makes of the seeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.corpus import FOLDER, kept, seeds
from tests.fuzz.targets import CUT, TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_raise_nothing(target: str) -> None:
    for data in (*kept(target), *seeds(target)):
        TARGETS[target](data)


def test_every_file_of_the_corpus_has_a_target() -> None:
    assert {path.stem for path in FOLDER.iterdir()} <= set(TARGETS)


@st.composite
def damaged(draw: st.DrawFn, target: str) -> bytes:
    """A seed with pieces cut out, doubled, overwritten and put in, as networks and firmware do it."""
    data = bytearray(draw(st.sampled_from(list(seeds(target)))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.binary(max_size=6), st.just(bytes(data[at:end]) * 2), st.just(CUT), st.just(b"")))
        data[at:end] = piece
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_inputs_raise_nothing(target: str) -> None:
    @given(data=damaged(target))
    def bears(data: bytes) -> None:
        TARGETS[target](data)

    bears()
