"""The eight wandb versions that the mirror and the readers are held to, each in a folder of its own.

`python -m tests.wandb_versions install` brings them (again is free), `... path VERSION` prints what to put on
`PYTHONPATH`. wandb itself lies there once a version, what it needs once for all of them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

VERSIONS = ("0.16.6", "0.19.11", "0.24.2", "0.27.2", "0.28.2", "0.29.0", "0.30.0", "0.31.0")

# Every pin is written out, so that pip has nothing to resolve.
NEEDED_BY_ALL = (
    "annotated-types==0.8.0",
    "appdirs==1.4.4",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "docker-pycreds==0.4.0",
    "gitdb==4.0.12",
    "gitpython==3.2.1",
    "googleapis-common-protos==1.76.0",
    "idna==3.20",
    "numpy==1.26.4",  # 0.16 does not know numpy 2
    "opentelemetry-api==1.45.2",
    "opentelemetry-exporter-http-transport==0.66b2",
    "opentelemetry-exporter-otlp-common==0.66b2",
    "opentelemetry-exporter-otlp-proto-common==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "opentelemetry-proto==1.45.2",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-semantic-conventions==0.66b2",
    "packaging==26.3",
    "platformdirs==4.14.5",
    "protobuf==6.33.6",
    "psutil==7.2.2",
    "pydantic==2.14.3",
    "pydantic-core==2.50.4",
    "pyyaml==6.0.3",
    "requests==2.34.2",
    "sentry-sdk==2.75.0",
    "setproctitle==1.3.8",
    "setuptools==80.10.2",
    "six==1.17.0",
    "smmap==5.0.3",
    "typing-extensions==4.16.0",
    "typing-inspection==0.4.5",
    "urllib3==2.8.0",
    "xxhash==4.1.0",
)
NEEDED_BY_OLDEST = ("protobuf==4.25.8",)
OLDEST = "0.16.6"


def cache() -> Path:
    """Where they all lie: `$AUTO_LOOP_WANDB_VERSIONS`, else `.codex_tmp/wandb_versions` of this checkout."""
    default = Path(__file__).resolve().parents[1] / ".codex_tmp" / "wandb_versions"
    return Path(os.environ.get("AUTO_LOOP_WANDB_VERSIONS") or default)


def python() -> str:
    """The interpreter below any virtual environment, whose packages are none of a version's business."""
    return getattr(sys, "_base_executable", sys.executable)


def python_path(version: str) -> str:
    """What `PYTHONPATH` must be for `import wandb` to mean this version."""
    folders = [cache() / version, cache() / "needed"]
    if version == OLDEST:
        folders.insert(1, cache() / "needed_by_oldest")
    return os.pathsep.join(str(folder) for folder in folders)


def missing() -> list[str]:
    """The versions that `install` has not brought yet."""
    shared_is_there = (cache() / "needed").is_dir() and (cache() / "needed_by_oldest").is_dir()
    return [version for version in VERSIONS if not (shared_is_there and (cache() / version).is_dir())]


def install() -> None:
    """Brings whatever is not there; two at a time, as most of it is unpacking."""
    wanted: dict[str, Sequence[str]] = {"needed": NEEDED_BY_ALL, "needed_by_oldest": NEEDED_BY_OLDEST}
    wanted.update({version: (f"wandb=={version}",) for version in VERSIONS})
    cache().mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda name: _install_folder(name, wanted[name]), wanted))


def _install_folder(name: str, requirements: Sequence[str]) -> None:
    """Installs beside the place and renames, so that a folder that is there is whole."""
    if (cache() / name).is_dir():
        return
    aside = cache() / f".{name}.{os.getpid()}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--target", str(aside), *requirements],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(aside, ignore_errors=True)
        raise SystemExit(f"pip could not install {' '.join(requirements)}:\n{done.stderr}")
    try:
        aside.rename(cache() / name)
    except OSError:  # another installer was quicker
        shutil.rmtree(aside)


def main(arguments: Sequence[str]) -> int:
    """`install`, or `path VERSION`."""
    match arguments:
        case ["install"]:
            began = time.monotonic()
            install()
            print(f"{len(VERSIONS)} wandb versions in {cache()} ({time.monotonic() - began:.0f} s)")
        case ["path", version] if version in VERSIONS:
            print(python_path(version))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
