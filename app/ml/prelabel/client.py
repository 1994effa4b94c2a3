"""The connection to a language model's server: where the operator's key may go, and which addresses may be called.

A project's admin chooses the address. The operator's key goes only to the address that the operator has set, and
another is called only over https and outside the network, unless a setting allows more.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from app.addresses import is_public, resolve
from app.errors import InvalidInput, Unavailable
from app.ml.prelabel.base import Runtime
from app.ml.prelabel.configs import RemoteLlmConfig

if TYPE_CHECKING:
    from openai import OpenAI


def is_operators(base_url: str, runtime: Runtime) -> bool:
    """Whether it is the address that the operator has set, or one below it."""
    if not runtime.api_key_url:
        return False
    home, address = urlsplit(runtime.api_key_url.rstrip("/") + "/"), urlsplit(base_url.rstrip("/") + "/")
    same = (home.scheme, home.hostname, home.port) == (address.scheme, address.hostname, address.port)
    climbs = ".." in unquote(address.path) or "\\" in unquote(address.path)
    return same and not climbs and "@" not in address.netloc and address.path.startswith(home.path)


def key_for(base_url: str, runtime: Runtime) -> str:
    """The operator's key, if it belongs to this address."""
    return runtime.api_key if is_operators(base_url, runtime) else ""


def make_client(config: RemoteLlmConfig, runtime: Runtime) -> "OpenAI":
    """Raises Unavailable without the worker's packages, InvalidInput for an address that may not be called."""
    try:
        import openai
    except ImportError as error:
        raise Unavailable(
            "A remote language model needs the worker's packages: pip install 'linecall[worker]'"
        ) from error
    allowed = runtime.private_addresses or is_operators(config.base_url, runtime)
    return openai.OpenAI(
        base_url=config.base_url,
        api_key=key_for(config.base_url, runtime) or "none",  # local servers want no key, but the client wants one
        timeout=config.timeout_seconds,
        max_retries=0,  # ours count against the cap
        http_client=None if allowed else _public_only(config.base_url),
    )


def _public_only(base_url: str) -> Any:
    """An httpx.Client without redirects, and without a proxy, which would look the name up itself.

    Untyped, because newer versions of openai have a client of their own, and take httpx's beside it.
    """
    import httpx

    if urlsplit(base_url).scheme != "https":
        raise _refused("it must begin with https://")

    class Public(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            _connect_to_checked(request)
            return super().handle_request(request)

    return httpx.Client(transport=Public(), follow_redirects=False, trust_env=False)


def _connect_to_checked(request: Any) -> None:
    """The name is looked up once and the connection goes to what was checked; certificate and Host stay the name's.

    Raises InvalidInput, httpx.ConnectError.
    """
    import httpx

    host = request.url.host
    try:
        found = resolve(host, request.url.port or 443)
    except OSError as error:
        raise httpx.ConnectError(str(error), request=request) from error
    if not all(is_public(address) for address in found):
        raise _refused(f"{host} is an address inside a network")
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=found[0])


def _refused(reason: str) -> InvalidInput:
    said = (
        f"Pre-labelling: base_url: {reason}, unless it is LINECALL_REMOTE_LLM_URL or "
        "LINECALL_REMOTE_LLM_PRIVATE_ADDRESSES allows it."
    )
    return InvalidInput(said, field="base_url")
