"""`replay`: every config of a study derived again from its ledger, and what differs."""

from contextlib import closing

import click

from auto_loop.cli.options import verb

DIFFERENT = 1


@verb("replay")
@click.argument("study")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def replay(ctx: click.Context, study: str, ledger: str | None, as_json: bool) -> None:
    """Derive every config of STUDY again from the ledger alone, byte for byte, and name what differs. It only reads,
    so that it can be called while the study runs. Exit code 0: nothing differs; 1: something does.
    """
    from auto_loop.assembly import replay_text as texts  # only now: --help stays quick
    from auto_loop.assembly.differences import told
    from auto_loop.assembly.named_files import ledger_file
    from auto_loop.assembly.replay_ground import gathered
    from auto_loop.assembly.replaying import replay as derived_again
    from auto_loop.assembly.surroundings import Surroundings
    from auto_loop.assembly.why import check_study
    from auto_loop.cli.why import say
    from auto_loop.domain.call import AutorunCall
    from auto_loop.domain.errors import MisuseError, RefusedError
    from auto_loop.domain.secrets import secrets_of
    from auto_loop.ledger.reading import Reading

    around = Surroundings.here()
    with closing(Reading.open(ledger_file(AutorunCall(ledger=ledger), around))) as reading:
        try:
            check_study(reading, study)
        except RefusedError as error:
            raise MisuseError(error.faults) from None
        ground = gathered(reading, study)
    found = derived_again(ground, around.root, workers=around.cores)
    say(told(texts.replay_json(found) if as_json else texts.replay_text(found), secrets_of(around.env)))
    ctx.exit(DIFFERENT if found.differences else 0)
