"""Brings the mirror into python children of the user's script; python imports this at start-up, by way of PYTHONPATH.

Any python may come by here, so the syntax is the oldest. It takes its folder off the path again and lets a
`sitecustomize` that it shadows have its turn, so that nobody notices.
"""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
_me = sys.modules.pop(__name__, None)
sys.path[:] = [_entry for _entry in sys.path if os.path.abspath(_entry) != _folder]
try:
    if sys.version_info >= (3, 9):
        _loader = type(globals()["__loader__"])(
            "_auto_loop_mirror", os.path.join(os.path.dirname(_folder), "mirror.py")
        )
        _mirror = type(sys)("_auto_loop_mirror")
        _loader.exec_module(_mirror)
        _mirror.install(_folder)
except Exception:  # noqa: BLE001 (a child must start, whatever happens here)
    sys.stderr.write("auto_loop: wandb is not mirrored in process %d: %r\n" % (os.getpid(), sys.exc_info()[1]))
try:  # noqa: SIM105 (contextlib is not worth importing in every child)
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  (the shadowed one, if there is one)
except ImportError:
    pass
if _me is not None:
    sys.modules.setdefault("sitecustomize", _me)
