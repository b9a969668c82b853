"""Wrong input at the command line: one line that names file and line or the option, exit 2, nothing started."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TAGGER = """      tagger:
        type: drivers.sfifteen.tdc1.TDC1
        address: data:tty/alice-tagger
"""
ON_PULSER = (
    ("channels: {d0: {}, d1: {}, d2: {}}", "channels: {d0: {}, d1: {}, d2: {}, d3: {}}"),
    ("from: alice.awg.ch1m1, to: alice.qubit.spin_pump", "from: alice.pulser.d3, to: alice.qubit.spin_pump"),
)
WRONG = {
    "unknown key": (
        [("detection_window_ns: 25", "detection_window_ns: 25, detection_windows: 2")],
        "detection_windows",
        "unknown key `links.alice-bob.detection_windows`; did you mean `detection_window_ns`?",
    ),
    "duplicate key": (
        [("lab: two_nodes", "lab: two_nodes\nlab: again")],
        "lab: again",
        "key `lab` stands twice; keep one of the two",
    ),
    "missing instrument": (
        [(TAGGER, "")],
        "tagger: {role: time_tagger, ",
        "rack entry alice.tagger: no instrument of that name under `nodes.alice.instruments`",
    ),
    "alpha of 1.3": (
        [("bright_state: {alice: 0.30", "bright_state: {alice: 1.3")],
        "alice: 1.3",
        "`links.alice-bob.bright_state.alice`: 1.3 is not below 1",
    ),
    "link to nowhere": (
        [("via: midpoint,", "via: moon,")],
        "via: moon",
        "link alice-bob: there is no midpoint moon",
    ),
    "two instruments on one address": (
        [("data:tty/bob-tagger", "data:tty/alice-tagger # bob")],
        "alice-tagger # bob",
        "bob.tagger and alice.tagger have the same address data:tty/alice-tagger",
    ),
    "window longer than the attempt": (
        [("detection_window_ns: 25", "detection_window_ns: 5501")],
        "detection_window_ns: 5501",
        "link alice-bob: detection window 5501 ns is longer than the attempt of 5.5 us",
    ),
    "attempt too short for the herald line": (
        [("attempt_period_us: 5.5", "attempt_period_us: 4")],
        "attempt_period_us: 4",
        "link alice-bob: an attempt of 4 us is over before the herald line is back; the smallest legal "
        "attempt_period_us is 4.499",
    ),
    "attempt too short for its pulses": (
        [("attempt_period_us: 5.5", "attempt_period_us: 1")],
        "attempt_period_us: 1",
        "link alice-bob: an attempt of 1 us is over before the herald line is back; the smallest legal "
        "attempt_period_us is 4.499",
    ),
    "no such output": (
        [("from: alice.awg.ch3", "from: alice.awg.ch4")],
        "from: alice.awg.ch4",
        "wire from alice.awg.ch4: alice.awg has no output ch4; it has ch1, ch1m1, ch1m2, ch2, ch2m1, ch2m2, ch3",
    ),
    "a qubit without a laser": (
        [("  - {from: alice.lasers.laser2, to: alice.qubit.spin_pump_laser, kind: light}\n", "")],
        "element: alice.qubit",
        "link alice-bob: no wire reaches alice.qubit.spin_pump_laser; add one from an output of a laser",
    ),
    "a detector without bias": (
        [("  - {from: midpoint.snspd.ch2, to: midpoint.det2.bias, kind: bias}\n", "")],
        "element: midpoint.det2",
        "link alice-bob: no wire reaches midpoint.det2.bias; add one from an output of a detector_driver",
    ),
    "light on the Pulse Streamer inside the attempt train": (
        ON_PULSER,
        "from: alice.pulser.d3",
        "alice: pulse 'spin pump' on spin_pump (pulser.d3) in section 'attempt': light on a pulse sequencer inside "
        "the attempt train (wire pulser.d3 -> spin_pump), which would go on after a herald - wire this light to the "
        "instrument with the event input, or play it outside the train",
    ),
}  # fmt: skip
"""What is wrong: changes of the file, where the fault is, its text."""
EARLY_AND_LATE = ("unknown key", "light on the Pulse Streamer inside the attempt train")


def change(lab, changes) -> str:
    text = lab.path.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    lab.path.write_text(text)
    return text


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def refused(lab, *command: str) -> str:
    """Stderr of a command that must be refused: exit 2, nothing on stdout, nothing on the disk."""
    done = lab.qnode(*command, "--data", str(lab.data), timeout=300)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert not lab.data.exists()
    return done.stderr


@pytest.mark.parametrize(
    ("command", "what"),
    [
        *((("check",), what) for what in WRONG),
        *(
            # One fault of the file itself, and one that shows when its sequences are compiled.
            pytest.param(("run", "heralding"), what, marks=[] if what in EARLY_AND_LATE else pytest.mark.long)
            for what in WRONG
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_wrong_lab_file_is_refused_with_its_line(lab, command, what):
    changes, where, fault = WRONG[what]
    line = line_of(change(lab, changes), where)
    assert refused(lab, *command, str(lab.path)) == f"{lab.path}:{line}: {fault}\n"


@pytest.mark.parametrize(
    "command", [("predict", []), ("simulate", []), ("node", ["alice"]), ("midpoint", ["midpoint"])]
)
def test_every_command_that_takes_a_lab_file_checks_it(lab, command):
    changes, where, fault = WRONG["alpha of 1.3"]
    line = line_of(change(lab, changes), where)
    assert refused(lab, command[0], str(lab.path), *command[1]) == f"{lab.path}:{line}: {fault}\n"


def test_all_faults_come_at_once_also_those_of_the_world(lab):
    text = change(
        lab, [("bright_state: {alice: 0.30", "bright_state: {alice: 1.3"), ("dark_rate_hz: 20", "dark_rate_hz: -20")]
    )
    assert refused(lab, "run", "heralding", str(lab.path)).splitlines() == [
        f"{lab.path}:{line_of(text, 'alice: 1.3')}: `links.alice-bob.bright_state.alice`: 1.3 is not below 1",
        f"{lab.path}:{line_of(text, 'dark_rate_hz: -20')}: `world.midpoints.midpoint.detectors.dark_rate_hz`: "
        "-20 is below 0",
    ]


def test_a_node_starts_whatever_stands_under_world(lab):
    change(lab, [("dark_rate_hz: 20", "dark_rate_hz: -20")])
    # It is refused for its name alone: the world's fault is none of its concern.
    assert refused(lab, "node", str(lab.path), "eve") == (
        f"qnode: {lab.path}: there is no node eve - there are alice, bob\n"
    )


def test_the_smallest_legal_attempt_period_is_legal_and_a_nanosecond_less_is_not(lab):
    change(lab, [("attempt_period_us: 5.5", "attempt_period_us: 4.498")])
    assert "smallest legal attempt_period_us is 4.499" in refused(lab, "check", str(lab.path))
    change(lab, [("attempt_period_us: 4.498", "attempt_period_us: 4.499")])
    done = lab.qnode("check", str(lab.path), "--json")
    assert done.returncode == 0, done.stderr
    link = json.loads(done.stdout)["links"]["alice-bob"]
    assert link["smallest_attempt_period_us"] == pytest.approx(4.499)
    assert 0 <= min(link["slack_ns"].values()) < 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "heralding", "LAB", "--heralds", "0"],
         r"qnode: .*'--heralds'.*1.* - see `qnode run heralding --help`"),
        (["run", "heralding", "LAB", "--speed", "fast"],
         r"qnode: --speed fast: expected `max` or a positive number.*"),
        (["run", "heralding", "LAB", "--speed", "0"], r"qnode: --speed 0: expected `max` or a positive number.*"),
        (["run", "heralding", "LAB", "--link", "a-b"],
         r"qnode: --link a-b: there is no such link - links of this lab: alice-bob"),
        (["run", "heralding", "LAB", "--herald", "5"], r"qnode: .*--herald\b.* - see `qnode run heralding --help`"),
        (["run", "teleport", "LAB"], r"qnode: .*'teleport'.* - see `qnode run --help`"),
        (["simulate", "LAB", "--speed", "-1"], r"qnode: --speed -1: .*"),
        (["node", "LAB", "midpoint"], r"qnode: LAB: there is no node midpoint - there are alice, bob"),
        (["midpoint", "LAB", "bob"], r"qnode: LAB: there is no midpoint bob - there are midpoint"),
        (["node", "LAB", "alice", "--via", "midpoint"], r"qnode: --via midpoint: expected SITE=ADDRESS - .*"),
        (["check"], r"qnode: .*LAB.* - see `qnode check --help`"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused_by_its_name(lab, words, text):
    stderr = refused(lab, *[word.replace("LAB", str(lab.path)) for word in words])
    pattern = text.replace("LAB: ", re.escape(f"{lab.path}: "))
    assert re.fullmatch(pattern + "\n", stderr), stderr


@pytest.mark.parametrize("content", [None, "", "lab: [", "- 1\n"], ids=["missing", "empty", "not YAML", "a list"])
def test_what_is_no_lab_file_is_refused(lab, content):
    lab.path.unlink()
    if content is not None:
        lab.path.write_text(content)
    stderr = refused(lab, "run", "heralding", str(lab.path))
    assert stderr.startswith(str(lab.path))
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["alice.laser", "unplug"], 2, "there is no instrument alice.laser - there are alice.pulser, alice.awg,"),
        (["alice.awg", "unplug"], 1, "Connection refused - start them with `qnode simulate LAB`"),
    ],
)
def test_faults_need_a_simulated_instrument_that_runs(lab, words, code, text):
    done = lab.qnode("fault", str(lab.path), *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("qnode: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_faults_of_a_real_instrument_are_refused(lab):
    change(
        lab,
        [
            (
                "microwave: {role: microwave_source, simulated: true",
                "microwave: {role: microwave_source, simulated: false",
            )
        ],
    )
    done = lab.qnode("fault", str(lab.path), "alice.microwave", "unplug")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "qnode: alice.microwave is not simulated - pull its plug by hand\n"


def test_runs_that_are_not_there_or_damaged(lab):
    done = lab.qnode("show", "last", "--data", str(lab.data))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"qnode: no runs in {lab.data} - name the data folder with --data\n"
    folder = lab.data / "runs" / "20260101-000000-heralding-0000"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"run": ')
    assert lab.qnode("show", "2027", "--data", str(lab.data)).returncode == 2
    done = lab.qnode("show", "last", "--data", str(lab.data))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"qnode: {folder / 'run.json'} can't be read: ")
    assert done.stderr.count("\n") == 1


def processes_of(lab) -> list[str]:
    """Command lines of all processes that name this lab's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(lab.folder).encode() in word for word in words):
            found.append(b" ".join(words).decode())
    return found


@pytest.mark.parametrize(
    ("host", "port", "who"),
    [
        pytest.param("12", 8050, "alice.pulser", marks=pytest.mark.long),
        pytest.param("23", 4000, "bob.awg", marks=pytest.mark.long),
        ("34", 5555, "midpoint.tagger"),
        pytest.param("15", 1998, "alice.lasers", marks=pytest.mark.long),
    ],
)
def test_a_busy_port_names_instrument_and_address_and_leaves_nothing_running(lab, host, port, who):
    with socket.create_server((f"{lab.block}{host}", port)):
        done = lab.qnode("run", "heralding", str(lab.path), "--data", str(lab.data), "--heralds", "5", timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("qnode: ")]
    assert len(lines) == 1, done.stderr
    assert who in lines[0]
    assert f"{lab.block}{host}" in lines[0]
    assert processes_of(lab) == []


def test_a_lab_that_is_half_up_is_refused_with_the_names(lab):
    lab.start("simulators", "simulate", str(lab.path), "--speed", "max")
    lab.start("alice", "node", str(lab.path), "alice")
    done = lab.qnode("run", "heralding", str(lab.path), "--data", str(lab.data), "--heralds", "5", timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("qnode: ")]
    assert lines == [
        "qnode: alice of this lab runs, bob and midpoint do not answer - stop what runs, or start what is missing"
    ]
    done = lab.qnode("check", str(lab.path), "--data", str(lab.data), "--online", "--json")
    assert done.returncode == 1
    online = json.loads(done.stdout)["online"]
    assert {site: state is not None for site, state in online.items()} == {
        "alice": True,
        "bob": False,
        "midpoint": False,
    }


def test_a_node_never_loads_the_compiler(lab):
    lab.start("simulators", "simulate", str(lab.path), "--speed", "max")
    node = lab.start("alice", "node", str(lab.path), "alice")
    maps = Path(f"/proc/{node.pid}/maps").read_text()
    assert "zmq" in maps
    assert "llvmlite" not in maps


def test_logs_follow_what_comes_and_end_with_their_reader(lab):
    log = lab.data / "log"
    log.mkdir(parents=True)
    entry = {"wall": "2026-11-24T08:00:00.000Z", "site": "alice", "level": "info", "event": "first", "run": "r1"}
    (log / "alice.jsonl").write_text(json.dumps(entry) + "\n")
    with subprocess.Popen(
        [sys.executable, "-m", "qnode", "logs", "-f", str(lab.path), "--data", str(lab.data)],
        env=lab.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == '2026-11-24T08:00:00.000Z alice        first run="r1"\n'
        with (log / "bob.jsonl").open("w") as file:
            # Written later, dated earlier: it is shown all the same, and half a line waits for its end.
            file.write(
                json.dumps({**entry, "wall": "2026-11-24T07:00:00.000Z", "site": "bob", "event": "second"})[:40]
            )
            file.flush()
            file.write(
                json.dumps({**entry, "wall": "2026-11-24T07:00:00.000Z", "site": "bob", "event": "second"})[40:]
                + "\n"
            )
        assert process.stdout.readline() == '2026-11-24T07:00:00.000Z bob          second run="r1"\n'
        process.stdout.close()
        with (log / "bob.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        assert process.wait(90) == 1
        assert process.stderr.read() == ""
