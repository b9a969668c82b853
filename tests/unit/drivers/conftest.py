from collections.abc import Iterator

import pytest
from qcodes.instrument import Instrument


@pytest.fixture(autouse=True)
def close_instruments() -> Iterator[None]:
    """QCoDeS names are global to the process: nothing of one test may live on in the next."""
    yield
    Instrument.close_all()
