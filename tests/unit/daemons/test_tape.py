"""A plan's tags: spool while it plays, archive when it is over, an alarm instead of a stop."""

import asyncio
import json
import logging

import numpy as np
import pyarrow.parquet

from qnode.daemons._tape import PlanTape
from qnode.heralds import Plan
from qnode.tags import TagBlock, read_tags

PLAN = Plan(
    plan_id="00112233aabbccdd", run_id="run-1", kind="heralding", link="alice-bob", protocol="single_click",
    t0_tai_s=1000, rounds=10, first_round=0, attempts=5, round_period_ps=10, attempt_period_ps=2,
    bases={"alice": "Z", "bob": "Z"}, echo=True, sequences={}, lab_sha256="ab", credit_rounds=1, boot_id="00",
)  # fmt: skip


def block(*t_ps):
    return TagBlock.from_arrays(list(t_ps), np.ones(len(t_ps), np.uint8))


def test_tags_are_archived_with_where_t0_is(tmp_path):
    tape = PlanTape(tmp_path, "alice", PLAN, 77)
    assert tape.spool == tmp_path / "runs" / "run-1" / "alice" / "tags-00112233aabbccdd.arrow"
    tape.put(block(1, 2, 3))
    tape.put(block(5, 9))
    asyncio.run(tape.close())
    assert not tape.spool.exists()
    assert read_tags(tape.archive).t_ps.tolist() == [1, 2, 3, 5, 9]
    assert b"77" in pyarrow.parquet.read_schema(tape.archive).metadata[b"t0_ps"]
    asyncio.run(tape.close())  # a second close finds nothing to do


def test_a_disk_that_takes_nothing_is_an_alarm_and_no_tape(tmp_path, caplog):
    (tmp_path / "runs").write_text("a file where the folder should be")
    with caplog.at_level(logging.ERROR, logger="qnode"):
        assert PlanTape.open(tmp_path, "alice", PLAN, 0) is None
    assert [record.getMessage() for record in caplog.records] == ["tags not recorded"]
    assert json.dumps(caplog.records[0].qnode["error"])


def test_a_tag_out_of_order_never_stops_the_run(tmp_path, caplog):
    tape = PlanTape(tmp_path, "alice", PLAN, 0)
    tape.put(block(10, 20))
    with caplog.at_level(logging.ERROR, logger="qnode"):
        tape.put(block(15))
        asyncio.run(tape.close())
    assert [record.getMessage() for record in caplog.records] == ["tags refused", "tags lost"]
    assert caplog.records[1].qnode["dropped"] == 1
    assert read_tags(tape.archive).t_ps.tolist() == [10, 20]
