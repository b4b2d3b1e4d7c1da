"""A call of autorun: what the person asked for, as one value that the ledger stores with the loop."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Self

from auto_loop.domain.config import Json
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.secrets import MASK, masked_words

# What a resumed loop may be given anew: how it is called, not what it does.
_NOT_STORED = frozenset({"execute", "resume", "study", "ledger", "given", "take_over", "pid_file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AutorunCall:
    """The options of one call. None means "not given": assembly finds the default.

    Times are seconds (0: no limit), but for `max_hours`. `given` names the options that stood on the command line, for
    `--resume` to compare with the stored ones.
    """

    cfgs: tuple[str, ...] = ()
    steps: int = 2000
    log_freq: int = 50
    eval_freq: int = 200
    gpus: str | None = None
    gpus_per_job: int = 1
    jobs_per_gpu: int = 1
    concurrency: int | None = None
    device: str = "auto"
    decide: bool = False
    rounds: int = 1
    variants_per_run: int = 2
    round_size: int | None = None
    repeats: int = 1
    steady: bool = False
    review: bool = False
    execute: bool = False
    profile: str | None = None
    pack: str | None = None
    train_script: str | None = None
    train_module: str | None = None
    interpreter: str | None = None
    wandb_online: bool = False
    wandb_entity: str | None = None
    wandb_project: str | None = None
    study: str | None = None
    ledger: str | None = None
    output_root: str = "outputs/train"
    summary_out: str = "reports/data/autorun_summary.json"
    markdown_out: str | None = None
    resume: bool = False
    take_over: bool = False
    pid_file: str | None = None
    retries: int = 2
    start_timeout: float = 900.0
    stall_after: float = 3600.0
    job_timeout: float = 0.0
    max_hours: float = 0.0
    grace: float = 30.0
    allow_busy: bool = False
    extra: tuple[str, ...] = ()
    given: frozenset[str] = field(default_factory=frozenset)

    def flags(self, secrets: tuple[str, ...] = ()) -> dict[str, Json]:
        """The options that belong to the loop, as plain JSON for the ledger; keys and tokens in `extra` are masked."""
        stored = {name: value for name, value in asdict(self).items() if name not in _NOT_STORED}
        stored["extra"] = masked_words(self.extra, secrets)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items()}

    def resumed(self, stored: Mapping[str, Json], secrets: tuple[str, ...] = ()) -> Self:
        """This call with the stored options of the loop it resumes.

        An option that was given and differs is refused by name, all of them at once: a resumed loop is the same loop.
        What was masked in `extra` must be given again.
        """
        mine = self.flags(secrets)
        changed = [name for name in sorted(self.given & stored.keys()) if mine[name] != stored[name]]
        if changed:
            raise MisuseError(_differs(name, mine[name], stored[name]) for name in changed)
        kept = stored.get("extra")
        if isinstance(kept, list) and MASK in " ".join(map(str, kept)):
            if not self.extra:
                raise MisuseError(_not_kept(kept))
            stored = {**stored, "extra": list(self.extra)}
        known = {item.name for item in fields(self)}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items() if k in known}
        return replace(self, **values)  # type: ignore[arg-type] # the stored JSON is what `flags` wrote


def _not_kept(extra: list[Json]) -> Fault:
    return Fault(
        what=f"the loop to resume was started with {extra!r}, whose secrets are kept nowhere",
        where="--extra",
        hint="give --extra again as it was, secrets included",
    )


def _differs(name: str, mine: Json, stored: Json) -> Fault:
    return Fault(
        what=f"the loop to resume was started with {stored!r}, not {mine!r}",
        where=f"--{name.replace('_', '-')}",
        hint="leave the option out, or start a new loop without --resume",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCall:
    """A call of generate_and_run. Steps and frequencies that are given go into the variant; `run` is how to run it."""

    base_cfg: str
    reason: str
    changes: tuple[str, ...]
    out_dir: str
    steps: int | None
    log_freq: int | None
    eval_freq: int | None
    run: AutorunCall
