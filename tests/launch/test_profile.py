import re

import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.launch.profile import Starter, Style
from auto_loop.launch.profile_text import parse_profile, shipped_profile, shipped_profile_names


def test_shipped_profiles_all_read() -> None:
    assert shipped_profile_names() == ("accelerate-script", "act_ot", "lerobot", "script")
    for name in shipped_profile_names():
        assert shipped_profile(name).name == name


def test_what_the_shipped_ones_say() -> None:
    act, lerobot, script = map(shipped_profile, ("act_ot", "lerobot", "script"))
    assert act.target.shipped == "trainers/act/train.py"
    assert act.starter is lerobot.starter is Starter.ACCELERATE
    assert lerobot.target.files == ("src/lerobot/scripts/lerobot_train.py",)
    assert lerobot.always == {"policy.push_to_hub": False}
    assert lerobot.eval_freq == ("eval_freq", "eval_steps")
    assert script.starter is Starter.PYTHON
    assert script.device == script.wandb.mode == ""


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MisuseError, match=r"no profile is called 'lerobt'.*act_ot, lerobot, script"):
        shipped_profile("lerobt")


def test_defaults_of_an_empty_profile() -> None:
    made = parse_profile("", "mine")
    assert (made.name, made.starter, made.style, made.steps) == ("mine", Starter.ACCELERATE, Style.DRACCUS, ("steps",))


def test_a_key_can_have_other_names_or_none() -> None:
    made = parse_profile('[keys]\nsteps = "trainer.max_steps"\nlog_freq = ""\neval_freq = ["a", "b"]')
    assert (made.steps, made.log_freq, made.eval_freq) == (("trainer.max_steps",), (), ("a", "b"))


def test_broken_toml_points_into_the_text() -> None:
    with pytest.raises(MisuseError) as caught:
        parse_profile('starter = "python"\n[config\nstyle = 1', "p.toml")
    assert "p.toml:2: not TOML" in str(caught.value)
    assert "    [config\n           ^" in str(caught.value)


def test_every_fault_at_once_with_its_line() -> None:
    text = """starter = "slurm"
colour = "red"

[config]
style = "xml"
class = "no class"
int_fields = ["a", 3]

[keys]
step = "steps"

[device]
key = 5

[[failure]]
name = "oom"
pattern = "("
"""
    with pytest.raises(MisuseError) as caught:
        parse_profile(text, "p")
    said = {fault.where: fault.what for fault in caught.value.faults}
    assert said["p:1"] == "starter = 'slurm' is none of: accelerate, torchrun, python"
    assert said["p:2"] == "unknown key 'colour'"
    assert said["p:5"] == "style = 'xml' is none of: draccus, flags, hydra, json, yaml"
    assert said["p:6"] == "'no class' is not module:Class or file.py:Class"
    assert said["p:7"] == "int_fields must be a list of texts"
    assert said["p:10"] == "unknown key 'step' in [keys]"
    assert said["p:13"] == "key must be a text, not a number"
    assert said["p:17"].startswith("not a regular expression")
    assert len(caught.value.faults) == 8
    assert '    colour = "red"\n    ~~~~~^' in str(caught.value)


def test_failures_need_both_parts() -> None:
    with pytest.raises(MisuseError, match="needs both name and pattern"):
        parse_profile('[[failure]]\nname = "x"')
    with pytest.raises(MisuseError, match="failure must be a list, not a text"):
        parse_profile('failure = "x"')
    with pytest.raises(MisuseError, match="is a table with name and pattern"):
        parse_profile('failure = ["x"]')


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out of memory"),
        ("RuntimeError: The server socket has failed to listen: EADDRINUSE", "port taken"),
        ("step 3: loss is nan", "not finite"),
        ("all is well", None),
    ],
)
def test_failure_classes_of_a_log(line: str, found: str | None) -> None:
    hits = [failure.name for failure in shipped_profile("act_ot").failures if re.search(failure.pattern, line)]
    assert hits == ([found] if found else [])
