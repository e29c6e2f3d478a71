"""Fetching published files from servers and networks that fail in every way we could think of."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.data import dsrl
from benchmarks.data.dsrl import enforce_checksum, fetch
from benchmarks.data.mirror import MIRRORS, mirrors, reachable
from benchmarks.data.trajectories import Trajectories
from benchmarks.data.verify import findings
from benchmarks.errors import UserError
from benchmarks.tasks import TASKS

TASK = TASKS["BallRun"]
NAME = TASK.dataset_file
HTML = b"<!DOCTYPE html><html><body>Bad gateway</body></html>" * 100

Seen = namedtuple("Seen", "method path headers")


class Server(ThreadingHTTPServer):
    """A mirror on loopback that does as it is told: one fault a request, then `habit`.

    What is under /hub/ is redirected to /data/, as Hugging Face does; `seen` leaves that out.
    """

    request_queue_size = 64

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.seen = content, []
        self.faults, self.habit = [], {}
        self.release = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}/data"

    def starts(self):
        """The first byte that each GET asked for."""
        ranges = [one.headers.get("Range", "bytes=0-") for one in self.seen if one.method == "GET"]
        return [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges]

    def handle_error(self, request, client_address):
        pass  # clients are killed in these tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server = self.server
        if self.path.startswith("/hub/"):
            return self.redirect(**server.habit)
        server.seen.append(Seen(self.command, self.path, dict(self.headers)))
        plan = server.habit | (server.faults.pop(0) if server.faults else {})
        if plan.get("status") and self.command not in plan.get("spare", ()):
            return self.refuse(**plan)
        return self.serve(**plan)

    def redirect(self, linked=None, size=None, **_):
        self.send_response(302)
        self.send_header("Location", self.path.replace("/hub/", "/data/"))
        if linked:
            self.send_header("X-Linked-ETag", f'"{linked}"')
        if size:
            self.send_header("X-Linked-Size", str(size))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def refuse(self, status, headers=(), body=HTML, **_):
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(
        self,
        content=None,
        etag='"v1"',
        heed_range=True,
        heed_if_range=True,
        shift=0,
        most=None,
        longer=0,
        length=True,
        chunked=False,
        cut=None,
        hold=None,
        wait=False,
        sleeps=None,
        **_,
    ):
        """The file: cut or held after so many bytes of the answer, with headers that may lie."""
        content = self.server.content if content is None else content
        start, stop, asked = 0, len(content), self.headers.get("Range")
        if_range = self.headers.get("If-Range", etag) if heed_if_range else etag
        if asked and heed_range and if_range == etag:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                total = {"Content-Range": f"bytes */{len(content)}"} if heed_range is True else {}
                return self.refuse(416, headers=total)
            self.send_response(206)
            stop = min(stop, start + most) if most else stop
            span = f"bytes {start + shift}-{stop - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        body = content[start + shift : stop] if start else content
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Type", "application/octet-stream")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif length:
            self.send_header("Content-Length", str(len(body) + longer))
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return None
        if wait:
            self.server.release.wait(20)
        end = len(body) if cut is None else cut
        if sleeps:
            count, seconds = sleeps
            bounds = np.linspace(0, end, count + 1).astype(int)
        else:
            seconds, bounds = 0, [0, min(end, hold or end), end]
        for a, b in pairwise(bounds):
            self.send(body[a:b], chunked)
            time.sleep(seconds)
            if hold:
                self.server.release.wait(20)
        if chunked and cut is None:
            self.wfile.write(b"0\r\n\r\n")
        return None

    def send(self, piece, chunked):
        if len(piece):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)


def made(rows, seed):
    """The bytes of a DSRL file of BallRun."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.hdf5"
        Trajectories.from_arrays(
            rng.normal(size=(rows, TASK.observation_dim)),
            rng.uniform(-1, 1, (rows, TASK.action_dim)),
            rng.normal(size=rows),
            rng.integers(0, 2, rows),
            np.zeros(rows),
            np.arange(rows) % 50 == 49,
        ).save(path)
        return path.read_bytes()


CONTENT, OTHER = made(3000, 0), made(1000, 1)
SIZE = len(CONTENT)
# as long as CONTENT and as sound, but not the same bytes
TWIN = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("OSRL_BENCH_MIRRORS", raising=False)


@pytest.fixture
def make_server():
    servers = []

    def make(content=CONTENT):
        servers.append(Server(content))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield make
    for server in servers:
        server.release.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def slept(monkeypatch):
    """The pauses that were made, which take no time here."""
    pauses = []
    monkeypatch.setattr(dsrl, "sleep", pauses.append)
    return pauses


def get(folder, *servers, **options):
    options = {"pause": 0.001, "timeout": 5.0} | options
    return fetch(TASK, folder, [getattr(s, "address", s) for s in servers], **options)


def assert_whole(folder, content=CONTENT):
    """The file is there and nothing else is left of its fetching."""
    assert sha256((folder / NAME).read_bytes()).digest() == sha256(content).digest()
    assert [one.name for one in folder.iterdir() if not one.name.endswith(".lock")] == [NAME]


def leave_part(folder, server, size=100_000):
    """What a call leaves that was interrupted after `size` bytes."""

    def stop(done, total):
        if done >= size:
            raise KeyboardInterrupt

    server.faults.insert(0, {"cut": size})
    with pytest.raises(KeyboardInterrupt):
        get(folder, server, progress=stop)
    server.seen.clear()
    assert (folder / f"{NAME}.part").stat().st_size == size


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
    server.habit = {"sleeps": (10, 0.08)}
    began = time.monotonic()
    get(tmp_path, server, timeout=0.4, attempts=1)
    assert time.monotonic() - began > 0.6
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


def closed_port():
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{port.getsockname()[1]}/data"


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
from benchmarks.data.dsrl import fetch
from benchmarks.tasks import TASKS
print("ready", flush=True)
print(fetch(TASKS["BallRun"], Path(sys.argv[1]), [sys.argv[2]]))
"""


def child(folder, server):
    command = [sys.executable, "-c", CHILD, str(folder), server.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def wait_until(condition):
    until = time.monotonic() + 20
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
        assert process.communicate(timeout=20)[0].strip() == str(tmp_path / NAME)
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


# --- files that change, servers that do not go on --------------------------------------------


@pytest.mark.parametrize("heed_if_range", [True, False])
def test_a_file_that_changed_is_begun_anew(server, tmp_path, heed_if_range):
    leave_part(tmp_path, server, 30_000)
    server.content, server.habit = TWIN, {"etag": '"v2"', "heed_if_range": heed_if_range}
    get(tmp_path, server)
    assert_whole(tmp_path, TWIN)
    assert server.starts() == ([30_000] if heed_if_range else [30_000, 0])


def test_a_file_whose_size_changed_is_begun_anew(server, tmp_path):
    server.habit = {"etag": None}
    leave_part(tmp_path, server, 30_000)
    server.content = OTHER
    get(tmp_path, server)
    assert_whole(tmp_path, OTHER)
    assert server.starts() == [30_000, 0]


def test_a_file_whose_sum_changed_is_begun_anew(server, tmp_path):
    server.address = server.address.replace("/data", "/hub")
    server.habit = {"etag": None, "linked": sha256(CONTENT).hexdigest()}
    leave_part(tmp_path, server)
    server.content, server.habit["linked"] = TWIN, sha256(TWIN).hexdigest()
    get(tmp_path, server)
    assert_whole(tmp_path, TWIN)


def test_a_server_without_ranges_sends_it_anew(server, tmp_path):
    server.habit, server.faults = {"heed_range": False}, [{"cut": 90_000}, {"cut": 50_000}]
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [0, 90_000, 50_000]


@pytest.mark.parametrize("cuts", [[90_000] * 20, [50_000, 100_000] * 10])
def test_a_server_without_ranges_that_always_drops_is_left(make_server, tmp_path, cuts):
    bad, good = make_server(), make_server()
    bad.habit, bad.faults = {"heed_range": False}, [{"cut": cut} for cut in cuts]
    get(tmp_path, bad, good)
    assert_whole(tmp_path)
    assert len(bad.seen) == 6


def test_a_range_that_starts_elsewhere_is_not_joined(server, tmp_path):
    leave_part(tmp_path, server)
    server.faults = [{"shift": 10}]
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [100_000, 0]


def test_a_range_that_was_not_asked_for_is_not_taken(server, tmp_path):
    span = {"Content-Range": f"bytes 10-99/{SIZE}"}
    server.faults = [{"status": 206, "headers": span}, {"status": 206}]
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [0, 0, 0]


def test_a_server_may_send_less_than_was_asked_for(server, tmp_path):
    leave_part(tmp_path, server)
    server.habit = {"most": 40_000}
    get(tmp_path, server, attempts=1)
    assert_whole(tmp_path)
    assert server.starts() == list(range(100_000, SIZE, 40_000))


def test_a_web_page_does_not_cost_the_part(server, tmp_path):
    leave_part(tmp_path, server)
    server.faults = [{"status": 200}]
    with pytest.raises(UserError, match=r"web page.*0\.1 MB are kept"):
        get(tmp_path, server)
    get(tmp_path, server)
    assert_whole(tmp_path)
    assert server.starts() == [100_000, 100_000]


# --- mirrors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_mirror_without_the_file_is_left_at_once(make_server, tmp_path, status, slept):
    empty, good = make_server(), make_server()
    empty.habit = {"status": status}
    get(tmp_path, empty, good)
    assert_whole(tmp_path)
    assert (len(empty.seen), len(good.seen), slept) == (1, 1, [])


def test_a_bad_gateway_is_asked_again_and_then_left(make_server, tmp_path, slept):
    bad, good = make_server(), make_server()
    bad.habit = {"status": 502}
    get(tmp_path, bad, good, pause=1.0, attempts=4)
    assert_whole(tmp_path)
    assert (len(bad.seen), slept) == (4, [1, 2, 4])


def test_a_bad_gateway_may_pass(server, tmp_path, slept):
    server.faults = [{"status": 502}] * 3 + [{"cut": 9_000}] + [{"status": 502}] * 4
    get(tmp_path, server, pause=0.5)
    assert_whole(tmp_path)
    assert slept == [0.5, 1, 2, 0.5, 0.5, 1, 2, 4]


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("9999", 30), ("soon", 1), ("0", 1), ("-5", 1), ("", 1)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_may_ask_to_wait(server, tmp_path, status, asked, waited, slept):
    server.faults = [{"status": status, "headers": {"Retry-After": asked}}]
    get(tmp_path, server, pause=1.0)
    assert_whole(tmp_path)
    assert slept == [waited]


SUM = sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("first", "second", "content", "goes_on"),
    [
        ({}, {}, CONTENT, True),
        ({"etag": None, "linked": SUM}, {"etag": None, "linked": SUM}, CONTENT, True),
        ({"linked": SUM}, {"etag": '"x"', "linked": SUM}, CONTENT, True),
        ({"etag": None}, {"etag": None}, TWIN, False),
        ({}, {"etag": None}, TWIN, False),
        ({"etag": 'W/"v1"'}, {"etag": 'W/"v1"'}, TWIN, False),
        ({}, {"etag": '"v2"'}, TWIN, False),
        ({}, {}, OTHER, False),
    ],
)
def test_a_part_is_taken_to_another_mirror_if_it_is_the_same_file(
    make_server, tmp_path, first, second, content, goes_on
):
    one, other = make_server(), make_server(content)
    one.address = one.address.replace("/data", "/hub")
    other.address = other.address.replace("/data", "/hub")
    one.habit, other.habit = first, second
    one.faults = [{"cut": 30_000}, {"status": 404}]
    get(tmp_path, one, other)
    assert_whole(tmp_path, content)
    assert other.starts() == ([30_000] if goes_on else [30_000, 0])


def test_all_that_was_said_stands_in_one_line(make_server, tmp_path):
    gone, bad, page = make_server(), make_server(), make_server()
    gone.habit, bad.habit, page.habit = {"status": 404}, {"status": 502}, {"status": 200}
    secret = gone.address.replace("http://", "http://user:secret@")
    with pytest.raises(UserError) as caught:
        get(tmp_path, gone, bad, page, secret)
    text = str(caught.value)
    assert f"could not fetch {NAME} (127.0.0.1:{gone.server_port}: HTTP 404; " in text
    assert f"127.0.0.1:{bad.server_port}: HTTP 502, in 5 tries; " in text
    assert f"127.0.0.1:{page.server_port}: answered with a web page, not an HDF5 file" in text
    for remedy in ("nothing is kept", "--mirror", "OSRL_BENCH_MIRRORS", "DSRL_DATASET_DIR"):
        assert remedy in text
    assert "--data generated" in text
    assert "\n" not in text
    assert "secret" not in text


def test_what_is_kept_is_told(server, tmp_path):
    server.faults, server.habit = [{"cut": 150_000}], {"status": 502}
    server.faults[0]["status"] = None
    with pytest.raises(UserError, match=r"0\.1 MB are kept, run again to go on"):
        get(tmp_path, server, attempts=2)
    server.habit = {}
    get(tmp_path, server)
    assert server.starts() == [0, 150_000, 150_000, 150_000]


def test_no_mirror_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no mirror is named"):
        get(tmp_path)


@pytest.mark.parametrize("address", ["http://127.0.0.1:http/data", "http://a..b/data", "nowhere"])
def test_an_address_that_leads_nowhere_is_left(server, tmp_path, address, slept):
    get(tmp_path, address, server)
    assert_whole(tmp_path)


# --- answers that are not the file -----------------------------------------------------------


def refused(folder, server, reason):
    """The mirror is left after one try and nothing of its answer kept."""
    with pytest.raises(UserError, match=reason) as caught:
        get(folder, server)
    assert "nothing is kept" in str(caught.value)
    assert [one.name for one in folder.iterdir() if not one.name.endswith(".lock")] == []


@pytest.mark.parametrize("body", [HTML, b"\n <html>", b"", b"busy", b"version https://git-lfs"])
def test_an_answer_that_is_not_hdf5_is_refused(server, tmp_path, body):
    server.habit = {"status": 200, "body": body}
    refused(tmp_path, server, "answered with a web page, not an HDF5 file")
    assert len(server.seen) == 1
    server.habit = {"content": body}
    kind = "a web page" if body[:1] == b"<" else "something else"
    refused(tmp_path, server, f"answered with {kind}, not an HDF5 file")


@pytest.mark.parametrize("status", [203, 204])
def test_another_kind_of_success_is_refused(server, tmp_path, status):
    server.habit = {"status": status, "body": b""}
    refused(tmp_path, server, f"HTTP {status}")


@pytest.mark.parametrize("headers", [{}, {"chunked": True}, {"length": False}])
def test_a_file_cut_short_at_the_server_is_refused(server, tmp_path, headers):
    server.habit = {"content": CONTENT[: SIZE // 2]} | headers
    refused(tmp_path, server, "the file is not whole: ")
    assert server.starts() == [0]


def test_a_length_that_is_too_small_cuts_the_file(server, tmp_path):
    server.habit = {"longer": -5000}
    refused(tmp_path, server, "the file is not whole: ")


def test_a_length_that_is_too_large_is_a_drop(make_server, tmp_path):
    server, good = make_server(), make_server()
    server.habit = {"longer": 5000, "heed_range": False}
    with pytest.raises(UserError, match="broke off, in 3 tries"):
        get(tmp_path, server, attempts=3)
    get(tmp_path, server, good)
    assert_whole(tmp_path)


def test_a_damaged_file_is_refused(server, tmp_path):
    middle = SIZE // 2
    server.habit = {"content": CONTENT[:middle] + b"\xff\x00" * 50 + CONTENT[middle + 100 :]}
    refused(tmp_path, server, "the file is not whole: ")


@pytest.mark.parametrize("altered", [TWIN, CONTENT + b"\0"])
def test_an_altered_file_is_refused_by_its_sum(make_server, tmp_path, altered):
    path = tmp_path / "altered.hdf5"
    path.write_bytes(altered)
    assert findings(path, TASK) == []  # nothing but the sum can tell
    path.unlink()
    server, good = make_server(altered), make_server()
    server.address = server.address.replace("/data", "/hub")
    server.habit = {"linked": SUM.upper()}
    refused(tmp_path, server, "its sha256 is not as told")
    get(tmp_path, server, good)
    assert_whole(tmp_path)


def test_the_sum_is_known_on_the_way(server, tmp_path):
    server.address = server.address.replace("/data", "/hub")
    server.habit = {"linked": SUM, "size": SIZE, "chunked": True, "etag": None}
    told = []
    server.faults = [{"cut": 80_000}]
    get(tmp_path, server, progress=lambda *now: told.append(now))
    assert_whole(tmp_path)
    assert told[-1] == (SIZE, SIZE)
    assert server.starts() == [0, 80_000]


def test_a_tag_that_is_no_sum_is_not_compared(server, tmp_path):
    server.address = server.address.replace("/data", "/hub")
    server.habit = {"linked": "0" * 40}
    get(tmp_path, server)
    assert_whole(tmp_path)


# --- disks -----------------------------------------------------------------------------------


def one_line(caught, *parts):
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


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
    one_line(caught, f"no room for {NAME} in {tmp_path}", "OSRL_BENCH_CACHE")
    assert not list(tmp_path.glob("*.part*"))
    leave_free = SIZE - 100_000
    monkeypatch.undo()
    leave_part(tmp_path, server)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=leave_free - 1))
    with pytest.raises(UserError, match="no room"):
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


# --- addresses -------------------------------------------------------------------------------


def test_mirrors_are_the_options_then_the_environments_then_ours(monkeypatch):
    assert mirrors() == list(MIRRORS)
    monkeypatch.setenv("OSRL_BENCH_MIRRORS", " https://b.org/x\n http://a.org/  https://c.org:80 ")
    assert mirrors(["http://a.org", "HTTP://d.org"]) == [
        "http://a.org",
        "HTTP://d.org",
        "https://b.org/x",
        "https://c.org:80",
        *MIRRORS,
    ]
    monkeypatch.setenv("OSRL_BENCH_MIRRORS", MIRRORS[0] + "/")
    assert mirrors() == list(MIRRORS)


@pytest.mark.parametrize("bad", ["ftp://a.org", "a.org/x", "/data", "", "http://", "https:///x"])
def test_a_mirror_that_is_no_web_address_is_refused(bad, monkeypatch):
    with pytest.raises(UserError, match="is no web address") as caught:
        mirrors([bad])
    one_line(caught, repr(bad), "http://")
    monkeypatch.setenv("OSRL_BENCH_MIRRORS", bad)
    if bad:
        with pytest.raises(UserError, match="is no web address"):
            mirrors()


def test_reachable_is_whether_a_mirror_has_the_file(make_server):
    good, gone = make_server(), make_server()
    gone.habit = {"status": 404}
    assert reachable(TASK, [good.address])
    assert [one.method for one in good.seen] == ["HEAD"]
    assert good.seen[0].path == f"/data/{NAME}"
    assert not reachable(TASK, [gone.address])
    assert not reachable(TASK, [closed_port()])
    assert not reachable(TASK, [])
    assert reachable(TASK, [closed_port(), gone.address, good.address])


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_that_forbids_head_is_asked_for_a_byte(server, status):
    server.habit = {"status": status, "spare": ["GET"]}
    assert reachable(TASK, [server.address])
    assert [one.method for one in server.seen] == ["HEAD", "GET"]
    assert server.seen[1].headers["Range"] == "bytes=0-0"
    server.habit = {"status": status}
    assert not reachable(TASK, [server.address])


@pytest.mark.parametrize("status", [200, 500, 503, 301])
def test_a_server_in_trouble_is_not_reachable(server, status):
    server.habit = {"status": status}  # 200 is a web page
    assert not reachable(TASK, [server.address])


@pytest.mark.parametrize("address", ["nonsense", "http://", "http://a b", "http://[::1", "x:y"])
def test_reachable_never_raises(address):
    assert not reachable(TASK, [address])


def test_a_redirect_is_reachable_and_silence_is_not(server):
    assert reachable(TASK, [server.address.replace("/data", "/hub")])
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert not reachable(TASK, [f"http://127.0.0.1:{silent.getsockname()[1]}"], timeout=0.1)


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


def test_a_sum_that_cannot_be_taken_or_noted_is_one_line(used):
    path, records = used
    with pytest.raises(UserError) as caught:
        enforce_checksum(path.with_name("none.hdf5"), records)
    one_line(caught, "none.hdf5", "No such file")
    with pytest.raises(UserError) as caught:
        enforce_checksum(path, path / "records")
    one_line(caught, str(path / "records"), "Not a directory")
