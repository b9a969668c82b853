"""A pulse per second that is missing, doubled or labelled wrongly at one node.

The plan is void, or rounds are masked with the reason; there is never a wrong herald.
"""

import json

import pytest
from _bench import (
    PS_PER_S,
    LabTime,
    SingleClick,
    agree,
    brighter,
    efficiency,
    mean_correlators,
    parties_agree,
    run_in_hand,
)

T0_S = 46
"""T0 of the heralding plan, in seconds from the world's start: the calibration's is 42, see `run_in_hand`."""


@pytest.fixture
def play(lab):
    """A run on a world whose clock at alice is faulty, its heralding plan at `T0_S` after the world's start."""

    def started(heralds, **faults):
        def change(tree):
            tree["world"]["clocks"] = {"alice": faults}

        lab.edit(brighter)
        lab.edit_world(change)
        lab.start("simulators", "simulate", str(lab.world_path), "--speed", "max")
        clock = LabTime(lab)
        start_ps = clock.now_ps // PS_PER_S * PS_PER_S
        lab.start_daemons()
        with run_in_hand(lab, heralds, clock=clock, at_ps=start_ps + (T0_S - 6) * PS_PER_S - PS_PER_S // 2) as run:
            assert run.t0_ps == start_ps + T0_S * PS_PER_S
            return run.finish()

    return started


@pytest.mark.parametrize("fault", ["pps_missing_at_s", pytest.param("pps_doubled_at_s", marks=pytest.mark.long)])
def test_a_faulty_pulse_in_mid_run_masks_its_rounds_and_spoils_no_herald(play, fault):
    result = play(1200, **{fault: [T0_S + 1]})
    assert result["exit"] == 0, result["stderr"]
    sums = parties_agree(result)
    # A round has 1.495 ms. Missing: the second after the pulse that did not come, 669 rounds;
    # doubled, 0.4 s late: the second after the stray pulse, as far as the plan goes.
    assert set(result["reasons"]["midpoint"]["masked"]) == {"clock_fault"}
    masked = result["reasons"]["midpoint"]["masked"]["clock_fault"] + sum(
        result["reasons"]["midpoint"]["expired"].values()
    )
    assert set(result["reasons"]["midpoint"]["expired"]) == {"clock_fault"}
    assert masked % 250 == 0
    if fault == "pps_missing_at_s":
        assert abs(masked / 250 - 669) <= 2
    else:
        assert 100 < masked / 250 <= 671
    assert sums["heralded"] >= 1200
    # What was settled is right.
    expected = SingleClick.of(efficiency("alice"), efficiency("bob"))
    correlators = mean_correlators(result)
    assert agree(correlators["ZZ"], expected.zz)
    for name in ("XX", "YY"):
        assert agree(correlators[name], expected.xx), name


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        # Nobody arms on a second whose own start is in doubt.
        pytest.param(
            {"pps_missing_at_s": [T0_S - 1]}, "the last pulse per second is", id="missing", marks=pytest.mark.long
        ),
        # The stray pulse starts the armed pulser 0.6 s early.
        pytest.param(
            {"pps_doubled_at_s": [T0_S - 1]},
            "before T0 - a pulse per second came that none was due for",
            id="doubled",
        ),
    ],
)
def test_a_faulty_pulse_before_t0_makes_the_plan_void(play, fault, said):
    result = play(100, **fault)
    assert result["exit"] == 1
    assert said in result["stderr"]
    assert "alice" in result["stderr"]
    assert result["heralds"] == 0


@pytest.mark.long
def test_a_missing_pulse_at_t0_lights_no_round_at_that_node(play):
    """The other two start; alice's pulser waits for a pulse that comes a second late. Nothing of it may count."""
    result = play(100, pps_missing_at_s=[T0_S])
    assert result["exit"] == 1
    assert result["heralds"] == 0
    assert "alice" in result["stderr"] or "clock_fault" in result["stderr"]


@pytest.mark.parametrize("offset_s", [pytest.param(-1, marks=pytest.mark.long), 1])
def test_a_label_that_is_a_second_wrong_makes_every_plan_void(lab, offset_s):
    def change(tree):
        tree["world"]["clocks"] = {"alice": {"label_offset_s": offset_s}}

    lab.edit(change)
    result = lab.qnode(
        "run", "heralding", str(lab.path), "--data", str(lab.data), "--heralds", "50", "--speed", "max", "--json"
    )
    last = result.stderr.splitlines()[-1]
    if offset_s > 0:
        # Its T0 is too near by its own time: refused, and there is no run.
        assert result.returncode == 2
        assert result.stdout == ""
        assert "alice refuses plan" in last
        assert last.endswith("compare the sites' sources of lab time")
    else:
        # It comes a second late to the arming, while lab time waits for it at T0: nothing is played.
        assert result.returncode == 1
        document = json.loads(result.stdout)
        assert (document["rounds"], document["heralds"]) == (0, 0)
        assert "alice did not arm in time" in last
        assert last.endswith("or its source of lab time is behind, see `clocks:`")
