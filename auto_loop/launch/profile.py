"""Profiles: how a trainer takes its orders, as a frozen value read from TOML.

A profile is data, so that an unmodified trainer needs no Python of ours: what starts it, how it is given its
config, what its flags are called, and where its metrics and checkpoints lie.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auto_loop.domain.config import Json
from auto_loop.domain.failure import Failure


class Starter(StrEnum):
    """What starts the trainer's processes."""

    ACCELERATE = "accelerate"
    TORCHRUN = "torchrun"
    PYTHON = "python"


class Precision(StrEnum):
    """The mixed precision that accelerate is told."""

    NO = "no"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"


class Style(StrEnum):
    """How a trainer is given its config.

    DRACCUS: the file by a flag, then single values as `--a.b=v`. FLAGS: every leaf as `--a.b=v`. HYDRA: every leaf
    as `a.b=v`. JSON and YAML: one file by a flag, with every value that we set already in it.
    """

    DRACCUS = "draccus"
    FLAGS = "flags"
    HYDRA = "hydra"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is trained by: files looked for below the working folder, one shipped with us, or a module."""

    files: tuple[str, ...] = ()
    shipped: str = ""
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbKeys:
    """The config paths of the trainer's W&B settings; all empty for a trainer that reads the environment only."""

    enable: str = ""
    mode: str = ""
    entity: str = ""
    project: str = ""
    disable_artifact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePattern:
    """A class of failure, and the expression that tells it: searched in the inner cause, then in the log's end.

    `^` and `$` are the begin and end of a line.
    """

    failure: Failure
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one trainer takes its orders. `pack` names the rules that go with it.

    Keys (`steps`, `device`, ...) are config paths; a tuple of keys holds the names of several versions of the
    trainer, of which the first known one is used, and an empty key is never passed. `always` is passed to every job.
    `failures` tell the class of a failure, the first that matches; the trainer's own go before those of every trainer.
    `config_imports` are modules that register parts of the `config_class`. `int_fields` and `ignore` are path
    patterns with `*`; `ignore` names what does not make two configs different. `seed` is the path of the trainer's
    seed, "" for a trainer that has none. A warm start sets `warm_key` to the `warm_folder` of another job's output
    folder; without them every job starts fresh. With `paired_streams` two variants under one seed see the same batches.
    """

    name: str
    pack: str = "default"
    starter: Starter = Starter.ACCELERATE
    target: Target = field(default_factory=Target)
    python_flags: tuple[str, ...] = ()
    precision: Precision = Precision.NO
    style: Style = Style.DRACCUS
    config_flag: str = "--config_path"
    config_class: str = ""
    config_imports: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    not_passed: tuple[str, ...] = ()
    int_fields: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    seed: str = "seed"
    paired_streams: bool = False
    steps: tuple[str, ...] = ("steps",)
    log_freq: tuple[str, ...] = ("log_freq",)
    eval_freq: tuple[str, ...] = ("eval_freq",)
    output_dir: tuple[str, ...] = ("output_dir",)
    device: str = ""
    device_values: tuple[str, ...] = ("cuda", "cpu", "mps")
    wandb: WandbKeys = field(default_factory=WandbKeys)
    always: Mapping[str, Json] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    checkpoints: str = ""
    resume_config: str = ""
    resume_flags: tuple[str, ...] = ()
    warm_key: str = ""
    warm_folder: str = ""
    failures: tuple[FailurePattern, ...] = ()
