"""qnode: a control stack for quantum-network nodes.

``from qnode import Lab`` is the way in for people; it is imported when it is first asked for, so that
``import qnode`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qnode._version import __version__

if TYPE_CHECKING:
    from qnode.client import Lab

__all__ = ["Lab", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Lab":
        from qnode.client import Lab

        return Lab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
