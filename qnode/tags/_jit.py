"""The one way our numba kernels are compiled: cached on disk, without the GIL, integers only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["kernel"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def kernel(function: FunctionT) -> FunctionT:
    """Compile ``function`` at its first call; the machine code is cached on disk where that can be."""
    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no writable place for the cache: compile in each process
        compiled = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(FunctionT, compiled)
