"""The judge of the chaos run, on records and ledgers made up here: what it must see."""
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chaos.judge import Judge  # noqa: E402
from chaos.plan import Fault  # noqa: E402
from chaos.progress import Progress, stalled  # noqa: E402
from chaos.report import late  # noqa: E402

END = date(2026, 10, 31)
OPTED_OUT, BROKEN, NEW, EMPTY = 35, 1003, 500, 600
USERS = [100, 101, 102, OPTED_OUT, BROKEN, NEW, EMPTY]


class Ledger:
    """Answers what the judge asks."""

    def __init__(self, folder, outcomes, policy="hold"):
        self.record, self.outcomes, self.policy = folder / "record", outcomes, policy

    def sql(self, text, _=None):
        if "FROM portfolio.users" in text:
            return [(u,) for u in USERS]
        if "portfolio.preferences" in text:
            return [(OPTED_OUT,)]
        if "portfolio.transactions" in text:
            return [(u, date(2026, 1, 1)) for u in USERS if u not in (NEW, EMPTY)] + [(NEW, date(2026, 11, 2))]
        if "FROM foliopost.deliveries" in text:
            return [(u, *o) for u, o in self.outcomes.items()]
        if "ambiguous_policy" in text:
            return [(self.policy, END)]
        return [(0, 0, len(self.outcomes), 0, {"users": len(self.outcomes)})]

    patiently = sql


WELL = {100: ("sent", 0, ""), 101: ("sent", 0, ""), 102: ("ambiguous", 0, ""), OPTED_OUT: ("skipped", 0, "opted_out"),
        BROKEN: ("failed", 0, "quantity"), NEW: ("skipped", 0, "nothing_to_report"), EMPTY: ("skipped", 0, "nothing_to_report")}


def judged(folder, outcomes, mails=(100, 101), policy="hold"):
    ledger = Ledger(folder, outcomes, policy)
    ledger.record.write_text("".join(f"1.0\t<7.{u}.x@example.com>\tok\n" for u in mails))
    judge = Judge(ledger)
    judge.job(7)
    return judge


def test_who_may_go_without_a_mail_is_not_blamed(tmp_path):
    assert judged(tmp_path, WELL).wrong == []


@pytest.mark.parametrize("change, promise, words", [
    ({101: ("failed", 0, "retries exhausted")}, "P1", "retries exhausted"),
    ({101: ("skipped", 0, "nothing_to_report")}, "P1", "nothing is wrong with them"),
    ({OPTED_OUT: ("sent", 0, "")}, "P2", "opted out"),
    ({101: ("deferred", 0, "")}, "P3", "open users"),
    ({101: ("sent", 1, "")}, "P6", "more often than recorded"),
])
def test_any_other_outcome_is(tmp_path, change, promise, words):
    outcomes = WELL | change
    mails = [u for u, o in outcomes.items() if o[0] == "sent"]
    wrong = judged(tmp_path, outcomes, mails).wrong
    assert [p for p, _ in wrong] == [promise]
    assert words in wrong[0][1]


@pytest.mark.parametrize("outcomes, mails, promise", [
    ({u: o for u, o in WELL.items() if u != 101}, [100], "P1"),
    (WELL, [100, 101, 101], "P6"),
    (WELL, [100], "P2"),
    (WELL, [100, 101, OPTED_OUT], "P6"),
])
def test_the_record_is_held_against_the_ledger(tmp_path, outcomes, mails, promise):
    assert promise in [p for p, _ in judged(tmp_path, outcomes, mails).wrong]


def test_who_was_accepted_by_a_person_need_not_be_in_the_record(tmp_path):
    outcomes = WELL | {102: ("sent", 0, "accepted by an operator: closed")}
    assert [p for p, _ in judged(tmp_path, outcomes).wrong] == ["P6"]
    ledger = Ledger(tmp_path, outcomes)
    ledger.record.write_text("".join(f"1.0\t<7.{u}.x@example.com>\tok\n" for u in (100, 101)))
    judge = Judge(ledger)
    judge.job(7, "accept")
    assert judge.wrong == []


def test_a_cancelled_jobs_mails_are_counted(tmp_path):
    ledger = Ledger(tmp_path, {})
    ledger.sql = ledger.patiently = lambda text, _=None: [(100, 1)] if "maybe_doubles" in text else []
    ledger.record.write_text("".join(f"1.0\t<7.{u}.x@example.com>\tok\n" for u in (100, 100, 101)))
    judge = Judge(ledger)
    judge.record.read()
    judge.cancelled(7)
    assert judge.wrong == []
    with ledger.record.open("a") as f:
        f.write("1.0\t<8.101.x@example.com>\tok\n" * 2)
    judge.record.read()
    judge.cancelled(8)
    assert [p for p, _ in judge.wrong] == ["P6"]


# --- progress --------------------------------------------------------------------------------

def done(kind, began, ended, target="mailer1"):
    return SimpleNamespace(fault=Fault(1, began, kind, target, ended - began, "", 0), began=began, ended=ended)


def run_of(faults, lives, mails):
    """lives: job -> (from, to); mails: job -> times."""
    progress = Progress()
    for job, (began, ended) in lives.items():
        progress.see(began, job, "IN_PROGRESS")
        if ended is not None:
            progress.see(ended, job, "COMPLETED")
    for at, job in sorted((t, job) for job, times in mails.items() for t in times):
        progress.note(at, {job})
    return SimpleNamespace(done=faults, progress=progress)


def every(seconds, begin, end):
    return [begin + i * seconds for i in range(int((end - begin) / seconds))]


def test_a_job_that_stands_while_another_is_mailed_is_seen():
    lives = {1: (0, 300), 2: (0, 300)}
    mails = {1: every(1, 0, 300), 2: every(1, 0, 100) + every(1, 200, 300)}
    run = run_of([done("killed", 98, 99)], lives, mails)
    assert [t.split(" stood")[0] for t in late(run, 1)] == ["job 2"]
    assert list(late(run, 4)) == []


def test_a_job_that_ends_late_stood():
    run = run_of([], {1: (0, 100)}, {1: every(1, 0, 40)})
    assert len(list(late(run, 1))) == 1
    assert list(late(run_of([], {1: (0, 60)}, {1: every(1, 0, 40)}), 1)) == []


def test_faults_explain_a_pause_until_their_bound_is_over():
    mails = {1: every(1, 0, 100) + every(1, 150, 200)}
    assert list(stalled(run_of([], {1: (0, 200)}, mails).progress, [done("killed", 120, 140)], 1)) == []
    assert len(list(stalled(run_of([], {1: (0, 200)}, mails).progress, [done("killed", 100, 110)], 1))) == 1


def test_many_faults_do_not_explain_any_pause():
    faults = [done("killed", t, t + 1) for t in every(10, 0, 400)]
    run = run_of(faults, {1: (0, 400)}, {1: every(1, 0, 100) + every(1, 250, 400)})
    assert len(list(stalled(run.progress, run.done, 1))) == 1
    stops = [done("relay down", t, t + 9, "relay") for t in every(10, 0, 400)]
    assert list(stalled(run.progress, stops, 1)) == []


def test_the_record_is_read_line_by_line(tmp_path):
    record = tmp_path / "record"
    progress = Progress(record)
    progress.read(0)
    record.write_text("1.0\t<3.100.x@example.com>\tok\n1.0\t<4.1")
    progress.read(1)
    progress.read(2)
    with record.open("a") as f:
        f.write("00.x@example.com>\tok\n")
    progress.read(3)
    assert progress.all == [1, 3] and progress.of == {3: [1], 4: [3]}
