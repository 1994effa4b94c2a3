"""A project as one file: what an export writes back, an apply makes true. Applied twice, it changes nothing.

Items, answers and models are not in it, and neither is any secret.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import Project
from app.errors import Conflict, Forbidden, InvalidInput, LinecallError
from app.services import accounts, practice, projects

FORMAT = 1
MOST_CHARACTERS = 5_000_000
_HEAD = """# A Linecall project. Change it and apply it: linecall project apply FILE (--dry-run says what would change).
# What is left out stays as it is. People who are not listed stay members; practice texts not listed are retired.
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PracticeText(_Part):
    text: str = Field(min_length=1, max_length=practice.MAX_TEXT)
    label: str
    explanation: str = Field("", max_length=practice.MAX_TEXT)


class Member(_Part):
    email: str = Field(min_length=3, max_length=320)
    role: Literal["expert", "viewer", "lead", "admin"]
    name: str = Field("", max_length=200, description="Of a new account; an existing one keeps its name.")


Label = Annotated[str, Field(min_length=1, max_length=60)]
Example = Annotated[str, Field(max_length=practice.MAX_TEXT)]


class ProjectFile(_Part):
    """What is None is left as it is. ``settings`` are those of a project but ``prelabel``, each optional."""

    linecall: Literal[1] = Field(1, description="The version of this format.")
    slug: str | None = Field(None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    name: str | None = Field(None, min_length=1, max_length=200)
    labels: list[Label] | None = Field(None, min_length=2, max_length=9)
    guideline: str | None = Field(None, max_length=500_000)
    examples: dict[str, list[Example]] | None = Field(None, description="By label.")
    settings: dict[str, Any] | None = None
    prelabel: dict[str, Any] | None = None
    practice: list[PracticeText] | None = Field(None, max_length=practice.MOST_ITEMS)
    members: list[Member] | None = Field(None, max_length=1000)


class Change(NamedTuple):
    """``field`` as the file names it; ``before`` is None for something new, ``after`` for something that goes."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.field}: {_short(self.after)} (new)"
        if self.after is None:
            return f"{self.field}: {_short(self.before)} (goes)"
        return f"{self.field}: {_short(self.before)} → {_short(self.after)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:60]}… ({len(text):,} characters)"


# --- reading and writing -------------------------------------------------------------------------------------------


def parse(text: str) -> ProjectFile:
    """From YAML (so from JSON too). Raises InvalidInput with the field, or the line where it is no YAML."""
    import yaml

    if len(text) > MOST_CHARACTERS:
        raise InvalidInput("A project file has 5,000,000 characters at most.", field="")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InvalidInput(f"This is not YAML: {where}{getattr(error, 'problem', None) or error}.") from error
    if not isinstance(values, dict):
        raise InvalidInput("A project file is a mapping, such as 'name: Clickbait'.")
    try:
        return ProjectFile.model_validate(values, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{field}: {first['msg']}{_hint(first['input'])}.", field=field) from error


def _hint(value: Any) -> str:
    """YAML reads yes, no, on, off and 1 as something else than text."""
    if isinstance(value, bool | int | float):
        return f", and {value!r} is none: put it in quotes if it is meant as text"
    return ""


def export(session: Session, project: Project) -> ProjectFile:
    """Everything that ``apply`` reads."""
    guideline = projects.current_guideline(session, project.id)
    settings = projects.settings_of(project).model_dump()
    prelabel = settings.pop("prelabel")
    return ProjectFile(
        slug=project.slug,
        name=project.name,
        labels=project.labels,
        guideline=guideline.text,
        examples={label: guideline.examples.get(label, []) for label in project.labels},
        settings=settings,
        prelabel=prelabel,
        practice=[_practice_text(project, item) for item in practice.items(session, project.id)],
        members=[
            Member(email=user.email, role=accounts.check_role(member.role), name=user.name)
            for user, member in accounts.members(session, project.id)
        ],
    )


def _practice_text(project: Project, item: Any) -> PracticeText:
    return PracticeText(text=item.text, label=project.labels[item.label], explanation=item.explanation)


def as_yaml(file: ProjectFile) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts of several lines as such, so that people can edit them."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    values = file.model_dump(exclude_none=True)
    if file.settings is not None:
        values["settings"] = file.settings  # with those that are null on purpose
    return _HEAD + yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


# --- making it true ------------------------------------------------------------------------------------------------


def apply(
    session: Session,
    file: ProjectFile,
    project: Project | None = None,
    *,
    user_id: int | None = None,
    may_add_people: bool = False,
    dry_run: bool = False,
) -> tuple[str, list[Change]]:
    """The project's slug, and what has been changed (with ``dry_run``: what would be). Without ``project`` the one
    that the file names is taken, or made.

    All or nothing. Raises InvalidInput and Conflict with the file's field; Forbidden for people who are no members
    unless ``may_add_people``.
    """
    with session.begin_nested() as all_or_nothing:
        found = project or _named(session, file)
        changes = [] if found else [Change("project", None, file.slug or file.name)]
        found = found or _create(session, file, user_id)
        changes += _task(session, file, found, user_id)
        changes += _settings(session, file, found, user_id)
        changes += _guideline(session, file, found, user_id)
        changes += _practice(session, file, found, user_id)
        changes += _members(session, file, found, user_id, may_add_people)
        slug = found.slug
        if dry_run:
            all_or_nothing.rollback()
    return slug, changes


def _named(session: Session, file: ProjectFile) -> Project | None:
    slug = file.slug or (projects.slug_for(file.name) if file.name else "")
    if not slug:
        raise InvalidInput("Say which project this is: give its slug, or its name.", field="slug")
    found = session.scalar(select(Project).where(Project.slug == slug))
    if found is not None and found.deleted_at is not None:
        raise Conflict(f"The project '{slug}' is deleted. Restore it, or give another slug.", field="slug")
    return found


def _create(session: Session, file: ProjectFile, user_id: int | None) -> Project:
    if file.name is None:
        raise InvalidInput("A new project needs a name.", field="name")
    if file.labels is None:
        raise InvalidInput("A new project needs labels.", field="labels")
    return projects.create_project(session, name=file.name, labels=file.labels, slug=file.slug, user_id=user_id)


def _task(session: Session, file: ProjectFile, project: Project, user_id: int | None) -> list[Change]:
    changes = []
    if file.name is not None and file.name.strip() != project.name:
        changes.append(Change("name", project.name, file.name.strip()))
    labels = None if file.labels is None else projects.clean_labels(file.labels)
    if labels is not None and labels != project.labels:
        changes.append(Change("labels", project.labels, labels))
    if changes:
        projects.update_project(session, project, name=file.name, labels=labels, user_id=user_id)
    return changes


def _settings(session: Session, file: ProjectFile, project: Project, user_id: int | None) -> list[Change]:
    present = projects.settings_of(project)
    before = present.model_dump()
    if file.settings and "prelabel" in file.settings:
        raise InvalidInput("The pre-labeller has a part of its own: prelabel.", field="settings.prelabel")
    wanted = before | (file.settings or {})
    if file.prelabel is not None:
        wanted["prelabel"] = _checked_prelabel(file.prelabel)
    try:
        chosen = projects.parse_settings(wanted)
    except InvalidInput as error:
        field = f"settings.{error.detail.get('field', '')}"
        raise InvalidInput(error.message, field=field) from error
    after = chosen.model_dump()
    changes = [
        Change(name if name == "prelabel" else f"settings.{name}", before[name], value)
        for name, value in after.items()
        if value != before[name]
    ]
    if changes:
        projects.update_project(session, project, settings=chosen, user_id=user_id)
    return changes


def _checked_prelabel(config: Mapping[str, Any]) -> dict[str, Any]:
    from app.ml.prelabel.configs import parse_config

    try:
        parsed = parse_config(config)
    except InvalidInput as error:
        raise InvalidInput(error.message, field=f"prelabel.{error.detail.get('field', '')}") from error
    return parsed.model_dump(exclude_unset=True) | {"provider": parsed.provider}


def _guideline(session: Session, file: ProjectFile, project: Project, user_id: int | None) -> list[Change]:
    present = projects.current_guideline(session, project.id)
    before = {label: present.examples.get(label, []) for label in project.labels}
    text = present.text if file.guideline is None else file.guideline.strip()
    examples = before if file.examples is None else before | _clean(file.examples)
    changes = [Change("guideline", present.text, text)] if text != present.text else []
    changes += [
        Change(f"examples.{label}", before.get(label), texts)
        for label, texts in examples.items()
        if texts != before.get(label)
    ]
    if changes:
        projects.publish_guideline(session, project, text=text, examples=examples, user_id=user_id)
    return changes


def _clean(examples: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {label: [text.strip() for text in texts if text.strip()] for label, texts in examples.items()}


def _practice(session: Session, file: ProjectFile, project: Project, user_id: int | None) -> list[Change]:
    """A text whose answer or explanation is another one is retired and added again: answers to it keep what they
    were given to."""
    if file.practice is None:
        return []
    wanted = {given.text.strip(): given for given in file.practice}
    changes = []
    for item in practice.items(session, project.id):
        given = wanted.get(item.text)
        if given and (given.label, given.explanation.strip()) == (project.labels[item.label], item.explanation):
            del wanted[item.text]
            continue
        practice.retire(session, project.id, item.id, user_id=user_id)
        changes.append(Change("practice", item.text, None))
    for place, given in enumerate(file.practice):
        if given.text.strip() not in wanted:
            continue
        with _at(f"practice.{place}"):
            label = _label(project, given.label)
            practice.add(session, project, given.text, label, given.explanation, user_id=user_id)
        changes.append(Change("practice", None, given.text))
    return changes


def _label(project: Project, name: str) -> int:
    if name not in project.labels:
        raise InvalidInput(f"There is no label '{name}'; there are {', '.join(project.labels)}.", field="label")
    return project.labels.index(name)


def _members(
    session: Session, file: ProjectFile, project: Project, user_id: int | None, may_add_people: bool
) -> list[Change]:
    """Raised and added before anyone is lowered, so that the last admin can hand over in one file."""
    present = {user.email: (user, member.role) for user, member in accounts.members(session, project.id)}
    wanted = list(enumerate(file.members or []))
    wanted.sort(key=lambda entry: -accounts.RANKS[entry[1].role])
    changes = []
    for place, given in wanted:
        with _at(f"members.{place}"):
            email = accounts.clean_email(given.email)
            user, role = present.get(email, (None, None))
            if role == given.role:
                continue
            if user is not None:
                accounts.change_role(session, project.id, user.id, given.role, by_user_id=user_id)
            elif may_add_people:
                _add_person(session, project, email, given, user_id)
            else:
                raise Forbidden(f"{email} is no member of this project. Invite them on the page People.")
        changes.append(Change(f"members.{email}", role, given.role))
    return changes


def _add_person(session: Session, project: Project, email: str, given: Member, user_id: int | None) -> None:
    user = accounts.find_user(session, email)
    if user is None:
        user = accounts.create_user(session, email=email, name=given.name or email.partition("@")[0])
    accounts.add_member(session, project.id, user.id, given.role, by_user_id=user_id)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Around what a part of the file asks for: an error names its place in the file."""
    try:
        yield
    except LinecallError as error:
        inner = str(error.detail.get("field", ""))
        error.detail["field"] = f"{place}.{inner}" if inner else place
        raise
