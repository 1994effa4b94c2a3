"""A package that puts another module in its own place while it loads, as transformers does, and two threads."""

import subprocess
import sys

import pytest

from app.errors import Unavailable
from app.ml import heavy

PACKAGE = """
import sys, time, types
time.sleep(0.3)
whole = types.ModuleType(__name__)
whole.AutoModel = object
sys.modules[__name__] = whole
"""
RACE = """
import sys, threading
from app.ml import heavy
found, ready = [], threading.Barrier(2)
def ask():
    ready.wait()
    found.append(hasattr(heavy.load("swaps_itself", "It needs"), "AutoModel"))
threads = [threading.Thread(target=ask) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(found)
"""


def test_two_threads_that_ask_at_once_both_get_the_whole_package(tmp_path):
    (tmp_path / "swaps_itself.py").write_text(PACKAGE)
    (tmp_path / "torch.py").write_text("")
    run = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{RACE}"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[True, True]"


def test_a_package_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(Unavailable, match="Encoders need the worker's packages"):
        heavy.load("no_such_package_at_all", "Encoders need")
