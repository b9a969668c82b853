"""The processes of a lab: node, midpoint, and the supervisor that starts them."""

from qnode.daemons._guard import guard_process, load_drivers
from qnode.daemons._host import extend_driver_path
from qnode.daemons._main import run_daemon
from qnode.daemons._ownership import Holder, Ownership, holder_of
from qnode.daemons._supervisor import STOP_S, Child, Supervisor, SupervisorError, notify
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
    "run_daemon",
    "upload_programs",
]
