"""Which trainer, which rules, which GPUs: each choice with the reason that a plan prints."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError, RefusedError
from auto_loop.domain.slot import Device, Gpu, Slot
from auto_loop.launch import gpus
from auto_loop.launch.profile import Profile
from auto_loop.launch.profile_text import parse_profile, shipped_profile, shipped_profile_names
from auto_loop.rules import pack as packs
from auto_loop.rules.model import Pack
from auto_loop.workspace.files import read_text

LEROBOT_TRAINER = "src/lerobot/scripts/lerobot_train.py"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[T]):
    """What was chosen, what it was named by, and why. `note` is what must not pass in silence."""

    value: T
    name: str
    why: str
    note: str = ""


def choose_profile(call: AutorunCall, root: Path) -> Choice[Profile]:
    """How the trainer takes its orders: as asked, else by the trainer that is there."""
    if call.profile:
        return _profile(call.profile, root, "--profile")
    if call.train_script or call.train_module:
        return _profile("accelerate-script", root, "a trainer of your own was named")
    if (root / LEROBOT_TRAINER).is_file():
        return _profile("lerobot", root, f"{LEROBOT_TRAINER} is there")
    return _profile("act_ot", root, "the default: the shipped ACT-OT trainer")


def _profile(name: str, root: Path, why: str) -> Choice[Profile]:
    return Choice(value=profile_named(name, root), name=name, why=why)


def profile_named(name: str, root: Path) -> Profile:
    """A shipped profile by its name, or a user's own by its file."""
    known = shipped_profile_names()
    return named(name, root, known, shipped_profile, lambda text: parse_profile(text, name), "profile")


def choose_pack(call: AutorunCall, profile: Profile, root: Path) -> Choice[Pack]:
    """The rules: as asked, else the profile's own."""
    name, why = (call.pack, "--pack") if call.pack else (profile.pack, f"profile {profile.name}'s")
    return Choice(value=pack_named(name, root), name=name, why=why)


def pack_named(name: str, root: Path) -> Pack:
    """A shipped pack by its name, or a user's own by its file."""
    return named(name, root, packs.shipped_names(), packs.shipped_pack, lambda text: _own_pack(text, name), "pack")


def _own_pack(text: str, name: str) -> Pack:
    return packs.parse(text, packs.shipped_text, name=Path(name).stem)


def named(
    name: str,
    root: Path,
    known: tuple[str, ...],
    shipped: Callable[[str], T],
    parse: Callable[[str], T],
    what: str,
) -> T:
    """A shipped thing by its name, or a user's own by its file; what is neither is refused with both ways shown."""
    if name not in known and (name.endswith(".toml") or "/" in name):
        return parse(read_text(root / name, what))
    try:
        return shipped(name)
    except AutoLoopError as error:
        raise MisuseError(replace(fault, where=fault.where or f"--{what} {name}") for fault in error.faults) from None


def choose_slots(call: AutorunCall, around: Surroundings) -> Choice[tuple[Slot, ...]]:
    """The slots: on the GPUs that were asked for or are visible, else on the CPU. RefusedError with every fault."""
    visible = around.env.get("CUDA_VISIBLE_DEVICES")
    found = around.probe_gpus() if call.device in ("cuda", "auto") else ()
    if call.device in ("cpu", "mps") and call.gpus is not None:
        what, hint = f"--device {call.device} uses no GPU", "leave one of the two options out"
        raise MisuseError(Fault(what=what, where=f"--gpus {call.gpus}", hint=hint))
    asked = gpus.still_there(call.gpus, found) if call.resume and call.gpus and found else call.gpus
    chosen: tuple[Gpu, ...] = gpus.choose(asked, visible, found) if call.device in ("cuda", "auto") else ()
    if call.device == "cuda" and not chosen:
        hint = "NVML shows no GPU that this process may use; --device cpu runs on the CPU"
        raise RefusedError(Fault(what="no GPU to use", where="--device cuda", hint=hint))
    slots = gpus.make_slots(
        chosen,
        gpus_per_job=call.gpus_per_job,
        jobs_per_gpu=call.jobs_per_gpu,
        concurrency=_concurrency(call, len(chosen)),
        cores=around.cores,
    )
    if call.device == "mps":
        slots = tuple(Slot(index=s.index, device=Device.MPS, cpu_threads=s.cpu_threads) for s in slots)
    if len({gpu.index for gpu in found}) <= max((gpu.index for gpu in found), default=-1):  # one has gone
        slots = tuple(slot.by_uuid() for slot in slots)
    left_out = f"--gpus {call.gpus}: only {asked} answers: the loop goes on with that" if asked != call.gpus else ""
    why = _why_slots(call, chosen, visible, found)
    return Choice(value=slots, name=slots[0].device.value, why=why, note=left_out)


def _concurrency(call: AutorunCall, chosen: int) -> int | None:
    """As asked; of a loop that is gone on with on fewer GPUs, as many slots as they make."""
    room = chosen // max(1, call.gpus_per_job) * call.jobs_per_gpu
    if call.resume and call.concurrency is not None and room:
        return min(call.concurrency, room)
    return call.concurrency


def planned_slots(call: AutorunCall) -> Choice[tuple[Slot, ...]]:
    """The slots that a plan shows when the GPUs asked for are not there: the numbers as they were given."""
    words = [word.strip() for word in (call.gpus or "").split(",") if word.strip()] or ["0"]
    absent = tuple(
        Gpu(index=int(word) if word.isdecimal() else at, uuid=word, name="absent", memory_total=0)
        for at, word in enumerate(words)
    )
    slots = gpus.make_slots(absent, gpus_per_job=min(call.gpus_per_job, len(absent)), jobs_per_gpu=call.jobs_per_gpu)
    why = "as asked; not on this machine" if call.gpus else "a stand-in, for the warnings below"
    return Choice(value=slots[: call.concurrency], name="cuda", why=why)


def _why_slots(call: AutorunCall, chosen: tuple[Gpu, ...], visible: str | None, found: tuple[Gpu, ...]) -> str:
    if chosen:
        return "--gpus" if call.gpus else "the first visible GPUs"
    if call.device in ("cpu", "mps"):
        return f"--device {call.device}"
    if found:
        return f"CUDA_VISIBLE_DEVICES={visible} hides every GPU"
    return "no GPU on this machine, and none asked for"
