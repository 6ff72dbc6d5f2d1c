"""Takes screenshots of the page at $COTIZA_URL with slots of $SLOT s: screenshots/{light,dark,phone}.png.

Before that it imports a history of several weeks: a random walk with gaps that ends at the current price.
The walk is the same each time, so that the images only change with the page.
"""

import io
import math
import os
import random
from pathlib import Path

from PIL import Image

from api import cotiza, get, is_ready, wait_for
from visit import open_browser, visit

FOLDER = Path(__file__).parent / "screenshots"
MOST_BYTES = 150_000
SLOT = int(os.environ.get("SLOT", "10"))
DAY = 24 * 3600
HISTORY = 40 * DAY
# The relative change of the price in a day, as a standard deviation.
VOLATILITY = 0.022
LAYOUTS = {
    "light": {"width": 1200, "height": 1500},
    "dark": {"width": 1200, "height": 1500, "color_scheme": "dark", "locale": "es-AR"},
    "phone": {"width": 390, "height": 1200, "locale": "es-AR", "is_mobile": True},
}


def walk(until, price):
    """Returns samples until the given second; the last one has approximately the given price."""
    dice = random.Random(2)
    step = VOLATILITY * math.sqrt(SLOT / DAY)
    logarithm, gap_ends, samples = 0.0, 0, []
    for second in range(until - HISTORY, until, SLOT):
        logarithm = logarithm * (1 - SLOT / (20 * DAY)) + dice.gauss(0, step)
        # One gap per day and a half on average: most last a minute or two, a few last many minutes.
        if dice.random() < SLOT / (1.5 * DAY):
            gap_ends = second + dice.lognormvariate(4.5, 1.3)
        if second >= gap_ends:
            samples.append((second, logarithm))
    last = samples[-1][1]
    return [(second, price * math.exp(logarithm - last)) for second, logarithm in samples]


def import_history():
    wait_for("/health/ready", is_ready, 60)
    # An empty list means that no price is recorded yet.
    first = wait_for("a price", lambda: get("/api/ticker-list/")["results"], 60)[0]
    samples = walk(first["timestamp"], first["price"])
    path = Path(os.environ["SCRATCH"]) / "history.csv"
    lines = (f"{second},{price:.1f},simulated" for second, price in samples)
    path.write_text("\n".join(["timestamp,price,source", *lines, ""]))
    cotiza("prices", "import", str(path))
    wait_for("the api to have the history", lambda: get("/api/status/")["history"]["samples"] >= len(samples), 120)
    wait_for("the price to be current", lambda: not get("/api/status/")["problems"], 120)


def compressed(png):
    """Returns the image with 256 colours: it has hardly more, and takes a third of the bytes."""
    few = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    few.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def photograph(browser, name, options):
    with visit(browser, **options) as visitor:
        visitor.press("ranges", "week")
        visitor.wait("a week", "document.querySelector('#drawing svg').dataset.until - "
                     "document.querySelector('#drawing svg').dataset.since > 600000")
        # Hides the focus ring of the button.
        visitor.evaluate("document.activeElement.blur()")
        visitor.page.mouse.move(0, 0)
        png = compressed(visitor.page.screenshot(scale="css"))
    assert len(png) < MOST_BYTES, f"{name}.png has {len(png)} bytes"
    (FOLDER / f"{name}.png").write_bytes(png)
    print(f"   {name}.png: {len(png)} bytes")


with open_browser() as chromium:
    import_history()
    FOLDER.mkdir(exist_ok=True)
    for layout, wanted in LAYOUTS.items():
        photograph(chromium, layout, wanted)
