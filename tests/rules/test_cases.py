"""Rule cases written as data: what a file of them may hold, what passes, and what is said of what does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.errors import MisuseError
from auto_loop.rules.case_file import Loading, parse_cases
from auto_loop.rules.case_model import CaseFile
from auto_loop.rules.cases import Judged, judge
from auto_loop.rules.model import Pack
from auto_loop.rules.pack import parse

PACK = parse(
    """
name = "mine"
[metrics."train/loss"]
aliases = ["loss"]
[[rule]]
name = "slower"
when = 'pct("train/loss") > -1 and lr > 1e-5'
change = { "lr@mul" = 0.5 }
reason = "flat"
priority = 50
[[rule]]
name = "faster"
when = 'pct("train/loss") < -50'
change = { "lr@mul" = { expr = '3 * last("train/loss")', predict = "train/loss" } }
reason = "it falls"
priority = 40
[[rule]]
name = "crashed"
when = 'log_matches("CUDA error")'
change = { "lr@mul" = 0.1 }
reason = "it crashed"
priority = 10
[[law]]
metric = "train/loss"
value = 'last("train/loss") * lr / next.lr'
[[stop]]
name = "diverges"
when = 'pct("train/loss") > 100'
after = 200
for = 2
reason = "x"
[[stop]]
name = "high"
when = 'last("train/loss") > 3'
then = "warn"
reason = "x"
[[diagnosis]]
name = "flat"
when = 'pct("train/loss") > -1'
says = "the loss is flat at {last('train/loss')}"
""",
    lambda name: f"name = {name!r}",  # nothing is inherited
    name="mine",
)
HEAD = '[config]\nlr = 0.01\n[[case]]\nname = "one"\n'
FALLS = 'series."train/loss" = "1.0-0.1x8"\n'  # 1.0 at step 50 to 0.2 at step 450
RISES = 'series."train/loss" = "1.0+0.5x8"\n'  # 1.0 at step 50 to 5.0 at step 450


def no_config(name: str) -> Config:
    raise MisuseError(f"there is no such config file: {name}")


def named_pack(name: str) -> Pack:
    if name != "mine":
        raise MisuseError(f"no pack named {name!r}")
    return PACK


LOADING = Loading(load_pack=named_pack, load_config=no_config, pack="mine")


def file_of(text: str) -> CaseFile:
    return parse_cases(text, LOADING, name="a.cases.toml")


def only(text: str) -> Judged:
    found = file_of(HEAD + text)
    (case,) = found.cases
    return judge(case, found.pack)


def faults(text: str) -> str:
    with pytest.raises(MisuseError) as caught:
        file_of(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "expects",
    [
        FALLS + 'fires = ["faster"]',
        FALLS + 'fires = "faster"',
        FALLS + 'fires_first = "faster"\nsilent = ["slower"]',
        FALLS + 'series.loss_two = "1x3"\nstops = []\nwarns = []',
        RISES + 'stops = { rule = "diverges", at = 250 }',
        RISES + 'stops = "diverges"',
        RISES + 'first_step = 0\nstops = { rule = "diverges", at = 250 }',
        RISES + 'steps = 100\nstops = { rule = "diverges", at = 500 }',
        'series.loss = "1.0+1.0x3 1"\nwarns = [{ rule = "high", at = 200 }]',
        RISES + 'stops = "diverges"\nwarns = []',
        FALLS + 'change."lr@mul" = 0.6',
        FALLS + 'change."lr@mul" = 0.6\npredicts."train/loss" = 0.3333',
        FALLS + 'predicts."train/loss" = { value = 0.3, within = 0.05 }',
        FALLS + "diagnoses = []",
        RISES + 'diagnoses = ["flat"]\nfires = ["slower"]\nchange."lr@mul" = 0.5',
        RISES + 'config_edits = ["lr=1e-6"]\nfires = []',
        'log = "x\\nCUDA error: an illegal access"\nfires = ["crashed"]',
        'series."train/loss" = 0.5\nfires = []',
        FALLS + 'log = "CUDA error"\nof = "crashed"\nchange."lr@mul" = 0.1',
        "config = { lr = 0.5 }\n" + FALLS + 'fires = ["faster"]\npredicts.loss = 0.3333',
    ],
)
def test_what_is_expected_and_comes_passes(expects: str) -> None:
    assert only(expects).misses == ()


@pytest.mark.parametrize(
    ("expects", "about", "said"),
    [
        (FALLS + 'fires = ["slower"]', "fires", "'slower' was silent: pct(\"train/loss\") = -80, needs > -1"),
        (FALLS + "fires = []", "fires", "'faster' fired: "),
        (FALLS + 'silent = ["faster"]', "silent", 'pct("train/loss") = -80'),
        (FALLS + 'fires_first = ["slower", "faster"]', "fires first", "'slower' was silent"),
        (FALLS + 'stops = "diverges"', "stops", "'diverges' was silent: pct(\"train/loss\") = -80, needs > 100"),
        (RISES + "stops = []", "stops", "'diverges' fired: pct(\"train/loss\") = 200 at step 250"),
        (RISES + 'stops = { rule = "diverges", at = 300 }', "stops", "after step 200, for 2 readings in a row"),
        ('series.loss = "1x2"\nstops = "diverges"', "stops", "no reading of its metrics from step 200 on"),
        ('series.loss = "1x3 9"\nstops = "diverges"', "stops", "it held for 1 reading in a row at most, needs 2"),
        (FALLS + 'warns = ["high"]', "warns", "'high' was silent"),
        (FALLS + 'change."lr@mul" = 0.5', "change", "'faster' fired"),
        (FALLS + 'of = "crashed"\nchange."lr@mul" = 0.5', "change", "'crashed' was silent: "),
        (FALLS + 'diagnoses = ["flat"]', "diagnoses", "'flat' does not hold: pct("),
        (RISES + "diagnoses = []", "diagnoses", "'flat' holds: the loss is flat at 5"),
    ],
)
def test_what_does_not_come_is_explained_by_the_readings(expects: str, about: str, said: str) -> None:
    judged = only(expects)
    (miss,) = judged.misses
    assert miss.about == about
    assert said in " | ".join(miss.notes)


def test_the_wrong_value_and_the_right_one_stand_side_by_side() -> None:
    (change, prediction) = only(FALLS + 'change."lr@mul" = 0.5\npredicts."train/loss" = 4').misses
    assert (change.expected, change.got) == ("lr@mul = 0.5", "lr@mul = 0.6")
    assert (prediction.expected, prediction.got) == ("4 ± 0.04", "0.333333")


def test_a_metric_that_no_law_speaks_of_is_not_predicted() -> None:
    (miss,) = only(FALLS + "predicts.mass = 1").misses
    assert miss.got == "nothing: no law speaks"


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("value = 'last(\"mass\") * next.lr'", 'law 1 for it lacks last("mass")'),
        ("value = '1'\nwhen = 'next.lr > 1'", "law 1 for it is silent: next.lr = 0.006, needs > 1"),
        ("value = 'next.width'", "law 1 for it lacks next.width"),
    ],
)
def test_what_a_law_lacked_is_told(law: str, said: str) -> None:
    rule = "[[rule]]\nname = 'r'\nwhen = '1 < 2'\nchange = { 'lr@set' = 0.006 }\nreason = 'r'\n"
    pack = parse(f"name = 'p'\n{rule}[[law]]\nmetric = 'mass'\n{law}", lambda name: f"name = {name!r}")
    loading = Loading(load_pack=lambda _: pack, load_config=no_config, pack="p")
    found = parse_cases(HEAD + FALLS + "predicts.mass = 1", loading)
    (miss,) = judge(found.cases[0], pack).misses
    assert miss.notes == (said,)


def test_rules_in_another_order_are_a_miss() -> None:
    judged = only('series.loss = "1x3"\nlog = "CUDA error"\nfires = ["crashed", "slower"]')
    (miss,) = judged.misses
    assert miss.notes == ("the same rules in another order",)


def test_a_case_without_config_is_one_of_a_run_without() -> None:
    found = file_of('[[case]]\nname = "one"\n' + RISES + 'fires = []\npredicts.loss = 1\nchange."lr" = 1')
    misses = judge(found.cases[0], found.pack).misses
    assert [miss.about for miss in misses] == ["change"]
    assert misses[0].got == "none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + FALLS, "line 3, case 1: it expects nothing"),
        (HEAD + 'series.loss = "1 2,3"\nfires = []', "line 5, case 1 series loss: '2,3' is no point"),
        (HEAD + 'series.loss = ""\nfires = []', "a series without a point"),
        (HEAD + 'series.loss = ["1"]\nfires = []', "takes a text"),
        (HEAD + 'fires = ["fastr"]', "did you mean 'faster'?"),
        (HEAD + 'stops = "high"', "nothing named 'high' for it (it belongs to `warns`)"),
        (HEAD + 'warns = "diverges"', "nothing named 'diverges' for it (it belongs to `stops`)"),
        (HEAD + 'diagnoses = ["flatt"]', "did you mean 'flat'?"),
        (HEAD + "stops = { at = 3 }", "takes { rule ="),
        (HEAD + 'stops = { rule = "diverges", at = 3.5 }', "takes { rule ="),
        (HEAD + 'stops = ["diverges", "diverges"]', "names one live rule"),
        (HEAD + 'config_edits = ["lrr@mul=2"]\nfires = []', "lrr"),
        (HEAD + 'config_edits = ["lr@mal=2"]\nfires = []', "did you mean @mul?"),
        (HEAD + 'config = "none.json"\nfires = []', "no such config file"),
        (HEAD + "config = 3\nfires = []", "takes the name of a config's file, or a table"),
        (HEAD + "config = { day = 2026-01-01 }\nfires = []", "holds a date"),
        (HEAD + "steps = 0\nfires = []", "is 1 or more"),
        (HEAD + 'fires = []\nfirse = ["x"]', "did you mean fires?"),
        (HEAD + 'change."lr@mal" = 3', "did you mean @mul?"),
        (HEAD + 'predicts.loss = "low"', "takes a number"),
        (HEAD + "predicts.loss = { value = 1, within = -1 }", "`within` is below 0"),
        (HEAD + "fires = []\n[[case]]\nname = 'one'\nfires = []", "two of them are named 'one'"),
        ("[[case]]\nfires = []", "`name` is missing"),
        ('[[case]]\nname="x"\nconfig_edits = ["lr=1"]\nfires = []', "there is no config to edit"),
        ('pack = "yours"\n[[case]]\nname="x"\nfires = ["anything"]', "line 1, pack: no pack named 'yours'"),
        ("steps = 5", "there is no [[case]] in it"),
        ("[[case]\n", "line 1: not TOML"),
        ("case = 3", "takes a list, not 3"),
    ],
)
def test_a_fault_has_its_place(text: str, said: str) -> None:
    message = faults(text)
    assert said in message
    assert message.startswith("a.cases.toml")


def test_all_faults_are_told_at_once() -> None:
    message = faults(HEAD + 'series.a = "x"\nfires = ["y"]\nsteps = 0\n[[case]]\nname = "two"\nwhat = 1')
    assert message.count("a.cases.toml, line") == 5


def test_no_pack_is_a_fault() -> None:
    with pytest.raises(MisuseError, match="no pack is named"):
        parse_cases(HEAD + "fires = []", Loading(load_pack=named_pack, load_config=no_config))


PIECES = st.sampled_from(
    ['pack = "mine"', "[[case]]", 'name = "x"', "[config]", "lr = 1", 'series.loss = "1x3"', "series = 3", "fires = []",
     "fires = [1]", "stops = [[]]", "stops = true", "predicts = []", "change = [3]", "steps = true", "[case]",
     "log = 1", "change.'a@set' = {}", "predicts.x = {}", 'config_edits = "lr"', "of = 'slower'", "[[case.series]]"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=8))
def test_any_file_is_taken_or_refused_with_faults(pieces: list[str]) -> None:
    try:
        found = file_of("\n".join(pieces))
    except MisuseError:
        return
    for case in found.cases:
        judge(case, found.pack)
