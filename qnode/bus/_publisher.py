"""The sending end of the herald plane."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from qnode.bus._keys import Keyring
from qnode.bus._stream import StreamJournal

__all__ = ["StreamPublisher"]


class StreamPublisher:
    """Numbers items, journals them, sends them to every subscriber and sends again what one has missed.

    Args:
        endpoint: ``tcp://address:port``; port 0 takes a free one.
        identity: whose key this publisher holds.
        keyring: the lab's keys.
        journal: where items are written before they are sent; this stream's alone, record number = item number.

    Example::

        with Journal(run / "heralds.journal") as journal:
            async with StreamPublisher("tcp://127.0.1.9:5701", "midpoint", keyring, journal) as stream:
                stream.publish(payload)
    """

    def __init__(self, endpoint: str, identity: str, keyring: Keyring, journal: StreamJournal) -> None:
        raise NotImplementedError

    @property
    def boot_id(self) -> bytes:
        """16 random bytes of this start."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """Where it is bound."""
        raise NotImplementedError

    @property
    def last_seq(self) -> int:
        """Number of the last item, 0 when there is none."""
        raise NotImplementedError

    @property
    def refused_sends(self) -> int:
        """How often a full or broken pipe refused a message; the items went later."""
        raise NotImplementedError

    def publish(self, payload: bytes, *, kind: int = 0) -> int:
        """Write an item to the journal, then send it; gives its number. Call it in the loop's thread.

        Raises:
            QnodeError: the journal could not be written; nothing was sent and no number used.
        """
        raise NotImplementedError

    def acked(self, identity: str) -> int:
        """Highest number that a subscriber of this identity has dealt with in this start, 0 before the first."""
        raise NotImplementedError

    async def wait_acked(self, identity: str, seq: int, timeout_s: float = 5.0) -> None:
        """Return when ``identity`` has dealt with item ``seq``.

        Raises:
            NetworkError: not in ``timeout_s``.
        """

    def subscribers(self) -> dict[str, int]:
        """Who is connected now: identity -> highest number acknowledged."""
        raise NotImplementedError

    async def start(self) -> None:
        """Bind and serve from now on, in the running loop.

        Raises:
            NetworkError: the address is taken or not of this host.
            KeyMissingError: the publisher's key is not in the keyring.
        """

    async def close(self) -> None:
        """Close the socket; the journal stays the caller's."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
