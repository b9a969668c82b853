"""Which code runs a kernel: numba when it is there, numpy otherwise; both give the same bits.

numba is imported at the first kernel that asks for it, never by ``import qnode.tags``: daemons set
``QNODE_TAGS_BACKEND=numpy`` and stay without it.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Literal

from qnode.errors import MisuseError

__all__ = ["Backend", "use_numba"]

Backend = Literal["auto", "numba", "numpy"]

ENVIRONMENT = "QNODE_TAGS_BACKEND"


def use_numba(backend: Backend) -> bool:
    """Whether the numba kernels are to be used.

    The environment variable ``QNODE_TAGS_BACKEND=numpy`` wins over the argument, so that a process that
    must stay without numba does.

    Raises:
        MisuseError: an unknown backend, or "numba" where numba is not installed.
    """
    if backend not in ("auto", "numba", "numpy"):
        raise MisuseError(f"unknown backend {backend!r}", hint='use "auto", "numba" or "numpy"')
    forced = os.environ.get(ENVIRONMENT, "auto")
    if forced not in ("auto", "numba", "numpy"):
        raise MisuseError(f"{ENVIRONMENT}={forced!r} is unknown", hint='use "auto", "numba" or "numpy"')
    if "numpy" in (forced, backend):
        return False
    if find_spec("numba") is not None:
        return True
    if "numba" in (forced, backend):
        raise MisuseError("numba is not installed", hint="pip install numba, or use backend='numpy'")
    return False
