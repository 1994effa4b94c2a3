"""Fine-tuning engines: ``linear`` on embeddings, ``encoder`` on texts, ``lora`` on texts with a language model."""

import json

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers.base import (
    ConstantFitted,
    Engine,
    Examples,
    Fitted,
    PoolSample,
    Progress,
    Runtime,
    TrainingSet,
    draw_pool_rows,
)

__all__ = [
    "ENGINES",
    "Engine",
    "Examples",
    "Fitted",
    "PoolSample",
    "Progress",
    "Runtime",
    "TrainingSet",
    "draw_pool_rows",
    "engine",
    "load",
]

ENGINES = ("linear", "encoder", "lora")


def engine(name: str) -> Engine:
    """Raises InvalidInput for a name that is not in ENGINES."""
    if name == "linear":
        from app.ml.classifiers.linear import LinearEngine

        return LinearEngine()
    if name == "encoder":
        from app.ml.classifiers.encoder import EncoderEngine

        return EncoderEngine()
    if name == "lora":
        from app.ml.classifiers.lora import LoraEngine

        return LoraEngine()
    raise InvalidInput(f"There is no engine '{name}'; there are {', '.join(ENGINES)}.", field="engine")


def load(store: ArtifactStore, key: str, runtime: Runtime) -> Fitted:
    """What ``Fitted.save`` kept under ``key``. Raises NotFound, or InvalidInput for a kind this version can't read."""
    about = json.loads(store.get_bytes(f"{key}/fitted.json"))
    kind, threshold, metrics = about["kind"], about["threshold"], about["metrics"]
    if kind == "constant":
        return ConstantFitted(about["n_labels"], threshold, metrics)
    if kind == "linear":
        from app.ml.classifiers.linear import LinearFitted, load_head

        return LinearFitted(*load_head(store, f"{key}/head.safetensors"), threshold, metrics)
    if kind == "encoder":
        from app.ml.classifiers.encoder import EncoderFitted

        return EncoderFitted.load(store, key, threshold, metrics, runtime)
    if kind == "lora":
        from app.ml.classifiers.lora import LoraFitted

        return LoraFitted.load(store, key, threshold, metrics, runtime)
    raise InvalidInput(f"This version of Linecall can't read a model of kind '{kind}'.", field="kind")
