"""The memory into which UDP sockets are emptied."""

from __future__ import annotations

import socket

from gb28181.ingest.slab import STRIDE, Slab


def test_touched_slots_are_given_back_between_two_ticks_only() -> None:
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*kind) as receiver, socket.socket(*kind) as sender:
        receiver.bind(("127.0.0.1", 0))
        slab = Slab()
        for number in range(3):
            sender.sendto(b"%d" % number * 1400, receiver.getsockname())
        assert slab.receive(receiver.fileno()) == 3
        slab.give_back()
        assert [slab.datagram(number) for number in range(3)] == [b"0" * 1400, b"1" * 1400, b"2" * 1400]
        slab.reset(was_long=False)
        slab.give_back()
        assert not slab.bytes[: 3 * STRIDE].any()  # pages that are gone read as zero
        sender.sendto(b"again", receiver.getsockname())
        assert slab.receive(receiver.fileno()) == 1
        assert slab.datagram(0) == b"again"
