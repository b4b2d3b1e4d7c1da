"""Live rules on jobs that run: what they stop, warn of and follow up, on a stub launcher and a fake clock."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import auto_loop.launch
from auto_loop.domain.decision import DecisionKind, rules_asked
from auto_loop.domain.event import Event
from auto_loop.domain.job import FORK as FORK_
from auto_loop.domain.job import REPEAT, Job, Outcome, StopCause
from auto_loop.domain.proposal import Verdict
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.stub import Act, StubLauncher
from auto_loop.ledger.reading import Reading
from auto_loop.loop.measuring import UNJUDGED
from tests.scenario.harness import World
from tests.scenario.live_rules import DEAD, FORK, append, claimed, dying, in_memory, lr_of, masses, pack


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with in_memory(monkeypatch) as world:
        yield world


def test_a_job_that_a_live_rule_stops_is_stopped_with_the_rule_and_its_reading(world: World) -> None:
    pack(world, DEAD)
    launcher = StubLauncher(dying(world, 0.1), world.clock)
    assert world.run(cfgs=world.configs(2), launcher=launcher, grace=5.0) == 0
    dead, alive = world.history().jobs
    assert (dead.outcome, alive.outcome) == (Outcome.STOPPED, Outcome.SUCCEEDED)
    (attempt,) = dead.attempts
    assert attempt.stop is not None
    assert attempt.stop.cause is StopCause.RULE
    assert attempt.stop.grace_s == 5.0
    assert attempt.stop.text == attempt.cause == "live rule 'dead' at step 30: mass is 0"
    assert attempt.failure is None
    assert [sent for _, sent in launcher.signals] == [Signal.TERM]
    assert world.history().summaries[dead.id].metrics["mass"].n == 5, "it keeps its history"
    assert attempt.stop.at - (attempt.started_at or 0.0) < 0.5, "what was on disk at the look is acted on at once"


def started(world: World) -> list[str]:
    return [str(event.detail["job"]) for event in world.watching.of("job started")]


def test_a_successor_starts_ahead_of_the_queue_while_its_parents_round_goes_on(world: World) -> None:
    pack(world, FORK)
    world.run(dying(world, 0.1), cfgs=world.configs(4), decide=True, rounds=2, concurrency=2)
    history = world.history()
    parent, child = history.jobs[0], next(job for job in history.jobs if job.origin.proposer == FORK_)
    assert (parent.outcome, child.outcome) == (Outcome.STOPPED, Outcome.SUCCEEDED)
    assert (child.round, child.origin.parent, child.origin.rule, child.ahead) == (2, parent.id, "dead", True)
    assert child.origin.reason == "mass is 0"
    assert child.config.data()["lr"] == pytest.approx(1.1)
    assert started(world)[:5] == ["c0", "c1", child.name, "c2", "c3"]
    stop = parent.attempts[0].stop
    assert stop is not None
    assert child.attempts[0].created_at >= stop.at
    assert child.attempts[0].slot == parent.attempts[0].slot, "its parent's place is the first that is free"
    (decided,) = [one for one in world.watching.of("round decided") if one.detail["round"] == 1]
    assert child.attempts[0].created_at < decided.at
    assert len([job for job in history.jobs if job.round == 2]) == 4, "it takes one of the round's places"
    assert not [job for job in history.jobs if job.origin.parent == parent.id and job is not child]


def test_what_a_fork_rests_on_is_kept_with_its_proposal(world: World) -> None:
    pack(world, FORK.replace("1.0", '{ expr = \'value("mass") + 2 * value("mass", 10)\' }'))
    world.run(dying(world, 0.1), cfgs=world.configs(2), decide=True, rounds=2)
    history = world.history()
    child = next(job for job in history.jobs if job.origin.proposer == FORK_)
    (row,) = [one for one in history.proposals if one.child == child.id]
    (decision,) = [one for one in history.decisions if one.id == row.decision]
    assert (row.verdict, row.round, row.proposal.proposer, row.proposal.rule) == (Verdict.ACCEPTED, 1, FORK_, "dead")
    assert row.edits == ("lr@add=1.0",)
    asked = rules_asked(decision.detail)
    assert (decision.kind, asked.rule) == (DecisionKind.FORK, "dead")
    assert asked.event == "live rule 'dead' fired at step 30 of c0"
    assert asked.parents[0].readings['value("mass")'] == 0.0
    assert asked.parents[0].readings['value("mass", 10)'] == 0.5


def forks(world: World) -> list[Job]:
    return [job for job in world.history().jobs if job.origin.proposer == FORK_]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"decide": True, "rounds": 1}, "round 1 is the last (--rounds 1)"),
        ({"decide": False, "rounds": 2}, "without --decide nothing follows"),
    ],
)
def test_past_the_last_round_a_fork_is_only_a_stop_and_says_so(
    world: World, options: dict[str, object], why: str
) -> None:
    pack(world, FORK)
    assert world.run(dying(world, 0.1), cfgs=world.configs(1), **options) == 0
    (job,) = world.history().jobs
    assert job.outcome is Outcome.STOPPED
    assert job.attempts[0].cause == f"live rule 'dead' at step 30: mass is 0 (only stopped: {why})"
    assert not [one for one in world.history().proposals if one.proposal.proposer == FORK_]


def test_a_successor_that_the_panel_refuses_is_recorded_with_its_reasons_and_the_job_only_stopped(world: World) -> None:
    pack(world, FORK + '[guardrails]\nallow = ["other"]\n')
    world.run(dying(world, 0.1), cfgs=world.configs(2), decide=True, rounds=2)
    job = world.history().jobs[0]
    (row,) = [one for one in world.history().proposals if one.proposal.proposer == FORK_]
    assert job.outcome is Outcome.STOPPED
    assert (row.verdict, row.parent, row.child) == (Verdict.REFUSED, job.id, None)
    assert "lr" in row.reasons[0]
    (told,) = world.watching.of("fork refused")
    assert told.detail["rule"] == "dead"


def test_a_value_that_cannot_be_computed_is_no_successor(world: World) -> None:
    pack(world, FORK.replace("1.0", "{ expr = 'last(\"never\")' }"))
    world.run(dying(world, 0.1), cfgs=world.configs(2), decide=True, rounds=2)
    (row,) = [one for one in world.history().proposals if one.proposal.proposer == FORK_]
    assert row.reasons == ('lr@add = last("never") cannot be computed: a reading or a value of the config is unknown',)


def test_two_jobs_that_would_have_the_same_successor_have_one(world: World) -> None:
    pack(world, FORK.replace("lr@add", "lr@set"))
    world.run(dying(world, 0.1, 0.2), cfgs=world.configs(2), decide=True, rounds=2, concurrency=2)
    (child,) = forks(world)
    rows = [one for one in world.history().proposals if one.proposal.proposer == FORK_]
    assert [one.verdict for one in rows] == [Verdict.ACCEPTED, Verdict.REFUSED]
    assert rows[1].reasons == ("the study has tried this very config already",)
    assert child.config.data()["lr"] == 1.0


def test_successors_take_no_more_places_than_the_round_has(world: World) -> None:
    pack(world, FORK)
    world.run(dying(world, 0.1, 0.2, 0.3), cfgs=world.configs(3), decide=True, rounds=2, round_size=2, concurrency=3)
    assert len(forks(world)) == 2
    assert len([job for job in world.history().jobs if job.round == 2]) == 2
    assert [job.outcome for job in world.history().jobs[:3]] == [Outcome.STOPPED] * 3
    (told,) = world.watching.of("fork refused")
    assert told.detail["reasons"] == ["the places of round 2 went to other successors (2 of 2)"]
    assert [one.kind for one in world.history().decisions].count(DecisionKind.FORK) == 2


def test_of_two_rules_at_one_step_the_first_in_the_pack_decides_and_a_warning_goes_along(world: World) -> None:
    warn = DEAD.replace('"dead"', '"hush"') + 'then = "warn"\n'
    pack(world, warn + DEAD.replace('"dead"', '"first"') + FORK)
    world.run(dying(world, 0.1), cfgs=world.configs(1), decide=True, rounds=2)
    job = world.history().jobs[0]
    assert job.attempts[0].cause == "live rule 'first' at step 30: mass is 0"
    assert not forks(world)
    (told,) = world.watching.of("live rule")
    assert (told.detail["rule"], told.detail["step"], told.detail["text"]) == (
        "hush", 30, "live rule 'hush' at step 30: mass is 0"
    )  # fmt: skip
    kinds = [one.kind for one in world.watching.events if one.kind in ("live rule", "job stopping")]
    assert kinds == ["job stopping", "live rule"]


def test_a_rule_that_only_warns_does_so_once_also_under_the_next_supervisor(world: World) -> None:
    pack(world, DEAD + 'then = "warn"\n')
    launcher = StubLauncher(dying(world, 0.1), world.clock)

    def leave(event: Event) -> None:
        if event.kind == "live rule":
            os.kill(os.getpid(), signal.SIGTERM)

    world.watching.react = leave
    assert world.run(cfgs=world.configs(1), launcher=launcher) == 130
    world.watching.react = lambda event: None
    assert world.run(cfgs=(), resume=True, study="pack", launcher=launcher) == 0
    assert len(world.watching.of("live rule")) == 1
    (job,) = world.history().jobs
    assert job.outcome is Outcome.SUCCEEDED


WARM = (
    (Path(auto_loop.launch.__file__).parent / "profiles/script.toml").read_text()
    + """
[warm]
key = "start_from"
folder = "last/model"
"""
)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_warm_successor_waits_for_the_checkpoint_that_its_parent_leaves(world: World, leaves: bool) -> None:
    pack(world, FORK + "warm = true\n")
    (world.root / "warm.toml").write_text(WARM)

    def script(request: LaunchRequest) -> Act:
        if lr_of(world, request) == 0.1:
            append(world, request, masses(0.0, 0.0, 0.0))
            return Act(duration_s=50.0, on_term_s=5.0, on_end=saves)
        return Act(duration_s=50.0)

    def saves(request: LaunchRequest) -> None:
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        if leaves:
            (world.root / words["--output_dir"] / "last/model").mkdir(parents=True)

    world.run(script, cfgs=world.configs(1), decide=True, rounds=2, concurrency=2, profile="warm.toml")
    parent, child = world.history().jobs
    assert child.warm_from == parent.id
    assert child.attempts[0].created_at >= (parent.attempts[0].ended_at or 0.0)
    folder = f"{parent.output_dir}/last/model"
    assert (f"--start_from={folder}" in child.attempts[0].command) is leaves
    (_, event) = world.watching.of("job started")
    told = {"warm_from": folder} if leaves else {"not_warm": f"{parent.name} left no last/model"}
    assert told.items() <= event.detail.items()


def test_a_profile_that_knows_no_warm_start_starts_fresh_and_says_so(world: World) -> None:
    pack(world, FORK + "warm = true\n")
    world.run(dying(world, 0.1), cfgs=world.configs(1), decide=True, rounds=2)
    (_, event) = world.watching.of("job started")
    assert event.detail["not_warm"] == "profile script does not say how its trainer starts warm"


def test_rules_that_never_had_their_metrics_are_kept_for_the_report(world: World) -> None:
    either = '[[stop]]\nname = "either"\nwhen = \'n("mass") > 99 or n("weight") > 99\'\nreason = "r"\n'
    both = '[[stop]]\nname = "both"\nwhen = \'n("mass") > 99 and not n("weight") > 1\'\nreason = "r"\n'
    pack(world, DEAD + either + both)
    world.run(dying(world), cfgs=world.configs(1))
    reading = Reading.open(world.root / "outputs/ledger.sqlite3")
    told = [one for _, one in reading.events(world.history().loops[0].number) if one.kind == UNJUDGED]
    reading.close()
    (event,) = told
    mine = {name: lacks for name, lacks in dict(event.detail["rules"]).items() if "loss" not in name}  # type: ignore[arg-type] # JSON
    assert mine == {"both": ["weight"]}


def test_of_a_configs_repeats_the_first_is_the_parent_and_the_successor_runs_under_as_many_seeds(world: World) -> None:
    pack(world, FORK)
    (world.root / "base.json").write_text(json.dumps({"lr": 0.1, "seed": 7}))
    lasts = iter([90.0, 50.0, 50.0])

    def script(request: LaunchRequest) -> Act:
        config = world.root / dict(word.split("=", 1) for word in request.argv if "=" in word)["--config_path"]
        if lr_of(world, request) == 0.1:  # of the repeats the second and third die at once, the first one late
            append(world, request, masses(*([0.5] * 3 if json.loads(config.read_text())["seed"] == 7 else [0.0] * 3)))
            return Act(duration_s=next(lasts))
        append(world, request, masses(*[0.5] * 3))
        return Act(duration_s=5.0)

    world.run(script, cfgs=("base.json",), decide=True, rounds=2, repeats=3, concurrency=3)
    jobs = world.history().jobs
    lead, children = jobs[0], [job for job in jobs if job.round == 2]
    assert [job.outcome for job in jobs[:3]] == [Outcome.SUCCEEDED, Outcome.STOPPED, Outcome.STOPPED]
    assert [job.config.data()["seed"] for job in children] == [7, 8, 9]
    assert [job.origin.proposer for job in children] == [FORK_, REPEAT, REPEAT]
    assert children[0].origin.parent == lead.id
    assert all(job.ahead for job in children)
    (row,) = [one for one in world.history().proposals if one.proposal.proposer == FORK_]
    assert row.verdict is Verdict.ACCEPTED
    (told,) = world.watching.of("fork refused")
    assert told.detail["reasons"] == [f"{children[0].name} is its config's changed successor already"]


def test_a_successor_that_is_remedied_stays_ahead_and_warm(world: World) -> None:
    remedy = '[guardrails]\nallow = ["lr"]\n[[remedy]]\nfailure = "out of memory"\nchange = { "lr@mul" = 0.5 }\n'
    pack(world, FORK + "warm = true\n" + remedy)

    def script(request: LaunchRequest) -> Act:
        if lr_of(world, request) == 1.1:
            return Act(duration_s=1.0, returncode=1, inner="OutOfMemoryError: CUDA out of memory")
        return dying(world, 0.1)(request)

    world.run(script, cfgs=world.configs(1), decide=True, rounds=2)
    parent, child, remedied = world.history().jobs
    assert remedied.origin.parent == child.id
    assert (remedied.round, remedied.ahead, remedied.warm_from) == (2, True, parent.id)


def test_a_successor_may_be_stopped_and_followed_in_its_turn(world: World) -> None:
    pack(world, FORK)
    world.run(dying(world, 0.1, 1.1), cfgs=world.configs(2), decide=True, rounds=3, concurrency=1)
    first, second = forks(world)
    assert [job.round for job in (first, second)] == [2, 3]
    assert second.origin.parent == first.id
    assert started(world)[:4] == ["c0", first.name, second.name, "c1"], "long before their rounds"


def test_a_successor_does_not_wait_where_a_slot_is_free(world: World) -> None:
    pack(world, FORK)
    launcher = StubLauncher(lambda request: replace(dying(world, 0.1)(request), on_term_s=20.0), world.clock)
    world.run(cfgs=world.configs(1), launcher=launcher, decide=True, rounds=2, concurrency=2)
    parent, child = world.history().jobs
    stop = parent.attempts[0].stop
    assert stop is not None
    assert stop.at <= child.attempts[0].created_at < stop.at + 0.5
    assert child.attempts[0].slot != parent.attempts[0].slot


def test_jobs_of_an_earlier_loop_are_left_to_themselves(world: World) -> None:
    pack(world, FORK)
    requests: list[LaunchRequest] = []

    def script(request: LaunchRequest) -> Act:
        requests.append(request)
        return Act(duration_s=50.0)

    def leave(event: Event) -> None:
        if event.kind == "progress" and len(requests) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    launcher = StubLauncher(claimed(world, script), world.clock)
    world.watching.react = leave
    assert world.run(cfgs=world.configs(1), launcher=launcher) == 130
    world.watching.react = lambda event: None
    append(world, requests[0], masses(0.0, 0.0, 0.0, 0.0))
    world.run(cfgs=world.configs(2)[1:], launcher=launcher, decide=True, rounds=2, concurrency=2)
    assert Signal.TERM not in {sent for _, sent in launcher.signals}
    assert world.history().jobs[0].outcome is Outcome.SUCCEEDED


def test_what_a_look_finds_is_acted_on_before_the_next_wait(world: World) -> None:
    pack(world, DEAD)
    written: list[float] = []

    def dies(event: Event) -> None:
        if event.kind == "progress" and len(world.watching.of("progress")) == 5:
            append(world, world.requests[0], masses(0.0, 0.0, 0.0, 0.0))
            written.append(world.clock.now)

    world.watching.react = dies
    world.run(lambda request: Act(duration_s=50.0), cfgs=world.configs(1))
    (job,) = world.history().jobs
    stop = job.attempts[0].stop
    assert stop is not None
    assert stop.at - written[0] <= 1.1
