"""Keeps a released wheel for the tests of roll-outs: `python -m tests.releases.keep dist/regrant-*.whl`.

Its pictures are left out, which only the help shows: they are most of it. The same wheel gives the same bytes.
"""

import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent
PICTURES = "service/help/docs/screens/"
EPOCH = (1980, 1, 1, 0, 0, 0)


def keep(wheel: Path) -> Path:
    """Writes the wheel beside this file, and returns where."""
    kept = FOLDER / wheel.name
    with zipfile.ZipFile(wheel) as made, zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as left:
        for name in sorted(made.namelist()):
            if name.startswith(PICTURES):
                continue
            content = made.read(name)
            if name.endswith("/RECORD"):
                lines = content.decode().splitlines(keepends=True)
                content = "".join(line for line in lines if not line.startswith(PICTURES)).encode()
            left.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return kept


if __name__ == "__main__":
    for given in sys.argv[1:]:
        print(keep(Path(given)))
