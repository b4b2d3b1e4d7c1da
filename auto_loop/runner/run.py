"""Runs the user's script in this process: `python run.py [--] SCRIPT args...` or `python run.py -m MODULE args...`.

Only a door: Python compiles the file that it is given at each start, and keeps what others load compiled. So the work,
and what is added to the script, is in `host.py`.
"""

import sys

if __name__ == "__main__":
    _file = __file__.rpartition("run.py")[0] + "host.py"
    _host = type(sys)("_auto_loop_host")
    _host.__file__ = _file
    _loader = type(globals()["__loader__"])("_auto_loop_host", _file)
    _host.__loader__ = _loader
    _loader.exec_module(_host)
    _host.main(sys.modules["__main__"], __file__)
