"""`stop`: stop a job or a whole study."""

from typing import Any

import click

from auto_loop.cli.options import leave, verb


@verb("stop")
@click.argument("subject", metavar="[JOB|STUDY]", required=False)
@click.option("--job", metavar="JOB", help="The job of this name or id, when a study is called so too.")
@click.option("--study", metavar="NAME", help="The study of this name; with a job, the study that it is of.")
@click.option("--kill", is_flag=True, help="Without grace: SIGKILL at once.")
@click.option("--drain", is_flag=True, help="Launch nothing more, and let finish what runs (a study only).")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
def stop(**options: Any) -> None:
    """Stop a JOB (a name or an id), or all that runs of a STUDY, whose loop `autorun --resume` can go on with.

    Running jobs get SIGTERM, time to save (--grace of their loop), then SIGKILL to the whole tree; queued ones are
    withdrawn. The supervisor of the study does it; when none is left, this command does.
    """
    from auto_loop.assembly.stopping import Front, StopCall, run_stop  # only now: --help stays quick

    leave(run_stop(StopCall(**options), Front(say=click.echo)))
