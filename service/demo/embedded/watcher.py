"""The watcher: a process of its own that outlives its parent just long enough to clean up after it.

Reads lines from its standard input: `watch PID`, `forget PID`, `folder PATH`. When that ends, for whatever reason (the
parent was killed), it kills the process groups that are still watched and removes the folders.
Uses nothing but the standard library.
"""

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

REMOVE_TIMEOUT_S = 10


def main() -> None:
    born: dict[int, str] = {}
    folders: list[Path] = []
    for line in sys.stdin:
        word, _, what = line.rstrip("\n").partition(" ")
        match word:
            case "watch":
                born[int(what)] = birth(int(what))
            case "forget":
                born.pop(int(what), None)
            case "folder":
                folders.append(Path(what))
    for group, then in born.items():
        if birth(group) == then:  # else the number belongs to another process by now
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(group, signal.SIGKILL)
    for folder in folders:
        remove(folder)


def birth(pid: int) -> str:
    """When a process began, in the kernel's ticks (proc(5), field 22 of `stat`); empty where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def remove(folder: Path) -> None:
    """Removes a folder, though PostgreSQL's processes may write on until they notice that their postmaster is dead.

    Raises OSError when the folder can't be removed within `REMOVE_TIMEOUT_S`.
    """
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue  # somebody else removes it, too
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    main()
