"""Where published files are looked for."""

import socket

import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets.mirror import MIRRORS, mirrors, reachable
from tests.support.loopback import NAME, TASK, closed_port, one_line

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
