"""One variant of a config: made, remembered in the ledger with its origin, and run if asked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from auto_loop.assembly.choices import choose_profile
from auto_loop.assembly.named_files import ledger_file, shown
from auto_loop.assembly.prepare import named_shortly, probe_env, refused_configs
from auto_loop.assembly.running import DONE, Front, run_autorun
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall, VariantCall
from auto_loop.domain.config import Json
from auto_loop.domain.edits import render_edit
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.job import Origin
from auto_loop.launch.arguments import chosen_key
from auto_loop.launch.field_types import field_types, trainer_class
from auto_loop.launch.profile import Profile
from auto_loop.ledger.ledger import Ledger
from auto_loop.workspace.configs import load_config
from auto_loop.workspace.variants import Variant, make_variant

_PROPOSER = "person"


def run_variant(call: VariantCall, front: Front, around: Surroundings | None = None) -> int:
    """Write the variant, remember why it exists, print its path, and with `--exec` run it; the exit code."""
    around = around or Surroundings.here()
    try:
        variant = written(call, around)
    except MisuseError as error:
        raise MisuseError(named_shortly(error.faults, around.root)) from None
    path = shown(variant.path, around.root)
    for note in variant.notes:
        front.say(f"note: {note}")
    if variant.config.fingerprint == variant.base_fingerprint:
        front.say(f"note: the changes leave {call.base_cfg} as it is: the variant is its copy")
    else:  # a config that came from itself would be shown so in every report
        remember(call, variant, around)
    try:
        return run_autorun(_run(call, variant, path), front, around) if call.run.execute else DONE
    finally:
        front.say(path)  # a refused run leaves a sound variant all the same


def written(call: VariantCall, around: Surroundings) -> Variant:
    """The variant on disk. MisuseError with every fault of base, edits and the trainer's own class; then no file."""
    profile = choose_profile(call.run, around.root).value
    python = call.run.interpreter or around.python
    trainer = trainer_class(profile, python, around.root, probe_env(around))
    fields = field_types(profile, trainer, around.layout.scratch)
    base = around.root / call.base_cfg
    return make_variant(
        base,
        call.changes,
        _keys(call, profile, _data(base), fields.names),
        around.root / call.out_dir,
        fields.types,
        lambda config: [
            Fault(what=f"the trainer refuses the variant: {text}", where=call.base_cfg)
            for text in refused_configs(trainer, (config,)).values()
        ],
    )


def _data(file: Path) -> Mapping[str, Json]:
    """What the config holds; nothing of a broken one, whose faults `make_variant` says beside those of the edits."""
    try:
        return load_config(file).config.data()
    except MisuseError:
        return {}


def _keys(
    call: VariantCall, profile: Profile, data: Mapping[str, Json], known: frozenset[str] | None
) -> dict[str, int | None]:
    """The trainer's own paths of steps, log and eval frequency, with what was given."""
    given = ((profile.steps, call.steps), (profile.log_freq, call.log_freq), (profile.eval_freq, call.eval_freq))
    keys = {chosen_key(names, data, known): value for names, value in given}
    lacking = data and [value for key, value in keys.items() if not key and value is not None]
    if lacking:
        raise MisuseError(Fault(what=f"profile {profile.name} has no key for a given step option"))
    return {key: value for key, value in keys.items() if key}


def _run(call: VariantCall, variant: Variant, path: str) -> AutorunCall:
    """The call that runs the variant; steps and frequencies as given, else its own, else autorun's defaults."""
    data = variant.config.data()

    def chosen(given: int | None, name: str, usual: int) -> int:
        own = data.get(name)
        if given is not None:
            return given
        return own if isinstance(own, int) and own > 0 else usual

    return replace(
        call.run,
        cfgs=(path,),
        steps=chosen(call.steps, "steps", call.run.steps),
        log_freq=chosen(call.log_freq, "log_freq", call.run.log_freq),
        eval_freq=chosen(call.eval_freq, "eval_freq", call.run.eval_freq),
    )


def remember(call: VariantCall, variant: Variant, around: Surroundings) -> None:
    """Keep parent, edits and reason under the variant's fingerprint, so that `autorun` shows them from round 1."""
    origin = Origin(
        parent_cfg=call.base_cfg,
        proposer=_PROPOSER,
        reason=call.reason,
        changes=tuple(render_edit(edit) for edit in variant.edits),
    )
    with Ledger.open(ledger_file(call.run, around), around.clock) as ledger:
        ledger.remember_origin(variant.config.fingerprint, origin)
