"""A restore to a time in the past, in mid-job: whoever may have got his mail since is known as that."""
import json
import time

import pytest

from foliostack import SERVICES

pytestmark = pytest.mark.slow # three servers and a crash; the statements have lib/ledger/recover_test.c


@pytest.fixture
def archiving(own_server, tmp_path):
    """A server whose WAL is archived, so that a base backup of it can be restored to any time after."""
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    archive = tmp_path / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    server = own_server(users=600, options=f"-c wal_level=replica -c max_wal_senders=4 -c archive_mode=on -c archive_command='cp %p {archive}/.%f && mv {archive}/.%f {archive}/%f'")  # a restore reads whole files
    server.archive = archive
    yield server


def restore(server, backup, at):
    """The base backup becomes a server of that time, as docs/operations.md has it."""
    folder = backup.folder / "pg"
    (folder / "standby.signal").unlink()
    (folder / "recovery.signal").touch()
    with (folder / "postgresql.auto.conf").open("a") as conf:
        conf.write(f"primary_conninfo = ''\nrestore_command = 'cp {server.archive}/%f %p'\n"
                   f"recovery_target_time = '{at}'\nrecovery_target_action = 'promote'\n")
    backup.start()
    end = time.monotonic() + 60
    while backup.sql("postgres", "SELECT pg_is_in_recovery()") != [["f"]]:
        assert time.monotonic() < end, "the restored server is not promoted"
        time.sleep(0.1)


def recover(stack, *args):
    """The lines of foliopost recover --json, once no lease holds any more."""
    end = time.monotonic() + 20
    while (done := stack.foliopost("recover", *args, "--json", check=False)).returncode:
        assert "a lease holds" in done.stderr and time.monotonic() < end, done.stderr
        time.sleep(0.5)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Disaster:
    """A job in its midst, another one that a schedule will start, a backup; then the run goes on, and the
    ledger is set back to a time behind the backup and before the end."""

    def __init__(self, server, new_stack, judge):
        self.stack = stack = new_stack(on=server, mailer={"mail_rate": 60})
        self.j = j = judge(stack)
        j.call("schedule", "create", "yearly", "--kind", "monthly", "--cron", "0 6 1 1 *")
        self.job = j.submit("monthly", "--window", "2")
        j.wait_sent(self.job, 60)
        j.call("rate", "2") # a backup takes seconds, on a slow machine many: the job is to be in its midst after it, too
        self.restored = server.copy_to(server.folder / "restored")
        j.call("rate", "60")
        j.wait_sent(self.job, 120)
        j.sql("UPDATE foliopost.schedules SET version = version + 1, next_due = now() + interval '1.5 s'")
        self.at = j.sql("SELECT clock_timestamp()")[0][0]
        self.sent_then = j.mails(self.job).total()
        end = time.monotonic() + 60
        while not (lost := j.sql(f"SELECT id FROM foliopost.jobs WHERE id > {self.job}")) or j.mails(lost[0][0]).total() < 30:
            assert time.monotonic() < end, "the schedule's job sends nothing"
            time.sleep(0.1)
        self.lost_job = int(lost[0][0])
        self.last_batch = j.number("SELECT max(id) FROM foliopost.batches")
        server.sql("postgres", "SELECT pg_switch_wal()")
        for service in SERVICES:
            for p in stack.of(service):
                p.kill()
        server.stop("immediate")
        restore(server, self.restored, self.at)
        stack.postgres = self.restored

    def start(self):
        stack = self.stack
        for service in SERVICES:
            for p in stack.of(service):
                stack.wait_ready(stack.start_service(service))

    def the_schedules_job(self):
        end = time.monotonic() + 30
        while not (made := self.j.sql("SELECT job_id FROM foliopost.firings WHERE outcome = 'fired'")):
            assert time.monotonic() < end, "the due time that was lost does not fire"
            time.sleep(0.1)
        return int(made[0][0])


@pytest.fixture
def disaster(archiving, new_stack, judge):
    made = Disaster(archiving, new_stack, judge)
    yield made
    made.stack.stop_services(40)
    made.restored.stop("immediate")


def test_with_the_providers_list_nobody_is_mailed_twice_and_nobody_missed(disaster):
    d, j, stack = disaster, disaster.j, disaster.stack
    known = j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {d.job} AND state = 'sent'")
    assert 0 < known <= d.sent_then < j.mails(d.job).total(), "the restored ledger knows as much as the lost one"
    plan, = recover(stack, "--to", d.at, "--dry-run")
    assert j.number("SELECT count(*) FROM foliopost.jobs WHERE restored_to IS NOT NULL") == 0
    done, told, lost = recover(stack, "--to", d.at, "--message-ids", stack.record)
    assert {**done, "existing": 0} == {**plan, "existing": 0} and (done["jobs"], done["firings"]) == (1, 1) and min(done["users"], done["intervals"]) > 0
    assert told["job"] == d.job and told["open"] and told["listed"] == len(j.mails(d.job)) == told["recovered"] + told["already"] + told["later"] and told["later"] > 0
    assert told["already"] == known and lost["job"] == d.lost_job and not lost["known"]
    d.start()
    assert recover(stack, "--to", d.at) == [{**done, "existing": True}], "the same call again says what was done"
    again = d.the_schedules_job()
    assert again > d.lost_job + 100000 and j.state(again) == "PAUSED" and j.state(d.job) == "PAUSED"
    told, = [t for t in recover(stack, "--message-ids", stack.record, "--lost-job", f"{d.lost_job}={again}") if t["job"] == again]
    assert told["later"] == len(j.mails(d.lost_job)) > 0
    for job, before in ((d.job, d.job), (again, d.lost_job)):
        mailed = j.mails(before)
        j.call("resume", job)
        j.wait_state(job, "COMPLETED", 90)
        states = j.deliveries(job)
        assert states.keys() == j.audience()
        assert {u for u, (s, _) in states.items() if s == "sent"} == mailed.keys() and j.mails(job).keys() <= mailed.keys()
        j.call("resolve", job, "resend") # the rest: the list is whole, so they got none
        j.wait_state(job, "COMPLETED", 90)
        counts = j.deliveries(job)
        assert all(s in ("sent", "skipped", "failed") for s, _ in counts.values())
        both = j.mails(job) + (j.mails(before) if before != job else type(mailed)())
        assert max(both.values()) == 1 and both.keys() == {u for u, (s, _) in counts.items() if s == "sent"}
    assert j.number("SELECT min(id) FROM foliopost.batches WHERE round > 1") > d.last_batch + 1000000


def test_without_a_list_whoever_may_have_got_it_is_ambiguous(disaster):
    d, j, stack = disaster, disaster.j, disaster.stack
    done, = recover(stack, "--to", d.at)
    d.start()
    j.call("resume", d.job)
    sent = j.mails(d.job)
    j.wait_state(d.job, "COMPLETED", 90)
    assert j.mails(d.job) == sent, "somebody was mailed"
    counts = j.accounted(d.job)
    assert counts["ambiguous"] >= done["users"] and counts["sent"] <= d.sent_then
    assert [int(r["users"]) for r in j.report_agrees(d.job)["reasons"] if r["reason"].startswith("restored to ")] == [counts["ambiguous"]]
    audit = j.call("audit", "--action", "recover")["entries"]
    assert {e.get("job_id", 0) for e in audit} >= {d.job, 0}


def test_it_refuses_what_is_not_a_restored_ledger(new_stack, judge):
    stack = new_stack(mailer={"mail_rate": 100})
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_sent(job, 50)
    refused = stack.foliopost("recover", "--to", "now", check=False)
    assert refused.returncode == 1 and "stop every service first" in refused.stderr
    for p in [p for s in SERVICES for p in stack.of(s)]:
        p.kill()
    at = j.sql("SELECT clock_timestamp() - interval '1 minute'")[0][0]
    end = time.monotonic() + 20
    while "later than that" not in (refused := stack.foliopost("recover", "--to", at, check=False)).stderr:
        assert refused.returncode and time.monotonic() < end, refused.stderr
        time.sleep(0.5)
    assert j.number("SELECT count(*) FROM foliopost.deliveries WHERE state = 'ambiguous'") == 0
