"""What the examination of data files found, recorded, as it reads each file from end to end."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from benchmarks.common.files import write_atomic
from benchmarks.datasets import verify
from benchmarks.datasets.verify import Findings
from benchmarks.tasks.tasks import Task


def examined(path: Path, task: Task, records: Path) -> Findings:
    """The findings of `examine`, from the folder `records` if the file has not changed since."""
    identity = _identity(path, task)
    record = records / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(record.read_text(encoding="utf-8"))
        if identity and stored["identity"] == identity:
            return Findings([*stored["faults"]], [*stored["warnings"]])
    findings = verify.examine(path, task)
    if identity and not findings.damaged and identity == _identity(path, task):
        content = {"identity": identity, "faults": findings.faults, "warnings": findings.warnings}
        with suppress(OSError):  # the cache may be read-only
            records.mkdir(parents=True, exist_ok=True)
            write_atomic(record, json.dumps(content))
    return findings


def _identity(path: Path, task: Task) -> str:
    """Changes with the file, the task's constants and the code that examines; empty if missing."""
    try:
        status = path.stat()
    except OSError:
        return ""
    facts = (
        *(str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        *(status.st_ino, status.st_dev, astuple(task), Path(verify.__file__).read_bytes()),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()
