"""Fetching the published DSRL files so that they arrive whole, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from http.client import HTTPResponse
from itertools import chain
from pathlib import Path
from time import sleep
from typing import Any

from filelock import FileLock

from benchmarks.common.errors import UserError
from benchmarks.common.files import write_atomic
from benchmarks.datasets.mirror import (
    SHA256,
    Again,
    Refused,
    Told,
    address_of,
    ask,
    pieces_of,
    read_headers,
)
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.datasets.verify import findings
from benchmarks.tasks.tasks import Task

Progress = Callable[[int, int | None], None]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LONGEST_WAIT = 30.0  # seconds between two tries, whatever the server asks for


class _Part:
    """The beginning of a file, and beside it what was told of the whole."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self.sidecar = path.with_name(f"{path.name}.json")
        self.restarts = 0  # how often bytes that were here had to be fetched anew

    def told(self) -> Told | None:
        """What was told of the file when these bytes came; None if that is not known."""
        try:
            return Told(**_read_json(self.sidecar))
        except TypeError:
            return None

    def size(self) -> int:
        """Bytes that can be continued."""
        size = self.path.stat().st_size if self.path.exists() and self.told() else 0
        return size if size >= len(_SIGNATURE) else 0

    def write(self, start: int, told: Told, pieces: Iterator[bytes]) -> int:
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
                except Refused as fault:
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


def _insist(once: Callable[[], Told], part: _Part, attempts: int, pause: float) -> Told:
    """Complete `part` from one mirror, in as many tries as that takes."""
    failures, restarts = 0, part.restarts
    while True:
        before = part.size()
        try:
            return once()
        except Again as fault:
            failures = 0 if part.size() > before else failures + 1
            # bytes that come anew each time are no progress, or this might never end
            if max(failures, part.restarts - restarts) >= attempts:
                raise Refused(f"{fault}, in {attempts} tries") from None
            sleep(min(max(pause * 2 ** max(failures - 1, 0), fault.wait), _LONGEST_WAIT))


def _try(part: _Part, task: Task, address: str, timeout: float) -> Told:
    """Ask once for what `part` lacks; returns when it is complete."""
    size, headers = part.size(), dict[str, str]()
    if earlier := part.told() if size else None:
        headers["Range"] = f"bytes={size}-"
        # a weak ETag (W/) does not vouch for every byte
        if earlier.address == address and earlier.etag and earlier.etag[0] == '"':
            headers["If-Range"] = earlier.etag
    answer = ask(address_of(address, task), headers, timeout)
    with answer[0] as response:
        start, told = read_headers(answer, address)
        if response.status != 200 and earlier:
            fits = told.same_file(earlier)
            total, sha256 = told.total or earlier.total, told.sha256 or earlier.sha256
            told = replace(told, total=total, sha256=sha256)
            if fits and response.status == 416 and size == told.total:
                return told
            if not fits or start != size:
                part.discard()
                raise Again("does not go on where it was left")
        elif start != 0:
            raise Again("sent a part that was not asked for")
        _receive(part, start, told, response)
    return told


def _receive(part: _Part, start: int, told: Told, response: HTTPResponse) -> None:
    """Write the body from byte `start` on; `Again` unless the file is complete then."""
    limits = [response.length, None if told.total is None else told.total - start]
    pieces = pieces_of(response, min((n for n in limits if n is not None), default=None))
    if start == 0:  # look before anything that is there is overwritten
        first = b""
        while len(first) < len(_SIGNATURE) and (piece := next(pieces, b"")):
            first += piece
        if not first.startswith(_SIGNATURE):
            page = "html" in response.headers.get("Content-Type", "") or first[:1] == b"<"
            kind = "a web page" if page else "something else"
            raise Refused(f"answered with {kind}, not an HDF5 file")
        pieces = chain([first], pieces)
    if told.total is not None:
        _require_room(part, told.total)
    done = part.write(start, told, pieces)
    if told.total is not None and done < told.total:
        raise Again("sent less than the whole file")


def _require_room(part: _Part, total: int) -> None:
    """`UserError` if the disk cannot hold the rest of the file."""
    folder = part.path.parent
    lacking = total - (part.path.stat().st_size if part.path.exists() else 0)
    if lacking > (free := shutil.disk_usage(folder).free):
        raise UserError(
            f"no room for {part.path.stem} in {folder}: {lacking / 1e6:.1f} MB are to come and "
            f"{free / 1e6:.1f} MB are free: make room, or choose another by OSRL_BENCH_CACHE"
        )


def _finish(part: _Part, told: Told, task: Task, path: Path) -> None:
    """Give the part its final name if it is the file; forget it and its mirror otherwise."""
    altered = told.sha256 and file_checksum(part.path) != told.sha256
    faults = ["its sha256 is not as told"] if altered else findings(part.path, task)
    if faults:
        part.discard()
        raise Refused(f"the file is not whole: {faults[0]}")
    with part.path.open("rb") as file:
        os.fsync(file.fileno())
    part.path.replace(path)
    part.sidecar.unlink(missing_ok=True)


def enforce_checksum(path: Path, records: Path, known: str | None = None) -> str:
    """sha256 of the file `path`, noted in the folder `records` at its first use, the same after.

    `known` is the sum if it is computed already. A file that changed since is a `UserError`.
    """
    record = records / f"{path.name}.sha256.json"
    old = _read_json(record)
    before = str(old.get("sha256"))
    if not SHA256.fullmatch(before):
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
