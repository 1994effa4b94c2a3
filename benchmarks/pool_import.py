"""How long an import takes, how much memory, and how long each of its transactions keeps answers waiting.

    python -m benchmarks.pool_import --rows 100000 --format csv
    python -m benchmarks.pool_import --rows 100000 --format jsonl --database postgresql://…

Prints one JSON object. Seconds and memory are those of a whole child process that starts Python, imports one file
and ends; making the file and the tables is not counted.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = ("you", "will", "never", "believe", "what", "this", "council", "did", "about", "its", "new", "road", "budget")


def write_file(path: Path, rows: int, format_: str) -> None:
    rng = random.Random(0)
    records = (
        {"id": f"row-{i}", "text": " ".join(rng.choices(WORDS, k=10)) + f" {i}", "topic": rng.choice(WORDS)}
        for i in range(rows)
    )
    if format_ == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(records)), path)
        return
    with path.open("w", newline="", encoding="utf-8") as stream:
        if format_ == "jsonl":
            stream.writelines(json.dumps(record) + "\n" for record in records)
            return
        writer = csv.DictWriter(stream, ["id", "text", "topic"])
        writer.writeheader()
        writer.writerows(records)


def prepare(url: str, store_url: str, path: Path) -> int:
    from app.db.engine import Database
    from app.db.tables import Base, Project
    from app.ml.artifacts import ArtifactStore
    from app.services import pool

    db, store = Database(url), ArtifactStore(store_url)
    with path.open("rb") as stream, db.write() as session:
        Base.metadata.create_all(session.connection())
        project = Project(slug=f"bench-{time.time_ns()}", name="Bench", labels=["no", "yes"], settings={})
        session.add(project)
        session.flush()
        mapping = {"text": "text", "id": "id", "meta": ["topic"]}
        job = pool.create_import(session, store, project.id, path.name, stream, mapping)
        return job.id


def child(url: str, store_url: str, import_id: int) -> None:
    from app.db.engine import Database
    from app.ml.artifacts import ArtifactStore
    from app.services import pool

    db = Database(url)
    waits: list[float] = []
    plain = db.run_write

    def timed(work):
        began = time.perf_counter()
        try:
            return plain(work)
        finally:
            waits.append(time.perf_counter() - began)

    db.run_write = timed
    job = pool.run_import(db, ArtifactStore(store_url), import_id)
    waits.sort()
    figures = {
        "state": job.state,
        "added": job.rows_added,
        "transactions": len(waits),
        "transaction_ms_median": round(1000 * waits[len(waits) // 2], 1),
        "transaction_ms_longest": round(1000 * waits[-1], 1),
        "peak_rss_mb": peak_rss_mb(),
    }
    print(json.dumps(figures))


def peak_rss_mb() -> int:
    """Linux only; unlike getrusage it does not count the parent's memory from before the exec."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--format", choices=["csv", "jsonl", "parquet"], default="csv")
    parser.add_argument("--database", default="", help="SQLAlchemy URL; SQLite in a temporary folder by default")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], arguments.child[1], int(arguments.child[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pool.{arguments.format}"
        write_file(path, arguments.rows, arguments.format)
        url, store_url = arguments.database or f"sqlite:///{folder}/bench.sqlite", f"{folder}/store"
        import_id = prepare(url, store_url, path)
        command = [sys.executable, "-m", "benchmarks.pool_import", "--child", url, store_url, str(import_id)]
        began = time.perf_counter()
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds = round(time.perf_counter() - began, 2)
    print(json.dumps({"rows": arguments.rows, "format": arguments.format, "seconds": seconds, **json.loads(answer)}))


if __name__ == "__main__":
    main()
