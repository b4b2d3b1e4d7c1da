"""The decoder of `.wandb` records on bytes made for it: kinds of values, layouts, and what must go the general way."""

import math

import pytest

from auto_loop.readers.wandb_records import MalformedError, RowDecoder, RunRecord, exit_code_of, run_of
from tests.readers import encode


def decoded(record: bytes) -> tuple[int, dict[str, float]]:
    row = RowDecoder().row(record)
    return row.step, dict(zip(row.names, row.values, strict=True))


@pytest.mark.parametrize("nested", [True, False])
def test_numbers_come_with_their_step_and_wandbs_own_columns_do_not(nested):
    row = {"_step": 7, "train/loss": 0.5, "_runtime": 1.5, "n": 3, "_timestamp": 1.7e9, "big": 1e300}
    assert decoded(encode.history(1, 7, row, nested=nested)) == (7, {"train/loss": 0.5, "n": 3.0, "big": 1e300})


def test_bare_nan_and_infinities_are_numbers():
    step, found = decoded(encode.history(1, 0, {"a": math.nan, "b": math.inf, "c": -math.inf}))
    assert math.isnan(found["a"])
    assert (step, found["b"], found["c"]) == (0, math.inf, -math.inf)


def test_what_is_no_number_is_left_out_and_the_rest_stays():
    row = {
        "text": "1.5",
        "flag": True,
        "none": None,
        "list": [1, 2],
        "image": {"_type": "image-file", "width": 3},
        "nested": {"loss": 2, "deep": {"er": 3.5, "flag": False}},
        "word": "NaN",
        "loss": 1,
    }
    step, found = decoded(encode.history(1, 3, row))
    assert math.isnan(found.pop("word"))
    assert (step, found) == (3, {"nested.loss": 2.0, "nested.deep.er": 3.5, "loss": 1.0})


def test_nested_keys_are_joined_by_dots():
    item = encode.bytes_field(1, encode.nested_item(["eval", "deep", "l1"], "0.25"))
    record = encode.record(1, 2, item + encode.bytes_field(2, encode.int_field(1, 4)))
    assert decoded(record) == (4, {"eval.deep.l1": 0.25})


@pytest.mark.parametrize("step", [0, 1, 127, 128, 130, 16640, 16642, 2**31, 2**40])
def test_any_step(step):
    assert decoded(encode.history(1, step, {"loss": 0.5})) == (step, {"loss": 0.5})


@pytest.mark.parametrize("length", [1, 100, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 16000, 16383, 16400])
def test_names_of_any_length(length):
    name = "k" * length
    assert decoded(encode.history(1, 1, {"a": 1, name: 0.5, "b": 2})) == (1, {"a": 1.0, name: 0.5, "b": 2.0})


@pytest.mark.parametrize("length", [1, 50, 126, 127, 128, 129, 130, 131, 300])
def test_values_of_any_length(length):
    wide = int("9" * length)
    assert decoded(encode.history(1, 1, {"a": 1, "wide": wide, "b": 2})) == (
        1,
        {"a": 1.0, "wide": float(wide) if length < 309 else math.inf, "b": 2.0},
    )


def test_names_and_values_that_look_like_the_seam_between_them():
    row = {"a\x82\x01b": 0.5, "text": "\x82\x01", "b": 2}
    assert decoded(encode.history(130, 1, row)) == (1, {"a\x82\x01b": 0.5, "b": 2.0})
    raw = encode.bytes_field(1, encode.bytes_field(2, b"k\x82\x01k") + encode.bytes_field(16, b"3"))
    step, found = decoded(encode.record(1, 2, raw + encode.bytes_field(2, encode.int_field(1, 1))))
    assert (step, list(found.values())) == (1, [3.0])


def test_a_layout_that_was_learnt_does_not_fit_a_value_of_another_width():
    decoder = RowDecoder()
    for value in (1, 12, 123, 1.5, 1):
        row = decoder.row(encode.history(1, 1, {"loss": value, "other": 1}))
        assert list(row.values) == [value, 1.0]


def test_a_row_without_a_step_takes_its_column_or_does_not_parse():
    items = encode.bytes_field(1, encode.item("_step", "9", nested=True))
    loss = encode.bytes_field(1, encode.item("loss", "1", nested=True))
    assert decoded(encode.record(1, 2, items + loss)) == (9, {"loss": 1.0})
    with pytest.raises(MalformedError):
        RowDecoder().row(encode.record(1, 2, loss))


@pytest.mark.parametrize("step", [2**53, 2**63, 2**64 - 1, 2**69])
@pytest.mark.parametrize("row", [{"loss": 0.5}, {"loss": 0.5, "text": "slow"}])
def test_a_step_that_no_run_reaches_does_not_parse(step, row):
    with pytest.raises(MalformedError):
        RowDecoder().row(encode.history(1, step, row))


def test_an_empty_row():
    assert decoded(encode.history(1, 5, {})) == (5, {})


def test_other_records_are_no_rows():
    assert RowDecoder().row(encode.run(1, "id", "", "", "")) is None
    assert run_of(encode.run(1, "id", "me", "p", "name")) == RunRecord(
        run_id="id", entity="me", project="p", display_name="name"
    )
    assert run_of(encode.ended(1, 0)) is None
    assert (exit_code_of(encode.ended(1, 0)), exit_code_of(encode.ended(1, 3))) == (0, 3)
    assert exit_code_of(encode.history(1, 1, {})) is None
