"""A cap on calls and cost that holds however many requests are under way."""

import threading

from app.errors import LinecallError
from app.ml.prelabel.base import Usage
from app.ml.prelabel.configs import RemoteLlmConfig


class CapReached(LinecallError):
    """The next request might exceed the cap, so it was not sent. What was answered before has been handed over."""

    status = 409


class Budget:
    """Every request first reserves the most that it can cost; the reservation is replaced by the real figure after.

    A byte-level tokenizer makes at most one token of a byte, which bounds the prompt. Where a server counts more than
    that (a hidden system prompt), later bounds grow in proportion.
    """

    def __init__(self, config: RemoteLlmConfig, usage: Usage) -> None:
        self.usage = usage
        self._config = config
        self._reserved = 0.0
        self._under_way = 0
        self._excess = 1.0
        self._changed = threading.Condition()

    def reserve(self, input_bound: int, output_bound: int) -> float:
        """The cost reserved. Waits while requests under way may yet turn out cheaper; raises CapReached."""
        with self._changed:
            while True:
                cost = self._config.price(round(input_bound * self._excess), round(output_bound * self._excess))
                if self._config.max_calls is not None and self.usage.calls >= self._config.max_calls:
                    raise CapReached(f"The cap of {self._config.max_calls} calls is reached.", cap="max_calls")
                if self._affordable(cost):
                    break
                if self._under_way == 0:
                    raise CapReached(self._cost_message(), cap="max_cost", spent=self.usage.cost)
                self._changed.wait()
            self.usage.calls += 1
            self._under_way += 1
            self._reserved += cost
            return cost

    def settle(self, reserved: float, bound: tuple[int, int], used: tuple[int, int] | None) -> None:
        """Replace a reservation by (input, output) tokens; None: unknown, so the bound counts; (0, 0): refused."""
        with self._changed:
            self._under_way -= 1
            self._reserved = self._reserved - reserved if self._under_way else 0.0
            inputs, outputs = bound if used is None else used
            self.usage.input_tokens += inputs
            self.usage.output_tokens += outputs
            self.usage.cost += reserved if used is None else self._config.price(inputs, outputs)
            self._excess = max(self._excess, inputs / max(1, bound[0]), outputs / max(1, bound[1]))
            self._changed.notify_all()

    def _affordable(self, cost: float) -> bool:
        limit = self._config.max_cost
        return limit is None or self.usage.cost + self._reserved + cost <= limit

    def _cost_message(self) -> str:
        spent = f"{self.usage.cost:.4g} is spent, and one more text might exceed it"
        return f"The cap of {self._config.max_cost:g} is reached: {spent}."
