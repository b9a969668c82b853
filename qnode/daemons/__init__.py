"""The processes of a lab: node, midpoint, and the supervisor that starts them.

Each name is imported when it is first asked for: who starts and stops processes needs nothing of what they do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qnode.daemons._guard import guard_process, load_drivers
    from qnode.daemons._host import extend_driver_path
    from qnode.daemons._main import run_daemon
    from qnode.daemons._ownership import Holder, Ownership, holder_of
    from qnode.daemons._supervisor import STOP_S, Child, Supervisor, SupervisorError, notify, passes_gate
    from qnode.daemons._systemd import ServiceManager
    from qnode.daemons._upload import upload_programs

__all__ = [
    "STOP_S",
    "Child",
    "Holder",
    "Ownership",
    "ServiceManager",
    "Supervisor",
    "SupervisorError",
    "extend_driver_path",
    "guard_process",
    "holder_of",
    "load_drivers",
    "notify",
    "passes_gate",
    "run_daemon",
    "upload_programs",
]

_HOMES = {
    "STOP_S": "_supervisor",
    "Child": "_supervisor",
    "Holder": "_ownership",
    "Ownership": "_ownership",
    "ServiceManager": "_systemd",
    "Supervisor": "_supervisor",
    "SupervisorError": "_supervisor",
    "extend_driver_path": "_host",
    "guard_process": "_guard",
    "holder_of": "_ownership",
    "load_drivers": "_guard",
    "notify": "_supervisor",
    "passes_gate": "_supervisor",
    "run_daemon": "_main",
    "upload_programs": "_upload",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
