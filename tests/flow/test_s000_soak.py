"""The long runs of soak.py with small numbers: what they count must be zero here too."""
import soak


def test_changes_under_load_cost_nothing():
    r = soak.reloads(count=60, rate=10, websockets=20, downloads=5)
    assert r["requests"] > 100 and r["reloads"] > 5, r
    assert (r["failed"], r["closed"], r["refused"]) == (0, 0, 0), r
    assert r["held_alive"] == r["held"] and r["pids_unchanged"], r


def test_killed_workers_cost_only_what_they_had_in_flight():
    r = soak.kills(count=5, period=0)
    assert (r["refused"], r["fresh_refused"]) == (0, 0), r
    assert r["failed"] <= 5 * 16 and r["fresh_failed"] <= 5, r


def test_a_broken_file_harms_no_other():
    r = soak.files(count=12, n=60)
    assert r["wrong_answers"] == 0 and r["named_with_position"] == 12, r
