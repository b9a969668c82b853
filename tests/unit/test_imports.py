"""Who imports what from outside: an allow-list per folder, and what the fast paths must stay free of."""

import json
import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
OURS = ("qnode", "drivers", "sequences", "simulators")
ALLOWED = {
    "qnode": set(),
    "qnode.analysis": {"numpy"},
    "qnode.bus": {"msgspec", "zmq"},
    "qnode.cli": {"numpy", "rich", "typer"},
    "qnode.client": {"matplotlib", "msgspec", "numpy", "qcodes"},
    "qnode.clock": set(),
    "qnode.daemons": {"msgspec", "numpy", "qcodes"},
    "qnode.errors": set(),
    "qnode.experiments": set(),
    "qnode.heralds": {"msgspec", "numpy"},
    "qnode.labfile": {"pydantic", "pydantic_core", "ruamel"},
    "qnode.runs": {"numpy", "pyarrow"},
    "qnode.tags": {"matplotlib", "numba", "numpy", "pyarrow"},
    "drivers._cores": {"pyvisa", "qcodes", "serial"},
    "drivers.cobolt": {"qcodes", "serial"},
    "drivers.idquantique": {"qcodes", "zmq"},
    "drivers.rohde_schwarz": {"qcodes"},
    "drivers.sfifteen": {"serial"},
    "drivers.single_quantum": {"qcodes"},
    "drivers.swabian": {"numpy", "pulsestreamer", "qcodes"},
    "drivers.tektronix": {"numpy", "qcodes"},
    "drivers.toptica": {"qcodes", "toptica"},
    "drivers.roles": {"numpy"},
    "drivers": set(),
    "sequences": {"numpy"},
    "sequences.plot": {"matplotlib", "numpy"},
    "simulators": {"numpy"},
    "simulators.instruments": {"numpy", "zmq"},
}
"""Package (the longest that fits a module counts) to the packages from outside that it may import anywhere."""


def outside_imports() -> dict[str, set[str]]:
    graph = grimp.build_graph(*OURS, include_external_packages=True, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        if module.split(".")[0] not in OURS:
            continue
        for target in graph.find_modules_directly_imported_by(module):
            package = target.split(".")[0]
            if package not in OURS and package not in sys.stdlib_module_names:
                found.setdefault(module, set()).add(package)
    return found


def allowed(module: str) -> set[str]:
    parts = module.split(".")
    return next(ALLOWED[name] for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in ALLOWED)


def test_every_package_from_outside_is_on_the_list_of_its_folder():
    found = outside_imports()
    assert "zmq" in found["qnode.bus._sockets"]
    strangers = {module: packages - allowed(module) for module, packages in found.items()}
    assert {module: packages for module, packages in strangers.items() if packages} == {}


def test_the_list_names_nothing_that_is_not_used():
    used: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for module, packages in outside_imports().items():
        parts = module.split(".")
        name = next(".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in ALLOWED)
        used[name] |= packages
    assert used == ALLOWED


def loaded_after(code: str, *suspects: str) -> set[str]:
    """Which packages a fresh interpreter has loaded after some code."""
    report = f"import json, sys\n{code}\nprint('\\n' + json.dumps([n for n in {suspects!r} if n in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", report],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = """
from qnode.cli.main import app
try:
    app({words!r})
except SystemExit as end:
    assert end.code == 0, end.code
"""
SIMULATORS = """
from simulators.lab import SimulatedLab
lab = SimulatedLab("config/two_nodes.yaml", "nowhere")
assert len(lab.instruments) == 15
"""
TAGS = """
import pathlib
import tempfile
from qnode.tags import Recorder, TagBlock, archive_spool
with tempfile.TemporaryDirectory() as folder:
    spool = pathlib.Path(folder) / "tags.arrow"
    recorder = Recorder(spool)
    recorder.put(TagBlock.from_arrays([7], [1]))
    recorder.close()
    archive_spool(spool)
    assert spool.with_suffix(".parquet").exists()
"""
SLOW = ("qcodes", "numba", "matplotlib", "pyarrow")


@pytest.mark.parametrize(
    ("code", "without", "with_"),
    [
        ("import qnode", (*SLOW, "numpy", "zmq", "pydantic", "simulators"), "qnode"),
        (HELP.format(words=["--help"]), (*SLOW, "numpy", "zmq", "pydantic", "simulators"), "typer"),
        (HELP.format(words=["run", "--help"]), (*SLOW, "simulators"), "typer"),
        ("import qnode.daemons._node", ("numba", "qcodes", "matplotlib", "pyarrow", "simulators"), "zmq"),
        ("import qnode.client", (*SLOW, "simulators"), "zmq"),
        ("import qnode.cli._demo", (*SLOW, "zmq", "sequences", "drivers", "simulators"), "rich"),
        (TAGS, ("qcodes", "numba", "pandas"), "pyarrow"),
        (SIMULATORS, ("qcodes", "numba", "qutip", "matplotlib", "drivers", "sequences"), "numpy"),
    ],
    ids=["qnode", "--help", "run --help", "node daemon", "client", "demo", "a tag on disk", "simulators"],
)
def test_light_parts_stay_light(code, without, with_):
    assert loaded_after(code, *without, with_) == {with_}
