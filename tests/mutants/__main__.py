"""Applies each patch of this folder to a copy of the tree and runs the tests that must fail: `python -m tests.mutants`.

A patch begins with lines of its own: `# what` says in a sentence what somebody did and why it is wrong, `# tests` which
tests have to notice, as pytest takes them. A mutant is killed when these tests fail; one that doesn't apply any more,
or whose tests can't even be collected, is an error of the patch, not a kill. Exit code 0 when all are killed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
LIMIT_S = 600
FAILED = 1  # pytest's exit code for tests that ran and failed


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong edit."""

    name: str
    what: str
    tests: Sequence[str]
    patch: str


def mutants() -> list[Mutant]:
    """All that there are, by name."""
    return [_read(path) for path in sorted(HERE.glob("*.patch"))]


def _read(path: Path) -> Mutant:
    text = path.read_text()
    head = [line for line in text.splitlines() if line.startswith("# ")]
    what = " ".join(line.removeprefix("# what: ") for line in head if line.startswith("# what: "))
    tests = [test for line in head if line.startswith("# tests: ") for test in line.removeprefix("# tests: ").split()]
    assert what and tests, f"{path.name} must say what it is and which tests notice"
    return Mutant(path.stem, what, tests, text)


@contextmanager
def tree_with(mutant: Mutant) -> Iterator[Path]:
    """A copy of the tree, as it is committed and with what isn't, with the wrong edit in it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in filter(None, listed):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes((ROOT / name).read_bytes())
        subprocess.run(["git", "apply", "-"], cwd=tree, input=mutant.patch.encode(), check=True)
        yield tree


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def verdict(mutant: Mutant) -> tuple[str, str]:
    """`killed`, `survived` or `broken`, and the line that says so."""
    try:
        with tree_with(mutant) as tree:
            command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
            done = subprocess.run(
                [*command, *mutant.tests], cwd=tree, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
    except subprocess.CalledProcessError:
        return "broken", "the patch doesn't apply any more"
    except subprocess.TimeoutExpired:
        return "killed", f"the tests didn't end within {LIMIT_S} s"
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if done.returncode == FAILED:
        return "killed", next((line for line in lines if line.startswith("FAILED")), lines[-1])
    if done.returncode == 0:
        return "survived", lines[-1]
    return "broken", f"pytest ended with {done.returncode}: {lines[-1] if lines else done.stderr[-300:]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these; all without")
    arguments = parser.parse_args()
    chosen = [m for m in mutants() if not arguments.names or m.name in arguments.names]
    verdicts = []
    for mutant in chosen:
        began = time.monotonic()
        found, line = verdict(mutant)
        verdicts.append(found)
        print(f"{found:8} {mutant.name} ({time.monotonic() - began:.0f} s): {mutant.what}\n         {line}", flush=True)
    print(f"{verdicts.count('killed')} of {len(chosen)} mutants killed")
    return 0 if chosen and verdicts.count("killed") == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
