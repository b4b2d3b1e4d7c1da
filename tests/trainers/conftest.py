import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny job's data sets and pair file, made once by the trainer's own maker."""
    from auto_loop.trainers.act import demos, pairs
    from auto_loop.trainers.act.dataset import load

    folder = tmp_path_factory.mktemp("demonstrations")
    for name in ("pick_place_state_source_6", "pick_place_state_target_2"):
        recipe = demos.recipe_for(name)
        assert recipe is not None
        demos.make(recipe, folder / name)
    source, target = load(folder / "pick_place_state_source_6"), load(folder / "pick_place_state_target_2")
    motions = [[side.motion(e) for e in side.episodes("train")] for side in (source, target)]
    pairs.save(pairs.align(*motions), folder / "pairs_source_6_target_2.npz")
    return folder


@pytest.fixture
def project(tmp_path: Path, demonstrations: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with data/ in it; the process's handler of SIGTERM is put back afterwards."""
    (tmp_path / "data").symlink_to(demonstrations)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)
