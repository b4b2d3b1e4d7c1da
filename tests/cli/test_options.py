"""Options with many words, as the contracts and the seed's own command lines use them."""

import click
import pytest
from click.testing import CliRunner

from auto_loop.cli.options import Words, verb
from auto_loop.domain.errors import Fault, MisuseError, RefusedError


@verb("try")
@click.option("--cfgs", cls=Words)
@click.option("--steps", type=int, default=1)
@click.option("--exec", "execute", is_flag=True)
@click.option("--extra", cls=Words, greedy=True)
def try_verb(cfgs: tuple[str, ...], steps: int, execute: bool, extra: tuple[str, ...]) -> None:
    click.echo(repr((cfgs, steps, execute, extra)))


@verb("fail")
@click.option("--how")
def fail_verb(how: str) -> None:
    faults = [Fault(what="no such file", where="a.json"), Fault(what="no such file", where="b.json")]
    raise MisuseError(faults) if how == "misuse" else RefusedError(faults)


def parsed(*words: str) -> object:
    result = CliRunner().invoke(try_verb, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return eval(result.output)  # noqa: S307 # a repr of our own making


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cfgs", "a", "b", "--steps", "3"], (("a", "b"), 3, False, ())),
        (["--cfgs", "a", "--cfgs", "b", "c"], (("a", "b", "c"), 1, False, ())),
        (["--cfgs=a", "--steps=3", "--exec"], (("a",), 3, True, ())),
        (["--steps", "3", "--cfgs", "a", "b"], (("a", "b"), 3, False, ())),
        (
            ["--cfgs", "a", "--extra", "--a.b=1", "--flag", "word", "--exec"],
            (("a",), 1, True, ("--a.b=1", "--flag", "word")),
        ),
        (["--extra=--a.b=1", "--exec"], ((), 1, True, ("--a.b=1",))),
        (["--cfgs", "a", "--", "--steps", "9"], (("a",), 1, False, ("--steps", "9"))),
        (["--cfgs", "x@set=[1, 2]", "y=--z"], (("x@set=[1, 2]", "y=--z"), 1, False, ())),
    ],
)
def test_words_are_taken_up_to_the_next_known_option(words: list[str], expected: object) -> None:
    assert parsed(*words) == expected


def test_an_unknown_option_after_words_is_refused_by_name() -> None:
    result = CliRunner().invoke(try_verb, ["--cfgs", "a", "--stepz", "3"])
    assert result.exit_code == 2
    assert "--stepz" in result.output


@pytest.mark.parametrize(("how", "code"), [("misuse", 2), ("refused", 3)])
def test_an_error_leaves_as_its_exit_code_with_every_fault(how: str, code: int) -> None:
    result = CliRunner().invoke(fail_verb, ["--how", how])
    assert result.exit_code == code
    assert result.output.splitlines() == ["error: a.json: no such file", "error: b.json: no such file"]
