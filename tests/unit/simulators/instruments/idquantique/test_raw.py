"""Stamps of one raw channel, by hand."""

import numpy as np

from simulators.instruments.idquantique._raw import RawChannel
from simulators.instruments.idquantique._recorder import ClosedSubAcquisitions


def closed(first: int = 0) -> ClosedSubAcquisitions:
    """Sub-acquisitions at 0 and 1000; START at 0, 1000 and 1500; input 1 at 250, 1250 and 1777."""
    return ClosedSubAcquisitions(
        first,
        np.array([0, 1000], np.int64),
        np.array([0, 250, 1000, 1250, 1500, 1777], np.int64),
        np.array([0, 1, 0, 1, 0, 1], np.uint8),
    )


def test_stamps_count_on_through_the_recording() -> None:
    stamps, of, index = RawChannel(restart=False).stamps(closed(first=7), (1, 0), None, 1)
    assert stamps.tolist() == [250, 1250, 1777]
    assert of.tolist() == [0, 1, 1]
    assert index.tolist() == [7, 8, 8]
    assert stamps.dtype == np.uint64


def test_or_restart_in_each_sub_acquisition() -> None:
    stamps, _, _ = RawChannel(restart=True).stamps(closed(), (1, 0), None, 1)
    assert stamps.tolist() == [250, 250, 777]


def test_or_count_from_the_last_edge_at_the_reference() -> None:
    channel = RawChannel(restart=False)
    stamps, _, index = channel.stamps(closed(), (1, 0), (0, 0), 1)
    assert stamps.tolist() == [250, 250, 277]
    assert index.tolist() == [0, 1, 2]
    _, _, index = channel.stamps(closed(first=2), (1, 0), (0, 0), 1)
    assert index.tolist() == [3, 4, 5]


def test_delay_and_resolution() -> None:
    stamps, _, _ = RawChannel(restart=False).stamps(closed(), (1, 60), None, 100)
    assert stamps.tolist() == [300, 1300, 1800]


def test_nothing_is_linked() -> None:
    stamps, of, index = RawChannel(restart=False).stamps(closed(), None, (0, 0), 1)
    assert (stamps.size, of.size, index.size) == (0, 0, 0)
