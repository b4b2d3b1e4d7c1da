import sys
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.launch import checks
from auto_loop.launch.command import Entry, WandbMode, WandbOptions
from auto_loop.launch.profile_text import parse_profile, shipped_profile

ACT, LEROBOT, SCRIPT = map(shipped_profile, ("act_ot", "lerobot", "script"))
ONLINE = WandbOptions(mode=WandbMode.ONLINE, entity="team", project="night")


def test_the_target_is_the_first_that_is_there(tmp_path: Path) -> None:
    assert checks.resolve_target(LEROBOT, tmp_path) == (Entry(module="lerobot.scripts.lerobot_train"), ())
    theirs = tmp_path / "src/lerobot/scripts/lerobot_train.py"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    assert checks.resolve_target(LEROBOT, tmp_path)[0].script == "src/lerobot/scripts/lerobot_train.py"
    assert checks.resolve_target(LEROBOT, tmp_path, module="a.b") == (Entry(module="a.b"), ())


def test_the_shipped_trainer_is_there(tmp_path: Path) -> None:
    entry, faults = checks.resolve_target(ACT, tmp_path)
    assert faults == ()
    assert Path(entry.script).is_file()


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    _, (missing,) = checks.resolve_target(ACT, tmp_path, script="nope.py")
    assert missing.render() == "--train-script nope.py: no such file"
    _, (unnamed,) = checks.resolve_target(SCRIPT, tmp_path)
    assert "--train-script FILE" in unnamed.render()


def test_an_interpreter_that_is_not_there_or_lacks_something(tmp_path: Path) -> None:
    (gone,) = checks.python_faults("/no/python", ACT, Entry(script="x.py"))
    assert gone.render() == "--python /no/python: no such program"
    assert checks.python_faults(sys.executable, SCRIPT, Entry(script="x.py")) == ()
    (lacks,) = checks.python_faults(sys.executable, SCRIPT, Entry(module="no_such_trainer.main"))
    assert "has no no_such_trainer" in lacks.render()
    (tmp_path / "src" / "no_such_trainer").mkdir(parents=True)
    assert checks.python_faults(sys.executable, SCRIPT, Entry(module="no_such_trainer.main"), tmp_path) == ()
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    broken.chmod(0o755)
    (fault,) = checks.python_faults(str(broken), SCRIPT, Entry(script="x.py"))
    assert "does not run: it is broken" in fault.render()


def test_accelerate_is_looked_for_in_the_trainers_interpreter() -> None:
    # -S leaves site-packages out, as an environment without accelerate does.
    bare = parse_profile('python_flags = ["-I", "-S"]')
    faults = checks.python_faults(sys.executable, bare, Entry(script="x.py"))
    assert [fault.what for fault in faults] == ["has no accelerate", "has no torch"]


def test_devices_that_a_trainer_takes() -> None:
    assert checks.device_faults(ACT, "cuda") == ()
    assert "takes cuda, cpu, mps" in checks.device_faults(ACT, "tpu")[0].render()
    assert checks.device_faults(SCRIPT, "tpu") == ()


def test_offline_needs_nothing(tmp_path: Path) -> None:
    assert checks.wandb_faults(WandbOptions(), ACT, [], {}, tmp_path) == ()


def test_online_names_all_that_is_missing(tmp_path: Path) -> None:
    faults = checks.wandb_faults(WandbOptions(mode=WandbMode.ONLINE), ACT, [Config.of({})], {}, tmp_path)
    assert [fault.what for fault in faults] == ["no W&B key", "no W&B entity", "no W&B project"]
    assert "--wandb-entity, set WANDB_ENTITY, or wandb.entity in every config" in faults[1].render()


def test_entity_and_project_may_come_from_every_config(tmp_path: Path) -> None:
    bare = WandbOptions(mode=WandbMode.ONLINE)
    full, half = Config.of({"wandb": {"entity": "e", "project": "p"}}), Config.of({"wandb": {"entity": "e"}})
    env = {"WANDB_API_KEY": "k"}
    assert checks.wandb_faults(bare, ACT, [full, full], env, tmp_path) == ()
    (missing,) = checks.wandb_faults(bare, ACT, [full, half], env, tmp_path)
    assert missing.what == "no W&B project"


def test_flag_goes_before_environment() -> None:
    env = {"WANDB_ENTITY": "e", "WANDB_PROJECT": "p"}
    made = checks.wandb_options(online=True, entity="", project="mine", env=env)
    assert (made.entity, made.project) == ("e", "mine")
    assert checks.wandb_options(online=False, entity="x", project="y", env=env) == WandbOptions()


@pytest.mark.parametrize(
    ("host", "env", "found"),
    [
        ("api.wandb.ai", {}, True),
        ("api.wandb.ai", {"WANDB_BASE_URL": "https://wandb.example:8443"}, False),
        ("wandb.example", {"WANDB_BASE_URL": "https://wandb.example:8443"}, True),
        ("github.com", {}, False),
    ],
)
def test_a_key_in_netrc_under_the_servers_host(tmp_path: Path, host: str, env: dict[str, str], found: bool) -> None:
    assert not checks.has_key(env, tmp_path)
    (tmp_path / ".netrc").write_text(f"machine {host}\n  login user\n  password {'0' * 40}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert checks.has_key(env, tmp_path) is found
    assert checks.has_key({**env, "NETRC": str(tmp_path / "elsewhere")}, tmp_path) is False


def test_a_broken_netrc_is_no_key(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine\nwhat is this")
    assert not checks.has_key({}, tmp_path)
    assert checks.wandb_faults(ONLINE, ACT, [], {}, tmp_path)[0].what == "no W&B key"


def test_an_output_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    faults = checks.output_faults(["out", "new", "link"], tmp_path)
    assert [fault.where for fault in faults] == ["out", "link"]
