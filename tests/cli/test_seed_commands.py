"""The command lines that the project was asked for, as they were written: only paths and placeholders are filled in.

`seed_commands/*.sh` are the originals. `auto_loop` lies in the project folder, as in a clone.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.project import BASELINE, SCRIPT, Project

COMMANDS = Path(__file__).parent / "seed_commands"
FILLED_IN = {
    "utils.auto_loop": "auto_loop",
    "utils/auto_loop": "auto_loop",
    "src/lerobot/scripts/train_config/act_fr3_ot_99_20_baseline_h2jr9c.json": BASELINE,
    "src/lerobot/scripts/train_config/act_fr3_ot_99_20_baseline.json": BASELINE,
    "src/lerobot/scripts/train_config/fromwandb_h5ktqxph.json": BASELINE,
    "src/lerobot/scripts/train_config": "train_configs",
    "<上一轮cfg路径>": BASELINE,
    "<entity>": "someone",
    "<project>": "robots",
    "sleep 60": "sleep 0.1",
}
NAME = re.compile(r"train_configs/act_ot_baseline_[a-z0-9]{6}\.json")

# A trainer that logs what the act_ot rules read: transport is dead, whatever the config says.
DEAD_TRAINER = """
import json, pathlib, sys
words = dict(word[2:].split("=", 1) for word in sys.argv[1:])
out = pathlib.Path(words["output_dir"])
out.mkdir(parents=True)
(out / "config.json").write_text(pathlib.Path(words["config_path"]).read_text())
with (out / "metrics.jsonl").open("w") as file:
    for step in range(50, int(words["steps"]) + 1, 50):
        row = {"step": step, "train/ot_pi_sum": 2.6e-85, "train/ot_loss": 0.0, "train/ot_log_pi_sum": -194.8,
               "train/ot_m_eff": 448.0, "train/ot_s": 2.3, "train/l1_loss": 0.5 + 1 / step, "train/grad_norm": 1.0,
               "train/ot_cost/action": 400.0, "eval/offline_eval/avg_l1": 0.22 + 1 / step}
        file.write(json.dumps(row) + "\\n")
"""


def filled_in(name: str, **placeholders: str) -> str:
    """The text of a seed's command with its paths, its module path and its placeholders filled in."""
    text = (COMMANDS / f"{name}.sh").read_text()
    for old, new in {**FILLED_IN, **placeholders}.items():
        text = text.replace(old, new)
    assert not re.search(r"<[^<>\n]+>", text), "a placeholder is left"
    return text


def in_front(text: str) -> str:
    """A background command of the seed's, waited for; its own exit code is the shell's."""
    return text.rstrip() + "\nwait $!\n"


def commands(name: str) -> list[str]:
    return [part for part in filled_in(name).split("\n\n") if "python" in part]


@dataclass(frozen=True, kw_only=True)
class Made:
    """The seven variants, made in one project by the seed's own calls."""

    project: Project
    baseline: dict[str, Any]
    printed: list[str]

    def config(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.project.read(self.printed[number].splitlines()[-1])
        return found

    def path(self, number: int) -> str:
        return self.printed[number].splitlines()[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    project = Project(tmp_path_factory.mktemp("seed") / "project")
    baseline = project.baseline()
    done = [project.shell(command) for command in [*commands("three_variants"), *commands("four_variants")]]
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 7
    return Made(project=project, baseline=baseline, printed=[one.stdout for one in done])


def test_each_call_prints_its_variants_path_last_and_alone(made: Made) -> None:
    assert all(NAME.fullmatch(made.path(number)) for number in range(7))
    assert len({made.path(number) for number in range(7)}) == 7
    assert made.project.files("train_configs/*") == sorted([BASELINE, *map(made.path, range(7))])


def loss(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["ot"]["loss_config"]
    return found


def labels(config: dict[str, Any]) -> list[float]:
    return [feature["weight_label"] for feature in loss(config)["features"]]


def test_the_three_first_round_variants_hold_what_was_asked_and_nothing_else(made: Made) -> None:
    one, two, three = (made.config(number) for number in range(3))
    assert loss(one)["reg"] == pytest.approx(1.5 * loss(made.baseline)["reg"])
    assert [loss(one)["tau_src"], loss(one)["tau_tgt"], one["ot"]["lambda_ot"]] == [1.0, 1.0, 0.12]
    assert [loss(two)["tau_src"], loss(two)["tau_tgt"], two["ot"]["lambda_ot"]] == [2.0, 2.0, 0.15]
    assert labels(two) == pytest.approx([0.5 * label for label in labels(made.baseline)])
    assert [loss(three)["tau_src"], three["ot"]["lambda_ot"]] == [5.0, 0.1]
    assert labels(three) == [0.005] * 4
    assert {**one, "ot": None} == {**two, "ot": None} == {**three, "ot": None} == {**made.baseline, "ot": None}


@pytest.mark.parametrize(
    ("number", "reg", "tau", "lambda_ot"),
    [(3, 0.4, 2.0, 0.1), (4, 0.5, 3.0, 0.12), (5, 0.3, 1.0, 0.1), (6, 0.4, 1.0, 0.1)],
)
def test_the_four_that_unlock_mass_hold_what_was_asked(
    made: Made, number: int, reg: float, tau: float, lambda_ot: float
) -> None:
    config = made.config(number)
    assert [loss(config)[key] for key in ("reg", "tau_src", "tau_tgt")] == [reg, tau, tau]
    assert config["ot"]["lambda_ot"] == lambda_ot
    assert labels(config) == [*labels(made.baseline)[:3], 0.002]
    assert config["ot"]["topk_src_episodes"] == 20
    assert config["ot"]["sharpness"] == (0.75 if number == 5 else made.baseline["ot"]["sharpness"])
    assert config["ot"]["bc_src_weight"] == (0.7 if number == 6 else made.baseline["ot"]["bc_src_weight"])


def test_the_same_call_again_gives_the_same_name(made: Made) -> None:
    again = made.project.shell(commands("four_variants")[2])
    assert again.stdout.splitlines()[-1] == made.path(5)
    assert len(made.project.files("train_configs/*")) == 8


def test_autorun_shows_parent_and_reason_from_the_first_round(made: Made) -> None:
    made.project.write("train.py", DEAD_TRAINER)
    done = made.project.call(
        "autorun", "--cfgs", BASELINE, made.path(0), made.path(5), *SCRIPT, "--study", "origin", "--steps", "100",
        "--device", "cpu", "--exec",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    base, first, sharp = made.project.summary_jobs("origin")
    assert (base["parent"], base["reason"], base["changes"]) == (None, "", [])
    assert (first["parent"], first["reason"]) == (BASELINE, "reg+tau")
    assert sharp["reason"] == "sharpness=0.75"
    assert "ot.sharpness@set=0.75" in sharp["changes"]
    assert "sharpness=0.75" in (made.project.root / "reports/origin.md").read_text()


def runs(made: Made) -> dict[str, str]:
    """The seed's four calls of autorun, in the foreground."""
    quick = filled_in("three_rounds", **{"<三个上面生成的新 cfg 路径>": " ".join(map(made.path, range(3)))})
    four = filled_in("four_at_once", **{"<四个新 cfg 路径>": " ".join(map(made.path, range(3, 7)))})
    made.project.write(".codex_tmp/next_round_cfgs_calibrated.txt", "".join(made.path(n) + "\n" for n in range(4)))
    return {
        "three_rounds": quick,
        "four_at_once": four,
        "next_round": in_front(filled_in("next_round")),
        "one_behind": in_front(filled_in("one_behind")),
    }


LOGS = {"next_round": ".codex_tmp/autorun_roundN.log", "one_behind": ".codex_tmp/autorun_fix_h2jr9c.log"}
GPUS = {"three_rounds": "4567", "four_at_once": "4567", "next_round": "0123", "one_behind": "3"}


@pytest.mark.parametrize("name", ["three_rounds", "four_at_once", "next_round", "one_behind"])
def test_without_exec_a_run_is_a_plan_whose_absent_gpus_and_key_are_warnings(made: Made, name: str) -> None:
    done = made.project.shell(runs(made)[name].replace("--exec ", ""))
    plan = (made.project.root / LOGS[name]).read_text() if name in LOGS else done.stdout
    assert done.returncode == 0, plan + done.stderr
    assert [f"there is no GPU {gpu}" in plan for gpu in "01234567"] == [gpu in GPUS[name] for gpu in "01234567"]
    assert "warning: --wandb-online: no W&B key" in plan
    assert [f"CUDA_VISIBLE_DEVICES={gpu} " in plan for gpu in GPUS[name]] == [True] * len(GPUS[name])
    assert plan.count("--wandb.mode=online --wandb.entity=someone --wandb.project=robots") == len(GPUS[name])
    assert plan.rstrip().endswith("Nothing was run. Add --exec to run it.")


@pytest.mark.parametrize("name", ["three_rounds", "one_behind"])
def test_with_exec_it_is_refused_before_anything_is_launched(made: Made, name: str) -> None:
    loops = made.project.files("outputs/train/*")
    done = made.project.shell(runs(made)[name])
    said = (made.project.root / LOGS[name]).read_text() if name in LOGS else done.stderr
    assert done.returncode == 3
    assert "error: --gpus: there is no GPU" in said
    assert "error: --wandb-online: no W&B key" in said
    assert made.project.files("outputs/train/*") == loops


def test_the_chain_summary_decide_next_configs_runs_as_it_was_written(project: Project) -> None:
    baseline = project.baseline()
    hot = {**baseline, "ot": {**baseline["ot"], "lambda_ot": 0.2}}
    project.write("train_configs/hot.json", hot)
    project.write("train.py", DEAD_TRAINER)
    how = f"{' '.join(SCRIPT)} --steps 200 --device cpu --concurrency 2 --exec"
    run = f"python auto_loop/autorun.py --cfgs {BASELINE} train_configs/hot.json {how}"
    assert project.shell(f"{run} --study old").returncode == 0
    behind = f"setsid nohup {run} > .codex_tmp/autorun_roundN.log 2>&1 &"
    project.shell(f"{behind} echo $! > .codex_tmp/autorun_roundN.pid\nwait $!")
    assert len(project.files("outputs/train/*")) == 2

    assert project.shell(filled_in("offline_summary")).returncode == 0
    summaries = project.read(".codex_tmp/offline_summary.json")
    assert len(summaries) == 4
    assert all(re.search(r"outputs/train/loop_\d{10}/", folder) for folder in summaries)
    masses = [summary["metrics"]["train/ot_pi_sum"] for summary in summaries.values()]
    assert [(mass["first"], mass["last"], mass["n"]) for mass in masses] == [(2.6e-85, 2.6e-85, 4)] * 4
    assert all(summary["config"]["ot"] in (baseline["ot"], hot["ot"]) for summary in summaries.values())

    before = set(project.files("train_configs/*"))
    done = project.shell(filled_in("chain"))
    assert (done.returncode, done.stderr) == (0, "")
    new = sorted(set(project.files("train_configs/*")) - before)
    assert new == sorted(set(done.stdout.split()))
    assert len(new) >= 1
    for name in new:
        config = project.read(name)
        assert NAME.fullmatch(name)
        assert [config["steps"], config["log_freq"], config["eval_freq"]] == [10000, 100, 500]
        assert config["ot"] != baseline["ot"]
