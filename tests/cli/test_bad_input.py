"""Bad input: every fault at once, what and where and what to do, a non-zero exit, and nothing launched or left."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.project import BASELINE, SCRIPT, Project

MISUSE, REFUSED = 2, 3
CPU = (*SCRIPT, "--device", "cpu")
PYTHON_WITHOUT = "/usr/bin/python3"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A sound config, a trainer that would tell on itself by being run, and no GPU."""
    made = Project(tmp_path / "project")
    made.write("ok.json", {"lr": 0.1, "batch_size": 8})
    made.write("train.py", "import pathlib; pathlib.Path('WAS_RUN').touch()")
    return made


def refused(project: Project, code: int, verb: str, *words: str, **env: str) -> list[str]:
    """The lines that the call was refused with; nothing may have been run, nor anything be left behind."""
    before = project.files("**/*")
    done = project.call(verb, *words, env=env)
    said = done.stderr.splitlines()
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not any(str(project.root) in line for line in said), "files of the project are named from its folder on"
    new = [name for name in project.files("**/*") if name not in before and not name.startswith(".codex_tmp")]
    assert new == []
    assert not project.files(".codex_tmp/slot*")
    assert [line for line in done.stdout.splitlines() if not line.startswith("Preparing: ")] == []
    return said


def autorun(project: Project, code: int, *words: str, **env: str) -> list[str]:
    return refused(project, code, "autorun", *words, **env)


def errors(lines: list[str]) -> list[str]:
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


def test_every_wrong_config_is_named_and_broken_json_is_pointed_at(project: Project) -> None:
    project.write("broken.json", '{"lr": 0.1,\n "steps": }')
    project.write("list.json", "[1, 2]")
    said = autorun(project, MISUSE, "--cfgs", "ok.jsn", "broken.json", "ok.json", "list.json", "train_configs", *CPU)
    gone, broken, no_mapping, folder = errors(said)
    assert gone.startswith("ok.jsn: there is no such config file (did you mean ok.json")
    assert broken.startswith("broken.json:2:11: broken JSON")
    assert said[2:4] == ['     "steps": }', "              ^"]
    assert no_mapping.startswith("list.json")
    assert folder.startswith("train_configs: it is a folder")


def test_no_config_and_a_config_named_twice(project: Project) -> None:
    assert errors(autorun(project, MISUSE)) == ["--cfgs: no config was given (name at least one config file)"]
    assert "--cfgs ok.json: named twice" in autorun(project, MISUSE, "--cfgs", "ok.json", "./ok.json", *CPU)[0]


def test_faults_of_several_kinds_are_said_in_one_go(project: Project) -> None:
    words = ("--profile", "script", "--train-script", "gone.py", "--pack", "nosuch", "--gpus", "7", "--wandb-online")
    said = errors(autorun(project, MISUSE, "--cfgs", "gone.json", *words, "--exec"))
    wanted = (
        "gone.json: there is no such",
        "gone.py: no such file",
        "no pack named 'nosuch'",
        "there is no GPU 7",
        "no W&B key",
    )
    assert [want for want in wanted if not any(want in line for line in said)] == []


def test_folders_that_may_not_be_written_to_are_named_before_anything_is_launched(project: Project) -> None:
    places = [project.root / name for name in ("configs", "outputs", "reports")]
    for place in places:
        place.mkdir()
    project.write("configs/ok.json", {"lr": 0.1})
    for place in places:
        place.chmod(0o555)
    if os.access(places[0], os.W_OK):
        pytest.skip("root may write everywhere")
    said = errors(autorun(project, REFUSED, "--cfgs", "configs/ok.json", *CPU, "--decide", "--exec"))
    assert said == [f"{name}: the folder cannot be written to" for name in ("outputs", "reports", "configs")]


def test_an_unknown_pack_is_named_beside_an_unknown_profile(project: Project) -> None:
    said = errors(autorun(project, MISUSE, "--cfgs", "ok.json", "--profile", "nosuch", "--pack", "nosuch"))
    assert [line.partition(":")[0] for line in said] == ["--profile nosuch", "--pack nosuch"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--profile", "nosuch"],
            "--profile nosuch: no profile is called 'nosuch' (shipped: accelerate-script, act_ot",
        ),
        (["--profile", "gone.toml"], "gone.toml: there is no such profile"),
        (
            [*CPU, "--pack", "nosuch"],
            "--pack nosuch: no pack named 'nosuch' (shipped: act_ot, default; or give the file",
        ),
        ([*CPU, "--pack", "gone.toml"], "gone.toml: there is no such pack"),
        (["--profile", "script"], "profile script names no trainer (name it with --train-script FILE or"),
        ([*CPU, "--train-module", "x"], "give one of --train-script and --train-module, not both"),
        ([*CPU, "--gpus", "0"], "--gpus 0: --device cpu uses no GPU (leave one of the two options out)"),
        ([*CPU, "--resume"], "--resume: study default has no unfinished loop (leave --resume out to start a new loop)"),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(project: Project, words: list[str], said: str) -> None:
    assert errors(autorun(project, MISUSE, "--cfgs", "ok.json", *words, "--exec"))[0].startswith(said)


def test_a_wrong_pack_is_refused_whole_with_every_fault_pointed_at(project: Project) -> None:
    project.write("bad.toml", '[[rule]]\nname = "r"\nwhen = "last(x >"\n')
    said = autorun(project, MISUSE, "--cfgs", "ok.json", *CPU, "--pack", "bad.toml", "--exec")
    assert said[1:3] == ["    last(x >", "            ^"]
    assert ["change" in said[3], "reason" in said[4]] == [True, True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stepz", "3"], "No such option '--stepz'"),
        (["--steps", "0"], "0 is not in the range x>=1"),
        (["--steps", "many"], "'many' is not a valid integer"),
        (["--device", "tpu"], "'tpu' is not one of"),
    ],
)
def test_a_wrong_option_is_refused_by_name(project: Project, words: list[str], said: str) -> None:
    assert said in autorun(project, MISUSE, "--cfgs", "ok.json", *CPU, *words)[-1]


def test_every_wrong_edit_is_pointed_at(project: Project) -> None:
    words = ("--base-cfg", "ok.json", *CPU, "--changes")
    said = refused(project, MISUSE, "generate_and_run", *words, "lr@foo=1", "lrr@mul=2", "batch_size@set=20.5", "lr=")
    pointed = list(itertools.pairwise(said))
    assert ("    lr@foo=1", "      ~~~^") in pointed
    assert ("    lrr@mul=2", "    ~~^") in pointed
    assert ("    batch_size@set=20.5", "                   ~~~^") in pointed
    assert ("    lr=", "       ^") in pointed
    assert "did you mean `lr`?" in "\n".join(said)
    assert "the field takes integers, and 20.5 is none" in "\n".join(said)


def test_a_gpu_that_is_not_there_is_refused_and_the_others_shown(project: Project) -> None:
    project.gpus = 2
    said = errors(autorun(project, REFUSED, "--cfgs", "ok.json", *SCRIPT, "--gpus", "1,5,9", "--exec"))
    assert said == [f"--gpus: there is no GPU {gpu} (available: 0, 1)" for gpu in (5, 9)]
    hidden = autorun(project, REFUSED, "--cfgs", "ok.json", *SCRIPT, "--gpus", "1", "--exec", CUDA_VISIBLE_DEVICES="0")
    assert "GPU 1 is outside the inherited CUDA_VISIBLE_DEVICES (available: 0" in hidden[0]
    many = autorun(project, REFUSED, "--cfgs", "ok.json", *SCRIPT, "--concurrency", "3", "--exec")
    assert "3 jobs at once, but only 2 slots (--jobs-per-gpu makes room for more)" in many[0]


def test_online_without_key_entity_and_project_names_all_three(project: Project) -> None:
    said = errors(autorun(project, REFUSED, "--cfgs", "ok.json", *CPU, "--wandb-online", "--exec"))
    assert said == [
        "--wandb-online: no W&B key (set WANDB_API_KEY, or api.wandb.ai in ~/.netrc)",
        "--wandb-online: no W&B entity (give --wandb-entity or set WANDB_ENTITY)",
        "--wandb-online: no W&B project (give --wandb-project or set WANDB_PROJECT)",
    ]


@pytest.mark.parametrize(
    "extra",
    [
        ["--extra=--output_dir=outputs/mine"],
        ["--extra", "--output_dir", "outputs/mine"],
        ["--", "--output_dir=outputs/mine"],
    ],
)
def test_an_output_folder_of_the_users_own_that_exists_is_refused(project: Project, extra: list[str]) -> None:
    (project.root / "outputs/mine").mkdir(parents=True)
    said = errors(autorun(project, REFUSED, "--cfgs", "ok.json", *CPU, "--exec", *extra))
    assert said == ["outputs/mine: the output folder exists already (name another, or remove it)"]


def test_places_that_cannot_be_are_named_before_anything_is_made(project: Project) -> None:
    (project.root / "folder").mkdir()
    places = ("--output-root", "ok.json/runs", "--summary-out", "folder", "--markdown-out", "train.py/report.md")
    said = errors(autorun(project, MISUSE, "--cfgs", "ok.json", *CPU, "--study", "../up", *places, "--exec"))
    assert [line.split(" (")[0] for line in said] == [
        "--study ../up: not a name for a study",
        "--output-root ok.json/runs: ok.json is a file, not a folder",
        "--summary-out folder: it is a folder, and a file is to be written",
        "--markdown-out train.py/report.md: train.py is a file, not a folder",
    ]


def test_an_output_folder_that_several_jobs_would_share_is_refused(project: Project) -> None:
    project.write("two.json", {"lr": 0.2})
    own = "--extra=--output_dir=outputs/mine"
    for words in (["two.json"], ["--decide", "--rounds", "2"]):
        said = errors(autorun(project, REFUSED, "--cfgs", "ok.json", *words, *CPU, own, "--exec"))
        assert len(said) == 1
        assert said[0].startswith("outputs/mine: several jobs would write into this one output folder")


def test_a_variant_whose_run_is_refused_is_named_all_the_same(project: Project) -> None:
    (project.root / "outputs/mine").mkdir(parents=True)
    words = (
        "--base-cfg",
        "ok.json",
        "--changes",
        "lr=0.3",
        *CPU,
        "--exec",
        "--extra-args",
        "--output_dir=outputs/mine",
    )
    done = project.call("generate_and_run", *words)
    assert done.returncode == REFUSED
    assert "outputs/mine: the output folder exists already" in done.stderr
    assert project.read(done.stdout.splitlines()[-1]) == {"lr": 0.3, "batch_size": 8}
    assert not project.files("WAS_RUN")


def test_what_the_trainers_own_class_refuses_never_starts(project: Project) -> None:
    baseline = project.baseline()
    features = baseline["ot"]["loss_config"]["features"]
    features[3]["weight_label"] = 0.0
    project.write("train_configs/disabled.json", baseline)
    project.write("train_configs/half.json", {**project.baseline(), "batch_size": 20.5})
    cfgs = ("--cfgs", "train_configs/disabled.json", "train_configs/half.json")
    disabled, half = errors(autorun(project, MISUSE, *cfgs, "--device", "cpu", "--exec"))
    assert disabled.startswith(
        "train_configs/disabled.json: the trainer refuses it: ot.loss_config.features.3 (action)"
    )
    assert "raise weight_label, or enable its embedding" in disabled
    assert half.startswith("train_configs/half.json: the trainer refuses it:")
    assert "batch_size" in half


def test_a_variant_that_the_trainers_class_refuses_is_not_written(project: Project) -> None:
    project.baseline()
    words = ("--base-cfg", BASELINE, "--changes")
    switched_off = "ot.loss_config.features.3.weight_label@set=0.0"
    said = refused(project, MISUSE, "generate_and_run", *words, switched_off)
    assert "the trainer refuses the variant: ot.loss_config.features.3 (action)" in said[0]
    said = refused(project, MISUSE, "generate_and_run", *words, "batch_size@set=20.5", "ot.lambda@set=1")
    assert len(errors(said)) == 2
    assert "did you mean `lambda_ot`?" in errors(said)[1]


def lacks_accelerate() -> bool:
    """Whether the system's own Python is there and has no accelerate, as on most machines."""
    try:
        probe = "import importlib.util as u, sys; sys.exit(u.find_spec('accelerate') is not None)"
        return subprocess.run([PYTHON_WITHOUT, "-c", probe], check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not lacks_accelerate(), reason=f"no {PYTHON_WITHOUT} without accelerate on this machine")
def test_an_interpreter_without_accelerate_is_refused_with_the_line_that_brings_it(project: Project) -> None:
    project.baseline()
    words = ("--cfgs", BASELINE, "--device", "cpu", "--python", PYTHON_WITHOUT, "--exec")
    said = errors(autorun(project, REFUSED, *words))
    assert f"--python {PYTHON_WITHOUT}: has no accelerate (pip install 'auto_loop[act]')" in said
    gone = errors(autorun(project, REFUSED, *words, "--python", "/no/such/python"))
    assert gone == ["--python /no/such/python: no such program"]


def test_verbs_that_read_say_what_is_not_there(project: Project) -> None:
    assert errors(refused(project, MISUSE, "analyze_offline", "--outputs-root", "gone")) == [
        "gone: no such folder (--outputs-root names the folder of runs)"
    ]
    done = project.shell("python -m auto_loop report nosuch")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "there is no ledger" in done.stderr
