"""docs/example.md, block by block, against a web process and a worker of its own."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.db.engine import Database
from app.db.migrate import upgrade
from app.services import accounts, invitations

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "example.md"


def blocks() -> list[tuple[int, str]]:
    """Each Python block with the number of its first line."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in found]


def tokens(url: str) -> dict[str, str]:
    """Of three people who belong to no project yet."""
    db, made = Database(url), {}
    with db.write() as session:
        for name in ("ada", "ben", "cleo"):
            user = accounts.create_user(
                session, email=f"{name}@example.org", name=name.title(), is_site_admin=name == "ada"
            )
            made[f"{name.upper()}_TOKEN"] = accounts.create_api_token(session, user.id, "script")[0]
    db.dispose()
    return made


def open_the_links(url: str, printed: str) -> None:
    """What Ben and Cleo do in their browsers."""
    db = Database(url)
    with db.write() as session:
        for name, token in re.findall(r"^(Ben|Cleo) \S+/(\S+)$", printed, flags=re.MULTILINE):
            user = accounts.find_user(session, f"{name.lower()}@example.org")
            assert user is not None
            invitations.accept_as(session, token, user)
    db.dispose()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A running installation; the page's variables are in the environment."""
    url = f"sqlite:///{tmp_path / 'linecall.sqlite'}"
    upgrade(url)
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name, value in {**tokens(url), "LINECALL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log.txt"
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    environment = os.environ | {"LINECALL_DATA_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=stream, stderr=stream)
    try:
        wait_until_it_answers(port, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=120)


def wait_until_it_answers(port: int, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_the_page_leads_from_nothing_to_a_finished_round(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names, printed = {}, ""
    for line, code in blocks():
        exec(compile("\n" * (line - 1) + code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
        said = capsys.readouterr().out
        open_the_links(site, said)
        printed += said
    for name in ("ada", "ben", "cleo"):
        names[name].close()
    assert names["finished"]["state"] == "done"
    assert names["finished"]["advice"] in ("match", "plateau", "continue", "disagree")
    assert names["stored"]["rows_added"] == 80
    assert names["matched"]["items_labelled"] == 80
    assert names["tried"]["estimate"]["measured"]
    assert len(names["tried"]["answers"]) == 20
    assert "The round ready\n" in printed
    assert sum(int(count) for count in re.findall(r"^experts \w+, model \w+: (\d+)$", printed, re.MULTILINE)) > 0
    assert "You can stop here" in printed or "Start the next round" in printed or "Mend the guideline" in printed
    assert "16 16\n" in printed, "each expert answers every item of the round"
    assert "422 " in printed
    assert [answer["label"] in ("honest", "clickbait") for answer in names["predicted"]["answers"]] == [True]
    exported = [json.loads(row) for row in names["saved"].read_text(encoding="utf-8").splitlines()]
    assert len(exported) == 16
    assert re.search(r"version 1, \w+: .+ \(n = \d+\)", printed)
