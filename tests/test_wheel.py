"""The wheel works outside the checkout, without the worker's packages."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_architecture import ROOT

pytestmark = pytest.mark.slow
PATIENCE = 60  # seconds for the server to answer


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """What the command printed; its output is in the failure if it fails."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean | env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / "static" / "vendor" / "htmx.min.js").exists():
        pytest.fail("static/vendor is missing: run `make assets` first")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    return next(folder.glob("linecall-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a fresh environment that has the wheel, at the locked versions, and no more."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=venv.parent)
    python = venv / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "requirements.lock", wheel, cwd=venv.parent)
    return venv / "bin"


def files_under(folder: Path) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".stamp"
    }


def test_the_wheel_carries_pages_files_and_migrations(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("templates", "static", "migrations"):
        wanted = {f"app/_resources/{name}" for name in files_under(ROOT / folder)}
        assert wanted
        assert wanted <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


def test_the_web_process_starts_without_the_worker_packages(installed: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, json, app, app.web.main;"
        "print(json.dumps({'app': app.__file__,"
        " 'torch': u.find_spec('torch') is not None, 'sklearn': u.find_spec('sklearn') is not None}))"
    )
    told = json.loads(run(installed / "python", "-c", code, cwd=tmp_path))
    assert not told["torch"]
    assert not told["sklearn"]
    assert str(ROOT) not in told["app"]


def test_it_migrates_and_serves_the_sign_in_page(installed: Path, tmp_path: Path) -> None:
    env = {"LINECALL_DATA_DIR": str(tmp_path / "data")}
    run(installed / "linecall", "migrate", cwd=tmp_path, **env)
    with served(installed, tmp_path, env) as base:
        page = fetch(f"{base}/sign-in")
        assert page.status == 200
        assert "<form" in page.read().decode()
        assert fetch(f"{base}/static/vendor/htmx.min.js").status == 200


@contextmanager
def served(installed: Path, cwd: Path, env: dict[str, str]) -> Iterator[str]:
    """The address of a web process that runs until the block ends."""
    port = free_port()
    with (cwd / "web.log").open("w") as log:
        process = subprocess.Popen(
            [str(installed / "linecall"), "web"],
            cwd=cwd,
            env=os.environ | env | {"LINECALL_PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(port, process, cwd / "web.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, f"no answer in {PATIENCE} s\n{log.read_text()}"
            time.sleep(0.1)


def fetch(url: str):
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
