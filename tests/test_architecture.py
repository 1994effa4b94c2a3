"""House rules that a reader would otherwise have to remember."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.config import Settings

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "sklearn", "scipy", "dbos", "pyarrow", "altair", "pandas")


def tracked() -> list[Path]:
    """The files that git would commit; outside a checkout there are none to judge."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_arrows_point_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    result = run_python(code)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_the_web_process_loads_nothing_heavy() -> None:
    if not (ROOT / "app" / "web" / "main.py").exists():
        pytest.skip("app/web/main.py is not there")
    code = f"import sys, json, app.web.main; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []


def test_every_setting_is_documented() -> None:
    rows = {}
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines():
        if match := re.match(r"\| `(LINECALL_\w+)` \|", line):
            rows[match[1].removeprefix("LINECALL_").lower()] = line
    assert sorted(rows) == sorted(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description in rows[name], f"docs/settings.md says something else of {name}"


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def direct_requirements() -> dict[str, Requirement]:
    data = project()
    extras = [r for group in data["project"]["optional-dependencies"].values() for r in group]
    groups = [r for group in data["dependency-groups"].values() for r in group if isinstance(r, str)]
    wanted = [Requirement(r) for r in [*data["project"]["dependencies"], *extras, *groups]]
    return {canonicalize_name(r.name): r for r in wanted}


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_lock_has_a_version_for_every_direct_dependency() -> None:
    versions = locked()
    for name, requirement in direct_requirements().items():
        assert requirement.specifier.contains(versions[name]), f"{requirement} is locked at {versions[name]}"


def test_the_lock_fits_every_build_of_torch() -> None:
    versions = locked()
    assert versions["torch"] == "2.13.0"
    assert not [v for v in versions.values() if "+" in v]
    assert not [n for n in versions if re.match(r"nvidia|cuda|triton", n)]


def test_every_direct_dependency_is_explained() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "dependencies.md").read_text(), flags=re.MULTILINE)
    front_end = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert sorted(rows) == sorted([*direct_requirements(), *front_end])


def test_nothing_minified_is_tracked() -> None:
    for path in tracked():
        assert not re.search(r"[.-]min\.(js|css|mjs)$", path.name), f"{path.name} is built, not written"
        if path.suffix in {".js", ".css", ".html"}:
            longest = max(map(len, text_of(path).splitlines()), default=0)
            assert longest < 1000, f"{path.relative_to(ROOT)} has a line of {longest} characters"


def test_nothing_tracked_names_a_registry_or_a_machine() -> None:
    hosts = ("registry.npmjs" + ".org", "pythonhosted" + ".org", "pypi" + ".org", "/home" + "/", "/work" + "/")
    for path in tracked():
        text = text_of(path)
        found = [host for host in hosts if host in text]
        assert not found, f"{path.relative_to(ROOT)} names {found}"


def test_the_lock_of_the_pages_packages_is_whole() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert all("integrity" in entry for name, entry in packages.items() if name)
    assert not [name for name, entry in packages.items() if "resolved" in entry]
