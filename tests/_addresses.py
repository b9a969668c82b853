"""Loopback addresses of a test's own, so that two runs of the tests on one computer do not meet."""

from __future__ import annotations

import atexit
import itertools
import os
import socket

_blocks = itertools.count(1)


def own_block() -> str:
    """A loopback block ``127.x.y.`` that no other test process uses: who holds the socket of its name has it."""
    while True:
        block = f"127.{64 + os.getpid() % 128}.{next(_blocks) % 250 + 1}."
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0qnode-tests {block}")
        except OSError:
            holder.close()
            continue
        atexit.register(holder.close)
        return block
