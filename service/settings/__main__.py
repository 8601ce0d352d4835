"""`python -m service.settings [--check]`: writes `docs/settings.md`, or says with exit code 1 that it is stale."""

import sys

from service.settings.document import PAGE, page


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        if PAGE.read_text() == page():
            return 0
        sys.stderr.write(f"{PAGE} is stale: run `python -m service.settings`\n")
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
