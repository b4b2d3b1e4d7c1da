"""A front desk for outside scripts: reading a run's history, its statistics, and the names that mean one metric."""

from auto_loop.domain.series import Series, Source
from auto_loop.domain.stats import Direction, describe, summarise, usual_direction
from auto_loop.domain.summary import MetricStats, Summary, summary_from_json, summary_to_json
from auto_loop.readers.history import parse_history
from auto_loop.readers.registry import read_run
from auto_loop.readers.runs import find_runs
from auto_loop.readers.summaries import summary_of
from auto_loop.rules.pack import shipped_pack

__all__ = [
    "Direction",
    "MetricStats",
    "Series",
    "Source",
    "Summary",
    "describe",
    "find_runs",
    "parse_history",
    "read_run",
    "shipped_pack",
    "summarise",
    "summary_from_json",
    "summary_of",
    "summary_to_json",
    "usual_direction",
]
