"""The command line as people use it: what it prints, where, and with which exit code."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from app.cli import app
from app.cli.demo import _wait_for_pages, demo_settings
from app.cli.processes import Processes, child_environment, port_is_free

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "sklearn", "scipy", "dbos", "pyarrow", "altair", "sqlalchemy", "fastapi", "numpy")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINECALL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def migrated(folder: Path) -> Path:
    assert run("migrate").exit_code == 0
    return folder


def run(*arguments: str, stdin: str | None = None):
    return CliRunner().invoke(app, arguments, input=stdin)


def refused(result) -> str:
    """The one plain sentence of a refusal."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("linecall: ")
    assert "Traceback" not in result.output
    return result.stderr.removeprefix("linecall: ").strip()


def commands(command=None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, child in command.commands.items():
        yield from commands(child, (*path, name))


def sections() -> dict[str, str]:
    parts = re.split(r"^##+ linecall (.+)$", (ROOT / "docs" / "commands.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_documented_as_its_help_says(name, command) -> None:
    section = sections()[name]
    wanted = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        shown = (
            parameter.opts[-1] if parameter.param_type_name == "option" else parameter.metavar or parameter.name.upper()
        )
        wanted.append(shown)
        row = next((line for line in section.splitlines() if line.startswith("| `") and f"`{shown}`" in line), "")
        assert row.endswith(f"| {parameter.help or ''} |"), f"docs/commands.md says something else of {name} {shown}"
    assert len(re.findall(r"^\| `", section, flags=re.MULTILINE)) == len(wanted)
    assert "Exit codes: 0" in section
    assert "Exit codes: 0" in command.help


def test_no_command_is_documented_that_is_not_there() -> None:
    known = {name for name, _ in commands()}
    groups = {name.split()[0] for name in known if " " in name}
    assert set(sections()) == known | groups


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, app.cli; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_wrong_command_line_ends_with_2(folder: Path) -> None:
    assert run("nonsense").exit_code == 2
    assert run("round", "start").exit_code == 2
    assert run("demo", "--json", "figures.json").exit_code == 2
    assert run("simulate", "--rounds", "0").exit_code == 2
    assert "--engine-config" in refused(run("simulate", "--engine-config", "[1]"))
    assert "no strategy guess" in refused(run("simulate", "--strategies", "guess"))
    Path("crowd.jsonl").write_text("".join(f'{{"text": "t{i}", "label": {i % 2}}}\n' for i in range(60)))
    assert "fewer than nine in ten of the texts" in refused(run("simulate", "--crowd", "crowd.jsonl"))


def test_without_a_database_a_command_says_how_to_make_one_and_makes_none(folder: Path) -> None:
    assert "run 'linecall migrate'" in refused(run("project", "list"))
    assert "run 'linecall migrate'" in refused(run("migrate", "--check"))
    assert not (folder / "data").exists()


def test_migrate_prints_the_revision_and_check_then_agrees(folder: Path) -> None:
    revision = run("migrate").stdout.strip()
    assert re.fullmatch(r"\w+", revision)
    assert run("migrate", "--check").stdout.strip() == revision


def test_a_bad_setting_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINECALL_PORT", "ninety")
    assert "LINECALL_PORT" in refused(run("project", "list"))


def test_an_admin_is_made_with_a_password_or_a_link_but_never_twice(migrated: Path) -> None:
    made = run("user", "create-admin", "Ana@Example.org", stdin="correct horse 7\ncorrect horse 7\n")
    assert made.exit_code == 0, made.output
    assert "correct horse" not in made.output
    assert "already has an account" in refused(run("user", "create-admin", "ana@example.org", "--link"))
    assert "10 characters" in refused(run("user", "create-admin", "b@example.org", "--password-stdin", stdin="short\n"))
    link = run("user", "create-admin", "b@example.org", "--link").stdout.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/sign-in/\S{43}", link)


def test_a_disabled_account_gets_no_link_until_it_is_enabled(migrated: Path) -> None:
    run("user", "create-admin", "ana@example.org", "--link")
    assert run("user", "disable", "ana@example.org").exit_code == 0
    assert "disabled" in run("user", "list").stdout
    assert "is disabled" in refused(run("user", "link", "ana@example.org"))
    assert run("user", "disable", "--enable", "ana@example.org").exit_code == 0
    assert "/sign-in/" in run("user", "link", "ana@example.org").stdout
    assert "no account" in refused(run("user", "link", "nobody@example.org"))


def make_project(**settings: object) -> str:
    values = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    return run("project", "create", "Clickbait", "--label", "fine", "--label", "bait", *values).stdout.strip()


def test_a_project_is_made_shown_and_changed(migrated: Path) -> None:
    (migrated / "examples.json").write_text('{"fine": ["a"], "bait": ["b"]}')
    slug = make_project(round_size=20)
    assert json.loads(run("project", "show", slug, "--json").stdout)["settings"]["round_size"] == 20
    changed = json.loads(run("project", "settings", slug, "--set", "overlap=3", "--set", "strategy=margin").stdout)
    assert (changed["overlap"], changed["strategy"], changed["round_size"]) == (3, "margin", 20)
    assert "overlap" in refused(run("project", "settings", slug, "--set", "overlap=99"))
    assert run("project", "settings", slug, "--set", "overlap").exit_code == 2
    other = run("project", "create", "B", "--label", "fine", "--label", "bait", "--examples", "examples.json")
    assert other.exit_code == 0
    assert "two labels" in refused(run("project", "create", "C", "--label", "one"))
    assert "no such project" in refused(run("project", "show", "none"))


def test_a_project_is_written_as_a_file_changed_and_applied_once(migrated: Path) -> None:
    slug = make_project()
    assert run("project", "export", slug, "-o", "project.yaml").exit_code == 0
    text = Path("project.yaml").read_text()
    assert run("project", "export", slug).stdout == text
    assert "nothing to change" in run("project", "apply", "project.yaml").stderr
    changed = text.replace("round_size: 100", "round_size: 60")
    tried = run("project", "apply", "-", "--dry-run", stdin=changed)
    assert tried.stdout == "settings.round_size: 100 → 60\n"
    assert "1 would change" in tried.stderr
    assert run("project", "export", slug).stdout == text
    assert "1 changed" in run("project", "apply", "-", stdin=changed).stderr
    assert run("project", "export", slug).stdout == changed
    wrong = run("project", "apply", "-", stdin=text.replace("overlap: 2", "overlap: 99"))
    assert refused(wrong).startswith("settings.overlap: ")


def test_an_import_adds_items_and_refuses_a_bad_file_row_by_row(migrated: Path) -> None:
    slug = make_project()
    (migrated / "good.csv").write_text("id,headline\n1,One text\n2,Another text\n3,One text\n")
    added = run("import", "good.csv", "--project", slug, "--text", "headline", "--id", "id")
    assert added.stdout.strip() == "2 items added, 1 duplicates, 0 rows left out."
    (migrated / "bad.jsonl").write_text('{"text": "fresh"}\n{"text": 3}\n')
    bad = run("import", "bad.jsonl", "--project", slug)
    assert bad.exit_code == 1
    assert "row 2, field text" in bad.stderr
    assert json.loads(run("project", "show", slug, "--json").stdout)["items"] == 2
    skipping = run("import", "bad.jsonl", "--project", slug, "--skip-bad-rows")
    assert skipping.stdout.strip() == "1 items added, 0 duplicates, 1 rows left out."


def test_a_round_is_started_watched_and_cancelled(migrated: Path) -> None:
    slug = make_project(prelabel={"provider": "remote_llm", "base_url": "http://127.0.0.1:9/v1", "model": "m"})
    assert "needs at least 10" in refused(run("round", "start", slug))
    assert "no round yet" in refused(run("round", "status", slug))
    (migrated / "pool.jsonl").write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(12)))
    run("import", "pool.jsonl", "--project", slug)
    for email in ("e@example.org", "f@example.org"):
        assert run("project", "add-member", slug, email).exit_code == 0
    started = run("round", "start", slug)
    assert started.exit_code == 0, started.output
    state = json.loads(run("round", "status", slug, "--json").stdout)
    assert (state["round"], state["state"], state["stages"][0]["stage"]) == (1, "preparing", "embed")
    assert "not in review" in refused(run("round", "close-review", slug))
    assert "failed round" in refused(run("round", "retry", slug))
    assert run("round", "cancel", slug, stdin="n\n").exit_code == 1
    assert run("round", "cancel", slug, "--yes").exit_code == 0
    assert "cancelled" in run("round", "list", slug).stdout


def test_an_export_goes_to_a_file_or_to_standard_output(migrated: Path) -> None:
    slug = make_project()
    (migrated / "pool.jsonl").write_text('{"text": "naïve"}\n{"text": "second"}\n')
    run("import", "pool.jsonl", "--project", slug)
    rows = [json.loads(line) for line in run("export", slug).stdout.splitlines()]
    assert [row["text"] for row in rows] == ["naïve", "second"]
    assert run("export", slug, "-o", "pool.csv").exit_code == 0
    assert (migrated / "pool.csv").read_text(encoding="utf-8").startswith("ordinal,external_id,text")
    assert not list(migrated.glob("*.part"))
    assert "formats are" in refused(run("export", slug, "--format", "xml"))
    assert "scope" in refused(run("export", slug, "--scope", "some"))


def test_an_export_for_datasets_goes_to_an_empty_folder_or_nowhere(migrated: Path) -> None:
    slug = make_project()
    (migrated / "pool.jsonl").write_text('{"text": "naïve"}\n{"text": "second"}\n')
    run("import", "pool.jsonl", "--project", slug)
    assert run("export", slug, "--format", "datasets", "-o", "made").exit_code == 0
    made = sorted(str(path.relative_to(migrated / "made")) for path in (migrated / "made").rglob("*") if path.is_file())
    assert made == ["README.md", "data/unlabelled-00000.parquet"]
    assert not list(migrated.glob("made.part*"))
    assert "not an empty folder" in refused(run("export", slug, "--format", "datasets", "-o", "made"))
    assert "is a folder" in refused(run("export", slug, "-o", "made", "--format", "csv"))
    assert "standard output" in refused(run("export", slug, "--format", "datasets"))


def test_a_report_is_written_as_a_page_a_card_or_a_print(migrated: Path) -> None:
    slug = make_project()
    assert run("report", slug, "report.html").exit_code == 0
    assert "No round has been finished yet" in (migrated / "report.html").read_text(encoding="utf-8")
    assert run("report", slug, "card.md").exit_code == 0
    assert "## Limits" in (migrated / "card.md").read_text(encoding="utf-8")
    assert ".html, .pdf or .md" in refused(run("report", slug, "report.docx"))
    if shutil.which("chromium") is None:
        assert "Chromium" in refused(run("report", slug, "report.pdf"))
    else:
        assert run("report", slug, "report.pdf").exit_code == 0
        assert (migrated / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_the_doctor_fails_without_a_database_and_names_the_remedy(folder: Path) -> None:
    ill = run("doctor", "--no-worker")
    assert ill.exit_code == 1
    assert re.search(r"^fail  database .*linecall migrate", ill.stdout, flags=re.MULTILINE)
    run("migrate")
    well = run("doctor", "--no-worker")
    assert re.search(r"^ok    database ", well.stdout, flags=re.MULTILINE)
    assert re.search(r"^ok    data folder .*ms per fsync", well.stdout, flags=re.MULTILINE)
    assert re.search(r"^warn  worker ", well.stdout, flags=re.MULTILINE)


def test_the_doctor_warns_of_a_key_that_no_address_is_set_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINECALL_REMOTE_LLM_API_KEY", "sk-secret")
    ill = run("doctor")
    assert re.search(r"^warn  language model key .*nowhere\n.*LINECALL_REMOTE_LLM_URL", ill.stdout, flags=re.MULTILINE)
    monkeypatch.setenv("LINECALL_REMOTE_LLM_URL", "https://llm.example.org/v1")
    well = run("doctor")
    assert re.search(r"^ok    language model key  for https://llm", well.stdout, flags=re.MULTILINE)
    assert "sk-secret" not in ill.stdout + well.stdout


def test_a_simulation_starts_in_a_fresh_folder_only(migrated: Path) -> None:
    assert "fresh folder" in refused(run("demo", "--simulate", "1", "--data-dir", "data"))


def free_port() -> int:
    return next(port for port in range(20_000 + os.getpid() % 20_000, 60_000) if port_is_free("127.0.0.1", port))


def linecall(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments],
        env=child_environment(LINECALL_DATA_DIR=str(folder / "data")),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def answers(port: int, seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/sign-in", timeout=5) as response:
                return response.status == 200
        except OSError:
            time.sleep(0.1)
    return False


@pytest.mark.slow
def test_serve_sets_up_an_empty_database_answers_and_ends_in_order(folder: Path) -> None:
    port = free_port()
    process = linecall(folder, "serve", "--no-worker", "--port", str(port))
    try:
        assert answers(port)
        assert "is taken" in refused(run("serve", "--port", str(port)))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert port_is_free("127.0.0.1", port)


@pytest.mark.slow
def test_the_pages_end_when_their_parent_is_killed(folder: Path) -> None:
    port = free_port()
    process = linecall(folder, "serve", "--no-worker", "--port", str(port))
    try:
        assert answers(port)
    finally:
        process.kill()
    process.communicate(timeout=60)
    until = time.monotonic() + 30
    while not port_is_free("127.0.0.1", port) and time.monotonic() < until:
        time.sleep(0.1)
    assert port_is_free("127.0.0.1", port)


def test_a_child_that_may_die_is_started_again_and_another_ends_everything(folder: Path, capfd) -> None:
    processes = Processes(child_environment(LINECALL_DATA_DIR=str(folder / "data")))
    processes.start("worker", "worker")  # ends at once, with 1: there is no database
    processes.start("web", "nonsense")
    processes.start("slow", "web")
    assert processes.run(restart=["worker", "slow"]) == 1
    processes.stop()
    assert "The web process has ended (exit code 2)." in capfd.readouterr().err


class Web:
    """A web process that has been started: it listens from the ``after``-th look on, or dies at it."""

    stopping = False

    def __init__(self, *, after: int, dies: bool) -> None:
        self.looks, self.after, self.dies = 0, after, dies
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def alive(self, name: str) -> bool:
        self.looks += 1
        if self.looks == self.after and not self.dies:
            self.socket.listen()
        return not (self.dies and self.looks >= self.after)


@pytest.mark.parametrize("dies", [False, True])
def test_the_demos_links_are_printed_once_the_pages_are_there_and_not_if_they_never_are(tmp_path, dies):
    web = Web(after=3, dies=dies)
    settings = demo_settings(tmp_path, host="0.0.0.0", port=web.port)  # noqa: S104 - nothing listens there
    with web.socket:
        assert _wait_for_pages(settings, web) is not dies
    assert web.looks == 3
