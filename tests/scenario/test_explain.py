"""Why configs exist, told of whole loops: rules, repeats, confirmations, forks, remedies and a person's own."""

import json
from contextlib import closing

from auto_loop.assembly.explain_json import explain_json
from auto_loop.assembly.explain_text import explain_text
from auto_loop.assembly.explained import Explained
from auto_loop.assembly.explaining import explain
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, REPEAT, Job
from auto_loop.ledger.reading import Reading
from tests.scenario import test_replay as loops
from tests.scenario.harness import World
from tests.scenario.test_repeats import PACK as ONE_RULE
from tests.scenario.test_repeats import Noisy

world = loops.world  # the fixture


def explained(world: World, job: Job) -> Explained:
    with closing(Reading.open(world.root / loops.LEDGER)) as reading:
        return explain(reading, job)


def told(world: World, job: Job) -> str:
    """The text, its wrapped lines joined."""
    found = explained(world, job)
    json.dumps(explain_json(found), allow_nan=False)
    return " ".join(explain_text(found).split())


def child_of(world: World, rule: str) -> Job:
    return next(job for job in world.history().jobs if job.origin.rule == rule)


def test_a_config_of_a_rule_is_explained_whole(world: World) -> None:
    loops.run(world)
    job = child_of(world, "far up")
    text = told(world, job)
    assert f"{job.name}: job {job.id} of study pack" in text
    assert "Rule 'far up' proposed it of job 1 c0: the other way." in text
    assert "round 1 is over" in text
    assert 'fires when last("eval/loss") > 0' in text
    assert 'last("eval/loss") = 0.1363 (step 30)' in text
    assert "priority 15" in text
    assert "steep: the loss is still 0.1363" in text
    assert "edit lr@set=0.3" in text
    assert "lr: 0.1 → 0.3" in text
    assert "note " in text, "that it was clamped"
    assert "eval/loss: predicted 0.409, measured" in text
    assert "halve: lr@mul=0.5" in text
    assert "refused: the edit of `nowhere`: `nowhere` is not there" in text
    assert "refused: nowhere@mul=2" in text
    assert 'last("eval/none"): blind' in text
    assert f"job 1 c0 given by a person job {job.id}" in text


def test_a_computed_value_is_shown_with_its_expression(world: World) -> None:
    loops.run(world)
    text = told(world, child_of(world, "computed"))
    assert """computes width@mul = 2 + 0 * last("eval/loss") = 2""" in text
    assert 'value("eval/loss", 20) = ' in text
    assert "(step 20)" in text


def test_what_the_track_record_added_is_told_apart(world: World) -> None:
    loops.run(world)
    job = child_of(world, "halve")
    found = explained(world, job)
    assert found.fired is not None
    assert found.asked is not None
    assert found.record is not None
    assert found.fired.priority + found.fired.shift == found.record.proposal.priority


def test_a_persons_own_config_says_so(world: World) -> None:
    loops.run(world, decide=False)
    assert "A person named its file, c0.json: no rule made it" in told(world, world.history().jobs[0])


def test_repeats_and_confirmations_say_of_what_and_under_which_seed(world: World) -> None:
    (world.root / "pack.toml").write_text(ONE_RULE)
    (world.root / "base.json").write_text(json.dumps({"lr": 0.8, "seed": 7}))
    world.run(Noisy(world), cfgs=("base.json",), decide=True, rounds=2, repeats=5, concurrency=2, round_size=1)
    jobs = world.history().jobs
    repeat = next(job for job in jobs if job.origin.proposer == REPEAT)
    assert "It repeats job 1 base under another seed (seed 8); nothing else differs." in told(world, repeat)
    assert "auto-loop explain 1" in told(world, repeat)
    fresh = next(job for job in jobs if job.origin.proposer == CONFIRMATION)
    text = told(world, fresh)
    assert f"under a fresh seed ({fresh.origin.reason}), to confirm or reject a winner" in text
    assert "confirmed on fresh seeds" in text
    assert "better; it is the base from here on" in text
    winner = child_of(world, "halve")
    text = told(world, winner)
    assert "seen as the median of 5 runs" in text
    assert "screened, " in text
    assert "Welch's t" in text


def test_forks_and_remedies_say_what_they_follow(world: World) -> None:
    (world.root / "pack.toml").write_text(loops.PACK + loops.FORK)
    loops.stormy(world)
    jobs = world.history().jobs
    fork = next(job for job in jobs if job.origin.proposer == FORK)
    text = told(world, fork)
    assert "Live rule 'slow' stopped job 1 c0 and started it: loss is" in text
    assert "from step 20 on, 1 in a row" in text
    assert "fired at step 20 of c0" in text
    remedy = next(job for job in jobs if job.origin.proposer == REMEDY)
    text = told(world, remedy)
    assert "It took the place of job 2 c1, which had failed (out of memory: " in text
    assert "width: 8 → 4" in text


def test_a_rulebook_that_is_gone_leaves_what_the_proposal_says(world: World) -> None:
    loops.run(world)
    loops.change(world, "UPDATE rulebook SET text = replace(text, 'when = ', 'whom = ')")
    text = told(world, child_of(world, "halve"))
    assert "cannot read the kept rulebook any more" in text
    assert 'last("eval/loss") = 0.136333 (step 30)' in text


def test_names_that_would_move_the_terminal_are_made_harmless(world: World) -> None:
    loops.run(world)
    job = child_of(world, "halve")
    loops.change(world, "UPDATE job SET reason = ? WHERE id = ?", "a\x1b[2Jb\nc", job.id)
    mine = next(one for one in world.history().jobs if one.id == job.id)
    assert "\x1b" not in explain_text(explained(world, mine))
