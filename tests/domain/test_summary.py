"""A summary as the plain mapping of the contract, there and back."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.job import Outcome
from auto_loop.domain.series import Source
from auto_loop.domain.summary import MetricStats, Summary, summary_from_json, summary_to_json

finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite
stats = st.builds(
    MetricStats,
    first=maybe,
    last=maybe,
    best=maybe,
    best_step=st.none() | st.integers(0, 2**50),
    delta=maybe,
    pct=maybe,
    n=st.integers(0, 2**40),
    nan_count=st.integers(0, 2**40),
    source=st.sampled_from(Source),
)
summaries = st.builds(
    Summary,
    run_dir=st.text(),
    config=st.none() | st.builds(Config.of, st.dictionaries(st.text(), st.integers() | st.text(), max_size=3)),
    config_file=st.text(),
    outcome=st.none() | st.sampled_from(Outcome),
    wandb_url=st.text(),
    metrics=st.dictionaries(st.text(), stats, max_size=4),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["config", "config_file", "run_dir", "outcome", "wandb_url", "metrics"]
STATS_NAMES = ["first", "last", "best", "best_step", "delta", "pct", "n", "nan_count", "source"]


@given(summaries)
def test_there_and_back_through_json_text(summary):
    assert summary_from_json(json.loads(json.dumps(summary_to_json(summary)))) == summary


@given(summaries)
def test_the_mapping_has_the_keys_of_the_contract_in_order(summary):
    mapping = summary_to_json(summary)
    assert list(mapping) == NAMES
    assert all(list(one) == STATS_NAMES for one in mapping["metrics"].values())


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        plain | st.dictionaries(st.text(max_size=4), st.dictionaries(st.sampled_from(STATS_NAMES), plain), max_size=3),
    )
)
def test_any_mapping_is_read_and_what_does_not_fit_is_unknown(mapping):
    summary = summary_from_json(mapping)
    for one in summary.metrics.values():
        for value in (one.first, one.last, one.best, one.delta, one.pct):
            assert value is None or (isinstance(value, float) and math.isfinite(value))


def test_an_empty_mapping_is_a_summary_of_nothing():
    assert summary_from_json({}) == Summary(run_dir="")


def test_a_mapping_written_by_hand_gets_its_change():
    one = summary_from_json({"metrics": {"train/loss": {"first": 4.0, "last": 1}}}).metrics["train/loss"]
    assert (one.delta, one.pct, one.source) == (-3.0, -75.0, Source.METRICS)


def test_a_last_value_alone_is_final_only():
    one = summary_from_json({"metrics": {"train/loss": {"last": 1.0}}}).metrics["train/loss"]
    assert (one.source, one.delta) == (Source.FINAL_ONLY, None)
