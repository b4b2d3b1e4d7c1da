"""What can be known before the first launch: whether the trainer, its interpreter and W&B's papers are there.

Each check returns faults and raises nothing, so that a plan shows them as warnings and `--exec` refuses all at once.
"""

import netrc
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from auto_loop.domain.config import Config, Json
from auto_loop.domain.errors import Fault
from auto_loop.domain.secrets import masked
from auto_loop.launch.arguments import leaves
from auto_loop.launch.command import Entry, WandbMode, WandbOptions
from auto_loop.launch.profile import Profile, Starter

PACKAGE = Path(__file__).resolve().parent.parent
_PROBE_S = 60
_SERVER = "https://api.wandb.ai"
_NEEDS = {Starter.ACCELERATE: ("accelerate", "torch"), Starter.TORCHRUN: ("torch",), Starter.PYTHON: ()}


def resolve_target(profile: Profile, root: Path, script: str = "", module: str = "") -> tuple[Entry, tuple[Fault, ...]]:
    """What to train by: the named script or module, else the profile's own first choice that is there."""
    if module:
        return Entry(module=module), ()
    if script:
        missing = Fault(what="no such file", where=f"--train-script {script}")
        return Entry(script=script), () if (root / script).is_file() else (missing,)
    for file in profile.target.files:
        if (root / file).is_file():
            return Entry(script=file), ()
    if profile.target.shipped:
        return Entry(script=str(PACKAGE / profile.target.shipped)), ()
    if profile.target.module:
        return Entry(module=profile.target.module), ()
    looked = f"looked for {', '.join(profile.target.files)}; " if profile.target.files else ""
    hint = f"{looked}name it with --train-script FILE or --train-module NAME"
    return Entry(), (Fault(what=f"profile {profile.name} names no trainer", hint=hint),)


def python_faults(python: str, profile: Profile, target: Entry, root: Path = Path()) -> tuple[Fault, ...]:
    """What keeps this interpreter from starting the trainer: it is not there, too old, or lacks a package."""
    where = f"--python {python}"
    if shutil.which(python) is None:
        return (Fault(what="no such program", where=where),)
    wanted = list(_NEEDS[profile.starter])
    if target.module:
        wanted.append(target.module.partition(".")[0])
    probe = (
        "import sys, importlib.util as u; sys.version_info < (3, 9) and print('python>=3.9');"
        "sys.path.insert(0, 'src');"  # as the jobs have it
        "[print(n) for n in sys.argv[1:] if u.find_spec(n) is None]"
    )
    try:
        answer = subprocess.run(
            [python, *profile.python_flags, "-c", probe, *wanted],
            capture_output=True, text=True, timeout=_PROBE_S, check=True,
            cwd=root,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return (Fault(what=f"does not run: {masked(_reason(error))}", where=where),)
    return tuple(_lacking(name, where) for name in answer.stdout.split())


def _lacking(name: str, where: str) -> Fault:
    if name.startswith("python"):
        return Fault(what=f"needs {name}", where=where)
    hint = (
        "pip install 'auto_loop[act]'" if name in ("accelerate", "torch") else f"pip install {name}, or --python FILE"
    )
    return Fault(what=f"has no {name}", where=where, hint=hint)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (error.stderr or "").strip().rpartition("\n")[2] or f"exit code {error.returncode}"
    return str(error)


def device_faults(profile: Profile, device: str) -> tuple[Fault, ...]:
    """Whether the trainer takes this device."""
    if not profile.device or device in profile.device_values:
        return ()
    allowed = ", ".join(profile.device_values)
    return (Fault(what=f"profile {profile.name} takes {allowed} for {profile.device}, not {device}"),)


def wandb_options(*, online: bool, entity: str, project: str, env: Mapping[str, str]) -> WandbOptions:
    """Entity and project from the flag, else from WANDB_ENTITY and WANDB_PROJECT; empty leaves the config's own."""
    if not online:
        return WandbOptions()
    return WandbOptions(
        mode=WandbMode.ONLINE,
        entity=entity or env.get("WANDB_ENTITY", ""),
        project=project or env.get("WANDB_PROJECT", ""),
    )


def wandb_faults(
    wandb: WandbOptions, profile: Profile, configs: Iterable[Config], env: Mapping[str, str], home: Path
) -> tuple[Fault, ...]:
    """What an online run lacks: key, entity or project, each looked for in every place that may give it."""
    if wandb.mode is WandbMode.OFFLINE:
        return ()
    faults = []
    if not has_key(env, home):
        host = _host(env)
        faults.append(
            Fault(what="no W&B key", where="--wandb-online", hint=f"set WANDB_API_KEY, or {host} in ~/.netrc")
        )
    datas = [dict(leaves(config.data())) for config in configs]
    for word, given, key in (
        ("entity", wandb.entity, profile.wandb.entity),
        ("project", wandb.project, profile.wandb.project),
    ):
        if not given and not _in_all(datas, key):
            ways = [f"give --wandb-{word}", f"set WANDB_{word.upper()}", *([f"{key} in every config"] if key else [])]
            hint = f"{', '.join(ways[:-1])}{',' if key else ''} or {ways[-1]}"
            faults.append(Fault(what=f"no W&B {word}", where="--wandb-online", hint=hint))
    return tuple(faults)


def _in_all(datas: list[dict[str, Json]], key: str) -> bool:
    return bool(key and datas) and all(data.get(key) for data in datas)


def has_key(env: Mapping[str, str], home: Path) -> bool:
    """Whether W&B would find a key: in WANDB_API_KEY, else in the netrc file under the server's host."""
    if env.get("WANDB_API_KEY"):
        return True
    named = env.get("NETRC")
    for file in [Path(named)] if named else [home / ".netrc", home / "_netrc"]:
        try:
            if (netrc.netrc(str(file)).hosts.get(_host(env)) or ("", "", ""))[2]:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _host(env: Mapping[str, str]) -> str:
    return urlsplit(env.get("WANDB_BASE_URL") or _SERVER).hostname or ""


def output_faults(output_dirs: Iterable[str], root: Path) -> tuple[Fault, ...]:
    """Output folders that are there already: a trainer refuses them, or would write over what they hold."""
    hint = "name another, or remove it"
    return tuple(
        Fault(what="the output folder exists already", where=folder, hint=hint)
        for folder in output_dirs
        if os.path.lexists(root / folder)
    )
