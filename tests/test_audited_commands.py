"""Every command, run: it leaves the audit event that the table names, or it changes nothing, or starts what has its own
events. A command that is not in the table fails the first test."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.test_cli import commands, folder, migrated, run  # noqa: F401 - fixtures

TABLE = {
    "backup": "backup.written",
    "restore": "backup.restored",
    "migrate": "database.migrated",
    "user create-admin": "user.created",
    "user link": "sign_in_link.created",
    "user disable": "user.disabled",
    "project create": "project.created",
    "project settings": "project.changed",
    "project add-member": "member.added",
    "project apply": "project.changed",
    "project delete": "project.deleted",
    "project undelete": "project.restored",
    "project purge": "project.purged",
    "import": "import.created",
    "export": "export.created",
    "round start": "round.started",
    "round retry": "round.retried",
    "round close-review": "round.review_closed_early",
    "round cancel": "round.cancelled",
}
LOOKS = ("user list", "project list", "project show", "project export", "round status", "round list", "model list")
LOOKS += ("report", "doctor")
STARTS = {
    "web": "the pages, whose routes are in tests/web/test_audited.py",
    "worker": "workflows, which record a round's turns",
    "serve": "both of these",
    "demo": "both of these, in a folder of its own",
    "simulate": "neither: rounds in memory",
    "model export": "nothing: it reads what tests/test_cli.py has no model for",
}


def test_every_command_is_in_the_table() -> None:
    assert {name for name, _ in commands()} == {*TABLE, *LOOKS, *STARTS}


def query(statement: str, *values) -> list[tuple]:
    with closing(sqlite3.connect(Path("data/linecall.sqlite"))) as connection, connection:
        return connection.execute(statement, values).fetchall()


def actions() -> list[str]:
    return [row[0] for row in query("SELECT action FROM audit_events ORDER BY id")]


class Tour:
    """Runs commands and notes which have left their event."""

    def __init__(self) -> None:
        self.done: set[str] = set()

    def __call__(self, name: str, *arguments: str, stdin: str | None = None) -> str:
        before = Counter(actions())
        result = run(*name.split(), *arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        new = sorted(Counter(actions()) - before)  # no slice: a restore brings the log of its backup
        assert (TABLE[name] in new) if name in TABLE else (new == []), f"{name} leaves {new}"
        self.done.add(name)
        return result.stdout


def test_each_leaves_its_event_or_none_where_it_only_looks(migrated: Path) -> None:  # noqa: F811 - the fixture
    tour = Tour()
    accounts(tour)
    slug = a_project(tour)
    rounds(tour, slug)
    for name in ("project list", "user list"):
        tour(name)
    for name in ("project show", "project export", "round status", "round list", "model list"):
        tour(name, slug)
    tour("report", slug, "report.html")
    tour("doctor", "--no-worker")
    tour("export", slug, "-o", "out.jsonl")
    tour("backup", "all.zip")
    backup_and_migration(tour)
    for name in ("delete", "undelete", "delete", "purge"):
        tour(f"project {name}", slug, *(() if name == "undelete" else ("--confirm", "Ads")))
    assert tour.done == {*TABLE, *LOOKS}


def accounts(tour: Tour) -> None:
    tour("user create-admin", "ana@example.org", "--link")
    tour("user disable", "ana@example.org")
    run("user", "disable", "--enable", "ana@example.org")
    tour("user link", "ana@example.org")


def a_project(tour: Tour) -> str:
    model = '{"provider": "remote_llm", "base_url": "http://127.0.0.1:9/v1", "model": "m"}'
    slug = tour("project create", "Ads", "--label", "no", "--label", "yes", "--set", f"prelabel={model}").strip()
    tour("project settings", slug, "--set", "overlap=1")
    tour("project add-member", slug, "eve@example.org")
    document = run("project", "export", slug).stdout
    tour("project apply", "-", stdin=document.replace("round_size: 100", "round_size: 60"))
    Path("pool.csv").write_text("text\n" + "".join(f"text {n}\n" for n in range(12)))
    tour("import", "pool.csv", "--project", slug)
    return slug


def rounds(tour: Tour, slug: str) -> None:
    tour("round start", slug)
    query("UPDATE rounds SET state = 'failed', failed_state = 'preparing', error = 'No model.'")
    tour("round retry", slug)
    query("UPDATE rounds SET state = 'review'")
    query(
        "INSERT INTO assignments (round_id, item_id, slot, position, state, expert_id, claimed_at, done_at)"
        " VALUES (1, 1, 0, 0, 'done', 2, '2026-01-01', '2026-01-01')"
    )
    query(
        "INSERT INTO annotations (round_id, item_id, assignment_id, expert_id, kind, label, idempotency_key,"
        " guideline_version_id, flagged, created_at) VALUES (1, 1, 1, 2, 'blind', 1, 'key', 1, 0, '2026-01-01')"
    )
    tour("round close-review", slug)
    tour("round cancel", slug, "--yes")


def backup_and_migration(tour: Tour) -> None:
    """An older database, which is what a migration is for; then the backup of before in its place."""
    from app.db import migrate

    migrate.downgrade(f"sqlite:///{Path('data/linecall.sqlite').absolute()}", "-1")
    assert "The database as it was: " in tour("migrate")
    tour("restore", "all.zip", "--replace")


def test_a_restore_says_what_ended_with_it(migrated: Path) -> None:  # noqa: F811 - the fixture
    assert run("backup", "all.zip").exit_code == 0
    said = run("restore", "all.zip", "--replace").stderr
    assert "Everybody signs in again." in said
    assert "API tokens, invitations and sign-in links of before have ended" in said
