"""Looks at everything around itself and ends as it is told: the same under plain python and under `run.py`."""

import atexit
import inspect
import multiprocessing
import os
import pickle
import pprint
import signal
import sys

import __main__


class Thing:
    """Its pickle names `__main__`."""


def surroundings():
    return {
        "argv": sys.argv,
        "path": sys.path,
        "file": __file__,
        "name": __name__,
        "package": __package__,
        "spec": getattr(__spec__, "name", None),
        "loader": (type(__loader__).__name__, __loader__.path),
        "names": sorted(vars(__main__)),
        "same": __main__.Thing is Thing,
        "source": len(inspect.getsource(surroundings)),
        "environment": dict(os.environ),
        "modules of ours": [name for name in sys.modules if "auto_loop" in name],
        "ignored": [number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN],
        "hook": sys.excepthook is sys.__excepthook__,
    }


def in_child(answers):
    thing = pickle.loads(pickle.dumps(Thing()))
    answers.put((__name__, sys.argv, sys.path, type(thing).__module__, signal.getsignal(signal.SIGTERM)))


def main():
    pprint.pprint(surroundings())
    methods = ("fork",) if sys.argv[1:] == ["kill"] else ("fork", "spawn", "forkserver")
    for method in methods:
        context = multiprocessing.get_context(method)
        answers = context.SimpleQueue()
        child = context.Process(target=in_child, args=(answers,))
        child.start()
        print(method, answers.get(), flush=True)
        child.join()
    atexit.register(lambda: print("atexit", Thing.__name__))
    match_ending(sys.argv[1:])


def match_ending(words):
    if words == ["raise"]:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    if words == ["interrupt"]:
        raise KeyboardInterrupt
    if words == ["hook"]:
        sys.excepthook = lambda kind, error, trace: print("hooked", kind, error, trace.tb_frame.f_code.co_name)
        raise ValueError
    if words[:1] == ["exit"]:
        sys.exit(int(words[1]) if words[1:] and words[1].isdigit() else " ".join(words[1:]) or None)
    if words == ["kill"]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
