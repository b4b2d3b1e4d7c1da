"""The edit language: each op, each refusal, and where the errors point."""

import json

import pytest

from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.edits import Edit, Op, apply, diff, parse_edit, parse_edits, render_edit, to_change
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.paths import Json, get

BASE: dict[str, Json] = {
    "batch_size": 12,
    "lr": 0.1,
    "name": "act",
    "enable": True,
    "resume": None,
    "shape": [3, 96, 96],
    "empty": [],
    "ot": {
        "topk": 20,
        "lambda_ot": 0.1,
        "features": [{"weight_label": 0.5, "steps": 1}, {"weight_label": 0.01, "steps": 2}],
    },
}


def changed(*texts: str, types: FieldTypes | None = None) -> dict[str, Json]:
    return apply(Config.of(BASE), parse_edits(texts), types or FieldTypes()).data()


def after(text: str, types: FieldTypes | None = None) -> str:
    """The value at the edit's path after it, as JSON text, so that 1, 1.0 and true are told apart."""
    return json.dumps(get(changed(text, types=types), parse_edit(text).path))


def refusal(*texts: str, types: FieldTypes | None = None) -> str:
    with pytest.raises(MisuseError) as caught:
        changed(*texts, types=types)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "op", "value"),
    [
        ("a.b@set=3", Op.SET, 3),
        ("a.b=3", Op.SET, 3),
        ("a@mul=1.5", Op.MUL, 1.5),
        ("a@add=-2", Op.ADD, -2),
        ("a@min=1e-5", Op.MIN, 1e-5),
        ("a@max=0", Op.MAX, 0),
        ('a@append={"w": [1]}', Op.APPEND, {"w": [1]}),
        ("a@remove=2", Op.REMOVE, 2),
        ('@remove="k"', Op.REMOVE, "k"),
        ("a=true", Op.SET, True),
        ("a=True", Op.SET, True),
        ("a=null", Op.SET, None),
        ("a=None", Op.SET, None),
        ("a=False", Op.SET, False),
        ("a=cuda:0", Op.SET, "cuda:0"),
        ('a="3"', Op.SET, "3"),
        ('a=""', Op.SET, ""),
        ("a=x@mul=3", Op.SET, "x@mul=3"),
        ("a==", Op.SET, "="),
        ("a=[1, True, None, 'x', {'y': 0.5}]", Op.SET, [1, True, None, "x", {"y": 0.5}]),
        ("a=[a-z]*.txt", Op.SET, "[a-z]*.txt"),
        ("a=007", Op.SET, "007"),
        ("a=größer", Op.SET, "größer"),
    ],
)
def test_what_a_change_means(text, op, value):
    edit = parse_edit(text)
    assert (edit.op, json.dumps(edit.value)) == (op, json.dumps(value))
    assert parse_edit(render_edit(edit)) == edit


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ot.loss_config.features.3.weight_label=0.0020", "ot.loss_config.features.3.weight_label@set=0.002"),
        ("a@mul=1E3", "a@mul=1000.0"),
        ("a=True", "a@set=true"),
        ('a="cuda"', "a@set=cuda"),
        ('a="true"', 'a@set="true"'),
        ('a=" x"', 'a@set=" x"'),
        ("a=['x']", 'a@set=["x"]'),
        ("a=" + str(2**200), f"a@set={2**200}"),
        ("a=-0.0", "a@set=-0.0"),
    ],
)
def test_the_normal_form_has_its_op_and_reads_back(text, normal):
    assert render_edit(parse_edit(text)) == normal
    assert render_edit(parse_edit(normal)) == normal


@pytest.mark.parametrize(
    ("text", "under", "says"),
    [
        ("a@mull=3", "@mull", "did you mean @mul?"),
        ("a@MUL=3", "@MUL", "did you mean @mul?"),
        ("a@=3", "@", "op is missing"),
        ("a@set", "", 'no "="'),
        ("a", "", "path@op=value"),
        ("a@set=", "", 'written ""'),
        ("=3", "=", "name is missing"),
        ("@set=3", "@", "name is missing"),
        ("a.b c@set=1", " ", "blank"),
        ("a@set=NaN", "NaN", "not finite"),
        ("a@set=nan", "nan", "not finite"),
        ("a@set=-inf", "-inf", "not finite"),
        ("a=1e999", "1e999", "not finite"),
        ("a=[1, -Infinity]", "[1, -Infinity]", "not finite"),
        ("a=" + "9" * 400, None, "not finite"),
        ("a=" + "9" * 5000, None, "not finite"),
        ("a=.5", ".5", "write 0.5"),
        ("a=+5", "+5", 'write 5, or "+5"'),
        ("a=" + "[" * 200 + "]" * 200, None, "nested"),
    ],
)
def test_a_wrong_change_is_a_misuse_that_points_at_the_place(text, under, says):
    with pytest.raises(MisuseError) as caught:
        parse_edit(text)
    (fault,) = caught.value.faults
    assert says in fault.render()
    shown, marks = fault.pointer.split("\n")
    if under is not None:
        start = marks.index(marks.strip())
        assert shown[start : start + len(under)] == under
        assert len(marks.strip()) == max(1, len(under))


def test_all_wrong_changes_are_named_at_once():
    with pytest.raises(MisuseError) as caught:
        parse_edits(["a@mull=3", "steps=3", "b=nan", "c"])
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("lr@mul=3", "0.3"),
        ("lr@mul=0.5", "0.05"),
        ("lr@add=0.2", "0.3"),
        ("lr=1", "1.0"),
        ("lr@max=1", "1.0"),
        ("lr@min=0.01", "0.01"),
        ("batch_size=20.0", "20"),
        ("batch_size@mul=0.125", "2"),
        ("batch_size@mul=-0.125", "-2"),
        ("batch_size@mul=0.3", "4"),
        ("batch_size@add=0.5", "13"),
        ("batch_size@add=-24.5", "-13"),
        ("batch_size@max=30.0", "30"),
        ("batch_size@max=11.5", "12"),
        ("batch_size@min=8", "8"),
        ("batch_size@mul=1e200", str(12 * 10**200)),
        ("name=null", "null"),
        ("resume=3", "3"),
        ("batch_size=auto", '"auto"'),
        ("enable=false", "false"),
        ("shape.0@mul=2", "6"),
        ("shape@append=1", "[3, 96, 96, 1]"),
        ("shape@remove=0", "[96, 96]"),
        ("empty@append=[]", "[[]]"),
        ("new_key=1", "1"),
    ],
)
def test_what_an_edit_does(text, result):
    assert after(text) == result


def test_ties_round_away_from_zero_as_the_decimals_are_written():
    config = Config.of({"n": 5, "m": -5})
    assert apply(config, parse_edits(["n@mul=0.3", "m@mul=0.3"])).data() == {"n": 2, "m": -2}
    assert apply(config, parse_edits(["n@mul=0.5", "m@mul=0.5"])).data() == {"n": 3, "m": -3}


def test_an_integer_of_many_digits_keeps_every_one():
    big = 2**53 + 1
    assert apply(Config.of({"n": big}), parse_edits(["n@add=1", "n@mul=1", "n@mul=3.0"])).data() == {"n": (big + 1) * 3}


def test_removing_takes_an_index_or_a_key():
    assert "topk" not in changed("ot@remove=topk")["ot"]
    assert "lr" not in changed('@remove="lr"')
    assert all("steps" not in feature for feature in changed("ot.features.*@remove=steps")["ot"]["features"])
    assert len(changed("ot.features@remove=0", "ot.features.0.steps@add=1")["ot"]["features"]) == 1


def test_a_star_stands_for_every_item_and_each_gets_a_value_of_its_own():
    data = changed("ot.features.*.dims=[1]", "ot.features.0.dims@append=2", "ot.features.*.weight_label@mul=0.5")
    assert [f["dims"] for f in data["ot"]["features"]] == [[1, 2], [1]]
    assert [f["weight_label"] for f in data["ot"]["features"]] == [0.25, 0.005]


def test_the_order_of_edits_counts_and_the_base_is_not_altered():
    base = Config.of(BASE)
    text = base.text
    assert apply(base, parse_edits(["lr=2.0", "lr@mul=3"])).data()["lr"] == 6.0
    assert apply(base, parse_edits(["lr@mul=3", "lr=2.0"])).data()["lr"] == 2.0
    assert base.text == text


@pytest.mark.parametrize(
    ("text", "under", "says"),
    [
        ("ot.lambd@mul=2", "lambd", "did you mean `lambda_ot`?"),
        ("ott.topk@set=2", "ott", "did you mean `ot`?"),
        ("ot.topk.deep=2", "deep", "cannot go through"),
        ("ot.features.4.steps=2", "4", "0 to 1"),
        ("ot.features.2=2", "2", "0 to 1"),
        ("empty.*=2", "*", "matches nothing"),
        ("batch_size=20.5", "20.5", "takes integers"),
        ("batch_size@max=20.5", "20.5", "takes integers"),
        ("resume@mul=2", "2", "null"),
        ("enable@add=1", "1", "numbers only"),
        ("enable=1", "1", "true or false"),
        ("batch_size=true", "true", "true or false"),
        ("lr@mul=true", "true", "numbers only"),
        ("lr@mul=big", "big", "numbers only"),
        ("name@mul=2", "2", '"act"'),
        ("lr@append=2", "lr", "takes a list"),
        ("ot@append=2", "ot", "path.name@set"),
        ("shape@remove=3", "3", "0 to 2"),
        ("shape@remove=-1", "-1", "0 to 2"),
        ("shape@remove=first", "first", "index"),
        ("ot@remove=top", "top", "`topk`"),
        ("name@remove=a", "a", "list or mapping"),
        ("ot.features.*.weight@mul=2", "weight", "`weight_label`"),
    ],
)
def test_an_edit_that_cannot_be_done_points_at_the_place(text, under, says):
    message = refusal(text)
    assert says in message
    shown, marks = message.split("\n")[-2:]
    assert shown.strip() == text
    assert shown[marks.index(marks.strip()) : len(marks)] == under


def test_numbers_beyond_a_float_are_refused():
    assert "finite" in refusal("lr@mul=1e200", "lr@mul=1e200")
    assert "finite" in refusal("batch_size@mul=1e200", "batch_size@mul=1e200")


def test_all_edits_that_cannot_be_done_are_named_at_once_and_nothing_is_done():
    message = refusal("lr=0.5", "ot.lambd@mul=2", "batch_size=20.5", "ot.features.9.steps=1")
    assert message.count("^") == 3


def test_the_place_behind_a_star_is_named():
    base = {"features": [{"w": 1.0}, {"w": None}]}
    with pytest.raises(MisuseError, match=r"features\.1\.w"):
        apply(Config.of(base), parse_edits(["features.*.w@mul=2"]))


TYPES = FieldTypes(
    int_fields=frozenset({"window", "ot.features.*.steps", "count"}),
    float_fields=frozenset({"batch_size"}),
    defaults={"momentum": 0.9, "count": 4, "ot.features.*.scale": 2.0},
    known=frozenset({"batch_size", "lr", "momentum", "count", "window", "extra", "ot.topk", "ot.features.*.scale"}),
)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("momentum@mul=0.5", "0.45"),
        ("count@mul=1.5", "6"),
        ("count=8.0", "8"),
        ("window=20.0", "20"),
        ("batch_size=0.5", "0.5"),
        ("batch_size@mul=0.125", "1.5"),
        ("ot.features=[{'steps': 3.0, 'w': 3.0}]", '[{"steps": 3, "w": 3.0}]'),
        ("extra={'anything': 1}", '{"anything": 1}'),
    ],
)
def test_what_is_known_of_the_fields_counts(text, result):
    assert after(text, TYPES) == result


def test_a_default_stands_in_at_every_place_of_a_star():
    features = changed("ot.features.*.scale@mul=2", types=TYPES)["ot"]["features"]
    assert [feature["scale"] for feature in features] == [4.0, 4.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("windw=3", "config class has no `windw`"),
        ("ot.features.0.scal=3", "config class"),
        ("window=20.5", "takes integers"),
        ("extra@mul=2", "no default"),
    ],
)
def test_a_field_that_the_class_does_not_have_is_refused(text, says):
    assert says in refusal(text, types=TYPES)


def test_a_change_of_a_proposal_is_an_edit_and_back():
    edit = Edit.from_change("ot.loss_config.reg@mul", 1.5)
    assert edit == parse_edit("ot.loss_config.reg@mul=1.5")
    assert to_change(edit) == ("ot.loss_config.reg@mul", 1.5)
    assert Edit.from_change("a", "3").value == "3"
    for key, value in (("a@mull", 1), ("a=3", 1), ("a", float("nan")), ("a", (1, 2)), ("a", {1: 2})):
        with pytest.raises(MisuseError):
            Edit.from_change(key, value)


def test_a_fault_of_a_change_that_had_no_text_points_into_its_normal_form():
    with pytest.raises(MisuseError, match=r"ot\.lambd@mul=2\n"):
        apply(Config.of(BASE), [Edit.from_change("ot.lambd@mul", 2)])


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [
        ({"x": 1, "y": {"z": 0.5}}, {"x": 2, "y": {"z": 0.5}}, ["x@set=2"]),
        ({"x": [1, 2]}, {"x": [1, 3]}, ["x.1@set=3"]),
        ({"x": [1, 2, 3]}, {"x": [4]}, ["x.0@set=4", "x@remove=2", "x@remove=1"]),
        ({"x": [1]}, {"x": [1, "a"]}, ["x@append=a"]),
        ({"x": 1}, {"y": 1}, ["@remove=x", "y@set=1"]),
        ({"a": {"x": 1}}, {"a": {"x": 0.5}}, ["a@remove=x", "a.x@set=0.5"]),
        ({"a": [1, 2]}, {"a": [1, 0.5]}, ["a@set=[1, 0.5]"]),
        ({"a": [1, True]}, {"a": [1, 1]}, ["a@set=[1, 1]"]),
        ({"a": 1.0}, {"a": 1}, ["@remove=a", "a@set=1"]),
        ({"a": {"b": 1}}, {"a": None}, ["a@set=null"]),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_diff_gives_the_fewest_edits_in_normal_form(a, b, edits):
    found = diff(Config.of(a), Config.of(b))
    assert [render_edit(edit) for edit in found] == edits
    assert apply(Config.of(a), found).fingerprint == Config.of(b).fingerprint
