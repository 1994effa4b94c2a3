"""A real browser through 200 answers: key press to next text painted, key press to "saved", and the page's weight.

    python -m benchmarks.labelling [--answers 200] [--chromium /usr/bin/chromium]

On loopback, headless, with the page's own measurements (`performance.measure`): "shown" ends in the first task after
the frame that has the next text, "saved" when the server's receipt has been read. The browser, the server and this
script share the machine.
"""

import argparse
import gzip
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from app.db.engine import Database
from benchmarks.answering import prepare, web

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
# What Chromium itself says while the answers are given: its definitions are those of web.dev/vitals. A layout shift in
# the half second after a key does not count there; here it does, because a text that moves under the eye is a fault.
WATCH = """
  window.vitals = { shift: 0, long: [], events: [] };
  const watch = (type, note, more) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true, ...more });
  const isKey = (entry) => entry.interactionId && entry.name === "keydown";
  watch("layout-shift", (entry) => (vitals.shift += entry.value));
  watch("longtask", (entry) => vitals.long.push(entry.duration));
  watch("event", (entry) => isKey(entry) && vitals.events.push(entry.duration), { durationThreshold: 16 });
"""
PAUSE_MS = 60  # between key presses: faster than anybody reads, slow enough that the queue is never empty


def measured(page, name: str) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    times = sorted(page.evaluate("name => performance.getEntriesByName(name).map(entry => entry.duration)", name))
    return statistics.median(times), times[int(len(times) * 0.99)]


def run(page, answers: int) -> float:
    start = time.perf_counter()
    for _ in range(answers):
        page.keyboard.press("2")
        page.wait_for_timeout(PAUSE_MS)
    page.wait_for_function("() => Object.keys(localStorage).every(key => !key.startsWith('linecall:outbox'))")
    return time.perf_counter() - start


def vitals(page, answers: int) -> str:
    """Chromium rounds an interaction to 8 ms and reports those of 16 ms and more, so the others count as less."""
    seen = page.evaluate("window.vitals")
    slow = sorted(seen["events"], reverse=True)
    worst = slow[answers // 50] if len(slow) > answers // 50 else None
    inp = "under 16 ms" if worst is None else f"{worst:.0f} ms"
    blocking = sum(max(0, duration - 50) for duration in seen["long"])
    return (
        f"Chromium's own figures over them: interaction to next paint (98th percentile) {inp}, "
        f"{len(seen['long'])} long tasks that blocked for {blocking:.0f} ms in all, layout shift {seen['shift']:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--chromium", default=os.environ.get("LINECALL_CHROMIUM") or shutil.which("chromium"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        url = f"sqlite:///{folder}/bench.sqlite"
        db = Database(url)
        cookies = prepare(db, 2_000, 1)
        db.dispose()
        with web(url, Path(folder)) as (port, _pid):
            browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
            context = browser.new_context()
            context.add_cookies([{"name": "linecall", "value": cookies[0], "url": f"http://127.0.0.1:{port}"}])
            page = context.new_page()
            page.add_init_script(WATCH)
            scripts: dict[str, int] = {}
            page.on(
                "response",
                lambda r: scripts.update({r.url: len(gzip.compress(r.body()))}) if ".js" in r.url else None,
            )
            page.goto(f"http://127.0.0.1:{port}/p/bench/label")
            page.locator("#show-keys").wait_for()
            took = run(page, options.answers)
            done = page.inner_text("#progress-text")
            shown, saved = measured(page, "linecall:shown"), measured(page, "linecall:saved")
            own = vitals(page, options.answers)
            browser.close()
    print(f"{options.answers} answers in {took:.0f} s ({60 * options.answers / took:.0f} a minute); {done}")
    print(f"key press to next text painted: median {shown[0]:.0f} ms, p99 {shown[1]:.0f} ms")
    print(f'key press to "saved": median {saved[0]:.0f} ms, p99 {saved[1]:.0f} ms')
    print(own)
    print(f"script on the page: {sum(scripts.values()) / 1024:.0f} KB compressed in {len(scripts)} files")


if __name__ == "__main__":
    main()
