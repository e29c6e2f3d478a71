"""Downloads the published DSRL files: resumes, retries, verifies and checks their checksums."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from http.client import HTTPResponse
from itertools import chain
from pathlib import Path
from time import sleep
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.common.files import write_atomic
from benchmarks.common.locks import waiting_lock
from benchmarks.datasets.mirror import (
    SHA256,
    MirrorError,
    RemoteFile,
    RetryableError,
    address_of,
    read_chunks,
    read_headers,
    request,
)
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.datasets.verify import file_faults
from benchmarks.tasks.tasks import Task

ProgressCallback = Callable[[int, int | None], None]
"""Receives the bytes done and, if known, the bytes in all."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_WAIT = 30.0
"""Maximum seconds between two attempts, whatever the server asks for."""


class _Part:
    """A partial download, with the metadata of the whole file in a sidecar file."""

    def __init__(self, path: Path, progress: ProgressCallback) -> None:
        self.path, self.progress = path, progress
        self.sidecar = path.with_name(f"{path.name}.json")
        self.restarts = 0
        """How often downloaded bytes were discarded."""

    def remote(self) -> RemoteFile | None:
        """The metadata that the download began with; None if unknown."""
        try:
            return RemoteFile(**_read_json(self.sidecar))
        except TypeError:
            return None

    def size(self) -> int:
        """Number of downloaded bytes that can be resumed."""
        size = self.path.stat().st_size if self.path.exists() and self.remote() else 0
        return size if size >= len(_SIGNATURE) else 0

    def write(self, start: int, remote: RemoteFile, chunks: Iterator[bytes]) -> int:
        """Write `chunks` from byte `start`, which is 0 or the size; return the new size."""
        self.restarts, done = self.restarts + (self.size() > start), start
        # Unbuffered: downloaded bytes survive a kill, and a full disk raises at once.
        with self.path.open("ab" if start else "wb", buffering=0) as file:
            if remote != self.remote():  # after truncation: never new metadata for old bytes
                write_atomic(self.sidecar, json.dumps(asdict(remote)))
            self.progress(done, remote.total)
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[file.write(rest) :]
                done += len(chunk)
                self.progress(done, remote.total)
        return done

    def discard(self) -> None:
        """Delete the download and its sidecar."""
        self.restarts += self.size() > 0
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


def fetch(
    task: Task,
    folder: Path,
    addresses: Sequence[str],
    *,
    progress: ProgressCallback = lambda done, total: None,
    attempts: int = 5,
    timeout: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """Download the published file of `task` to `folder` from the first mirror that serves it whole.

    Resumes an earlier download, however that ended. A mirror is given up after `attempts` attempts
    in a row without new bytes; the pause between them starts at `pause` seconds and doubles.
    `timeout` is seconds without data. `progress` receives the bytes done and in all. Raises
    `UserError` if no mirror serves the file or it cannot be written.
    """
    path, failures = folder / task.dataset_file, list[str]()
    part = _Part(path.with_name(f"{path.name}.part"), progress)
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with waiting_lock(Path(f"{path}.lock"), f"downloads {path.name}"):
            if path.is_file():  # another process has downloaded it
                return path
            for address in addresses:
                try:
                    attempt = partial(_download_rest, part, task, address, timeout)
                    _finish(part, _retry(attempt, part, attempts, pause), task, path)
                    return path
                except MirrorError as error:
                    host = address.split("//")[-1].split("/")[0].rpartition("@")[2]  # no password
                    failures.append(f"{host}: {error}")
            size = part.size()
    except OSError as error:
        raise UserError(
            f"cannot write {path.name} to {folder} ({error.strerror or error}): repair that and "
            "run again, or choose another folder by OSRL_BENCH_CACHE"
        ) from None
    kept = f"{size / 1e6:.1f} MB are kept, run again to resume" if size else "nothing is kept"
    raise UserError(
        f"cannot download {path.name} ({'; '.join(failures) or 'no mirror is given'}); {kept}, "
        "give another mirror by --mirror or OSRL_BENCH_MIRRORS, put the file into "
        "DSRL_DATASET_DIR, or use --data generated"
    )


def _retry(
    attempt: Callable[[], RemoteFile], part: _Part, attempts: int, pause: float
) -> RemoteFile:
    """Complete `part` from one mirror, repeating `attempt` while it makes progress."""
    failures, restarts = 0, part.restarts
    while True:
        before = part.size()
        try:
            return attempt()
        except RetryableError as error:
            failures = 0 if part.size() > before else failures + 1
            # Restarted downloads are no progress: else a mirror could restart them for ever.
            if max(failures, part.restarts - restarts) >= attempts:
                raise MirrorError(f"{error}, in {attempts} attempts") from None
            sleep(min(max(pause * 2 ** max(failures - 1, 0), error.wait), _MAX_WAIT))


def _download_rest(part: _Part, task: Task, address: str, timeout: float) -> RemoteFile:
    """Download what `part` lacks in one request; return when it is complete."""
    size, headers = part.size(), dict[str, str]()
    if earlier := part.remote() if size else None:
        headers["Range"] = f"bytes={size}-"
        # A weak ETag (W/) does not guarantee equal bytes.
        if earlier.address == address and earlier.etag and earlier.etag[0] == '"':
            headers["If-Range"] = earlier.etag
    reply = request(address_of(address, task), headers, timeout)
    with reply[0] as response:
        start, remote = read_headers(reply, address)
        if response.status != 200 and earlier:
            same = remote.same_file(earlier)
            total, sha256 = remote.total or earlier.total, remote.sha256 or earlier.sha256
            remote = replace(remote, total=total, sha256=sha256)
            if same and response.status == 416 and size == remote.total:
                return remote
            if not same or start != size:
                part.discard()
                raise RetryableError("the server cannot resume the download")
        elif start != 0:
            raise RetryableError("the server sent another range than requested")
        _receive(part, start, remote, response)
    return remote


def _receive(part: _Part, start: int, remote: RemoteFile, response: HTTPResponse) -> None:
    """Write the body at byte `start`; `RetryableError` unless the file is complete then."""
    limits = [response.length, None if remote.total is None else remote.total - start]
    chunks = read_chunks(response, min((n for n in limits if n is not None), default=None))
    if start == 0:  # check the signature before overwriting earlier bytes
        first = b""
        while len(first) < len(_SIGNATURE) and (chunk := next(chunks, b"")):
            first += chunk
        if not first.startswith(_SIGNATURE):
            page = "html" in response.headers.get("Content-Type", "") or first[:1] == b"<"
            kind = "a web page" if page else "something else"
            raise MirrorError(f"the server sent {kind}, not an HDF5 file")
        chunks = chain([first], chunks)
    if remote.total is not None:
        _require_disk_space(part, remote.total)
    done = part.write(start, remote, chunks)
    if remote.total is not None and done < remote.total:
        raise RetryableError("the server sent a part of the file only")


def _require_disk_space(part: _Part, total: int) -> None:
    """`UserError` if the disk cannot hold the rest of the file."""
    folder = part.path.parent
    needed = total - (part.path.stat().st_size if part.path.exists() else 0)
    if needed > (free := shutil.disk_usage(folder).free):
        raise UserError(
            f"no space for {part.path.stem} in {folder}: {needed / 1e6:.1f} MB are needed and "
            f"{free / 1e6:.1f} MB are free: free some, or choose another by OSRL_BENCH_CACHE"
        )


def _finish(part: _Part, remote: RemoteFile, task: Task, path: Path) -> None:
    """Rename a verified download; delete it and raise `MirrorError` if it is faulty."""
    altered = remote.sha256 and file_checksum(part.path) != remote.sha256
    faults = ["its sha256 is not the stated one"] if altered else file_faults(part.path, task)
    if faults:
        part.discard()
        raise MirrorError(f"the file is faulty: {faults[0]}")
    with part.path.open("rb") as file:
        os.fsync(file.fileno())
    part.path.replace(path)
    part.sidecar.unlink(missing_ok=True)


def enforce_checksum(path: Path, records: Path, known: str | None = None) -> str:
    """sha256 of the file `path`, recorded in the folder `records` at its first use.

    Raises `UserError` if the file has changed since. `known` is its sha256 if already computed.
    """
    record = records / f"{path.name}.sha256.json"
    recorded = _read_json(record)
    old_sum = str(recorded.get("sha256"))
    if not SHA256.fullmatch(old_sum):
        recorded = {}
    try:
        status = path.stat()
        facts: dict[str, Any] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
        facts["path"] = str(path.resolve())
        unchanged = facts.items() <= recorded.items()
        new_sum = known or (old_sum if unchanged else file_checksum(path))
        if recorded and new_sum != old_sum:
            raise UserError(
                f"{path} has changed since its first use (sha256 {new_sum[:12]}…, was "
                f"{old_sum[:12]}…): fetch it again, or delete {record} if that is intended"
            )
        if not unchanged:
            _note_checksum(record, {"sha256": new_sum, **facts})
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    return new_sum


def _note_checksum(record: Path, facts: dict[str, Any]) -> None:
    """Record a checksum; where that cannot be done, say so and go on."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(record, json.dumps(facts))
    except OSError as error:
        print(
            f"note: the checksum of {facts['path']} cannot be recorded in {record.parent} "
            f"({error.strerror or error}): a later change of the file goes unnoticed; "
            "OSRL_BENCH_CACHE names another folder",
            file=sys.stderr,
        )


def _read_json(path: Path) -> dict[str, Any]:
    """The contents of a JSON file; empty if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
