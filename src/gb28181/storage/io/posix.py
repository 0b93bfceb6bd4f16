"""Calls of Linux that Python's `os` lacks, and writes that are whole or fail. Where one is missing, the nearest one serves.

All go through `ctypes.CDLL`, which gives up the GIL: each of them may wait for a disk.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE
_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE
_IOV_MAX: Final = 1024
_NOT_HERE: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ESPIPE, errno.EPERM})

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _function(name: str, *arguments: Any) -> Callable[..., int] | None:
    found = getattr(_libc, name, None)
    if found is None:
        return None
    found.argtypes = arguments
    found.restype = ctypes.c_int
    return found  # type: ignore[no-any-return]  # a ctypes function pointer


_syncfs: Final = _function("syncfs", ctypes.c_int)
_sync_file_range: Final = _function("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
# `fallocate64` takes 64-bit offsets on every platform; musl has `fallocate` alone, with 64-bit offsets.
_fallocate: Final = _function("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64) or _function(
    "fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
)


def _failed() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def sync_volume(root_fd: int, files: Sequence[int]) -> None:
    """Brings everything written so far to the disk: one `syncfs`, or an `fsync` of each file where there is none.

    Raises:
        OSError: The disk reported an error, perhaps of an earlier write.
    """
    if _syncfs is not None:
        if _syncfs(root_fd) == 0:
            return
        error = _failed()
        if error.errno not in _NOT_HERE:
            raise error
    for fd in files:
        os.fsync(fd)


def start_writeback(fd: int, offset: int, length: int) -> None:
    """Begins to write dirty pages of a range, so that they do not pile up. A hint: errors show at `fsync`."""
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, length, _WRITE)


def drop_cache(fd: int, offset: int, length: int) -> None:
    """Lets the page cache forget a range that is on disk: a recorder must not push out what others need. A hint."""
    try:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)
    except (OSError, AttributeError):  # a file system without a page cache; an operating system without the call
        pass


def preallocate(fd: int, size: int) -> None:
    """Reserves blocks without changing the file's size; does nothing where the file system cannot.

    Raises:
        OSError: No space, or the disk fails.
    """
    if _fallocate is not None and _fallocate(fd, _KEEP_SIZE, 0, size) != 0:
        error = _failed()
        if error.errno not in _NOT_HERE:
            raise error


def write_all(fd: int, buffers: Sequence[bytes]) -> None:
    """Appends all buffers.

    Raises:
        OSError: Some bytes may be written; the caller knows the size before.
    """
    waiting: list[bytes | memoryview] = [buffer for buffer in buffers if buffer]
    start = 0
    while start < len(waiting):
        done = os.writev(fd, waiting[start : start + _IOV_MAX])
        if done == 0:
            raise OSError(errno.EIO, "wrote nothing")
        while start < len(waiting) and done >= len(waiting[start]):
            done -= len(waiting[start])
            start += 1
        if done:
            waiting[start] = memoryview(waiting[start])[done:]


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last through a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
