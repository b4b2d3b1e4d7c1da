"""Loops whose proposals wait for a person, and what comes of each word."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from auto_loop.domain.event import Event
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from tests.scenario.harness import World

Word = Callable[[list[ProposalRecord]], dict[str, object]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(root=tmp_path)


def ledger(world: World) -> Path:
    return world.root / "outputs" / "ledger.sqlite3"


def waiting(world: World) -> list[ProposalRecord]:
    return [one for one in world.history().proposals if one.verdict is Verdict.WAITING]


def ask(world: World, **payload: object) -> None:
    with closing(Requests.connect(ledger(world), world.clock)) as requests:
        requests.add("pack", "review", {"by": "ada", **payload})  # type: ignore[dict-item] # plain lists of numbers


def answers(world: World) -> list[str]:
    with closing(Reading.open(ledger(world))) as reading:
        found = reading._db.rows("open_requests", study="pack")
        assert not found, "every request is answered"
    return [str(event.detail) for event in world.watching.events]


def reviewing(world: World, word: Word) -> Callable[[Event], None]:
    """A person who says `word` of what waits whenever the loop is seen to be idle with proposals."""

    def react(event: Event) -> None:
        if event.kind == "progress" and not event.detail["slots"] and (left := waiting(world)):
            with closing(Requests.connect(ledger(world), world.clock)) as requests:
                if not requests.open("pack"):
                    ask(world, **word(left))

    return react


def numbers(records: list[ProposalRecord]) -> list[int]:
    return [one.id or 0 for one in records]


def test_what_is_accepted_runs_and_what_is_refused_does_not(world: World) -> None:
    world.watching.react = reviewing(world, lambda left: {"accept": numbers(left)[:1], "refuse": numbers(left)[1:]})
    assert world.run(cfgs=world.configs(2), decide=True, review=True, rounds=2, concurrency=2) == 0
    history = world.history()
    assert [job.round for job in history.jobs] == [1, 1, 2]
    assert all(job.outcome is Outcome.SUCCEEDED for job in history.jobs)
    first = [one for one in history.proposals if one.round == 1]
    assert [one.child for one in first if one.verdict is Verdict.ACCEPTED] == [history.jobs[2].id]
    assert [one.reasons for one in first if "refused by ada" in one.reasons]
    assert not waiting(world)
    told = [str(event.detail["text"]) for event in world.watching.of("said")]
    assert told.count("2 proposals wait for a person: `auto-loop review pack`") == 1
    assert "Ended: all 2 rounds are done" in world.said


def test_a_loop_of_which_nothing_is_accepted_ends_and_says_so(world: World) -> None:
    world.watching.react = reviewing(world, lambda left: {"refuse": numbers(left)})
    assert world.run(cfgs=world.configs(2), decide=True, review=True, rounds=3) == 0
    assert "Ended: none of the proposals after round 1 was accepted" in world.said
    assert len(world.history().jobs) == 2
