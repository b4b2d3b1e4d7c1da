"""Requests for attempts, as the tests of this room need them."""

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from auto_loop.domain.config import Config
from auto_loop.domain.job import AttemptId
from auto_loop.domain.slot import Device, Gpu, Slot
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.command import AttemptFiles, Entry, JobSpec, RunOptions

CPU = Slot(index=0, device=Device.CPU, cpu_threads=3)


def gpu(index: int, uuid: str = "") -> Gpu:
    return Gpu(index=index, uuid=uuid or f"GPU-{index:08x}-aaaa", name="NVIDIA A100", memory_total=40 << 30)


def files(folder: Path, name: str = "1_1") -> AttemptFiles:
    papers = folder / ".codex_tmp" / "attempts"
    return AttemptFiles(
        log=folder / ".codex_tmp" / f"slot0_{name}.log",
        claim=papers / f"{name}.claim",
        exit=papers / f"{name}.exit",
        inner=papers / f"{name}.inner",
        request=papers / f"{name}.request",
    )


def spec(folder: Path, slot: Slot = CPU, **changes: object) -> JobSpec:
    given: dict[str, object] = {
        "attempt": AttemptId(7),
        "token": "tok-" + secrets.token_hex(8),
        "cfg_file": Path("train_configs/a.json"),
        "config": Config.of({"batch_size": 4, "policy": {"dim": 8}}),
        "output_dir": "outputs/train/loop_1/a",
        "slot": slot,
        "files": files(folder),
    }
    return JobSpec(**(given | changes))  # type: ignore[arg-type]  # the tests name the fields


def options(folder: Path, **changes: object) -> RunOptions:
    given: dict[str, object] = {
        "python": sys.executable,
        "target": Entry(script="job.py"),
        "root": folder,
        "scratch": folder / ".codex_tmp",
        "wandb_cache": folder / ".wandb_cache",
        "env": {"PATH": os.environ["PATH"]},
    }
    return RunOptions(**(given | changes))  # type: ignore[arg-type]  # the tests name the fields


def request(folder: Path, argv: Sequence[str], name: str = "1_1", **env: str) -> LaunchRequest:
    """An attempt of the plainest kind: this command, under a keeper, in this folder."""
    papers = files(folder, name)
    return LaunchRequest(
        attempt=AttemptId(1),
        token="tok-" + secrets.token_hex(8),
        argv=tuple(argv),
        cwd=folder,
        log_file=papers.log,
        claim_file=papers.claim,
        exit_file=papers.exit,
        inner_file=papers.inner,
        request_file=papers.request,
        keeper_python=sys.executable,
        env={"PATH": os.environ["PATH"], **env},
    )
