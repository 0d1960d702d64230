"""What failures of the Hub's client, the network and the disk mean to the user: one line each, with a cure."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmark.content.hub_guard import http_library
from benchmark.errors import NotFoundError, SpecError, UserError, first_line
from benchmark.files.storing import NO_SPACE

__all__ = ["AbsentError", "OfflineError", "absent", "one_line"]

LOG_IN = "log in with 'hf auth login', or set HF_TOKEN"
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


class AbsentError(NotFoundError):
    """The commit has no such file."""


class OfflineError(UserError):
    """The file is not cached, and the network may not be used."""


def absent(where: str) -> AbsentError:
    """Return the error of a file that the commit does not have."""
    only = "only weights in this format are read; " if where.endswith(".safetensors") else ""
    return AbsentError("that commit has no such file", where=where, cure=f"{only}see the files of the repository")


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn every failure of the client, the network and the disk into one UserError.

    Put around calls of the client only: it raises ValueError for what it cannot parse, and its storage library
    `hf_xet` raises RuntimeError, which elsewhere are bugs of our own.
    """
    http = http_library()
    try:
        yield
    except (http.HTTPError, http.InvalidURL, OSError, ValueError, RuntimeError) as error:
        raise explain_failure(error, http, where) from error


def explain_failure(error: Exception, http: Any, where: str) -> UserError:
    """Error for the user that explains a failure of the client.

    Args:
        error: what the client raised.
        http: the HTTP library under the client, for its exceptions.
        where: the address of the file.
    """
    from huggingface_hub import errors
    from huggingface_hub.constants import HF_HUB_CACHE

    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # "cannot locate", "error while uploading": the cause says why
    cure = "run the same command again; if that does not help, check HF_ENDPOINT"
    match error:
        case errors.HfHubHTTPError():
            return explain_status(error, where)
        case errors.HFValidationError():
            return SpecError(first_line(error), where=where)
        case errors.OfflineModeIsEnabled() | errors.LocalEntryNotFoundError():
            return OfflineError(
                "not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub",
                where=where,
                cure=f"unset HF_HUB_OFFLINE once, or copy the cache from elsewhere to {HF_HUB_CACHE}",
            )
        case http.TimeoutException():
            message = "no answer in time"
            cure = "try again; on a slow line raise HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT (seconds)"
        case http.ConnectError() | http.ProxyError() | http.UnsupportedProtocol() | http.InvalidURL():
            message, cure = f"cannot be reached: {first_line(error)}", "check the network, HF_ENDPOINT and HTTPS_PROXY"
        case http.DecodingError():
            message, cure = f"not a Hub that can be trusted: {first_line(error)}", "check HF_ENDPOINT and HTTPS_PROXY"
        case http.HTTPError():
            message, cure = f"the connection broke off: {first_line(error)}", "run the same command again"
        case _ if isinstance(error, RuntimeError | ConnectionError) or type(error).__module__ == "hf_xet":
            message, cure = first_line(error), "run the same command again; HF_HUB_DISABLE_XET=1 goes by plain HTTP"
        case OSError(errno=number) if number in NO_SPACE:
            message = f"no room to store it: {error.strerror}"
            cure = f"free some space under {HF_HUB_CACHE}, or set HF_HOME to another folder"
        case OSError(errno=number) if number in READ_ONLY:
            message, cure = f"cannot be stored: {error.strerror}", f"check the rights of {HF_HUB_CACHE}, or set HF_HOME"
        case OSError(errno=int()):
            message, cure = f"cannot be stored: {first_line(error)}", f"check {HF_HUB_CACHE}, or set HF_HOME"
        case UnicodeEncodeError():
            message, cure = "the token holds characters that no token has", LOG_IN
        case _:
            message = first_line(error)
    return UserError(message, where=where, cure=cure)


def explain_status(error: Any, where: str) -> UserError:
    """Error for the user that explains an HTTP error of the Hub (`HfHubHTTPError`)."""
    from huggingface_hub import errors

    status: int = error.response.status_code
    said = f": {first_line(error.server_message)}" if error.server_message else ""
    match error:
        case errors.GatedRepoError():
            return UserError(
                "its owner gives access only on request",
                where=where,
                cure=f"ask on the page of the repository; {LOG_IN}",
            )
        case errors.RepositoryNotFoundError():
            return NotFoundError(
                "no such repository, or a private one", where=where, cure=f"check its name; if it is private, {LOG_IN}"
            )
        case errors.RevisionNotFoundError():
            return NotFoundError("no such commit", where=where, cure="see the history of the repository")
        case errors.RemoteEntryNotFoundError():
            return absent(where)
    if status == 401:
        return UserError(f"the Hub does not accept the token{said}", where=where, cure=f"renew it: {LOG_IN}")
    if status == 403:
        return UserError(f"access is forbidden{said}", where=where, cure=f"check the rights of your token; {LOG_IN}")
    if status == 429:
        cure = f"wait some minutes; who is known may ask more: {LOG_IN}"
        return UserError("the Hub was asked too often (429)", where=where, cure=cure)
    cure = "check HF_ENDPOINT" if status == 404 else "try again later"
    return UserError(f"the Hub answered with error {status}{said}", where=where, cure=cure)
