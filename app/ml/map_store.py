"""A boundary map's arrays in the artifact store: the projection, and the places of the items it was asked for.

Every name holds a digest of the content, so a repeated or overtaken step writes beside what is there and never over it.
That of the places also holds one of the texts: like embeddings, they may be of a pool that is there no more.
"""

import hashlib
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from app.ml.artifacts import ArtifactStore

_NAME = re.compile(r"places-(\d+)-[0-9a-f]{12}-([0-9a-f]{16})\.npy")


def save_projection(
    store: ArtifactStore, project_key: str, landmarks: npt.NDArray[Any], places: npt.NDArray[Any]
) -> str:
    """Keep landmarks (m, dim) and their places (m, 2) as float32; returns the artifact key."""
    from safetensors.numpy import save

    arrays = {"landmarks": landmarks, "places": places}
    data = save({name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()})
    key = f"maps/{project_key}/{hashlib.sha256(data).hexdigest()[:16]}/projection.safetensors"
    store.put_bytes(key, data)
    return key


def load_projection(store: ArtifactStore, key: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Landmarks and their places. Raises NotFound."""
    from safetensors.numpy import load

    arrays = load(store.get_bytes(key))
    return arrays["landmarks"], arrays["places"]


def save_places(store: ArtifactStore, projection_key: str, places: npt.NDArray[np.uint16], texts: str) -> None:
    """Keep the places (n, 2) of a pool's first n items, whose texts have this digest."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(places, dtype="<u2"), allow_pickle=False)
    data = buffer.getvalue()
    name = f"places-{len(places):010d}-{hashlib.sha256(data).hexdigest()[:12]}-{texts}.npy"
    store.put_bytes(f"{_folder(projection_key)}/{name}", data)


def load_places(
    store: ArtifactStore, projection_key: str, n: int, digest: Callable[[int, int], str | None]
) -> npt.NDArray[np.uint16]:
    """The places of the pool's first ``n`` items, or of as many of them as have been kept: none at worst. ``digest``
    is of the texts of a range of rows, as ``embedding_store.Texts`` has it."""
    found = ((key, _NAME.fullmatch(key.rpartition("/")[2])) for key in store.list(_folder(projection_key)))
    named = sorted((int(match[1]), key, match[2]) for key, match in found if match)
    kept = [(size, key) for size, key, texts in named if digest(0, size) == texts]
    if not kept:
        return np.empty((0, 2), dtype=np.uint16)
    best = next((key for size, key in kept if size >= n), kept[-1][1])
    places: npt.NDArray[np.uint16] = np.load(io.BytesIO(store.get_bytes(best)), allow_pickle=False)
    return places[:n]


def _folder(projection_key: str) -> str:
    return projection_key.rpartition("/")[0]
