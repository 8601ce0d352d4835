"""Makes sure that there is a browser for the tests: the environment's, the system's, playwright's, or a new one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VARIABLE = "REGRANT_TEST_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> Path | None:
    """The browser to use, if there is one."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    return _playwrights_own()


def _playwrights_own() -> Path | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def main() -> None:
    browser = find_browser()
    if browser is None:
        print("the tests' browser is missing: installs Chromium (about 290 MB, once)", flush=True)
        if os.geteuid() == 0 and shutil.which("apt-get"):
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "-qq", "update"], check=True, env=quiet)
            install = ["apt-get", "-qq", "-y", "install", "--no-install-recommends", "chromium"]
            subprocess.run(install, check=True, env=quiet, stdout=subprocess.DEVNULL)
        else:
            subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
        browser = find_browser()
    if browser is None:
        raise SystemExit(f"no browser to be had: set {VARIABLE} to the path of a Chromium")
    print(f"the tests' browser: {browser}")


if __name__ == "__main__":
    main()
