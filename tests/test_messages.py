"""Frames between the processes: whatever is written is read back, however it is cut; anything else is refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import WireError
from gb28181.frames import MAX_FRAME, FrameReader, decode, encode, encode_chunk_header
from gb28181.messages import Hello, MediaChunk, Snapshot, Statistics, StreamState, Viewers, VolumeState
from gb28181.texts.text import Text, say

STATE = StreamState("s", "d", "c", "udp", 20000, recording=True, lost=3, source="192.0.2.1:5000")
MESSAGES = [
    Hello("ingest-0", 1, 2, "0.1.0"),
    Snapshot(4, (STATE, STATE)),
    Statistics(1, 2, 3.5, 4.5, 5, 6, (VolumeState("/v", 10, 5, error="full"),), (STATE,)),
    Viewers(1, 2, (("d", "c", 3), ("d", "e", 0))),
]


@given(st.lists(st.sampled_from([*MESSAGES, MediaChunk(1, 2, 3, 4, b"\0\0\1\xba")])), st.lists(st.integers(1, 40)))
def test_chunking_never_changes_what_is_read(messages: list[object], cuts: list[int]) -> None:
    wire = b"".join(
        encode_chunk_header(m.watch_id, m.flags, m.offset, m.at, len(m.data)) + m.data
        if isinstance(m, MediaChunk)
        else encode(m)
        for m in messages
    )
    reader = FrameReader()
    read: list[object] = []
    position = 0
    for cut in cuts:
        read += reader.feed(wire[position : position + cut])
        position += cut
    read += reader.feed(wire[position:])
    assert read == messages


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        FrameReader().feed(data)
    except WireError:
        pass


def test_a_field_of_a_newer_version_is_ignored_and_one_that_it_lacks_has_its_default() -> None:
    assert decode(b'{"is": "Hello", "name": "i", "epoch": 1, "pid": 2, "colour": "red"}') == Hello("i", 1, 2)


def test_a_text_is_one_again_wherever_it_stands_and_other_strings_stay_what_they_are() -> None:
    told = dataclasses.replace(STATE, note=say("live.internal", error="x"))
    read = decode(encode(Snapshot(1, (STATE, told)))[4:])
    assert isinstance(read, Snapshot)
    assert read.streams == (STATE, told)
    assert [type(stream.note) for stream in read.streams] == [str, Text]
    assert decode(encode(Hello('{"text":', 1, 2))[4:]) == Hello('{"text":', 1, 2)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"is": "Nothing"}', b'{"is": "Hello"}', b"\xff"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode(body)


def test_a_frame_that_is_too_long_is_refused_before_it_is_buffered() -> None:
    with pytest.raises(WireError, match="at most"):
        FrameReader().feed((MAX_FRAME + 1).to_bytes(4, "big"))
