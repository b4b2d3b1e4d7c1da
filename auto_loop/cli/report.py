"""`report`: a study's report, written again from the ledger."""

import click

from auto_loop.cli.options import verb


@verb("report")
@click.argument("study")
@click.option("--ledger", metavar="FILE", help="The ledger.  [default: outputs/ledger.sqlite3]")
@click.option("--markdown-out", metavar="FILE", help="The report.  [default: reports/<study>.md]")
@click.option("--summary-out", default="reports/data/autorun_summary.json", help="The report as JSON.")
@click.option("--quiet", is_flag=True, help="Do not print where it is.")
def report(study: str, ledger: str | None, markdown_out: str | None, summary_out: str, quiet: bool) -> None:
    """Write the Markdown report of STUDY, and the JSON of all studies, from the ledger."""
    from auto_loop.assembly.drawing import draw
    from auto_loop.assembly.named_files import report_files
    from auto_loop.assembly.surroundings import Surroundings
    from auto_loop.domain.call import AutorunCall

    around = Surroundings.here()
    call = AutorunCall(study=study, ledger=ledger, markdown_out=markdown_out, summary_out=summary_out)
    files = report_files(call, study, around)
    draw(study, files, around)
    if not quiet:
        click.echo(f"{files.markdown}\n{files.summary}")
