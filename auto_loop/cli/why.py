"""`why`: the cause of every waiting job and every idle GPU, from the ledger."""

import re
from contextlib import closing

import click

from auto_loop.cli.options import verb

_GPU = re.compile(r"gpu:?\s*(\d{1,4})", re.IGNORECASE)


@verb("why")
@click.argument("subject", metavar="[JOB|gpu:N]", required=False)
@click.option("--study", metavar="NAME", help="This study alone.  [default: every one that is open]")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(subject: str | None, study: str | None, ledger: str | None, as_json: bool) -> None:
    """Say why jobs wait and slots are idle: of all open loops, of one JOB (a name or an id), or of one GPU by its
    number. It reads the ledger alone, so that it answers as well when nothing runs any more.
    """
    from auto_loop.assembly import why_text as texts  # only now: --help stays quick
    from auto_loop.assembly.named_files import ledger_file
    from auto_loop.assembly.supervisors import Here
    from auto_loop.assembly.surroundings import Surroundings
    from auto_loop.assembly.why import Question, job_asked, job_view, loops_to_show, no_such
    from auto_loop.domain.call import AutorunCall
    from auto_loop.ledger.reading import Reading

    around = Surroundings.here()
    with closing(Reading.open(ledger_file(AutorunCall(ledger=ledger), around))) as reading:
        asked = Question(reading=reading, here=Here.now(), now=around.clock())
        job = job_asked(reading, subject, study) if subject is not None else None
        gpu = _GPU.fullmatch(subject) if subject is not None and job is None else None
        if job is not None:
            found = job_view(asked, job)
            say(texts.job_json(found) if as_json else texts.job_text(found))
            return
        if subject is not None and gpu is None:
            if study is not None or reading.study(subject) is None:
                raise no_such(reading, subject, study)
            study = subject
        views = loops_to_show(asked, study)
        if gpu is not None:
            number = int(gpu[1])
            say(texts.gpu_json(views, number) if as_json else texts.gpu_text(views, number, asked.now))
        else:
            say(texts.loops_json(views) if as_json else texts.loops_text(views, asked.now))


def say(answer: object) -> None:
    """Print a text as it is, anything else as JSON."""
    import json

    click.echo(answer if isinstance(answer, str) else json.dumps(answer, indent=2))
