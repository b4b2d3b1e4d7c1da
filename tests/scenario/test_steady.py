"""Loops without rounds: a freed slot gets the best waiting proposal at once."""

import json
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from auto_loop.assembly.replay_ground import gathered
from auto_loop.assembly.replaying import replay
from auto_loop.domain.decision import DecisionKind, effect_seen
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.event import Event
from auto_loop.domain.history import History
from auto_loop.domain.job import CONFIRMATION, FORK, REPEAT, JobState, Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act, StubLauncher
from auto_loop.ledger.reading import Reading
from tests.scenario.harness import PACK, Script, World
from tests.scenario.test_repeats import PACK as HALVING
from tests.scenario.test_repeats import Noisy
from tests.scenario.test_storm import MEMORY, NoReport
from tests.scenario.test_torn_turns import OOM, RULES, KilledError, Moments, full, killed

# No product of these is 1: no config comes twice.
FACTORS = PACK.replace("= 0.5", "= 0.3").replace("= 2.0", "= 3.7")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Its project lies in memory where it can; nothing is drawn, and no config comes twice."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        made = World(root=Path(folder))
        (made.root / "pack.toml").write_text(FACTORS)
        yield made


def configs(world: World, *rates: float) -> tuple[str, ...]:
    """Configs of these learning rates."""
    for number, rate in enumerate(rates):
        (world.root / f"c{number}.json").write_text(json.dumps({"lr": rate, "seed": 7}))
    return tuple(f"c{number}.json" for number in range(len(rates)))


def name_of(request: LaunchRequest) -> str:
    return Path(next(word.split("=", 1)[1] for word in request.argv if word.startswith("--config_path="))).stem


def lasting(world: World, **seconds: float) -> Callable[[LaunchRequest], Act]:
    """Every job trains for ten seconds, but those that are named."""
    return lambda request: Act(duration_s=seconds.get(name_of(request), 10.0), on_end=world.logs)


def steadily(world: World, script: Callable[[LaunchRequest], Act] | None = None, **options: object) -> int:
    usual = {"decide": True, "steady": True, "rounds": 3, "concurrency": 2}
    return world.run(script, **{**usual, **options})


def by_verdict(history: History) -> Counter[Verdict]:
    return Counter(one.verdict for one in history.proposals)


def test_a_slow_job_holds_nobody_up(world: World) -> None:
    assert steadily(world, lasting(world, c0=100.0), cfgs=configs(world, 0.1, 0.7)) == 0
    history = world.history()
    assert all(job.outcome is Outcome.SUCCEEDED for job in history.jobs)
    assert sorted(job.round for job in history.jobs) == [1, 1, 2, 2, 3, 3]
    slow = history.jobs[0].attempts[-1].ended_at
    assert slow is not None
    ended = [job.attempts[-1].ended_at or 0.0 for job in history.jobs[1:]]
    assert max(ended) < slow, "all the others were done while the slow one trained"
    assert {one.kind for one in history.decisions} == {DecisionKind.JOB}
    assert len(history.decisions) == len(history.jobs), "every job is asked about once, those of the last depth as well"
    assert not by_verdict(history)[Verdict.WAITING]
    assert "Ended: all 3 rounds are done" in world.said


def idle_while_proposals_wait(history: History, slots: int) -> float:
    """Slot-seconds that were idle while a proposal waited that was taken later."""
    jobs = {job.id: job for job in history.jobs}
    decided = {one.id: one.at for one in history.decisions}
    spans = [
        (decided[one.decision], jobs[one.child].attempts[0].created_at)
        for one in history.proposals
        if one.child is not None
    ]
    held = [(one.created_at, one.ended_at or 0.0) for job in history.jobs for one in job.attempts]
    marks = sorted({at for span in (*spans, *held) for at in span})
    idle = 0.0
    for begin, end in pairwise(marks):
        waits = any(one[0] <= begin < one[1] for one in spans)
        busy = sum(one[0] <= begin < one[1] for one in held)
        idle += (end - begin) * (slots - busy) if waits else 0.0
    return idle


@pytest.mark.parametrize("seed", range(3))
def test_of_eight_slots_none_is_idle_while_a_proposal_waits(world: World, seed: int) -> None:
    luck = random.Random(seed)
    rates = [round(1.07**number, 6) for number in range(12)]
    script = lambda request: Act(duration_s=luck.uniform(5.0, 60.0), on_end=world.logs)  # noqa: E731 # a name for it says less
    assert steadily(world, script, cfgs=configs(world, *rates), rounds=5, round_size=16, concurrency=8) == 0
    history = world.history()
    assert Counter(job.round for job in history.jobs) == {1: 12, **dict.fromkeys(range(2, 6), 16)}
    assert idle_while_proposals_wait(history, 8) == 0.0


def test_depths_have_as_many_places_as_a_round(world: World) -> None:
    assert steadily(world, cfgs=configs(world, 0.1, 0.7, 5.0), rounds=3, round_size=2) == 0
    history = world.history()
    assert Counter(job.round for job in history.jobs) == {1: 3, 2: 2, 3: 2}
    no_place = [one for one in history.proposals if one.verdict is Verdict.NO_PLACE]
    reasons = {reason for one in no_place for reason in one.reasons}
    assert reasons == {
        "the 2 places of round 2 went to others",
        "the 2 places of round 3 went to others",
        "round 3 was the last one (--rounds 3)",
    }


def test_the_best_parent_goes_first(world: World) -> None:
    """One slot: while it is busy, the others' proposals wait, and the best parent's is taken."""
    assert steadily(world, cfgs=configs(world, 5.0, 0.1, 0.7), rounds=2, round_size=3, concurrency=1) == 0
    history = world.history()
    names = {job.id: job.name for job in history.jobs}
    parents = [names[job.origin.parent] for job in history.jobs if job.round == 2 and job.origin.parent is not None]
    assert parents == ["c1", "c2", "c0"], "each is heard once, and the lowest loss first"


def test_two_waiting_proposals_of_one_config_never_both_run(world: World) -> None:
    """0.2 doubled is 0.8 halved: both wait while the only slot is busy."""
    (world.root / "pack.toml").write_text(PACK)
    assert steadily(world, cfgs=configs(world, 0.2, 0.8), rounds=2, round_size=9, concurrency=1) == 0
    history = world.history()
    rates = [job.config.data()["lr"] for job in history.jobs]
    assert len(rates) == len(set(map(str, rates)))
    refused = [one for one in history.proposals if one.verdict is Verdict.REFUSED and one.edits]
    assert [one.reasons for one in refused] == [("the study has tried this very config already",)]


def test_an_interrupted_loop_keeps_what_waits_and_goes_on_with_it(world: World) -> None:
    def react(event: Event) -> None:
        if event.kind == "job ended" and len(world.watching.of("job ended")) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    world.watching.react = react
    names = configs(world, 0.1, 0.7, 5.0)
    assert steadily(world, cfgs=names, rounds=2, concurrency=1) == 130
    before = world.history()
    assert by_verdict(before)[Verdict.WAITING] > 0
    world.watching.react = lambda event: None
    assert world.run(resume=True, study="pack") == 0
    history = world.history()
    assert all(job.outcome is Outcome.SUCCEEDED for job in history.jobs)
    assert not by_verdict(history)[Verdict.WAITING]
    assert Counter(job.round for job in history.jobs) == {1: 3, 2: 3}


def test_of_a_config_whose_runs_repeat_the_cell_is_asked_about_once(world: World) -> None:
    (world.root / "pack.toml").write_text(HALVING)
    world_jobs = steadily(world, Noisy(world, gain=0.0), cfgs=configs(world, 0.8), repeats=3, rounds=3)
    assert world_jobs == 0
    history = world.history()
    assert [job.round for job in history.jobs] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [job.origin.proposer for job in history.jobs] == ["", REPEAT, REPEAT, *["rules", REPEAT, REPEAT] * 2]
    assert Counter(one.kind for one in history.decisions)[DecisionKind.JOB] == 3


def test_winners_are_confirmed_one_after_another_while_the_rest_goes_on(world: World) -> None:
    (world.root / "pack.toml").write_text(HALVING)
    assert steadily(world, Noisy(world), cfgs=configs(world, 0.8), repeats=4, rounds=4, concurrency=3) == 0
    history = world.history()
    kinds = [one.kind for one in history.decisions if one.kind is not DecisionKind.JOB]
    assert kinds == [DecisionKind.SCREENING, DecisionKind.CONFIRMATION] * (len(kinds) // 2), "one at a time"
    assert kinds
    confirmed = [effect_seen(one.detail) for one in history.decisions if one.kind is DecisionKind.CONFIRMATION]
    names = {job.id: job.name for job in history.jobs}
    assert names[confirmed[0].base] == "c0"
    assert [one.number for one in confirmed] == list(range(1, len(confirmed) + 1))
    fresh = [job for job in history.jobs if job.origin.proposer == CONFIRMATION]
    assert len(fresh) == 8 * len(confirmed)
    assert Counter(one.kind for one in history.decisions)[DecisionKind.JOB] == 4, "nobody asks about confirmations"
    assert any("it is the base from here on" in str(event.detail) for event in world.watching.of("said"))


def test_a_remedied_job_stands_in_its_parents_place(world: World) -> None:
    (world.root / "pack.toml").write_text(FACTORS + RULES)

    def script(request: LaunchRequest) -> Act:
        if name_of(request) == "c1":
            return Act(duration_s=3.0, returncode=1, inner=OOM)
        return Act(duration_s=10.0, on_end=world.logs)

    assert steadily(world, script, cfgs=configs(world, 0.1, 0.7), rounds=2) == 0
    history = world.history()
    assert len([one for one in history.decisions if one.kind is DecisionKind.JOB]) == len(history.jobs) - 1
    assert [one.silence.cause for one in history.silences if one.silence.parent == history.jobs[1].id] == ["replaced"]


def forking(world: World) -> Script:
    """A pack whose live rule ends job c1, which would train for long, and starts its successor."""
    stop = """
[[stop]]
name = "high"
when = 'last("eval/loss") > 4'
after = 5
then = "stop+fork"
change = { "lr@mul" = 0.1 }
reason = "too high"
"""
    (world.root / "pack.toml").write_text(FACTORS + stop)

    def script(request: LaunchRequest) -> Act:
        if name_of(request) == "c1":
            world.logs(request)
            return Act(duration_s=500.0, on_term_s=1.0)
        return Act(duration_s=10.0, on_end=world.logs)

    return script


def test_a_forked_job_is_not_asked_about_and_its_fork_has_a_place(world: World) -> None:
    script = forking(world)
    assert steadily(world, script, cfgs=configs(world, 0.1, 50.0), rounds=2) == 0
    history = world.history()
    forks = [job for job in history.jobs if job.origin.proposer == FORK]
    assert len(forks) == 1
    assert Counter(job.round for job in history.jobs) == {1: 2, 2: 2}
    assert [one.silence.cause for one in history.silences if one.silence.parent == history.jobs[1].id] == ["forked"]


def test_a_steady_loop_comes_out_again(world: World) -> None:
    steadily(world, cfgs=configs(world, 0.2, 0.8, 5.0), rounds=3, round_size=2)
    with closing(Reading.open(world.root / "outputs" / "ledger.sqlite3")) as reading:
        found = replay(gathered(reading, "pack"), world.root)
    assert found.differences == ()


def test_steady_without_decide_is_refused_by_name(world: World) -> None:
    with pytest.raises(MisuseError, match="--steady"):
        world.run(cfgs=world.configs(1), steady=True)


def is_whole(world: World) -> None:
    """What an undisturbed loop leaves: everything once."""
    history = world.history()
    assert history.loops[0].ended_at is not None
    assert all(job.state is JobState.DONE for job in history.jobs)
    assert Counter(job.round for job in history.jobs) == {1: 3, 2: 2, 3: 2}
    asked = Counter(parent["job"] for one in history.decisions for parent in one.detail["parents"])  # type: ignore[index, union-attr] # as RulesAsked writes it
    replaced = {one.silence.parent for one in history.silences if one.silence.cause == "replaced"}
    assert asked == dict.fromkeys((job.id for job in history.jobs if job.id not in replaced), 1), "asked about once"
    assert not by_verdict(history)[Verdict.WAITING]
    rows = Counter((one.parent, str(dict(one.proposal.changes))) for one in history.proposals)
    assert max(rows.values()) == 1, "no proposal is recorded twice"
    launched = Counter(request.token for request in world.requests)
    assert max(launched.values()) == 1
    tries = Counter(job.name for job in history.jobs for one in job.attempts if one.outcome is not Outcome.CANCELLED)
    assert max(tries.values()) == 1


def claiming(world: World) -> Callable[[LaunchRequest], Act]:
    """Jobs that claim their attempts, as real ones do, so that the next supervisor finds them."""

    def script(request: LaunchRequest) -> Act:
        claim = {"pid": len(world.launchers[-1].requests) + 1 if world.launchers else 1, "start_time": 1}
        request.claim_file.parent.mkdir(parents=True, exist_ok=True)
        request.claim_file.write_text(json.dumps({**claim, "boot_id": "stub", "token": request.token}))
        return Act(duration_s=5.0 if name_of(request) == "c1" else 10.0, on_end=world.logs)

    return script


TORN = {"rounds": 3, "round_size": 2, "concurrency": 2}
COMMITS = 60


@pytest.mark.parametrize("at", range(3, COMMITS, 2))
def test_a_disk_that_is_full_at_any_commit_costs_nothing(world: World, at: int) -> None:
    world.fault = Moments("before commit", at, full)
    assert steadily(world, claiming(world), cfgs=configs(world, 0.1, 0.7, 5.0), **TORN) == 0
    is_whole(world)


@pytest.mark.parametrize("at", range(3, COMMITS))
def test_a_death_after_any_commit_is_made_up_for(world: World, at: int) -> None:
    launcher = StubLauncher(claiming(world), world.clock)
    world.fault = Moments("after commit", at, killed)
    try:
        steadily(world, launcher=launcher, cfgs=configs(world, 0.1, 0.7, 5.0), **TORN)
    except KilledError:
        world.fault = lambda moment: None
        if world.history().loops[0].ended_at is None:
            world.run(cfgs=(), resume=True, study="pack", launcher=launcher)
            world.launchers.pop()
    is_whole(world)
