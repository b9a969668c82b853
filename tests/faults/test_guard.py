"""kill -9 of daemons and guards at any moment: dark as the world sees it, and back at work."""

import random
import time

import psutil
import pytest
from _faultruns import await_condition, dark, processes_of
from _killruns import NODES, PARTIES, SAFE_S, LabAtHand, guard_of, kill, lit, node_is_dark, seconds_until_dark

RESTART_S = 15.0
"""Wall time within which a daemon that was killed with its guard is up again and has made its instruments safe."""


def guard_events(lab, site):
    return [entry["event"] for entry in lab.log() if entry["site"] == f"{site}.guard"]


def test_a_guard_acts_without_a_supervisor_and_is_replaced_when_it_is_killed(lab):
    lab.start_all()
    at_hand = LabAtHand(lab)

    # The guard that was forked off the daemon.
    at_hand.play()
    await_condition(lambda: lit(lab), 30.0, "both nodes are lit")
    alice, guard = lab.processes["alice"], guard_of(lab.processes["alice"].pid)
    kill(alice.pid)
    seconds_until_dark(lab, "alice", SAFE_S)
    guard.wait(10)
    assert guard_events(lab, "alice")[-1] == "made safe"
    alice.wait(10)
    lab.start("alice", "node", str(lab.path), "alice")
    at_hand.await_ready()

    # A killed guard is replaced, and its successor is as good.
    bob = lab.processes["bob"]
    first = guard_of(bob.pid)
    kill(first.pid)
    await_condition(lambda: not first.is_running(), 10.0, "the first guard is reaped")
    second = await_condition(lambda: psutil.Process(bob.pid).children(), 10.0, "a second guard")[0]
    await_condition(lambda: second.name() == "qnode-guard", 20.0, "it is at its post")
    at_hand.play()
    await_condition(lambda: lit(lab), 30.0, "both nodes are lit")
    kill(bob.pid)
    seconds_until_dark(lab, "bob", SAFE_S)
    second.wait(10)
    bob.wait(10)

    # Both killed at once, and nobody to start them again: outputs stay as they were. The next daemon makes them safe.
    lab.start("bob", "node", str(lab.path), "bob")
    at_hand.await_ready()
    at_hand.play()
    await_condition(lambda: lit(lab), 30.0, "both nodes are lit")
    bob = lab.processes["bob"]
    kill(guard_of(bob.pid).pid, bob.pid)
    bob.wait(10)
    assert not node_is_dark(lab, "bob")
    lab.start("bob", "node", str(lab.path), "bob")
    assert node_is_dark(lab, "bob")


class KilledLab:
    """A lab with a supervisor, of which processes are killed again and again."""

    def __init__(self, lab, seed):
        self.lab, self.rng = lab, random.Random(seed)
        self.at_hand = LabAtHand(lab)
        self.kills = 0
        self.dark_after_s = []

    def cycle(self):
        """Play, kill at a random moment of the plan, and see all of it dark, then ready."""
        sites = self.at_hand.await_ready()
        assert dark(self.lab.ask_simulators({"op": "photons"}))
        self.at_hand.play()
        if self.rng.random() < 0.75:
            await_condition(lambda: lit(self.lab), 30.0, "both nodes are lit")
        # The moment is what is random here, also between acceptance and the first round.
        moment = time.monotonic() + self.rng.uniform(0.0, 0.5)
        await_condition(lambda: time.monotonic() > moment, 5.0, "the moment has come")
        kind = self.rng.choice(("daemon", "guard and daemon", "guards and a daemon", "two daemons"))
        victims = self.rng.sample(PARTIES, 2)
        daemons = [sites[victim]["pid"] for victim in victims]
        guards = [sites[victim]["guard_pid"] for victim in victims]
        if kind == "daemon":
            self.kill(daemons[0])
            self.require_dark(victims[:1], SAFE_S)
        elif kind == "two daemons":
            self.kill(*daemons)
            self.require_dark(victims, SAFE_S)
        elif kind == "guard and daemon":
            # Nobody is left who could: the supervisor's new daemon makes safe when it connects.
            self.kill(guards[0], daemons[0])
            self.require_dark(victims[:1], RESTART_S)
        else:
            # A guard that is just being replaced, and the other site's daemon.
            self.kill(guards[1], daemons[0])
            self.require_dark(victims[:1], SAFE_S)
            self.at_hand.abort()
        # The plan is over for whoever was not killed, too.
        await_condition(lambda: dark(self.lab.ask_simulators({"op": "photons"})), RESTART_S, "both nodes are dark")

    def kill(self, *pids):
        kill(*pids)
        self.kills += len(pids)

    def require_dark(self, victims, within_s):
        for node in set(victims) & set(NODES):
            self.dark_after_s.append(seconds_until_dark(self.lab, node, within_s))

    def until(self, kills):
        while self.kills < kills:
            self.cycle()
        self.at_hand.await_ready()


@pytest.fixture
def killed_lab(lab):
    def up(seed):
        done = lab.qnode("up", str(lab.path), "-d", "--data", str(lab.data), "--speed", "max")
        assert done.returncode == 0, done.stderr
        return KilledLab(lab, seed)

    yield up
    assert lab.qnode("stop", str(lab.path), "--data", str(lab.data)).returncode == 0
    assert not processes_of(lab.folder)


def test_kills_at_thirty_random_moments(killed_lab):
    killed = killed_lab(9)
    killed.until(30)
    assert killed.dark_after_s


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 133))
def test_kills_at_a_thousand_random_moments(killed_lab, seed):
    killed_lab(seed).until(30)
