"""A server on this machine that holds a published file and fails as it is told."""

import socket
import tempfile
import threading
import time
from collections import namedtuple
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.datasets.dsrl import fetch
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.tasks.tasks import TASKS

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
    """The bytes of a file of BallRun as DSRL publishes them: compressed, without sums."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, published = (Path(folder) / name for name in ("made.hdf5", "published.hdf5"))
        Trajectories.from_arrays(
            rng.normal(size=(rows, TASK.observation_dim)),
            rng.uniform(-1, 1, (rows, TASK.action_dim)),
            rng.normal(size=rows),
            rng.integers(0, 2, rows),
            np.zeros(rows),
            np.arange(rows) % 50 == 49,
        ).save(path)
        with h5py.File(path) as source, h5py.File(published, "w", track_order=True) as file:
            for name, column in source.items():
                file.create_dataset(name, data=column[()], compression="gzip")
        return published.read_bytes()


CONTENT, OTHER = made(3000, 0), made(1000, 1)
SIZE = len(CONTENT)
# as long as CONTENT and as sound, but not the same bytes
TWIN = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


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


def closed_port():
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{port.getsockname()[1]}/data"


def one_line(caught, *parts):
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
