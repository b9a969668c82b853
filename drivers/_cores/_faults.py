"""One wording for everything that goes wrong between a driver and its instrument."""

from __future__ import annotations

from qnode.errors import InstrumentError

__all__ = ["fault"]


def fault(name: str, model: str, address: str, what: str, *, hint: str, **context: object) -> InstrumentError:
    """The error for one failed call, to be raised by the caller.

    Args:
        name: name of the instrument in the lab file.
        model: maker's name of the model.
        address: where it was looked for.
        what: what was asked, what came of it and how long it waited, without the instrument's name.
        hint: what a person at the rack does now.
        **context: values that belong to it (``asked=``, ``waited_s=`` ...).
    """
    return InstrumentError(
        f"{name} ({model} at {address}): {what}", hint=hint, instrument=name, address=address, **context
    )
