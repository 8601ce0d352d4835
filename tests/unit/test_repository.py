"""What must not stand in the repository: where packages come from, where somebody's files lie, unpinned versions."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = ("build", "run", "demo", "bench", "test", "resolve")

# Joined here, so that this file doesn't match itself.
REGISTRIES = [
    r"\.".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
]
REGISTRIES += [r"\.".join(words) for words in (("repo1", "maven"), ("repo", "maven"), ("proxy", "golang"))]
MACHINES = [rf"(?<![\w.}}-])/{folder}/" for folder in ("work", "root", "home", "Users", "opt")]
FORBIDDEN = re.compile("|".join(REGISTRIES + MACHINES))
# A temporary folder of somebody's run; `/tmp` itself is a mount point in the chart.
TEMPORARY = re.compile(r"(?<![\w.}-])/tmp/" + r"\w")


def kept() -> list[Path]:
    """All files of the repository, also those that are about to be added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("forbidden", [FORBIDDEN, TEMPORARY], ids=["registries and machines", "temporary folders"])
def test_no_file_says_where_packages_come_from_or_where_somebody_s_files_lie(forbidden: re.Pattern[str]) -> None:
    found = []
    for path in kept():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        lines = (text.count("\n", 0, match.start()) + 1 for match in forbidden.finditer(text))
        found += [f"{path.relative_to(ROOT)}:{line}" for line in lines]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "https://" + "pypi" + ".org/simple",
        "see " + "/root" + "/notes.txt",
        "-f " + "/opt" + "/wheels",
        "cd " + "/work" + "/main",
    ],
)
def test_the_patterns_find_what_they_look_for(line: str) -> None:
    assert FORBIDDEN.search(line)


def test_the_patterns_spare_addresses_and_routes() -> None:
    assert not FORBIDDEN.search("https://www.apache.org/licenses/LICENSE-2.0 /v1/works/items {at}/home/")
    assert not TEMPORARY.search("{name: tmp, mountPath: /tmp}")


@pytest.mark.parametrize("name", PINS)
def test_requirements_are_pins_with_hashes_and_nothing_else(name: str) -> None:
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        pin = re.fullmatch(r"[a-z0-9-]+==[\w.+!]+( ; [^\\]+)? \\", line)
        digest = re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
        comment = re.fullmatch(r"# [^/]*", line)  # no address, no path
        assert pin or digest or comment or not line, line


@pytest.mark.parametrize("name", ["run", "demo"])
def test_the_tests_run_with_what_the_image_and_the_demo_run_with(name: str) -> None:
    def pinned(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))

    assert pinned(name) <= pinned("test")
