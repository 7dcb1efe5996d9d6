"""The long drills of tests/soak with small numbers: what they count must be zero here too."""
import sys

import pytest

import gh

sys.path.insert(0, str(gh.TOP / "tests/soak"))
import aborts  # noqa: E402
import attacks  # noqa: E402
import browsers  # noqa: E402
import certificates  # noqa: E402
import changes  # noqa: E402


def test_changes_under_load_cost_nothing():
    r = changes.reloads(count=60, rate=10, websockets=20, downloads=5)
    assert r["requests"] > 100 and r["reloads"] > 5, r
    assert (r["failed"], r["closed"], r["refused"]) == (0, 0, 0), r
    assert r["held_alive"] == r["held"] and r["pids_unchanged"], r


def test_killed_workers_cost_only_what_they_had_in_flight():
    r = changes.kills(count=5, period=0)
    assert (r["refused"], r["fresh_refused"]) == (0, 0), r
    assert r["failed"] <= 5 * 16 and r["fresh_failed"] <= 5, r


def test_a_broken_file_harms_no_other():
    r = changes.files(count=12, n=60)
    assert r["wrong_answers"] == 0 and r["named_with_position"] == 12, r


def test_certificates_change_under_handshakes_and_none_fails():
    r = certificates.swaps(count=24)
    assert r["handshakes"] > 50 and r["mismatches"] == 4, r
    assert (r["failed"], r["strange"], r["old_lost"], r["old_again"]) == (0, 0, 0, 0), r


def test_streams_of_all_kinds_live_through_reloads():
    pytest.importorskip("grpc.aio")
    import streams
    r = streams.reloads(count=15, streams=20, passed=20, websockets=5, flows=10)
    assert (r["closed"], r["datagrams_lost"]) == (0, 0) and r["pids_unchanged"], r
    assert min(r["messages"].values()) > 15 and r["figures"]["most_fds_more"] < 10, r


def test_handshakes_broken_off_in_every_way_are_counted_and_leave_no_descriptor():
    r = aborts.aborts(count=300)
    assert r["counted"] == r["to_be_counted"] and not r["honest_failed"], r
    assert r["figures"]["most_fds_more"] < 3 and not r["figures"]["gone"], r


def test_browsers_lose_no_connection_by_cancelling():
    r = browsers.replay(count=len(browsers.TRACES["visits"]), pause=0.1)
    assert not browsers.replay_faults(r), r


def test_no_payload_of_http_2_reaches_a_backend_as_something_else():
    r = attacks.desync()
    assert not attacks.desync_faults(r), r
