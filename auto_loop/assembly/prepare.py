"""From a call to everything that it needs, checked: all faults at once, before anything is launched."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from auto_loop.assembly.choices import Choice, choose_pack, choose_profile, choose_slots, pack_named, planned_slots
from auto_loop.assembly.own_output import own_output_faults, take_output_dir
from auto_loop.assembly.places import place_faults, writing_faults
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.cell import seed_of
from auto_loop.domain.config import Config
from auto_loop.domain.effect import confirmation_level, smallest_detectable
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError, RefusedError
from auto_loop.domain.fingerprint import places_told
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.paths import Path as ConfigPath
from auto_loop.domain.paths import parse_path
from auto_loop.domain.slot import Device, Slot
from auto_loop.launch.checks import device_faults, python_faults, resolve_target, wandb_faults, wandb_options
from auto_loop.launch.class_server import TrainerClass, TrainerClassServer, trainer_class
from auto_loop.launch.command import RunOptions
from auto_loop.launch.environment import inherited
from auto_loop.launch.field_types import TrainerFields, field_types
from auto_loop.launch.profile import Profile
from auto_loop.rules.model import Pack
from auto_loop.workspace.configs import LoadedConfig, load_configs

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A call with every part chosen and checked. `warnings` are refusals that a mere plan only mentions.

    `output_dir` is the user's own folder for the one job, "" when the loop chooses. `trainer` is warm where proposals
    will be asked of it; who runs the loop closes it.
    """

    call: AutorunCall
    study: str
    profile: Choice[Profile]
    pack: Choice[Pack]
    slots: Choice[tuple[Slot, ...]]
    options: RunOptions
    configs: tuple[LoadedConfig, ...]
    fields: TrainerFields
    trainer: TrainerClassServer | None
    output_dir: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ignore(self) -> tuple[ConfigPath, ...]:
        """What makes no other experiment: places that pack and profile name, and those that every launch is told."""
        profile = self.profile.value
        told = (*profile.steps, *profile.log_freq, *profile.eval_freq, *profile.output_dir, profile.seed)
        ours = (parse_path(text) for text in (*profile.ignore, *told) if text)
        return tuple(dict.fromkeys((*self.pack.value.guardrails.ignore, *ours)))

    @property
    def guardrails(self) -> Guardrails:
        """The pack's guardrails, ignoring also what the call's own arguments set: no config's value counts there."""
        return replace(self.pack.value.guardrails, ignore=(*self.ignore, *places_told(self.call.extra)))

    @property
    def seed(self) -> ConfigPath | None:
        """The place of the trainer's seed; None for a trainer that has none, or whose seed is told to every job."""
        place = parse_path(self.profile.value.seed) if self.profile.value.seed else None
        return None if place in places_told(self.call.extra) else place


@dataclass(slots=True)
class _Findings:
    """Faults as they are found: a misuse is always refused, a refusal is a warning while nothing is executed."""

    execute: bool
    root: Path
    misuses: list[Fault] = field(default_factory=list)
    refusals: list[Fault] = field(default_factory=list)

    def attempt(self, make: Callable[[], T]) -> T | None:
        """What `make` gives, or None and its faults kept."""
        try:
            return make()
        except RefusedError as error:
            self.refusals.extend(error.faults)
        except AutoLoopError as error:
            self.misuses.extend(error.faults)
        return None

    def close(self) -> tuple[str, ...]:
        """The refusals as warnings, if nothing is refused. MisuseError or RefusedError with every fault."""
        if self.misuses:
            raise MisuseError(named_shortly([*self.misuses, *self.refusals], self.root))
        if self.refusals and self.execute:
            raise RefusedError(named_shortly(self.refusals, self.root))
        return tuple(fault.render() for fault in named_shortly(self.refusals, self.root))


def named_shortly(faults: Iterable[Fault], root: Path) -> list[Fault]:
    """The faults with files of the project named as the user names them: from its folder on."""
    return [replace(fault, where=fault.where.removeprefix(f"{root}/")) for fault in faults]


def prepare(call: AutorunCall, around: Surroundings) -> Prepared:
    """Choose every part and check all that can be known before a launch."""
    found = _Findings(execute=call.execute, root=around.root)
    if not call.cfgs:
        found.misuses.append(Fault(what="no config was given", where="--cfgs", hint="name at least one config file"))
    found.misuses += _named_twice(call.cfgs)
    found.misuses += _undecided(call)
    found.misuses += place_faults(call, around.root)
    found.refusals += writing_faults(call, around.root)
    profile = found.attempt(lambda: choose_profile(call, around.root))
    pack = found.attempt(lambda: choose_pack(call, profile.value, around.root)) if profile else None
    if profile is None and call.pack:
        found.attempt(lambda: pack_named(call.pack or "", around.root))
    slots = found.attempt(lambda: choose_slots(call, around))
    if profile is None:
        found.attempt(lambda: load_configs(_files(call, around)))
        found.close()
        raise AssertionError("a missing profile is a fault")
    output_dir, extra = take_output_dir(call.extra, profile.value)
    options = replace(_options(call, profile.value, around, found), extra=extra)
    if not call.resume:
        found.refusals += own_output_faults(output_dir, _jobs_to_come(call), around.root)
    kind = trainer_class(profile.value, options.python, around.root, probe_env(around))
    fields = field_types(profile.value, kind, around.layout.scratch)
    configs = found.attempt(lambda: load_configs(_files(call, around), fields.types)) or ()
    found.misuses += _seed_faults(call, profile.value, configs)
    found.refusals += _trainer_faults(options, profile.value, slots, configs, around)
    trainer = None if kind is None else TrainerClassServer(kind)
    if trainer is not None:
        found.misuses += _refused_configs(trainer, configs)
        if found.misuses or found.refusals or not call.execute or not (call.decide or (pack and pack.value.stops)):
            trainer.close()
    warnings = found.close()
    if pack is None:
        raise AssertionError("a missing pack is a fault")
    return Prepared(
        call=call,
        study=call.study or pack.value.name,
        profile=profile,
        pack=pack,
        slots=slots or planned_slots(call),
        options=replace(options, known=fields.names),
        configs=configs,
        fields=fields,
        trainer=trainer,
        output_dir=output_dir,
        warnings=(
            *warnings,
            *_reach(call),
            *_few_repeats(call),
            *_without_gpus(call, slots),
            *([slots.note] if slots and slots.note else []),
        ),
        notes=(*(fields.notes or _unasked(trainer)), *(f"{one.path}: {note}" for one in configs for note in one.notes)),
    )


def refused_configs(trainer: TrainerClass | None, configs: tuple[Config, ...]) -> dict[int, str]:
    """`refused_by` a class that is started for this one question."""
    if trainer is None:
        return {}
    with TrainerClassServer(trainer) as server:
        return refused_by(server, configs)


def refused_by(trainer: TrainerClassServer | None, configs: tuple[Config, ...]) -> dict[int, str]:
    """What the trainer's own class says against each config, by position; nothing where it cannot be asked."""
    found = enumerate([] if trainer is None else trainer.check(configs))
    return {at: "; ".join(fault.what for fault in faults) for at, faults in found if faults}


def _refused_configs(trainer: TrainerClassServer, configs: tuple[LoadedConfig, ...]) -> list[Fault]:
    texts = refused_by(trainer, tuple(one.config for one in configs))
    return [Fault(what=f"the trainer refuses it: {text}", where=str(configs[at].path)) for at, text in texts.items()]


def _unasked(trainer: TrainerClassServer | None) -> tuple[str, ...]:
    return (trainer.note,) if trainer is not None and trainer.note else ()


def _files(call: AutorunCall, around: Surroundings) -> list[Path]:
    return [around.root / name for name in call.cfgs]


def _named_twice(cfgs: Iterable[str]) -> list[Fault]:
    names = [os.path.normpath(name) for name in cfgs]
    twice = dict.fromkeys(name for name in names if names.count(name) > 1)
    return [Fault(what="named twice", where=f"--cfgs {name}", hint="one config under several seeds is one file each")
            for name in twice]  # fmt: skip


def _undecided(call: AutorunCall) -> list[Fault]:
    """Options about the rules' proposals, in a call that asks no rules."""
    if call.decide:
        return []
    hint = "give --decide as well: without it the rules propose nothing"
    given = (("--steady", call.steady), ("--review", call.review))
    return [Fault(what="it is about proposals, and there will be none", where=option, hint=hint)
            for option, is_given in given if is_given]  # fmt: skip


def _options(call: AutorunCall, profile: Profile, around: Surroundings, found: _Findings) -> RunOptions:
    """What all jobs share; an absent trainer or interpreter is a fault, W&B's papers a refusal."""
    target, faults = resolve_target(profile, around.root, call.train_script or "", call.train_module or "")
    found.misuses += faults
    if call.train_script and call.train_module:
        found.misuses.append(Fault(what="give one of --train-script and --train-module, not both"))
    source = around.root / "src"
    return RunOptions(
        python=call.interpreter or around.python,
        target=target,
        root=around.root,
        scratch=around.layout.scratch,
        wandb_cache=around.layout.wandb_cache,
        steps=call.steps,
        log_freq=call.log_freq,
        eval_freq=call.eval_freq,
        wandb=wandb_options(
            online=call.wandb_online,
            entity=call.wandb_entity or "",
            project=call.wandb_project or "",
            env=around.env,
        ),
        env=around.env,
        source=source if source.is_dir() else None,
    )


def probe_env(around: Surroundings) -> dict[str, str]:
    """The environment in which the trainer's config class is imported: the jobs' own, as far as it matters there."""
    env = inherited(around.env)
    source = around.root / "src"
    if source.is_dir():
        env["PYTHONPATH"] = f"{source}:{env['PYTHONPATH']}" if env.get("PYTHONPATH") else str(source)
    return env


def _trainer_faults(
    options: RunOptions,
    profile: Profile,
    slots: Choice[tuple[Slot, ...]] | None,
    configs: tuple[LoadedConfig, ...],
    around: Surroundings,
) -> list[Fault]:
    """What would keep the jobs from training, though the call is well formed."""
    device = slots.value[0].device if slots else Device.CUDA
    return [
        *python_faults(options.python, profile, options.target),
        *device_faults(profile, device.value),
        *wandb_faults(options.wandb, profile, [one.config for one in configs], around.env, around.home),
    ]


def _seed_faults(call: AutorunCall, profile: Profile, configs: Iterable[LoadedConfig]) -> list[Fault]:
    """Configs that cannot be run under several seeds, though --repeats asks for it."""
    if call.repeats == 1:
        return []
    if profile.seed and parse_path(profile.seed) in places_told(call.extra):
        hint = f"leave {profile.seed} out of --extra: every repeat has its own"
        return [Fault(what="--extra gives every job the same seed, so that nothing is repeated", where="--repeats",
                      hint=hint)]  # fmt: skip
    if not profile.seed:
        hint = 'name the place of the seed in the profile: [config] seed = "..."'
        return [Fault(what=f"profile {profile.name} knows no seed to repeat under", where="--repeats", hint=hint)]
    at, hint = parse_path(profile.seed), f"give the config a whole number at {profile.seed}"
    return [
        Fault(what="it has no seed to repeat under", where=str(one.path), hint=hint)
        for one in configs
        if seed_of(one.config, at) is None
    ]


def _jobs_to_come(call: AutorunCall) -> int:
    """How many jobs the call is known to lead to at least: later rounds have one config each."""
    return call.repeats * (len(call.cfgs) + (call.rounds - 1 if call.decide else 0))


def _reach(call: AutorunCall) -> list[str]:
    """Metrics that cannot reach two points: nothing could be said of how they changed."""
    return [
        f"{call.steps} steps at {option} {frequency} give fewer than two points: no change could be seen"
        for option, frequency in (("--log-freq", call.log_freq), ("--eval-freq", call.eval_freq))
        if call.steps // frequency < 2
    ]


def _few_repeats(call: AutorunCall) -> list[str]:
    """Fewer seeds than could show anything but a very large effect."""
    if call.repeats not in (2, 3):
        return []
    least = smallest_detectable(1.0, call.repeats, confirmation_level(1))
    return [
        f"--repeats {call.repeats}: only an effect above about {least:.1f} standard deviations of a paired difference "
        "could be called better; 5 seeds see 1.2 (docs/effects.md)"
    ]


def _without_gpus(call: AutorunCall, slots: Choice[tuple[Slot, ...]] | None) -> list[str]:
    """Options about GPUs that a call without any cannot follow."""
    if slots is None or slots.value[0].gpus:
        return []
    given = (("--gpus-per-job", call.gpus_per_job), ("--jobs-per-gpu", call.jobs_per_gpu))
    return [f"{option} {count} means nothing here: there is no GPU in use" for option, count in given if count > 1]
