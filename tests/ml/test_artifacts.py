import io
import subprocess
import sys
import uuid

import pytest

from app.errors import InvalidInput, NotFound
from app.ml.artifacts import ArtifactStore, write_atomically


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    if request.param == "file":
        return ArtifactStore(f"file://{tmp_path / 'artifacts'}")
    return ArtifactStore(f"memory://{uuid.uuid4().hex}")


def test_what_is_put_is_got_back(store, tmp_path):
    store.put_bytes("models/1/head.json", b"{}")
    (tmp_path / "source").write_bytes(b"weights" * 1000)
    store.put_file("models/1/model.safetensors", tmp_path / "source")
    assert store.get_bytes("models/1/head.json") == b"{}"
    with store.open_read("models/1/model.safetensors") as stream:
        assert stream.read(7) == b"weights"
    assert store.exists("models/1/head.json")
    assert not store.exists("models/1")
    assert store.list("models") == ["models/1/head.json", "models/1/model.safetensors"] == store.list()


def test_listing_a_folder_leaves_out_its_namesakes_and_an_absent_one_is_empty(store):
    store.put_bytes("a/1", b"x")
    store.put_bytes("ab/1", b"x")
    assert store.list("a") == ["a/1"]
    assert store.list("nothing") == []


def test_writing_again_replaces_and_leaves_no_other_object(store):
    store.put_bytes("k", b"one")
    store.put_bytes("k", b"two")
    assert store.get_bytes("k") == b"two"
    assert store.list() == ["k"]


def test_a_missing_object_is_not_found(store, tmp_path):
    for call in (lambda: store.get_bytes("no"), lambda: store.local_path("no", tmp_path)):
        with pytest.raises(NotFound):
            call()
    with pytest.raises(NotFound):
        store.local_folder("no", tmp_path)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "a/.", ".hidden", "a\\b", "c:/x", "a/"]
)
def test_a_key_that_could_leave_the_store_is_refused(store, key):
    with pytest.raises(InvalidInput):
        store.put_bytes(key, b"x")
    with pytest.raises(InvalidInput):
        store.get_bytes(key)


def test_a_local_object_is_its_own_local_path_and_a_remote_one_is_downloaded_once(tmp_path):
    local = ArtifactStore(str(tmp_path / "artifacts"))
    local.put_bytes("a/b", b"x")
    assert local.local_path("a/b", tmp_path / "cache") == tmp_path / "artifacts" / "a" / "b"
    assert not (tmp_path / "cache").exists()
    remote = ArtifactStore(f"memory://{uuid.uuid4().hex}")
    remote.put_bytes("a/b", b"x")
    first = remote.local_path("a/b", tmp_path / "cache")
    stamp = first.stat().st_mtime_ns
    assert first.read_bytes() == b"x"
    assert remote.local_path("a/b", tmp_path / "cache").stat().st_mtime_ns == stamp
    assert remote.local_folder("a", tmp_path / "cache") == first.parent


def test_a_write_that_breaks_off_leaves_the_old_object_and_no_litter(tmp_path):
    class Breaks(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the network went away")

    target = tmp_path / "store" / "k"
    write_atomically(target, io.BytesIO(b"old"))
    with pytest.raises(OSError, match="network"):
        write_atomically(target, Breaks())
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["k"]


def test_an_unknown_kind_of_store_is_refused_in_plain_words():
    with pytest.raises(InvalidInput, match="nosuch://"):
        ArtifactStore("nosuch://bucket")


def test_a_folder_store_costs_the_web_process_no_heavy_import(tmp_path):
    code = (
        "import sys; from app.ml.artifacts import ArtifactStore;"
        f"ArtifactStore({str(tmp_path)!r}).put_bytes('a', b'b');"
        "assert not {'fsspec', 'numpy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
