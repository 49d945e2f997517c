"""The page's icons as PNG, for where systems take no SVG: `python -m tests.ui.icons` draws them anew from icon.svg.

Debian's Chromium draws them; other versions may smooth edges otherwise, so a test looks at form and size only.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

UI = Path(__file__).parents[2] / "edgebotd" / "web" / "ui"
GROUND = "#fbfbfa"
"""The page's own, in light."""


@dataclass(frozen=True)
class Icon:
    """One file: its size, and how much of it the drawing takes; `ground` None: see-through."""

    size: int
    scale: float = 1.0
    ground: str | None = None


ICONS = {
    "icon-192.png": Icon(192),
    "icon-512.png": Icon(512),
    # Systems cut a circle of 80 % out of it.
    "icon-maskable-512.png": Icon(512, 0.68, GROUND),
    "apple-touch-icon.png": Icon(180, 0.8, GROUND),
}


def main() -> int:
    """Draw them; the exit status is 1 where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.stderr.write("no chromium; Debian: apt-get install chromium\n")
        return 1
    drawing = (UI / "icon.svg").read_text()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for name, icon in ICONS.items():
            page = browser.new_page(viewport={"width": icon.size, "height": icon.size})
            width, ground = f"{icon.scale * 100}vw", icon.ground or "none"
            page.set_content(
                f"<style>body{{margin:0;height:100vh;display:grid;place-items:center;background:{ground}}}"
                f"svg{{width:{width};height:{width}}}</style>{drawing}"
            )
            page.screenshot(path=UI / name, omit_background=icon.ground is None)
            page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
