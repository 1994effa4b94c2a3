"""Chromium's own audit, Lighthouse, of the pages that experts spend their time on: performance and accessibility.

    python -m benchmarks.audit [--runs 3] [--chromium /usr/bin/chromium] [--lighthouse "npx --yes lighthouse@12.8.2"]

Needs Node; npx fetches Lighthouse, which nothing else here uses. Each page is loaded cold ``--runs`` times, as a
computer (Lighthouse's desktop preset) and as a mid-range phone on slow 4G (its default: 1.6 Mbit/s, 150 ms, a
processor four times slower, simulated), and the median of each figure is printed. The server, the browser and
Lighthouse share the machine.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from app.db.engine import Database
from benchmarks.answering import prepare, web

CHROME = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
PAGES = {"label": "/p/bench/label", "your answers": "/p/bench/answers", "overview": "/p/bench", "sign in": "/sign-in"}
ATTEMPTS = 3  # on a busy machine its tracing fails now and then, and it asks to be run again
CATEGORIES = ("performance", "accessibility", "best-practices")
FIGURES = {  # Lighthouse's name → ours, and how many of its units make one of ours
    "first-contentful-paint": ("FCP, ms", 1),
    "largest-contentful-paint": ("LCP, ms", 1),
    "total-blocking-time": ("TBT, ms", 1),
    "speed-index": ("SI, ms", 1),
    "cumulative-layout-shift": ("CLS", 1),
    "total-byte-weight": ("KB sent", 1024),
}


def audit(command: list[str], url: str, headers: Path | None, *, desktop: bool, chromium: str, out: Path) -> dict:
    """One cold load: Lighthouse's report."""
    more = [*(["--preset=desktop"] if desktop else []), *([f"--extra-headers={headers}"] if headers else [])]
    categories = ",".join(CATEGORIES)
    line = [
        *(*command, url, "--quiet", "--output=json", f"--output-path={out}", f"--only-categories={categories}"),
        *(f"--chrome-flags={CHROME}", *more),
    ]
    for _ in range(ATTEMPTS):
        done = subprocess.run(line, check=False, env=os.environ | {"CHROME_PATH": chromium}, timeout=180)
        if done.returncode == 0:
            break
    else:
        sys.exit(f"Lighthouse failed {ATTEMPTS} times on {url}")
    report: dict = json.loads(out.read_text())
    if report.get("runtimeError"):
        sys.exit(f"Lighthouse could not audit {url}: {report['runtimeError']['message']}")
    return report


def summary(reports: list[dict]) -> list[str]:
    scores = [statistics.median(r["categories"][name]["score"] * 100 for r in reports) for name in CATEGORIES]
    values = [
        (statistics.median(r["audits"][name]["numericValue"] for r in reports) / unit, name)
        for name, (_, unit) in FIGURES.items()
    ]
    return [f"{score:.0f}" for score in scores] + [
        f"{value:.3f}" if name == "cumulative-layout-shift" else f"{value:,.0f}" for value, name in values
    ]


def complaints(report: dict) -> list[str]:
    """What keeps a category below 100."""
    found = []
    for name in CATEGORIES:
        for part in report["categories"][name]["auditRefs"]:
            audit_ = report["audits"][part["id"]]
            if part["weight"] and audit_["score"] is not None and audit_["score"] < 0.9:
                found.append(f"{name}: {audit_['title']}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chromium", default=os.environ.get("LINECALL_CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--lighthouse", default="npx --yes lighthouse@12.8.2")
    options = parser.parse_args()
    command = shlex.split(options.lighthouse)
    if shutil.which(command[0]) is None or options.chromium is None:
        print("Left out: Lighthouse needs Node (npx) and Chromium; see --lighthouse and --chromium.")
        return
    names = [*CATEGORIES, *(title for title, _ in FIGURES.values())]
    print("| page | as | " + " | ".join(names) + " |\n|---|---|" + "---:|" * len(names))
    failed: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), f"sqlite:///{name}/bench.sqlite"
        db = Database(url)
        (cookie,) = prepare(db, 2_000, 1)
        db.dispose()
        headers = folder / "headers.json"
        headers.write_text(json.dumps({"Cookie": f"linecall={cookie}"}))
        with web(url, folder) as (port, _pid):
            for title, path in PAGES.items():
                for desktop in (True, False):
                    given = None if path == "/sign-in" else headers
                    address, out = f"http://127.0.0.1:{port}{path}", folder / "report.json"
                    reports = [
                        audit(command, address, given, desktop=desktop, chromium=options.chromium, out=out)
                        for _ in range(options.runs)
                    ]
                    print(f"| {title} | {'computer' if desktop else 'phone'} | {' | '.join(summary(reports))} |")
                    failed |= {f"{title}, {complaint}": None for r in reports for complaint in complaints(r)}
    print("\n".join(["", "Below 0.9 at least once:", *failed] if failed else ["", "Nothing scored below 0.9."]))


if __name__ == "__main__":
    main()
