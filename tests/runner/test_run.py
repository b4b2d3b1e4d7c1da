"""`run.py` around real scripts: they meet what plain python gives, end cleanly on SIGTERM, leave their inner cause."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auto_loop.domain import secrets
from auto_loop.runner import schema

HERE = Path(__file__).resolve().parent
RUN = HERE.parents[1] / "auto_loop" / "runner" / "run.py"
PYTHONS = [sys.executable, *filter(None, os.environ.get("AUTO_LOOP_PYTHONS", "").split(os.pathsep))]
NAMES = [Path(python).name + f"-{number}" for number, python in enumerate(PYTHONS)]
DEADLINE_S = 60
every_python = pytest.mark.parametrize("python", PYTHONS, ids=NAMES)


def finished(command: list[str], folder: Path, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, without the addresses and names that differ from process to process."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    names = re.compile("0x[0-9a-f]+|/mp-[a-z0-9_]+")
    return done.returncode, names.sub("", done.stdout), names.sub("", done.stderr)


@every_python
@pytest.mark.parametrize(
    "words",
    [
        ["curious.py"],
        ["./curious.py", "raise"],
        ["linked.py", "exit", "7"],
        ["sub/../curious.py", "exit", "some", "words"],
        ["curious.py", "interrupt"],
        ["curious.py", "hook"],
        ["curious.py", "kill"],
        ["-m", "curious", "raise"],
        ["-m", "no_such_module"],
        ["wrong_syntax.py"],
        ["missing.py"],
    ],
    ids=" ".join,
)
def test_a_script_meets_what_plain_python_gives(python: str, words: list[str], tmp_path: Path) -> None:
    """Also in its spawned children, where a `sitecustomize` of the user's must have its turn as well."""
    (tmp_path / "sub").mkdir()
    shutil.copy(HERE / "curious.py", tmp_path / "sub" / "target.py")
    shutil.copy(HERE / "curious.py", tmp_path / "curious.py")
    (tmp_path / "linked.py").symlink_to("sub/target.py")
    (tmp_path / "wrong_syntax.py").write_text("x = 1\ny = = 2\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print('own sitecustomize', __file__)\n")
    plain = finished([python, *words], tmp_path, PYTHONPATH=str(tmp_path / "own"))
    ours = finished([python, str(RUN), *words], tmp_path, PYTHONPATH=str(tmp_path / "own"))
    # The helpers of multiprocessing say their word of `sitecustomize` whenever they come to it.
    assert (ours[0], sorted(ours[1].splitlines()), ours[2]) == (plain[0], sorted(plain[1].splitlines()), plain[2])


@every_python
def test_words_after_two_dashes_are_the_scripts(python: str, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import sys; print(sys.argv)")
    assert finished([python, str(RUN), "--", "s.py", "--", "-m"], tmp_path) == (0, "['s.py', '--', '-m']\n", "")
    assert finished([python, str(RUN)], tmp_path)[0] == 1


TIDY = """
import atexit, os, sys, time
atexit.register(lambda: print("atexit", flush=True))
{before}
try:
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
finally:
    print("finally", flush=True)
    {slow}
"""


def start(folder: Path, text: str, python: str = sys.executable, **env: str) -> subprocess.Popen:
    """A script under `run.py` that has said `ready`."""
    (folder / "s.py").write_text(text)
    job = subprocess.Popen(
        [python, str(RUN), "s.py"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "AUTO_LOOP_INNER": str(folder / "inner"), **env},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout is not None
    while job.stdout.readline() not in ("ready\n", ""):
        pass
    return job


@every_python
def test_sigterm_is_a_clean_finish(python: str, tmp_path: Path) -> None:
    with start(tmp_path, TIDY.format(before="", slow=""), python) as job:
        job.send_signal(signal.SIGTERM)
        said, _ = job.communicate(timeout=DEADLINE_S)
    assert (job.returncode, said) == (143, "finally\natexit\n")
    cause = json.loads((tmp_path / "inner").read_text())
    assert tuple(cause) == schema.INNER_FIELDS
    assert (cause["type"], cause["exit_code"], cause["signal"]) == ("SystemExit", 143, "SIGTERM")


def test_sigterm_twice_at_once_is_one_request(tmp_path: Path) -> None:
    """The group's and torchrun's: the second comes while the first is being obeyed."""
    slow = "os.kill(os.getpid(), 15); print('still here', flush=True)"
    with start(tmp_path, TIDY.format(before="", slow=slow)) as job:
        job.send_signal(signal.SIGTERM)
        said, _ = job.communicate(timeout=DEADLINE_S)
    assert (job.returncode, said) == (143, "finally\nstill here\natexit\n")


def test_a_later_sigterm_kills(tmp_path: Path) -> None:
    with start(tmp_path, TIDY.format(before="", slow="time.sleep(1000)")) as job:
        for _ in range(20 * DEADLINE_S):
            job.send_signal(signal.SIGTERM)
            try:
                job.wait(0.05)
                break
            except subprocess.TimeoutExpired:
                continue
    assert job.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("handler", "code"), [("lambda *_: sys.exit(9)", 9), ("signal.SIG_DFL", -15), ("lambda *_: os._exit(3)", 3)]
)
def test_the_scripts_own_handler_counts(handler: str, code: int, tmp_path: Path) -> None:
    before = f"import signal; signal.signal(signal.SIGTERM, {handler})"
    with start(tmp_path, TIDY.format(before=before, slow="")) as job:
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=DEADLINE_S)
    assert job.returncode == code


def test_an_ignored_sigterm_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)")
    command = ["sh", "-c", f"trap '' TERM; exec {sys.executable} {RUN} s.py"]
    assert finished(command, tmp_path) == (0, "True\n", "")


FORKED = """
import os, signal, sys, time
ready, go = os.pipe()
child = os.fork()
if child == 0:
    try:
        {child}
    finally:
        os.write(1, b"the child finished something\\n")
{parent}
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.path.exists(os.environ["AUTO_LOOP_INNER"]))
"""


def test_a_forked_worker_finishes_nothing_on_sigterm(tmp_path: Path) -> None:
    """Not even while it is busy where no Python handler runs: the default disposition is back."""
    parent = "time.sleep(0.2); os.kill(child, 15)"
    (tmp_path / "s.py").write_text(FORKED.format(child="os.read(ready, 1)", parent=parent))
    code, said, _ = finished([sys.executable, str(RUN), "s.py"], tmp_path, AUTO_LOOP_INNER=str(tmp_path / "inner"))
    assert (code, said) == (0, "-15 False\n")


@pytest.mark.parametrize("ending", ["raise ValueError", "sys.exit(4)"])
def test_a_forked_workers_failure_is_no_cause(ending: str, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(FORKED.format(child=ending, parent=""))
    code, said, _ = finished([sys.executable, str(RUN), "s.py"], tmp_path, AUTO_LOOP_INNER=str(tmp_path / "inner"))
    assert code == 0
    assert said.splitlines()[-1] == ("1 False" if "raise" in ending else "4 False")


@every_python
def test_an_exception_leaves_its_cause(python: str, tmp_path: Path) -> None:
    script = "def deep():\n    raise RuntimeError('CUDA out of memory')\ndeep()\n"
    (tmp_path / "s.py").write_text(script)
    env = {"AUTO_LOOP_INNER": str(tmp_path / "inner"), "RANK": "0"}
    code, _, stderr = finished([python, str(RUN), "s.py"], tmp_path, **env)
    cause = json.loads((tmp_path / "inner").read_text())
    assert tuple(cause) == schema.INNER_FIELDS
    assert (code, cause["exit_code"], cause["signal"], cause["rank"]) == (1, 1, None, 0)
    assert (cause["type"], cause["message"]) == ("RuntimeError", "CUDA out of memory")
    assert cause["traceback"] == stderr
    assert "run.py" not in stderr


def test_a_cause_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import os, sys; raise RuntimeError(os.environ['SOME_TOKEN'], sys.argv)")
    env = {"AUTO_LOOP_INNER": str(tmp_path / "inner"), "SOME_TOKEN": "no shape at all"}
    token = "hf_" + "a1" * 17
    _, _, stderr = finished([sys.executable, str(RUN), "s.py", f"--hub.token={token}"], tmp_path, **env)
    text = (tmp_path / "inner").read_text()
    assert "no shape at all" in stderr
    assert token in stderr
    assert "no shape at all" not in text
    assert token not in text
    assert json.loads(text)["message"] == "('***', ['s.py', '--hub.token=***'])"


def test_the_runner_masks_what_the_house_masks() -> None:
    here = runpy.run_path(str(RUN.with_name("masking.py")))
    shapes = tuple(shape.pattern for shape in secrets._SHAPES)
    assert (here["MASK"], here["NAMES"], here["SHAPES"]) == (secrets.MASK, secrets._NAMES, shapes)


def test_each_rank_leaves_a_cause_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import sys; sys.exit(5)")
    for rank in ("0", "3"):
        finished([sys.executable, str(RUN), "s.py"], tmp_path, AUTO_LOOP_INNER=str(tmp_path / "inner"), RANK=rank)
    assert json.loads((tmp_path / "inner").read_text())["rank"] == 0
    assert json.loads((tmp_path / "inner.rank3").read_text())["exit_code"] == 5


@pytest.mark.parametrize("ending", ["pass", "import sys; sys.exit()", "raise SystemExit(0)"])
def test_a_good_end_leaves_no_cause(ending: str, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(ending)
    code, _, _ = finished([sys.executable, str(RUN), "s.py"], tmp_path, AUTO_LOOP_INNER=str(tmp_path / "inner"))
    assert (code, (tmp_path / "inner").exists()) == (0, False)


def test_a_cause_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("raise SystemExit(6)")
    inner = str(tmp_path / "no folder" / "inner")
    code, _, stderr = finished([sys.executable, str(RUN), "s.py"], tmp_path, AUTO_LOOP_INNER=inner)
    assert code == 6
    assert stderr.count("the inner cause could not be left") == 1


def test_torch_spawns_workers_that_import_the_script_again(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    script = """
import torch.multiprocessing as mp

class Config:
    pass

def worker(rank, config):
    print("worker", rank, type(config).__module__, __name__, flush=True)

if __name__ == "__main__":
    mp.spawn(worker, args=(Config(),), nprocs=1)
    print("done")
"""
    (tmp_path / "s.py").write_text(script)
    code, said, stderr = finished([sys.executable, str(RUN), "s.py"], tmp_path)
    assert code == 0, stderr
    assert said.splitlines() == ["worker 0 __mp_main__ __mp_main__", "done"]
