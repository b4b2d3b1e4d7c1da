import json
import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.config import Config, Json
from auto_loop.domain.slot import Device, Slot
from auto_loop.launch import environment
from auto_loop.launch.arguments import chosen_key, flow_yaml, hydra, merged, without
from auto_loop.launch.command import RUNNER, Entry, WandbMode, WandbOptions, build, render_command
from auto_loop.launch.profile_text import parse_profile, shipped_profile
from tests.launch.make import CPU, gpu, options, spec

HERE = Path("/project")
ACT = shipped_profile("act_ot")
RUN = str(RUNNER / "run.py")


def words_after(argv: tuple[str, ...], word: str) -> tuple[str, ...]:
    return argv[argv.index(word) + 1 :]


def test_the_whole_command_on_a_cpu_slot() -> None:
    made = build(spec(HERE), ACT, options(HERE, python="/env/bin/python", steps=2000, log_freq=50, eval_freq=200))
    assert made.argv == (
        "/env/bin/python", "-m", "accelerate.commands.launch",
        "--config_file=/project/.codex_tmp/accelerate_cpu1_no.json",
        "--num_processes=1", "--num_machines=1", "--machine_rank=0", "--gpu_ids=all",
        "--mixed_precision=no", "--dynamo_backend=no", "--quiet", "--num_cpu_threads_per_process=3", "--cpu",
        RUN, "job.py", "--config_path=train_configs/a.json", "--steps=2000", "--log_freq=50", "--eval_freq=200",
        "--output_dir=outputs/train/loop_1/a", "--policy.device=cpu",
        "--wandb.enable=true", "--wandb.mode=offline", "--wandb.disable_artifact=true",
    )  # fmt: skip
    assert made.env["CUDA_VISIBLE_DEVICES"] == ""
    assert made.env["OMP_NUM_THREADS"] == "3"
    assert made.cwd == HERE


def test_a_gpu_slot_pins_by_physical_number() -> None:
    slot = Slot(index=2, device=Device.CUDA, gpus=(gpu(6),), cpu_threads=4)
    made = build(spec(HERE, slot), ACT, options(HERE, env={"CUDA_VISIBLE_DEVICES": "4,5,6,7"}))
    assert made.env["CUDA_VISIBLE_DEVICES"] == "6"
    assert made.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "--cpu" not in made.argv
    assert "--policy.device=cuda" in made.argv
    assert json.loads(dict(made.files)[HERE / ".codex_tmp/accelerate_gpu1_no.json"])["use_cpu"] is False


def test_several_gpus_are_several_processes_on_a_leased_port() -> None:
    slot = Slot(index=0, device=Device.CUDA, gpus=(gpu(4), gpu(5)), cpu_threads=8)
    made = build(spec(HERE, slot, port=29511), ACT, options(HERE))
    for word in ("--num_processes=2", "--multi_gpu", "--main_process_port=29511", "--num_cpu_threads_per_process=4"):
        assert word in made.argv
    assert json.loads(made.files[0][1])["distributed_type"] == "MULTI_GPU"
    with pytest.raises(ValueError, match="leased port"):
        build(spec(HERE, slot), ACT, options(HERE))


def test_several_processes_on_the_cpu() -> None:
    made = build(spec(HERE, port=29511), ACT, options(HERE, processes=2))
    assert "--multi_gpu" in made.argv
    assert "--cpu" not in made.argv, "with --cpu accelerate starts one process whatever it is told"
    assert made.env["ACCELERATE_USE_CPU"] == "true"


def test_precision_is_the_profiles() -> None:
    made = build(spec(HERE), parse_profile('precision = "bf16"'), options(HERE))
    assert "--mixed_precision=bf16" in made.argv
    assert json.loads(made.files[0][1])["mixed_precision"] == "bf16"


def test_other_starters() -> None:
    torchrun = parse_profile('starter = "torchrun"')
    made = build(spec(HERE), torchrun, options(HERE, python="py"))
    assert made.argv[:6] == ("py", "-m", "torch.distributed.run", "--nnodes=1", "--nproc_per_node=1", "--standalone")
    made = build(spec(HERE, port=29511), torchrun, options(HERE, processes=2))
    assert "--master_port=29511" in made.argv
    plain = parse_profile('starter = "python"\npython_flags = ["-S"]')
    made = build(spec(HERE), plain, options(HERE, python="py", target=Entry(module="a.b")))
    assert made.argv[:5] == ("py", "-S", RUN, "-m", "a.b")
    assert made.files == ()
    bare = build(spec(HERE), plain, options(HERE, python="py", runner=False))
    assert bare.argv[:3] == ("py", "-S", "job.py")


def test_wandb_online_names_entity_and_project() -> None:
    wandb = WandbOptions(mode=WandbMode.ONLINE, entity="team", project="night")
    made = build(spec(HERE), ACT, options(HERE, wandb=wandb))
    assert made.argv[-4:] == (
        "--wandb.enable=true", "--wandb.mode=online", "--wandb.entity=team", "--wandb.project=night"
    )  # fmt: skip
    script = build(spec(HERE), shipped_profile("script"), options(HERE, wandb=wandb))
    assert not any("wandb" in word for word in words_after(script.argv, "job.py"))
    assert (script.env["WANDB_MODE"], script.env["WANDB_PROJECT"]) == ("online", "night")
    assert script.env["WANDB_DIR"] == "/project/outputs/train/loop_1/a.wandb"
    assert script.folders == (HERE / "outputs/train/loop_1/a.wandb",)
    assert "WANDB_DIR" not in made.env


def test_extra_words_come_last_as_they_are() -> None:
    made = build(spec(HERE), ACT, options(HERE, extra=("--ot.lambda_ot=0.2", "--seed=1")))
    assert made.argv[-2:] == ("--ot.lambda_ot=0.2", "--seed=1")


def test_resuming_goes_by_the_checkpoints_own_config() -> None:
    checkpoint = "outputs/a/checkpoints/last/pretrained_model/train_config.json"
    made = build(spec(HERE, resume_from=checkpoint), ACT, options(HERE, steps=10))
    assert words_after(made.argv, "job.py")[:2] == (f"--config_path={checkpoint}", "--resume=true")


def test_lerobot_takes_the_name_that_its_version_has() -> None:
    lerobot = shipped_profile("lerobot")
    old = build(spec(HERE), lerobot, options(HERE, eval_freq=200, known=frozenset({"eval_freq", "steps"})))
    new = build(spec(HERE), lerobot, options(HERE, eval_freq=200, known=frozenset({"eval_steps", "env_eval_freq"})))
    assert "--eval_freq=200" in old.argv
    assert "--eval_steps=200" in new.argv
    by_config = build(spec(HERE, config=Config.of({"eval_steps": 1})), lerobot, options(HERE, eval_freq=200))
    assert "--eval_steps=200" in by_config.argv
    assert "--policy.push_to_hub=false" in old.argv


CONFIG: dict[str, Json] = {"lr": 1e-05, "name": "a b", "sub": {"on": True, "list": [1, 2.5]}, "data": "d", "drop": 1}


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("flags", ("d", "--lr=1e-05", "--name=a b", "--sub.on=true", "--sub.list=[1, 2.5]", "--n=9")),
        ("hydra", ("d", "lr=1e-05", "name='a b'", "sub.on=true", "sub.list=[1,2.5]", "n=9")),
    ],
)
def test_styles_that_pass_every_leaf(style: str, expected: tuple[str, ...]) -> None:
    text = f"""starter = "python"
[config]
style = "{style}"
positional = ["data"]
not_passed = ["drop"]
[keys]
steps = "n"
output_dir = ""
"""
    made = build(spec(HERE, config=Config.of(CONFIG)), parse_profile(text), options(HERE, steps=9))
    assert words_after(made.argv, "job.py") == expected


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_styles_that_pass_a_whole_file(style: str) -> None:
    text = f'starter = "python"\n[config]\nstyle = "{style}"\nflag = "-c"\n[keys]\noutput_dir = "out.dir"'
    made = build(spec(HERE, config=Config.of(CONFIG)), parse_profile(text), options(HERE, steps=9))
    ((file, written),) = made.files
    assert words_after(made.argv, "job.py") == (f"-c={file}",)
    yaml = pytest.importorskip("yaml")
    read = json.loads(written) if style == "json" else yaml.safe_load(written)
    assert read == {**CONFIG, "steps": 9, "out": {"dir": "outputs/train/loop_1/a"}}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_what_is_written_as_yaml_is_read_as_it_was(value: Json) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(flow_yaml(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain/word-1", "plain/word-1"),
        ("null", "'null'"),
        ("1e3", "'1e3'"),
        ("it's", r"'it\'s'"),
        (None, "null"),
        ({"a": [True, "x y"]}, "{a:[true,'x y']}"),
    ],
)
def test_hydra_values(value: Json, expected: str) -> None:
    assert hydra(value) == expected


def test_settings_make_the_mappings_they_need() -> None:
    assert merged({"a": 1}, {"b.c.d": 2}) == {"a": 1, "b": {"c": {"d": 2}}}
    assert without({"a": {"b": 1, "c": 2}, "d": 1}, ("a.b", "x.y", "d.e")) == {"a": {"c": 2}, "d": 1}


def test_a_key_by_class_by_config_or_the_first() -> None:
    assert chosen_key((), {}, None) == ""
    assert chosen_key(("a", "b.c"), {"b": {"c": 1}}, None) == "b.c"
    assert chosen_key(("a", "b"), {"b": 1}, frozenset({"x"})) == "a"


HOSTILE = {
    "ACCELERATE_USE_FSDP": "true", "ACCELERATE_MIXED_PRECISION": "bf16", "RANK": "3", "WORLD_SIZE": "8",
    "LOCAL_RANK": "3", "MASTER_PORT": "1", "OMPI_COMM_WORLD_SIZE": "4", "CUDA_VISIBLE_DEVICES": "9",
    "WANDB_RUN_ID": "abc", "WANDB_SERVICE": "2-1-tcp", "AUTO_LOOP_TOKEN": "outer", "TORCHELASTIC_RUN_ID": "x",
    "WANDB_MODE": "disabled", "KMP_AFFINITY": "compact",
}  # fmt: skip


def test_what_would_undo_our_words_is_not_inherited() -> None:
    kept = {"HOME": "/h", "WANDB_API_KEY": "k", "HF_HOME": "/hf", "WANDB_BASE_URL": "u", "LD_LIBRARY_PATH": "l"}
    assert environment.inherited(HOSTILE | kept) == kept
    made = build(spec(HERE), ACT, options(HERE, env=HOSTILE | kept))
    assert made.env["CUDA_VISIBLE_DEVICES"] == ""
    assert made.env["WANDB_MODE"] == "offline"
    assert made.env["AUTO_LOOP_TOKEN"] == made.token
    assert made.env["AUTO_LOOP_INNER"] == str(made.inner_file)


def test_source_goes_in_front_of_the_python_path() -> None:
    made = build(spec(HERE), ACT, options(HERE, source=HERE / "src", env={"PYTHONPATH": "/theirs"}))
    assert made.env["PYTHONPATH"] == f"/project/src{os.pathsep}/theirs"
    assert build(spec(HERE), ACT, options(HERE, env={"PYTHONPATH": "/theirs"})).env["PYTHONPATH"] == "/theirs"
    assert "PYTHONPATH" not in build(spec(HERE), ACT, options(HERE)).env


def test_wandb_stays_in_the_project_folder() -> None:
    env = build(spec(HERE), ACT, options(HERE)).env
    folders = {env[f"WANDB_{name}_DIR"] for name in ("CACHE", "CONFIG", "DATA")}
    assert all(folder.startswith("/project/.wandb_cache") for folder in folders)
    assert len(folders) == 3
    assert env["WANDB_ERROR_REPORTING"] == "false"


def test_the_rendered_command_is_one_that_a_shell_takes() -> None:
    made = build(spec(HERE), ACT, options(HERE, extra=("--note=it's a test; rm -rf /",)))
    words = shlex.split(render_command(made))
    assert words[-len(made.argv) :] == list(made.argv)
    assert "CUDA_VISIBLE_DEVICES=" in words
    assert "AUTO_LOOP_TOKEN" not in render_command(made)


def test_secrets_are_neither_rendered_nor_shown() -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    made = build(spec(HERE), ACT, options(HERE, env={"WANDB_API_KEY": key}, extra=(f"--hub_token={key}",)))
    assert made.env["WANDB_API_KEY"] == key
    assert key not in render_command(made)
    assert "WANDB_API_KEY" not in repr(made)


def test_threads_are_divided_but_never_none() -> None:
    assert environment.threads_per_process(CPU, 1) == 3
    assert environment.threads_per_process(CPU, 2) == 1
    assert environment.threads_per_process(CPU, 8) == 1


@pytest.mark.parametrize("name", ["act_ot", "lerobot"])
def test_a_warm_start_names_the_other_jobs_weights_and_a_resumed_attempt_its_own(name: str) -> None:
    folder = "outputs/train/loop_1/a/checkpoints/last/pretrained_model"
    word = f"--policy.pretrained_path={folder}"
    assert word in build(spec(HERE, warm_from=folder), shipped_profile(name), options(HERE)).argv
    resumed = build(spec(HERE, warm_from=folder, resume_from="x/train_config.json"), ACT, options(HERE))
    assert word not in resumed.argv
    assert folder not in " ".join(build(spec(HERE, warm_from=folder), shipped_profile("script"), options(HERE)).argv)
