#!/usr/bin/env python3
"""report_test.py - the bench's arithmetic, its tables and its chart, on figures made up here. Measures nothing."""
import json
import sys
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import chart  # noqa: E402
import loads  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
from rows import ROWS, Row  # noqa: E402

ROW = Row("h1", "HTTP/1.1 <1 KiB>", goal=0.9, syscalls=4.3)
SAMPLES = {"nginx": [10, 20, 30], "haproxy": [30, 30, 30], "gatehouse": [8, 18, 24]}


def record(**more):
    return report.summarise(Row("x", "a row", **more), SAMPLES)


def document(*records):
    return dict(date="2026-01-01", machine="2 processors", rounds=3, seconds=1,
                peers={n: "1 & only" for n in SAMPLES}, rows=list(records))


class Arithmetic(unittest.TestCase):
    def test_ratios_are_taken_round_by_round(self):
        r = report.paired([8, 18, 24], [10, 20, 30])
        self.assertEqual((r["median"], r["low"], r["high"]), (0.8, 0.8, 0.9))
        self.assertAlmostEqual(r["noise"], 0.0625)

    def test_the_best_peer_has_the_smallest_median_and_is_never_gatehouse(self):
        self.assertEqual(report.best_of(SAMPLES), "nginx")
        self.assertEqual(report.best_of(SAMPLES, "haproxy"), "haproxy")
        self.assertIsNone(report.best_of({"gatehouse": [1]}))

    def test_a_goal_that_is_missed_by_less_than_the_noise_is_not_called_missed(self):
        self.assertEqual(report.verdict(0.90, 0.90), report.REACHED)
        self.assertEqual(report.verdict(0.95, 0.90, 0.10), report.UNCLEAR)
        self.assertEqual(report.verdict(1.10, 0.90, 0.10), report.SHORT)
        self.assertEqual(report.verdict(1.10, None), report.NONE)

    def test_a_row_is_judged_by_the_worst_of_what_it_promises(self):
        calls = {"gatehouse": {"syscalls": 5.0}}
        self.assertEqual(report.summarise(ROW, SAMPLES)["verdict"], report.REACHED)
        self.assertEqual(report.summarise(ROW, SAMPLES, calls)["verdict"], report.SHORT)
        self.assertEqual(record(limit=10, unit="ms")["verdict"], report.SHORT)
        self.assertEqual(record(limit=18, unit="ms")["verdict"], report.REACHED)
        self.assertEqual(report.summarise(ROW, {"gatehouse": []})["verdict"], report.NONE)

    def test_requests_that_must_not_fail_make_a_row_fall_short(self):
        self.assertEqual(report.summarise(ROW, SAMPLES, {"gatehouse": {"must_be_zero": 1}})["verdict"], report.SHORT)

    def test_numbers_have_the_digits_that_mean_something(self):
        for value, text in ((0, "0"), (0.534, "0.53"), (4.256, "4.26"), (14.96, "15.0"), (612.3, "612"), (15000.2, "15,000"), (None, "")):
            self.assertEqual(report.number(value), text)

    def test_percentiles_and_units_of_the_load_generators(self):
        self.assertEqual(loads.percentiles(range(100)), (50, 99))
        self.assertEqual(loads.percentiles([]), (None, None))
        self.assertEqual([loads.microseconds(t) for t in ("15us", "1.5ms", "2s", "?")], [15, 1500, 2e6, None])


class Output(unittest.TestCase):
    def test_the_chart_is_xml_with_a_bar_for_each_proxy_and_a_tick_for_each_goal(self):
        tree = xml.fromstring(chart.svg(document(report.summarise(ROW, SAMPLES), record(goal=0.5), record())))
        ns = "{http://www.w3.org/2000/svg}"
        bars = [r for r in tree.iter(ns + "rect") if r.get("rx") == "1"]
        self.assertEqual(len(bars), 9)
        self.assertEqual(len([p for p in tree.iter(ns + "path") if p.get("class") == "goal"]), 2)

    def test_a_bar_does_not_leave_the_plot(self):
        self.assertEqual(chart.x_of(50), chart.x_of(chart.MOST))

    def test_a_chart_without_rows_is_still_a_chart(self):
        xml.fromstring(chart.svg(document()))

    def test_the_table_has_a_line_for_each_row_and_as_many_cells_as_its_head(self):
        lines = report.markdown(document(report.summarise(ROW, SAMPLES), record())).split("\n\n")[0].splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")})

    def test_a_page_keeps_what_people_wrote_around_the_figures(self):
        page = f"before\n{report.BEGIN}\nold\n{report.END}\nbehind\n"
        new = report.into_page(page, document(record()))
        self.assertTrue(new.startswith("before\n") and new.endswith("\nbehind\n") and "a row" in new and "old" not in new)
        self.assertEqual(report.into_page(new, document(record())), new)

    def test_a_machine_that_was_not_calm_is_named(self):
        self.assertNotIn("trust", report.machine_text(document(record())))
        noisy = report.summarise(ROW, SAMPLES, {"nginx": {"strangers": 1.25}})
        self.assertIn("up to 1.2 processors", report.machine_text(document(record(), noisy)))

    def test_a_row_in_text_names_goal_and_verdict(self):
        text = report.text(report.summarise(ROW, SAMPLES, notes=["a note"]))
        self.assertIn("goal ≤ 0.90x, ≤ 4.3 calls: reached", text)
        self.assertIn("a note", text)
        self.assertIn("nginx*", text)

    def test_records_survive_json(self):
        one = document(report.summarise(ROW, SAMPLES))
        self.assertEqual(report.markdown(json.loads(json.dumps(one))), report.markdown(one))


class Peers(unittest.TestCase):
    def test_a_version_says_nothing_of_the_machine_it_was_asked_on(self):
        self.assertEqual(peers.about("\n/home/me/bin/envoy  version: abc/1.40.0/RELEASE\n"), "envoy version: abc/1.40.0/RELEASE")
        self.assertEqual(peers.about("HAProxy version 2.6.12 2026/10/17 - https://example.com/\nStatus: x\n"), "HAProxy version 2.6.12 2026/10/17")
        self.assertEqual(peers.about(""), "?")


class Rows(unittest.TestCase):
    def test_names_of_rows_are_their_keys_and_every_row_with_a_load_has_one(self):
        for key, row in ROWS.items():
            self.assertEqual(key, row.key)
            self.assertIn(row.load, loads.LOADS)


if __name__ == "__main__":
    unittest.main(verbosity=1)
