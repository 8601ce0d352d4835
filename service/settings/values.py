"""How single values of settings are written: lists, durations, addresses, secrets. Each raises with what is wrong."""

import ipaddress
import re
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from schemas.contacts import ADDRESS, LONGEST_ADDRESS
from schemas.secret import Secret

_SECONDS = re.compile(r"\d+(\.\d+)?")
_BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_ADDRESS = re.compile(r"[\x21-\x7e]+")
_ISO_8601 = TypeAdapter(timedelta)


def wrong(what: str, *path: str) -> PydanticCustomError:
    """An error about the setting at `path` below the model that is being validated."""
    return PydanticCustomError("setting", "{what}", {"what": what, "path": path})


def secret(given: object) -> Secret:
    if isinstance(given, Secret):
        return given
    if not isinstance(given, str) or not given.strip():
        raise wrong("is empty or isn't text")
    return Secret(given.strip())


def items(given: object) -> object:
    """A list: as it is from a file, separated by commas in a variable."""
    if isinstance(given, str):
        return tuple(item.strip() for item in given.split(",") if item.strip())
    return given


def json_object(given: object) -> object:
    if not isinstance(given, str):
        return given
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        raise wrong("isn't JSON") from None


def duration(given: object, name: str) -> object:
    """ISO 8601 (`PT15M`) or seconds (`900`). `name` is the setting's below its section."""
    if not isinstance(given, str):
        return given
    if _SECONDS.fullmatch(given):
        return timedelta(seconds=float(given))
    try:
        if given.startswith("P"):
            return _ISO_8601.validate_python(given)
    except ValidationError:
        pass  # told below, in our words
    raise wrong("isn't a duration: ISO 8601 like PT15M or P1D, or a number of seconds", name)


def durations(given: object, name: str) -> object:
    listed = items(given)
    return tuple(duration(one, name) for one in listed) if isinstance(listed, tuple | list) else listed


def by_name(given: object) -> object:
    """Providers by id, webhooks by name. A variable's name holds no `-`: `QUICKBOOKS_ONLINE` is `quickbooks-online`."""
    if isinstance(given, dict):
        return {str(name).replace("_", "-"): provider for name, provider in given.items()}
    return given


def broker(given: object) -> str:
    if isinstance(given, str) and _BROKER.fullmatch(given):
        return given
    raise wrong("isn't a list of HOST:PORT")


def network(given: object) -> str:
    """A network like `10.0.0.0/8`, or one address."""
    try:
        return str(ipaddress.ip_network(str(given)))
    except ValueError:
        raise wrong("isn't a network like 10.0.0.0/8") from None


def mail_address(given: object) -> str:
    """An e-mail address alone, without a name."""
    text = str(given)
    if len(text) > LONGEST_ADDRESS or not ADDRESS.fullmatch(text):
        raise wrong("isn't an e-mail address like connections@example.com")
    return text


def origin(given: object) -> str:
    """`https://host[:port]` and nothing behind it. Plain http is for this machine alone."""
    url = _split(given)
    if url.path not in ("", "/") or url.query or url.fragment:
        raise wrong("must end after the host, without a path")
    return f"{url.scheme}://{url.netloc}"


def absolute_url(given: object) -> str:
    """A whole https address without a fragment. Plain http is for this machine alone."""
    if _split(given).fragment:
        raise wrong("must have no fragment")
    return str(given)


def collector_url(given: object) -> str:
    """An absolute address that may be plain http: what collects inside a cluster mostly is, and is told no secret."""
    _split(given, plain=True)
    return str(given)


def _split(given: object, *, plain: bool = False) -> SplitResult:
    if not isinstance(given, str) or not _ADDRESS.fullmatch(given) or "\\" in given:
        raise wrong("isn't an address like https://app.example.com")
    try:
        url = urlsplit(given)
        hostname, _ = url.hostname, url.port
    except ValueError:
        raise wrong("isn't an address like https://app.example.com") from None
    if url.scheme not in ("https", "http") or not hostname:
        raise wrong("isn't an address like https://app.example.com")
    if "@" in url.netloc:
        raise wrong("must have no user name or password")
    if url.scheme == "http" and not plain and not is_loopback(hostname):
        raise wrong("must be https")
    return url


def is_loopback(hostname: str) -> bool:
    """Whether a host's name means this machine without asking a resolver."""
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False
