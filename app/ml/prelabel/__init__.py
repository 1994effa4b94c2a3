"""Pre-labellers: few-shot by embedding, a local language model, a remote one, a model trained by Linecall.

Importing this package loads no model library: each provider imports its own when it first scores.
"""

from app.ml.prelabel.base import (
    Embeddings,
    OnScore,
    Prelabeller,
    Progress,
    Runtime,
    Score,
    Usage,
    build_prelabeller,
    cache_key,
)
from app.ml.prelabel.configs import (
    FewShotConfig,
    LocalLlmConfig,
    ModelConfig,
    ProviderConfig,
    RemoteLlmConfig,
    parse_config,
)
from app.ml.prelabel.estimate import Estimate, estimate

__all__ = [
    "Embeddings",
    "Estimate",
    "FewShotConfig",
    "LocalLlmConfig",
    "ModelConfig",
    "OnScore",
    "Prelabeller",
    "Progress",
    "ProviderConfig",
    "RemoteLlmConfig",
    "Runtime",
    "Score",
    "Usage",
    "build_prelabeller",
    "cache_key",
    "estimate",
    "parse_config",
]
