"""The supervising process stays light: no import brings a heavy package along, and `--help` brings next to none."""

import json
import subprocess
import sys

HEAVY = {"torch", "wandb", "accelerate", "draccus", "pandas", "matplotlib", "plotly", "optuna", "ray", "metaworld"}

ALL = """
import importlib, json, pkgutil, sys
import auto_loop
yard = ("auto_loop.trainers", "auto_loop.runner", "auto_loop.launch.class_probe")
names = [found.name for found in pkgutil.walk_packages(auto_loop.__path__, "auto_loop.", onerror=lambda name: None)]
for name in names:
    if not name.startswith(yard):
        importlib.import_module(name)
print(json.dumps({"seen": sorted({name.split(".")[0] for name in sys.modules}), "house": names}))
"""

HELP = """
import json, sys
import auto_loop.cli.main
print(json.dumps({"seen": sorted(sys.modules)}))
"""


def loaded(program: str) -> dict[str, list[str]]:
    """What a fresh interpreter has loaded after `program`."""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    answer: dict[str, list[str]] = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_no_module_of_the_house_loads_a_heavy_package() -> None:
    answer = loaded(ALL)
    assert {"auto_loop.cli.main", "auto_loop.assembly", "auto_loop.loop.driver"} <= set(answer["house"])
    assert not HEAVY & set(answer["seen"])


def test_the_console_command_loads_its_verbs_only_when_they_are_called() -> None:
    seen = set(loaded(HELP)["seen"])
    assert "click" in seen
    assert not seen & (HEAVY | {"numpy", "sqlite3", "auto_loop.assembly", "auto_loop.loop"})
