import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """Kept between runs, because converting a model takes about a minute."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "linecall-tests"
