"""Servers that hold the published files: asking one for a file, and what it tells of it."""

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
"""Folders on web servers that hold the published files."""

_Answer = tuple[HTTPResponse, list[HTTPMessage]]
"""A response and the headers of the redirects on the way to it."""

_HEADERS = {"User-Agent": "osrl-bench", "Accept-Encoding": "identity"}
_PIECE = 1 << 18
_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s?#]*", re.IGNORECASE)
_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)")
SHA256 = re.compile(r'"?([0-9a-f]{64})"?', re.IGNORECASE)


class Refused(Exception):  # noqa: N818
    """The mirror cannot serve the file."""


class Again(Exception):  # noqa: N818
    """One try failed, another may not; `wait` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Told:
    """What a mirror tells of the whole file; None for what it does not tell."""

    address: str
    total: int | None
    etag: str | None
    sha256: str | None

    def same_file(self, earlier: Told) -> bool:
        """Whether bytes that came when `earlier` was told may be continued now."""
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
    """Keeps the headers of redirects, in which Hugging Face describes the file."""

    def __init__(self) -> None:
        self.passed: list[HTTPMessage] = []

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        self.passed.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_416(self, request: Request, response: HTTPResponse, *_: object) -> HTTPResponse:
        """Not an error here: there may be nothing left to send."""
        return response


def mirrors(extra: Sequence[str] = ()) -> list[str]:
    """Where to look, best first: `extra`, those in `OSRL_BENCH_MIRRORS`, the published ones."""
    chosen = [*extra, *os.environ.get("OSRL_BENCH_MIRRORS", "").split(), *MIRRORS]
    for one in chosen:
        if not _ADDRESS.fullmatch(one):
            raise UserError(f"mirror {one!r} is no web address: give one as http://… or https://…")
    return list(dict.fromkeys(one.rstrip("/") for one in chosen))


def address_of(address: str, task: Task) -> str:
    """Where a mirror holds the file of `task`."""
    return f"{address.rstrip('/')}/{quote(task.dataset_file)}"


def ask(url: str, headers: dict[str, str], timeout: float, method: str = "GET") -> _Answer:
    """The answer if its status is 200, 206, or 416 to a range."""
    handler = _Handler()
    try:
        request = Request(url, headers=_HEADERS | headers, method=method)
        response: HTTPResponse = build_opener(handler).open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            wait = error.headers.get("Retry-After", "").strip()
            raise Again(f"HTTP {error.code}", float(wait) if wait.isdecimal() else 0.0) from None
        raise Refused(f"HTTP {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise Again(_reason(error)) from None
    if response.status not in ((200, 206, 416) if "Range" in headers else (200, 206)):
        response.close()
        raise Refused(f"HTTP {response.status}")
    return response, handler.passed


def read_headers(answer: _Answer, address: str) -> tuple[int | None, Told]:
    """Which byte of the file the body starts with, None if it is not told, and what is told."""
    response, passed = answer
    start: int | None = 0
    total, sha256 = response.length, None
    if response.status != 200:
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        start = int(found[1]) if found and found[1] else None
        total = int(found[2]) if found and found[2] else None
    for headers in (*passed, response.headers):
        size = headers.get("X-Linked-Size", "").strip()
        total = int(size) if re.fullmatch(r"\d{1,18}", size) else total
        digest = SHA256.fullmatch(headers.get("X-Linked-ETag", "").strip())
        sha256 = digest[1].lower() if digest else sha256
    return start, Told(address, total, response.headers.get("ETag"), sha256)


def pieces_of(response: HTTPResponse, left: int | None) -> Iterator[bytes]:
    """The next `left` bytes of the body, or all; `Again` where fewer come."""
    try:
        while left is None or left > 0:
            # read1 gives what is there: a slow server's bytes are never lost to a time limit
            piece = response.read1(_PIECE if left is None else min(left, _PIECE))
            if not piece:  # the end, or a broken connection
                break
            left = None if left is None else left - len(piece)
            yield piece
    except (OSError, HTTPException) as error:
        raise Again(_reason(error)) from None
    if left:
        raise Again("broke off")


def _reason(error: Exception) -> str:
    """A few words for what the network did."""
    cause = getattr(error, "reason", error)
    text = str(getattr(cause, "strerror", None) or cause)
    return " ".join(text.split()) or type(cause).__name__


def reachable(task: Task, addresses: Sequence[str], timeout: float = 5.0) -> bool:
    """Whether some mirror answers for the file of `task`; `timeout` is in seconds of silence."""
    return any(_answers(address_of(address, task), timeout) for address in addresses)


def _answers(url: str, timeout: float) -> bool:
    try:
        response, _ = ask(url, {}, timeout, "HEAD")
    except (Refused, Again) as fault:
        # a server may forbid HEAD alone, and so does a signed address
        if str(fault) not in ("HTTP 403", "HTTP 405", "HTTP 501"):
            return False
        try:
            response, _ = ask(url, {"Range": "bytes=0-0"}, timeout)
        except (Refused, Again):
            return False
    with response:  # a web page is a login or an error in disguise
        return "html" not in response.headers.get("Content-Type", "")
