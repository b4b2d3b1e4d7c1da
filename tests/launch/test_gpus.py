from collections.abc import Iterator
from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.slot import Device, Gpu
from auto_loop.launch import gpus
from tests.fakes import nvml
from tests.launch.make import gpu

EIGHT = tuple(gpu(index) for index in range(8))
FAKE = "tests.fakes.nvml"


@pytest.fixture(autouse=True)
def machine() -> Iterator[None]:
    nvml.reset()
    yield
    nvml.reset()


def numbers(found: tuple[Gpu, ...]) -> list[int]:
    return [one.index for one in found]


def test_gpus_are_numbered_in_pci_order() -> None:
    nvml.BOARDS[:] = [nvml.Board("00000000:C1:00.0", "GPU-c1"), nvml.Board("00000000:01:00.0", "GPU-01", name=b"A100")]
    assert [(one.index, one.uuid) for one in gpus.probe(FAKE)] == [(0, "GPU-01"), (1, "GPU-c1")]
    assert gpus.probe(FAKE)[0].name == "A100"


def test_a_split_gpu_is_its_parts() -> None:
    nvml.BOARDS[:] = [nvml.Board("0:01", "GPU-a", parts=["MIG-x", "MIG-y"]), nvml.Board("0:02", "GPU-b", parts=[])]
    found = gpus.probe(FAKE)
    assert [(one.index, one.uuid) for one in found] == [(0, "MIG-x"), (0, "MIG-y"), (1, "GPU-b")]
    slots = gpus.make_slots(found, cores=8)
    assert [slot.visible for slot in slots] == ["MIG-x", "MIG-y", "1"]
    with pytest.raises(RefusedError, match=r"GPU-b|MIG-x, MIG-y"):
        gpus.choose("0", None, found)
    assert gpus.choose("MIG-y", None, found) == (found[1],)
    assert gpus.choose(None, "MIG-y", found) == (found[1],)
    assert gpus.choose(None, "MIG-y,1", found) == (found[1], found[2])
    with pytest.raises(RefusedError, match=r"MIG-x is outside.*available: MIG-y; CUDA_VISIBLE_DEVICES=MIG-y"):
        gpus.choose("MIG-x", "MIG-y", found)
    with pytest.raises(RefusedError, match="one MIG device only"):
        gpus.make_slots(found, gpus_per_job=2)


def test_without_driver_or_library_there_are_none() -> None:
    nvml.DRIVER[0] = False
    assert gpus.probe(FAKE) == ()
    assert gpus.probe("no_such_nvml") == ()


@pytest.mark.parametrize("error", ["GpuIsLost", "Unknown"])
def test_a_lost_gpu_does_not_hide_the_others(error: str) -> None:
    """The others keep their numbers, as nvidia-smi goes on counting the lost one."""
    nvml.BOARDS[:] = [nvml.Board(f"0:0{index}", f"GPU-{index}") for index in range(4)]
    nvml.BOARDS[1].lost = error
    assert [(one.index, one.uuid) for one in gpus.probe(FAKE)] == [(0, "GPU-0"), (2, "GPU-2"), (3, "GPU-3")]
    nvml.BOARDS[1].lost, nvml.BOARDS[1].fails = "", {"nvmlDeviceGetUUID": error}
    assert numbers(gpus.probe(FAKE)) == [0, 2, 3]


@pytest.mark.parametrize("error", ["Unknown", "LibRmVersionMismatch", "NoPermission", "Timeout", "Memory"])
def test_a_driver_that_does_not_work_is_no_machine_without_gpus(error: str) -> None:
    """A loop that took it for one would train on the CPU all night."""
    nvml.BOARDS[:] = [nvml.Board("0:01", "GPU-a", lost="GpuIsLost")]
    with pytest.raises(RefusedError, match=r"NVML: no GPU answers: every GPU is lost .*--device cpu"):
        gpus.probe(FAKE)
    nvml.DRIVER[0] = error
    with pytest.raises(RefusedError, match=f"no GPU answers: {error}"):
        gpus.probe(FAKE)


def test_shared_memory_tells_nothing() -> None:
    nvml.BOARDS[:] = [nvml.Board("0:01", "GPU-a", memory=None)]
    assert gpus.probe(FAKE)[0].memory_total == 0


@pytest.mark.parametrize(
    ("asked", "visible", "expected"),
    [
        (None, None, [0, 1, 2, 3]),
        (None, "6,5", [5, 6]),
        (None, "", []),
        (None, "2,-1,3", [2]),
        (None, "-1", []),
        (None, "NoDevFiles", []),
        (None, "none", []),
        (None, " 3 , 2 ", [2, 3]),
        (None, "1,9,2", [1]),
        (None, "1,,2", [1]),
        (None, "GPU-00000004-aaaa,GPU-00000002-aaaa", [2, 4]),
        (None, "GPU-00000004", [4]),
        ("5,4", None, [5, 4]),
        ("4", "4,5", [4]),
        ("all", None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("all", "1,7", [1, 7]),
        ("GPU-00000003-aaaa, 1", None, [3, 1]),
        ("GPU-00000006", "5,6", [6]),
    ],
)
def test_choice(asked: str | None, visible: str | None, expected: list[int]) -> None:
    assert numbers(gpus.choose(asked, visible, EIGHT)) == expected


@pytest.mark.parametrize(
    ("asked", "visible", "said"),
    [
        ("9", None, "there is no GPU 9.*available: 0, 1, 2"),
        ("3", "4,5", "outside the inherited CUDA_VISIBLE_DEVICES.*available: 4, 5; CUDA_VISIBLE_DEVICES=4,5"),
        ("4,GPU-00000004", None, "named twice"),
        ("GPU-0", None, "more than one device"),
        ("zero", None, "there is no GPU zero"),
        ("", None, "names no GPU"),
        ("all", "", "names no GPU.*available: none; CUDA_VISIBLE_DEVICES="),
        ("0", "-1", "outside the inherited CUDA_VISIBLE_DEVICES.*available: none; CUDA_VISIBLE_DEVICES=-1"),
        ("0", "NoDevFiles", "outside the inherited CUDA_VISIBLE_DEVICES"),
    ],
)
def test_refused_choice(asked: str, visible: str | None, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        gpus.choose(asked, visible, EIGHT)


@pytest.mark.parametrize("visible", ["8", "GPU-0", "GPU-ffff", "MIG-a", "cuda:0", "all", "9,1"])
def test_a_visible_gpu_that_is_not_there_is_no_machine_without_gpus(visible: str) -> None:
    """Whoever named one wants it: on the CPU the job would take days, and nobody would know why."""
    said = f"CUDA_VISIBLE_DEVICES={visible}: names no GPU of this machine .available: 0, 1, 2.*--device cpu"
    with pytest.raises(RefusedError, match=said):
        gpus.choose(None, visible, EIGHT)
    assert gpus.choose(None, visible, ()) == ()


def test_gpus_hidden_on_purpose_are_not_used() -> None:
    for visible in ("", "-1", " -1 ", "NoDevFiles", "-1,0"):
        assert gpus.choose(None, visible, EIGHT) == ()


def test_a_loop_goes_on_with_the_gpus_that_still_answer() -> None:
    left = (EIGHT[1], EIGHT[3])
    assert gpus.still_there("0,1,3", left) == "1,3"
    assert gpus.still_there(" GPU-00000003-aaaa , GPU-00000000-aaaa", left) == "GPU-00000003-aaaa"
    assert gpus.still_there("all", left) == "all"
    with pytest.raises(RefusedError, match="no GPU 0"):
        gpus.choose(gpus.still_there("0", left), None, left)


def test_all_faults_of_a_choice_at_once() -> None:
    with pytest.raises(RefusedError) as caught:
        gpus.choose("9,1,1,12", None, EIGHT)
    assert len(caught.value.faults) == 3


def test_asked_for_on_a_machine_without() -> None:
    assert gpus.choose(None, None, ()) == ()
    with pytest.raises(RefusedError, match="--device cpu"):
        gpus.choose("0", None, ())


def test_gpus_of_slots() -> None:
    four = EIGHT[4:]
    assert [slot.visible for slot in gpus.make_slots(four, cores=8)] == ["4", "5", "6", "7"]
    assert [slot.visible for slot in gpus.make_slots(four, gpus_per_job=2)] == ["4,5", "6,7"]
    assert [slot.visible for slot in gpus.make_slots(four[:3], gpus_per_job=2)] == ["4,5"]
    assert [slot.visible for slot in gpus.make_slots(four[:2], jobs_per_gpu=2)] == ["4", "5", "4", "5"]
    assert [slot.visible for slot in gpus.make_slots(four, concurrency=2)] == ["4", "5"]
    slots = gpus.make_slots(four, cores=10)
    assert {slot.cpu_threads for slot in slots} == {2}
    assert {slot.device for slot in slots} == {Device.CUDA}
    assert [slot.index for slot in slots] == [0, 1, 2, 3]


@pytest.mark.parametrize(("cores", "slots"), [(1, 1), (2, 1), (4, 2), (8, 4), (64, 4)])
def test_cpu_slots(cores: int, slots: int) -> None:
    made = gpus.make_slots((), cores=cores)
    assert len(made) == slots
    assert {(slot.visible, slot.device, slot.cpu_threads) for slot in made} == {("", Device.CPU, cores // slots)}
    assert len(gpus.make_slots((), cores=2, concurrency=3)) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 3}, "--concurrency: 3 jobs at once, but only 2 slots .*--jobs-per-gpu"),
        ({"gpus_per_job": 3}, "--gpus-per-job: 3 GPUs a job, but only 2"),
        ({"gpus_per_job": 0, "concurrency": 0}, "--gpus-per-job: 0 is below 1\n--concurrency: 0 is below 1"),
    ],
)
def test_refused_slots(options: dict[str, int], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        gpus.make_slots(EIGHT[:2], **options)


def test_jobs_per_gpu_makes_room() -> None:
    assert [slot.visible for slot in gpus.make_slots(EIGHT[:2], jobs_per_gpu=2, concurrency=3)] == ["0", "1", "0"]


def test_cores_are_cut_by_the_quota(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert gpus.cores(quota) == 1
    quota.write_text("50000 100000\n")
    assert gpus.cores(quota) == 1
    quota.write_text("max 100000\n")
    assert gpus.cores(quota) == gpus.cores(tmp_path / "absent") >= 1
