"""A client of the JSON API. It needs httpx alone, and nothing of the server."""

from app.client.linecall import Linecall
from app.client.transport import ApiError, Download
from app.client.waiting import Stopped, wait_for_baseline, wait_for_dry_run, wait_for_import, wait_for_round

__all__ = [
    "ApiError",
    "Download",
    "Linecall",
    "Stopped",
    "wait_for_baseline",
    "wait_for_dry_run",
    "wait_for_import",
    "wait_for_round",
]
