"""The messages of the bus, wire version 1: msgpack arrays, the first element their name.

Each message is two frames after the routing id: the session's token (empty before the welcome) and the body.
"""

from __future__ import annotations

import traceback
from typing import Any

import msgspec

from qnode.bus._errors import RefusedError
from qnode.errors import InstrumentError, MisuseError, NetworkError, QnodeError

__all__ = [
    "COMMAND_FEATURES",
    "STREAM_FEATURES",
    "WIRE_VERSION",
    "Ack",
    "Ask",
    "Call",
    "Downstream",
    "Fault",
    "Hello",
    "Items",
    "PositionNote",
    "Refused",
    "Result",
    "StrangeSession",
    "Upstream",
    "Welcome",
    "WireError",
    "decode_downstream",
    "decode_upstream",
    "encode",
    "pack_error",
    "unpack_error",
    "wrong_version",
]

WIRE_VERSION = 1
COMMAND_FEATURES = ("call",)
STREAM_FEATURES = ("stream",)


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Hello(_Message, frozen=True, tag="hello"):
    """First message of each connection."""

    version: int
    features: tuple[str, ...]
    """What the sender will use; the peer must know all of it."""
    stamp_ns: int
    """The sender's monotonic clock; comes back in the welcome."""
    boot_id: bytes = b""
    """Subscribers: of the last item received."""
    seq: int = 0
    """Subscribers: number of the last item received."""


class Welcome(_Message, frozen=True, tag="welcome"):
    """Answer to a hello that is accepted."""

    version: int
    features: tuple[str, ...]
    token: bytes
    """16 random bytes that the peer sends with each message from now on."""
    boot_id: bytes
    """16 random bytes of the answering end's start."""
    echo_ns: int
    """The hello's stamp."""
    clock_ns: int
    """Its monotonic clock, for deadlines."""
    resume_after: int = 0
    """Publishers: the number after which items follow."""
    last_seq: int = 0
    """Publishers: number of the last item there is."""


class WireError(msgspec.Struct, frozen=True, array_like=True):
    """An error as it travels."""

    family: str
    code: str
    message: str
    hint: str
    context: dict[str, Any]


class Refused(_Message, frozen=True, tag="refused"):
    """Answer to a hello that is not accepted."""

    error: WireError


class StrangeSession(_Message, frozen=True, tag="strange"):
    """The token is of no session here: say hello again."""


class Call(_Message, frozen=True, tag="call"):
    """One call."""

    number: int
    name: str
    key: str
    """Calls with one key of one identity are carried out once."""
    deadline_ns: int
    """On the answering end's monotonic clock."""
    params: msgspec.Raw


class Result(_Message, frozen=True, tag="result"):
    """A call's result."""

    number: int
    value: msgspec.Raw


class Fault(_Message, frozen=True, tag="fault"):
    """A call's error."""

    number: int
    error: WireError


class Items(_Message, frozen=True, tag="items"):
    """Consecutive items of one boot."""

    boot_id: bytes
    first_seq: int
    items: list[tuple[int, int, bytes]]
    """(kind, wall_ns, payload) of each."""


class PositionNote(_Message, frozen=True, tag="position"):
    """The publisher's word that it lives, at least every 100 ms of wall time."""

    last_seq: int
    """Number of the last item there is."""
    sent_seq: int
    """Number of the last item sent on this session."""


class Ack(_Message, frozen=True, tag="ack"):
    """All up to this number is dealt with."""

    seq: int


class Ask(_Message, frozen=True, tag="ask"):
    """Send again from here on."""

    first_seq: int


Upstream = Hello | Call | Ack | Ask
Downstream = Welcome | Refused | StrangeSession | Result | Fault | Items | PositionNote

encode = msgspec.msgpack.Encoder().encode
decode_upstream = msgspec.msgpack.Decoder(Upstream).decode
decode_downstream = msgspec.msgpack.Decoder(Downstream).decode

_FAMILIES: dict[str, type[QnodeError]] = {
    family.code: family for family in (MisuseError, InstrumentError, NetworkError, QnodeError)
}
_strangers: dict[tuple[str, str], type[QnodeError]] = {}


def pack_error(error: BaseException, where: str) -> WireError:
    """Make an exception fit to travel: a `QnodeError` as it is, anything else as a fault inside ``where``."""
    if isinstance(error, QnodeError):
        family = next(code for code, kind in _FAMILIES.items() if isinstance(error, kind))
        return WireError(family, error.code, error.message, error.hint, _plain(error.context))
    return WireError(
        QnodeError.code,
        "internal",
        f"{where} failed: {type(error).__name__}: {error}",
        "this is a fault in the program there; its log has the details",
        {"traceback": "".join(traceback.format_exception(error))},
    )


def unpack_error(wire: WireError) -> QnodeError:
    """Make the exception that arrived: the class of its code where this process has it, else one of its family."""
    family = _FAMILIES.get(wire.family, QnodeError)
    kind = next((known for known in _kinds(family) if known.code == wire.code), None)
    if kind is None:
        kind = _strangers.get((wire.family, wire.code))
    if kind is None:
        kind = _strangers[wire.family, wire.code] = type(family.__name__, (family,), {"code": wire.code})
    error = QnodeError.__new__(kind)
    # Not through the constructor of the class: a subclass may want arguments of its own.
    QnodeError.__init__(error, wire.message, hint=wire.hint, **wire.context)
    return error


def wrong_version(hello: Hello, features: tuple[str, ...], identity: str) -> RefusedError | None:
    """Say why a hello can't be accepted, or None."""
    if hello.version != WIRE_VERSION:
        return RefusedError(
            f"{identity} speaks wire version {WIRE_VERSION} of the bus, you speak {hello.version}",
            hint="install the same qnode on both hosts",
            version=WIRE_VERSION,
        )
    unknown = [feature for feature in hello.features if feature not in features]
    if unknown:
        return RefusedError(
            f"{identity} does not know {', '.join(unknown)} on this endpoint, only {', '.join(features)}",
            hint="check the port in the lab file, and that both hosts have the same qnode",
            unknown=unknown,
        )
    return None


def _kinds(family: type[QnodeError]) -> list[type[QnodeError]]:
    found = [family]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in found if kind not in _strangers.values()]


def _plain(context: dict[str, object]) -> dict[str, Any]:
    """Make a context fit to travel: what msgpack can't carry goes as its text."""
    plain: dict[str, Any] = {}
    for name, value in context.items():
        try:
            plain[str(name)] = msgspec.msgpack.decode(encode(value))
        except (TypeError, ValueError, OverflowError):
            plain[str(name)] = repr(value)
    # These two are arguments of the constructor.
    return {name: value for name, value in plain.items() if name not in {"message", "hint", "self"}}
