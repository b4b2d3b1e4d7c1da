import re
from pathlib import Path

import pytest

from auto_loop.domain.edits import Edit
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.failure import Failure
from auto_loop.domain.paths import parse_path
from auto_loop.domain.stats import Direction
from auto_loop.rules.pack import parse, shipped_names, shipped_pack, shipped_text

GOOD = """
name = "mine"

[objective]
metric = "reward"
direction = "higher"
min_difference = 0.5

[metrics]
key = ["reward", "loss"]

[metrics.loss]
aliases = ["train_loss"]

[metrics.entropy]
band = [0.1, 2]

[[rule]]
name = "slow"
when = 'pct("reward") < 1'
reason = "reward moved by {pct('reward')} %"
change = { "lr@mul" = 2.0, "steps@max" = { expr = "steps + 10", predict = "reward" } }

[[rule]]
name = "list"
when = 'last("loss") > 1'
reason = "high"
change = ["lr@mul=0.5", "name=x"]

[[stop]]
name = "nan"
when = 'nan_count("loss") > 0'
reason = "not finite"
after = 10
for = 2

[[remedy]]
failure = "out of memory"
change = { "batch@mul" = 0.25 }
"""


def faults(text: str) -> list[str]:
    with pytest.raises(MisuseError) as caught:
        parse(text)
    return [fault.render() for fault in caught.value.faults]


def test_a_good_pack() -> None:
    pack = parse(GOOD)
    assert (pack.name, pack.main_metric, pack.key_metrics) == ("mine", "reward", ("reward", "loss"))
    assert pack.objective.min_difference == 0.5
    assert [rule.name for rule in pack.rules][:2] == ["slow", "list"]
    assert dict(pack.rules[1].changes) == {"lr@mul": 0.5, "name@set": "x"}
    assert pack.rules[0].group == "slow"
    assert pack.stops[0].after == 10
    assert pack.stops[0].readings == 2


def test_names_and_directions_of_metrics() -> None:
    pack = parse(GOOD)
    assert pack.canonical("train_loss") == "loss"
    assert pack.canonical("other") == "other"
    assert pack.direction("reward") is Direction.HIGHER
    assert pack.direction("train_loss") is Direction.LOWER
    assert pack.direction("entropy") is Direction.NONE
    assert pack.band("entropy") == (0.1, 2.0)


def test_default_is_implied_and_what_a_pack_says_itself_wins() -> None:
    pack = parse(GOOD)
    default = shipped_pack("default")
    assert {rule.name for rule in default.rules} < {rule.name for rule in pack.rules}
    assert pack.guardrails.ignore == default.guardrails.ignore
    assert [dict(remedy.changes) for remedy in pack.remedies] == [{"batch@mul": 0.25}]


def test_a_remedy_is_bounded_and_says_what_goes_with_it() -> None:
    text = """
[[remedy]]
failure = "not finite"
change = ["lr@mul=0.3"]
also = { "warmup@mul" = 2, "clip" = 1.0 }
times = 1
reason = "slower"
[[remedy]]
failure = "hang"
change = { "workers" = 0 }
"""
    first, second = parse(text).remedies
    assert (first.failure, dict(first.changes), first.times) == (Failure.NOT_FINITE, {"lr@mul": 0.3}, 1)
    assert (dict(first.also), first.reason) == ({"warmup@mul": 2, "clip@set": 1.0}, "slower")
    assert (second.failure, second.times, dict(second.also)) == (Failure.HANG, 3, {})


def test_faults_of_remedies_come_with_their_lines() -> None:
    text = """[[remedy]]
failure = "out of memroy"
change = { "lr@mul" = { expr = "lr + 1" } }
also = { "a.b@st" = 1 }
times = 0
retries = 1
[[remedy]]
change = { lr = 1 }
[[remedy]]
failure = "hang"
"""
    found = faults(text)
    for line, what in [
        ("line 2, remedy 1 failure", "did you mean out of memory?"),
        ("line 3, remedy 1 change", "a remedy's values are literals"),
        ("line 4, remedy 1 also a.b@st", "did you mean @set"),
        ("line 5, remedy 1 times", "1 or more"),
        ("line 6, remedy 1 retries", "no such key"),
        ("remedy 2", "`failure` is missing"),
        ("remedy 3", "`change` is missing"),
    ]:
        assert any(line in fault and what in fault for fault in found), (line, what, found)
    assert len(found) == 7


def test_the_shipped_remedies_keep_to_their_pack_s_guardrails() -> None:
    assert shipped_pack("default").remedies == ()
    act = shipped_pack("act_ot")
    named = {key for one in act.remedies for key in (*one.changes, *one.also)}
    allow = act.guardrails.allow or ()
    assert {Edit.from_change(key, 1).path for key in named} <= set(allow)


def test_extends_merges_by_name_in_order() -> None:
    texts = {
        "default": "name = 'default'",
        "a": "[guardrails]\nallow=['x']\n[guardrails.range]\nx={min=0}\ny={min=1}\n[[rule]]\nname='r'\nwhen='x > 1'\n"
        "reason='a'\nchange={x=1}\n",
        "b": "[guardrails.range]\nx={min=5}\n",
    }
    child = "extends=['a','b']\n[guardrails]\nallow=['y']\n[[rule]]\nname='r'\nwhen='x > 2'\nreason='c'\nchange={x=2}\n"
    pack = parse(child, texts.__getitem__)
    assert [rule.reason.text for rule in pack.rules] == ["c"]
    assert pack.guardrails.allow == (parse_path("y"),)
    assert {bound.path[0].name: bound.low for bound in pack.guardrails.ranges} == {"x": 5.0, "y": 1.0}  # type: ignore[union-attr]  # plain names


def test_a_circle_is_refused() -> None:
    texts = {"default": "name='default'", "a": "name='a'\nextends=['b']", "b": "name='b'\nextends=['a']"}
    with pytest.raises(MisuseError, match="a → b → a"):
        parse(texts["a"], texts.__getitem__, name="a")


LAWS = """
[[law]]
metric = "loss"
value = 'last("loss") * next.lr / lr'
[[law]]
metric = "loss"
when = 'next.lr == lr'
value = 'last("loss")'
[[diagnosis]]
name = "high"
when = 'last("loss") > 1'
says = "loss {last('loss')}"
"""


def test_laws_and_diagnoses_are_read_and_extended_by_their_names() -> None:
    own = """
extends = ["base"]
[[law]]
metric = "loss"
value = 'last("loss") * 2'
[[diagnosis]]
name = "high"
when = 'last("loss") > 2'
says = "very high"
[[diagnosis]]
name = "low"
when = 'last("loss") < 0'
says = "low"
"""
    pack = parse(own, {"base": LAWS, "default": "name = 'default'"}.__getitem__)
    assert [(law.metric, law.value.text, law.when.text if law.when else "") for law in pack.laws] == [
        ("loss", 'last("loss") * 2', ""),
        ("loss", 'last("loss")', "next.lr == lr"),
    ]
    assert [(one.name, one.says.text) for one in pack.diagnoses] == [("high", "very high"), ("low", "low")]


def test_faults_of_laws_and_diagnoses_come_with_their_lines() -> None:
    text = """[[law]]
value = 'last("loss'
when = "1 +"
[[law]]
metric = "a"
value = 'value("a", next.steps / 2)'
because = "x"
[[law]]
metric = "a"
value = "lr > 1"
[[law]]
metric = "a"
value = "lr"
[[diagnosis]]
when = "3"
says = "{"
[[diagnosis]]
name = "twice"
when = "lr > 1"
says = "x"
[[diagnosis]]
name = "twice"
when = "lr > 2"
"""
    found = faults(text)
    for line, what in [
        ("law 1", "`metric` is missing"),
        ("line 2, law 1 value", "not closed"),
        ("line 3, law 1 when", "ends too early"),
        ("line 6, law 2 value", "depends on `next`"),
        ("line 7, law 2 because", "no such key"),
        ("line 10, law 3 value", "this is a condition"),
        ("law", "two of them are of 'a' and say the same `only` and `when`"),
        ("diagnosis 1", "`name` is missing"),
        ("line 15, diagnosis 1 when", "this is a number"),
        ("line 16, diagnosis 1 says", "brace"),
        ("diagnosis 3", "`says` is missing"),
        ("diagnosis", "two of them are named 'twice'"),
    ]:
        assert any(line in fault and what in fault for fault in found), (line, what, found)


def test_an_unknown_pack_names_the_shipped_ones() -> None:
    assert shipped_names() == ("act_ot", "default")
    with pytest.raises(MisuseError, match="act_ot"):
        shipped_text("act-ot")
    with pytest.raises(MisuseError, match="no pack named 'nowhere'"):
        parse("extends=['nowhere']")


def test_text_that_is_no_toml_gets_line_and_pointer() -> None:
    (fault,) = faults("name = 'x'\n[objective\nmetric = 1\n")
    assert "line 2" in fault
    assert "[objective\n" in fault
    assert fault.rstrip().endswith("^")


def test_every_fault_is_told_at_once_with_its_line() -> None:
    text = """nam = "x"
[objective]
direction = "up"
[metrics.a]
band = [3, 1]
[[rule]]
name = "a"
when = "last(x"
reason = "{foo("
change = { "a.b@st" = 1 }
[[rule]]
name = "a"
when = '''
1 < 2
and 3
'''
reason = "r"
priority = "high"
[rule.change]
"x.y@set" = { expr = "1 +" }
[guardrails.range]
"a.b" = { min = 3, max = 1 }
"a..b" = { min = 3 }
[[guardrails.forbid]]
each = "a.b"
when = 'last("x") > 1'
reason = "r"
[[stop]]
name = "s"
"""
    found = faults(text)
    for line, what in [
        ("line 1, nam", "no such key (did you mean name?)"),
        ("line 2, objective", "names either"),
        ("line 3, objective direction", "'up' is none of"),
        ("line 5, metrics a band", "takes [low, high]"),
        ("line 8, rule 1 when", "expected ')'"),
        ("line 9, rule 1 reason", "brace"),
        ("line 10, rule 1 change a.b@st", "did you mean @set"),
        ("line 13, rule 2 when", "this is a number"),
        ("line 18, rule 2 priority", "takes an integer"),
        ("line 20, rule 2 change x.y@set expr", "ends too early"),
        ("line 22, guardrails range a.b", "min 3 is above max 1"),
        ("line 23, guardrails range a..b", "a name is missing"),
        ("line 25, guardrails forbid 1 each", "names one place"),
        ("line 26, guardrails forbid 1 when", "no metrics"),
        ("stop 1", "`when` is missing"),
        ("rule", "two of them are named 'a'"),
    ]:
        assert any(line in fault and what in fault for fault in found), (line, what, found)


def test_every_example_of_the_documentation_is_a_pack() -> None:
    text = Path("docs/packs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        parse(block)


def test_a_bound_is_a_finite_number() -> None:
    assert "finite" in faults("[guardrails.range]\nlr = { min = nan }\n")[0]


def test_an_alias_of_two_metrics_is_refused() -> None:
    assert "stands for" in faults("[metrics.a]\naliases=['x']\n[metrics.b]\naliases=['x']\n")[0]


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_pack_parses_and_names_only_metrics_it_knows(name: str) -> None:
    pack = shipped_pack(name)
    mentioned = {metric for rule in pack.rules for metric in rule.when.metrics}
    aliases = {alias for metric in pack.metrics.values() for alias in metric.aliases}
    assert pack.name == name
    assert not mentioned & aliases - {"loss"}
