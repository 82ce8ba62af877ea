"""How the reports of several chaos runs become one."""
import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chaos import total  # noqa: E402

KILLED = {"kind": "killed", "faults": 2, "times_s": [0.5, 1.5]}
PIECE = {
    "seed": 1, "command": "script/chaos --seed 1", "seconds": 60, "took_s": 70, "load": 1.0, "faults_done": 2, "faults_planned": 3,
    "jobs": 1, "figures": {"mails": 10, "missed": 0, "most open mails of one owner": 7}, "kinds": [KILLED], "plan": [],
    "peak_mib": {"mailer": 40.0}, "most_connections": 20, "bus": {"lost": 1}, "database_doors": {}, "wrong": [],
}


def another(**changed):
    return copy.deepcopy(PIECE) | changed


def test_sums_are_added_and_the_most_is_the_most_of_all():
    second = another(seed=2, figures={"mails": 5, "missed": 1, "most open mails of one owner": 3}, most_connections=30,
                     kinds=[{"kind": "killed", "faults": 1, "times_s": [4.0]}], peak_mib={"mailer": 50.0, "stats": 9.0})
    found = total.add_up([PIECE, second])
    assert found["figures"] == {"mails": 15, "missed": 1, "most open mails of one owner": 7}
    assert found["kinds"] == [{"kind": "killed", "faults": 3, "mean_s": 2.0, "p95_s": 4.0, "most_s": 4.0}]
    assert (found["faults_done"], found["jobs"], found["most_connections"]) == (4, 2, 30)
    assert found["peak_mib"] == {"mailer": 50.0, "stats": 9.0} and found["bus"] == {"lost": 2}


def test_what_broke_in_one_is_broken_in_all_and_says_where():
    found = total.add_up([PIECE, another(seed=2, wrong=[{"promise": "P2", "what": "user 7 twice"}])])
    assert found["wrong"] == [{"promise": "P2", "what": "user 7 twice", "seed": 2}]
    assert "BROKEN P2 (seed 2): user 7 twice" in total.text(found)


def test_no_piece_counts_twice_and_none_that_is_no_report(tmp_path):
    one, same, other = (tmp_path / n for n in ("one", "same", "other"))
    one.write_text(json.dumps(PIECE))
    same.write_text(json.dumps(PIECE))
    other.write_text("{}")
    with pytest.raises(ValueError, match="the same run"):
        total.load([one, same])
    with pytest.raises(ValueError, match="not what script/chaos"):
        total.load([other])
