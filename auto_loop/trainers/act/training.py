"""A whole run: from data and a policy to logs, evaluations and checkpoints, and through a stop in good order."""

import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]  # ships no types

from auto_loop.trainers.act import checkpoint
from auto_loop.trainers.act.config import TrainConfig
from auto_loop.trainers.act.corpus import Corpus, gather
from auto_loop.trainers.act.dataset import DataError
from auto_loop.trainers.act.evaluate import evaluate
from auto_loop.trainers.act.learner import Learner, NonFiniteLossError
from auto_loop.trainers.runlog import RunLog, Window

STOPPED = 128 + signal.SIGTERM
SUMMED = frozenset({"train/ot_not_converged"})
LOOK_EVERY = 10  # steps between two looks at what an eased transport cost would do: half a percent of the time


class StopRequest:
    """Set by SIGTERM; the step in progress is finished first."""

    def __init__(self) -> None:
        self.made = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self.made = True


def run(config: TrainConfig) -> int:
    """Train to the last step and return the exit code: 0, 1 after a loss that is no number, 143 after a SIGTERM.

    Raises DataError when the data or the device is not what the config says.
    """
    stop = StopRequest()
    accelerator = _accelerator(config)
    corpus = gather(config, accelerator.device)
    learner = Learner(config, corpus, accelerator)
    if config.policy.pretrained_path is not None and not config.resume:
        checkpoint.load_weights(Path(config.policy.pretrained_path), learner.policy)
    return _Run(config, accelerator, corpus, learner).to_the_end(stop)


def _accelerator(config: TrainConfig) -> Accelerator:
    wanted = config.policy.device
    accelerator = Accelerator(cpu=wanted == "cpu")
    if accelerator.device.type != wanted:
        raise DataError(
            f"policy.device: {wanted} is not to be had, this process was given {accelerator.device.type} "
            "(a machine without it, or accelerate was launched for another); set policy.device accordingly"
        )
    if accelerator.mixed_precision == "fp16":
        raise DataError("fp16 needs loss scaling, which this trainer does not do; launch with bf16 or without")
    return accelerator


class _Run:
    """One process's part in a run; the main process alone logs, evaluates and saves."""

    def __init__(self, config: TrainConfig, accelerator: Accelerator, corpus: Corpus, learner: Learner) -> None:
        self.config, self.accelerator, self.corpus, self.learner = config, accelerator, corpus, learner
        self.output_dir = Path(config.output_dir)
        self.main = bool(accelerator.is_main_process)
        self.window = Window(SUMMED)
        self.step = 0
        saved = self._resume() if config.resume else {}
        if self.main:
            self.output_dir.mkdir(parents=True, exist_ok=config.resume)
        self.log = RunLog(self.output_dir / "metrics.jsonl", keep_to_step=self.step) if self.main else None
        self.wandb = _start_wandb(config, saved.get("wandb_run_id")) if self.main and config.wandb.enable else None
        self.since = (time.perf_counter(), self.step)

    def to_the_end(self, stop: StopRequest) -> int:
        code = 1
        try:
            code = self._loop(stop)
        finally:
            if self.wandb is not None:
                self.wandb.finish(exit_code=code)
            if self.log is not None:
                self.log.close()
        return code

    def _loop(self, stop: StopRequest) -> int:
        self._say_start()
        self.learner.policy.train()
        while self.step < self.config.steps:
            try:
                metrics = self.learner.step(look=self.step % min(LOOK_EVERY, self.config.log_freq) == 0)
            except NonFiniteLossError as fault:
                return self._give_up(fault)
            self.step += 1
            self.window.add(metrics)
            done = self.step == self.config.steps
            if done or self.step % self.config.log_freq == 0:
                self._log_window()
            if done or _due(self.step, self.config.eval_freq):
                self._evaluate()
            stopping = self._stop_agreed(stop)
            if done or stopping or _due(self.step, self.config.save_freq):
                self._save()
            if stopping and not done:
                self._say(f"stopped by SIGTERM after step {self.step}; the checkpoint is saved")
                return STOPPED
        self._say(f"done: {self.step} steps")
        return 0

    def _stop_agreed(self, stop: StopRequest) -> bool:
        """Processes get the signal at different steps, and one that went on alone would wait for ever."""
        if self.accelerator.num_processes == 1:
            return stop.made
        asked = torch.tensor(float(stop.made), device=self.accelerator.device)
        return float(self.accelerator.reduce(asked, "sum")) > 0

    def _give_up(self, fault: NonFiniteLossError) -> int:
        self._write(self.step + 1, fault.metrics)
        values = ", ".join(f"{name.removeprefix('train/')}={value:g}" for name, value in fault.metrics.items())
        print(
            f"error: the loss is not finite at step {self.step + 1}: {values}\n"
            "stopped before the step was applied; lower policy.optimizer_lr, or the weight of the term that grew",
            file=sys.stderr,
            flush=True,
        )
        return 1

    def _log_window(self) -> None:
        metrics = self.window.take()
        now = (time.perf_counter(), self.step)
        rate = (now[1] - self.since[1]) / max(now[0] - self.since[0], 1e-9)
        self.since = now
        self._write(self.step, metrics)
        shown = [f"loss {metrics['train/loss']:.4f}", f"l1 {metrics['train/l1_loss']:.4f}"]
        if "train/ot_pi_sum" in metrics:
            shown += [f"{name} {metrics[f'train/{name}']:.3g}" for name in ("ot_pi_sum", "ot_grad_ratio")]
        self._say(f"step {self.step}/{self.config.steps}: {', '.join(shown)} ({rate:.1f} steps/s)")

    def _evaluate(self) -> None:
        if self.main and self.corpus.held_out:
            kl_weight = self.config.policy.kl_weight
            metrics = evaluate(self.learner.policy, self.corpus.frames, self.corpus.held_out, kl_weight)
            self._write(self.step, metrics)
            by_name = ", ".join(f"{name.rsplit('/', 1)[1]} {value:.4g}" for name, value in metrics.items())
            self._say(f"evaluated at step {self.step}: {by_name}")
        self.accelerator.wait_for_everyone()

    def _write(self, step: int, metrics: Mapping[str, float]) -> None:
        if self.log is not None:
            self.log.write(step, metrics)
        if self.wandb is not None:
            self.wandb.log(dict(metrics), step=step)

    def _save(self) -> None:
        if self.main:
            learner = self.learner
            state = checkpoint.TrainingState(
                step=self.step,
                optimizer=learner.optimizer.state_dict(),
                torch_random=checkpoint.torch_random_state(),
                plain={
                    "streams": {name: rng.bit_generator.state for name, rng in learner.streams.items()},
                    "window": self.window.state(),
                    "wandb_run_id": None if self.wandb is None else self.wandb.id,
                },
            )
            configs = {"config": asdict(self.config.policy), "train_config": asdict(self.config)}
            checkpoint.save(self.output_dir, learner.policy, state, configs)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> dict[str, Any]:
        """Take up the last checkpoint; other processes' streams start anew from the step, the main one's go on."""
        place = checkpoint.last(self.output_dir)
        if place is None:
            raise DataError(f"resume=true, but there is no checkpoint below {self.output_dir / 'checkpoints'}")
        state = checkpoint.load_state(place)
        checkpoint.load_weights(place / checkpoint.MODEL, self.learner.policy)
        self.learner.optimizer.load_state_dict(state.optimizer)
        self.step = state.step
        self.window.restore(state.plain["window"])
        if self.main:
            checkpoint.restore_torch_random(state.torch_random)
            for name, rng in self.learner.streams.items():
                rng.bit_generator.state = state.plain["streams"][name]
        return state.plain

    def _say_start(self) -> None:
        count = sum(parameter.numel() for parameter in self.learner.policy.parameters())
        begin = f"from step {self.step} " if self.step else ""
        held_out = ", ".join(f"{name} {len(rows)}" for name, rows in self.corpus.held_out.items()) or "nothing"
        self._say(
            f"training {begin}to {self.config.steps} on {self.accelerator.device}: {count:,} parameters, "
            f"{len(self.corpus.bc_frames)} frames, held out: {held_out}"
        )

    def _say(self, line: str) -> None:
        if self.main:
            print(line, flush=True)


def _due(step: int, frequency: int) -> bool:
    return frequency > 0 and step % frequency == 0


def _start_wandb(config: TrainConfig, run_id: str | None) -> Any:
    import wandb

    return wandb.init(
        project=config.wandb.project,
        entity=config.wandb.entity,
        mode=config.wandb.mode,  # type: ignore[arg-type]  # one of its literals: the config was checked
        dir=config.output_dir,
        name=config.job_name or Path(config.output_dir).name,
        config=asdict(config),
        id=run_id,
        resume="allow" if run_id else None,
        save_code=False,
    )
