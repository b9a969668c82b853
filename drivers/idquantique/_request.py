"""Question and answer over ZeroMQ REQ with a time-out ("lazy pirate")."""

from __future__ import annotations

from typing import Any

import zmq

__all__ = ["RequestSocket"]


class RequestSocket:
    """One REQ socket to ``endpoint`` that is opened anew after a time-out.

    A REQ socket that got no answer can't ask again, and its late answer must never be read as the next one: the
    socket is thrown away with everything that was under way.

    Args:
        context: ZeroMQ context that it lives in.
        endpoint: as ``tcp://192.168.1.30:5555``.
        timeout_s: for the question to leave and for the answer to come.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str, timeout_s: float) -> None:
        self._context = context
        self._timeout_s = timeout_s
        self._socket: zmq.Socket[Any] | None = None
        self.endpoint = endpoint

    def ask(self, text: str) -> str:
        """Send one frame and return the one that answers.

        Raises:
            TimeoutError: no answer within the time-out; the socket is new for the next call.
        """
        if self._socket is None:
            self._socket = self._context.socket(zmq.REQ)
            timeout_ms = round(self._timeout_s * 1000)
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.setsockopt(zmq.SNDTIMEO, timeout_ms)
            self._socket.setsockopt(zmq.RCVTIMEO, timeout_ms)
            self._socket.connect(self.endpoint)
        try:
            self._socket.send(text.encode())
            answer: bytes = self._socket.recv()
        except zmq.ZMQError as error:
            self.close()
            if isinstance(error, zmq.Again):
                raise TimeoutError(f"no answer within {self._timeout_s:g} s") from error
            raise
        return answer.decode(errors="replace")

    def close(self) -> None:
        """Throw the socket away; `ask` opens another."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None
