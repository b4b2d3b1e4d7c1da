"""`wait`: until nobody drives a study any more."""

from typing import Any

import click

from auto_loop.cli.options import DURATION, leave, verb


@verb("wait")
@click.argument("study", metavar="STUDY")
@click.option("--timeout", type=DURATION, metavar="DURATION", help="Wait no longer; 0: only look.  [default: no limit]")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
def wait(**options: Any) -> None:
    """Wait until nobody drives a STUDY any more, and say how its newest loop stands.

    Exit codes: 0 finished, 1 finished with failed jobs, 130 left unfinished, 124 still driven when --timeout is over,
    3 no such study.
    """
    from auto_loop.assembly.waiting import WaitCall, run_wait  # only now: --help stays quick

    leave(run_wait(WaitCall(**options), click.echo))
