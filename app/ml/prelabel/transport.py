"""One request to an OpenAI-compatible server, repeated with patience and within the budget."""

import json
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from app.errors import InvalidInput, Unavailable
from app.ml.prelabel.base import Runtime
from app.ml.prelabel.budget import Budget
from app.ml.prelabel.client import make_client
from app.ml.prelabel.configs import RemoteLlmConfig

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0  # seconds
_TEMPLATE_TOKENS = 64  # what a chat format may add around our two messages


class Stopped(Exception):
    """The run has ended for another reason; nobody waits for this answer."""


class Transport:
    def __init__(self, config: RemoteLlmConfig, runtime: Runtime, budget: Budget) -> None:
        self._config = config
        self._budget = budget
        self._client: OpenAI = make_client(config, runtime)
        self._random = random.Random()  # spreads repetitions in time; decides nothing
        self._not_before = 0.0  # monotonic: the server has asked everybody to wait until then
        self.stop = threading.Event()

    def send(self, request: Mapping[str, Any], max_tokens: int) -> "ChatCompletion":
        """The completion. Raises openai.APIStatusError for a lasting refusal, Unavailable when patience has run out,
        CapReached before the cap is exceeded, InvalidInput for an address that may not be called, and Stopped."""
        bound = (_byte_bound(request), max_tokens)
        for attempt in range(self._config.max_retries + 1):
            self._wait_until(self._not_before)
            completion, wait, reason = self._once(request, bound, attempt)
            if completion is not None:
                return completion
            if attempt < self._config.max_retries:
                self._wait_until(time.monotonic() + wait)
        raise Unavailable(f"The model server failed {self._config.max_retries + 1} times in a row: {reason}.")

    def _once(
        self, request: Mapping[str, Any], bound: tuple[int, int], attempt: int
    ) -> "tuple[ChatCompletion | None, float, str]":
        """(completion, 0, ""), or (None, seconds to wait, reason) after a passing failure."""
        import openai
        from openai.types.chat import ChatCompletion

        reserved = self._budget.reserve(*bound)
        used: tuple[int, int] | None = None
        try:
            completion = self._client.chat.completions.create(**request)
            if not isinstance(completion, ChatCompletion) or not completion.choices:
                return None, self._backoff(attempt), "its answer is not a chat completion"
            if completion.usage is not None:
                used = (completion.usage.prompt_tokens, completion.usage.completion_tokens)
            return completion, 0.0, ""
        except openai.APIStatusError as error:
            used = (0, 0)  # a request that was refused is not charged
            if error.status_code not in _PASSING:
                raise
            return None, self._asked_wait(error.response.headers, attempt), f"HTTP {error.status_code}"
        except (openai.APIConnectionError, openai.APIResponseValidationError, json.JSONDecodeError) as error:
            if isinstance(error.__cause__, InvalidInput):  # the client wraps what its connection raises
                used = (0, 0)
                raise error.__cause__ from None
            return None, self._backoff(attempt), type(error).__name__
        finally:
            self._budget.settle(reserved, bound, used)

    def _asked_wait(self, headers: Mapping[str, str], attempt: int) -> float:
        """What the server asks for, and a little more so that not all come back at once; else the backoff.

        Raises Unavailable if it asks for more patience than we have.
        """
        asked = retry_after(headers, datetime.now(UTC))
        if asked is None:
            return self._backoff(attempt)
        if asked > self._config.max_retry_wait_seconds:
            raise Unavailable(f"The model server asks to wait for {asked:.0f} s: try again later.")
        self._not_before = max(self._not_before, time.monotonic() + asked)
        return asked + self._random.uniform(0, min(1.0, 0.1 * asked))

    def _backoff(self, attempt: int) -> float:
        longest = min(_LONGEST_BACKOFF, self._config.max_retry_wait_seconds)
        return self._random.uniform(0.5, 1.0) * min(longest, _FIRST_BACKOFF * 2.0**attempt)

    def _wait_until(self, moment: float) -> None:
        if self.stop.wait(max(0.0, moment - time.monotonic())):
            raise Stopped


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date, RFC 9110 §10.2.3); None if neither
    is there or can be read."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "").strip()
        if not value:
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except ValueError:
        return None


def _byte_bound(request: Mapping[str, Any]) -> int:
    rest = {key: value for key, value in request.items() if key == "response_format"}
    words = "".join(message["content"] for message in request["messages"])
    return len(words.encode()) + (len(json.dumps(rest)) if rest else 0) + _TEMPLATE_TOKENS
