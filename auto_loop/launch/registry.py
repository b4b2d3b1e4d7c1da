"""Launchers by name; a launcher's module is loaded on first use only."""

from importlib import import_module

from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.launch.base import Launcher

LAUNCHERS = {
    "local": "auto_loop.launch.local:LocalLauncher",
    "stub": "auto_loop.launch.stub:StubLauncher",
}


def launcher(name: str) -> Launcher:
    """A new launcher of that name; MisuseError with the known names when there is none."""
    if name not in LAUNCHERS:
        raise MisuseError(Fault(what=f"no launcher is called {name!r}", hint=f"known: {', '.join(LAUNCHERS)}"))
    module, _, attribute = LAUNCHERS[name].partition(":")
    made: Launcher = getattr(import_module(module), attribute)()
    return made
