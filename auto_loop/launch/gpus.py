"""GPUs as NVML shows them, which of them a loop may use, and the slots that are made of them."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from auto_loop.domain.errors import Fault, RefusedError
from auto_loop.domain.slot import Device, Gpu, Slot

DEFAULT_GPUS = 4  # more only when they are asked for: the machine may be shared
_CPU_SLOTS = 4


# Machines without a driver. All other errors are of one that is there and does not work, or may not be used: to go on
# without GPUs would be a silent fall to the CPU.
_NO_DRIVER = frozenset(
    f"NVMLError_{name}" for name in ("LibraryNotFound", "DriverNotLoaded", "FunctionNotFound", "NotFound")
)
_HIDES_ALL = ("", "-1", "NoDevFiles", "void", "none")  # what CUDA_VISIBLE_DEVICES says for none, by CUDA and containers


def probe(nvml_module: str = "pynvml") -> tuple[Gpu, ...]:
    """Every GPU that answers, in PCI order, a split one as its MIG devices; () without a driver or nvidia-ml-py.

    RefusedError when there is a driver or are GPUs, and none answers.
    """
    try:
        nvml = import_module(nvml_module)
        nvml.nvmlInit()
    except (ImportError, OSError):
        return ()
    except Exception as error:  # its errors share no base that every version names
        if type(error).__name__ in _NO_DRIVER:
            return ()
        if type(error).__name__.startswith("NVMLError"):
            raise _no_answer(str(error)) from error
        raise
    try:
        found = _all(nvml)
        if not found and nvml.nvmlDeviceGetCount():
            raise _no_answer("every GPU is lost")
        return found
    except nvml.NVMLError as error:
        raise _no_answer(str(error)) from error
    finally:
        nvml.nvmlShutdown()


def _no_answer(why: str) -> RefusedError:
    hint = "see nvidia-smi and dmesg; --device cpu runs on the CPU"
    return RefusedError(Fault(what=f"no GPU answers: {why}", where="NVML", hint=hint))


def _all(nvml: Any) -> tuple[Gpu, ...]:
    found: list[Gpu] = []
    for index, handle in devices(nvml):
        with contextlib.suppress(nvml.NVMLError):  # it is lost: the others are not
            found.append(_gpu(nvml, index, handle))
    return tuple(found)


def devices(nvml: Any) -> Iterator[tuple[int, Any]]:
    """Number and handle of every GPU that answers, in PCI order, a split one as its MIG devices.

    A GPU that fell off the bus is left out and keeps its number, as nvidia-smi counts it.
    """
    answering: dict[int, Any] = {}
    for number in range(nvml.nvmlDeviceGetCount()):
        with contextlib.suppress(nvml.NVMLError):
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            answering[number] = (_text(nvml.nvmlDeviceGetPciInfo(handle).busId), handle)
    in_order = sorted(answering.values(), key=lambda known: known[0])
    for index, (_, handle) in zip(answering, in_order, strict=True):
        for part in _mig_parts(nvml, handle) or [handle]:
            yield index, part


def _mig_parts(nvml: Any, handle: Any) -> list[Any]:
    """The MIG devices of a GPU that is split; none when it is whole or cannot be split."""
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
        if not current:
            return []
        slots = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return []
    parts = []
    for number in range(slots):
        try:
            parts.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number))
        except nvml.NVMLError:
            continue  # an empty place
    return parts


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, used = int(memory.total), int(memory.used)
    except nvml.NVMLError:  # GPUs that share the machine's memory have none of their own to tell
        total = used = 0
    name = _text(nvml.nvmlDeviceGetName(handle))
    return Gpu(index=index, uuid=uuid_of(nvml, handle), name=name, memory_total=total, memory_used=used)


def uuid_of(nvml: Any, handle: Any) -> str:
    """The name that stays a GPU's own, or a MIG device's, whatever becomes of the others."""
    return _text(nvml.nvmlDeviceGetUUID(handle))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def choose(asked: str | None, visible: str | None, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The GPUs to use: those `asked` for, in that order, else the first four visible ones in PCI order.

    `asked` holds numbers as nvidia-smi shows them, UUIDs or their beginnings, or `all`; `visible` is the inherited
    CUDA_VISIBLE_DEVICES, None when it is not set. () only when nothing was asked for and nothing is visible.
    RefusedError with every fault: an unknown, hidden or split GPU, one named twice, or a `visible` that means none of
    the GPUs that are there, as it means others.
    """
    allowed = tuple(gpu for gpu in gpus if visible is None or gpu in _visible(visible, gpus))
    if asked is None:
        if gpus and not allowed and visible is not None and not hides_all(visible):
            raise RefusedError(_names_none(visible, gpus))
        return allowed[:DEFAULT_GPUS]
    if asked.strip() == "all":
        return _some(allowed, asked, visible, gpus)
    faults: list[Fault] = []
    chosen: list[Gpu] = []
    for word in (word.strip() for word in asked.split(",") if word.strip()):
        found = _named(word, gpus)
        fault = _fault(word, found, allowed, chosen, _said(visible, allowed, gpus))
        if fault is not None:
            faults.append(fault)
        else:
            chosen += found
    if faults:
        raise RefusedError(faults)
    return _some(tuple(chosen), asked, visible, gpus)


def hides_all(visible: str) -> bool:
    """Whether CUDA_VISIBLE_DEVICES was set so that no GPU is used."""
    return visible.split(",")[0].strip() in _HIDES_ALL


def _names_none(visible: str, gpus: Sequence[Gpu]) -> Fault:
    hint = f"{_said(None, gpus, gpus)}; --device cpu runs on the CPU"
    return Fault(what="names no GPU of this machine", where=f"CUDA_VISIBLE_DEVICES={visible}", hint=hint)


def still_there(asked: str, gpus: Sequence[Gpu]) -> str:
    """The words of `--gpus` that name a GPU which answers: a loop goes on with those; all when none does."""
    words = [word.strip() for word in asked.split(",")]
    return ",".join(word for word in words if word == "all" or _named(word, gpus)) or asked


def _some(chosen: tuple[Gpu, ...], asked: str, visible: str | None, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    if chosen:
        return chosen
    raise RefusedError(Fault(what=f"{asked!r} names no GPU", where="--gpus", hint=_said(visible, (), gpus)))


def _visible(visible: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """What CUDA would see: it stops at the first word that names nothing."""
    seen: list[Gpu] = []
    for word in (word.strip() for word in visible.split(",")):
        found = _named(word, gpus)
        if len(found) != 1:
            break
        seen += found
    return seen


def _named(word: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    if word.isdecimal():
        return [gpu for gpu in gpus if gpu.index == int(word)]
    if not word.startswith(("GPU-", "MIG-")):
        return []
    return [gpu for gpu in gpus if gpu.uuid.startswith(word)]


def _fault(word: str, found: list[Gpu], allowed: Sequence[Gpu], chosen: Sequence[Gpu], said: str) -> Fault | None:
    """What is wrong with one word of `--gpus`, None when it names one free GPU."""
    if not found:
        return Fault(what=f"there is no GPU {word}", where="--gpus", hint=said)
    if len(found) > 1 or (word.isdecimal() and found[0].is_mig):
        names = ", ".join(gpu.uuid for gpu in found)
        return Fault(what=f"{word} is more than one device", where="--gpus", hint=f"name one of {names}")
    if found[0] not in allowed:
        return Fault(what=f"GPU {word} is outside the inherited CUDA_VISIBLE_DEVICES", where="--gpus", hint=said)
    if found[0] in chosen:
        return Fault(what=f"GPU {word} is named twice", where="--gpus", hint="--jobs-per-gpu puts several jobs on one")
    return None


def _said(visible: str | None, allowed: Sequence[Gpu], gpus: Sequence[Gpu]) -> str:
    """The set to choose from, in words."""
    if not gpus:
        return "NVML shows no GPU on this machine; --device cpu runs on the CPU"
    names = ", ".join(gpu.uuid if gpu.is_mig else str(gpu.index) for gpu in allowed) or "none"
    return f"available: {names}" + (f"; CUDA_VISIBLE_DEVICES={visible}" if visible is not None else "")


def make_slots(
    gpus: Sequence[Gpu], *, gpus_per_job: int = 1, jobs_per_gpu: int = 1, concurrency: int | None = None, cores: int = 1
) -> tuple[Slot, ...]:
    """The loop's slots: groups of `gpus_per_job` GPUs, each `jobs_per_gpu` times; without GPUs, CPU slots.

    `concurrency` below their number takes the first ones, above it is refused. CPU slots: `concurrency`, by default
    max(1, min(4, cores // 2)). The cores are divided among the slots. RefusedError with every fault.
    """
    faults = [
        Fault(what=f"{value} is below 1", where=option)
        for option, value in (
            ("--gpus-per-job", gpus_per_job),
            ("--jobs-per-gpu", jobs_per_gpu),
            ("--concurrency", 1 if concurrency is None else concurrency),
        )
        if value < 1
    ]
    if gpus and not faults:
        faults += _group_faults(gpus, gpus_per_job, jobs_per_gpu, concurrency)
    if faults:
        raise RefusedError(faults)
    groups = _groups(gpus, gpus_per_job) * jobs_per_gpu if gpus else [()] * max(1, min(_CPU_SLOTS, cores // 2))
    if concurrency is not None:
        groups = groups[:concurrency] if gpus else [()] * concurrency
    device = Device.CUDA if gpus else Device.CPU
    threads = max(1, cores // len(groups))
    return tuple(
        Slot(index=index, device=device, gpus=group, cpu_threads=threads) for index, group in enumerate(groups)
    )


def _groups(gpus: Sequence[Gpu], size: int) -> list[tuple[Gpu, ...]]:
    """Neighbours together; GPUs that are too few for another group stay idle."""
    return [tuple(gpus[start : start + size]) for start in range(0, len(gpus) - size + 1, size)]


def _group_faults(gpus: Sequence[Gpu], size: int, per_gpu: int, concurrency: int | None) -> list[Fault]:
    if size > len(gpus):
        return [Fault(what=f"{size} GPUs a job, but only {len(gpus)} to use", where="--gpus-per-job")]
    if size > 1 and any(gpu.is_mig for gpu in gpus):
        return [Fault(what="a process sees one MIG device only", where="--gpus-per-job", hint="use 1")]
    slots = len(gpus) // size * per_gpu
    if concurrency is not None and concurrency > slots:
        hint = "--jobs-per-gpu makes room for more"
        return [Fault(what=f"{concurrency} jobs at once, but only {slots} slots", where="--concurrency", hint=hint)]
    return []


def cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The CPU cores that this process may use: its affinity, cut by the control group's quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or "max": no quota
        return allowed
