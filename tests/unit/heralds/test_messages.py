"""Version 1 on the wire, byte by byte: msgpack arrays whose first element is the tag.

By the msgpack specification: 9n array of n, dc array16, An string of n bytes, 8n map of n, c4 bin8, c2 / c3 false and
true, 00..7f and e0..ff small integers, cc / cd / ce / cf unsigned integers of 8 to 64 bits, big-endian.
"""

from __future__ import annotations

import pytest

from qnode.errors import NetworkError
from qnode.heralds import (
    HERALD_WIRE_VERSION,
    Column,
    Herald,
    Message,
    NodeRow,
    Plan,
    PlanEnd,
    Rows,
    Settlement,
    Summary,
    decode_message,
    encode_message,
)

ID = "00000000000000aa"
ID_BYTES = b"\xb000000000000000aa"

PLAN = Plan(
    plan_id=ID,
    run_id="run-1",
    kind="heralding",
    link="alice-bob",
    protocol="single_click",
    t0_tai_s=1_800_000_000,  # 0x6b49d200
    rounds=2000,  # 0x07d0
    first_round=0,
    attempts=250,  # 0xfa
    round_period_ps=1_495_000_000,  # 0x591be3c0
    attempt_period_ps=5_500_000,  # 0x0053ec60
    bases={"alice": "XYZ"},
    echo=True,
    sequences={"alice": "ab"},
    lab_sha256="cd",
    credit_rounds=1024,
    boot_id="ef",
)
PLAN_BYTES = b"".join(
    (
        b"\xdc\x00\x13\xa4plan",
        ID_BYTES,
        b"\xa5run-1\xa9heralding\xa9alice-bob\xacsingle_click",
        b"\xce\x6b\x49\xd2\x00",
        b"\xcd\x07\xd0\x00\xcc\xfa",
        b"\xce\x59\x1b\xe3\xc0\xce\x00\x53\xec\x60",
        b"\x81\xa5alice\xa3XYZ\xc3\x81\xa5alice\xa2ab",
        b"\xa2cd\xcd\x04\x00\xa2ef\x01",
    )
)

SAMPLES: list[tuple[Message, bytes]] = [
    (PLAN, PLAN_BYTES),
    (
        Herald(
            plan_id=ID,
            round=7,
            attempt=3,
            pattern=2,
            bell="psi-",
            click_ps=103_083_000,  # 0x0624ebf8
            valid_until_ps=10_000_103_083_000,  # 0x09185497_8bf8
        ),
        b"\x98\xa6herald"
        + ID_BYTES
        + b"\x07\x03\x02\xa4psi-\xce\x06\x24\xeb\xf8\xcf\x00\x00\x09\x18\x54\x97\x8b\xf8",
    ),
    (
        Summary(plan_id=ID, first_round=0, stop_round=200, heralds=1),
        b"\x95\xa7summary" + ID_BYTES + b"\x00\xcc\xc8\x01",
    ),
    (
        # int16 LE: -1, then 3.
        Column(plan_id=ID, party="bob", first_round=5, attempt=b"\xff\xff\x03\x00", pattern=b"", mask=b"\x00\x01"),
        b"\x97\xa6column" + ID_BYTES + b"\xa3bob\x05\xc4\x04\xff\xff\x03\x00\xc4\x00\xc4\x02\x00\x01",
    ),
    (
        Rows(plan_id=ID, party="bob", rows=[NodeRow(7, 3, "X", 25, 0, False, -1)]),
        b"\x94\xa4rows" + ID_BYTES + b"\xa3bob\x91\x97\x07\x03\xa1X\x19\x00\xc2\xff",
    ),
    (
        Settlement(
            plan_id=ID,
            columns=[
                Column(plan_id=ID, party="bob", first_round=5, attempt=b"\xff\xff", pattern=b"\x00", mask=b"\x00")
            ],
        ),
        b"\x93\xaasettlement"
        + ID_BYTES
        + b"\x91\x97\xa6column"
        + ID_BYTES
        + b"\xa3bob\x05\xc4\x02\xff\xff\xc4\x01\x00\xc4\x01\x00",
    ),
    (PlanEnd(plan_id=ID, rounds=2000, reason="done"), b"\x94\xa8plan_end" + ID_BYTES + b"\xcd\x07\xd0\xa4done"),
]


@pytest.mark.parametrize(("message", "wire"), SAMPLES, ids=lambda value: type(value).__name__)
def test_each_message_has_its_bytes(message, wire):
    assert encode_message(message) == wire
    assert decode_message(wire) == message


def test_the_origin_of_a_plan_is_its_tai_second():
    assert HERALD_WIRE_VERSION == 1
    assert PLAN.t0_ps == 1_800_000_000_000_000_000_000


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\x94\xa9plan_halt" + ID_BYTES + b"\x01\xa4done", "plan_halt"),
        (b"\x94\xa8plan_end" + ID_BYTES + b"\xa4done\xa4done", "Expected `int`, got `str`"),
        (b"\x93\xa8plan_end" + ID_BYTES + b"\x01", "at least length 4"),
        (PLAN_BYTES[:-1] + b"\x02", "2"),
        (PLAN_BYTES[:-3], "truncated"),
        (b"", "truncated"),
    ],
)
def test_what_is_no_message_of_this_version_is_refused(payload, says):
    with pytest.raises(NetworkError, match=rf"no message of the herald plane, version 1: .*{says}") as caught:
        decode_message(payload)
    assert "one version of qnode" in caught.value.hint
