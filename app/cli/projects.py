"""``linecall project``: make projects and change their settings."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.base import database, fail, new_app, note, settings, table
from app.errors import LinecallError

app = new_app("project", "Projects: create, list, show, change settings, add people, keep one as a file.")
Slug = Annotated[str, typer.Argument(help="The project's short name, as in its address.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as round_size=60; may be given again."),
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The project's name.")],
    label: Annotated[
        list[str], typer.Option("--label", help="A label; give it for each. Of two, the second is the positive one.")
    ],
    guideline: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The guideline, a Markdown file.")
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help='A JSON file of example texts: {"label": ["text", …], …}.'),
    ] = None,
    slug: Annotated[str | None, typer.Option(help="The short name; left out: made from the name.")] = None,
    admin: Annotated[str | None, typer.Option(help="E-mail address of an account that becomes its admin.")] = None,
    values: Setting = None,
) -> None:
    """Create a project and print its short name.

    Exit codes: 0 created; 1 refused; 2 wrong usage.
    """
    from app.services import accounts, projects

    chosen = projects.parse_settings(_parse(values or []))
    text = guideline.read_text(encoding="utf-8") if guideline else ""
    given = _examples(examples) if examples else {}
    with database(settings()) as db, db.write() as session:
        user = _user(session, admin) if admin else None
        project = projects.create_project(
            session,
            name=name,
            labels=label,
            guideline=text,
            examples=given,
            settings=chosen,
            slug=slug,
            user_id=user.id if user else None,
        )
        if user is not None:
            accounts.add_member(session, project.id, user.id, "admin")
    typer.echo(project.slug)


@app.command("list")
def list_projects() -> None:
    """Print every project with its size and its newest round.

    Exit codes: 0 printed; 1 failed; 2 wrong usage.
    """
    from sqlalchemy import select

    from app.db.tables import Project
    from app.services import rounds

    rows = []
    with database(settings()) as db, db.read() as session:
        for project in session.scalars(select(Project).where(Project.deleted_at.is_(None)).order_by(Project.slug)):
            every = rounds.list_rounds(session, project.id)
            state = f"round {every[-1].number}: {every[-1].state}" if every else "no round"
            rows.append((project.slug, project.name, f"{project.item_count:,}", state))
    typer.echo(table(("project", "name", "items", "newest round"), rows))


@app.command("show")
def show(slug: Slug, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print a project's labels, people, settings and what stands in the way of its next round.

    Exit codes: 0 printed; 1 no such project; 2 wrong usage.
    """
    from app.services import accounts, projects, rounds

    with database(settings()) as db, db.read() as session:
        project = projects.get_project(session, slug)
        about = {
            "project": project.slug,
            "name": project.name,
            "labels": project.labels,
            "items": project.item_count,
            "guideline": f"version {projects.current_guideline(session, project.id).version}",
            "members": [f"{u.email} ({m.role})" for u, m in accounts.members(session, project.id)],
            "settings": projects.settings_of(project).model_dump(),
            "obstacles": rounds.obstacles(session, project),
        }
    typer.echo(json.dumps(about, indent=2, ensure_ascii=False) if as_json else _as_text(about))


@app.command("settings")
def change_settings(slug: Slug, values: Setting = None) -> None:
    """Print a project's settings, changed first where --set is given. A round under way keeps those it began with.

    Exit codes: 0 printed; 1 refused; 2 wrong usage.
    """
    from app.services import projects

    changes = _parse(values or [])
    with database(settings()) as db, db.write() as session:
        project = projects.get_project(session, slug)
        chosen = projects.parse_settings({**projects.settings_of(project).model_dump(), **changes})
        if changes:
            projects.update_project(session, project, settings=chosen)
    typer.echo(json.dumps(chosen.model_dump(), indent=2, ensure_ascii=False))


@app.command("add-member")
def add_member(
    slug: Slug,
    email: Annotated[str, typer.Argument(help="E-mail address; an account is made if there is none.")],
    role: Annotated[str, typer.Option(help="expert, viewer, lead or admin.")] = "expert",
    name: Annotated[str | None, typer.Option(help="Name of a new account; left out: what is before the @.")] = None,
) -> None:
    """Add someone to a project. A new account has no password: 'linecall user link' prints a sign-in link for it.

    Exit codes: 0 added; 1 refused; 2 wrong usage.
    """
    from app.services import accounts, projects

    with database(settings()) as db, db.write() as session:
        project = projects.get_project(session, slug)
        user = accounts.find_user(session, email)
        if user is None:
            user = accounts.create_user(session, email=email, name=name or email.partition("@")[0])
        member = accounts.add_member(session, project.id, user.id, role)
        typer.echo(f"{user.email} is an {member.role} of {project.slug}.")


@app.command("export")
def export(
    slug: Slug,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; left out: standard output.")
    ] = None,
) -> None:
    """Print a project as one YAML file: labels, guideline, examples, settings, pre-labeller, practice texts, members.

    Exit codes: 0 printed; 1 no such project; 2 wrong usage.
    """
    from app.services import project_file, projects

    with database(settings()) as db, db.read() as session:
        text = project_file.as_yaml(project_file.export(session, projects.get_project(session, slug)))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@app.command("apply")
def apply(
    file: Annotated[
        typer.FileText, typer.Argument(help="A YAML file as 'project export' writes it; - for standard input.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; print what would change.")] = False,
) -> None:
    """Make a project what a file says, and print what changed; a project that is not there is made. Applying the same
    file again changes nothing. All or nothing.

    Exit codes: 0 applied, or nothing to change; 1 refused, with the field; 2 wrong usage.
    """
    from app.services import project_file

    parsed = project_file.parse(file.read())
    with database(settings()) as db, db.write() as session:
        try:
            slug, changes = project_file.apply(session, parsed, may_add_people=True, dry_run=dry_run)
        except LinecallError as error:
            fail(_with_field(error))
    for change in changes:
        typer.echo(str(change))
    words = "would change" if dry_run else "changed"
    note(f"{slug}: {len(changes)} {words}." if changes else f"{slug}: nothing to change.")


@app.command("delete")
def delete(
    slug: Slug,
    confirm: Annotated[str, typer.Option("--confirm", metavar="NAME", help="The project's name, as a confirmation.")],
) -> None:
    """Delete a project so that it can be undone: nobody can open it any more, and an open round is paused.

    Exit codes: 0 deleted; 1 refused; 2 wrong usage.
    """
    from app.services import deletion, projects

    with database(settings()) as db, db.write() as session:
        deletion.delete_project(session, projects.get_project(session, slug), confirm=confirm)
    note(f"{slug} is deleted. 'linecall project undelete {slug}' brings it back.")


@app.command("undelete")
def undelete(slug: Slug) -> None:
    """Bring a deleted project back, however long ago it was deleted. Its round stays paused.

    Exit codes: 0 brought back; 1 no such deleted project; 2 wrong usage.
    """
    from app.services import deletion

    with database(settings()) as db, db.write() as session:
        deletion.undo(session, deletion.find_deleted(session, slug))
    note(f"{slug} is back.")


@app.command("purge")
def purge(
    slug: Slug,
    confirm: Annotated[str, typer.Option("--confirm", metavar="NAME", help="The project's name, as a confirmation.")],
) -> None:
    """Remove a deleted project for good: every row and file of it. Only a backup brings it back.

    Exit codes: 0 purged; 1 refused; 2 wrong usage.
    """
    from app.ml.artifacts import ArtifactStore
    from app.services import deletion

    config = settings()
    with database(config) as db:
        with db.write() as session:
            project = deletion.find_deleted(session, slug)
            if confirm.strip() != project.name:
                fail("--confirm must be the project's name.")
            number = project.id
            gone = deletion.purge(session, project)
        store = ArtifactStore(config.resolved_artifacts_url)
        files = deletion.artifacts_of(store, number)
        for key in files:
            store.remove(key)
    note(f"{slug} is gone for good: {sum(gone.values()):,} rows, {len(files):,} files.")


def _with_field(error: LinecallError) -> str:
    field = str(error.detail.get("field", ""))
    return f"{field}: {error.message}" if field and not error.message.startswith(field) else error.message


def _user(session: Any, email: str) -> Any:
    from app.errors import NotFound
    from app.services import accounts

    user = accounts.find_user(session, email)
    if user is None:
        raise NotFound(f"There is no account {email}. Make it with 'linecall user create-admin'.")
    return user


def _parse(values: list[str]) -> dict[str, Any]:
    """NAME=VALUE, where VALUE is JSON, or plain text if it is not."""
    found: dict[str, Any] = {}
    for given in values:
        name, equals, value = given.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"'{given}' is not NAME=VALUE", param_hint="--set")
        try:
            found[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            found[name.strip()] = value
    return found


def _examples(path: Path) -> dict[str, list[str]]:
    from app.errors import InvalidInput

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}.") from error
    whole = isinstance(values, dict) and all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in values.values()
    )
    if not whole:
        raise InvalidInput(f'{path} must hold {{"label": ["text", …], …}}.')
    return dict(values)


def _as_text(about: dict[str, Any]) -> str:
    lines = []
    for name, value in about.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *[f"  {key} = {json.dumps(part, ensure_ascii=False)}" for key, part in value.items()]]
        elif isinstance(value, list):
            lines += [f"{name}:", *[f"  {part}" for part in value]] if value else [f"{name}: none"]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)
