"""Fetching the published DSRL files so that they arrive whole, whatever happens on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from http.client import HTTPException, HTTPMessage, HTTPResponse
from itertools import chain
from pathlib import Path
from time import sleep
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from filelock import FileLock

from benchmarks.data.trajectories import file_checksum
from benchmarks.data.verify import findings
from benchmarks.errors import UserError
from benchmarks.files import write_atomic
from benchmarks.tasks import Task

MIRRORS: tuple[str, ...] = ("https://huggingface.co/datasets/YYY-45/DSRL/resolve/main",)
"""Folders on web servers that hold the published files."""

Progress = Callable[[int, int | None], None]
_Answer = tuple[HTTPResponse, list[HTTPMessage]]
"""A response and the headers of the redirects on the way to it."""

_HEADERS = {"User-Agent": "osrl-bench", "Accept-Encoding": "identity"}
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PIECE = 1 << 18
_LONGEST_WAIT = 30.0  # seconds between two tries, whatever the server asks for
_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s?#]*", re.IGNORECASE)
_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)")
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?', re.IGNORECASE)


class _Refused(Exception):  # noqa: N818
    """The mirror cannot serve the file."""


class _Again(Exception):  # noqa: N818
    """One try failed, another may not; `wait` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class _Told:
    """What a mirror tells of the whole file; None for what it does not tell."""

    address: str
    total: int | None
    etag: str | None
    sha256: str | None

    def same_file(self, earlier: _Told) -> bool:
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


class _Part:
    """The beginning of a file, and beside it what was told of the whole."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self.sidecar = path.with_name(f"{path.name}.json")
        self.restarts = 0  # how often bytes that were here had to be fetched anew

    def told(self) -> _Told | None:
        """What was told of the file when these bytes came; None if that is not known."""
        try:
            return _Told(**_read_json(self.sidecar))
        except TypeError:
            return None

    def size(self) -> int:
        """Bytes that can be continued."""
        size = self.path.stat().st_size if self.path.exists() and self.told() else 0
        return size if size >= len(_SIGNATURE) else 0

    def write(self, start: int, told: _Told, pieces: Iterator[bytes]) -> int:
        """Replace what follows byte `start`, 0 or the size, by `pieces`; the size then."""
        self.restarts, done = self.restarts + (self.size() > start), start
        # unbuffered: what has come outlives a kill, and a full disk shows at once
        with self.path.open("ab" if start else "wb", buffering=0) as file:
            if told != self.told():  # after truncating: never old bytes beside new facts
                write_atomic(self.sidecar, json.dumps(asdict(told)))
            self.progress(done, told.total)
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
                done += len(piece)
                self.progress(done, told.total)
        return done

    def discard(self) -> None:
        """Forget it all."""
        self.restarts += self.size() > 0
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


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


def fetch(
    task: Task,
    folder: Path,
    addresses: Sequence[str],
    *,
    progress: Progress = lambda done, total: None,
    attempts: int = 5,
    timeout: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """The published file of `task` in `folder`, from the first of `addresses` that gives it whole.

    Goes on where an earlier call stopped, however that ended. A mirror is left after `attempts`
    tries in a row that brought nothing, `pause` seconds apart at first and ever longer; `timeout`
    is in seconds of silence. `progress` is told the bytes there and due. `UserError` in one line
    where no mirror serves or the file cannot be written.
    """
    path, said = folder / task.dataset_file, list[str]()
    part = _Part(path.with_name(f"{path.name}.part"), progress)
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.is_file():  # another process fetched it
                return path
            for address in addresses:
                try:
                    once = partial(_try, part, task, address, timeout)
                    _finish(part, _insist(once, part, attempts, pause), task, path)
                    return path
                except _Refused as fault:
                    host = address.split("//")[-1].split("/")[0].rpartition("@")[2]  # no password
                    said.append(f"{host}: {fault}")
            kept = part.size()
    except OSError as error:
        raise UserError(
            f"cannot write {path.name} to {folder} ({error.strerror or error}): mend that and run "
            "again, or choose another folder by OSRL_BENCH_CACHE"
        ) from None
    remains = f"{kept / 1e6:.1f} MB are kept, run again to go on" if kept else "nothing is kept"
    raise UserError(
        f"could not fetch {path.name} ({'; '.join(said) or 'no mirror is named'}); {remains}, "
        "name another mirror by --mirror or OSRL_BENCH_MIRRORS, put the file into "
        "DSRL_DATASET_DIR, or use --data generated"
    )


def _insist(once: Callable[[], _Told], part: _Part, attempts: int, pause: float) -> _Told:
    """Complete `part` from one mirror, in as many tries as that takes."""
    failures, restarts = 0, part.restarts
    while True:
        before = part.size()
        try:
            return once()
        except _Again as fault:
            failures = 0 if part.size() > before else failures + 1
            # bytes that come anew each time are no progress, or this might never end
            if max(failures, part.restarts - restarts) >= attempts:
                raise _Refused(f"{fault}, in {attempts} tries") from None
            sleep(min(max(pause * 2 ** max(failures - 1, 0), fault.wait), _LONGEST_WAIT))


def _try(part: _Part, task: Task, address: str, timeout: float) -> _Told:
    """Ask once for what `part` lacks; returns when it is complete."""
    size, headers = part.size(), dict[str, str]()
    if earlier := part.told() if size else None:
        headers["Range"] = f"bytes={size}-"
        # a weak ETag (W/) does not vouch for every byte
        if earlier.address == address and earlier.etag and earlier.etag[0] == '"':
            headers["If-Range"] = earlier.etag
    answer = _ask(_url(address, task), headers, timeout)
    with answer[0] as response:
        start, told = _read_headers(answer, address)
        if response.status != 200 and earlier:
            fits = told.same_file(earlier)
            total, sha256 = told.total or earlier.total, told.sha256 or earlier.sha256
            told = replace(told, total=total, sha256=sha256)
            if fits and response.status == 416 and size == told.total:
                return told
            if not fits or start != size:
                part.discard()
                raise _Again("does not go on where it was left")
        elif start != 0:
            raise _Again("sent a part that was not asked for")
        _receive(part, start, told, response)
    return told


def _url(address: str, task: Task) -> str:
    return f"{address.rstrip('/')}/{quote(task.dataset_file)}"


def _ask(url: str, headers: dict[str, str], timeout: float, method: str = "GET") -> _Answer:
    """The answer if its status is 200, 206, or 416 to a range."""
    handler = _Handler()
    try:
        request = Request(url, headers=_HEADERS | headers, method=method)
        response: HTTPResponse = build_opener(handler).open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            wait = error.headers.get("Retry-After", "").strip()
            raise _Again(f"HTTP {error.code}", float(wait) if wait.isdecimal() else 0.0) from None
        raise _Refused(f"HTTP {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise _Again(_reason(error)) from None
    if response.status not in ((200, 206, 416) if "Range" in headers else (200, 206)):
        response.close()
        raise _Refused(f"HTTP {response.status}")
    return response, handler.passed


def _read_headers(answer: _Answer, address: str) -> tuple[int | None, _Told]:
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
        digest = _SHA256.fullmatch(headers.get("X-Linked-ETag", "").strip())
        sha256 = digest[1].lower() if digest else sha256
    return start, _Told(address, total, response.headers.get("ETag"), sha256)


def _receive(part: _Part, start: int, told: _Told, response: HTTPResponse) -> None:
    """Write the body from byte `start` on; `_Again` unless the file is complete then."""
    limits = [response.length, None if told.total is None else told.total - start]
    pieces = _pieces(response, min((n for n in limits if n is not None), default=None))
    if start == 0:  # look before anything that is there is overwritten
        first = b""
        while len(first) < len(_SIGNATURE) and (piece := next(pieces, b"")):
            first += piece
        if not first.startswith(_SIGNATURE):
            page = "html" in response.headers.get("Content-Type", "") or first[:1] == b"<"
            kind = "a web page" if page else "something else"
            raise _Refused(f"answered with {kind}, not an HDF5 file")
        pieces = chain([first], pieces)
    if told.total is not None:
        _require_room(part, told.total)
    done = part.write(start, told, pieces)
    if told.total is not None and done < told.total:
        raise _Again("sent less than the whole file")


def _pieces(response: HTTPResponse, left: int | None) -> Iterator[bytes]:
    """The next `left` bytes of the body, or all; `_Again` where fewer come."""
    try:
        while left is None or left > 0:
            # read1 gives what is there: a slow server's bytes are never lost to a time limit
            piece = response.read1(_PIECE if left is None else min(left, _PIECE))
            if not piece:  # the end, or a broken connection
                break
            left = None if left is None else left - len(piece)
            yield piece
    except (OSError, HTTPException) as error:
        raise _Again(_reason(error)) from None
    if left:
        raise _Again("broke off")


def _require_room(part: _Part, total: int) -> None:
    """`UserError` if the disk cannot hold the rest of the file."""
    folder = part.path.parent
    lacking = total - (part.path.stat().st_size if part.path.exists() else 0)
    if lacking > (free := shutil.disk_usage(folder).free):
        raise UserError(
            f"no room for {part.path.stem} in {folder}: {lacking / 1e6:.1f} MB are to come and "
            f"{free / 1e6:.1f} MB are free: make room, or choose another by OSRL_BENCH_CACHE"
        )


def _finish(part: _Part, told: _Told, task: Task, path: Path) -> None:
    """Give the part its final name if it is the file; forget it and its mirror otherwise."""
    altered = told.sha256 and file_checksum(part.path) != told.sha256
    faults = ["its sha256 is not as told"] if altered else findings(part.path, task)
    if faults:
        part.discard()
        raise _Refused(f"the file is not whole: {faults[0]}")
    with part.path.open("rb") as file:
        os.fsync(file.fileno())
    part.path.replace(path)
    part.sidecar.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """A few words for what the network did."""
    cause = getattr(error, "reason", error)
    text = str(getattr(cause, "strerror", None) or cause)
    return " ".join(text.split()) or type(cause).__name__


def reachable(task: Task, addresses: Sequence[str], timeout: float = 5.0) -> bool:
    """Whether some mirror answers for the file of `task`; `timeout` is in seconds of silence."""
    return any(_answers(_url(address, task), timeout) for address in addresses)


def _answers(url: str, timeout: float) -> bool:
    try:
        response, _ = _ask(url, {}, timeout, "HEAD")
    except (_Refused, _Again) as fault:
        # a server may forbid HEAD alone, and so does a signed address
        if str(fault) not in ("HTTP 403", "HTTP 405", "HTTP 501"):
            return False
        try:
            response, _ = _ask(url, {"Range": "bytes=0-0"}, timeout)
        except (_Refused, _Again):
            return False
    with response:  # a web page is a login or an error in disguise
        return "html" not in response.headers.get("Content-Type", "")


def enforce_checksum(path: Path, records: Path, known: str | None = None) -> str:
    """sha256 of the file `path`, noted in the folder `records` at its first use, the same after.

    `known` is the sum if it is computed already. A file that changed since is a `UserError`.
    """
    record = records / f"{path.name}.sha256.json"
    old = _read_json(record)
    before = str(old.get("sha256"))
    if not _SHA256.fullmatch(before):
        old = {}
    try:
        status, place = path.stat(), str(path.resolve())
        facts = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "path": place}
        unchanged = facts.items() <= old.items()
        now = known or (before if unchanged else file_checksum(path))
        if old and now != before:
            raise UserError(
                f"{path} has changed since its first use (sha256 {now[:12]}…, was {before[:12]}…): "
                f"fetch it again, or delete {record} if that is meant"
            )
        if not unchanged:
            records.mkdir(parents=True, exist_ok=True)
            write_atomic(record, json.dumps({"sha256": now, **facts}))
    except OSError as error:
        raise UserError(f"cannot note the checksum of {path} in {records} ({error})") from None
    return now


def _read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing if it is not there or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
