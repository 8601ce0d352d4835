"""`python -m tests.model` checks the protocol; with `--without GUARD` it shows what goes wrong without that guard."""

import argparse
import sys
import time

from tests.model.guards import Guards
from tests.model.run import WIDE_WORLDS, WORLDS, check, told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--wide", action="store_true", help="the larger worlds, too")
    parser.add_argument("--without", action="append", choices=Guards._fields, default=[])
    given = parser.parse_args()
    guards = Guards(**dict.fromkeys(given.without, False))
    for name, bounds in (WORLDS | WIDE_WORLDS if given.wide else WORLDS).items():
        began = time.monotonic()
        found = check(bounds, guards)
        print(f"{name}: {found.states} states, {found.edges} steps, {time.monotonic() - began:.1f} s")
        if found.counterexample is not None:
            print(told(found.counterexample))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
