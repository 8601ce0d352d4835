"""What the stories found: one line per assertion, and a last one with the sums."""

import json
import sys
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text


@dataclass(slots=True)
class Report:
    """Counts and prints."""

    console: Console
    began: float
    """When the command was given, by `time.monotonic()`."""
    assertions: int = 0
    failed: int = 0
    transitions: int = 0
    lost: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    """What was measured on the way, in seconds."""

    def note(self, story: str, holds: bool, sentence: str, detail: str = "") -> None:
        """One assertion of one story."""
        self.assertions += 1
        self.failed += not holds
        mark = ("ok    ", "green") if holds else ("FAILED", "bold red")
        self.console.print(
            Text.assemble(mark, f"  {story:>2}  {sentence}", f": {detail}" if detail and not holds else "")
        )

    def add_log(self, transitions: int, lost: int) -> None:
        """Rows of a deployment's log, and how many of them never appeared on the topic."""
        self.transitions += transitions
        self.lost += lost

    def close(self, *, as_json: bool) -> int:
        """Prints the sums; returns the exit code."""
        for name, took in self.timings.items():
            self.console.print(f"        {name}: {took:.2f} s")
        sums = {
            "assertions": self.assertions,
            "failed": self.failed,
            "transitions": self.transitions,
            "lost": self.lost,
            "seconds": round(time.monotonic() - self.began, 1),
        }
        if as_json:
            print(json.dumps(sums), file=sys.stdout, flush=True)
        else:
            self.console.print("  ".join(f"{name} {value}" for name, value in sums.items()))
        return 0 if self.failed == 0 and self.lost == 0 and self.assertions else 1
