"""Writes light.png, dark.png and phone.png of the page of a running api, for people to look at and for
README. Without Chromium it says so and writes nothing.

Usage: python3 tests/page/screenshots.py ORIGIN [FOLDER]   (http://127.0.0.1:8000 screenshots)
"""

import sys
import time
from pathlib import Path

from chromium import Chromium

if len(sys.argv) < 2:
    sys.exit(__doc__)
origin = sys.argv[1].rstrip("/")
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "screenshots"
folder.mkdir(parents=True, exist_ok=True)
with Chromium() as page:
    for name, theme, language, width, height, phone in (
        ("light", "light", "en", 1280, 900, False),
        ("dark", "dark", "es", 1280, 900, False),
        ("phone", "light", "es", 390, 844, True),
    ):
        page.size(width, height, phone)
        page.open(f"{origin}/")
        page.choose("themes", theme)
        page.choose("languages", language)
        time.sleep(1.5)  # the chart is drawn again in the colours of the theme
        tall = page.run("document.documentElement.scrollHeight")
        page.size(width, min(tall, 6000), phone)
        time.sleep(0.5)
        page.screenshot(folder / f"{name}.png")
        print(folder / f"{name}.png")
