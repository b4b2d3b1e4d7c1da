"""Paths: reading, writing, and finding places in a config."""

import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.domain.paths import (
    BrokenPathError,
    Index,
    Key,
    Star,
    expand,
    get,
    leaves,
    matches,
    parse_path,
    render_path,
)

CONFIG = {
    "ot": {
        "lambda_ot": 0.1,
        "loss_config": {
            "reg": 0.05,
            "tau_src": 1.0,
            "features": [{"weight_label": 0.0}, {"weight_label": 0.01}],
        },
    },
    "input_features": {"observation.image": {"shape": [3, 96, 96]}, "3": "three"},
    "empty": {},
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("steps", (Key("steps"),)),
        (
            "ot.loss_config.features.*.weight_label",
            (Key("ot"), Key("loss_config"), Key("features"), Star(), Key("weight_label")),
        ),
        ("features.3.w", (Key("features"), Index(3), Key("w"))),
        ("features.03", (Key("features"), Key("03"))),
        ("features.-1", (Key("features"), Key("-1"))),
        ('a.["b.c"].d', (Key("a"), Key("b.c"), Key("d"))),
        ('["a=b@set \\"q\\" ]"]', (Key('a=b@set "q" ]'),)),
        ('["*"].["3"].[""]', (Key("*"), Key("3"), Key(""))),
        ("größe.train/loss-1", (Key("größe"), Key("train/loss-1"))),
    ],
)
def test_a_path_is_read_and_written_back_in_its_normal_form(text, path):
    assert parse_path(text) == path
    assert render_path(path) == text


def test_the_dot_before_a_bracket_may_be_left_out():
    assert render_path(parse_path('a["b.c"]["d e"].f')) == 'a.["b.c"].["d e"].f'


@pytest.mark.parametrize(
    ("text", "under", "says"),
    [
        ("", "", "name is missing"),
        ("a..b", ".", "name is missing"),
        ("a.", "", "name is missing"),
        (".a", ".", "name is missing"),
        ("a b", " ", "blank"),
        ("feat*", "*", "whole segment"),
        ("a[3].b", "[3]", "written .3"),
        ("a['b']", "['b']", "double quotes"),
        ('a.["b', '"', "does not end"),
        ('a.["b"', '["b"', "not closed"),
        ('["\\ud800"]', '["\\ud800"', "surrogate"),
        ("a@set", "@set", "goes on"),
        ("a\nb", "·", "blank"),
    ],
)
def test_a_broken_path_is_a_misuse_that_points_at_the_place(text, under, says):
    with pytest.raises(MisuseError) as caught:
        parse_path(text)
    (fault,) = caught.value.faults
    assert says in fault.render()
    shown, marks = fault.pointer.split("\n")
    assert marks.strip(" ~") == "^"
    start = len(marks) - len(marks.lstrip())
    assert shown[start : start + max(len(under), 1)].strip() == under.strip()
    assert len(marks.strip()) == max(len(under), 1)


def test_the_pointer_into_a_long_text_shows_the_place_only():
    text = "a." * 500 + "b b" + ".c" * 500
    with pytest.raises(MisuseError) as caught:
        parse_path(text)
    shown, marks = caught.value.faults[0].pointer.split("\n")
    assert len(shown) < 180
    assert shown[len(marks) - 2 : len(marks) + 1] == "b b"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ot.lambda_ot", ["ot.lambda_ot"]),
        ("ot.loss_config.features.*.weight_label", [f"ot.loss_config.features.{n}.weight_label" for n in (0, 1)]),
        ("ot.loss_config.features.1.*", ["ot.loss_config.features.1.weight_label"]),
        ('input_features.["observation.image"].shape.0', ['input_features.["observation.image"].shape.0']),
        ("input_features.3", ['input_features.["3"]']),
    ],
)
def test_expand_yields_every_place_that_is_there(text, found):
    places = expand(CONFIG, parse_path(text))
    assert [render_path(place) for place in places] == found
    for place in places:
        get(CONFIG, place)


@pytest.mark.parametrize(
    ("text", "under", "hint"),
    [
        ("ot.los_config.reg", "los_config", "`loss_config`"),
        ("ot.loss_config.tau", "tau", "`tau_src`"),
        ("ot.reg", "reg", "`ot.loss_config.reg`"),
        ("ot.loss_config.features.7.weight_label", "7", "0 to 1"),
        ("ot.loss_config.features.first", "first", "0 to 1"),
        ("ot.lambda_ot.x", "x", "cannot go through"),
        ("nothing.x", "x", "null"),
        ("empty.*", "*", "matches nothing"),
        ("zzz", "zzz", "ot, input_features, empty, nothing"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_broke_and_what_is_near(text, under, hint):
    with pytest.raises(BrokenPathError) as caught:
        expand(CONFIG, parse_path(text))
    (fault,) = caught.value.faults
    assert hint in fault.render()
    shown, marks = fault.pointer.split("\n")
    assert shown[marks.index(marks.strip()) : len(marks)] == under


def test_a_missing_last_name_is_made_only_on_request_and_only_in_a_mapping():
    assert expand(CONFIG, parse_path("ot.new"), may_make_last=True) == [(Key("ot"), Key("new"))]
    for text in ("ot.newer.name", "ot.loss_config.features.2", "ot.lambda_ot.name"):
        with pytest.raises(BrokenPathError):
            expand(CONFIG, parse_path(text), may_make_last=True)


def test_leaves_are_the_scalars_and_the_empty_collections_in_order():
    found = [(render_path(place), value) for place, value in leaves(CONFIG)]
    assert found[:2] == [("ot.lambda_ot", 0.1), ("ot.loss_config.reg", 0.05)]
    assert found[-2:] == [("empty", {}), ("nothing", None)]
    assert all(get(CONFIG, parse_path(text)) == value for text, value in found)


@pytest.mark.parametrize(
    ("path", "pattern", "agrees"),
    [
        ("a.b", "a.b", True),
        ("a.3.c", "a.*.c", True),
        ('a.["3"].c', "a.3.c", True),
        ("a.b", "a.*.c", False),
        ("a.b.c", "a.*", False),
        ("a.x", "*.*", True),
    ],
)
def test_matches(path, pattern, agrees):
    assert matches(parse_path(path), parse_path(pattern)) is agrees
