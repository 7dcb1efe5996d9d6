#!/usr/bin/env python3
"""instructions.py: callgrind's file is read right, and the gate says yes and no where it must."""
import contextlib
import copy
import io
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import instructions  # noqa: E402

PROFILE = """version: 1
creator: callgrind-3.19.0
part: 1

desc: Trigger: Client Request: a row|10
positions: line
events: Ir

ob=(1) /build/instr_play
fl=(1) /x/build/../worker/codec/h1_parse.c
fn=(1) h1_parse
10 100
fi=(2) /x/shared/http/token.h
+5 50
fe=(1)
* 7
cfi=(3) /x/build/../shared/http/field.c
cfn=(2) http_field_of
calls=3 20
12 9999
-2 3

fl=(3)
fn=(2)
20 40

fl=(4) /x/tests/bench/instr/world.c
fn=(3) turn
5 1000

ob=(2) /lib/libnghttp2.so.14
fl=(5) ???
fn=(4) 0x19530
0 30
ob=(3) /lib/libc.so.6
fn=(5) memcpy
0 70
totals: 1300

part: 2

desc: Trigger: Client Request: another|2
ob=(1) /build/instr_play
fl=(1) /y/worker/net/net.c
fn=(1) net_turn
1 8
totals: 8

part: 3

desc: Trigger: Program termination
totals: 0
"""

HERE = {"compiler": "gcc 12"}


def verdict(rows, base, here=None):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        fine = instructions.compare(rows, {"circumstances": HERE, "rows": base}, here or HERE)
    return fine, out.getvalue()


class Profile(unittest.TestCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile("w", suffix=".out") as f:
            f.write(PROFILE)
            f.flush()
            self.rows = instructions.summary(instructions.read_profile(f.name))

    def test_each_instruction_is_counted_once_where_its_function_is(self):
        r = self.rows["a row"]
        self.assertEqual(r["stages"]["parse"], 20.0) # 160 with what is inlined, and 40; not the 9999 of the call
        self.assertEqual(r["functions"]["worker/codec/h1_parse.c:h1_parse"], 16.0)
        self.assertEqual(r["functions"]["shared/http/field.c:http_field_of"], 4.0)

    def test_libraries_without_debug_information_go_by_their_name(self):
        self.assertEqual(self.rows["a row"]["stages"]["h2"], 3.0)
        self.assertEqual(self.rows["a row"]["stages"]["libc"], 7.0)

    def test_libc_and_the_measurement_itself_are_not_our_own(self):
        self.assertEqual(self.rows["a row"]["own"], 23.0)

    def test_rows_have_names_of_their_own_files(self):
        self.assertEqual(list(self.rows), ["a row", "another"])
        self.assertEqual(self.rows["another"]["stages"]["I/O"], 4.0)


class Gate(unittest.TestCase):
    def setUp(self):
        self.base = {"a row": {"own": 1000.0, "stages": {"parse": 600.0, "pool": 400.0},
                               "functions": {"worker/x.c:f": 600.0, "worker/x.c:g": 400.0}}}
        self.rows = copy.deepcopy(self.base)

    def change(self, own):
        self.rows["a row"]["own"] = own
        self.rows["a row"]["functions"]["worker/x.c:f"] += own - 1000
        self.rows["a row"]["stages"]["parse"] += own - 1000

    def test_three_percent_are_forgiven(self):
        self.change(1030)
        self.assertEqual(verdict(self.rows, self.base), (True, ""))

    def test_growth_fails_and_says_where_and_how_to_accept_it(self):
        self.change(1031)
        fine, text = verdict(self.rows, self.base)
        self.assertFalse(fine)
        for word in ("FAILED: a row", "+3.1%", "stage parse", "+31  worker/x.c:f", "make bench-instructions-bless", "message"):
            self.assertIn(word, text)

    def test_a_fall_is_a_notice(self):
        self.change(900)
        fine, text = verdict(self.rows, self.base)
        self.assertTrue(fine)
        self.assertIn("notice: a row", text)
        self.assertIn("bless", text)

    def test_another_compiler_is_no_failure(self):
        self.change(2000)
        fine, text = verdict(self.rows, self.base, {"compiler": "gcc 14"})
        self.assertTrue(fine)
        self.assertIn("compiler: baseline gcc 12, here gcc 14", text)
        self.assertNotIn("FAILED", text)

    def test_a_new_row_wants_a_baseline(self):
        fine, text = verdict(self.rows | {"new": self.base["a row"]}, self.base)
        self.assertTrue(fine)
        self.assertIn('"new" is not in the baseline', text)

    def test_what_the_kernel_decides_is_not_judged(self):
        loose = next(iter(instructions.LOOSE))
        base = {loose: self.base["a row"]}
        self.change(2000)
        self.assertEqual(verdict({loose: self.rows["a row"]}, base), (True, ""))


if __name__ == "__main__":
    unittest.main()
