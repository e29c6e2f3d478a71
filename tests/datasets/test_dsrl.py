"""Fetching published files over networks that fail in every way we could think of."""

import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.loopback import (
    CONTENT,
    NAME,
    OTHER,
    SIZE,
    Server,
    assert_whole,
    closed_port,
    get,
    leave_part,
)

# --- the file arrives ------------------------------------------------------------------------


def test_the_file_arrives(server, tmp_path):
    told = []
    path = get(tmp_path / "new" / "folder", server, progress=lambda *now: told.append(now))
    assert path == tmp_path / "new" / "folder" / NAME
    assert_whole(path.parent)
    assert told[0] == (0, SIZE)
    assert told[-1] == (SIZE, SIZE)
    assert told == sorted(told)
    (seen,) = server.seen
    assert seen.path == f"/data/{NAME}"
    assert seen.headers["Accept-Encoding"] == "identity"
    assert "Range" not in seen.headers


def test_a_file_that_is_there_is_not_fetched(server, tmp_path):
    (tmp_path / NAME).write_bytes(b"mine")
    assert get(tmp_path, server).read_bytes() == b"mine"
    assert not server.seen
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


def test_a_slash_at_the_end_of_an_address_is_no_matter(server, tmp_path):
    get(tmp_path, f"{server.address}/")
    assert server.seen[0].path == f"/data/{NAME}"


@pytest.mark.parametrize("headers", [{"chunked": True}, {"length": False}])
def test_a_file_of_unknown_length_arrives(server, tmp_path, headers):
    told = []
    server.habit = headers
    get(tmp_path, server, progress=lambda *now: told.append(now))
    assert_whole(tmp_path)
    assert told[-1] == (SIZE, None)


def test_a_proxy_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address.removesuffix("/data"))
    get(tmp_path, "http://mirror.invalid/data")
    assert_whole(tmp_path)
    assert server.seen[0].path == f"http://mirror.invalid/data/{NAME}"


def test_a_slow_server_that_goes_on_sending_succeeds(server, tmp_path):
    server.habit = {"sleeps": (6, 0.25)}  # longer than the timeout, all in all
    get(tmp_path, server, timeout=1.2, attempts=1)
    assert_whole(tmp_path)
    assert len(server.seen) == 1


# --- broken connections ----------------------------------------------------------------------


def test_a_dropped_connection_is_taken_up_where_it_broke(make_server, tmp_path):
    rng = random.Random(0)
    for i in range(50):
        server, folder = make_server(), tmp_path / str(i)
        cut = rng.randrange(8, SIZE)
        server.faults = [{"cut": cut}]
        get(folder, server)
        assert_whole(folder)
        assert server.starts() == [0, cut]
        assert server.seen[1].headers["If-Range"] == '"v1"'


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_less_than_a_signature_is_fetched_again(server, tmp_path, cut):
    server.faults = [{"cut": cut}]
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [0, 0]


@pytest.mark.parametrize("kind", [{}, {"chunked": True}, {"etag": None}, {"etag": 'W/"v1"'}])
def test_many_drops_are_no_failure_while_bytes_come(server, tmp_path, kind):
    server.habit, server.faults = kind, [{"cut": 8_000}] * 20
    get(tmp_path, server, attempts=2)
    assert_whole(tmp_path)
    assert server.starts() == [8_000 * i for i in range(21)]
    strong = kind.get("etag", '"v1"') == '"v1"'
    assert ["If-Range" in one.headers for one in server.seen] == [False] + [strong] * 20


def test_a_stalled_server_is_asked_again(server, tmp_path):
    server.faults = [{"hold": 30_000}]
    get(tmp_path, server, timeout=0.3)
    assert_whole(tmp_path)
    assert server.starts() == [0, 30_000]


def test_a_server_that_never_answers_is_left(server, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}/data"
        get(tmp_path, dead, server, timeout=0.1, attempts=2)
    assert_whole(tmp_path)


def test_a_closed_port_is_left(server, tmp_path, slept):
    get(tmp_path, closed_port(), server, pause=1.0)
    assert_whole(tmp_path)
    assert slept == [1, 2, 4, 8]


FAULTS = st.one_of(
    st.builds(lambda cut: {"cut": cut}, st.integers(0, SIZE)),
    st.builds(lambda cut: {"cut": cut, "chunked": True}, st.integers(0, SIZE)),
    st.builds(lambda cut: {"cut": cut, "heed_range": False}, st.integers(0, SIZE)),
    st.builds(lambda shift: {"shift": shift}, st.integers(1, 1000)),
    st.builds(lambda status: {"status": status}, st.sampled_from([429, 500, 502, 503, 504])),
    st.builds(lambda etag: {"etag": etag}, st.sampled_from([None, '"v2"', 'W/"v1"'])),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(FAULTS, max_size=6))
def test_whatever_happens_the_file_is_whole(faults):
    server = Server(CONTENT)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.faults = list(faults)
    try:
        with tempfile.TemporaryDirectory() as folder:
            get(Path(folder), server, attempts=10)
            assert_whole(Path(folder))
    finally:
        server.shutdown()
        server.server_close()


# --- calls that end early --------------------------------------------------------------------


def test_what_an_interrupted_call_left_is_taken_up(server, tmp_path):
    leave_part(tmp_path, server)
    told = json.loads((tmp_path / f"{NAME}.part.json").read_text())
    assert (told["address"], told["total"], told["etag"]) == (server.address, SIZE, '"v1"')
    progress = []
    get(tmp_path, server, progress=lambda *now: progress.append(now))
    assert_whole(tmp_path)
    assert server.starts() == [100_000]
    assert progress[0] == (100_000, SIZE)


CHILD = """
import sys
from pathlib import Path
from benchmarks.datasets.dsrl import fetch
from benchmarks.tasks.tasks import TASKS
print("ready", flush=True)
print(fetch(TASKS["BallRun"], Path(sys.argv[1]), [sys.argv[2]]))
"""


def child(folder, server):
    command = [sys.executable, "-c", CHILD, str(folder), server.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def wait_until(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_what_a_killed_process_left_is_taken_up(server, tmp_path):
    server.faults = [{"hold": 70_000}]
    process, part = child(tmp_path, server), tmp_path / f"{NAME}.part"
    wait_until(lambda: part.exists() and part.stat().st_size == 70_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / NAME).exists()
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [0, 70_000]


def test_two_processes_fetch_once(server, tmp_path):
    server.habit = {"wait": True}
    processes = [child(tmp_path, server) for _ in range(2)]
    wait_until(lambda: server.seen)
    time.sleep(0.3)  # enough for the other to ask too if nothing held it
    server.release.set()
    for process in processes:
        assert process.communicate(timeout=60)[0].strip() == str(tmp_path / NAME)
        assert process.returncode == 0
    assert_whole(tmp_path)
    assert server.starts() == [0]


@pytest.mark.parametrize("sidecar", [None, "{", "[]", '{"total": 1}', "null"])
def test_a_part_of_unknown_origin_is_not_used(server, tmp_path, sidecar):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:5000])
    if sidecar is not None:
        (tmp_path / f"{NAME}.part.json").write_text(sidecar)
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [0]


@pytest.mark.parametrize("habit", [{}, {"etag": None}, {"heed_range": "without a total"}])
def test_a_part_that_lacks_nothing_is_whole(server, tmp_path, habit):
    server.habit = habit
    leave_part(tmp_path, server, SIZE)
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [SIZE]


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    server.habit = {"etag": None}
    leave_part(tmp_path, server)
    server.content = OTHER
    get(tmp_path, server)
    assert_whole(tmp_path, OTHER)
    assert server.starts() == [100_000, 0]
