import os
import sys
from pathlib import Path

import pytest

from auto_loop.domain.config import Config, Json
from auto_loop.domain.paths import parse_path
from auto_loop.launch.field_types import TrainerClass, field_types, parse_check, trainer_class
from auto_loop.launch.profile_text import parse_profile, shipped_profile

ACT = shipped_profile("act_ot")
TRAINER = """
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional, Union
print("noise on stdout")
class Kind(Enum):
    A = "a"
@dataclass
class Inner:
    size: int = 3
    rate: float = 0.1
    parent: "Optional[Inner]" = None
@dataclass
class Config:
    steps: int
    name: str = "x"
    maybe: Optional[int] = None
    either: Union[int, float] = 1
    flag: bool = True
    kind: Kind = Kind.A
    inner: Inner = field(default_factory=Inner)
    many: "list[Inner]" = field(default_factory=list)
    numbers: "tuple[int, ...]" = (1, 2)
    table: "dict[str, int]" = field(default_factory=dict)
"""


def theirs(folder: Path, source: str = TRAINER) -> TrainerClass:
    (folder / "theirs.py").write_text(source)
    found = trainer_class(parse_profile('[config]\nclass = "theirs:Config"'), sys.executable, folder, os.environ)
    assert found is not None
    return found


def test_the_shipped_trainers_class(tmp_path: Path) -> None:
    trainer = trainer_class(ACT, sys.executable, tmp_path, os.environ)
    fields = field_types(ACT, trainer, tmp_path)
    assert fields.notes == ()
    types = fields.types
    assert types.is_int(parse_path("batch_size"))
    assert types.is_int(parse_path("ot.window_size"))
    assert types.is_float(parse_path("ot.loss_config.features.3.weight_label"))
    assert types.default(parse_path("ot.loss_config.reg")) == 0.3
    assert types.has(parse_path("ot.loss_config.features.0.term_name"))
    assert not types.has(parse_path("ot.loss_config.regg"))


def test_the_profiles_own_int_fields_agree_with_the_class(tmp_path: Path) -> None:
    trainer = trainer_class(ACT, sys.executable, tmp_path, os.environ)
    known = field_types(parse_profile("[config]\nint_fields = []"), trainer, tmp_path).types
    assert set(ACT.int_fields) <= known.int_fields


def test_every_kind_of_field(tmp_path: Path) -> None:
    fields = field_types(parse_profile(""), theirs(tmp_path), tmp_path)
    types = fields.types
    assert types.int_fields == {"steps", "maybe", "inner.size", "many.*.size", "numbers.*", "table.*"}
    assert types.float_fields == {"either", "inner.rate", "many.*.rate"}
    assert types.required >= {"steps", "either", "flag", "kind", "inner", "inner.rate", "many", "many.*", "table.*"}
    assert not types.required & {"maybe", "inner.parent"}
    assert types.defaults["kind"] == "a"
    assert types.defaults["numbers"] == [1, 2]
    assert "steps" not in types.defaults
    assert types.known is None, "a mapping's keys cannot be listed"
    assert fields.names is not None
    assert "inner.size" in fields.names


REGISTERED = """
import draccus
from dataclasses import dataclass
class Policy(draccus.ChoiceRegistry):
    pass
@dataclass
class Config:
    policy: Policy
"""
REGISTERS = """
from dataclasses import dataclass
from theirs import Policy
@Policy.register_subclass("act")
@dataclass
class Act(Policy):
    chunk_size: int = 10
"""


def test_imports_register_what_a_type_chooses_from(tmp_path: Path) -> None:
    pytest.importorskip("draccus")
    theirs(tmp_path, REGISTERED)
    (tmp_path / "policies.py").write_text(REGISTERS)
    profile = parse_profile('[config]\nclass = "theirs:Config"\nimports = ["policies"]')
    trainer = trainer_class(profile, sys.executable, tmp_path, os.environ)
    assert trainer is not None
    assert field_types(profile, trainer, tmp_path).types.int_fields == {"policy.chunk_size"}
    assert parse_check(trainer, [Config.of({"policy": {"type": "act", "chunk_size": 3}})]) == [()]


CHOICES = """
import draccus
from dataclasses import dataclass
from typing import Optional
class Policy(draccus.ChoiceRegistry):
    pass
@Policy.register_subclass("act")
@dataclass
class Act(Policy):
    chunk_size: int = 10
    width: int = 3
@Policy.register_subclass("flow")
@dataclass
class Flow(Policy):
    width: float = 0.5
@dataclass
class Config:
    eval_steps: int = 0
    policy: Optional[Policy] = None
"""


def test_one_of_several_classes_chosen_by_its_type(tmp_path: Path) -> None:
    pytest.importorskip("draccus")
    trainer = theirs(tmp_path, CHOICES)
    fields = field_types(parse_profile('[config]\nint_fields = ["policy.width"]'), trainer, tmp_path)
    assert fields.types.int_fields == {"eval_steps", "policy.chunk_size"}
    assert fields.names is not None
    assert fields.names >= {"eval_steps", "policy.type", "policy.chunk_size"}
    assert fields.types.defaults == {"eval_steps": 0, "policy": None}
    assert fields.types.known is None, "another package may register more of them"
    (found,) = parse_check(trainer, [Config.of({"policy": {"type": "flow", "chunk_size": 3}})])
    assert "chunk_size" in found[0].what


def test_our_neighbours_do_not_shadow_what_a_trainer_imports(tmp_path: Path) -> None:
    source = f"import profile; assert profile.Profile.run\n{TRAINER}"
    assert field_types(parse_profile(""), theirs(tmp_path, source), tmp_path).notes == ()


def test_it_is_read_once(tmp_path: Path) -> None:
    trainer = theirs(tmp_path)
    first = field_types(parse_profile(""), trainer, tmp_path / "cache")
    (tmp_path / "theirs.py").write_text("raise SystemExit('read again')")
    assert field_types(parse_profile(""), trainer, tmp_path / "cache") == first
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text("torn {")
    assert field_types(parse_profile(""), trainer, tmp_path / "cache").notes


@pytest.mark.parametrize("source", ["import no_such_package_here", "raise SystemExit(4)", "print('{}')", "Config = 3"])
def test_a_class_that_cannot_be_read_leaves_the_profiles_fields(tmp_path: Path, source: str) -> None:
    profile = parse_profile('[config]\nint_fields = ["a.*.b"]')
    fields = field_types(profile, theirs(tmp_path, source), tmp_path)
    assert fields.types.int_fields == {"a.*.b"}
    assert len(fields.notes) == 1
    assert "theirs:Config could not be read" in fields.notes[0]


def test_without_a_class_there_is_nothing_to_say(tmp_path: Path) -> None:
    profile = shipped_profile("script")
    assert trainer_class(profile, sys.executable, tmp_path, os.environ) is None
    fields = field_types(profile, None, tmp_path)
    assert fields.notes == ()
    assert fields.types.known is None
    assert "batch_size" in fields.types.int_fields


def test_the_trainers_own_parser_is_asked_once_for_all(tmp_path: Path) -> None:
    pytest.importorskip("draccus")
    trainer = trainer_class(ACT, sys.executable, tmp_path, os.environ)
    assert trainer is not None
    configs: list[dict[str, Json]] = [{"batch_size": 8}, {"batch_size": 20.5}, {"ot": {"nope": 1}}, {"steps": 0}]
    found = parse_check(trainer, [Config.of(config) for config in configs])
    assert found[0] == ()
    assert "batch_size" in found[1][0].what
    assert "nope" in found[2][0].what
    assert found[3][0].what == "steps: 0 is below 1"
    assert parse_check(trainer, []) == []


def test_a_parser_that_cannot_be_asked_says_nothing(tmp_path: Path) -> None:
    assert parse_check(theirs(tmp_path, "import no_such_package_here"), [Config.of({})]) == [()]


OUT_OF_REACH = """
import os
from dataclasses import dataclass
@dataclass
class Config:
    steps: int = 1
def faults(config):
    return ["shares our terminal"] if os.getpgid(0) == os.getpgid(os.getppid()) else []
"""


def test_a_ctrl_c_at_the_terminal_does_not_keep_the_parser_from_answering(tmp_path: Path) -> None:
    pytest.importorskip("draccus")
    assert parse_check(theirs(tmp_path, OUT_OF_REACH), [Config.of({})]) == [()]
