"""Configs as values, and what is known of their fields."""

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes, with_ints
from auto_loop.domain.paths import parse_path

TYPES = FieldTypes(
    int_fields=frozenset({"batch_size", "ot.features.*.dims.*", "step_ratio"}),
    known=frozenset({"batch_size", "ot.features", "ot.features.*.weight", "ot.features.*.weights.*", "kwargs"}),
)


def test_integral_floats_become_integers_where_the_trainer_takes_integers_and_one_note_says_so():
    config = Config.of({"lr": 2.0, "batch_size": 12.0, "ot": {"features": [{"dims": [0.0, 7]}, {"dims": []}]}})
    read, notes = with_ints(config, TYPES)
    assert read.text == '{"lr": 2.0, "batch_size": 12, "ot": {"features": [{"dims": [0, 7]}, {"dims": []}]}}'
    assert notes == ("read as integers: batch_size 12.0 → 12, ot.features.0.dims.0 0.0 → 0",)


def test_what_is_no_integral_float_stays_and_nothing_is_said():
    config = Config.of({"batch_size": 12, "step_ratio": 0.5, "other": 3.0})
    assert with_ints(config, TYPES) == (config, ())
    assert with_ints(Config.of({"batch_size": 12.0}), NO_TYPES) == (Config.of({"batch_size": 12.0}), ())


def test_a_class_has_its_leaves_what_lies_above_them_and_what_lies_inside_them():
    for text in ("batch_size", "ot", "ot.features", "ot.features.3", "ot.features.0.weight", "kwargs.a.b"):
        assert TYPES.has(parse_path(text)), text
    for text in ("batch", "ot.feature", "ot.features.0.weigth", "ot.features.x.y.z"):
        assert not TYPES.has(parse_path(text)), text
    assert NO_TYPES.has(parse_path("anything"))


def test_the_fingerprint_is_of_the_tree_and_not_of_its_order():
    assert Config.of({"a": 1, "b": 2}).fingerprint == Config.of({"b": 2, "a": 1}).fingerprint
    assert Config.of({"a": 1}).fingerprint != Config.of({"a": 1.0}).fingerprint
