"""All simulators of two_nodes.yaml in one process, on real sockets; and the endpoints that a rack does not have."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from _addresses import own_block

from qnode.clock import PS_PER_S, connect_clock
from qnode.errors import InstrumentError, MisuseError
from simulators.lab import SimulatedLab, monte_carlo

TWO_NODES = Path(__file__).parents[3] / "config" / "two_nodes.yaml"
OWN_NETWORK = own_block()


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    """two_nodes.yaml on loopback addresses of this test's own."""
    path = tmp_path / "lab.yaml"
    path.write_text(TWO_NODES.read_text(encoding="utf-8").replace("127.0.1.", OWN_NETWORK), encoding="utf-8")
    return path


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90):
            await test()

    asyncio.run(bounded())


async def ask(**request: Any) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection(f"{OWN_NETWORK}1", 5601)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        return answer
    finally:
        writer.close()


def test_lab_time_runs_and_everything_is_dark(lab_file: Path, tmp_path: Path) -> None:
    async def test() -> None:
        lab = SimulatedLab(lab_file, tmp_path / "data", speed="max", seed=5)
        await lab.start()
        try:
            clock = await connect_clock(f"tcp://{OWN_NETWORK}1:5600", "alice")
            start_ps = await clock.now_ps()
            assert start_ps >= lab.timeline.start_ps
            assert lab.timeline.start_ps % PS_PER_S == 0
            # Two seconds of lab time, far faster than the wall's (the time-out of `run` would say otherwise).
            assert await clock.wait_until(start_ps + 60 * PS_PER_S) >= start_ps + 60 * PS_PER_S
            await clock.close()
            status = await ask(op="status")
            assert status["ok"]
            assert status["seed"] == 5
            assert set(status["instruments"].values()) == {"plugged"}
            assert len(status["instruments"]) == 15
            nodes = (await ask(op="photons"))["nodes"]
            dark = {"zero_phonon_line_per_s": 0.0, "sideband_per_s": 0.0, "microwave_v2": 0.0, "light": []}
            assert nodes == {"alice": dark, "bob": dark}
        finally:
            await lab.stop()
        assert lab.thread.failure == ""

    run(test)


def test_the_mains_plug_by_the_control_endpoint(lab_file: Path, tmp_path: Path) -> None:
    async def test() -> None:
        lab = SimulatedLab(lab_file, tmp_path / "data")
        await lab.start()
        try:
            assert (await ask(op="fault", instrument="bob.awg", fault="unplug"))["state"] == "unplugged"
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(f"{OWN_NETWORK}23", 4000)
            assert (await ask(op="fault", instrument="bob.awg", fault="plug"))["state"] == "plugged"
            _, writer = await asyncio.open_connection(f"{OWN_NETWORK}23", 4000)
            writer.close()
            wrong = await ask(op="fault", instrument="carol.awg", fault="unplug")
            assert not wrong["ok"]
            assert "carol.awg" in wrong["error"]
            assert "bob.awg" in wrong["error"]
            assert "unplug and plug" in (await ask(op="fault", instrument="bob.awg", fault="burn"))["error"]
            assert "there are fault, photons, status" in (await ask(op="explode"))["error"]
        finally:
            await lab.stop()

    run(test)


def test_a_busy_port_names_instrument_and_address_and_stops_the_rest(lab_file: Path, tmp_path: Path) -> None:
    async def test() -> None:
        server = await asyncio.start_server(lambda r, w: w.close(), f"{OWN_NETWORK}23", 4000)
        lab = SimulatedLab(lab_file, tmp_path / "data")
        with pytest.raises(InstrumentError, match=rf"bob\.awg.*{OWN_NETWORK}23") as caught:
            await lab.start()
        assert caught.value.hint
        assert {instrument.plug_state for instrument in lab.instruments.values()} == {"unplugged"}
        server.close()
        await server.wait_closed()
        await lab.start()
        await lab.stop()

    run(test)


def test_an_instrument_that_nothing_simulates(lab_file: Path, tmp_path: Path) -> None:
    text = lab_file.read_text(encoding="utf-8").replace("drivers.sfifteen.tdc1.TDC1", "drivers.acme.tagger.Tagger", 1)
    lab_file.write_text(text, encoding="utf-8")
    with pytest.raises(MisuseError, match=r"alice\.tagger: nothing simulates drivers\.acme\.tagger\.Tagger"):
        SimulatedLab(lab_file, tmp_path / "data")


def test_monte_carlo_wants_a_link_and_programs(lab_file: Path, tmp_path: Path) -> None:
    lab = SimulatedLab(lab_file, tmp_path / "data")
    with pytest.raises(MisuseError, match="no link alice-carol - there are alice-bob"):
        monte_carlo(lab, "alice-carol", 1000)
    with pytest.raises(MisuseError, match="alice-bob: no program is uploaded"):
        monte_carlo(lab, "alice-bob", 1000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_cleanly(lab_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import sys; from simulators.lab import run_simulators;"
        "run_simulators(sys.argv[1], sys.argv[2], ready=lambda lab: print('ready', flush=True)); print('stopped')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(lab_file), str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()
    assert out == "stopped\n", errors
    assert process.returncode == 0
    assert not (tmp_path / "data" / "tty" / "alice-tagger").is_symlink()
