"""The bus: the only package that makes ZeroMQ sockets of ours.

Command plane `Server` / `Client` / `SyncClient`, herald plane `StreamPublisher` / `StreamSubscriber`, tap
`TapPublisher` / `TapSubscriber`; who may speak is in a `Keyring`.
"""

from qnode.bus._client import Client
from qnode.bus._errors import CallTimeoutError, KeyMissingError, PeerRestartedError, RefusedError
from qnode.bus._keys import Keyring
from qnode.bus._plain import plain
from qnode.bus._positions import FilePositions, JournalPositions, Position, PositionStore
from qnode.bus._publisher import StreamPublisher
from qnode.bus._server import Handler, Server, caller_identity
from qnode.bus._stream import BootChange, Item, StreamCounters, StreamJournal
from qnode.bus._subscriber import StreamSubscriber
from qnode.bus._sync import SyncClient
from qnode.bus._tap import TapMessage, TapPublisher, TapSubscriber
from qnode.bus._thread import LoopThread

__all__ = [
    "BootChange",
    "CallTimeoutError",
    "Client",
    "FilePositions",
    "Handler",
    "Item",
    "JournalPositions",
    "KeyMissingError",
    "Keyring",
    "LoopThread",
    "PeerRestartedError",
    "Position",
    "PositionStore",
    "RefusedError",
    "Server",
    "StreamCounters",
    "StreamJournal",
    "StreamPublisher",
    "StreamSubscriber",
    "SyncClient",
    "TapMessage",
    "TapPublisher",
    "TapSubscriber",
    "caller_identity",
    "plain",
]
