"""A small OpenID Connect provider, as a process of its own: discovery, authorization code with PKCE, RS256 tokens.

Who is signed in there, and what it does wrong, is set with ``PUT /test/person``: claims that replace those of the next
ID token, ``"key": "other"`` to sign with a key that it does not publish, ``"iss"`` in ``"callback"`` and the like.
Run: ``python -m tests.oidc_provider PORT``.
"""

import base64
import hashlib
import os
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import uvicorn
from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "linecall-test", "a secret of the test's client, long enough"


def create_app(issuer: str) -> FastAPI:
    app = FastAPI()
    key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    other = RSAKey.generate_key(2048, {"kid": "one"})
    codes: dict[str, dict[str, str]] = {}
    person: dict[str, Any] = {}

    @app.put("/test/person")
    async def set_person(request: Request):
        person.clear()
        person.update(await request.json())
        return {}

    @app.get("/.well-known/openid-configuration")
    def discovery():
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    @app.get("/jwks")
    def jwks():
        return {"keys": [key.as_dict(private=False)]}

    @app.get("/authorize")
    def authorize(request: Request):
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        if person.get("form"):
            hidden = "".join(f'<input type="hidden" name="{k}" value="{escape(v)}">' for k, v in asked.items())
            return HTMLResponse(f'<form method="post">{hidden}<button>Let me in</button></form>')
        return _answer(asked)

    @app.post("/authorize")
    async def confirm(request: Request):
        return _answer({name: str(value) for name, value in (await request.form()).items()})

    def _answer(asked: dict[str, str]):
        if person.get("denied"):
            answer = {"error": "access_denied"}
        else:
            code = secrets.token_urlsafe(16)
            codes[code] = asked
            answer = {"code": code}
        answer |= {"state": asked["state"], "iss": issuer} | person.get("callback", {})
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 303)

    @app.post("/token")
    def token(
        request: Request,
        code: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
        grant_type: Annotated[str, Form()],
    ):
        sent = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        if sent != f"{CLIENT}:{SECRET}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = codes.pop(code, None)
        digest = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
        if grant_type != "authorization_code" or asked is None or asked["redirect_uri"] != redirect_uri:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if asked["code_challenge"] != digest:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "id_token": _id_token(asked)}

    def _id_token(asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= person.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        signed_with = person.get("key", "published")
        if signed_with == "secret":
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, other if signed_with == "other" else key)

    return app


class RunningProvider:
    """The process, and what a test says to it."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self._process = process

    def person(self, subject: str = "", email: str = "", *, verified: bool = True, **more: Any) -> None:
        claims = {"sub": subject, "email": email, "email_verified": verified, "name": "Ana Sousa"}
        claims |= more.pop("claims", {})
        httpx.put(f"{self.issuer}/test/person", json={"claims": claims, **more}).raise_for_status()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def running(port: int):
    """The provider on that port of this machine, once it answers."""
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "tests.oidc_provider", str(port)]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    provider = RunningProvider(port, process)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{provider.issuer}/jwks")
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        yield provider
    finally:
        provider.stop()


if __name__ == "__main__":
    own_port = int(sys.argv[1])
    uvicorn.run(create_app(f"http://127.0.0.1:{own_port}"), port=own_port, log_level="warning")
