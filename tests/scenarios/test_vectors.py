"""Worked cases in files that are none, or only nearly: each is named, counted as failed, and ends nothing."""
import json
import os
import subprocess
from pathlib import Path

import pytest

from foliostack import ROOT

PROGRAM = Path(os.environ.get("FOLIOPOST_BUILD", ROOT / "build" / "release")) / "bin" / "vectors"
GOOD = {
    "id": "one", "kind": "portfolio", "currency": "EUR", "period": {"start": "2024-01-01", "end": "2024-01-04"},
    "instruments": [{"id": "A", "currency": "EUR"}],
    "prices": [{"instrument": "A", "date": f"2024-01-0{d}", "close": 10 / (2 if d < 3 else 1) / (3 if d < 2 else 1)} for d in range(1, 5)],
    "splits": [{"instrument": "A", "date": "2024-01-03", "numerator": 2, "denominator": 1},
               {"instrument": "A", "date": "2024-01-02", "numerator": 1.5, "denominator": 0.5}],
    "transactions": [{"date": "2024-01-01", "type": "DEPOSIT", "amount": 10},
                     {"date": "2024-01-01", "type": "BUY", "instrument": "A", "quantity": 1, "amount": 10}],
    "expected": {"closing_value": 60, "shares": 6}, "tolerance": {"money": 0.005},
}


def run(folder, *cases):
    for number, case in enumerate(cases):
        (folder / f"{number:03}.json").write_text(case if isinstance(case, str) else json.dumps(case))
    done = subprocess.run([str(PROGRAM), str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


def test_splits_come_in_any_order_and_as_any_ratio(tmp_path):
    code, out = run(tmp_path, GOOD)
    assert (code, out.splitlines()[-1]) == (0, "1 passed, 0 failed"), out


@pytest.mark.parametrize("change, says", [
    ({"prices": [{"instrument": "A", "date": "2024-02-30", "close": 1}]}, 'prices[0]: "2024-02-30" is no date'),
    ({"prices": [{"instrument": "A", "date": "2024-01-01x", "close": 1}]}, 'prices[0]: "2024-01-01x" is no date'),
    ({"prices": [{"instrument": "A", "date": "2024-01-01", "close": "ten"}]}, "prices[0]: its close is no number"),
    ({"transactions": [{"date": "2024-01-01", "type": "DEPOSIT", "amount": "1/0"}]}, "transactions[0]: its amount is no number"),
    ({"transactions": {"date": "2024-01-01"}}, "transactions: no list"),
    ({"transactions": [{"date": "2024-01-01", "type": "GIFT", "amount": 1}]}, 'unknown type or date "GIFT"'),
    ({"splits": [{"instrument": "A", "date": "2024-01-02", "numerator": 0, "denominator": 1}]}, "splits[0]: no ratio"),
    ({"splits": [{"instrument": "A", "date": "2024-01-02", "numerator": 1e30, "denominator": 1}]}, "splits[0]: no ratio"),
    ({"expected": {"happiness": 1}}, "happiness: there is no such figure here"),
    ({"expected": {}}, "nothing could be compared"),
    ({"expected": 7}, 'no "expected"'),
])
def test_what_is_wrong_is_named_and_the_others_are_still_run(tmp_path, change, says):
    code, out = run(tmp_path, {**GOOD, **change}, GOOD)
    assert code == 1
    assert says in out, out
    assert out.splitlines()[-1] == "1 passed, 1 failed", out


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"text"', '{"expected": {"twr": 1}}', "\x00\xff"])
def test_what_is_no_case_fails_by_itself(tmp_path, text):
    code, out = run(tmp_path, text, GOOD)
    assert code == 1
    assert out.splitlines()[-1] == "1 passed, 1 failed", out
