"""The single sign-on provider, spoken to as OpenID Connect says: discovery, authorization code with PKCE, ID token.

Everything of Authlib's is imported inside the functions: without single sign-on, nobody waits for it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.config import Settings
from app.errors import Forbidden, Unavailable
from app.services.accounts import new_secret
from app.services.identities import Identity

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

SCOPES = "openid email profile"
LEEWAY_SECONDS = 60  # that our clock and the provider's may differ
_TIMEOUT_SECONDS = 10.0
_METADATA_SECONDS = 600.0
# Keys that only the provider has. Without this list, a token "signed" with the client secret, or not at all, might do.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})


@dataclass(frozen=True)
class Attempt:
    """What this server must remember between sending a browser to the provider and its return."""

    state: str
    nonce: str
    verifier: str
    target: str  # the page to see next
    invitation: str = ""  # the token of the invitation that is accepted in this way

    @classmethod
    def new(cls, target: str, invitation: str = "") -> "Attempt":
        return cls(new_secret(), new_secret(), new_secret(), target, invitation)

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Provider:
    """One provider, by its issuer. Its description is read at the first sign-in and every ten minutes; its keys at
    each, so that a key which it has withdrawn is not trusted."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret.get_secret_value()
        self._redirect_uri = f"{settings.resolved_base_url}/sso/callback"
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, Any]] | None = None

    def address(self, attempt: Attempt) -> str:
        """Where to send the browser. Raises Unavailable."""
        metadata = self._metadata()
        with self._client(metadata) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(url)

    def identify(self, attempt: Attempt, code: str, issuer: str | None) -> Identity:
        """Who came back with ``code``. Raises Unavailable, or Forbidden when what the provider says can't be trusted.

        ``issuer`` is what the address of the return names (RFC 9207): an answer of another provider is refused.
        """
        metadata = self._metadata()
        named = issuer is not None or metadata.get("authorization_response_iss_parameter_supported") is True
        if named and issuer != self._issuer:
            raise Forbidden("The answer came from another sign-in service and was refused.")
        with self._client(metadata) as client, _plain_errors():
            token = client.fetch_token(metadata["token_endpoint"], code=code, code_verifier=attempt.verifier)
            keys = _json(client.request("GET", metadata["jwks_uri"], withhold_token=True))
        with _plain_errors():
            return _identity(self._claims(dict(token), keys, metadata, attempt.nonce))

    def _claims(
        self, token: dict[str, Any], keys: dict[str, Any], metadata: dict[str, Any], nonce: str
    ) -> dict[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.jwk import KeySet
        from joserfc.jws import JWSRegistry

        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = JWSRegistry(algorithms=sorted(_ALGORITHMS & set(offered)), strict_check_header=False)
        if "id_token" not in token:
            raise Forbidden("The sign-in service sent no ID token.")
        decoded = jwt.decode(token["id_token"], KeySet.import_key_set(keys), registry=registry)  # type: ignore[arg-type]
        wanted = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._client_id},
            "sub": {"essential": True},
        }
        about = {"nonce": nonce, "client_id": self._client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, wanted, about)
        claims.validate(leeway=LEEWAY_SECONDS)
        return dict(claims)

    def _metadata(self) -> dict[str, Any]:
        with self._lock:
            if self._known is None or self._known[0] < time.monotonic() - _METADATA_SECONDS:
                self._known = time.monotonic(), self._discover()
            return self._known[1]

    def _discover(self) -> dict[str, Any]:
        import httpx

        with _plain_errors():
            address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            found = _json(httpx.get(address, timeout=_TIMEOUT_SECONDS))
        if found.get("issuer") != self._issuer:
            raise Unavailable("Single sign-on is not set up rightly: the service calls itself something else.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _may_be_trusted(found.get(name), self._issuer):
                raise Unavailable(f"Single sign-on is not set up rightly: the service's {name} is not usable.")
        return found

    def _client(self, metadata: dict[str, Any]) -> "OAuth2Client":
        from authlib.integrations.httpx_client import OAuth2Client

        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = "client_secret_basic" in methods
        return OAuth2Client(
            client_id=self._client_id,
            client_secret=self._secret,
            token_endpoint_auth_method="client_secret_basic" if basic else "client_secret_post",
            scope=SCOPES,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_SECONDS,
        )


def _may_be_trusted(url: object, issuer: str) -> bool:
    """HTTPS, unless the issuer itself is not (which settings allow on this machine only)."""
    return isinstance(url, str) and urlsplit(url).scheme in {"https", urlsplit(issuer).scheme}


def _json(response: Any) -> dict[str, Any]:
    response.raise_for_status()
    found = response.json()
    if not isinstance(found, dict):
        raise Unavailable("The sign-in service's answer can't be read. Try again in a minute.")
    return found


def _identity(claims: dict[str, Any]) -> Identity:
    email, name = claims.get("email"), claims.get("name") or claims.get("preferred_username")
    return Identity(
        issuer=claims["iss"],
        subject=str(claims["sub"]),
        email=email if isinstance(email, str) else "",
        email_verified=claims.get("email_verified") is True,  # not "true": a provider that is sure says so
        name=name if isinstance(name, str) else "",
    )


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What goes wrong between two servers, in a sentence for the person who waits at the browser."""
    import httpx
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    try:
        yield
    except (httpx.TransportError, httpx.HTTPStatusError, httpx.InvalidURL) as error:
        raise Unavailable("The sign-in service can't be reached just now. Try again in a minute.") from error
    except AuthlibBaseError as error:  # it refused the code: used, expired, or not ours
        raise Forbidden("The sign-in service did not confirm who you are. Start again.") from error
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise Forbidden("What the sign-in service says about you can't be trusted. Start again.") from error
