"""A lab from outside: calls to its daemons over the bus."""

from qnode.client._connection import OPERATOR, LabConnection

__all__ = ["OPERATOR", "LabConnection"]
