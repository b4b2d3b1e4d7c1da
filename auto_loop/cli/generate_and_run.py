"""`generate_and_run`: one variant of a config, and a run of it if asked."""

from typing import Any

import click

from auto_loop.cli.options import (
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


@verb("generate-and-run")
@click.option("--base-cfg", required=True, metavar="FILE", help="The config that the variant is made of.")
@click.option("--reason", default="", help="Why: shown in reports.")
@click.option("--changes", cls=Words, metavar="path@op=value...", help="Edits; @op is set, mul, add, min, max, ...")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser steps, written into the variant.")
@click.option("--log-freq", type=click.IntRange(min=1), help="Log every N steps, likewise.")
@click.option("--eval-freq", type=click.IntRange(min=1), help="Evaluate every N steps, likewise.")
@click.option("--out-dir", default="train_configs", help="Where the variant is written.")
@click.option("--exec", "execute", is_flag=True, help="Run it, as a study of one job.")
@placing_options
@guarding_options
@trainer_options
@wandb_options
@place_options
@click.option("--extra-args", cls=Words, greedy=True, metavar="ARG...", help="Arguments for the trainer, as they are.")
@click.pass_context
def generate_and_run(ctx: click.Context, /, **options: Any) -> None:
    """Make one variant of a config by edits (`a.b@mul=2`), and run it with --exec. Prints the variant's path, last and
    alone on its line.
    """
    from auto_loop.assembly.running import Front
    from auto_loop.assembly.variant import run_variant
    from auto_loop.cli.calls import variant_call
    from auto_loop.cli.progress import console, say

    front = Front(observer=console(quiet=False), say=say)
    if options["execute"]:
        outlive_the_terminal()
    leave(run_variant(variant_call(ctx, options), front))
