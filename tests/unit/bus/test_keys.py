from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from qnode.bus import KeyMissingError, Keyring
from qnode.errors import MisuseError


def test_a_secret_key_is_for_its_owner_only(tmp_path: Path) -> None:
    Keyring(tmp_path, make=True).pair("alice")
    assert stat.S_IMODE((tmp_path / "keys" / "alice.key").stat().st_mode) == 0o600


def test_the_files_hold_a_pair_of_curve(tmp_path: Path) -> None:
    Keyring(tmp_path, make=True).create("alice")
    secret = (tmp_path / "keys" / "alice.key").read_bytes().strip()
    assert (tmp_path / "keys" / "alice.pub").read_bytes().strip() == zmq.curve_public(secret)


MAKER = """
import sys
from qnode.bus import Keyring
print("here", flush=True)
sys.stdin.readline()
print(Keyring(sys.argv[1], make=True).pair("alice").public.decode())
"""


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "here\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    found = {maker.communicate(timeout=20)[0].strip() for maker in makers}
    assert found == {(tmp_path / "keys" / "alice.pub").read_text().strip()}
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["alice.key", "alice.pub"]


def test_a_key_open_to_others_is_refused_with_the_cure(tmp_path: Path) -> None:
    Keyring(tmp_path, make=True).pair("alice")
    path = tmp_path / "keys" / "alice.key"
    path.chmod(0o644)
    with pytest.raises(KeyMissingError, match=f"chmod 600 {path}"):
        Keyring(tmp_path).pair("alice")


@pytest.mark.parametrize(
    ("endpoints", "makes"),
    [
        (["tcp://127.0.1.1:5700", "tcp://localhost:5701", "tcp://[::1]:5702"], True),
        (["tcp://127.0.1.1:5700", "tcp://192.168.7.2:5700"], False),
        (["tcp://alice.lab:5700"], False),
        (["127.0.1.1", "127.0.1.2"], True),
        (["0.0.0.0"], False),
    ],
)
def test_keys_make_themselves_on_loopback_only(tmp_path: Path, endpoints: list[str], makes: bool) -> None:
    keyring = Keyring.for_lab(tmp_path, endpoints)
    if makes:
        assert len(keyring.pair("alice").secret) == 40
    else:
        for ask in (keyring.pair, keyring.public):
            with pytest.raises(KeyMissingError, match="qnode keys init"):
                ask("alice")
        assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("identity", ["", "../alice", "a/b", "alice\n", "a b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, identity: str) -> None:
    with pytest.raises(MisuseError, match="can't name a site"):
        Keyring(tmp_path, make=True).pair(identity)


def test_a_file_that_holds_no_key_is_named(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path, make=True)
    keyring.pair("alice")
    (tmp_path / "keys" / "alice.pub").write_text("hello\n")
    with pytest.raises(MisuseError, match=r"alice\.pub holds no key"):
        keyring.public("alice")


def test_identities_are_those_with_a_public_key(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path, make=True)
    public = {name: keyring.create(name).public for name in ("alice", "bob")}
    (tmp_path / "keys" / "bob.pub").unlink()
    assert keyring.identities() == {public["alice"]: "alice"}


def test_a_file_that_holds_no_key_shuts_nobody_else_out(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path, make=True)
    public = keyring.create("alice").public
    (tmp_path / "keys" / "bob.pub").write_text("half a key\n")
    (tmp_path / "keys" / "not a name.pub").write_bytes(public)
    assert keyring.identities() == {public: "alice"}
