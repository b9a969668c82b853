"""Times reach from -2**61 to 2**61 ps: up to there both backends are exact, beyond it one line says where."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from qnode.errors import MisuseError
from qnode.tags import (
    Axis,
    Backend,
    ClockModel,
    Correlator,
    DeadTime,
    Delay,
    PpsClock,
    RoundCounter,
    TagBlock,
    WindowTrain,
    apply_clock,
    coincidences,
    correlate,
    count_rates,
    dead_time,
    delay,
    fold,
    g2,
    merge,
    round_statistics,
    start_multi_stop,
)

BACKENDS: list[Backend] = ["numpy", "numba"]
FAR = 2**61
AXIS = Axis(-20, 10, 4)
TRAIN = WindowTrain(0, 100, 1, 100)

Kernel = Callable[[Sequence[int], list[int], Backend], Any]
KERNELS: dict[str, Kernel] = {
    "correlate": lambda t, c, backend: correlate(t, c, 1, 2, AXIS, backend=backend).counts.tolist(),
    "g2": lambda t, c, backend: g2(t, c, 1, 2, AXIS, backend=backend).live_ps,
    "pairs": lambda t, c, backend: coincidences(t, c, [(1, 2)], 15, backend=backend).tolist(),
    "many": lambda t, c, backend: coincidences(t, c, [(1, 2, 3)], 15, backend=backend).tolist(),
    "rates": lambda t, c, backend: count_rates(t, c, 1 << 50).counts.sum(axis=0).tolist(),
    "rounds": lambda t, c, backend: round_statistics(
        t, c, 1, TRAIN, AXIS, (2, 3), backend=backend
    ).histogram.counts.tolist(),
    "starts": lambda t, c, backend: start_multi_stop(t, c, 1, 2, Axis(0, 10, 2), backend=backend).counts.tolist(),
    "fold": lambda t, c, backend: fold(t, c, [0], TRAIN, backend=backend).offset_ps.tolist(),
    "merge": lambda t, c, backend: merge([TagBlock.from_arrays(t, c)] * 2, backend=backend).t_ps.tolist(),
    "dead time": lambda t, c, backend: dead_time(
        TagBlock.from_arrays(t, c), {1: 20, 2: 20, 3: 20}, backend=backend
    ).t_ps.tolist(),
    "delay": lambda t, c, backend: delay(TagBlock.from_arrays(t, c), {1: 0}).t_ps.tolist(),
    "clock": lambda t, c, backend: ClockModel(0).apply(TagBlock.from_arrays(t, c)).t_ps.tolist(),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(
    ("times", "index"),
    [([FAR, FAR + 5], 0), ([0, FAR], 1), ([-FAR - 1, 0], 0), ([-(2**63), 2**63 - 1], 0), ([-5, 2**63 - 1], 1)],
)
def test_a_time_out_of_reach_is_refused_with_its_index(
    name: str, backend: Backend, times: list[int], index: int
) -> None:
    with pytest.raises(MisuseError, match=rf"t_ps\[{index}\] = -?\d+ ps is outside \+-2\*\*61 ps \(26.7 days\)"):
        KERNELS[name](times, [1, 2], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_whole_reach_is_exact(backend: Backend) -> None:
    # one of each channel at both ends, 10 ps apart: 3 ps kept short of the end, 2**62 between the groups
    times = [-FAR, -FAR + 5, -FAR + 10, FAR - 13, FAR - 8, FAR - 3]
    channel = [1, 2, 3, 1, 2, 3]
    found = {
        name: kernel(times, channel, backend) for name, kernel in KERNELS.items() if name not in ("rates", "merge")
    }
    assert found["correlate"] == [0, 0, 2, 0]
    assert found["g2"] == 2**62 - 3
    assert found["pairs"] == [2]
    assert found["many"] == [2]
    # offsets 5 and 10 in each of two rounds
    assert found["rounds"] == [0, 0, 2, 2]
    assert found["starts"] == [2, 0]
    assert found["fold"] == []
    for name in ("dead time", "delay", "clock"):
        assert found[name] == times


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["correlate", "g2", "pairs", "many", "rounds", "starts", "fold", "dead time"])
def test_steps_that_wrap_int64_do_not_pass_for_sorted(name: str, backend: Backend) -> None:
    # 2**63 - 1 to -2**63 + 5 is a step of +6 in int64
    times = [0, 2**63 - 1, -(2**63) + 5, 10]
    with pytest.raises(MisuseError, match=r"t_ps is not sorted: t_ps\[2\]"):
        KERNELS[name](times, [1, 2, 1, 2], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_windows_as_long_as_the_reach_need_a_sync(backend: Backend) -> None:
    # before the first sync there is no window, whatever the length of the windows
    train = WindowTrain(0, FAR, 1, FAR)
    counter = RoundCounter(1, train, AXIS, (2,), backend=backend)
    counter.feed(TagBlock.from_arrays([-FAR, -7, 3, 9], [2, 2, 1, 2]))
    assert counter.result.histogram.counts.tolist() == [0, 0, 1, 0]
    assert counter.result.patterns[:2].tolist() == [0, 1]
    with pytest.raises(MisuseError, match=r"reach beyond 2\*\*61 ps"):
        WindowTrain(1, FAR, 1, FAR)


def test_what_a_delay_or_a_clock_moves_out_of_reach_is_refused() -> None:
    last = TagBlock.from_arrays([0, FAR - 10], [1, 2])
    with pytest.raises(MisuseError, match="= 2305843009213693952 ps is outside"):
        delay(last, {2: 10})
    assert delay(last, {2: 9}).t_ps.tolist() == [0, FAR - 1]
    with pytest.raises(MisuseError, match="outside"):
        ClockModel(10).apply(last)
    with pytest.raises(MisuseError, match="outside"):
        ClockModel(skew=1e-3).apply(last)
    assert ClockModel(9).apply(last).t_ps.tolist() == [9, FAR - 1]
    pulses = TagBlock.from_arrays([0, 10**12, 2 * 10**12], [4, 4, 4])
    with pytest.raises(MisuseError, match=r"lab time of a pulse = .* is outside"):
        PpsClock(4, FAR - 10**12).feed(pulses)
    late = TagBlock.from_arrays([0, 10**12, 10**12 + FAR // 2], [4, 4, 1])
    with pytest.raises(MisuseError, match="outside"):
        list(apply_clock([late], PpsClock(4, FAR // 2)))


def test_gaps_reach_as_far_as_times_and_may_never_end() -> None:
    far = TagBlock.from_arrays([0], [1], gaps=[(5, 2**63 - 1), (3, 2**62)])
    for feed in (Delay({1: 3}).feed, ClockModel(5).apply, Correlator(1, 2, AXIS).feed, DeadTime({1: 3}).feed):
        with pytest.raises(MisuseError, match="an edge of gap 1 = 4611686018427387904 ps is outside"):
            feed(far)
    never = TagBlock.from_arrays([0], [1], gaps=[(-5, 2**63 - 1)])
    assert ClockModel(7, 1e-4, -(10**6)).apply(never).gaps.tolist() == [[-5 + 7 + 100, 2**63 - 1]]
    assert np.array_equal(Delay({1: 3}).feed(never).gaps, [[-5, 2**63 - 1]])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DeadTime({1: 5.5}), "dead time of channel 1 is 5.5, no integer"),
        (lambda: DeadTime({1: "x"}), "dead time of channel 1 is 'x', no integer"),
        (lambda: DeadTime("x"), "dead_ps is 'x'"),
        (lambda: Delay({1: 5.7}), "delay of channel 1 is 5.7, no integer"),
        (lambda: Delay({1: float("nan")}), "delay of channel 1 is nan, no integer"),
        (lambda: PpsClock(4, period_ps=1e12), "period_ps is 1000000000000.0, no integer"),
        (lambda: PpsClock(4, first_label_ps=0.5), "first_label_ps is 0.5, no integer"),
        (lambda: PpsClock(4, tolerance="a"), "tolerance is 'a', no number"),
        (lambda: coincidences([1], [1], [1, 2], 5), "1 is no set of channels"),
        (lambda: ClockModel(2**70), "offset_ps = 1180591620717411303424 ps is outside"),
        (lambda: ClockModel(0, "a"), "skew is 'a', no number"),
        (lambda: ClockModel(0, float("nan")), "skew is nan"),
    ],
)
def test_wrong_types_are_refused_in_one_line(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(MisuseError, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)
