"""`python -m service.telemetry [--check]`: writes `docs/metrics.md`, or says with exit code 1 that it is stale."""

import sys

from service.telemetry.document import PAGE, page


def main(arguments: list[str]) -> int:
    is_stale = not PAGE.exists() or PAGE.read_text() != page()
    if arguments == ["--check"]:
        if is_stale:
            sys.stderr.write(f"{PAGE} is stale: run `python -m service.telemetry`\n")
        return int(is_stale)
    if is_stale:
        PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
