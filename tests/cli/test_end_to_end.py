"""The loop as a user runs it: real supervisors, keepers and jobs. Only the GPUs are made up.

No test waits for time to pass: jobs wait for files, tests wait for lines and files, each with a deadline that only a
fault reaches.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.domain.job import Outcome
from tests.cli.project import SCRIPT, Project

CPU = (*SCRIPT, "--device", "cpu", "--steps", "30", "--study", "night")
DEADLINE_S = 60

# Does what its config says, step by step: `do` is a list of words.
TRAINER = """
import json, os, pathlib, signal, sys, time
words = dict(word[2:].split("=", 1) for word in sys.argv[1:])
config = json.loads(pathlib.Path(words["config_path"]).read_text())
with open("starts", "a") as file:
    file.write(f"{os.getpid()} {words['config_path']}\\n")
out = pathlib.Path(words["output_dir"])
out.mkdir(parents=True)
(out / "env.json").write_text(json.dumps(dict(os.environ)))
for step, (deed, what) in enumerate(config.get("do", []), 1):
    print(f"step {step}: {deed} {what}", flush=True)
    if deed == "wait for":
        while not all(list(pathlib.Path().glob(name)) for name in what):
            time.sleep(0.01)
    elif deed == "log":
        with (out / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": 10 * step, "eval/loss": what}) + "\\n")
    elif deed == "raise":
        raise FileNotFoundError(what)
    elif deed == "kill":
        os.kill(os.getpid(), getattr(signal, what))
pathlib.Path(f"done-{pathlib.Path(words['config_path']).stem}").touch()
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a trainer that does what its config says; what it still runs at the end is ended."""
    made = Project(tmp_path / "project")
    made.write("train.py", TRAINER)
    yield made
    for pid, _ in starts(made):
        if alive(pid) and Path(f"/proc/{pid}/cwd").resolve() == made.root.resolve():
            os.kill(pid, signal.SIGKILL)


def config(project: Project, name: str, *deeds: tuple[str, object]) -> str:
    return project.write(f"{name}.json", {"do": deeds})


def starts(project: Project) -> list[tuple[int, str]]:
    """Process and config of every start of the trainer so far."""
    file = project.root / "starts"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), name) for pid, name in (line.split() for line in lines)]


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read the supervisor's lines up to one that holds `text`."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} was never said: {''.join(seen)}")


def outcomes(project: Project) -> dict[str, tuple[Outcome | None, int, str]]:
    """Outcome, number of attempts and cause of each job of the study."""
    jobs = project.history("night").jobs
    return {job.name: (job.outcome, len(job.attempts), job.attempts[-1].cause) for job in jobs if job.attempts}


def test_gpus_follow_the_slot_and_what_the_user_has_set_moves_no_pin(project: Project) -> None:
    project.gpus = 4
    project.extra = {"CUDA_VISIBLE_DEVICES": "1,2,3", "CUDA_DEVICE_ORDER": "FASTEST_FIRST", "WANDB_RUN_ID": "shared"}
    long = config(project, "long", ("wait for", [f"done-short{number}" for number in range(4)]))
    short = [config(project, f"short{number}") for number in range(4)]
    done = project.call("autorun", "--cfgs", long, *short, *SCRIPT, "--gpus", "3,2", "--exec")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = {}
    for file in project.files("outputs/train/*/*/env.json"):
        env = project.read(file)
        seen[Path(file).parent.name] = (env["CUDA_VISIBLE_DEVICES"], env["CUDA_DEVICE_ORDER"], env.get("WANDB_RUN_ID"))
    assert seen.pop("long") == ("3", "PCI_BUS_ID", None)
    assert seen == {f"short{number}": ("2", "PCI_BUS_ID", None) for number in range(4)}
    assert project.files(".codex_tmp/slot1_*") == [f".codex_tmp/slot1_short{number}.log" for number in range(4)]


def test_a_job_that_dies_is_a_row_with_its_cause_and_last_lines_and_the_others_go_on(project: Project) -> None:
    cfgs = [
        config(project, "early", ("print", "loading the data"), ("raise", "no such dataset: pick_place")),
        config(project, "cut", ("print", "building the network"), ("kill", "SIGKILL")),
        config(project, "killed", ("log", 0.5), ("log", 0.4), ("kill", "SIGKILL")),
        config(project, "fine", ("log", 0.9), ("log", 0.1)),
    ]
    done = project.call("autorun", "--cfgs", *cfgs, *CPU, "--concurrency", "1", "--retries", "0", "--exec")
    assert done.returncode == 1
    assert "Failed: early, cut, killed (their last lines are in the report)." in done.stdout
    assert outcomes(project) == {
        "early": (Outcome.FAILED, 1, "FileNotFoundError: no such dataset: pick_place"),
        "cut": (Outcome.FAILED, 1, "killed by SIGKILL: by someone, or by the kernel for want of memory"),
        "killed": (Outcome.FAILED, 1, "killed by SIGKILL: by someone, or by the kernel for want of memory"),
        "fine": (Outcome.SUCCEEDED, 1, ""),
    }
    report = (project.root / "reports/night.md").read_text()
    assert "step 1: print loading the data" in report
    assert "step 1: print building the network" in report
    assert report.count("killed by SIGKILL") >= 2
    early, cut, killed, fine = project.summary_jobs("night")
    assert [job["outcome"] for job in (early, cut, killed, fine)] == ["failed", "failed", "failed", "succeeded"]
    assert early["metrics"] == cut["metrics"] == {}
    assert killed["metrics"]["eval/loss"]["last"] == 0.4
    assert fine["metrics"]["eval/loss"]["delta"] == pytest.approx(-0.8)


def test_a_supervisor_that_is_told_to_leave_leaves_its_jobs_and_resume_adopts_them(project: Project) -> None:
    cfgs = [config(project, name, ("wait for", ["go"]), ("log", 0.5)) for name in ("a", "b", "c")]
    first = project.start("autorun", "--cfgs", *cfgs, *CPU, "--concurrency", "2", "--exec")
    until(lambda: len(starts(project)) == 2, "two jobs start")
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=DEADLINE_S)
    assert first.returncode == 130, said
    assert "`autorun --resume --study night --exec` goes on with it" in said
    running = [pid for pid, _ in starts(project)]
    assert all(map(alive, running))

    second = project.start("autorun", "--resume", "--study", "night", "--exec")
    read_until(second, "loop_")
    (project.root / "go").touch()
    said, _ = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 0, said
    assert outcomes(project) == dict.fromkeys("abc", (Outcome.SUCCEEDED, 1, ""))
    assert sorted(name for _, name in starts(project)) == ["a.json", "b.json", "c.json"]
    assert len(project.files(".codex_tmp/attempts/*.claim")) == 3
    assert len(project.history("night").loops) == 1


def test_ctrl_c_waits_for_what_runs_and_twice_stops_it_within_the_grace(project: Project) -> None:
    cfgs = [config(project, name, ("log", 0.5), ("wait for", ["never"])) for name in ("a", "b", "c")]
    supervisor = project.start("autorun", "--cfgs", *cfgs, *CPU, "--concurrency", "2", "--exec")
    until(lambda: len(project.files("outputs/train/*/*/metrics.jsonl")) == 2, "two jobs log")
    os.killpg(supervisor.pid, signal.SIGINT)  # a terminal sends it to the whole group
    read_until(supervisor, "waiting for 2 running jobs (Ctrl-C again stops them)")
    assert all(alive(pid) for pid, _ in starts(project))
    os.killpg(supervisor.pid, signal.SIGINT)
    said, _ = supervisor.communicate(timeout=DEADLINE_S)
    assert supervisor.returncode == 130, said
    assert not any(alive(pid) for pid, _ in starts(project))
    assert {name: outcome for name, (outcome, _, _) in outcomes(project).items()} == {
        "a": Outcome.STOPPED,
        "b": Outcome.STOPPED,
    }
    assert "Report: reports/night.md" in said
    assert len(starts(project)) == 2


def test_a_terminal_that_is_closed_while_a_loop_is_prepared_does_not_end_it(project: Project) -> None:
    python = Path(project.write("hangs-up.sh", f'#!/bin/sh\nkill -HUP $PPID\nexec {sys.executable} "$@"\n'))
    (project.root / python).chmod(0o755)
    said = project.call("autorun", "--cfgs", config(project, "a"), *CPU, "--python", f"./{python}", "--exec")
    assert said.returncode == 0, said.stdout + said.stderr
    assert outcomes(project) == {"a": (Outcome.SUCCEEDED, 1, "")}


def test_a_loop_goes_on_when_nobody_reads_what_it_says_any_more(project: Project) -> None:
    for name in ("a", "b"):
        config(project, name)
    said = project.shell(f"python -m auto_loop.autorun --cfgs a.json b.json {' '.join(CPU)} --exec | head -n 1")
    assert (len(said.stdout.splitlines()), said.stderr) == (1, "")
    assert outcomes(project) == dict.fromkeys("ab", (Outcome.SUCCEEDED, 1, ""))
    assert (project.root / "reports/night.md").exists()


def test_one_variant_is_made_and_run_in_the_users_own_folder(project: Project) -> None:
    base = project.write("base.json", {"lr": 1.0, "do": [["log", 0.5], ["log", 0.25]]})
    words = (
        "--changes",
        "lr@mul=0.5",
        "--reason",
        "slower",
        *CPU,
        "--exec",
        "--extra-args",
        "--output_dir=outputs/mine",
    )
    done = project.call("generate_and_run", "--base-cfg", base, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    path = done.stdout.splitlines()[-1]
    assert project.read(path)["lr"] == 0.5
    (job,) = project.summary_jobs("night")
    assert (job["cfg"], job["parent"], job["reason"]) == (path, base, "slower")
    assert job["output_dir"] == "outputs/mine"
    assert job["metrics"]["eval/loss"]["best"] == 0.25


def test_changes_that_change_nothing_are_said_and_give_the_base_no_origin(project: Project) -> None:
    base = config(project, "base", ("log", 1.0))
    words = (*SCRIPT, "--changes", "do.0.1@mul=1", "--reason", "none")
    done = project.call("generate_and_run", "--base-cfg", base, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    note, path = done.stdout.splitlines()
    assert note == f"note: the changes leave {base} as it is: the variant is its copy"
    assert project.read(path) == project.read(base)
    assert project.call("autorun", "--cfgs", base, *CPU, "--exec").returncode == 0
    (job,) = project.summary_jobs("night")
    assert (job["parent"], job["reason"], job["changes"]) == (None, "", [])


def test_the_same_job_of_another_loop_has_a_log_of_its_own(project: Project) -> None:
    said = config(project, "said", ("raise", "first")), config(project, "mute")
    for name in said:  # the second one's config takes the first one's name, and prints nothing
        (project.root / name).rename(project.root / "job.json")
        project.call("autorun", "--cfgs", "job.json", *CPU, "--exec")
    first, second = (job.attempts[-1] for job in project.history("night").jobs)
    assert "first" in Path(first.log_file).read_text()
    assert Path(first.log_file).name == "slot0_job.log"
    assert Path(second.log_file).name == f"slot0_job.loop_{project.history('night').jobs[-1].loop}.log"
    assert Path(second.log_file).read_text() == second.log_tail == ""


def test_under_accelerate_too_a_killed_job_says_more_than_its_launchers_exit_code(project: Project) -> None:
    cut = config(project, "cut", ("print", "building the network"), ("kill", "SIGKILL"))
    words = ("--profile", "accelerate-script", "--train-script", "train.py", "--device", "cpu", "--study", "night")
    done = project.call("autorun", "--cfgs", cut, *words, "--exec")
    assert done.returncode == 1
    assert "the trainer was killed" in outcomes(project)["cut"][2]
    assert "step 1: print building the network" in (project.root / "reports/night.md").read_text()


def test_the_shipped_trainer_under_accelerate_for_two_rounds(project: Project) -> None:
    alive_config, dead_config = tiny_config(label=0.002), tiny_config(label=5.0)
    cfgs = [project.write("alive.json", alive_config), project.write("dead.json", dead_config)]
    words = ("--steps", "20", "--log-freq", "5", "--eval-freq", "10", "--decide", "--rounds", "2", "--round-size", "1")
    done = project.call("autorun", "--cfgs", *cfgs, *words, "--device", "cpu", "--concurrency", "2", "--exec")
    assert done.returncode == 0, done.stdout + done.stderr
    lively, dead, child = project.summary_jobs("act_ot")
    assert [job["outcome"] for job in (lively, dead, child)] == ["succeeded"] * 3
    assert lively["metrics"]["train/ot_pi_sum"]["last"] > 1e-6 > dead["metrics"]["train/ot_pi_sum"]["last"]
    assert child["parent"] in cfgs
    assert child["reason"]
    assert child["changes"]
    assert project.read(child["cfg"])["ot"] != project.read(child["parent"])["ot"]
    assert [child["metrics"]["eval/offline_eval/avg_l1"]["n"], child["metrics"]["train/ot_pi_sum"]["n"]] == [2, 4]


def tiny_config(label: float) -> dict[str, object]:
    """A state-only job of a second; `label` weighs the actions' cost: 5.0 leaves transport no mass."""
    small = {"chunk_size": 5, "dim_model": 16, "n_heads": 2, "dim_feedforward": 32, "latent_dim": 4}
    state = {"src_key": "observation.state", "tgt_key": "observation.state", "weight_embed": 0.1, "term_name": "hand"}
    action = {"src_key": "action", "tgt_key": "action", "use_learned_embed": False, "weight_embed": 0.0}
    features = [state, {**action, "weight_label": label, "term_name": "action"}]
    made = {
        "batch_size": 8,
        "dataset": {"root": "data/pick_place_state_target_2"},
        "policy": {"device": "cpu", "n_encoder_layers": 1, **small},
        "ot": {
            "enable": True,
            "src_root": "data/pick_place_state_source_6",
            "pair_info_path": "data/pairs_source_6_target_2.npz",
            "loss_config": {"features": features},
        },
    }
    return json.loads(json.dumps(made))  # type: ignore[no-any-return] # a mapping, as it was made
