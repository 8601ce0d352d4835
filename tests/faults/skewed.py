"""The service with a clock that is off: `python -m tests.faults.skewed FILE serve --role worker`.

FILE holds a number of seconds, which may change at any time: the clock jumps. What is covered: everything that asks
`time` or `datetime` for the time of day, in our code and in every Python library, since the functions themselves are
replaced before anything else is imported. What isn't: the time of day that a compiled library asks the kernel for.
Monotonic clocks are left alone, as a jump of a real clock leaves them alone, and the database's clock is its own.
"""

import ctypes
import datetime
import gc
import runpy
import sys
import time
from pathlib import Path

_true_time, _true_time_ns = time.time, time.time_ns
_true_gmtime, _true_localtime = time.gmtime, time.localtime


def skew(file: Path) -> None:
    """Makes this process's clock wrong by what `file` says."""

    def off_s() -> float:
        return float(file.read_text() or 0)

    def seconds() -> float:
        return _true_time() + off_s()

    time.time = seconds
    time.time_ns = lambda: _true_time_ns() + int(off_s() * 1e9)
    time.gmtime = lambda s=None: _true_gmtime(seconds() if s is None else s)
    time.localtime = lambda s=None: _true_localtime(seconds() if s is None else s)
    # The type itself is changed, not replaced: pydantic and asyncpg ask whether a value *is* a datetime.
    namespace = gc.get_referents(datetime.datetime.__dict__)[0]
    namespace["now"] = classmethod(lambda cls, tz=None: cls.fromtimestamp(seconds(), tz))
    namespace["utcnow"] = classmethod(lambda cls: cls.fromtimestamp(seconds(), datetime.UTC).replace(tzinfo=None))
    namespace["today"] = classmethod(lambda cls: cls.fromtimestamp(seconds()))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))


if __name__ == "__main__":
    skew(Path(sys.argv[1]))
    sys.argv[:] = ["regrant", *sys.argv[2:]]
    runpy.run_module("service.cli", run_name="__main__", alter_sys=True)
