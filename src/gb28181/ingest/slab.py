"""One piece of memory into which a tick empties its UDP sockets, by `recvmmsg`.

Slots are 1600 bytes: no power of two (cache sets), and every packet of an Ethernet fits. A longer datagram (quirk Q123, up to
65,535 bytes) goes on in the slot's overflow, 64 KiB of address space each that cost memory only when touched, so nothing is
ever cut. `PyDLL`: the call never waits, and giving the GIL up at each one costs far more than the call itself.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gb28181.ingest.batch import HEADER

STRIDE: Final = 1600
SLOTS: Final = 4096
_OVERFLOW: Final = 65536
_NAME_BYTES: Final = 32
_MOST_PER_CALL: Final = 512
_MSG_DONTWAIT: Final = 0x40
_MAP_NORESERVE: Final = 0x4000

#: struct mmsghdr of 64-bit Linux.
_MESSAGE: Final = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "length"],
        "formats": ["u8", "u4", "u8", "u8", "u4"],
        "offsets": [0, 8, 16, 24, 56],
        "itemsize": 64,
    }
)
_MESSAGE_BYTES: Final = _MESSAGE.itemsize
_IOVEC: Final = np.dtype([("base", "u8"), ("length", "u8")])

Bytes = npt.NDArray[np.uint8]


class Slab:
    """Receives datagrams into consecutive slots, from slot 0 after each `reset`."""

    def __init__(self) -> None:
        assert ctypes.sizeof(ctypes.c_void_p) == 8, "struct mmsghdr is laid out for 64-bit Linux"
        # Private: of shared memory, pages cannot be given back.
        self._memory = mmap.mmap(-1, SLOTS * STRIDE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._overflow = mmap.mmap(-1, SLOTS * _OVERFLOW, flags=flags)
        self.bytes: Bytes = np.frombuffer(self._memory, np.uint8)
        self._heads: Any = np.ndarray((SLOTS,), np.dtype((np.void, HEADER.itemsize)), buffer=self._memory, strides=(STRIDE,))
        self.view = memoryview(self._memory)
        self._overflow_view = memoryview(self._overflow)
        self._names = np.zeros((SLOTS, _NAME_BYTES), np.uint8)
        #: Source address of each slot as four words, zero where the family leaves bytes unused.
        self.sources: npt.NDArray[np.uint64] = self._names.view(np.uint64)
        self._iovecs = self._make_iovecs()
        self._messages = self._make_messages()
        self.lengths = self._messages["length"]
        self._address = self._messages.ctypes.data
        libc: Any = ctypes.PyDLL(None)
        self._recvmmsg = libc.recvmmsg
        self._recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
        self.used = 0

    def _make_iovecs(self) -> npt.NDArray[Any]:
        overflow: Bytes = np.frombuffer(self._overflow, np.uint8)
        slots = np.arange(SLOTS, dtype=np.uint64)
        iovecs = np.zeros((SLOTS, 2), _IOVEC)
        iovecs["base"][:, 0] = self.bytes.ctypes.data + slots * np.uint64(STRIDE)
        iovecs["length"][:, 0] = STRIDE
        iovecs["base"][:, 1] = overflow.ctypes.data + slots * np.uint64(_OVERFLOW)
        iovecs["length"][:, 1] = _OVERFLOW
        return iovecs

    def _make_messages(self) -> npt.NDArray[Any]:
        slots = np.arange(SLOTS, dtype=np.uint64)
        messages = np.zeros(SLOTS, _MESSAGE)
        messages["iov"] = self._iovecs.ctypes.data + slots * np.uint64(2 * _IOVEC.itemsize)
        messages["iovlen"] = 2
        messages["name"] = self._names.ctypes.data + slots * np.uint64(_NAME_BYTES)
        messages["namelen"] = _NAME_BYTES
        return messages

    @property
    def free(self) -> int:
        return SLOTS - self.used

    def receive(self, fd: int) -> int:
        """Takes what waits on a non-blocking socket, at most the free slots; returns how many datagrams."""
        wanted = min(_MOST_PER_CALL, SLOTS - self.used)
        got: int = self._recvmmsg(fd, self._address + self.used * _MESSAGE_BYTES, wanted, _MSG_DONTWAIT, None)
        if got <= 0:
            return 0  # EAGAIN, or an ICMP error that the socket had to report: both end this socket's turn
        self.used += got
        # Fewer than wanted: it is empty, and asking again would cost a call per camera.
        return got if got < wanted or self.used == SLOTS else got + self.receive(fd)

    def headers(self) -> Any:
        """First bytes of each datagram, a copy, as `batch.HEADER`."""
        return self._heads[: self.used].copy().view(HEADER)

    def datagram(self, slot: int) -> bytes:
        """A whole datagram, with its overflow."""
        length = int(self.lengths[slot])
        start = slot * STRIDE
        if length <= STRIDE:
            return bytes(self.view[start : start + length])
        over = slot * _OVERFLOW
        return bytes(self.view[start : start + STRIDE]) + bytes(self._overflow_view[over : over + length - STRIDE])

    def reset(self, *, was_long: bool) -> None:
        """Forgets the datagrams; the memory goes back that long ones touched."""
        if was_long:
            self._overflow.madvise(mmap.MADV_DONTNEED)
        self.used = 0

    def give_back(self) -> None:
        """Gives back the slots that the longest tick so far has touched; only while none is used."""
        if not self.used:
            self._memory.madvise(mmap.MADV_DONTNEED)
