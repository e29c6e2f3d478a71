"""What a fetched file needs of the disk, and that it stays the same."""

import errno
import json
import os
import resource
import shutil
from hashlib import sha256

import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets import dsrl
from benchmarks.datasets.dsrl import enforce_checksum
from benchmarks.datasets.trajectories import file_checksum
from tests.support.loopback import NAME, SIZE, assert_whole, get, leave_part, one_line

# --- disks -----------------------------------------------------------------------------------


def test_a_full_disk_is_one_line(server, tmp_path):
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    with pytest.raises(UserError) as caught:
        get(tmp_path, server)
    one_line(caught, NAME, str(tmp_path), "No space left on device", "OSRL_BENCH_CACHE")
    assert not (tmp_path / NAME).exists()
    (tmp_path / f"{NAME}.part").unlink()
    get(tmp_path, server)
    assert_whole(tmp_path)


def test_a_disk_that_fills_keeps_what_it_holds(server, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError) as caught:
            get(tmp_path, server)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_line(caught, NAME, str(tmp_path), "File too large")
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [0, 100_000]


def test_a_disk_too_small_is_told_before_writing(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=SIZE - 1))
    with pytest.raises(UserError) as caught:
        get(tmp_path, server)
    one_line(caught, f"no space for {NAME} in {tmp_path}", "OSRL_BENCH_CACHE")
    assert not list(tmp_path.glob("*.part*"))
    leave_free = SIZE - 100_000
    monkeypatch.undo()
    leave_part(tmp_path, server)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=leave_free - 1))
    with pytest.raises(UserError, match="no space"):
        get(tmp_path, server)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=leave_free))
    get(tmp_path, server)
    assert_whole(tmp_path)


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_what_else_a_disk_refuses_is_one_line(server, tmp_path, monkeypatch, number):
    def refuse(path, content):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(dsrl, "write_atomic", refuse)
    with pytest.raises(UserError) as caught:
        get(tmp_path, server)
    one_line(caught, NAME, str(tmp_path), os.strerror(number))
    monkeypatch.undo()
    get(tmp_path, server)
    assert_whole(tmp_path)


def test_a_folder_that_cannot_be_is_one_line(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        get(tmp_path / "file" / "folder", server)
    one_line(caught, str(tmp_path / "file" / "folder"), "Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_line(server, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError) as caught:
            get(tmp_path, server)
    finally:
        tmp_path.chmod(0o700)
    one_line(caught, NAME, str(tmp_path), "Permission denied")


# --- checksums -------------------------------------------------------------------------------


@pytest.fixture
def used(tmp_path):
    """A file whose sum is on record, and the folder of records."""
    path, records = tmp_path / "some.hdf5", tmp_path / "records"
    path.write_bytes(b"content")
    assert enforce_checksum(path, records) == sha256(b"content").hexdigest()
    return path, records


def test_the_first_sum_is_noted(used):
    path, records = used
    noted = json.loads((records / "some.hdf5.sha256.json").read_text())
    status = path.stat()
    assert noted == {
        "sha256": sha256(b"content").hexdigest(),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "path": str(path.resolve()),
    }


def test_an_untouched_file_is_not_hashed_again(used, monkeypatch):
    path, records = used
    monkeypatch.setattr(dsrl, "file_checksum", None)
    monkeypatch.setattr(dsrl, "write_atomic", None)
    assert enforce_checksum(path, records) == sha256(b"content").hexdigest()
    assert enforce_checksum(path, records, sha256(b"content").hexdigest())


@pytest.mark.parametrize("content", [b"CONTENT", b"longer content", b""])
def test_a_changed_file_is_refused(used, content):
    path, records = used
    old, new = sha256(b"content").hexdigest(), sha256(content).hexdigest()
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))
    for _ in range(2):  # refusing does not wear off
        with pytest.raises(UserError, match="has changed since its first use") as caught:
            enforce_checksum(path, records)
        record = records / "some.hdf5.sha256.json"
        one_line(caught, str(path), old[:12], new[:12], f"delete {record}", "fetch it again")
        assert old not in str(caught.value)
    record.unlink()
    assert enforce_checksum(path, records) == new


def test_a_touched_file_is_hashed_once(used, monkeypatch):
    path, records = used
    os.utime(path, ns=(0, 0))
    assert enforce_checksum(path, records) == sha256(b"content").hexdigest()
    monkeypatch.setattr(dsrl, "file_checksum", None)
    assert enforce_checksum(path, records) == sha256(b"content").hexdigest()


def test_a_file_of_the_same_name_elsewhere_must_be_the_same(used, tmp_path):
    path, records = used
    (tmp_path / "else").mkdir()
    copy = tmp_path / "else" / "some.hdf5"
    shutil.copy2(path, copy)
    assert enforce_checksum(copy, records) == sha256(b"content").hexdigest()
    copy.write_bytes(b"CONTENT")
    with pytest.raises(UserError, match="has changed"):
        enforce_checksum(copy, records)


@pytest.mark.parametrize("record", ["", "{", "[]", "{}", '{"sha256": "abc"}', "\x00", None])
def test_a_damaged_record_is_as_none(used, record):
    path, records = used
    noted = records / "some.hdf5.sha256.json"
    facts = json.loads(noted.read_text())
    noted.write_text(json.dumps(facts | {"sha256": 7}) if record is None else record)
    assert enforce_checksum(path, records) == sha256(b"content").hexdigest()
    assert json.loads(noted.read_text()) == facts


def test_a_known_sum_is_not_computed_but_compared(used, monkeypatch):
    path, records = used
    monkeypatch.setattr(dsrl, "file_checksum", None)
    with pytest.raises(UserError, match="has changed"):
        enforce_checksum(path, records, "0" * 64)
    fresh = path.with_name("fresh.hdf5")
    fresh.write_bytes(b"new")
    assert enforce_checksum(fresh, records, "1" * 64) == "1" * 64
    assert enforce_checksum(fresh, records) == "1" * 64


def test_a_sum_that_cannot_be_taken_or_noted_is_one_line(used, capsys):
    path, records = used
    with pytest.raises(UserError) as caught:
        enforce_checksum(path.with_name("none.hdf5"), records)
    one_line(caught, "none.hdf5", "No such file")
    assert enforce_checksum(path, path / "records") == file_checksum(path)
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: ")
    for part in (str(path / "records"), "Not a directory", "OSRL_BENCH_CACHE"):
        assert part in note
