"""`autorun`: the main loop."""

from typing import Any

import click

from auto_loop.cli.options import (
    WORDS,
    Words,
    guarding_options,
    leave,
    outlive_the_terminal,
    place_options,
    placing_options,
    trainer_options,
    verb,
    wandb_options,
)


@verb("autorun")
@click.option("--cfgs", cls=Words, metavar="FILE...", help="The configs of the first round.")
@click.option("--steps", type=click.IntRange(min=1), default=2000, help="Optimiser steps of each job.")
@click.option("--log-freq", type=click.IntRange(min=1), default=50, help="Log every N steps.")
@click.option("--eval-freq", type=click.IntRange(min=1), default=200, help="Evaluate every N steps.")
@placing_options
@click.option("--decide", is_flag=True, help="Let the rules make the next round's configs.")
@click.option("--rounds", type=click.IntRange(min=1), default=1, help="How many rounds to run.")
@click.option("--variants-per-run", type=click.IntRange(min=1), default=2, help="Next configs from one job, at most.")
@click.option("--round-size", type=click.IntRange(min=1), help="Jobs in a next round.  [default: as many as --cfgs]")
@click.option("--repeats", type=click.IntRange(min=1), default=1, help="Run each config under N seeds.")
@click.option("--steady", is_flag=True, help="No rounds: a freed slot gets the best waiting proposal at once.")
@click.option("--review", is_flag=True, help="Proposals wait for a person: `auto-loop review STUDY`.")
@click.option("--exec", "execute", is_flag=True, help="Really run; without it the plan is printed.")
@guarding_options
@trainer_options
@wandb_options
@place_options
@click.option("--resume", is_flag=True, help="Go on with the study's unfinished loop, with its stored flags.")
@click.option("--pid-file", metavar="FILE", help="Holds this supervisor's pid while it drives the study.")
@click.option("--detach", is_flag=True, help="With --exec: check it all, and go on in a process of its own.")
@click.option("--quiet", is_flag=True, help="Print no progress while it runs.")
@click.option("--extra", cls=Words, greedy=True, metavar="ARG...", help="Arguments for the trainer, as they are.")
@click.pass_context
def autorun(ctx: click.Context, /, **options: Any) -> None:
    """Run configs round after round: launch each on a GPU slot, read what it logged, let rules decide what to change,
    write the next configs, and start the next round. Without --exec the whole plan is printed and nothing is run.
    """
    from auto_loop.assembly.detach import run_detached  # only now: --help stays quick
    from auto_loop.assembly.running import Front, run_autorun
    from auto_loop.cli.calls import autorun_call
    from auto_loop.cli.progress import console, say

    call, front = autorun_call(ctx, options), Front(observer=console(quiet=options["quiet"]), say=say)
    if call.execute:
        outlive_the_terminal()
    if options["detach"] and call.execute:
        leave(run_detached(call, ctx.meta[WORDS], front))
    leave(run_autorun(call, front))
