"""Which deaths the chaos run takes for the known defect of NNG, and which not."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chaos import nng  # noqa: E402

HANDLER = "build/release/foliopost-stats(+0x11d0)[0x55aa]\n/lib/x86_64-linux-gnu/libc.so.6(+0x3c050)[0x7f01]\n"
IN_NNG = "/lib/x86_64-linux-gnu/libnng.so.1(+0x2c1f4)[0x7f02]\n"
IN_OURS = "build/release/foliopost-stats(batch_free+0x12)[0x55ab]\n"
ABORT = "/lib/x86_64-linux-gnu/libc.so.6(abort+0xd3)[0x7f03]\n"


@pytest.mark.parametrize("stack, counted", [
    (IN_NNG + IN_OURS, True),
    (ABORT + IN_NNG, True),
    (IN_OURS + IN_NNG, False),
    (ABORT + IN_OURS + IN_NNG, False),
    (IN_NNG, True), # a jump into nowhere: lib/service/fatal.c adds the caller
    (IN_OURS, False),
    ("", False),
])
def test_only_a_stack_that_ends_in_nng_is_excused(stack, counted):
    assert nng.died_of_it(f"2026-01-01 info stats\nfatal signal 11\n{HANDLER}{stack}") is counted


def test_a_death_without_a_report_is_blamed():
    assert not nng.died_of_it(IN_NNG)
