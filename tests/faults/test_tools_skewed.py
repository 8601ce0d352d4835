"""The wrong clock: everybody in the process sees it, it jumps while it runs, and values stay what they are."""

import subprocess
import sys
from pathlib import Path

ASK = """
import sys, time
from pathlib import Path
from tests.faults.skewed import skew
true = time.time()
skew(Path(sys.argv[1]))
from datetime import UTC, datetime
from pydantic import BaseModel
class Moment(BaseModel):
    at: datetime
def off():
    seen = (time.time(), time.time_ns() / 1e9, datetime.now(UTC).timestamp(), time.mktime(time.localtime()))
    return [round((one - true) / 60) for one in seen]
first = off()
Path(sys.argv[1]).write_text("-3600")
assert type(Moment(at=datetime.now(UTC)).at) is datetime
print(first, off())
"""


def test_the_clock_is_off_for_everybody_in_the_process_and_jumps(tmp_path: Path) -> None:
    file = tmp_path / "off"
    file.write_text("3600")
    asked = subprocess.run([sys.executable, "-c", ASK, str(file)], capture_output=True, text=True)
    assert asked.stdout.strip() == "[60, 60, 60, 60] [-60, -60, -60, -60]", asked.stderr
