from __future__ import annotations

import stat
from pathlib import Path

import zmq
from typer.testing import CliRunner

from qnode.cli.main import app

LAB = Path(__file__).parents[3] / "config" / "two_nodes.yaml"
WHO = {"alice", "bob", "midpoint", "operator"}


def test_every_site_and_the_operator_get_a_pair_that_fits(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["keys", "init", str(LAB), "--data", str(tmp_path)])
    assert result.exit_code == 0, result.output
    keys = tmp_path / "keys"
    assert {path.name for path in keys.iterdir()} == {f"{who}.{kind}" for who in WHO for kind in ("key", "pub")}
    for who in WHO:
        secret = keys / f"{who}.key"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert zmq.curve_public(secret.read_bytes().strip()) == (keys / f"{who}.pub").read_bytes().strip()


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    arguments = ["keys", "init", str(LAB), "--data", str(tmp_path)]
    CliRunner().invoke(app, arguments)
    before = (tmp_path / "keys" / "alice.key").read_bytes()
    (tmp_path / "keys" / "bob.key").unlink()
    (tmp_path / "keys" / "bob.pub").unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "keys" / "alice.key").read_bytes() == before
    assert (tmp_path / "keys" / "bob.key").exists()
