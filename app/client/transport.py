"""Requests to ``/api/v1``: the token, what an error says, and which calls may be sent again."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx

Upload = Path | tuple[str, bytes | BinaryIO]
"""A file on disk, or a name with what is in it."""

_BUSY = (429, 503)
_LONGEST_WAIT = 30.0  # seconds, whatever Retry-After asks for
_LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)


class ApiError(Exception):
    """An answer that is no success: its ``status``, the API's sentence ``error``, and ``detail``, which says where."""

    def __init__(self, status: int, error: str, detail: Any = None) -> None:
        super().__init__(f"{status}: {error}")
        self.status, self.error, self.detail = status, error, detail


class Download:
    """A file as it is being sent: save it, or read its pieces in a ``with`` block."""

    def __init__(self, opens: Callable[[], AbstractContextManager[httpx.Response]]) -> None:
        self._opens = opens
        self._open: AbstractContextManager[httpx.Response] | None = None

    def __enter__(self) -> Iterator[bytes]:
        self._open = self._opens()
        response = self._open.__enter__()
        try:
            if not response.is_success:
                response.read()
                raise error_of(response)
        except BaseException:
            self._open.__exit__(None, None, None)
            raise
        return response.iter_bytes()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.__exit__(kind, error, trace)
            self._open = None

    def save(self, path: str | Path) -> Path:
        """``path`` is written whole or not at all."""
        path = Path(path)
        with self as pieces, NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            part = Path(file.name)
            try:
                for piece in pieces:
                    file.write(piece)
                file.close()
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return path


class Transport:
    """``attempts`` in all for what may be sent again; the first pause is ``pause`` seconds, the next twice it."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, */*;q=0.5"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, transport=transport)
        self._attempts, self._pause = attempts, pause

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        again: bool = False,
    ) -> Any:
        """What the answer holds: JSON parsed, text as it is, nothing as None.

        ``again`` is for calls that change nothing, or nothing more when they arrive twice. Raises ApiError, or httpx's
        own error when there was no answer.
        """
        request = self._http.build_request(method, path, params=_sent(query), json=body)
        return _content(self._answer(request, self._attempts if again else 1))

    def upload(self, path: str, *, file: Upload, fields: Mapping[str, str]) -> Any:
        """A file with form fields. It is sent once: the server may have taken what seemed to fail."""
        if isinstance(file, Path):
            with file.open("rb") as stream:
                return self.upload(path, file=(file.name, stream), fields=fields)
        request = self._http.build_request("POST", path, data=dict(fields), files={"file": file})
        return _content(self._answer(request, 1))

    def download(self, path: str, *, query: Mapping[str, Any] | None = None) -> Download:
        return Download(lambda: self._http.stream("GET", path, params=_sent(query)))

    def _answer(self, request: httpx.Request, attempts: int) -> httpx.Response:
        pause = self._pause
        for left in range(attempts - 1, -1, -1):
            try:
                response = self._http.send(request)
            except _LOST:
                if not left:
                    raise
                asked = 0.0
            else:
                if response.status_code not in _BUSY or not left:
                    return response
                asked = _retry_after(response)
            time.sleep(min(max(pause, asked), _LONGEST_WAIT))
            pause *= 2
        raise ValueError("There must be at least one attempt.")


def segment(value: object) -> str:
    """For one part of an address, whatever characters it has."""
    return quote(str(value), safe="")


def error_of(response: httpx.Response) -> ApiError:
    try:
        said = response.json()
    except ValueError:
        said = None
    if isinstance(said, dict) and isinstance(said.get("error"), str):
        return ApiError(response.status_code, said["error"], said.get("detail"))
    return ApiError(response.status_code, f"The server answered {response.reason_phrase or 'with an error'}.")


def _content(response: httpx.Response) -> Any:
    if not response.is_success:
        raise error_of(response)
    if not response.content:
        return None
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    return response.json() if is_json else response.text


def _sent(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _retry_after(response: httpx.Response) -> float:
    """Seconds; a date, which our server never sends, counts as none."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else 0.0
