"""`analyze_offline`: the newest runs below a folder, summarised from their own files."""

from pathlib import Path

import click

from auto_loop.cli.options import verb


@verb("analyze-offline")
@click.option("--outputs-root", type=click.Path(path_type=Path), default="outputs/train", help="The folder of runs.")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="How many runs, the latest written first.")
@click.option("--out-json", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write them there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
def analyze_offline(outputs_root: Path, limit: int, out_json: Path | None, as_json: bool) -> None:
    """Summarise the newest runs below a folder, whoever started them, as a mapping from run folder to statistics."""
    from auto_loop.cli.run_tables import as_text, collect, table, write  # loaded only when it runs: --help is quick

    mapping, broken = collect(outputs_root, limit)
    for line in broken:
        click.echo(line, err=True)
    if out_json is not None:
        write(out_json, as_text(mapping))
    click.echo(as_text(mapping) if as_json else table(mapping))
