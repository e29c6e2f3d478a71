"""Fetching published files from servers that send something else."""

from hashlib import sha256

import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets.verify import file_faults
from tests.support.loopback import (
    CONTENT,
    HTML,
    NAME,
    OTHER,
    SIZE,
    TASK,
    TWIN,
    assert_whole,
    get,
    leave_part,
)

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
    assert f"cannot download {NAME} (127.0.0.1:{gone.server_port}: HTTP 404; " in text
    assert f"127.0.0.1:{bad.server_port}: HTTP 502, in 5 attempts; " in text
    assert f"127.0.0.1:{page.server_port}: the server sent a web page, not an HDF5 file" in text
    for remedy in ("nothing is kept", "--mirror", "OSRL_BENCH_MIRRORS", "DSRL_DATASET_DIR"):
        assert remedy in text
    assert "--data generated" in text
    assert "\n" not in text
    assert "secret" not in text


def test_what_is_kept_is_told(server, tmp_path):
    server.faults, server.habit = [{"cut": 150_000}], {"status": 502}
    server.faults[0]["status"] = None
    with pytest.raises(UserError, match=r"0\.1 MB are kept, run again to resume"):
        get(tmp_path, server, attempts=2)
    server.habit = {}
    get(tmp_path, server)
    assert server.starts() == [0, 150_000, 150_000, 150_000]


def test_no_mirror_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no mirror is given"):
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
    refused(tmp_path, server, "the server sent a web page, not an HDF5 file")
    assert len(server.seen) == 1
    server.habit = {"content": body}
    kind = "a web page" if body[:1] == b"<" else "something else"
    refused(tmp_path, server, f"the server sent {kind}, not an HDF5 file")


@pytest.mark.parametrize("status", [203, 204])
def test_another_kind_of_success_is_refused(server, tmp_path, status):
    server.habit = {"status": status, "body": b""}
    refused(tmp_path, server, f"HTTP {status}")


@pytest.mark.parametrize("headers", [{}, {"chunked": True}, {"length": False}])
def test_a_file_cut_short_at_the_server_is_refused(server, tmp_path, headers):
    server.habit = {"content": CONTENT[: SIZE // 2]} | headers
    refused(tmp_path, server, "the file is faulty: ")
    assert server.starts() == [0]


def test_a_length_that_is_too_small_cuts_the_file(server, tmp_path):
    server.habit = {"longer": -5000}
    refused(tmp_path, server, "the file is faulty: ")


def test_a_length_that_is_too_large_is_a_drop(make_server, tmp_path):
    server, good = make_server(), make_server()
    server.habit = {"longer": 5000, "heed_range": False}
    with pytest.raises(UserError, match="the connection broke, in 3 attempts"):
        get(tmp_path, server, attempts=3)
    get(tmp_path, server, good)
    assert_whole(tmp_path)


def test_a_damaged_file_is_refused(server, tmp_path):
    middle = SIZE // 2
    server.habit = {"content": CONTENT[:middle] + b"\xff\x00" * 50 + CONTENT[middle + 100 :]}
    refused(tmp_path, server, "the file is faulty: ")


@pytest.mark.parametrize("altered", [TWIN, CONTENT + b"\0"])
def test_an_altered_file_is_refused_by_its_sum(make_server, tmp_path, altered):
    path = tmp_path / "altered.hdf5"
    path.write_bytes(altered)
    assert file_faults(path, TASK) == []  # nothing but the sum can tell
    path.unlink()
    server, good = make_server(altered), make_server()
    server.address = server.address.replace("/data", "/hub")
    server.habit = {"linked": SUM.upper()}
    refused(tmp_path, server, "its sha256 is not the stated one")
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
