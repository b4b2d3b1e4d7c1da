"""`review`: see the proposals that wait for a person, and accept or refuse them."""

from typing import Any

import click

from auto_loop.cli.options import Words, leave, verb


@verb("review")
@click.argument("study", metavar="STUDY")
@click.option("--accept", cls=Words, metavar="N...", help="Run these proposals; `all`: every one that is not refused.")
@click.option("--refuse", cls=Words, metavar="N...", help="Do not run these; `all`: every one that is not accepted.")
@click.option("--all", "rest", is_flag=True, help="Accept whatever is not refused.")
@click.option("--by", metavar="NAME", help="Whose word it is.  [default: the account's name]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
def review(**options: Any) -> None:
    """Show the proposals of a STUDY that wait, each with its reason, what it would change and what is expected of it;
    or say what becomes of them. The supervisor of the study does it at once; when nobody drives it, the word is kept
    for the next one.
    """
    from auto_loop.assembly.reviewing import ReviewCall, run_review  # only now: --help stays quick

    leave(run_review(ReviewCall(**options), click.echo))
