"""The CURVE keys of a lab: one pair for each site, one for the operator.

``<folder>/keys/<identity>.key`` (secret, 0600) and ``<identity>.pub``, each 40 characters of Z85. Whose ``.pub`` lies
in the folder may speak to this lab; taking it away ends that within a second or two.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import zmq

from qnode.bus._errors import KeyMissingError
from qnode.errors import MisuseError

__all__ = ["KeyPair", "Keyring", "on_loopback"]

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_Z85_KEY = re.compile(rb"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_OPEN_TO_OTHERS = 0o077

_log = logging.getLogger(__name__)


class KeyPair(NamedTuple):
    """A CURVE pair in Z85, 40 bytes each."""

    public: bytes
    secret: bytes


def on_loopback(endpoint: str) -> bool:
    """Whether ``endpoint`` (``tcp://address:port``, or an address) can't be reached from another computer."""
    host = urlsplit(endpoint).hostname if "://" in endpoint else endpoint
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class Keyring:
    """The keys under a lab's data folder.

    Args:
        folder: the lab's data folder; the keys are in ``keys`` below it.
        make: make what is missing at first use. Right only where every endpoint of the lab is on loopback;
            `for_lab` decides that.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> keyring = Keyring.for_lab(Path(tempfile.mkdtemp()), ["tcp://127.0.1.1:5700", "tcp://127.0.1.2:5700"])
        >>> keyring.public("alice") == keyring.pair("alice").public
        True
        >>> Keyring.for_lab(Path(tempfile.mkdtemp()), ["tcp://192.168.7.2:5700"]).pair("alice")
        Traceback (most recent call last):
        ...
        qnode.bus._errors.KeyMissingError: no secret key of alice in ... - make it with `qnode keys init`, ...
    """

    def __init__(self, folder: Path | str, *, make: bool = False) -> None:
        self.folder = Path(folder) / "keys"
        self._make = make

    @classmethod
    def for_lab(cls, folder: Path | str, endpoints: Iterable[str]) -> Self:
        """Make the keyring of a lab whose sockets are at ``endpoints``: keys make themselves on loopback only."""
        return cls(folder, make=all(on_loopback(endpoint) for endpoint in endpoints))

    def pair(self, identity: str) -> KeyPair:
        """Give an identity's own pair.

        Raises:
            KeyMissingError: it is not there, or its file is readable by others.
            MisuseError: not a name, or the file holds no key.
        """
        path = self._path(identity, "key")
        try:
            mode = path.stat().st_mode
            secret = path.read_bytes().strip()
        except FileNotFoundError:
            if not self._make:
                raise KeyMissingError(
                    f"no secret key of {identity} in {self.folder}",
                    hint="make it with `qnode keys init`, or copy it from where it was made",
                    identity=identity,
                ) from None
            return self.create(identity)
        if mode & _OPEN_TO_OTHERS:
            raise KeyMissingError(f"{path} can be read by others", hint=f"chmod 600 {path}", identity=identity)
        return KeyPair(zmq.curve_public(_checked(secret, path)), secret)

    def public(self, identity: str) -> bytes:
        """Give the public key of a peer.

        Raises:
            KeyMissingError: it is not there.
        """
        known = self.find_public(identity)
        if known is not None:
            return known
        if self._make:
            return self.create(identity).public
        raise KeyMissingError(
            f"no public key of {identity} in {self.folder}",
            hint=f"make the lab's keys with `qnode keys init`, or copy {identity}.pub from its host",
            identity=identity,
        )

    def find_public(self, identity: str) -> bytes | None:
        """Give the public key of a peer, or None where it has none here (nothing is made)."""
        path = self._path(identity, "pub")
        try:
            return _checked(path.read_bytes().strip(), path)
        except FileNotFoundError:
            return None

    def identities(self) -> dict[bytes, str]:
        """Give who may speak to this lab: public key -> identity. A file that holds no key opens to nobody."""
        found: dict[bytes, str] = {}
        for path in sorted(self.folder.glob("*.pub")):
            try:
                key = self.find_public(path.stem)
            except MisuseError as error:
                _log.warning("%s", error)
                continue
            if key is not None:
                found[key] = path.stem
        return found

    def create(self, identity: str) -> KeyPair:
        """Make an identity's pair, or give the one that is there; safe among processes that start at once."""
        path = self._path(identity, "key")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        public, secret = zmq.curve_keypair()
        draft = self._draft(path, secret, 0o600)
        try:
            # A link, not a rename: of two makers the first wins, and both go on with its key.
            os.link(draft, path)
        except FileExistsError:
            secret = _checked(path.read_bytes().strip(), path)
            public = zmq.curve_public(secret)
        finally:
            draft.unlink()
        public_path = self._path(identity, "pub")
        if self.find_public(identity) != public:
            self._draft(public_path, public, 0o644).replace(public_path)
        return KeyPair(public, secret)

    def _draft(self, path: Path, content: bytes, mode: int) -> Path:
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.write(fd, content + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        return draft

    def _path(self, identity: str, suffix: str) -> Path:
        if not _IDENTITY.fullmatch(identity):
            raise MisuseError(f"{identity!r} can't name a site", hint="letters, digits, - _ and . only, 64 at most")
        return self.folder / f"{identity}.{suffix}"


def _checked(key: bytes, path: Path) -> bytes:
    if not _Z85_KEY.fullmatch(key):
        raise MisuseError(f"{path} holds no key", hint="40 characters of Z85 are expected; restore it from its host")
    return key
