"""A night without nohup: a detached supervisor, its pid file, and `auto-loop wait`; with real processes."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.assembly.detach import attached
from auto_loop.launch.processes import process
from tests.cli.project import SCRIPT, Project

PATIENCE_S = 60.0
# Trains until the config's file is there, and ends with the config's exit code.
TRAINER = """
import json, os, pathlib, sys, time
words = dict(word[2:].split("=", 1) for word in sys.argv[1:])
config = json.loads(pathlib.Path(words["config_path"]).read_text())
with open("trainers", "a") as file:
    file.write(f"{os.getpid()}\\n")
while config.get("until") and not pathlib.Path(config["until"]).exists():
    time.sleep(0.01)
sys.exit(config.get("code", 0))
"""
HOW = (*SCRIPT, "--device", "cpu", "--concurrency", "1", "--retries", "0", "--exec")
DRIVEN = re.compile(r"^Study (\S+) is driven by process (\d+), detached; it writes (\S+)$", re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A trainer and three configs; what a test leaves running is ended."""
    made = Project(tmp_path / "project")
    made.write("train.py", TRAINER)
    made.write("quick.json", {})
    made.write("bad.json", {"code": 3})
    made.write("held.json", {"until": "go"})
    yield made
    for pid in [*pids(made, "trainers"), *pids(made, "supervisors")]:
        if runs(pid) and Path(f"/proc/{pid}/cwd").resolve() == made.root.resolve():
            os.kill(pid, signal.SIGKILL)


def pids(project: Project, name: str) -> list[int]:
    file = project.root / name
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def runs(pid: int) -> bool:
    found = process(pid)
    return found is not None and not found.ended


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)


def driven(project: Project, said: str) -> tuple[str, int, str]:
    """Study, pid and log that a detached call named."""
    found = DRIVEN.search(said)
    assert found is not None, said
    with (project.root / "supervisors").open("a") as file:
        file.write(f"{found[2]}\n")
    return found[1], int(found[2]), found[3]


def detach(project: Project, *words: str) -> tuple[str, int, str]:
    done = project.call("autorun", *words, *HOW, "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    return driven(project, done.stdout)


def wait(project: Project, *words: str) -> tuple[int, str]:
    done = project.shell(" ".join(["python -m auto_loop wait", *words]))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def ended_by(project: Project, pid: int, number: signal.Signals) -> None:
    """The supervisor, ended once its job trains."""
    until(lambda: pids(project, "trainers"))
    os.kill(pid, number)
    until(lambda: not runs(pid))


def test_a_detached_loop_outlives_the_terminal_that_it_was_started_in(project: Project) -> None:
    ours, theirs = pty.openpty()
    words = ["-m", "auto_loop.autorun", "--cfgs", "held.json", *HOW, "--study", "night", "--pid-file", "run/night.pid"]
    # Opened by a session's leader, the terminal becomes the session's own: its Ctrl-C and its hang-up come from there.
    shell = f'exec <>{os.ttyname(theirs)} >said 2>&1; {sys.executable} "$@" --detach; touch returned; exec sleep 600'
    # In a shell's background too, where these are ignored, the terminal's Ctrl-C and hang-up reach the caller.
    default = ["env", "--default-signal=HUP,INT,QUIT"]
    caller = subprocess.Popen(
        [*default, "bash", "-c", shell, "bash", *words], cwd=project.root, env=project.env, start_new_session=True
    )
    until(lambda: project.files("returned"))
    study, pid, log = driven(project, (project.root / "said").read_text())
    assert (study, log) == ("night", ".codex_tmp/autorun_night.log")
    assert (project.root / "run/night.pid").read_text() == f"{pid}\n"
    assert os.getsid(pid) == pid != caller.pid
    assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
    assert wait(project, "night", "--timeout", "0")[0] == 124

    os.write(ours, b"\x03")
    assert caller.wait(PATIENCE_S) == -signal.SIGINT, "the terminal's own processes are interrupted"
    os.close(theirs)
    os.close(ours)
    until(lambda: pids(project, "trainers"))
    assert runs(pid)

    project.write("go", "")
    code, said = wait(project, "night")
    assert (code, said.count("\n")) == (0, 1), said
    assert re.fullmatch(r"Study night: loop \d+ is finished \(.+\); 1 job, none failed\.\n", said)
    assert not runs(pid), "it returns when the report is drawn, too"
    assert not project.files("run/*")
    text = (project.root / log).read_text()
    assert "Ended: " in text
    assert "Report: reports/night.md" in text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--cfgs", "quik.json"), 2, "error: quik.json: there is no such config file (did you mean quick.json"),
        (("--cfgs", "quick.json", "--gpus", "0", "--device", "cuda"), 3, "error: --gpus: there is no GPU 0"),
        (("--resume", "--study", "night"), 2, "error: --resume: study night has no unfinished loop"),
        (("--cfgs", "quick.json", "--pid-file", "train.py"), 2, "error: --pid-file: train.py holds something else"),
    ],
)
def test_bad_input_is_refused_before_anything_is_detached(
    project: Project, words: tuple[str, ...], code: int, said: str
) -> None:
    done = project.call("autorun", *SCRIPT, "--exec", "--detach", *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert project.files("outputs/*") == project.files(".codex_tmp/autorun_*") == []
    assert (project.root / "train.py").read_text() == TRAINER


def test_what_ends_the_detached_process_early_is_said_with_its_exit_code(project: Project) -> None:
    done = project.call("autorun", "--cfgs", "quick.json", *HOW, "--detach", "--pid-file", "quick.json/pid")
    assert done.returncode == 3, done.stdout
    assert "error: " in done.stderr
    assert "quick.json" in done.stderr
    assert DRIVEN.search(done.stdout) is None
    assert not project.files("trainers")


def test_a_token_for_the_trainer_is_not_on_the_command_line_of_the_detached_process(project: Project) -> None:
    token = b"hf_" + b"a1" * 17
    _, pid, _ = detach(project, "--cfgs", "held.json", "--extra", f"--hub.token={token.decode()}", "--x=1")
    until(lambda: pids(project, "trainers"))
    trainer = Path(f"/proc/{pids(project, 'trainers')[0]}")
    seen = {where: token in where.read_bytes() for where in (trainer / "cmdline", trainer / "environ")}
    assert list(seen.values()) == [True, False], "the trainer is given it, as was asked, and once"
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"--hub.token=***\0--x=1\0" in words
    assert token not in words


def test_without_exec_it_is_a_plan_as_ever(project: Project) -> None:
    done = project.call("autorun", *SCRIPT, "--device", "cpu", "--cfgs", "quick.json", "--detach")
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("Nothing was run. Add --exec to run it.")


def test_a_held_study_is_refused_when_named_and_else_becomes_another(project: Project) -> None:
    first, pid, _ = detach(project, "--cfgs", "held.json")
    log = project.root / f".codex_tmp/autorun_{first}.log"
    before = log.read_text()
    named = project.call("autorun", "--cfgs", "quick.json", *HOW, "--detach", "--study", first)
    assert named.returncode == 3
    assert f"study {first} is held by process {pid} on " in named.stderr
    assert before == log.read_text()[: len(before)]
    assert log.read_text().count("detached") == 1

    done = project.call("autorun", "--cfgs", "held.json", *HOW, "--detach")
    second, other, beside = driven(project, done.stdout)
    assert (second, beside) == (f"{first}-2", f".codex_tmp/autorun_{first}-2.log")
    assert f"note: study {first} is held by a running supervisor; this call is study {second}\n" in done.stdout
    assert f"auto-loop wait {second}\n" in done.stdout
    assert pid != other
    project.write("go", "")
    assert [wait(project, name)[0] for name in (first, second)] == [0, 0]


def test_a_supervisor_that_was_killed_is_told_of_and_the_loop_goes_on_detached(project: Project) -> None:
    words = ("--study", "night", "--pid-file", "night.pid")
    _, pid, _ = detach(project, "--cfgs", "held.json", "bad.json", *words)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "auto_loop", "wait", "night"],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    ended_by(project, pid, signal.SIGKILL)
    said, _ = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 130
    assert f"nobody drives the study: its supervisor (process {pid}) was killed; " in said
    assert "`auto-loop autorun --resume --study night --exec` goes on with it" in said
    assert (project.root / "night.pid").read_text() == f"{pid}\n"

    done = project.call("autorun", "--resume", *words, "--exec", "--detach")
    _, other, _ = driven(project, done.stdout)
    assert (project.root / "night.pid").read_text() == f"{other}\n"
    project.write("go", "")
    code, said = wait(project, "night")
    assert (code, said.endswith("; 2 jobs, failed: bad.\n")) == (1, True), said
    assert len(pids(project, "trainers")) == 2, "none ran twice"


def test_a_supervisor_that_was_sent_away_has_left(project: Project) -> None:
    _, pid, _ = detach(project, "--cfgs", "held.json", "--study", "night", "--pid-file", "night.pid")
    ended_by(project, pid, signal.SIGTERM)
    code, said = wait(project, "night")
    assert code == 130
    assert f"its supervisor (process {pid}) left; `auto-loop autorun --resume" in said
    assert not project.files("night.pid")


def test_there_is_nothing_to_wait_for_without_ledger_or_study(project: Project) -> None:
    code, said = wait(project, "night")
    assert (code, said.startswith("error: ")) == (3, True)
    assert project.files("outputs/*") == []
    assert project.call("autorun", "--cfgs", "quick.json", *HOW, "--study", "night").returncode == 0
    code, said = wait(project, "nigth")
    assert (code, "there is no study nigth (there: night)" in said) == (3, True)
    assert wait(project, "night")[0] == 0


def test_a_pid_file_is_for_one_process_only(project: Project) -> None:
    project.write("old.pid", "999999\n")
    running = project.start("autorun", "--cfgs", "held.json", *HOW, "--pid-file", "old.pid")
    until(lambda: pids(project, "old.pid") == [running.pid])
    until(lambda: pids(project, "trainers"))
    project.write("old.pid", "1\n")  # another supervisor's by now
    project.write("go", "")
    running.communicate(timeout=PATIENCE_S)
    assert pids(project, "old.pid") == [1]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("--cfgs a --detach --exec", "--cfgs a --exec"),
        ("--extra --b.c=1 --detach --exec", "--extra --b.c=1 --exec"),
        ("--detach --exec -- --detach", "--exec -- --detach"),
    ],
)
def test_the_words_stay_as_they_were_written(words: str, left: str) -> None:
    assert attached(words.split()) == left.split()
