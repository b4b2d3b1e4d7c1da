"""How a slot names its GPUs to CUDA and to people."""

import pytest

from auto_loop.domain.slot import Device, Gpu, Slot


def gpu(index: int, uuid: str = "") -> Gpu:
    return Gpu(index=index, uuid=uuid or f"GPU-{index:04x}", name="a GPU", memory_total=80 * 2**30)


MIG = gpu(1, "MIG-00ff")


@pytest.mark.parametrize(
    ("gpus", "visible", "place"),
    [
        ((), "", "CPU, 1 thread"),
        ((gpu(3),), "3", "GPU 3"),
        ((gpu(10), gpu(2)), "10,2", "GPU 10, 2"),
        ((MIG,), "MIG-00ff", "GPU 1"),
        ((gpu(0), MIG), "0,MIG-00ff", "GPU 0, 1"),
    ],
)
def test_a_slot_makes_visible_what_it_holds_and_says_where_it_is(
    gpus: tuple[Gpu, ...], visible: str, place: str
) -> None:
    slot = Slot(index=0, device=Device.CUDA if gpus else Device.CPU, gpus=gpus)
    assert (slot.visible, slot.place) == (visible, place)


def test_a_cpu_slot_says_its_share_of_the_cores() -> None:
    assert Slot(index=0, device=Device.CPU, cpu_threads=2).place == "CPU, 2 threads"


def test_by_uuid_a_slot_no_longer_relies_on_numbers_and_is_still_the_same_place() -> None:
    slot = Slot(index=4, device=Device.CUDA, gpus=(gpu(2), gpu(5)), cpu_threads=3)
    named = slot.by_uuid()
    assert named.visible == "GPU-0002,GPU-0005"
    assert (named.index, named.place, named.cpu_threads) == (4, "GPU 2, 5", 3)
    assert named.by_uuid() == named
    assert slot.visible == "2,5", "the slot itself is as it was"
    assert Slot(index=0, device=Device.CPU).by_uuid().visible == ""
