from auto_loop.domain.config import Config
from auto_loop.domain.edits import parse_edits
from auto_loop.domain.summary import Summary, summary_from_json
from auto_loop.rules import Proposal, decide
from auto_loop.rules.engine import fire
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
    assert firing.nearest == 'needs metric: last("mass") = 2e-06, needs < 1e-06'
    assert firing.unknown["needs config"] == ("reg",)


def test_a_broken_mapping_is_no_reason_to_fail() -> None:
    assert decide({}, PACK) == []
    assert decide({"metrics": None, "config": 3}, PACK) == []
    assert decide({"metrics": {"mass": {"last": "nan"}}}, PACK) == []
