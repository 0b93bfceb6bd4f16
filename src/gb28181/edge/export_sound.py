"""The sound of an export, encoded beside its pictures, by a process of its own.

Not by a thread: between two frames of 50 us it would wait for the interpreter's lock, and an hour has 28,000 frames. With a
second core an export takes as long as its pictures alone; an encoder that dies takes the sound with it and nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from gb28181.edge.audio import SoundConfig, SoundFrame, SoundTrack, SoundUnit, joined


class EncodedSound(NamedTuple):
    """Args:
    config: Of the frames; None as long as there were none.
    """

    config: SoundConfig | None
    frames: list[SoundFrame]


_SILENCE = EncodedSound(None, [])


class SoundProcess:
    """Encodes one run of units while the caller does something else; it begins with the first unit."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self._is_busy = False
        self._is_dead = False

    def give(self, units: Sequence[SoundUnit], *, restart: bool = False) -> None:
        """Units to encode; what was given before must have been taken.

        Args:
            restart: They have nothing to do with those before: what the encoder still holds comes out first.
        """
        if self._is_dead or (self._line is None and not units):
            return
        if self._line is None:
            self._line = self._start()
        try:
            self._line.send((units, restart))
            self._is_busy = True
        except OSError:
            self._is_dead = True

    def take(self) -> EncodedSound:
        """Waits for the frames of what was given."""
        if not self._is_busy or self._line is None:
            return _SILENCE
        self._is_busy = False
        try:
            encoded: EncodedSound = self._line.recv()
        except (EOFError, OSError):
            self._is_dead = True
            return _SILENCE
        return encoded

    def close(self) -> None:
        if self._line is not None and self._process is not None:
            self._line.close()
            self._process.join()

    def _start(self) -> Connection:
        ours, theirs = multiprocessing.Pipe()
        # Forked: nothing is imported again, and this process has no other thread.
        self._process = multiprocessing.get_context("fork").Process(target=_encode, args=(ours, theirs), daemon=True)
        self._process.start()
        theirs.close()
        return ours


def _encode(ours: Connection, theirs: Connection) -> None:
    """The process: answers until the other end is closed."""
    ours.close()
    # The file's reader must see its end when the other process has gone.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    track = SoundTrack()
    try:
        while True:
            units, restart = theirs.recv()
            frames = track.flush() if restart else []
            for unit in joined(units):
                frames += track.feed(unit)
            theirs.send(EncodedSound(track.config, frames))
    except (EOFError, OSError):
        return
