import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.edits import diff
from auto_loop.domain.guardrails import check
from auto_loop.rules import decide
from auto_loop.rules.model import Computed
from auto_loop.rules.pack import parse, shipped_pack
from benchmarks.strategy_confirm import confirm, confirmed, key_of, result_file, to_confirm, write_json
from benchmarks.strategy_design import Arm, JobRecord, search_of
from benchmarks.strategy_jobs import ROOT, Bench, Command, commands, make_project, sweep
from benchmarks.strategy_search import PACKS, Place, baseline, searched
from benchmarks.strategy_space import RandomSampler, applied, values_of
from tests.benchmarks.searches import DESIGN, job, search

# ------------------------------------------------------------------------------------------------- the design


def test_no_confirming_seed_was_used_by_any_search():
    searched = {DESIGN.search_seed(repeat) for repeat in range(1, 51)}
    confirming = [seed for repeat in range(1, 51) for seed in DESIGN.confirm_seeds(repeat)]
    assert len(set(confirming)) == len(confirming) == 100
    assert not searched & set(confirming)


def test_each_arm_goes_first_in_its_turn():
    orders = [DESIGN.order(repeat) for repeat in range(1, 5)]
    assert {order[0] for order in orders} == set(Arm)
    assert all(set(order) == set(Arm) for order in orders)


def test_a_search_survives_its_file():
    whole = search(job(0.5, 0.2, 1e-2), job(0.7, None, None, good=False))
    assert search_of(json.loads(json.dumps(asdict(whole)))) == whole


def test_the_best_job_is_the_earliest_of_the_lowest_that_succeeded():
    found = search(job(0.1, 0.05, good=False), job(0.2, 0.3), job(0.3, 0.2), job(0.4, 0.2), job(0.5, None))
    assert found.best == found.jobs[2]
    assert search(job(0.1, None)).best is None


def test_mass_counts_above_its_band_s_lower_end_and_of_jobs_that_succeeded():
    dead, failed = job(0.1, 0.2, 1e-3), job(0.2, 0.2, 0.5, good=False)
    assert search(dead, failed).first_alive is None
    assert search(dead, failed, alive := job(0.3, 0.2, 2e-3)).first_alive == alive


# -------------------------------------------------------------------------------------- the space and the packs


def test_the_baseline_is_a_point_of_the_space():
    config = baseline(7)
    assert applied(config, values_of(config)) == config


def test_values_change_their_places_and_leave_the_given_config_alone():
    config = baseline(7)
    made = applied(config, {"ot.lambda_ot": 0.5, "label": 0.1, "embed": 2.0})
    features = made["ot"]["loss_config"]["features"]
    assert made["ot"]["lambda_ot"] == 0.5
    assert features[3]["weight_label"] == pytest.approx(0.02)
    assert [feature["weight_embed"] for feature in features] == [0.2, 0.2, 0.0, 0.0]
    assert config == baseline(7)


def test_every_draw_is_one_that_the_shipped_guardrails_allow():
    rails, start = shipped_pack("act_ot").guardrails, baseline(7)
    sampler = RandomSampler(3, values_of(start))
    assert sampler.ask()[1] == values_of(start)
    for _ in range(200):
        made = applied(start, sampler.ask()[1])
        edits = diff(Config.of(start), Config.of(made))
        assert edits
        assert check(Config.of(start), edits, rails, clamp=False).faults == ()


def test_equal_seeds_draw_alike():
    first = values_of(baseline(7))
    one, other, third = (RandomSampler(seed, first) for seed in (3, 3, 4))
    drawn = [[sampler.ask()[1] for _ in range(3)] for sampler in (one, other, third)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_nudging_pack_computes_nothing_and_may_do_no_more_than_the_shipped_one():
    text = Path(PACKS[Arm.NUDGING]).read_text(encoding="utf-8")
    nudging, shipped = parse(text), shipped_pack("act_ot")
    changes = [value for rule in (*nudging.rules, *nudging.stops) for value in rule.changes.values()]
    assert changes
    assert not any(isinstance(value, Computed) for value in changes)
    assert set(nudging.guardrails.allow or ()) <= set(shipped.guardrails.allow or ())
    assert set(nudging.guardrails.ranges) <= set(shipped.guardrails.ranges)
    assert nudging.objective.metric == shipped.objective.metric


@pytest.mark.parametrize(
    ("mass", "first"),
    [(1e-30, "unlock, mild"), (1e-4, "reg up"), (0.02, "more OT mixing")],
    ids=["dead", "weak", "alive"],
)
def test_the_nudging_pack_says_what_the_notes_said(mass, first):
    pack = parse(Path(PACKS[Arm.NUDGING]).read_text(encoding="utf-8"))
    metrics = {"train/ot_pi_sum": {"first": mass, "last": mass, "best": mass, "n": 10, "nan_count": 0}}
    proposals = decide({"config": baseline(7), "metrics": metrics}, pack)
    assert len(proposals) > 2
    assert proposals[0].rule == first


# -------------------------------------------------------------------------------------------- jobs and their slots


@pytest.fixture
def bench(tmp_path):
    """Two slots whose jobs do what they are told in Python, in an output folder that they have made."""
    folder = tmp_path / "project"
    make_project(folder, baseline(1), tmp_path / "data")
    script = "import sys, time, json, pathlib; out = pathlib.Path(sys.argv[2].split('=')[1]); out.mkdir(parents=True)"
    return lambda does: Bench(
        folder=folder,
        slots=[Command(words=(sys.executable, "-c", f"{script}\n{does}", "--config_path=x", "--output_dir=y"), env={})]
        * 2,
    )


LOGS = """
l1, mass = "eval/offline_eval/avg_l1", "train/ot_pi_sum"
lines = [{"step": 10, l1: 0.3, mass: 1e-9}, {"step": 20, l1: 0.2}, {"step": 30, l1: 0.25, mass: 0.01}]
(out / "metrics.jsonl").write_text("".join(json.dumps(line) + chr(10) for line in lines))
"""


def test_a_job_is_measured_by_its_best_l1_and_its_last_mass(bench):
    result = bench(LOGS).run(0, "one", baseline(1))
    assert (result.returncode, result.l1, result.mass) == (0, 0.2, 0.01)
    assert result.ended >= result.started


def test_a_job_beyond_its_deadline_is_ended_and_does_not_count(bench):
    began = time.time()
    assert bench("time.sleep(300)").run(0, "late", baseline(1), until=began + 0.5) is None
    assert time.time() - began < 60


def test_all_slots_are_kept_full_until_there_is_no_more(bench):
    made, seen = bench("pass"), []

    def work(slot: int) -> bool:
        number = len(seen)
        seen.append(slot)
        return number < 6 and made.run(slot, f"job{number}", baseline(1)) is not None

    made.fill(work)
    assert len(seen) >= 7
    assert set(seen) == {0, 1}


def test_a_fault_in_one_slot_ends_the_other_s_job(bench):
    made, began = bench("time.sleep(300)"), time.time()

    def work(slot: int) -> bool:
        if slot:
            while not list((made.folder / "outputs" / "train").glob("*")):
                time.sleep(0.02)
            raise RuntimeError("the sampler is gone")
        return made.run(0, "long", baseline(1)) is None

    with pytest.raises(RuntimeError, match="the sampler is gone"):
        made.fill(work)
    assert time.time() - began < 120


def test_what_works_in_a_folder_is_ended_and_nothing_else(tmp_path):
    inside, outside = tmp_path / "run", tmp_path / "run2"
    jobs = []
    for folder in (inside, outside):
        folder.mkdir()
        jobs.append(subprocess.Popen((sys.executable, "-S", "-c", "import time; time.sleep(300)"), cwd=folder))
    try:
        sweep(inside)
        assert jobs[0].wait(60) == -9
        assert jobs[1].poll() is None
    finally:
        for each in jobs:
            each.kill()
            each.wait()


def test_the_commands_are_those_of_the_loop_s_own_plan(tmp_path):
    folder = tmp_path / "project"
    make_project(folder, baseline(1), tmp_path / "data")
    made = commands(folder, baseline(1), DESIGN, ("--profile=act_ot",))
    assert len(made) == 2
    words = made[1].of("train_configs/mine.json", "outputs/train/mine")
    assert words[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert {"--config_path=train_configs/mine.json", "--output_dir=outputs/train/mine", "--steps=40"} <= set(words)
    assert made[1].env["OMP_NUM_THREADS"].isdigit()
    config_file = next(word for word in words if word.startswith("--config_file=")).partition("=")[2]
    assert json.loads(Path(config_file).read_text(encoding="utf-8"))["use_cpu"] is True


# -------------------------------------------------------------------- whole searches, with a trainer that knows the law

TRAINER = """
import json, math, pathlib, sys, time
told = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
config = json.loads(pathlib.Path(told["config_path"]).read_text())
loss = config["ot"]["loss_config"]
s = loss["reg"] + loss["tau_src"] + loss["tau_tgt"]
mass = math.exp(-4000 * loss["features"][3]["weight_label"] / s)
out = pathlib.Path(told["output_dir"])
out.mkdir(parents=True)
time.sleep(0.2)
row = {"step": int(told["steps"]), "eval/offline_eval/avg_l1": 0.3 - 0.1 * mass, "train/ot_pi_sum": mass}
(out / "metrics.jsonl").write_text(json.dumps(row) + chr(10))
"""


@pytest.fixture
def place(tmp_path):
    """A work folder whose trainer takes a fifth of a second."""
    trainer = tmp_path / "trainer.py"
    trainer.write_text(TRAINER, encoding="utf-8")
    return Place(work=tmp_path / "work", peers=tmp_path, trainer=("--profile=script", f"--train-script={trainer}"))


@pytest.mark.parametrize("arm", [Arm.NUDGING, Arm.RANDOM])
def test_a_search_counts_what_ended_within_its_budget(place, arm):
    for budget in (0.15, 1.0, 6.0):  # a busy machine gets more
        found = searched(arm, 1, replace(DESIGN, budget=budget), place)
        if len(found.jobs) >= 4 and (arm is Arm.RANDOM or found.first_alive):
            break
    first = next(job for job in found.jobs if job.mass < 1e-100)
    assert first.config == baseline(50)
    assert first.round == 1
    assert [job.minutes for job in found.jobs] == sorted(job.minutes for job in found.jobs)
    assert all(0 < job.minutes <= budget and job.succeeded for job in found.jobs)
    assert found.launched >= len(found.jobs) >= 4
    assert all(job.config["seed"] == 50 for job in found.jobs)
    assert len({key_of(job.config) for job in found.jobs}) == len(found.jobs)
    if arm is Arm.NUDGING:
        alive = found.first_alive
        assert (alive.round, alive.why in ("unlock, mild", "unlock, aggressive")) == (2, True)


def test_the_best_is_confirmed_on_each_fresh_seed_and_not_twice(place, tmp_path):
    config, results = applied(baseline(50), {"label": 0.01}), tmp_path / "results"
    confirm([config], 1, DESIGN, place, results)
    files = sorted(results.iterdir())
    assert [json.loads(file.read_text())["l1"] for file in files] == [pytest.approx(0.2969, abs=1e-4)] * 2
    files[0].unlink()
    files[1].write_text('{"l1": 7}')
    confirm([config], 1, DESIGN, place, results)
    assert sorted(one["l1"] for one in confirmed(config, 1, DESIGN, results)) == [pytest.approx(0.2969, abs=1e-4), 7]


def test_a_loop_that_is_refused_is_no_result(place):
    with pytest.raises(RuntimeError, match=r"nowhere\.py: no such file"):
        searched(Arm.NUDGING, 1, DESIGN, replace(place, trainer=("--train-script=nowhere.py",)))


# ----------------------------------------------------------------------------------------------- the confirmation


def test_a_config_that_two_arms_found_is_confirmed_once():
    config = baseline(50)
    found = {**config, "seed": 51, "output_dir": "elsewhere"}
    other = applied(config, {"ot.lambda_ot": 0.5})
    jobs = [
        JobRecord(name="a", round=1, minutes=1, succeeded=True, l1=0.1, mass=0.0, config=one) for one in (found, other)
    ]
    asked = to_confirm([search(jobs[0]), search(jobs[1]), search()], DESIGN, repeat=1)
    assert [key_of(one) for one in asked] == [key_of(config), key_of(other)]


def test_confirmations_are_read_by_their_seeds(tmp_path):
    config = {"lr": 1}
    for at, seed in enumerate(DESIGN.confirm_seeds(2)):
        write_json(result_file(tmp_path, 2, key_of(config), seed), {"l1": at})
    assert [one["l1"] for one in confirmed({"lr": 1, "seed": 9}, 2, DESIGN, tmp_path)] == [0, 1]


# -------------------------------------------------------------------------------------------------- the command line


def test_a_peer_without_optuna_is_said_before_anything_runs(tmp_path):
    told = (
        sys.executable,
        "-m",
        "benchmarks.strategies",
        "--peers",
        str(tmp_path / "none"),
        "--work",
        str(tmp_path / "w"),
    )
    done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has no Optuna" in done.stderr
    assert not (tmp_path / "w" / "runs").exists()


def test_another_design_does_not_go_on_in_the_same_folder(tmp_path):
    write_json(tmp_path / "w" / "design.json", asdict(DESIGN))
    told = (sys.executable, "-m", "benchmarks.strategies", "--peers", str(tmp_path), "--work", str(tmp_path / "w"))
    done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "another design" in done.stderr
