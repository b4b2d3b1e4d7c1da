"""From a job, its profile and the loop's options to a `LaunchRequest`: pure, so that a plan prints what would run."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from auto_loop.domain.config import Config, Json
from auto_loop.domain.job import AttemptId
from auto_loop.domain.secrets import masked, masked_words
from auto_loop.domain.slot import Device, Slot
from auto_loop.launch import environment
from auto_loop.launch.accelerate import Layout, accelerate_config, start_words
from auto_loop.launch.arguments import chosen_key, trainer_words
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.profile import Profile, Starter

RUNNER = Path(__file__).resolve().parent.parent / "runner"


class WandbMode(StrEnum):
    """Where runs are logged: on disk alone, or to the server as well."""

    OFFLINE = "offline"
    ONLINE = "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbOptions:
    """How jobs log to W&B; entity and project are empty when the config's own are to stand."""

    mode: WandbMode = WandbMode.OFFLINE
    entity: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is trained by: a script's file, or a module's name when `script` is empty."""

    script: str = ""
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What all jobs of a loop share.

    `env` is the supervisor's environment; `source` a folder to put in front of PYTHONPATH; `scratch` where generated
    files go; `known` the leaf paths of the trainer's config class, None when nobody could read them. `processes` 0
    means one a GPU (one on a CPU slot). Without `runner` the script runs bare: no mirror, no inner cause.
    """

    python: str
    target: Entry
    root: Path
    scratch: Path
    wandb_cache: Path
    steps: int | None = None
    log_freq: int | None = None
    eval_freq: int | None = None
    wandb: WandbOptions = field(default_factory=WandbOptions)
    extra: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: Path | None = None
    known: frozenset[str] | None = None
    processes: int = 0
    runner: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFiles:
    """Where an attempt's log and papers lie."""

    log: Path
    claim: Path
    exit: Path
    inner: Path
    request: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One attempt to start.

    `output_dir` as the trainer is to be told it; `resume_from` a config file to resume by, `warm_from` what the
    profile's key for warm starts is set to.
    """

    attempt: AttemptId
    token: str
    cfg_file: Path
    config: Config
    output_dir: str
    slot: Slot
    files: AttemptFiles
    port: int | None = None
    held: tuple[int, ...] = ()
    resume_from: str = ""
    warm_from: str = ""


def build(spec: JobSpec, profile: Profile, options: RunOptions) -> LaunchRequest:
    """The attempt's whole launch as a value. ValueError when several processes have no leased port."""
    layout = layout_of(spec, profile, options)
    config_file = options.scratch / layout.config_name
    made_file = spec.files.request.with_suffix(f".config.{profile.style.value}")
    settings = {} if spec.resume_from else settings_of(spec, profile, options)
    words, text = trainer_words(profile, spec.config, settings, spec.resume_from or str(spec.cfg_file), str(made_file))
    resume = profile.resume_flags if spec.resume_from else ()
    env, own = environment_of(spec, layout, options)
    if profile.starter is not Starter.PYTHON and not env.get("PYTHONFAULTHANDLER"):
        # There every end is exit code 1: only the log can tell a segmentation fault from a kill.
        env, own = {**env, "PYTHONFAULTHANDLER": "1"}, (*own, "PYTHONFAULTHANDLER")
    runs = wandb_folder(spec, profile, options)
    if runs is not None:
        env, own = {**env, "WANDB_DIR": str(runs)}, (*own, "WANDB_DIR")
    files = ((made_file, text),) if text else ()
    if profile.starter is Starter.ACCELERATE:
        files = ((config_file, accelerate_config(layout)), *files)
    python = (options.python, *profile.python_flags)
    start = start_words(profile.starter, python, layout, str(config_file))
    return LaunchRequest(
        attempt=spec.attempt,
        token=spec.token,
        argv=(*start, *entry_words(options), *words, *resume, *options.extra),
        cwd=options.root,
        log_file=spec.files.log,
        claim_file=spec.files.claim,
        exit_file=spec.files.exit,
        inner_file=spec.files.inner,
        request_file=spec.files.request,
        keeper_python=options.python,
        env=env,
        own_env=own,
        files=files,
        folders=(runs,) if runs is not None else (),
        held=spec.held,
    )


def wandb_folder(spec: JobSpec, profile: Profile, options: RunOptions) -> Path | None:
    """Where W&B is to keep the runs of a trainer that has no setting for it; None when it has.

    Left alone it would use the working folder, and the runs of all jobs would lie in one. The output folder itself is
    the trainer's to make, so they lie beside it.
    """
    return None if profile.wandb.enable else options.root / beside(spec.output_dir)


def beside(output_dir: str) -> str:
    """The folder beside an output folder for the W&B runs of a trainer that does not say where they go."""
    return f"{output_dir}.wandb"


def layout_of(spec: JobSpec, profile: Profile, options: RunOptions) -> Layout:
    """How many processes the job gets, where, and by which port they meet."""
    slot = spec.slot
    processes = options.processes or max(1, len(slot.gpus))
    if processes > 1 and spec.port is None:
        raise ValueError(f"{processes} processes need a leased port")
    threads = environment.threads_per_process(slot, processes)
    port = spec.port if processes > 1 else None
    return Layout(
        processes=processes,
        cpu=slot.device is Device.CPU,
        threads=threads,
        port=port,
        precision=profile.precision,
    )


def entry_words(options: RunOptions) -> tuple[str, ...]:
    """The script to start: our runner around the target, or the target itself."""
    target = (options.target.script,) if options.target.script else ("-m", options.target.module)
    return (str(RUNNER / "run.py"), *target) if options.runner else target


def settings_of(spec: JobSpec, profile: Profile, options: RunOptions) -> dict[str, Json]:
    """What we set in the trainer's config, by its own keys, in the order in which it is passed."""
    data = spec.config.data()
    made: dict[str, Json] = {}
    for names, value in (
        (profile.steps, options.steps),
        (profile.log_freq, options.log_freq),
        (profile.eval_freq, options.eval_freq),
        (profile.output_dir, spec.output_dir),
    ):
        key = chosen_key(names, data, options.known)
        if key and value is not None:
            made[key] = value
    if profile.device:
        made[profile.device] = spec.slot.device.value
    if profile.warm_key and spec.warm_from:
        made[profile.warm_key] = spec.warm_from
    return made | wandb_settings(profile, options.wandb) | dict(profile.always)


def wandb_settings(profile: Profile, wandb: WandbOptions) -> dict[str, Json]:
    """W&B switched on, offline without artifacts or online; entity and project only where they are given."""
    keys = profile.wandb
    made: dict[str, Json] = {keys.enable: True, keys.mode: wandb.mode.value}
    if wandb.mode is WandbMode.OFFLINE:
        made[keys.disable_artifact] = True
    if wandb.entity:
        made[keys.entity] = wandb.entity
    if wandb.project:
        made[keys.project] = wandb.project
    made.pop("", None)
    return made


def environment_of(spec: JobSpec, layout: Layout, options: RunOptions) -> tuple[dict[str, str], tuple[str, ...]]:
    """The job's environment, and the names in it that we set (worth showing), in a fixed order."""
    base = environment.inherited(options.env)
    own = environment.slot_env(spec.slot, layout.processes)
    own |= environment.python_path(options.source, base.get("PYTHONPATH", ""))
    own |= environment.wandb_env(options.wandb_cache)
    own["WANDB_MODE"] = options.wandb.mode.value
    if options.wandb.entity:
        own["WANDB_ENTITY"] = options.wandb.entity
    if options.wandb.project:
        own["WANDB_PROJECT"] = options.wandb.project
    own["AUTO_LOOP_TOKEN"] = spec.token
    own["AUTO_LOOP_INNER"] = str(spec.files.inner)
    return base | own, tuple(own)


def render_command(request: LaunchRequest) -> str:
    """The command as a shell takes it: the variables that we set, then the words, secrets masked."""
    env = [f"{name}={shlex.quote(request.env[name])}" for name in request.own_env if not name.startswith("AUTO_LOOP_")]
    return masked(" ".join((*env, shlex.join(masked_words(request.argv)))))
