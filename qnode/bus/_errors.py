"""What can go wrong on the bus, each with its own code."""

from __future__ import annotations

from qnode.errors import MisuseError, NetworkError

__all__ = ["CallTimeoutError", "KeyMissingError", "PeerRestartedError", "RefusedError"]


class CallTimeoutError(NetworkError):
    """A peer did not answer in time; whether the call was carried out is unknown unless the text says so."""

    code = "call_timeout"


class RefusedError(NetworkError):
    """A peer does not know our key, our wire version or a feature that we ask for."""

    code = "refused"


class PeerRestartedError(NetworkError):
    """The peer went down with our call under way: it may or may not have been carried out."""

    code = "peer_restarted"


class KeyMissingError(MisuseError):
    """A key of the lab is not in its folder, or lies open to others."""

    code = "key_missing"
