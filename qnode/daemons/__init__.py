"""The processes of a lab: node, midpoint, and the supervisor that starts them."""

from qnode.daemons._host import extend_driver_path
from qnode.daemons._main import run_daemon
from qnode.daemons._supervisor import STOP_S, Child, Supervisor, SupervisorError, notify
from qnode.daemons._upload import upload_programs

__all__ = [
    "STOP_S",
    "Child",
    "Supervisor",
    "SupervisorError",
    "extend_driver_path",
    "notify",
    "run_daemon",
    "upload_programs",
]
