"""Heavy packages, loaded when a worker first needs them, whichever of its threads is first.

transformers puts another module in its own place while it is loaded. An import statement in a second thread meanwhile
gets the module that is replaced, which has no models: so a dry run could make a round fail that started beside it.
``import_module`` looks again once the first thread is through.
"""

import importlib
from typing import Any

from app.errors import Unavailable


def load(name: str, what: str) -> Any:
    """The package ``name``, whole. Raises Unavailable, saying that ``what`` the worker's packages."""
    try:
        importlib.import_module("torch")
        return importlib.import_module(name)
    except ImportError as error:
        raise Unavailable(f"{what} the worker's packages: pip install 'linecall[worker]'") from error
