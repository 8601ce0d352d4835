"""A worker that looks at itself: every few milliseconds of CPU it notes which function is at work.

`python -m benchmarks.sampler serve --role worker` runs the service's own command; the counts are written to the file
that BENCH_SAMPLES names when the worker ends. C code is counted to the Python function that called it.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import orjson

_EVERY_S = 0.002
_OURS = ("service", "statemachine", "schemas")


def place_of(frame: FrameType | None) -> tuple[str, str] | None:
    """The library (or room of ours) at work, and the innermost function of ours on whose behalf it works.

    `None` while modules are imported: that is the start, not the work.
    """
    library = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            return None
        for name in _OURS:
            if (at := file.rfind(f"/{name}/")) >= 0 and "site-packages" not in file:
                room = file[at + 1 :].removesuffix(".py")
                return library or "/".join(room.split("/")[:2]), f"{room}:{frame.f_code.co_name}"
        if not library:
            library = file.rpartition("site-packages/")[2].split("/")[0] if "site-packages/" in file else "python"
        frame = frame.f_back
    return library or "event loop", "the event loop and its callbacks"


def main() -> None:
    libraries: Counter[str] = Counter()
    functions: Counter[str] = Counter()

    def note(number: int, frame: FrameType | None) -> None:
        found = place_of(frame)
        if found is not None:
            libraries[found[0]] += 1
            functions[found[1]] += 1

    signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)
    from service.cli import main as regrant

    try:
        regrant()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        counts = {"libraries": libraries.most_common(), "functions": functions.most_common(40)}
        Path(os.environ["BENCH_SAMPLES"]).write_bytes(orjson.dumps(counts))


if __name__ == "__main__":
    sys.argv[0] = "regrant"
    main()
