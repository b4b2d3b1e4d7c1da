"""Loops whose configs run under several seeds: cells, confirmations on fresh seeds, and what may be called better."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from auto_loop.domain.decision import DecisionKind, effect_seen, rules_asked
from auto_loop.domain.effect import Finding, Method
from auto_loop.domain.errors import MisuseError, RefusedError
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, REPEAT, Job, Outcome
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from tests.scenario.harness import World

PACK = """
[objective]
metric = "eval/loss"
direction = "lower"

[[rule]]
name = "halve"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 0.5 }
reason = "loss ended at {last('eval/loss')}"
group = "lr"
"""

PAIRED = """
starter = "python"
[config]
paired_streams = true
ignore = ["output_dir", "seed"]
[output]
metrics = ["metrics.jsonl"]
"""


@dataclass
class Noisy:
    """A loss of `gain` times the learning rate, with noise of the seed that every config shares in part."""

    world: World
    gain: float = 1.0
    fails: frozenset[int] = frozenset()

    def __call__(self, request: LaunchRequest) -> Act:
        config = self.config(request)
        if config["seed"] in self.fails:
            return Act(duration_s=5.0, returncode=1, on_end=self.logs)
        return Act(duration_s=10.0, on_end=self.logs)

    def config(self, request: LaunchRequest) -> dict[str, float]:
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        found: dict[str, float] = json.loads((self.world.root / words["--config_path"]).read_text())
        return found

    def logs(self, request: LaunchRequest) -> None:
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        config, folder = self.config(request), self.world.root / words["--output_dir"]
        shared = random.Random(config["seed"]).gauss(0, 0.05)
        own = random.Random(f"{config['seed']} {config['lr']}").gauss(0, 0.01)
        loss = 1 + self.gain * config["lr"] + shared + own
        folder.mkdir(parents=True)
        rows = [{"step": step, "eval/loss": loss + 1.0 / step} for step in (10, 20, 30)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(root=tmp_path)
    (tmp_path / "pack.toml").write_text(PACK)
    (tmp_path / "base.json").write_text(json.dumps({"lr": 0.8, "seed": 7}))
    return world


def seeds(jobs: list[Job]) -> list[int]:
    return [job.config.data()["seed"] for job in jobs]  # type: ignore[misc] # the configs of this file


def loop(world: World, trainer: Noisy, **options: object) -> int:
    usual = {"cfgs": ("base.json",), "decide": True, "rounds": 2, "repeats": 5, "concurrency": 2, "round_size": 1}
    return world.run(trainer, **{**usual, **options})


def test_a_config_runs_under_as_many_seeds_as_asked_and_its_children_under_the_same(world: World) -> None:
    assert loop(world, Noisy(world, gain=0.0), rounds=2) == 0
    jobs = world.history().jobs
    assert [job.round for job in jobs] == [1] * 5 + [2] * 5
    assert seeds(list(jobs[:5])) == seeds(list(jobs[5:])) == [7, 8, 9, 10, 11]
    assert [job.origin.proposer for job in jobs[:5]] == ["", *[REPEAT] * 4]
    assert {job.origin.parent for job in jobs[1:5]} == {jobs[0].id}
    assert {job.origin.parent for job in jobs[6:]} == {jobs[5].id}
    assert len({job.name for job in jobs}) == 10
    for job in jobs:
        assert json.loads((world.root / job.cfg_file).read_text()) == job.config.data()


def test_a_winner_is_confirmed_on_fresh_seeds_and_becomes_the_base(world: World) -> None:
    assert loop(world, Noisy(world), rounds=3) == 0
    history = world.history()
    fresh = [job for job in history.jobs if job.origin.proposer == CONFIRMATION]
    decided = {kind: [one for one in history.decisions if one.kind is kind] for kind in DecisionKind}
    first = effect_seen(decided[DecisionKind.CONFIRMATION][0].detail)
    winner, base = (next(job for job in history.jobs if job.id == id) for id in (first.candidate, first.base))
    assert base.name == "base"
    assert winner.origin.rule == "halve"
    assert first.effect.finding is Finding.BETTER
    assert (first.effect.method, first.effect.n_candidate, first.effect.n_base) == (Method.WELCH_T, 5, 5)
    mine = [job for job in fresh if job.origin.parent in (winner.id, base.id) and job.round == 2]
    assert sorted(seeds(mine)) == sorted([*first.seeds] * 2)
    assert not set(first.seeds) & {7, 8, 9, 10, 11}, "no seed that a choice has seen"
    second = effect_seen(decided[DecisionKind.CONFIRMATION][1].detail)
    assert second.base == winner.id
    assert second.number == 2
    assert second.effect.level > first.effect.level
    assert any("it is the base from here on" in str(event.detail) for event in world.watching.of("said"))


def test_where_the_trainer_pairs_its_streams_the_seeds_are_held_against_each_other(world: World) -> None:
    (world.root / "paired.toml").write_text(PAIRED)
    assert loop(world, Noisy(world, gain=0.06), profile="paired.toml") == 0
    (confirmed,) = [one for one in world.history().decisions if one.kind is DecisionKind.CONFIRMATION]
    effect = effect_seen(confirmed.detail).effect
    assert (effect.method, effect.pairs) == (Method.PAIRED_T, 5)
    assert effect.high is not None
    assert effect.low is not None
    assert effect.high - effect.low < 0.1, "the noise that two configs of one seed share cancels out"


def test_without_an_effect_nothing_is_called_better(world: World) -> None:
    assert loop(world, Noisy(world, gain=0.0), rounds=4) == 0
    confirmed = [one for one in world.history().decisions if one.kind is DecisionKind.CONFIRMATION]
    assert all(effect_seen(one.detail).effect.finding is not Finding.BETTER for one in confirmed)


def test_with_one_seed_nothing_is_confirmed(world: World) -> None:
    assert loop(world, Noisy(world), rounds=3, repeats=1) == 0
    kinds = {one.kind for one in world.history().decisions}
    assert kinds == {DecisionKind.ROUND}
    assert all(record.improved is None for record in world.history().proposals)


def test_a_rule_has_a_track_record_of_what_it_improved(world: World) -> None:
    loop(world, Noisy(world), rounds=3)
    accepted = [record for record in world.history().proposals if record.child is not None]
    assert [record.improved for record in accepted] == [True, True]


def test_the_rules_see_the_median_of_a_cell(world: World) -> None:
    loop(world, Noisy(world), rounds=2)
    history = world.history()
    asked = rules_asked(next(one for one in history.decisions if one.kind is DecisionKind.ROUND).detail)
    (parent,) = asked.parents
    lasts = sorted(history.summaries[job].metrics["eval/loss"].last or 0.0 for job in parent.repeats)
    assert len(lasts) == 5
    assert parent.readings['last("eval/loss")'] == pytest.approx(lasts[2])


def test_a_failed_repeat_leaves_the_others_to_speak(world: World) -> None:
    assert loop(world, Noisy(world, fails=frozenset({8})), rounds=2, retries=0) == 1
    history = world.history()
    assert [job.outcome for job in history.jobs if seeds([job]) == [8]] == [Outcome.FAILED] * 2
    confirmed = [one for one in history.decisions if one.kind is DecisionKind.CONFIRMATION]
    assert effect_seen(confirmed[0].detail).effect.finding is Finding.BETTER


def test_a_loop_that_was_left_in_the_middle_of_a_confirmation_goes_on_with_it(world: World) -> None:
    def leave(event: object) -> None:
        if "fresh seeds next" in str(event):
            raise KeyboardInterrupt

    world.watching.react = leave
    with pytest.raises(KeyboardInterrupt):
        loop(world, Noisy(world))
    world.watching.react = lambda event: None
    assert world.run(Noisy(world), resume=True, study="pack") == 0
    history = world.history()
    assert len([one for one in history.decisions if one.kind is DecisionKind.SCREENING]) == 1
    assert len([one for one in history.decisions if one.kind is DecisionKind.CONFIRMATION]) == 1
    assert len(history.jobs) == 20


def test_a_config_without_a_seed_cannot_be_repeated(world: World) -> None:
    (world.root / "base.json").write_text(json.dumps({"lr": 0.8}))
    with pytest.raises(MisuseError, match="no seed to repeat under"):
        loop(world, Noisy(world))


def test_a_seed_among_the_trainer_s_own_arguments_leaves_nothing_to_repeat(world: World) -> None:
    with pytest.raises(MisuseError, match="--extra gives every job the same seed"):
        loop(world, Noisy(world), extra=("--seed=5",))


def test_repeats_do_not_share_an_output_folder_of_the_user_s_own(world: World) -> None:
    with pytest.raises(RefusedError, match="several jobs would write into this one output folder"):
        loop(world, Noisy(world), rounds=1, extra=("--output_dir=outputs/mine",))


def test_what_fresh_seeds_showed_names_the_base_of_an_earlier_round(world: World) -> None:
    assert loop(world, Noisy(world)) == 0
    (told,) = [str(one.detail["text"]) for one in world.watching.of("said") if "On fresh seeds" in str(one.detail)]
    assert " against base: " in told


@dataclass
class Small(Noisy):
    """A trainer whose memory holds no batch above 4 under the seeds in `short` (None: under any)."""

    short: frozenset[int] | None = None

    def __call__(self, request: LaunchRequest) -> Act:
        config = self.config(request)
        if config["batch"] > 4 and (self.short is None or config["seed"] in self.short):
            return Act(duration_s=3.0, returncode=1, inner="OutOfMemoryError: CUDA out of memory.")
        return super().__call__(request)


REMEDIED = """
[guardrails]
allow = ["lr", "batch"]

[[remedy]]
failure = "out of memory"
change = { "batch@mul" = 0.5 }
reason = "less"
"""


@pytest.fixture
def small(world: World) -> World:
    (world.root / "pack.toml").write_text(PACK + REMEDIED)
    (world.root / "base.json").write_text(json.dumps({"lr": 0.8, "seed": 7, "batch": 8}))
    return world


def test_a_base_that_is_remedied_has_its_repeats_remedied_and_is_confirmed_against(small: World) -> None:
    assert loop(small, Small(small)) == 0, "nothing is left of what failed"
    history = small.history()
    remedied = [job for job in history.jobs if job.origin.proposer == REMEDY]
    assert sorted(seeds(remedied)) == [7, 8, 9, 10, 11], "each seed by its own remedy"
    (confirmed,) = [one for one in history.decisions if one.kind is DecisionKind.CONFIRMATION]
    seen = effect_seen(confirmed.detail)
    assert seen.base in {job.id for job in remedied}
    assert (seen.effect.n_candidate, seen.effect.n_base) == (5, 5)
    assert seen.effect.finding is Finding.BETTER


def test_a_run_that_is_to_confirm_a_config_is_not_remedied_into_another(small: World) -> None:
    assert loop(small, Small(small, short=frozenset({8, 14}))) == 1
    history = small.history()
    assert {job.round for job in history.jobs if job.origin.proposer == REMEDY} == {1, 2}
    confirming = {job.id for job in history.jobs if job.origin.proposer == CONFIRMATION}
    assert not [job for job in history.jobs if job.origin.parent in confirming]
    assert any("it is to confirm this one" in str(event.detail) for event in small.watching.of("job settled"))


def test_a_loop_that_goes_on_with_another_pack_says_so(world: World) -> None:
    def leave(event: object) -> None:
        if "fresh seeds next" in str(event):
            raise KeyboardInterrupt

    world.watching.react = leave
    with pytest.raises(KeyboardInterrupt):
        loop(world, Noisy(world))
    world.watching.react = lambda event: None
    (world.root / "pack.toml").write_text(PACK.replace("0.5", "0.25"))
    assert world.run(Noisy(world), resume=True, study="pack") == 0
    told = "the rules are not those of this loop's last decision any more (the pack's texts)"
    assert [text for text in world.said if told in text]
    assert len({one.rulebook for one in world.history().decisions if one.rulebook}) == 2


FORKED = """
[[stop]]
name = "high"
when = 'value("eval/loss") > 1.6'
after = 20
then = "stop+fork"
change = { "lr@mul" = 0.25 }
reason = "loss is {value('eval/loss')}"
"""


@dataclass
class Early(Small):
    """Logs at once and trains on, so that a live rule finds something to stop."""

    def __call__(self, request: LaunchRequest) -> Act:
        act = super().__call__(request)
        if act.inner:
            return act
        self.logs(request)
        return Act(duration_s=30.0)


@pytest.mark.parametrize("steady", [False, True])
def test_the_remedied_runs_of_a_config_have_one_successor_and_are_decided_once(small: World, steady: bool) -> None:
    (small.root / "pack.toml").write_text(PACK + REMEDIED + FORKED)
    loop(small, Early(small), repeats=3, rounds=2, round_size=2, steady=steady)
    history = small.history()
    (fork,) = [job for job in history.jobs if job.origin.proposer == FORK]
    parent = next(job for job in history.jobs if job.id == fork.origin.parent)
    assert (parent.origin.proposer, seeds([parent])) == (REMEDY, [7])
    assert not [one for one in history.proposals if one.parent == parent.id and one.round == 1 and one.child != fork.id]


def test_the_words_of_an_effect_name_the_expression_that_was_judged_by(world: World) -> None:
    objective = PACK.replace('metric = "eval/loss"', "expression = \"-last('eval/loss')\"")
    (world.root / "pack.toml").write_text(objective.replace('direction = "lower"', 'direction = "higher"'))
    assert loop(world, Noisy(world)) == 0
    (told,) = [str(one.detail["text"]) for one in world.watching.of("said") if "On fresh seeds" in str(one.detail)]
    assert "-last('eval/loss'): 0.3" in told
    assert "higher (95 % interval" in told
