"""Options with many words, shared options, and how errors leave the program.

click alone takes one word an option. The contracts want `--cfgs A B C` (every word up to the next option that the
verb knows) and `--extra --a.b=1 --flag` (every word that is no option of the verb itself, leading `--` included);
both are solved here once, by rewriting the words before click sees them.
"""

import errno
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

from auto_loop.domain.errors import AutoLoopError

REFUSED, INTERRUPTED = 3, 130
# Where a context keeps the words as they were given.
WORDS = "auto_loop.words"
Verb = TypeVar("Verb", bound=Callable[..., Any])


class Words(click.Option):
    """An option that takes every word up to the next option the verb knows. `greedy`: unknown `--words` too."""

    def __init__(self, *args: Any, greedy: bool = False, **kwargs: Any) -> None:
        self.greedy = greedy
        super().__init__(*args, **{"multiple": True, "metavar": "WORD...", **kwargs})


class VerbCommand(click.Command):
    """A click command whose `Words` options take several words, and whose errors leave as exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spread the words of `Words` options out before click parses the line."""
        args = unmasked(args)
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, list(spread(args, self.get_params(ctx))))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; an error made on purpose becomes its message on stderr and its exit code."""
        standard_streams()
        try:
            return super().invoke(ctx)
        except AutoLoopError as error:
            for fault in error.faults:
                click.echo(f"error: {fault.render()}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            # Of the machine, not of the program: a full disk, a folder taken away. Others are faults of ours.
            if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
            click.echo(f"error: {where}{error.strerror}", err=True)
            drop_what_cannot_be_printed()
            ctx.exit(REFUSED)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def standard_streams() -> None:
    """Three open streams that take any text.

    Whoever started us may have closed some: a file opened next would get its number, and be printed into.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for as long as we run)
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for as long as we run)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding that lacks our arrows must not end a loop


def drop_what_cannot_be_printed() -> None:
    """Lets what stdout still holds go nowhere, where it cannot be written: python's own end would fail over it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())


def unmasked(words: list[str]) -> list[str]:
    """The words as they were meant, where whoever started us kept secrets off our command line (`--detach`)."""
    import json  # only now: --help stays quick

    from auto_loop.domain.secrets import MASKED_WORDS

    # Taken out of the environment, for that is what the jobs are given.
    secret = json.loads(os.environ.pop(MASKED_WORDS, "{}"))
    return [secret.get(str(at), word) for at, word in enumerate(words)]


def spread(words: Sequence[str], params: Sequence[click.Parameter]) -> Iterator[str]:
    """`--cfgs A B` as `--cfgs=A --cfgs=B`; what follows `--` goes to the greedy option, if the verb has one."""
    options = {name: param for param in params for name in (*param.opts, *param.secondary_opts)}
    greedy = next((p.opts[0] for p in params if isinstance(p, Words) and p.greedy), None)
    taking: Words | None = None
    for position, word in enumerate(words):
        name = word.split("=", 1)[0]
        if word == "--" and greedy is not None:
            yield from (f"{greedy}={rest}" for rest in words[position + 1 :])
            return
        if name in options:
            found = options[name]
            taking = found if isinstance(found, Words) and "=" not in word else None
            if taking is None:
                yield word
        elif taking is not None and (taking.greedy or not word.startswith("--")):
            yield f"{taking.opts[0]}={word}"
        else:
            taking = None
            yield word


class Duration(click.ParamType):  # type: ignore[type-arg] # older versions of click take none
    """Seconds as `90`, `90s`, `15m`, `2h` or `1h30m`; not below 0."""

    name = "duration"
    _form = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; a usage error for anything else."""
        if isinstance(value, int | float):
            return float(value)
        found = self._form.fullmatch(str(value).strip())
        if not found or not any(found.groups()):
            self.fail(f"{value!r} is no duration: write 90, 90s, 15m, 2h or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds


DURATION = Duration()


def verb(name: str, **settings: Any) -> Callable[[Callable[..., Any]], VerbCommand]:
    """A decorator: the function as the command `name`; its docstring is the help text."""
    return click.command(
        name, cls=VerbCommand, context_settings={"max_content_width": 110, "show_default": True}, **settings
    )


def several(*decorators: Callable[[Verb], Verb]) -> Callable[[Verb], Verb]:
    """Decorators joined to one, in reading order."""

    def join(function: Verb) -> Verb:
        for decorate in reversed(decorators):
            function = decorate(function)
        return function

    return join


placing_options = several(
    click.option("--gpus", help="Physical GPU ids or UUIDs, as nvidia-smi shows them.  [default: the first four]"),
    click.option("--gpus-per-job", type=click.IntRange(min=1), default=1, help="GPUs that one job holds."),
    click.option("--jobs-per-gpu", type=click.IntRange(min=1), default=1, help="Jobs that share one GPU."),
    click.option("--concurrency", type=click.IntRange(min=1), help="Use the first N slots only."),
    click.option("--device", type=click.Choice(["cuda", "cpu", "mps", "auto"]), default="auto", help="Where to train."),
)
trainer_options = several(
    click.option("--profile", metavar="NAME|FILE", help="How the trainer takes its orders."),
    click.option("--pack", metavar="NAME|FILE", help="The rules that decide.  [default: the profile's]"),
    click.option("--train-script", metavar="FILE", help="The training script, in place of the profile's."),
    click.option("--train-module", metavar="NAME", help="The training module (as python -m), likewise."),
    click.option("--python", "interpreter", metavar="FILE", help="The trainer's own interpreter.  [default: this one]"),
)
wandb_options = several(
    click.option("--wandb-online", is_flag=True, help="Log to W&B online (needs a key, an entity and a project)."),
    click.option("--wandb-entity", metavar="NAME", help="W&B entity.  [default: WANDB_ENTITY, then the config]"),
    click.option("--wandb-project", metavar="NAME", help="W&B project.  [default: WANDB_PROJECT, then the config]"),
)
place_options = several(
    click.option("--study", metavar="NAME", help="The study this belongs to.  [default: the pack's name]"),
    click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]"),
    click.option("--output-root", default="outputs/train", help="Where the runs' folders are made."),
    click.option("--summary-out", default="reports/data/autorun_summary.json", help="The report as JSON."),
    click.option("--markdown-out", metavar="FILE", help="The report.  [default: reports/<study>.md]"),
)


guarding_options = several(
    click.option("--retries", type=click.IntRange(min=0), default=2, help="New tries of a job whose failure may pass."),
    click.option("--start-timeout", type=DURATION, default="15m", help="Stop a job that has logged nothing; 0: never."),
    click.option("--stall-after", type=DURATION, default="1h", help="Stop a job that logs nothing new; 0: never."),
    click.option("--job-timeout", type=DURATION, default="0", help="Stop a job that takes longer; 0: never."),
    click.option("--max-hours", type=click.FloatRange(min=0), default=0.0, help="Stop all after so long; 0: never."),
    click.option("--grace", type=DURATION, default="30s", help="From asking a job to finish to killing it."),
    click.option("--allow-busy", is_flag=True, help="Use GPUs that somebody else uses, too."),
    click.option("--take-over", is_flag=True, help="Take a study over that another host holds; that one must be dead."),
)


def outlive_the_terminal() -> None:
    """Go on when the terminal is closed, from now on: a loop that is still being prepared is not to be lost with it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def leave(code: int) -> None:
    """End the program with `code`, flushing what was printed."""
    sys.stdout.flush()
    sys.exit(code)
