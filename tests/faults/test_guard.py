"""kill -9 of daemons and guards at any moment: dark as the world sees it, and back at work."""

import random
import signal
import time

import psutil
import pytest
from _faultruns import BackgroundRun, await_condition, dark, processes_of
from _killruns import NODES, PARTIES, SAFE_S, LabAtHand, guard_of, kill, lit, node_is_dark, seconds_until_dark

RESTART_S = 60.0
"""Wall time within which a daemon that was killed with its guard is up again and has made its instruments safe."""
LIMIT_S = 12.0
"""Wall time in which a daemon is not started more than three times: 10 s, and a little."""
OTHER_S = 20.0
"""Wall time within which the other node is dark, too: some tenths of a second, and more on a busy computer. Without the
guard's word it would shine for 30 s."""


def guard_events(lab, site):
    return [entry["event"] for entry in lab.log() if entry["site"] == f"{site}.guard"]


def test_a_guard_acts_without_a_supervisor_and_is_replaced_when_it_is_killed(lab):
    lab.start_all()
    with LabAtHand(lab) as at_hand:
        guards_act(lab, at_hand)


def guards_act(lab, at_hand):
    # The guard that was forked off the daemon.
    at_hand.play()
    await_condition(lambda: lit(lab), "both nodes are lit")
    alice, guard = lab.processes["alice"], guard_of(lab.processes["alice"].pid)
    kill(alice.pid)
    seconds_until_dark(lab, "alice", SAFE_S)
    seconds_until_dark(lab, "bob", OTHER_S)
    guard.wait(90)
    assert {"made safe", "told that the daemon was killed"} <= set(guard_events(lab, "alice"))
    alice.wait(90)
    lab.start("alice", "node", str(lab.path), "alice")
    at_hand.await_ready()

    # Nothing of the midpoint's shines; its guard tells both nodes.
    at_hand.play()
    await_condition(lambda: lit(lab), "both nodes are lit")
    midpoint = lab.processes["midpoint"]
    kill(midpoint.pid)
    await_condition(lambda: dark(lab.ask_simulators({"op": "photons"})), "both nodes are dark", OTHER_S)
    midpoint.wait(90)
    lab.start("midpoint", "midpoint", str(lab.path), "midpoint")
    at_hand.await_ready()

    # A killed guard is replaced, and its successor is as good.
    bob = lab.processes["bob"]
    first = guard_of(bob.pid)
    kill(first.pid)
    await_condition(lambda: not first.is_running(), "the first guard is reaped")
    second = await_condition(lambda: psutil.Process(bob.pid).children(), "a second guard")[0]
    await_condition(lambda: second.name() == "qnode-guard", "it is at its post")
    at_hand.play()
    await_condition(lambda: lit(lab), "both nodes are lit")
    kill(bob.pid)
    seconds_until_dark(lab, "bob", SAFE_S)
    seconds_until_dark(lab, "alice", OTHER_S)
    second.wait(90)
    bob.wait(90)

    # Both killed at once, and nobody to start them again: outputs stay as they were. The next daemon makes them safe.
    lab.start("bob", "node", str(lab.path), "bob")
    at_hand.await_ready()
    at_hand.play()
    await_condition(lambda: lit(lab), "both nodes are lit")
    bob = lab.processes["bob"]
    guard = guard_of(bob.pid)
    # Stopped, it can't replace its guard between the two kills.
    bob.send_signal(signal.SIGSTOP)
    kill(guard.pid, bob.pid)
    bob.wait(90)
    assert not node_is_dark(lab, "bob")
    lab.start("bob", "node", str(lab.path), "bob")
    assert node_is_dark(lab, "bob")


class KilledLab:
    """A lab with a supervisor, of which processes are killed again and again."""

    def __init__(self, lab, at_hand, seed):
        self.lab, self.at_hand, self.rng = lab, at_hand, random.Random(seed)
        self.kills = 0
        self.starts = {party: [time.monotonic()] for party in PARTIES}
        self.killed: set[str] = set()
        """Parties that are started anew, and have not been seen since."""

    def cycle(self):
        """Play, kill at random moments of the plan, and see all of it dark, then ready."""
        sites = self.at_hand.await_ready()
        for party in self.killed:
            # When it was started nobody knows: not after now.
            self.starts[party].append(time.monotonic())
        self.killed.clear()
        assert self.all_dark()
        victims = self.rng.sample(PARTIES, 3)
        daemons, guards = ([sites[victim][kind] for victim in victims] for kind in ("pid", "guard_pid"))
        for party in (victims[0], "midpoint"):
            await_condition(lambda party=party: self.may_start_again(party), f"{party} may start again")
        self.at_hand.play()
        # Two sites lose their guards while their daemons go on, at a random moment before or after the first round.
        self.await_moment(2.0)
        self.kill(guards[1], guards[2])
        if self.rng.random() < 0.7:
            await_condition(lambda: lit(self.lab), "both nodes are lit")
        self.await_moment(0.3)
        kind = self.rng.choice(("daemon", "guard and daemon", "daemon and midpoint"))
        if kind == "guard and daemon":
            # Nobody is left who could: the supervisor's new daemon makes safe when it connects.
            killed = {victims[0]}
            self.kill(guards[0], daemons[0])
            self.require_dark(victims[0], RESTART_S)
        else:
            killed = {victims[0], "midpoint"} if kind == "daemon and midpoint" else {victims[0]}
            self.kill(*(sites[party]["pid"] for party in killed))
            self.require_dark(victims[0], SAFE_S)
        self.killed = killed
        self.at_hand.abort()
        # The plan is over for whoever was not killed, too.
        await_condition(self.all_dark, "both nodes are dark")

    def may_start_again(self, party):
        """Whether the supervisor will start it once more: it gives up on what it has started three times in 10 s."""
        self.starts[party] = [start for start in self.starts[party] if time.monotonic() - start < LIMIT_S]
        return len(self.starts[party]) < 3

    def await_moment(self, most_s):
        """What is random here is the moment."""
        moment = time.monotonic() + self.rng.uniform(0.0, most_s)
        await_condition(lambda: time.monotonic() > moment, "the moment has come")

    def all_dark(self):
        return dark(self.lab.ask_simulators({"op": "photons"}))

    def kill(self, *pids):
        kill(*pids)
        self.kills += len(pids)

    def require_dark(self, victim, within_s):
        if victim in NODES:
            seconds_until_dark(self.lab, victim, within_s)

    def until(self, kills):
        while self.kills < kills:
            self.cycle()
        self.at_hand.await_ready()


@pytest.fixture
def killed_lab(lab):
    def until(seed, kills):
        done = lab.qnode("up", str(lab.path), "-d", "--data", str(lab.data), "--speed", "max")
        assert done.returncode == 0, done.stderr
        with LabAtHand(lab) as at_hand:
            KilledLab(lab, at_hand, seed).until(kills)

    yield until
    stopped = lab.qnode("stop", str(lab.path), "--data", str(lab.data))
    assert stopped.returncode == 0, stopped.stderr
    assert not processes_of(lab.folder)


def test_kills_at_thirty_random_moments(killed_lab):
    killed_lab(seed=9, kills=30)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 133))
def test_kills_at_a_thousand_random_moments(killed_lab, seed):
    killed_lab(seed=seed, kills=31)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_runs_that_end_at_random_moments_leave_a_lab_that_stays_up_dark(lab, seed):
    """Ctrl-C and SIGTERM: dark when the command has ended; kill -9: when the midpoint misses it."""
    rng = random.Random(seed)
    lab.start_all()
    for number in rng.sample([signal.SIGINT, signal.SIGTERM] * 4 + [signal.SIGKILL], 9):
        with BackgroundRun(lab, "--heralds", "100000") as run:
            moment = time.monotonic() + rng.uniform(0.5, 8.0)
            await_condition(lambda moment=moment: time.monotonic() > moment, "the moment has come")
            run.signal(number)
            if number == signal.SIGKILL:
                run.process.wait(90)
                await_condition(lambda: dark(lab.ask_simulators({"op": "photons"})), "both nodes are dark")
            else:
                assert run.result()["exit"] == 130
                assert dark(lab.ask_simulators({"op": "photons"}))
    with LabAtHand(lab) as at_hand:
        at_hand.await_ready()
    assert lab.run("--heralds", "30")["exit"] == 0
