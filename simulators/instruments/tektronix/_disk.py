"""The drive C: of the Windows computer inside the instrument, with folders and files; survives power cuts."""

from __future__ import annotations

import ntpath

from simulators.kit.scpi import ScpiError, quoted

__all__ = ["Disk"]

_HOME = r"C:\Users\OEM\Documents"
_CAPACITY_BYTES = 500_000_000


class Disk:
    """Paths are Windows paths, in which upper and lower case are the same."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._files: dict[str, tuple[str, bytes]] = {}
        self.current = "C:\\"
        for folder in ("C:\\", r"C:\Users", r"C:\Users\OEM", _HOME):
            self._folders[folder.lower()] = folder
        self.current = _HOME

    def _full(self, path: str) -> str:
        if not path:
            raise ScpiError(-257)
        full = ntpath.normpath(ntpath.join(self.current, path))
        if not ntpath.splitdrive(full)[0]:
            full = "C:" + full
        return full

    def change_folder(self, path: str) -> None:
        """Make the folder ``path`` the current one."""
        full = self._full(path)
        if full.lower() not in self._folders:
            raise ScpiError(-256, path)
        self.current = self._folders[full.lower()]

    def make_folder(self, path: str) -> None:
        """Make a new folder in one that is there."""
        full = self._full(path)
        if full.lower() in self._folders or ntpath.dirname(full).lower() not in self._folders:
            raise ScpiError(-257, path)
        self._folders[full.lower()] = full

    def write(self, path: str, data: bytes) -> None:
        """Make or replace a file."""
        full = self._full(path)
        if ntpath.dirname(full).lower() not in self._folders or full.lower() in self._folders:
            raise ScpiError(-257, path)
        self._files[full.lower()] = (full, data)

    def read(self, path: str) -> bytes:
        """What is in a file."""
        try:
            return self._files[self._full(path).lower()][1]
        except KeyError:
            raise ScpiError(-256, path) from None

    def delete(self, path: str) -> None:
        """Delete a file, or an empty folder."""
        key = self._full(path).lower()
        if key in self._files:
            del self._files[key]
        elif key in self._folders and not self._names_in(key):
            del self._folders[key]
        else:
            raise ScpiError(-256, path)

    def _names_in(self, folder: str) -> list[str]:
        """[K] Entries are ``name,DIR,0`` and ``name,,bytes``."""
        folder = folder.lower()
        folders = [
            f"{ntpath.basename(path)},DIR,0"
            for key, path in self._folders.items()
            if ntpath.dirname(key) == folder and key != folder
        ]
        files = [
            f"{ntpath.basename(path)},,{len(data)}"
            for key, (path, data) in self._files.items()
            if ntpath.dirname(key) == folder
        ]
        return sorted(folders) + sorted(files)

    def catalogue(self, path: str) -> str:
        """Bytes used and free, then the entries of a folder, as ``MMEMory:CATalog?`` tells them."""
        full = self._full(path)
        if full.lower() not in self._folders:
            raise ScpiError(-256, path)
        used = sum(len(data) for _, data in self._files.values())
        return ",".join([str(used), str(_CAPACITY_BYTES - used), *(quoted(name) for name in self._names_in(full))])
