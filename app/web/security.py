"""What stands between a browser and the routes: cookies, forgery protection, sign-in limits and headers."""

import hmac
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.config import Settings
from app.errors import Forbidden, InvalidInput, LinecallError, NotFound
from app.services import accounts

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
MOST_SIGNED_OUT_BYTES = 256 * 1024  # nobody without an account can make the server store or parse more

# The sign-in form may have been loaded before another tab signed in or out; the origin check still guards it.
_WITHOUT_TOKEN = frozenset({"/sign-in"})


class TooManyAttempts(LinecallError):
    status = 429


# --- cookies -------------------------------------------------------------------------------------------------------


def session_cookie_name(settings: Settings) -> str:
    """With the prefix, a browser takes the cookie only over HTTPS and from this very host."""
    return "__Host-linecall" if settings.cookies_are_secure else "linecall"


def set_session_cookie(response: Response, settings: Settings, token: str) -> None:
    response.set_cookie(
        session_cookie_name(settings),
        token,
        max_age=settings.session_days * 86_400,
        path="/",
        secure=settings.cookies_are_secure,
        httponly=True,
        samesite="lax",
    )


def clear_session_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        session_cookie_name(settings), path="/", secure=settings.cookies_are_secure, httponly=True, samesite="lax"
    )


def session_token(request: Request) -> str | None:
    return request.cookies.get(session_cookie_name(request.app.state.settings)) or None


def bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


# --- forgery protection --------------------------------------------------------------------------------------------


def csrf_token(token: str) -> str:
    """A token for forms, bound to the sign-in ``token``. Fresh salt each time, so compression cannot leak it."""
    salt = secrets.token_bytes(blake2b.SALT_SIZE)
    return salt.hex() + _csrf_digest(token, salt)


def csrf_token_is_valid(sent: str, token: str) -> bool:
    salt_hex, digest = sent[: 2 * blake2b.SALT_SIZE], sent[2 * blake2b.SALT_SIZE :]
    try:
        salt = bytes.fromhex(salt_hex)
    except ValueError:
        return False
    if len(salt) != blake2b.SALT_SIZE or not digest.isascii():
        return False
    return hmac.compare_digest(digest, _csrf_digest(token, salt))


def _csrf_digest(token: str, salt: bytes) -> str:
    key = blake2b(token.encode(), digest_size=32).digest()
    return blake2b(key=key, salt=salt, person=b"linecall-csrf", digest_size=32).hexdigest()


LARGEST_ID = 2**31 - 1  # Postgres refuses more in a column of that type


async def refuse_odd_address(request: Request) -> None:
    """A dependency of every route: raises NotFound for an address that names what no database can hold."""
    for value in request.path_params.values():
        text = str(value)
        if "\x00" in text or _is_too_large(text):
            raise NotFound("There is no such page.")
    for name, text in request.query_params.multi_items():
        if "\x00" in name or "\x00" in text:
            raise InvalidInput("A NUL character can't be looked for.", field=name.replace("\x00", ""))
        if name in _POSITIONS and _is_too_large(text):
            raise InvalidInput("That number is out of range.", field=name)


def _is_too_large(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None and abs(int(text[:20])) > LARGEST_ID


_POSITIONS = ("after", "before")  # where a page goes on


async def refuse_forgery(request: Request) -> None:
    """A dependency of every route: raises Forbidden for an unsafe request that another site may have caused.

    A bearer request is exempt: no site can make a browser send that header, and its cookies are ignored.
    """
    if request.method in SAFE_METHODS or bearer_token(request) is not None:
        return
    if not _comes_from_here(request):
        raise Forbidden("This request came from another site and was refused.")
    token = session_token(request)
    if token is None or request.url.path in _WITHOUT_TOKEN:
        return
    sent = request.headers.get(CSRF_HEADER) or await _form_token(request)
    if not csrf_token_is_valid(sent, token):
        raise Forbidden("This page is out of date. Go back, reload it and try again.")


def _comes_from_here(request: Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True  # not a present-day browser; the token decides
    ours = {request.headers.get("Host", ""), urlsplit(request.app.state.settings.resolved_base_url).netloc}
    return urlsplit(origin).netloc in ours - {""}


async def _form_token(request: Request) -> str:
    if not is_form(request):
        return ""
    value = (await request.form()).get(CSRF_FIELD, "")
    return value if isinstance(value, str) else ""


def is_form(request: Request) -> bool:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in ("application/x-www-form-urlencoded", "multipart/form-data")


def safe_next(target: str | None, default: str = "/") -> str:
    """``target`` if it is a path on this site, else ``default``: no link sends people elsewhere after sign-in."""
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return default
    return target if target.isprintable() and not urlsplit(target).netloc else default


# --- sign-in limit -------------------------------------------------------------------------------------------------


class SignInLimit:
    """At most ``attempts`` failed sign-ins for one network address and e-mail address within ``seconds``.

    Kept in this process: several web processes each allow as many, and a restart forgets. It slows guessing down;
    what stops it is the password's length.
    """

    _MOST_KEYS = 10_000  # the oldest are forgotten first, so nobody can fill the memory

    def __init__(self, attempts: int = 8, seconds: float = 600, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts, self._seconds, self._clock = attempts, seconds, clock
        self._failed: dict[bytes, deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, address: str, email: str) -> None:
        """Raises TooManyAttempts."""
        with self._lock:
            failed = self._recent(_attempt_key(address, email))
            if len(failed) < self._attempts:
                return
            minutes = int((failed[0] + self._seconds - self._clock()) // 60) + 1
        if minutes == 1:
            raise TooManyAttempts("Too many attempts. Try again in a minute, or ask an admin for a sign-in link.")
        raise TooManyAttempts(
            "Too many attempts. Try again in %(n)s minutes, or ask an admin for a sign-in link.", values={"n": minutes}
        )

    def failed(self, address: str, email: str) -> None:
        key = _attempt_key(address, email)
        with self._lock:
            failed = self._recent(key)
            failed.append(self._clock())
            self._failed.pop(key, None)
            self._failed[key] = failed  # now the youngest
            if len(self._failed) > self._MOST_KEYS:
                del self._failed[next(iter(self._failed))]

    def succeeded(self, address: str, email: str) -> None:
        with self._lock:
            self._failed.pop(_attempt_key(address, email), None)

    def _recent(self, key: bytes) -> deque[float]:
        failed = self._failed.get(key, deque(maxlen=self._attempts))
        while failed and failed[0] <= self._clock() - self._seconds:
            failed.popleft()
        return failed


def _attempt_key(address: str, email: str) -> bytes:
    """A digest, because what is typed as an e-mail address may be as long as a request."""
    typed = f"{address}\n{email.strip().lower()}"
    return blake2b(typed.encode(errors="surrogatepass"), digest_size=16).digest()


# --- middleware ----------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",  # no inline scripts and no eval: charts run on vega's interpreter
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not no-referrer: with that, browsers send "Origin: null" with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
    "Cache-Control": "no-store",  # pages hold other people's texts; static files say otherwise
}


def add_headers(headers: MutableHeaders, *, https: bool) -> None:
    """What every response carries, unless its route set that header itself."""
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if https:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")


class SecurityHeaders:
    """Adds the headers to every response but the last-resort error page, which adds them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        https = _settings(scope).cookies_are_secure

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(MutableHeaders(scope=message), https=https)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Ends a request whose body is larger than this server takes, before anything parses it.

    What a form parser would write to disk for somebody without an account is bounded far lower. Only a body above
    that bound makes us look whether the cookie or the token is anybody's: a made-up one lifts nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        limit = _settings(scope).max_upload_mb * 1024 * 1024
        most = min(limit, MOST_SIGNED_OUT_BYTES)
        announced, received = _announced(request), 0

        async def counted() -> Message:
            nonlocal received, most
            message = await receive()
            received += len(message.get("body", b""))
            size = max(announced, received)
            if most < size <= limit and await run_in_threadpool(_is_somebody, request):
                most = limit
            if size > most:
                # An HTTPException, because FastAPI turns any other error that reading raises into "400".
                raise HTTPException(413, f"The request is larger than the {_size(most)} that are allowed.")
            return message

        await self._app(scope, counted, send)


def _settings(scope: Scope) -> Settings:
    settings: Settings = scope["app"].state.settings
    return settings


def _announced(request: Request) -> int:
    length = request.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else 0


def _is_somebody(request: Request) -> bool:
    bearer, token = bearer_token(request), session_token(request)
    with request.app.state.database.read() as session:
        if bearer is not None:
            return accounts.resolve_api_token(session, bearer) is not None
        return token is not None and accounts.resolve_session(session, token) is not None


def _size(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size // 2**10} kB"
