"""Find a browser for the browser tests, or install one: ``python tests/browser/install.py``.

Looked for in this order: ``$CHROMIUM``, a Chromium or Chrome on the path, Playwright's own. Where none is, Debian's
package is installed if that is allowed here, else Playwright's download is tried. Prints nothing when one is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["find_browser", "main"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
INSTALL_TIMEOUT_S = 600.0


def find_browser() -> Path | None:
    """The browser to drive: an executable of the Chromium family, or None."""
    wanted = os.environ.get("CHROMIUM")
    if wanted:
        path = shutil.which(wanted)
        return Path(path) if path else None
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else _playwright_browser()


def _playwright_browser() -> Path | None:
    """The browser that Playwright downloaded earlier, if it did."""
    from playwright.sync_api import sync_playwright  # starts a process: asked last

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def main() -> int:
    """Exit status 0 when there is a browser in the end."""
    if find_browser():
        return 0
    if os.environ.get("CHROMIUM"):
        return _fail(f"$CHROMIUM is {os.environ['CHROMIUM']!r}, and no such program is there.")
    if _may_install_packages():
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium")
    if not find_browser():
        _run(sys.executable, "-m", "playwright", "install", "chromium")
    if browser := find_browser():
        sys.stderr.write(f"Installed {browser}.\n")
        return 0
    return _fail("No browser was found, and none could be installed.")


def _may_install_packages() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _run(*command: str) -> None:
    """Run an installer; whether it helped is seen by looking for the browser again."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, env=environment, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{' '.join(command)}: {error}\n")


def _fail(message: str) -> int:
    sys.stderr.write(
        f"{message}\nInstall Chromium (on Debian: apt-get install chromium), or set CHROMIUM to the path of one.\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
