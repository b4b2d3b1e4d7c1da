"""After the budget: each arm's best config, and the baseline, again on fresh seeds, the same for all in a repeat."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from benchmarks.strategy_design import CONFIRMING, Design, Search
from benchmarks.strategy_jobs import Bench, commands, make_project
from benchmarks.strategy_search import Place, baseline

_NOT_THE_EXPERIMENT = ("seed", "output_dir", "job_name", "wandb")


def key_of(config: Mapping[str, Any]) -> str:
    """What names a config whatever its seed and its places: one that two arms found is trained once for both."""
    kept = {name: value for name, value in config.items() if name not in _NOT_THE_EXPERIMENT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def result_file(results: Path, repeat: int, key: str, seed: int) -> Path:
    """Where the confirmation of a config on a seed is kept."""
    return results / f"{CONFIRMING}-{repeat}-{key}-{seed}.json"


def to_confirm(searches: Sequence[Search], design: Design, repeat: int) -> list[dict[str, Any]]:
    """The baseline and the best of each search that has one, each config once."""
    best = (search.best for search in searches)
    configs = [baseline(design.search_seed(repeat)), *(job.config for job in best if job)]
    return list({key_of(config): config for config in configs}.values())


def confirm(configs: Sequence[Mapping[str, Any]], repeat: int, design: Design, place: Place, results: Path) -> None:
    """Train what is not there yet, all slots busy, seed after seed so that all configs meet the same hour."""
    left = SimpleQueue[tuple[int, Mapping[str, Any], Path]]()
    for seed in design.confirm_seeds(repeat):
        for config in configs:
            if not (file := result_file(results, repeat, key_of(config), seed)).exists():
                left.put((seed, config, file))
    if left.empty():
        return
    folder = place.folder(f"{repeat}-{CONFIRMING}")
    make_project(folder, baseline(0), place.data)
    bench = Bench(folder=folder, slots=commands(folder, baseline(0), design, place.trainer))

    def work(slot: int) -> bool:
        try:
            seed, config, file = left.get_nowait()
        except Empty:
            return False
        result = bench.run(slot, file.stem, {**config, "seed": seed})
        if result is not None:  # a run without a deadline always has one
            good = result.returncode == 0
            write_json(file, {"l1": result.l1 if good else None, "mass": result.mass, "returncode": result.returncode})
        return True

    bench.fill(work)


def confirmed(config: Mapping[str, Any], repeat: int, design: Design, results: Path) -> list[dict[str, Any]]:
    """What the config came to on each fresh seed, in their order."""
    files = [result_file(results, repeat, key_of(config), seed) for seed in design.confirm_seeds(repeat)]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def write_json(file: Path, data: Any) -> None:
    """Written aside and renamed: a kill leaves the file whole or not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".part")
    aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    aside.rename(file)
