"""The client itself: every operation of the API, for one person's token."""

from types import TracebackType
from typing import Any, Self

from app.client.operations import Operations
from app.client.transport import Transport


class Linecall(Operations):
    """``Linecall("https://linecall.example.org", "lc_…")``; closes its connections at the end of a ``with`` block."""

    def __init__(self, base_url: str, token: str, **options: Any) -> None:
        """``options`` are those of Transport: ``timeout``, ``attempts``, ``pause``, ``transport``."""
        super().__init__(Transport(base_url, token, **options))

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
