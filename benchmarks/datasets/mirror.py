"""HTTP requests to the mirrors that hold the published files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from benchmarks.common.errors import UserError
from benchmarks.tasks.tasks import Task

MIRRORS: tuple[str, ...] = ("https://huggingface.co/datasets/YYY-45/DSRL/resolve/main",)
"""Web folders that hold the published files."""

_Reply = tuple[HTTPResponse, list[HTTPMessage]]
"""A response and the headers of the redirects that led to it."""

_HEADERS = {"User-Agent": "osrl-bench", "Accept-Encoding": "identity"}
_CHUNK = 1 << 18
_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s?#]*", re.IGNORECASE)
_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)")
SHA256 = re.compile(r'"?([0-9a-f]{64})"?', re.IGNORECASE)


class MirrorError(Exception):
    """The mirror cannot serve the file; do not retry."""


class RetryableError(Exception):
    """An attempt failed and may be retried, after `wait` seconds if the server asked for it."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class RemoteFile:
    """A mirror's metadata of the file; None for what it does not state."""

    address: str
    total: int | None
    etag: str | None
    sha256: str | None

    def same_file(self, earlier: RemoteFile) -> bool:
        """Whether a download that began with the metadata `earlier` may be continued."""
        same_mirror = self.address == earlier.address
        totals = {self.total, earlier.total} - ({None} if same_mirror else set())
        if len(totals) > 1:
            return False
        if self.sha256 and earlier.sha256:
            return self.sha256 == earlier.sha256
        if self.etag and earlier.etag and (same_mirror or self.etag[0] == '"'):
            return self.etag == earlier.etag
        return same_mirror


class _Handler(HTTPRedirectHandler):
    """Records the headers of redirects, in which Hugging Face describes the file."""

    def __init__(self) -> None:
        self.redirects: list[HTTPMessage] = []

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        self.redirects.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_416(self, request: Request, response: HTTPResponse, *_: object) -> HTTPResponse:
        """Return the response: the download may already be complete."""
        return response


def mirrors(extra: Sequence[str] = ()) -> list[str]:
    """Mirrors in order of preference: `extra`, then `OSRL_BENCH_MIRRORS`, then `MIRRORS`."""
    chosen = [*extra, *os.environ.get("OSRL_BENCH_MIRRORS", "").split(), *MIRRORS]
    for address in chosen:
        if not _ADDRESS.fullmatch(address):
            raise UserError(f"mirror {address!r} is no web address: use http://… or https://…")
    return list(dict.fromkeys(address.rstrip("/") for address in chosen))


def address_of(address: str, task: Task) -> str:
    """URL of the file of `task` on the mirror at `address`."""
    return f"{address.rstrip('/')}/{quote(task.dataset_file)}"


def request(url: str, headers: dict[str, str], timeout: float, method: str = "GET") -> _Reply:
    """Send a request; return a reply with status 200, 206, or 416 for a range, else raise."""
    handler = _Handler()
    try:
        message = Request(url, headers=_HEADERS | headers, method=method)
        response: HTTPResponse = build_opener(handler).open(message, timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            wait = error.headers.get("Retry-After", "").strip()
            raise RetryableError(
                f"HTTP {error.code}", float(wait) if wait.isdecimal() else 0.0
            ) from None
        raise MirrorError(f"HTTP {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise RetryableError(_reason(error)) from None
    if response.status not in ((200, 206, 416) if "Range" in headers else (200, 206)):
        response.close()
        raise MirrorError(f"HTTP {response.status}")
    return response, handler.redirects


def read_headers(reply: _Reply, address: str) -> tuple[int | None, RemoteFile]:
    """Offset of the body in the file (None if not stated) and the metadata of the file."""
    response, redirects = reply
    start: int | None = 0
    total, sha256 = response.length, None
    if response.status != 200:
        content_range = _RANGE.match(response.headers.get("Content-Range", ""))
        start = int(content_range[1]) if content_range and content_range[1] else None
        total = int(content_range[2]) if content_range and content_range[2] else None
    for headers in (*redirects, response.headers):
        size = headers.get("X-Linked-Size", "").strip()
        total = int(size) if re.fullmatch(r"\d{1,18}", size) else total
        digest = SHA256.fullmatch(headers.get("X-Linked-ETag", "").strip())
        sha256 = digest[1].lower() if digest else sha256
    return start, RemoteFile(address, total, response.headers.get("ETag"), sha256)


def read_chunks(response: HTTPResponse, left: int | None) -> Iterator[bytes]:
    """The next `left` bytes of the body, or all of it; `RetryableError` if fewer arrive."""
    try:
        while left is None or left > 0:
            # read1 returns the bytes that have arrived, so that a timeout loses none of them.
            chunk = response.read1(_CHUNK if left is None else min(left, _CHUNK))
            if not chunk:  # the end, or a broken connection
                break
            left = None if left is None else left - len(chunk)
            yield chunk
    except (OSError, HTTPException) as error:
        raise RetryableError(_reason(error)) from None
    if left:
        raise RetryableError("the connection broke")


def _reason(error: Exception) -> str:
    """A short description of a network error."""
    cause = getattr(error, "reason", error)
    text = str(getattr(cause, "strerror", None) or cause)
    return " ".join(text.split()) or type(cause).__name__


def reachable(task: Task, addresses: Sequence[str], timeout: float = 5.0) -> bool:
    """Whether any mirror has the file of `task`; `timeout` is seconds without data."""
    return any(_has_file(address_of(address, task), timeout) for address in addresses)


def _has_file(url: str, timeout: float) -> bool:
    try:
        response, _ = request(url, {}, timeout, "HEAD")
    except (MirrorError, RetryableError) as error:
        # Some servers forbid HEAD but not GET, and signed URLs are valid for GET only.
        if str(error) not in ("HTTP 403", "HTTP 405", "HTTP 501"):
            return False
        try:
            response, _ = request(url, {"Range": "bytes=0-0"}, timeout)
        except (MirrorError, RetryableError):
            return False
    with response:  # a web page in place of the file is a login form or an error message
        return "html" not in response.headers.get("Content-Type", "")
