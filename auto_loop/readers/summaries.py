"""A run's folder as a `Summary`: its metrics in numbers, with the config that is found beside them."""

from collections.abc import Callable
from pathlib import Path

from auto_loop.domain.stats import Direction, summarise, usual_direction
from auto_loop.domain.summary import Summary
from auto_loop.readers.registry import read_run
from auto_loop.readers.runs import find_config


def summary_of(folder: Path, directions: Callable[[str], Direction] = usual_direction) -> Summary | None:
    """The run in `folder`, or None when it has no readable metrics. Its outcome is not known from its files alone."""
    reading = read_run(folder)
    if reading is None:
        return None
    found = find_config(folder)
    return Summary(
        run_dir=run_key(folder),
        config=found.config if found else None,
        config_file=found.file if found else "",
        wandb_url=reading.wandb_url,
        metrics=summarise(reading.series, directions),
        series=reading.series,
        notes=reading.notes,
    )


def run_key(folder: Path) -> str:
    """The folder with forward slashes, as it was given; whole when only that shows that it lies in `outputs/train`."""
    given, whole = folder.as_posix(), folder.absolute().as_posix()
    return whole if "outputs/train/" in whole and "outputs/train/" not in given else given
