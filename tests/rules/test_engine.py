import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.edits import parse_edits
from auto_loop.domain.series import Source, series_of
from auto_loop.domain.stats import Direction, describe
from auto_loop.domain.summary import Summary, summary_from_json
from auto_loop.rules import Proposal, decide
from auto_loop.rules.engine import Firing, fire
from auto_loop.rules.pack import parse

PACK = parse("""
extends = []
[metrics.mass]
aliases = ["m"]

[[rule]]
name = "needs metric"
when = 'last("mass") < 1e-6'
reason = "mass {last('mass')} of {first('mass')}, reg {reg}"
priority = 1
change = { "reg@max" = 0.4 }

[[rule]]
name = "needs config"
when = 'last("mass") < 1e-6 and reg < 0.4'
reason = "because"
priority = 5
change = { "reg@set" = 0.5, "name@set" = "a=b c", "list@set" = [1, 2] }

[[rule]]
name = "computed"
when = 'last("mass") < 1e-6'
reason = "because"
priority = 3
change = { "reg@set" = { expr = "reg * ln(10)", predict = "mass" } }
""")
DEAD = {"mass": {"first": 1e-3, "last": 2.6e-85, "n": 3}}


def names(found: list[Proposal]) -> list[str]:
    return [proposal.rule for proposal in found]


def own(firing: Firing) -> dict[str, tuple[str, ...]]:
    """What the rules of this file lacked; those of the default pack are about other metrics."""
    return {rule: gaps for rule, gaps in firing.unknown.items() if not rule.startswith("loss")}


def test_the_best_comes_first() -> None:
    found = decide({"metrics": DEAD, "config": {"reg": 0.3, "name": "x", "list": []}}, PACK)
    assert names(found) == ["needs config", "computed", "needs metric"]
    assert found[1].changes == {"reg@set": 0.6908}


def test_without_a_config_only_rules_that_need_none_speak_and_none_computes() -> None:
    found = decide({"metrics": DEAD}, PACK)
    assert names(found) == ["needs metric"]
    assert found[0].reason == "mass 2.6e-85 of 0.001, reg unknown"


def test_a_summary_and_its_plain_mapping_are_the_same_to_it() -> None:
    plain = {"metrics": DEAD, "config": {"reg": 0.3}}
    assert decide(summary_from_json(plain), PACK) == decide(plain, PACK)
    assert decide(Summary(run_dir="x", config=Config.of({"reg": 0.3})), PACK) == []


def test_a_metric_is_known_under_its_aliases() -> None:
    assert "needs metric" in names(decide({"metrics": {"m": DEAD["mass"]}}, PACK))


def test_what_is_there_already_is_not_proposed() -> None:
    firing = fire(PACK, {"metrics": DEAD, "config": {"reg": 0.6}})
    assert "needs metric" not in names(list(firing.proposals))


def test_the_evidence_holds_the_readings_and_the_aim() -> None:
    found = decide({"metrics": DEAD, "config": {"reg": 0.3}}, PACK)
    computed = next(one for one in found if one.rule == "computed")
    assert computed.evidence == {'last("mass")': 2.6e-85, "predicts": ["mass"]}


def test_changes_read_back_through_the_edit_language() -> None:
    for proposal in decide({"metrics": DEAD, "config": {"reg": 0.3, "name": "x", "list": []}}, PACK):
        edits = parse_edits(f"{key}={value}" for key, value in proposal.changes.items())
        assert [edit.value for edit in edits] == list(proposal.changes.values())


def test_a_run_with_nothing_to_say_names_the_nearest_rule_and_what_was_lacking() -> None:
    firing = fire(PACK, {"metrics": {"mass": {"first": 1.0, "last": 2e-6}}})
    assert firing.proposals == ()
    assert firing.nearest == 'computed: last("mass") = 2e-06, needs < 1e-06'
    assert own(firing) == {}  # false is an answer, whatever else is unknown beside it


def test_what_could_not_be_judged_or_computed_is_listed_with_what_it_lacked() -> None:
    assert own(fire(PACK, {"metrics": DEAD})) == {"needs config": ("reg",), "computed": ("reg",)}
    every = own(fire(PACK, {"config": {"reg": 0.3}}))
    assert every == dict.fromkeys(("needs config", "computed", "needs metric"), ('last("mass")',))


def test_a_track_record_shifts_the_order_in_which_rules_are_considered() -> None:
    plain = {"metrics": DEAD, "config": {"reg": 0.3, "name": "x", "list": []}}
    firing = fire(PACK, plain, {"needs metric": 9, "computed": -5, "of another pack": 3})
    assert names(list(firing.proposals)) == ["needs metric", "needs config", "computed"]
    assert [proposal.priority for proposal in firing.proposals] == [10, 5, -2]
    assert [name for name in firing.order if not name.startswith("loss")] == [
        "needs metric",
        "needs config",
        "computed",
    ]


def test_of_equal_priority_the_smallest_relative_change_goes_first() -> None:
    change = {
        "double": '"a@mul" = 2.0',
        "tenth": '"b@mul" = 0.1',
        "both": '"a@mul" = 1.5, "b@mul" = 0.9',
        "text": '"c" = 1',
    }
    rules = "".join(
        f"[[rule]]\nname = '{name}'\nwhen = 'a > 0'\nreason = 'r'\nchange = {{ {edits} }}\n"
        for name, edits in change.items()
    )
    config = {"a": 1.0, "b": 1e-3, "c": "x"}
    assert names(decide({"config": config}, parse(rules))) == ["both", "double", "tenth", "text"]


def test_diagnoses_say_their_figures() -> None:
    text = """
[[diagnosis]]
name = "dead"
when = 'last("mass") < 1e-6'
says = "only {last('mass')} of mass, {exists('other')}"
[[diagnosis]]
name = "unknown"
when = 'last("other") > 1'
says = "never"
"""
    said = fire(parse(text), {"metrics": DEAD}).diagnoses
    assert [(one.name, one.text) for one in said] == [("dead", "only 2.6e-85 of mass, false")]


def test_evidence_says_at_which_steps_its_readings_were_taken() -> None:
    series = series_of("mass", [100, 200, 300, 400], [3.0, 2.0, float("nan"), 1e-9], Source.METRICS)
    run = Summary(
        run_dir="x",
        config=Config.of({"reg": 0.3}),
        series={"mass": series},
        metrics={"mass": describe(series, Direction.LOWER)},
    )
    text = """
[[rule]]
name = "r"
when = 'last("mass") < 1e-6 and value("mass", 300) > 1 and pct("mass", 2) < 0 and n("mass") > 2 and best("mass") < 1'
reason = "r"
change = { "reg" = { expr = 'first("mass")' } }
"""
    (proposal,) = fire(parse(text), run).proposals
    assert proposal.evidence == {
        'last("mass")': 1e-9,
        'value("mass", 300)': 2.0,
        'pct("mass", 2)': pytest.approx(-100),
        'n("mass")': 3.0,
        'best("mass")': 1e-9,
        'first("mass")': 3.0,
        "steps": {
            'last("mass")': [400],
            'value("mass", 300)': [200],
            'pct("mass", 2)': [200, 400],
            'best("mass")': [400],
            'first("mass")': [100],
        },
    }


def test_a_broken_mapping_is_no_reason_to_fail() -> None:
    assert decide({}, PACK) == []
    assert decide({"metrics": None, "config": 3}, PACK) == []
    assert decide({"metrics": {"mass": {"last": "nan"}}}, PACK) == []
