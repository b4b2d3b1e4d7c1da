"""The study's memory against a real ledger: loops of other steps and arguments, warm starts, seeds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.fingerprint import Launched, fingerprint_of, launched_fingerprint, under_seed
from auto_loop.domain.job import JobId
from auto_loop.domain.paths import parse_path
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.tried import Tried
from tests.ledger.make import STUDY, ending, new_attempt, new_job, open_ledger

SEED = parse_path("seed")
IGNORE = (SEED, parse_path("steps"))
TREE = {"batch": 8, "seed": 1, "steps": 9}
FIRST, SECOND = 100, 200


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "l.sqlite3") as made:
        made.ensure_study(STUDY, "act_ot", "act_ot")
        made.open_loop(STUDY, FIRST, {"steps": 500, "extra": ["--amp"]})
        yield made


def ran(ledger: Ledger, name: str, loop: int = FIRST, warm_from: int | None = None, **values: int) -> Config:
    config = Config.of({**TREE, **values})
    warm = None if warm_from is None else JobId(warm_from)
    job = ledger.add_job(replace(new_job(name, loop=loop), config=config, warm_from=warm))
    attempt = ledger.start_attempt(new_attempt(job))
    ledger.finish_attempt(attempt, ending())
    return config


def memory(ledger: Ledger, loop: int = FIRST) -> frozenset[str]:
    return Tried(reading=ledger.reading, ignore=IGNORE, seed=SEED).fingerprints(STUDY, loop)


def test_a_loops_own_jobs_go_by_their_config_and_under_their_seed(ledger: Ledger) -> None:
    config = ran(ledger, "a")
    found = fingerprint_of(config, IGNORE)
    assert memory(ledger) == {found, under_seed(found, config, SEED)}
    assert Tried(reading=ledger.reading, ignore=IGNORE).fingerprints(STUDY, FIRST) == {found}


def test_a_loop_of_other_steps_or_arguments_has_tried_something_else(ledger: Ledger) -> None:
    config = ran(ledger, "a")
    ledger.close_loop(STUDY, FIRST, "done")
    for loop, flags in ((SECOND, {"steps": 600, "extra": ["--amp"]}), (SECOND + 1, {"steps": 500, "extra": []})):
        ledger.open_loop(STUDY, loop, flags)
        launched = Launched(steps=500, extra=("--amp",))
        assert fingerprint_of(config, IGNORE) not in memory(ledger, loop)
        assert launched_fingerprint(config, IGNORE, launched) in memory(ledger, loop)
        ledger.close_loop(STUDY, loop, "done")


def test_a_loop_that_launches_alike_has_tried_the_same(ledger: Ledger) -> None:
    config = ran(ledger, "a")
    ledger.close_loop(STUDY, FIRST, "done")
    ledger.open_loop(STUDY, SECOND, {"steps": 500, "extra": ["--amp", "--seed=4"], "log_freq": 7})
    assert fingerprint_of(config, IGNORE) in memory(ledger, SECOND)


def test_what_an_argument_overrides_makes_no_other_experiment(ledger: Ledger) -> None:
    ledger.close_loop(STUDY, FIRST, "done")
    ledger.open_loop(STUDY, SECOND, {"steps": 500, "extra": ["--batch=32"]})
    one = ran(ledger, "a", SECOND, batch=8)
    told = (*IGNORE, parse_path("batch"))
    assert fingerprint_of(one, told) in memory(ledger, SECOND)
    assert len({each for each in memory(ledger, SECOND) if "@" not in each}) == 1
    ran(ledger, "b", SECOND, batch=16)
    assert len({each for each in memory(ledger, SECOND) if "@" not in each}) == 1


def test_a_warm_start_is_another_experiment(ledger: Ledger) -> None:
    ran(ledger, "a")
    config = ran(ledger, "b", warm_from=1, batch=16)
    assert fingerprint_of(config, IGNORE) not in memory(ledger)
    assert launched_fingerprint(config, IGNORE, Launched(warm_from="1")) in memory(ledger)
