"""The command: `python -m tests.checker --dsn DSN --bootstrap HOST:PORT`. 0: all holds, 1: violated, 2: can't tell."""

import argparse
import asyncio
import json
import sys
from datetime import timedelta

from tests.checker import Unreachable, check
from tests.checker.check import LATENESS

HOLDS, VIOLATED, CANT_TELL = 0, 1, 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("--dsn", required=True, help="the database")
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="Kafka")
    parser.add_argument("--prefix", default="", help="what stands before every topic's name")
    parser.add_argument("--wait", type=float, default=0, metavar="S", help="let it become quiet first, at most so long")
    lateness = LATENESS.total_seconds()
    parser.add_argument("--lateness-s", type=float, default=lateness, help="how late a deadline may be (%(default)s)")
    parser.add_argument("--truncated", action="store_true", help="old parts of the log were dropped: it may begin late")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    try:
        report = asyncio.run(
            check(
                arguments.dsn,
                arguments.bootstrap,
                arguments.prefix,
                wait_s=arguments.wait,
                lateness=timedelta(seconds=arguments.lateness_s),
                truncated=arguments.truncated,
            )
        )
    except Unreachable as error:
        print(f"can't tell: {error}", file=sys.stderr)
        return CANT_TELL
    print(json.dumps(report.as_json(), indent=2) if arguments.json else "\n".join(report.lines()))
    return HOLDS if report.holds else VIOLATED


if __name__ == "__main__":
    sys.exit(main())
