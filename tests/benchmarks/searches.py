"""Searches made by hand, for the tests."""

from benchmarks.strategy_design import Arm, Design, JobRecord, Search

DESIGN = Design(repeats=3, budget=2.0, steps=40, slots=2, confirm=2, seed=50, device="cpu")


def job(minutes: float, l1: float | None, mass: float | None = 0.0, *, round: int = 1, good: bool = True) -> JobRecord:
    name, config = f"job at {minutes}", {"lr": minutes, "seed": 1}
    return JobRecord(name=name, round=round, minutes=minutes, succeeded=good, l1=l1, mass=mass, config=config)


def search(*jobs: JobRecord, arm: Arm = Arm.RANDOM, repeat: int = 1) -> Search:
    return Search(arm=arm, repeat=repeat, launched=len(jobs) + 1, jobs=jobs)
