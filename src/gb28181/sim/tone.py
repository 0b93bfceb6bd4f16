"""G.711 A-law sound: a quiet tone of 440 Hz and a beep of 1 kHz at the beginning of each second. Repeats every second."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 8000
#: One sound frame lasts 40 ms.
FRAME_SAMPLES: Final = 320
FRAMES_PER_SECOND: Final = RATE_HZ // FRAME_SAMPLES
#: Upper ends of the A-law segments for 13-bit magnitudes (ITU-T G.711, table 1a).
_SEGMENT_ENDS: Final = np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF])


def alaw(samples: npt.NDArray[np.int16]) -> bytes:
    """16-bit linear samples as A-law, one byte a sample."""
    linear = samples.astype(np.int32) >> 3
    mask = np.where(linear >= 0, 0xD5, 0x55)
    magnitude = np.where(linear >= 0, linear, -linear - 1)
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    shift = np.where(segment < 2, 1, segment)
    code = segment << 4 | magnitude >> shift & 0x0F
    return (code ^ mask).astype(np.uint8).tobytes()


def _second() -> bytes:
    time = np.arange(RATE_HZ) / RATE_HZ
    wave = 2000.0 * np.sin(2 * np.pi * 440 * time)
    wave[: RATE_HZ // 10] = 12000.0 * np.sin(2 * np.pi * 1000 * time[: RATE_HZ // 10])
    return alaw(wave.astype(np.int16))


_SECOND: Final = _second()


def frame(number: int) -> bytes:
    """Sound frame number `number` since the Unix epoch, 25 a second, 320 bytes."""
    start = number % FRAMES_PER_SECOND * FRAME_SAMPLES
    return _SECOND[start : start + FRAME_SAMPLES]
