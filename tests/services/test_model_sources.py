"""A model of another project pre-labels only where it fits and where it may be seen."""

import pytest
from sqlalchemy import select

from app.db.base import utcnow
from app.db.tables import AuditEvent, ModelVersion, Project, Round, User
from app.errors import Conflict, InvalidInput, NotFound
from app.services import model_sources, project_file, projects, rounds
from tests.factories import make_items, make_member, make_project, make_user
from tests.services.alignment_factories import make_history


@pytest.fixture
def world(db):
    """A project with two trained models, and an empty one with its admin and two experts."""
    history = make_history(db, rounds=2)
    with db.write() as session:
        for version in session.scalars(select(ModelVersion).where(ModelVersion.kind == "trained")):
            version.artifact_key = f"models/{version.version}"
        admin = make_user(session)
        target = make_project(
            session,
            labels=["clickbait", "benign"],
            settings=projects.ProjectSettings().model_dump(),
            admin=admin,
            experts=[make_user(session), make_user(session)],
        )
        make_items(session, target, 12)
        return history, target.id, admin.id


def use(db, world, *, version=2, user=True, **changed):
    history, target_id, admin_id = world
    with db.write() as session:
        target = session.get_one(Project, target_id)
        for name, value in changed.items():
            setattr(target, name, value)
        prelabel = {"provider": "model", "project": history.slug, "version": version}
        settings = projects.settings_of(target).model_copy(update={"prelabel": prelabel})
        projects.update_project(session, target, settings=settings, user_id=admin_id if user else None)


def join_source(db, world, role):
    history, _, admin_id = world
    with db.write() as session:
        source = session.get_one(Project, history.project_id)
        return make_member(session, source, session.get_one(User, admin_id), role)


@pytest.mark.parametrize("role", ["viewer", "lead", "admin"])
def test_whoever_may_see_a_project_may_pre_label_with_its_models(db, world, role):
    join_source(db, world, role)
    use(db, world)
    with db.read() as session:
        assert rounds.obstacles(session, session.get_one(Project, world[1])) == []


@pytest.mark.parametrize("role", [None, "expert"])
def test_to_everybody_else_the_model_is_not_there(db, world, role):
    if role:
        join_source(db, world, role)
    with pytest.raises(InvalidInput, match="There is no trained model"):
        use(db, world)
    use(db, world, user=False)  # the command line is the installation's own


def test_who_has_left_the_project_may_not(db, world):
    member = join_source(db, world, "admin")
    with db.write() as session:
        session.merge(member).removed_at = utcnow()
    with pytest.raises(InvalidInput):
        use(db, world)


def test_a_project_file_gives_no_way_around(db, world):
    history, target_id, admin_id = world
    with db.write() as session:
        slug = session.get_one(Project, target_id).slug
        text = f"slug: {slug}\nprelabel: {{provider: model, project: {history.slug}, version: 2}}\n"
        with pytest.raises(InvalidInput, match="There is no trained model"):
            project_file.apply(session, project_file.parse(text), user_id=admin_id)


@pytest.mark.parametrize("version", [1, 2])
def test_a_model_must_have_the_same_labels_and_be_ready(db, world, version):
    join_source(db, world, "viewer")
    with pytest.raises(InvalidInput, match="labels are benign, clickbait"):
        use(db, world, labels=["benign", "spam"], version=version)
    with db.write() as session:
        session.scalars(select(Round).where(Round.number == version)).one().state = "cancelled"
    with pytest.raises(InvalidInput, match="There is no trained model"):
        use(db, world, version=version)


@pytest.mark.parametrize("version", [0, 9])
def test_a_pre_labeller_and_what_is_not_there_are_no_models(db, world, version):
    join_source(db, world, "viewer")
    with pytest.raises(InvalidInput):
        use(db, world, version=version)


def test_a_round_does_not_start_with_a_model_that_has_gone(db, world):
    join_source(db, world, "viewer")
    use(db, world)
    with db.write() as session:
        session.get_one(Project, world[0].project_id).deleted_at = utcnow()
    with db.read() as session:
        (obstacle,) = rounds.obstacles(session, session.get_one(Project, world[1]))
    assert obstacle.startswith("The pre-labeller can't be used.")


def test_it_is_offered_to_projects_with_the_same_labels_that_have_not_begun(db, world):
    history, target_id, _ = world
    with db.write() as session:
        other = make_project(session, labels=["benign", "spam"])
        every = list(session.scalars(select(Project).order_by(Project.id)))
        source = session.get_one(Project, history.project_id)
        assert [p.id for p in model_sources.possible_targets(session, every, source)] == [target_id]
        session.add(ModelVersion(project_id=target_id, version=0, kind="prelabel", engine="few_shot", config={}))
        session.flush()
        assert model_sources.possible_targets(session, every, source) == []
        assert other.id


def test_a_round_may_start_from_an_earlier_version(db, world):
    history, *_ = world
    with db.write() as session:
        project = session.get_one(Project, history.project_id)
        project.settings = projects.ProjectSettings().model_dump()
        make_items(session, project, 12)
        for missing in (9, 3):
            with pytest.raises(NotFound):
                rounds.start_round(session, project, base_version=missing)
        round_ = rounds.start_round(session, project, base_version=1)
        base = session.get_one(ModelVersion, round_.base_model_id)
        event = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
        assert (base.version, event.detail) == (1, {"base_version": 1})
        with pytest.raises(Conflict):
            rounds.start_round(session, project, base_version=1)
