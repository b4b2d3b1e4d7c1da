"""Old runs on disk, as programs of other people leave them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from auto_loop.domain.config import Json

PACK = """
name = "mine"
[objective]
metric = "eval/loss"
direction = "lower"
min_difference = 0.01

[[rule]]
name = "slower"
when = 'last("train/loss") > 0.5'
change = { "lr@mul" = 0.5 }
reason = "the loss is {last('train/loss')}"

[[rule]]
name = "wider"
when = 'last("width") > 3'
change = { "width@mul" = 2 }
reason = "never"

[[stop]]
name = "loss high"
when = 'last("train/loss") > 0.9'
after = 20
for = 2
reason = "the loss is {last('train/loss')}"
"""


def mirrored(
    folder: Path,
    losses: Sequence[float],
    *,
    evaluated: float | None = None,
    config: Mapping[str, Json] | None = None,
    second_a_step: float | None = 1.0,
) -> Path:
    """A run that W&B logged: a loss every 10 steps from step 10 on, each step so many seconds long."""
    file = folder / "wandb" / "offline-run-20260101_000000-abc" / "files" / "wandb-history.jsonl"
    file.parent.mkdir(parents=True)
    rows: list[dict[str, Json]] = []
    for at, loss in enumerate(losses, start=1):
        row: dict[str, Json] = {"_step": 10 * at, "train/loss": loss}
        rows.append(row if second_a_step is None else {**row, "_timestamp": 1e9 + 10 * at * second_a_step})
    if evaluated is not None:
        rows[-1]["eval/loss"] = evaluated
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def plain(folder: Path, losses: Sequence[float], config: Mapping[str, Json] | None = None) -> Path:
    """A run that only wrote lines of JSON, without a time in them."""
    folder.mkdir(parents=True)
    lines = [json.dumps({"step": 10 * at, "train/loss": loss}) for at, loss in enumerate(losses, start=1)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder
