"""Pairs as a QCoDeS dataset; QCoDeS is imported when one is written."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["write_dataset"]

UNITS = {"click_ps": "ps"}


def write_dataset(
    database: Path, sample: str, run_id: str, columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]
) -> int:
    """Add a dataset to a database of its own choice; the user's default one is not touched.

    Args:
        database: SQLite file, made if there is none.
        sample: QCoDeS' word for what was measured: the link.
        run_id: name of the experiment.
        columns: one array a column, all of shape (n,); the first is the setpoint of all others.
        metadata: plain values.

    Returns:
        The dataset's id in that database.
    """
    from qcodes.dataset import Measurement, connect, load_or_create_experiment

    setpoint, *_ = columns
    # The connection is QCoDeS' own, with its types registered.
    with contextlib.closing(connect(database)) as connection:
        experiment = load_or_create_experiment(run_id, sample, conn=connection)
        measurement = Measurement(exp=experiment, name="pairs")
        for name in columns:
            measurement.register_custom_parameter(
                name, unit=UNITS.get(name, ""), paramtype="array", setpoints=() if name == setpoint else (setpoint,)
            )
        # QCoDeS prints, but stdout belongs to the program that uses us.
        with contextlib.redirect_stdout(io.StringIO()), measurement.run(write_in_background=False) as saver:
            saver.add_result(*columns.items())
            for name, value in metadata.items():
                saver.dataset.add_metadata(name, value)
        return int(saver.run_id)
