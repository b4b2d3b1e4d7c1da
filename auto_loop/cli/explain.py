"""`explain`: why a job's config exists, from the ledger."""

from contextlib import closing

import click

from auto_loop.cli.options import verb


@verb("explain")
@click.argument("job")
@click.option("--study", metavar="NAME", help="The study that the job is of.  [default: the newest that has one]")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(job: str, study: str | None, ledger: str | None, as_json: bool) -> None:
    """Say why the config of JOB (a name or an id) exists: its line of descent, which rule fired on which readings at
    which steps, which edits came of it, what was predicted and measured, and which alternatives were refused.
    """
    from auto_loop.assembly.differences import told
    from auto_loop.assembly.explain_json import explain_json  # only now: --help stays quick
    from auto_loop.assembly.explain_text import explain_text
    from auto_loop.assembly.explaining import explain as explained
    from auto_loop.assembly.named_files import ledger_file
    from auto_loop.assembly.surroundings import Surroundings
    from auto_loop.assembly.why import job_asked, no_such
    from auto_loop.cli.why import say
    from auto_loop.domain.call import AutorunCall
    from auto_loop.domain.errors import MisuseError
    from auto_loop.domain.secrets import secrets_of
    from auto_loop.ledger.reading import Reading

    around = Surroundings.here()
    with closing(Reading.open(ledger_file(AutorunCall(ledger=ledger), around))) as reading:
        asked = job_asked(reading, job, study)
        if asked is None:
            raise MisuseError(no_such(reading, job, study).faults)
        found = explained(reading, asked)
    say(told(explain_json(found) if as_json else explain_text(found), secrets_of(around.env)))
