"""What stands beside a rack under test: a hand on lab time, a stranger's SCPI client, closed forms written out again.

Nothing here imports drivers, simulators or `qnode.analysis`: formulas come from the papers that
`docs/explanation/physics.md` names.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from qnode.heralds import Column, Herald, NodeRow, Rows, decode_message
from qnode.runs import Journal

PS_PER_S = 1_000_000_000_000
ROUND_PS = 1_495_000_000
"""Of config/two_nodes.yaml: 100 us charge check, 250 attempts of 5.5 us, 20 us branch."""
FIBRE = 10 ** (-0.002 * 8.0 / 10)
DETECTOR = 0.8
LIFETIME_NS = 12.4
WINDOW_NS = 25.0
INDISTINGUISHABILITY = 0.9
PHASE_RAD = math.radians(14.3)
ALPHA = 0.30
KEPT_BY_DOUBLE_EXCITATION = 1 - 0.04
COLLECTION = {"alice": 0.02, "bob": 0.03}
"""Of `brighter`: most rounds herald."""


def brighter(tree: Any) -> None:
    """Fifty times the light, so that a herald costs one round and not twenty."""
    for node, efficiency in COLLECTION.items():
        tree["world"]["nodes"][node]["emitter"]["collection_efficiency"] = efficiency
    tree["calibration"]["links"]["alice-bob"]["herald_probability_per_round"]["value"] = 0.9


def share(late_ns: float = 0.0) -> float:
    """Of an exponential photon inside the window."""
    return 1 - math.exp(-(WINDOW_NS - late_ns) / LIFETIME_NS)


def efficiency(node: str) -> float:
    """P(click | photon) of a node of the brighter lab: eta."""
    return COLLECTION[node] * FIBRE * DETECTOR * share()


@dataclass(frozen=True)
class SingleClick:
    """F2: joint probabilities of a herald and the two qubits' state, and the coherence between 01 and 10."""

    p00: float
    p01: float
    p10: float
    p11: float
    coherence: float

    @property
    def p(self) -> float:
        return self.p00 + self.p01 + self.p10 + self.p11

    @property
    def populations(self) -> dict[str, float]:
        return {"00": self.p00 / self.p, "01": self.p01 / self.p, "10": self.p10 / self.p, "11": self.p11 / self.p}

    @property
    def fidelity(self) -> float:
        return ((self.p10 + self.p01) / 2 + self.coherence) / self.p

    @property
    def xx(self) -> float:
        """XX = YY of psi+; the same with the other sign for psi-."""
        return 2 * self.coherence / self.p

    @property
    def zz(self) -> float:
        return (self.p00 + self.p11 - self.p01 - self.p10) / self.p

    @classmethod
    def of(
        cls,
        eta_a: float,
        eta_b: float,
        alpha_a: float = ALPHA,
        alpha_b: float = ALPHA,
        indistinguishability: float = INDISTINGUISHABILITY,
        coherence_a: float | None = None,
        coherence_b: float | None = None,
    ) -> SingleClick:
        """Exact single click with threshold detectors, one click of exactly one of them.

        Args:
            eta_a: P(click | photon) of the first node.
            eta_b: of the second.
            alpha_a: bright-state population of the first.
            alpha_b: of the second.
            indistinguishability: V.
            coherence_a: |<0|rho|1>| of the first spin before its pulse; None: that of a pure state.
            coherence_b: of the second.
        """
        d = 1 - math.exp(-20 * WINDOW_NS * 1e-9)
        q = 1 - d
        spin_a = math.sqrt(alpha_a * (1 - alpha_a)) if coherence_a is None else coherence_a
        spin_b = math.sqrt(alpha_b * (1 - alpha_b)) if coherence_b is None else coherence_b
        return cls(
            p00=(1 - alpha_a) * (1 - alpha_b) * 2 * d * q,
            p01=(1 - alpha_a) * alpha_b * (eta_b * q + (1 - eta_b) * 2 * d * q),
            p10=alpha_a * (1 - alpha_b) * (eta_a * q + (1 - eta_a) * 2 * d * q),
            p11=alpha_a
            * alpha_b
            * (
                (eta_a * (1 - eta_b) + eta_b * (1 - eta_a)) * q
                + eta_a * eta_b * (1 + indistinguishability) / 2 * q
                + (1 - eta_a) * (1 - eta_b) * 2 * d * q
            ),
            coherence=math.sqrt(indistinguishability)
            * math.exp(-(PHASE_RAD**2) / 2)
            * KEPT_BY_DOUBLE_EXCITATION
            * spin_a
            * spin_b
            * math.sqrt(eta_a * eta_b)
            * q,
        )


# --- a run and what it left behind ----------------------------------------------------------------------------------


def parties_agree(result: dict[str, Any]) -> dict[str, int]:
    """The accounting, which must be the same at all three and add up."""
    accounts = result["accounting"]
    assert accounts["alice"] == accounts["bob"] == accounts["midpoint"], accounts
    sums: dict[str, int] = accounts["midpoint"]
    assert sums["slots"] == sum(slots for name, slots in sums.items() if name != "slots") > 0, sums
    assert result["reasons"]["alice"] == result["reasons"]["bob"] == result["reasons"]["midpoint"]
    return sums


def messages(lab: Any, name: str, skip: int = 0) -> Iterator[Any]:
    """What lies in a journal under the data folder: ``alice`` its own records, ``alice.received`` what came."""
    journal = Journal(lab.data / "streams" / f"{name}.journal", readonly=True)
    try:
        for record in journal.read(1):
            yield decode_message(record.payload[skip:])
    finally:
        journal.close()


def rows(lab: Any, node: str, plan: int = 0) -> list[NodeRow]:
    """Rounds that the herald line ended, as a node wrote them down, of its ``plan``-th heralding plan."""
    found = [message for message in messages(lab, node) if isinstance(message, Rows)]
    plans = list(dict.fromkeys(message.plan_id for message in found))
    if len(plans) <= plan:
        return []
    return [row for message in found if message.plan_id == plans[plan] for row in message.rows]


def columns(lab: Any, party: str) -> list[Column]:
    """A party's own columns."""
    return [message for message in messages(lab, party) if isinstance(message, Column)]


def heralds_received(lab: Any, node: str) -> int:
    """Herald messages that a node wrote down when they came; 24 bytes of identity precede each."""
    return sum(isinstance(message, Herald) for message in messages(lab, f"{node}.received", skip=24))


def mean_correlators(result: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """XX, YY with the herald's sign and ZZ over both Bell states, with errors."""
    found = {}
    for name in ("XX", "YY", "ZZ"):
        value = variance = weights = 0.0
        for bell, estimate in result["bell_states"].items():
            sign = -1 if bell == "psi-" and name != "ZZ" else 1
            correlator = estimate["correlators"][name]
            weight = correlator["error"] ** -2
            value, weights = value + weight * sign * correlator["value"], weights + weight
            variance += weight
        found[name] = (value / weights, variance**-0.5)
    return found


def agree(measured: tuple[float, float], expected: float, *, standard_errors: float = 3.0) -> bool:
    """Whether a value with its error lies at what is expected."""
    return abs(measured[0] - expected) < standard_errors * measured[1]


# --- lab time -------------------------------------------------------------------------------------------------------


class LabTime:
    """One more party at the world's clock endpoint: it holds lab time, so that a hand can act at a given moment."""

    def __init__(self, lab: Any) -> None:
        self._socket = socket.create_connection((f"{lab.block}1", 5600), timeout=60)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self._send(op="hello", party="bench", version=1)
        self.now_ps: int = self._receive()["now_ps"]

    def hold(self) -> int:
        """Lab time stands still; where."""
        self.now_ps = self._call(op="now")
        self.now_ps = self._call(op="release", until_ps=self.now_ps)
        return self.now_ps

    def release(self, until_ps: int) -> None:
        """Lab time may go on up to here."""
        self._call(op="release", until_ps=until_ps)

    def run_to(self, until_ps: int) -> None:
        """Lab time goes on up to here, and stands still there."""
        self.now_ps = self._call(op="wait", until_ps=until_ps)

    def close(self) -> None:
        """Hold nothing any more."""
        self._file.close()
        self._socket.close()

    def _call(self, **request: Any) -> int:
        self._number += 1
        self._send(id=self._number, **request)
        while (answer := self._receive()).get("id") != self._number:
            pass
        return int(answer["now_ps"])

    def _send(self, **message: Any) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._file.readline())
        assert answer.get("op") != "error", answer
        return answer


def await_true(what: str, condition: Callable[[], Any], timeout_s: float = 180.0) -> Any:
    """Poll a condition that another process makes true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.02)
    return found


@dataclass
class RunInHand:
    """``qnode run heralding`` on a lab that is up, with lab time held before T0 of its first heralding plan."""

    time: LabTime
    t0_ps: int
    process: subprocess.Popen[str]

    def run_to_round(self, number: int) -> None:
        """Play the rounds below ``number`` and stand still."""
        self.time.run_to(self.t0_ps + number * ROUND_PS + ROUND_PS // 10)

    def finish(self, timeout_s: float = 300.0) -> dict[str, Any]:
        """Let lab time go, and give the run's document."""
        self.time.close()
        out, err = self.process.communicate(timeout=timeout_s)
        document = json.loads(out) if out else {}
        return {"exit": self.process.returncode, "stderr": err, **document}


def _accepted(lab: Any, kind: str) -> int:
    """T0 (TAI second) of the first plan of a kind that alice has accepted; 0: none yet."""
    for entry in lab.log():
        if entry["site"] == "alice" and entry["event"] == "plan accepted" and entry["plan_kind"] == kind:
            return int(entry["t0_tai_s"])
    return 0


@contextmanager
def run_in_hand(
    lab: Any, heralds: int, *, at_ps: int | None = None, clock: LabTime | None = None
) -> Iterator[RunInHand]:
    """Start a run and stop lab time 0.9 s before T0 of its heralding plan: programs are up, nobody has armed.

    Lab time is held from before the run on and handed out piece by piece, so nothing depends on wall time: the
    calibration begins 2 s after the next whole second, the heralding plan 3 s later.

    Args:
        lab: is up.
        heralds: wanted.
        at_ps: lab time to run to before the run is started.
        clock: a connection that is there already.
    """
    clock = clock or LabTime(lab)
    if at_ps is not None:
        clock.run_to(at_ps)
    clock.hold()
    arguments = ["run", "heralding", str(lab.path), "--data", str(lab.data), "--json", "--heralds", str(heralds)]
    process = subprocess.Popen(
        [sys.executable, "-m", "qnode", *arguments],
        cwd=lab.folder,
        env=lab.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        calibration = await_true("calibration accepted", lambda: _accepted(lab, "readout_calibration"))
        clock.release(calibration * PS_PER_S + 9 * PS_PER_S // 10)
        t0_ps = await_true("plan accepted", lambda: _accepted(lab, "heralding")) * PS_PER_S
        clock.run_to(t0_ps - 9 * PS_PER_S // 10)
        for node in ("alice", "bob"):
            with Awg(lab, node) as awg:
                await_true(f"{node}'s AWG waits for its trigger", lambda awg=awg: awg.ask(":AWGC:RST?") == "1")
        yield RunInHand(clock, t0_ps, process)
    finally:
        clock.close()
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=90)


# --- instruments ----------------------------------------------------------------------------------------------------


class Awg:
    """A stranger's raw socket to the AWG of a node, beside the driver's."""

    def __init__(self, lab: Any, node: str) -> None:
        host = f"{lab.block}{ {'alice': 13, 'bob': 23}[node] }"
        self._socket = socket.create_connection((host, 4000), timeout=60)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Awg:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, question: str) -> str:
        """One line for one line."""
        self._socket.sendall(question.encode() + b"\n")
        return self._file.readline().decode().strip()

    def write(self, *commands: str) -> None:
        """Commands, and the error queue after them, which must be empty."""
        self._socket.sendall(b"".join(command.encode() + b"\n" for command in commands))
        assert self.ask(":SYST:ERR?").startswith("0,"), commands
