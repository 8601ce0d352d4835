"""The watcher: a process of its own that outlives its parent just long enough to clean up after it.

Reads lines from its standard input: `watch PID`, `forget PID`, `folder PATH`. When that ends, for whatever reason (the
parent was killed), it kills the process groups that are still watched and removes the folders.
"""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path


def main() -> None:
    groups: set[int] = set()
    folders: list[Path] = []
    for line in sys.stdin:
        word, _, what = line.strip().partition(" ")
        match word:
            case "watch":
                groups.add(int(what))
            case "forget":
                groups.discard(int(what))
            case "folder":
                folders.append(Path(what))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
