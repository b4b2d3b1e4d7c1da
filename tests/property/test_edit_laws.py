"""The laws of the edit language, on generated configs and texts."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.edits import Edit, Op, apply, diff, parse_edit, parse_edits, render_edit, to_change
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.paths import Index, Key, Star, get, leaves, parse_path, render_path

LAWS = settings(deadline=None, max_examples=100)

# Names that the grammar must quote, and names that look like something else in it, come up often.
WORDS = st.sampled_from(
    ["reg", "3", "03", "*", "", "a.b", "a=b@set", 'q"', "[", "größe", "x y", "lambda_ot", "\n", "-1"]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = WORDS | TEXT
INTEGERS = st.integers() | st.integers(-(2**80), 2**80)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TRICKY_TEXT = st.sampled_from(["true", "None", "3", " 3", "nan", ".5", "[1", "{'a': 1}", "@set=1", '"', "-inf", "1e5"])
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | TEXT | TRICKY_TEXT
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
MAPPINGS = st.dictionaries(NAMES, TREES, min_size=1, max_size=4)
SEGMENTS = NAMES.map(Key) | st.integers(0, 10**9 - 1).map(Index) | st.just(Star())
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map(tuple)
EDITS = st.builds(lambda path, op, value: Edit(path=path, op=op, value=value), PATHS, st.sampled_from(Op), TREES)


@LAWS
@given(PATHS)
def test_a_path_in_normal_form_reads_back_as_itself(path):
    text = render_path(path)
    assert parse_path(text) == path
    assert render_path(parse_path(text)) == text


@LAWS
@given(EDITS)
def test_an_edit_in_normal_form_reads_back_as_itself(edit):
    text = render_edit(edit)
    again = parse_edit(text)
    assert same(to_change(again), to_change(edit))
    assert render_edit(again) == text


@LAWS
@given(EDITS)
def test_a_change_of_a_proposal_is_the_edit_that_it_came_from(edit):
    assert same(to_change(Edit.from_change(*to_change(edit))), to_change(edit))


@LAWS
@given(
    st.recursive(
        st.none() | st.booleans() | INTEGERS | FLOATS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
    )
)
def test_str_of_a_value_reads_back(value):
    assert same(parse_edit(f"a@set={value!s}").value, value)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=30) | st.text("a.*@=[]\"'\\{}0123456789+-eE,: \n", max_size=20))
def test_reading_any_text_gives_an_edit_or_a_misuse(text):
    for read in (parse_edit, parse_path):
        try:
            read(text)
        except MisuseError as error:
            for fault in error.faults:
                shown, marks = fault.pointer.split("\n")
                assert marks.strip(" ~") == "^"
                assert len(marks) <= len(shown) + 1


@settings(deadline=None, max_examples=200)
@given(MAPPINGS, st.data())
def test_applying_any_edits_gives_a_config_or_a_misuse_and_alters_no_base(data, draw):
    places = [place[:length] for place, _ in leaves(data) for length in range(len(place) + 1)]
    starred = [(*place[:-1], Star()) for place in places if place]
    edits = draw.draw(st.lists(st.builds(edit_at, st.sampled_from(places + starred), EDITS), max_size=3))
    base = Config.of(data)
    text = base.text
    try:
        made = apply(base, edits)
    except MisuseError as error:
        assert error.faults  # noqa: PT017  # both outcomes are right, and each is looked at
    else:
        json.loads(made.text, parse_constant=refuse)
    assert base.text == text


def edit_at(path, edit):
    return Edit(path=path, op=edit.op, value=edit.value)


def refuse(word):
    raise AssertionError(f"{word} got into a config")


@LAWS
@given(MAPPINGS, st.data())
def test_set_twice_is_once(data, draw):
    place, old = draw.draw(st.sampled_from(list(leaves(data))))
    new = draw.draw(kin(old) | TEXT | st.none())
    edit = Edit(path=place, value=new)
    once = apply(Config.of(data), [edit])
    assert apply(Config.of(data), [edit, edit]) == once
    assert get(once.data(), place) == new


@LAWS
@given(MAPPINGS)
def test_mul_1_and_add_0_change_nothing(data):
    numbers = [place for place, value in leaves(data) if isinstance(value, int | float) and not isinstance(value, bool)]
    for op, value in ((Op.MUL, 1), (Op.MUL, 1.0), (Op.ADD, 0), (Op.ADD, 0.0)):
        edits = [Edit(path=place, op=op, value=value) for place in numbers]
        assert apply(Config.of(data), edits) == Config.of(data)


@LAWS
@given(MAPPINGS, st.data())
def test_the_diff_of_two_configs_of_one_shape_and_type_is_one_set_a_leaf(data, draw):
    base, other = Config.of(data), Config.of({key: draw.draw(like(value)) for key, value in data.items()})
    edits = diff(base, other)
    assert apply(base, edits) == other
    assert all(edit.op is Op.SET for edit in edits)
    assert apply(base, parse_edits(map(render_edit, edits))) == other


@LAWS
@given(MAPPINGS, MAPPINGS)
def test_the_diff_of_any_two_configs_leads_from_one_to_the_other(data, target):
    base, other = Config.of(data), Config.of(target)
    edits = diff(base, other)
    assert apply(base, edits).fingerprint == other.fingerprint
    assert apply(base, parse_edits(map(render_edit, edits))).fingerprint == other.fingerprint
    assert diff(other, other) == ()


def same(a, b):
    """Equal as JSON, so that 1, 1.0 and true are three things."""
    return json.dumps(a) == json.dumps(b)


def kin(value):
    """Values of the same type."""
    match value:
        case bool():
            return st.booleans()
        case int():
            return INTEGERS
        case float():
            return FLOATS
        case str():
            return TEXT | TRICKY_TEXT
        case _:
            return st.just(value)


def like(value):
    """Trees of the same shape and type."""
    match value:
        case dict():
            return st.tuples(*map(like, value.values())).map(lambda items: dict(zip(value, items, strict=True)))
        case list():
            return st.tuples(*map(like, value)).map(list)
        case _:
            return kin(value)
