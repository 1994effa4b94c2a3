"""Secrets that Linecall must be able to read again, encrypted under the installation's key.

The key is the setting ``secret_key``, or else a file in the data folder that is made when it is first needed and that
nobody but the account running Linecall may read. A copy of the database alone gives no secret away.
"""

import base64
import os
import secrets
from typing import TYPE_CHECKING

from app.config import Settings
from app.errors import Unavailable

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_FILE = "secret.key"


def seal(settings: Settings, secret: bytes) -> bytes:
    return _cipher(_key(settings)).encrypt(secret)


def unseal(settings: Settings, sealed: bytes) -> bytes:
    """Raises Unavailable when it was sealed under another key."""
    from cryptography.fernet import InvalidToken

    try:
        return _cipher(_key(settings)).decrypt(sealed)
    except InvalidToken as error:
        raise Unavailable(
            "The signing secret was stored under another key: give every process the same LINECALL_SECRET_KEY, "
            "or the data folder's secret.key as it was; else remove the webhook and add it again."
        ) from error


def _cipher(key: bytes) -> "Fernet":
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"linecall stored secrets")
    return Fernet(base64.urlsafe_b64encode(derive.derive(key)))


def _key(settings: Settings) -> bytes:
    if given := settings.secret_key.get_secret_value():
        return given.encode()
    path = settings.data_dir.absolute() / KEY_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails where another process was quicker: then its key is the one
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes().strip()
