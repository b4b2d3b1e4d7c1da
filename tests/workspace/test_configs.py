"""Configs on disk: every fault of every file at once; variants under names of their own."""

import json
from pathlib import Path

import pytest

from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.errors import MisuseError
from auto_loop.workspace.configs import base_name, load_config, load_configs, suffixes, write_variant


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_config_is_read_with_its_keys_in_order_and_integers_made_right(tmp_path):
    path = put(tmp_path, "act.json", '{"b": 12.0, "a": {"lr": 1e-5}}')
    loaded = load_config(path, FieldTypes(int_fields=frozenset({"b"})))
    assert loaded.config.text == '{"b": 12, "a": {"lr": 1e-05}}'
    assert loaded.notes == ("read as integers: b 12.0 → 12",)
    assert loaded.path == path


@pytest.mark.parametrize(
    ("text", "place", "under", "says"),
    [
        ('{"a": 1,\n  "b": 2 "c": 3}', "2:10", '"', "delimiter"),
        ('{"a": 1,\n\t"b": 2,\n}', "2:8", ",", "no comma after the last item"),
        ("{'a': 1}", "1:2", "'", "double quotes"),
        ('{"a": 1, // why\n}', "1:10", "/", "no comments"),
        ('{"a": True}', "1:7", "T", "true, false, null"),
        ('{"a": ', "1:", "", "broken JSON"),
        ('{"a": {"b": 1,\n "c": 2,\n "b": 3}}', "3:2", '"b"', "twice in one object, first on line 1"),
        ('{"a": [1, NaN]}', "1:11", "NaN", "NaN is no finite number"),
        ('{"a": -Infinity}', "1:7", "-Infinity", "no finite number"),
        ('{"a": 1e999}', "1:7", "1e999", "no finite number"),
        ('{"a": ' + "9" * 5000 + "}", "1:7", None, "5000 digits"),
        ('{"a": "\\ud800"}', "1:7", '"\\ud800"', "surrogate"),
        ('{"a": ' + "[" * 101 + "]" * 101 + "}", "1:106", None, "nested"),
    ],
)
def test_a_broken_config_points_at_the_place(tmp_path, text, place, under, says):
    path = put(tmp_path, "act.json", text)
    with pytest.raises(MisuseError) as caught:
        load_config(path)
    (fault,) = caught.value.faults
    assert says in fault.render()
    assert fault.where.startswith(f"{path}:{place}")
    shown, marks = fault.pointer.split("\n")
    if under is not None:
        start = marks.index(marks.strip())
        assert shown[start : start + len(under)] == under


@pytest.mark.parametrize(
    ("text", "says"), [("", "empty"), ("[1]", "a list"), ("3", "a number"), ("null", "null"), ("[" * 10**6, "nested")]
)
def test_what_is_no_object_is_no_config(tmp_path, text, says):
    with pytest.raises(MisuseError, match=says):
        load_config(put(tmp_path, "act.json", text))


def test_equal_keys_in_different_objects_are_no_fault(tmp_path):
    text = '{"a": {"x": "a"}, "b": [{"x": 1}, {"x": "x"}, "x"], "x": "x:{,"}'
    assert load_config(put(tmp_path, "act.json", text)).config.data() == json.loads(text)


def test_the_faults_of_all_files_are_named_at_once(tmp_path):
    good = put(tmp_path, "good.json", '{"a": 1}')
    nan = put(tmp_path, "nan.json", '{"a": NaN, "a": NaN}')
    with pytest.raises(MisuseError) as caught:
        load_configs([good, nan, tmp_path / "absent.json", tmp_path])
    assert len(caught.value.faults) == 5
    assert [loaded.path for loaded in load_configs([good, good])] == [good, good]


def variant(base: Path, out: Path, *texts: str) -> Path:
    edits = parse_edits(texts)
    return write_variant(base, apply(load_config(base).config, edits), edits, out)


def test_a_variant_reads_back_as_itself_and_is_named_after_its_base(tmp_path):
    base = put(tmp_path, "act_ot_baseline.json", '{"z": 0.1, "a": 1e-5, "name": "größe"}')
    path = variant(base, tmp_path / "new", "z@mul=3", "steps=20")
    assert path.parent == tmp_path / "new"
    assert base_name(path.stem) == "act_ot_baseline"
    assert path.read_text() == '{\n  "z": 0.3,\n  "a": 1e-05,\n  "name": "größe",\n  "steps": 20\n}\n'
    assert base.read_text() == '{"z": 0.1, "a": 1e-5, "name": "größe"}'


def test_the_same_base_and_edits_give_the_same_name_and_others_another(tmp_path):
    base = put(tmp_path, "act.json", '{"z": 0.1}')
    first = variant(base, tmp_path, "z=0.2")
    written = first.stat()
    assert variant(base, tmp_path, "z@set=0.20") == first
    assert first.stat().st_mtime_ns == written.st_mtime_ns
    assert variant(base, tmp_path, "z=0.3") != first
    base.write_text('{"z": 0.1, "y": 1}')
    assert variant(base, tmp_path, "z=0.2") != first


@pytest.mark.parametrize("other", ['{"z": 9}', "no JSON", ""])
def test_a_name_that_holds_other_content_is_left_alone_and_the_next_is_taken(tmp_path, other):
    base = put(tmp_path, "act.json", '{"z": 0.1}')
    first = variant(base, tmp_path, "z=0.2")
    first.write_text(other)
    second = variant(base, tmp_path, "z=0.2")
    assert first.read_text() == other
    assert second != first
    assert variant(base, tmp_path, "z=0.2") == second


def test_a_suffix_replaces_the_parents_suffix(tmp_path):
    base = put(tmp_path, "act_ot_baseline_h2jr9c.json", '{"z": 0.1}')
    path = variant(base, tmp_path, "z=0.2")
    assert path.stem.startswith("act_ot_baseline_")
    assert len(path.stem) == len("act_ot_baseline_h2jr9c")
    assert path != base


@pytest.mark.parametrize(
    ("stem", "base"),
    [
        ("act_ot_baseline_h2jr9c", "act_ot_baseline"),
        ("act_ot_baseline", "act_ot_baseline"),
        ("my_config", "my_config"),
        ("run_202401", "run_202401"),
        ("fromwandb_h5ktqxph", "fromwandb_h5ktqxph"),
        ("act_H2JR9C", "act_H2JR9C"),
        ("h2jr9c", "h2jr9c"),
        ("a_1b2c3d_4e5f6g", "a_1b2c3d"),
    ],
)
def test_only_what_can_be_a_suffix_of_ours_is_taken_off(stem, base):
    assert base_name(stem) == base


def test_every_suffix_can_be_told_from_a_word_and_a_number():
    fingerprint = Config.of({}).fingerprint
    stream = suffixes(fingerprint, [])
    found = [next(stream) for _ in range(300)]
    assert len(set(found)) == 300
    assert all(base_name(f"act_{suffix}") == "act" for suffix in found)
    assert found == [suffix for suffix, _ in zip(suffixes(fingerprint, []), found, strict=False)]


def test_an_output_folder_that_is_a_file_is_a_misuse(tmp_path):
    base = put(tmp_path, "act.json", '{"z": 0.1}')
    with pytest.raises(MisuseError, match="cannot be written"):
        variant(base, base, "z=0.2")
