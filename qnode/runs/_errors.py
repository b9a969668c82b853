"""What the data folder can do to those who write there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from qnode.errors import QnodeError

__all__ = ["DataFolderError", "says_disk", "writing"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DataFolderError(QnodeError):
    """A file of the data folder can't be written: disk full or failing, no permission."""

    code = "data_folder"


def says_disk(error: OSError) -> tuple[str, str]:
    """What a disk's refusal means, and what to do about it, in words."""
    if error.errno in FULL:
        return "no room left", "free space on that disk"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return os.strerror(error.errno), "give write permission, or name another folder with --data"
    return os.strerror(error.errno or 0), "check that disk before going on"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Work on a file, whose failure is told as the file's.

    Raises:
        DataFolderError: for any `OSError` of the body.
    """
    try:
        yield
    except OSError as error:
        what, hint = says_disk(error)
        raise DataFolderError(f"{path} could not be written: {what}", hint=hint, errno=error.errno) from error
