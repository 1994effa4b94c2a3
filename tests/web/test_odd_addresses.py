"""What no database can hold is not found, on any page, on either database, and breaks nothing."""

import re

import pytest
from fastapi.testclient import TestClient

from app.services import accounts
from tests.web.test_roles import EXPECTED

ODD = ["a%00b", str(2**31), str(2**63), "-1", "0", "9" * 400, "%2e%2e", "\u0661", "\u00b2", "--5", "ü%F0%9F"]
QUERIES = [
    "?after=%00",
    f"?after={2**31}",
    f"?before={2**70}",
    "?q=%00",
    "?reason=%00&after=-5",
    "?after=1e9",
    "?after=\u00b2",
]


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request) -> str:
    return request.param


@pytest.mark.slow
def test_no_address_breaks_a_page(scene):
    token = scene.db.run_write(lambda session: accounts.start_session(session, scene.users["admin"], days=1))
    client = TestClient(scene.app, follow_redirects=False, raise_server_exceptions=False)
    client.cookies.set("linecall", token)
    broken = []
    for _level, method, path in EXPECTED:
        if method != "GET" or path.startswith("/api/"):
            continue
        addresses = [
            re.sub(r"{(\w+)[^}]*}", lambda m, odd=odd: scene.slug if m[1] == "slug" else odd, path) for odd in ODD
        ]
        addresses += [re.sub(r"{(\w+)[^}]*}", odd, path) for odd in ODD]
        plain = re.sub(r"{(\w+)[^}]*}", lambda m: scene.slug if m[1] == "slug" else "1", path)
        addresses += [plain + query for query in QUERIES]
        for address in dict.fromkeys(addresses):
            response = client.get(address)
            if response.status_code >= 500:
                broken.append((address[:80], response.status_code))
    assert broken == []
