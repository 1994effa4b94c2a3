"""An encoder with a softmax over its unit vectors: the model that Linecall has trained, for transformers.

Loaded by ``AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)``. transformers' own
classification heads pool in other ways, so that they can't hold these weights.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class LinecallConfig(PretrainedConfig):  # type: ignore[misc]
    """``backbone`` is the encoder's own configuration; ``threshold`` applies to the second of two labels."""

    model_type = "linecall_encoder"

    def __init__(
        self,
        backbone: dict[str, Any] | None = None,
        pooling: str = "mean",
        max_tokens: int = 512,
        lower_case: bool = False,
        threshold: float | None = None,
        **others: Any,
    ) -> None:
        self.backbone = backbone or {}
        self.pooling, self.max_tokens, self.lower_case = pooling, max_tokens, lower_case
        self.threshold = threshold
        super().__init__(**others)


class LinecallForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    config_class = LinecallConfig

    def __init__(self, config: LinecallConfig) -> None:
        super().__init__(config)
        inner = AutoConfig.for_model(**config.backbone)
        self.backbone = AutoModel.from_config(inner)
        self.classifier = torch.nn.Linear(inner.hidden_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        """Every weight is in the file."""

    def forward(self, input_ids: Any, attention_mask: Any = None, labels: Any = None, **others: Any) -> Any:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden = self.backbone(input_ids=input_ids, attention_mask=mask).last_hidden_state
        vectors = torch.nn.functional.normalize(pool(hidden.float(), mask, self.config.pooling), dim=1)
        logits = self.classifier(vectors.to(self.classifier.weight.dtype))
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def pool(hidden: Any, mask: Any, pooling: str) -> Any:
    """(batch, tokens, dim) and (batch, tokens) to (batch, dim)."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1)
    if pooling == "max":
        return hidden.masked_fill(weights == 0, float("-inf")).amax(1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
