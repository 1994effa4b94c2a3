"""Writes requirements.lock: the exact version of every Python package, used as a constraints file (``pip -c``).

Versions already in the file are kept where pyproject.toml still allows them; ``--upgrade`` takes the newest.
The file names no index, and nothing that only some builds of torch need: a build for a GPU brings its own.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = "# Written by `make lock`; a constraints file: pip install -c requirements.lock …\n"
ONLY_WITH_A_GPU = re.compile(r"(nvidia|cuda|triton)\b")


def main() -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "uv"], check=True)
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "worker"]
    groups = ["--group", "dev", "--group", "assets", "--group", "peers"]
    options = [*groups, "--python-version", "3.11", "--no-header", "--no-annotate", "-q"]
    subprocess.run(
        [*command, *options, *sys.argv[1:], "-o", LOCK.name], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    lines = [_pin(line) for line in LOCK.read_text().splitlines() if not line.startswith(("#", "-"))]
    kept = [line for line in lines if line and not ONLY_WITH_A_GPU.match(line)]
    LOCK.write_text(HEADER + "\n".join(kept) + "\n")
    print(f"{len(kept)} packages in {LOCK.name}")


def _pin(line: str) -> str:
    """Without the local part of a version: torch 2.13.0+cpu and 2.13.0 are the same release."""
    return re.sub(r"==([^+\s;]+)\+\S+", r"==\1", line.strip())


if __name__ == "__main__":
    main()
