"""What every pre-labeller offers, and how one is built from a project's settings."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import Unavailable
from app.ml.prelabel.configs import FewShotConfig, LocalLlmConfig, ModelConfig, parse_config

Embeddings = NDArray[np.float32] | NDArray[np.float16]
Progress = Callable[[int, int], None]
"""Called with (done, total) in the calling thread; may raise to stop."""


@dataclass(frozen=True)
class Score:
    """One answer: ``scores`` is float32 of shape (labels,), summing to 1, or None if the answer couldn't be parsed.

    ``raw`` is the model's own words, where it gave any.
    """

    scores: NDArray[np.float32] | None
    raw: str | None = None


OnScore = Callable[[int, Score], None]
"""Called with (index into texts, its score) in the calling thread, as soon as the answer is there. Whoever stores the
answers here keeps all that was finished, and paid for, when the rest is cancelled, capped or fails."""


@dataclass(frozen=True)
class Runtime:
    """What the machine, rather than the project, decides.

    ``api_key`` goes only to addresses below ``api_key_url``, and nowhere without it: a project's admin chooses the
    address that is called, and must not be able to have the operator's key sent to one of their own. Unless there are
    ``private_addresses``, theirs must also lie outside of the operator's network.

    ``trained`` finds a trained model by project, version and the labels that are wanted: that takes the database.
    """

    cache_dir: Path
    threads: int = 1
    api_key: str = field(default="", repr=False)
    api_key_url: str = ""
    private_addresses: bool = False
    trained: "Callable[[str, int, Sequence[str]], Prelabeller] | None" = field(default=None, repr=False)


@dataclass
class Usage:
    """What the answers have cost so far. Tokens and cost are as the server reports them; a request whose answer never
    came is counted at the most that it can have cost."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    unparsable: int = 0


class Prelabeller(Protocol):
    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON-serialisable: all that the answer to a text depends on, and no secret."""

    def score(
        self,
        texts: Sequence[str],
        *,
        embeddings: Embeddings | None = None,
        progress: Progress | None = None,
        on_score: OnScore | None = None,
    ) -> list[Score]:
        """One score per text, in order.

        ``embeddings`` are unit rows of shape (texts, dim) of the encoder that the project uses; a provider that needs
        none ignores them.
        """


def cache_key(identity: Mapping[str, Any], text: str) -> bytes:
    """32 bytes that change with the model, the prompt or the text."""
    canonical = json.dumps([identity, text], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def build_prelabeller(
    config: Mapping[str, Any],
    labels: Sequence[str],
    guideline_text: str,
    examples: Mapping[str, Sequence[str]],
    runtime: Runtime,
    *,
    spent: Usage | None = None,
) -> Prelabeller:
    """The provider that ``config["provider"]`` names; no model is loaded before the first score.

    ``spent`` is what an earlier, interrupted run has used, so that a cap holds over both. Raises InvalidInput for a
    wrong setting, or where examples are needed and missing.
    """
    parsed = parse_config(config)
    if isinstance(parsed, FewShotConfig):
        from app.ml.prelabel.few_shot import FewShotPrelabeller

        return FewShotPrelabeller(parsed, labels, examples, runtime)
    if isinstance(parsed, ModelConfig):
        if runtime.trained is None:
            raise Unavailable("Only a worker can pre-label with a trained model.")
        return runtime.trained(parsed.project, parsed.version, labels)

    from app.ml.prelabel.prompt import build_prompt

    prompt = build_prompt(guideline_text, labels, examples, max_examples=parsed.max_examples)
    if isinstance(parsed, LocalLlmConfig):
        from app.ml.prelabel.local_llm import LocalLlmPrelabeller

        return LocalLlmPrelabeller(parsed, prompt, runtime)

    from app.ml.prelabel.remote_llm import RemoteLlmPrelabeller

    return RemoteLlmPrelabeller(parsed, prompt, runtime, spent=spent)
