"""``qnode abort`` on daemons that are plain servers of the bus."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from qnode.bus import Handler, Keyring, Server
from qnode.cli import _abort
from qnode.errors import NetworkError
from qnode.labfile import LabFileError, load_lab

SITES = ("alice", "bob", "midpoint")
REASON = "ended by `qnode abort`"


class Daemons:
    """Sites that play one run; once its end was asked for, each is at rest after some looks at it."""

    def __init__(self, run: str | None, looks: int = 3) -> None:
        self.run = run
        self.looks = dict.fromkeys(SITES, looks)
        self.asked: list[dict[str, Any]] = []

    def playing(self, site: str) -> str | None:
        """What it plays at this look."""
        if self.asked:
            self.looks[site] -= 1
        return self.run if self.looks[site] > 0 else None

    def handlers(self, site: str) -> dict[str, Handler]:
        async def status(_params: Any) -> dict[str, Any]:
            return {"plan": self.playing(site)}

        async def abort(params: dict[str, Any]) -> str | None:
            self.asked.append(params)
            return self.playing(site)

        return {"status": status, "abort": abort}

    def aborted(self, lab: Any, *sites: str) -> list[str]:
        """The runs that the command ends while these sites answer."""

        async def body() -> list[str]:
            entry = load_lab(lab.path)
            keyring = Keyring.for_lab(lab.data, [f"tcp://{lab.block}1:5700"])
            async with AsyncExitStack() as stack:
                for site in sites:
                    bus = entry.sites[site].bus
                    endpoint = f"tcp://{bus.address}:{bus.command_port}"
                    await stack.enter_async_context(Server(endpoint, site, keyring, self.handlers(site)))
                return await _abort._abort(lab.path, entry, lab.data)

        return asyncio.run(asyncio.wait_for(body(), 30))


def test_it_returns_when_all_are_at_rest_and_names_the_run(lab: Any) -> None:
    daemons = Daemons("20260101-120000-heralding-0001")
    assert daemons.aborted(lab, *SITES) == ["20260101-120000-heralding-0001"]
    # The first call means whatever is played, the others this run alone: the next one is none of our business.
    first, *more = daemons.asked
    assert first == {"reason": REASON}
    assert more == [{"reason": REASON, "run_id": "20260101-120000-heralding-0001"}] * 2
    assert max(daemons.looks.values()) <= 0


def test_where_nothing_is_played_nothing_is_ended(lab: Any) -> None:
    daemons = Daemons(None)
    assert daemons.aborted(lab, *SITES) == []
    assert daemons.asked == [{"reason": REASON}]


def test_a_site_that_does_not_answer_keeps_the_others_from_nothing(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_abort, "ANSWER_S", 1.0)
    daemons = Daemons("run")
    with pytest.raises(NetworkError, match=r"^bob did not answer, all others are at rest"):
        daemons.aborted(lab, "alice", "midpoint")
    assert daemons.looks["alice"] <= 0
    assert daemons.looks["midpoint"] <= 0


def test_a_daemon_that_goes_on_is_named(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_abort, "REST_S", 0.1)
    with pytest.raises(NetworkError, match=r"^midpoint is not at rest after 0\.1 s"):
        Daemons("run", looks=100_000).aborted(lab, *SITES)


def test_a_lab_that_is_not_up_has_nothing_to_abort(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_abort, "ANSWER_S", 0.1)
    with pytest.raises(NetworkError, match="is not up"):
        _abort.abort(lab.path, lab.data, as_json=False)
    assert not lab.data.exists()
    Keyring.for_lab(lab.data, [f"tcp://{lab.block}1:5700"]).pair("operator")
    with pytest.raises(NetworkError, match="is not up"):
        _abort.abort(lab.path, lab.data, as_json=False)


def test_a_lab_file_that_is_not_there_is_misuse(lab: Any) -> None:
    with pytest.raises(LabFileError):
        _abort.abort(lab.folder / "nowhere.yaml", lab.data, as_json=False)


@pytest.mark.parametrize(
    ("runs", "text"),
    [([], "two_nodes: nothing is played\n"), (["run-a", "run-b"], "two_nodes: ended run run-a, run-b\n")],
)
def test_a_person_gets_a_line_and_a_program_a_document(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], runs: list[str], text: str
) -> None:
    async def ended(*_: Any) -> list[str]:
        return runs

    monkeypatch.setattr(_abort, "_abort", ended)
    assert _abort.abort(lab.path, lab.data, as_json=False) == 0
    assert capsys.readouterr() == ("", text)
    assert _abort.abort(lab.path, lab.data, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"lab": "two_nodes", "ended": runs}
