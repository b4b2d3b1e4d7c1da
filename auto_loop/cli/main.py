"""The console command `auto-loop`: one verb, one file, loaded only when it is called."""

from importlib import import_module

import click

VERBS = {
    "autorun": "Run the loop: launch, measure, decide, and start the next round.",
    "generate-and-run": "Make one variant of a config, and run it if asked.",
    "analyze-offline": "Summarise the runs below a folder, whoever started them.",
    "report": "Write a study's report again from the ledger.",
    "why": "Say why a job waits, or a GPU is idle.",
    "explain": "Say why a job's config exists: which rule, which readings, which edits.",
    "replay": "Derive every config of a study again from its ledger, and name what differs.",
    "wait": "Wait until nobody drives a study any more.",
    "stop": "Stop a job or a whole study.",
    "review": "See the proposals that wait for a person, and accept or refuse them.",
    "pack": "Try a pack of rules: check it, test it on cases, hold it against old runs.",
}


class Verbs(click.Group):
    """A group that imports a verb's module when the verb is called, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs' names, in the order that the help shows."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb called `name` (`_` and `-` are the same), or None."""
        name = name.replace("_", "-")
        if name not in VERBS:
            return None
        module = name.replace("-", "_")
        command: click.Command = getattr(import_module(f"auto_loop.cli.{module}"), module)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, from the table: no verb's module is imported for it."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print the version and end; a clone that was never installed has none of its own."""
    from importlib.metadata import PackageNotFoundError, version  # only now: --help stays quick

    if wanted:
        try:
            click.echo(f"auto-loop {version('auto_loop')}")
        except PackageNotFoundError:
            click.echo("auto-loop, run from its folder without being installed")
        ctx.exit()


@click.command(cls=Verbs)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
)
def main() -> None:
    """Runs training jobs on GPUs round after round: propose, run, measure, decide."""
