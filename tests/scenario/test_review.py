"""Loops whose proposals wait for a person, and what comes of each word."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from auto_loop.assembly.replay_ground import gathered
from auto_loop.assembly.replaying import replay
from auto_loop.domain.event import Event
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import FORK, JobState, Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.domain.request import RequestId
from auto_loop.launch.stub import StubLauncher
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from tests.scenario.harness import World
from tests.scenario.test_steady import FACTORS, claiming, configs, forking
from tests.scenario.test_storm import MEMORY, NoReport
from tests.scenario.test_torn_turns import KilledError, Moments, killed

Word = Callable[[list[ProposalRecord]], dict[str, object]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Its project lies in memory where it can; nothing is drawn, and no config comes twice."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        made = World(root=Path(folder))
        (made.root / "pack.toml").write_text(FACTORS)
        yield made


def ledger(world: World) -> Path:
    return world.root / "outputs" / "ledger.sqlite3"


def waiting(world: World) -> list[ProposalRecord]:
    return [one for one in world.history().proposals if one.verdict is Verdict.WAITING]


def ask(world: World, **payload: object) -> RequestId:
    with closing(Requests.connect(ledger(world), world.clock)) as requests:
        return requests.add("pack", "review", {"by": "ada", **payload})  # type: ignore[dict-item] # plain numbers


def answer(world: World, number: RequestId) -> str:
    with closing(Requests.connect(ledger(world), world.clock)) as requests:
        found = requests.get(number)
    return "" if found is None else found.answer


def reviewing(world: World, word: Word) -> Callable[[Event], None]:
    """A person who says `word` of what waits whenever the loop is seen to be idle with proposals."""

    def react(event: Event) -> None:
        if event.kind != "progress" or event.detail["slots"]:
            return
        if any(job.state is not JobState.DONE for job in world.history().jobs) or not (left := waiting(world)):
            return
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


def test_each_accepted_one_runs_at_once_while_the_others_wait(world: World) -> None:
    """One word for each: between two words the loop is idle, and no round ends twice."""
    world.watching.react = reviewing(world, lambda left: {"accept": numbers(left)[:1]})
    assert world.run(cfgs=configs(world, 0.1, 5.0), decide=True, review=True, rounds=2, concurrency=2) == 0
    history = world.history()
    assert [job.round for job in history.jobs] == [1, 1, 2, 2]
    starts = [job.attempts[0].created_at for job in history.jobs[2:]]
    ends = [job.attempts[0].ended_at or 0.0 for job in history.jobs[2:]]
    assert starts[1] > ends[0], "the second was accepted when the first was done"
    assert [one.round for one in history.decisions] == [1, 2]


def test_nothing_is_taken_without_a_word_in_the_steady_state_either(world: World) -> None:
    words = []

    def word(left: list[ProposalRecord]) -> dict[str, object]:
        words.append(numbers(left))
        return {"accept": numbers(left)[:1], "refuse": numbers(left)[1:2]}

    world.watching.react = reviewing(world, word)
    assert world.run(cfgs=configs(world, 0.1, 5.0), decide=True, review=True, steady=True, rounds=2) == 0
    history = world.history()
    named = {number for word in words for number in word[:2]}
    settled = {one.id for one in history.proposals if one.verdict is Verdict.ACCEPTED} | {
        one.id for one in history.proposals if "refused by ada" in one.reasons
    }
    assert settled == named
    assert not waiting(world)
    assert 0 < len([job for job in history.jobs if job.round == 2]) <= 2


def test_a_word_for_nobody_is_kept_for_the_next_supervisor(world: World) -> None:
    def leave(event: Event) -> None:
        if event.kind == "progress" and not event.detail["slots"] and waiting(world):
            os.kill(os.getpid(), signal.SIGINT)

    world.watching.react = leave
    assert world.run(cfgs=configs(world, 0.1, 5.0), decide=True, review=True, rounds=2) == 130
    assert world.history().loops[0].ended_at is None
    left = waiting(world)
    number = ask(world, accept=numbers(left), refuse=[999])
    world.watching.react = lambda event: None
    assert world.run(resume=True, study="pack") == 0
    children = [job for job in world.history().jobs if job.round == 2]
    assert len(children) == len(left)
    said = answer(world, number)
    assert "proposal 999 does not wait any more" in said
    assert all(f"proposal {one.id} is queued as" in said for one in left)


def test_a_config_that_was_tried_meanwhile_is_refused_when_it_is_accepted(world: World) -> None:
    """Two waiting proposals of one config: a steady loop keeps both, and only one becomes a job."""
    (world.root / "pack.toml").write_text(FACTORS.replace("= 0.3", "= 0.5").replace("= 3.7", "= 2.0"))
    asked = []

    def react(event: Event) -> None:
        if event.kind == "progress" and not event.detail["slots"] and not asked and (left := waiting(world)):
            asked.append(ask(world, accept=numbers(left)))

    world.watching.react = react
    options = {"decide": True, "review": True, "steady": True, "rounds": 2, "round_size": 9}
    assert world.run(cfgs=configs(world, 0.2, 0.8), **options) == 0
    assert "cannot be run any more" in answer(world, asked[0])
    refused = [one for one in world.history().proposals if one.verdict is Verdict.REFUSED and one.edits]
    assert [one.reasons for one in refused] == [("the study has tried this very config already",)]


def test_a_person_may_also_settle_what_waits_for_a_slot(world: World) -> None:
    """Without --review a steady loop takes by itself; what a person refuses meanwhile is not taken."""
    asked: list[int] = []

    def react(event: Event) -> None:
        if event.kind == "progress" and not asked and (left := waiting(world)):
            asked.extend(numbers(left))
            ask(world, refuse=numbers(left)[:1], accept=numbers(left)[1:2])

    world.watching.react = react
    options = {"decide": True, "steady": True, "rounds": 2, "concurrency": 1, "round_size": 5}
    assert world.run(cfgs=configs(world, 0.1, 5.0, 30.0), **options) == 0
    by_number = {one.id: one for one in world.history().proposals}
    assert by_number[asked[0]].reasons == ("refused by ada",)
    assert by_number[asked[1]].verdict is Verdict.ACCEPTED
    assert [job.round for job in world.history().jobs].count(2) == 5


def test_a_fork_keeps_the_loop_going_when_nothing_is_accepted(world: World) -> None:
    script = forking(world)
    world.watching.react = reviewing(world, lambda left: {"refuse": numbers(left)})
    options = {"decide": True, "review": True, "rounds": 3, "concurrency": 2}
    assert world.run(script, cfgs=configs(world, 0.1, 50.0), **options) == 0
    history = world.history()
    assert [job.origin.proposer for job in history.jobs] == ["", "", FORK]
    assert [one.round for one in history.decisions if one.kind == "round"] == [1, 2]
    assert "Ended: none of the proposals after round 2 was accepted" in world.said


@pytest.mark.parametrize("steady", [False, True])
def test_what_a_person_decided_comes_out_again(world: World, steady: bool) -> None:
    world.watching.react = reviewing(world, lambda left: {"accept": numbers(left)[:1], "refuse": numbers(left)[1:]})
    world.run(cfgs=configs(world, 0.1, 5.0), decide=True, review=True, steady=steady, rounds=3)
    with closing(Reading.open(ledger(world))) as reading:
        assert replay(gathered(reading, "pack"), world.root).differences == ()


COMMITS = 50


@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("at", range(3, COMMITS))
def test_a_death_after_any_commit_is_made_up_for(world: World, at: int, steady: bool) -> None:
    launcher = StubLauncher(claiming(world), world.clock)
    world.watching.react = reviewing(world, lambda left: {"accept": numbers(left)[:1], "refuse": numbers(left)[1:2]})
    world.fault = Moments("after commit", at, killed)
    options = {"decide": True, "review": True, "steady": steady, "rounds": 2, "concurrency": 2}
    try:
        world.run(launcher=launcher, cfgs=configs(world, 0.1, 5.0), **options)
    except KilledError:
        world.fault = lambda moment: None
        if world.history().loops[0].ended_at is None:
            world.run(cfgs=(), resume=True, study="pack", launcher=launcher)
            world.launchers.pop()
    history = world.history()
    assert history.loops[0].ended_at is not None
    assert all(job.state is JobState.DONE for job in history.jobs)
    assert not waiting(world)
    assert [one for one in history.proposals if one.verdict is Verdict.ACCEPTED]
    rows = Counter((one.parent, str(dict(one.proposal.changes))) for one in history.proposals)
    assert max(rows.values()) == 1, "no proposal is recorded twice"
    assert max(Counter(request.token for request in world.requests).values()) == 1
