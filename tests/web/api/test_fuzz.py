"""Every operation of the API, asked at random within and outside its description, answers and never breaks."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from app.config import Settings
from app.services import accounts
from tests.application import application
from tests.factories import make_items, make_project
from tests.services.review_factories import add_round

EXAMPLES = {"sqlite": 15, "postgres": 10}


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request) -> str:
    return request.param


@pytest.fixture
def fuzzed(tmp_path, db):
    """The API of an installation with a project under review, the project's slug, and its admin's token and its id."""
    with db.write() as session:
        user = accounts.create_user(session, email="ada@example.org", name="Ada", is_site_admin=True)
        project = make_project(session, admin=user)
        add_round(session, project, [item.id for item in make_items(session, project, 12)], overlap=1)
        token, row = accounts.create_api_token(session, user.id, "fuzz")
        slug, token_id = project.slug, row.id
    app = application(Settings(data_dir=tmp_path, base_url="http://testserver"), db)
    return app, slug, token, token_id


@pytest.mark.slow
def test_no_operation_breaks(fuzzed, backend, db):
    app, slug, token, token_id = fuzzed
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    broken, asked = [], 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/report/pdf"):  # takes nothing but the slug, and a browser's seconds each time
            continue
        cases = st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )

        @settings(
            max_examples=EXAMPLES[backend],
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, known=st.booleans())
        def ask(case, known):
            nonlocal asked
            if known and "slug" in (case.path_parameters or {}):
                case.path_parameters["slug"] = slug
            if str((case.path_parameters or {}).get("token_id")) == str(token_id):
                case.path_parameters["token_id"] = token_id + 1  # the one that asks has to live
            case.headers = {**dict(case.headers or {}), "Authorization": f"Bearer {token}"}
            response = case.call()
            asked += 1
            if response.status_code >= 500:
                broken.append((case.operation.label, response.status_code, case.as_curl_command()[:400]))

        ask()
    assert broken == []
    with db.read() as session:
        assert accounts.resolve_api_token(session, token) is not None
    assert asked > 100, "what breaks nothing because it asks nothing proves nothing"
