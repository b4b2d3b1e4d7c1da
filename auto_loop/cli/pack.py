"""`pack`: what a pack of rules says, tried without training anything: `check`, `test` and `backtest`."""

from pathlib import Path

import click

from auto_loop.cli.options import Words, verb


@click.group(context_settings={"max_content_width": 110})
def pack() -> None:
    """Try a pack of rules without training anything: read it, hold it against written cases, or against old runs."""


@verb("check", short_help="Read a pack whole: every fault with its line.")
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: str, as_json: bool) -> None:
    """Read a pack whole and say every fault with its line, or what is in it. FILE may be a shipped pack's name."""
    from auto_loop.assembly import pack_text as texts  # only now: --help stays quick
    from auto_loop.assembly.pack_cases import checked

    found = checked(file, Path.cwd())
    say(texts.check_json(found) if as_json else texts.check_text(found))


@verb("test", short_help="Hold a pack against its rule cases.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(ctx: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Hold a pack against its rule cases: FILE is a file of cases, a pack with NAME.cases.toml beside it, or a shipped
    pack's name. Exit code 1 when a case fails.
    """
    from auto_loop.assembly import pack_text as texts  # only now: --help stays quick
    from auto_loop.assembly.pack_cases import tested

    done = tested(files, Path.cwd())
    say(texts.test_json(done) if as_json else texts.test_text(done))
    ctx.exit(1 if any(one.failed for one in done) else 0)


@verb("backtest", short_help="Hold a pack against old runs.")
@click.argument("file", metavar="FILE")
@click.option("--runs", cls=Words, required=True, metavar="DIR...", help="Folders with old runs below them.")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="How many runs, the latest written first.")
@click.option("--ledger", metavar="FILE", help="The ledger that knows them.  [default: the ones of their projects]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backtest(file: str, runs: tuple[str, ...], limit: int, ledger: str | None, as_json: bool) -> None:
    """Hold a pack against old runs, whoever started them: what would have fired, what its live rules would have
    stopped and saved, and what the runs most like its proposals came to. FILE may be a shipped pack's name.
    """
    from auto_loop.assembly import pack_backtest_text as texts  # only now: --help stays quick
    from auto_loop.assembly.pack_backtest import backtest as held_against
    from auto_loop.assembly.pack_cases import checked
    from auto_loop.assembly.pack_runs import Sought, old_runs

    found_pack, root = checked(file, Path.cwd()), Path.cwd()
    folders = tuple(root / name for name in runs)
    asked = root / ledger if ledger else None
    found = old_runs(Sought(folders=folders, limit=limit, root=root, ledger=asked), found_pack)
    done = held_against(found_pack, found.runs)
    if as_json:
        say(texts.backtest_json(done, found))
        return
    for note in found.notes:
        click.echo(note, err=True)
    say(texts.backtest_text(done, found, runs))


def say(answer: object) -> None:
    """Print a text as it is, anything else as JSON."""
    import json

    click.echo(answer if isinstance(answer, str) else json.dumps(answer, indent=2))


for one in (check, test, backtest):
    pack.add_command(one)
