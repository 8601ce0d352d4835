"""What an installed wheel brings: the pages of the help, which a clone has at its top."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTED = """
import os, service
from service.help.library import library
assert service.__file__.startswith(os.getcwd()), service.__file__
print(*sorted([*library().pages, *library().pictures]), sep=", ")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(build, cwd=ROOT, check=True)
    (made,) = folder.glob("regrant-*.whl")
    return made


def test_a_wheel_holds_every_page_and_picture_of_docs(wheel: Path) -> None:
    docs = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*") if path.is_file()}
    inside = {name.removeprefix("service/help/docs/") for name in zipfile.ZipFile(wheel).namelist()}
    assert docs and docs <= inside


def test_an_unpacked_wheel_serves_the_same_pages_as_a_clone(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)

    def listed(folder: Path) -> str:
        # Without the working folder on the path, `service` is the one of `folder`.
        command = [sys.executable, "-P", "-c", LISTED]
        done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert listed(tmp_path) == listed(ROOT)
