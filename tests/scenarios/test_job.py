"""The main job as a client sees it."""
import time

import pytest


def test_every_user_of_the_audience_is_accounted_for(new_stack, judge):
    j = judge(new_stack())
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED")
    counts = j.accounted(job)
    assert counts["sent"] > 1500 and counts["skipped"] > 0 and counts["failed"] > 0 and counts["ambiguous"] == 0
    report = j.report_agrees(job)
    assert len(report["intervals"]) >= 60
    assert sum(int(i["counts"]["users"]) for i in report["intervals"]) == len(j.audience())
    if "asan" not in str(j.stack.build):
        used = {p.name: p.peak_mib() for p in j.stack.processes.values()}
        assert max(used.values()) < 64, f"MiB resident: {used}"


def test_the_same_request_id_gives_the_same_job(new_stack, judge):
    j = judge(new_stack())
    first = j.call("submit", "monthly", "--request-id", "once")
    again = j.call("submit", "monthly", "--request-id", "once")
    assert again["job"]["id"] == first["job"]["id"] and again["existing"] is True
    other = j.call("submit", "weekly", "--request-id", "once", check=False)
    assert other.returncode != 0 and "ALREADY_EXISTS" in other.stderr
    j.wait_state(first["job"]["id"], "COMPLETED")
    j.accounted(first["job"]["id"])


def test_a_list_job_says_who_is_gone(new_stack, judge):
    j = judge(new_stack())
    ids = sorted(j.audience())[5:150] + [99999999]
    job = j.submit("custom", "--period", "2026-01-05..2026-02-10", "--user-ids", ",".join(map(str, ids)))
    j.wait_state(job, "COMPLETED")
    j.accounted(job, ids)
    assert j.sql(f"SELECT state, reason FROM foliopost.deliveries WHERE job_id = {job} AND user_id = 99999999") == [["skipped", "gone"]]


def test_registration_range_takes_its_lower_end_and_not_its_upper(new_stack, judge):
    j = judge(new_stack())
    rows = j.sql("SELECT id FROM portfolio.users WHERE created_at >= '2024-02-10' AND created_at < '2024-05-03'")
    job = j.submit("weekly", "--registered-from", "2024-02-10", "--registered-to", "2024-05-03")
    done = j.wait_state(job, "COMPLETED")
    j.accounted(job, {int(r[0]) for r in rows})
    assert int(done["counts"]["intervals"]) == 4


def test_a_dry_run_makes_no_job(new_stack, judge):
    j = judge(new_stack())
    plan = j.call("submit", "monthly", "--dry-run")
    assert int(plan["planned_users"]) == len(j.audience()) and int(plan["planned_intervals"]) >= 60
    assert j.number("SELECT count(*) FROM foliopost.jobs") == 0


def test_pause_stops_within_seconds_and_resume_goes_on(new_stack, judge):
    j = judge(new_stack(mailer={"mail_rate": 300}))
    job = j.submit("monthly")
    j.wait_sent(job, 200)
    j.call("pause", job)
    time.sleep(2)
    before = j.mails(job).total()
    time.sleep(2)
    assert j.mails(job).total() == before < len(j.audience())
    assert j.state(job) == "PAUSED"
    j.call("pause", job) # is so already: a success
    j.call("resume", job)
    j.wait_state(job, "COMPLETED")
    assert j.accounted(job)["ambiguous"] == 0


def test_cancel_stops_for_good(new_stack, judge):
    j = judge(new_stack(mailer={"mail_rate": 300}))
    job = j.submit("monthly")
    j.wait_sent(job, 200)
    j.call("cancel", job)
    time.sleep(2)
    before = j.mails(job)
    time.sleep(1.5)
    assert j.mails(job) == before and j.state(job) == "CANCELLED"
    assert max(before.values()) == 1
    rows = j.deliveries(job)
    assert all(rows[u][0] == "sent" for u in before)
    again = j.call("resume", job, check=False)
    assert again.returncode != 0 and "FAILED_PRECONDITION" in again.stderr and "CANCELLED" in again.stderr


def test_a_small_job_is_done_while_a_big_one_runs(new_stack, judge):
    j = judge(new_stack(mailer={"mail_rate": 150}))
    big = j.submit("monthly")
    j.wait_sent(big, 150)
    ids = sorted(j.audience())[:20]
    started = time.monotonic()
    small = j.submit("weekly", "--user-ids", ",".join(map(str, ids)))
    j.wait_state(small, "COMPLETED", 30)
    assert time.monotonic() - started < 15
    assert j.state(big) == "IN_PROGRESS"
    j.accounted(small, ids)
    j.call("cancel", big)


def test_refused_for_now_is_tried_again_and_refused_for_good_is_not(new_stack, judge):
    j = judge(new_stack(sink=("--refuse-rcpt", "450:10%"), mailer={"retry_base": "1s"}))
    job = j.submit("monthly", "--max-attempts", "9")
    j.wait_state(job, "COMPLETED", 120)
    counts = j.accounted(job)
    assert counts["sent"] > 1500
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent' AND attempts > 1") > 50


def test_a_template_that_nobody_has_pauses_the_job_and_fails_no_user(new_stack, judge):
    j = judge(new_stack())
    job = j.submit("monthly", "--template", "nope")
    paused = j.wait_state(job, "PAUSED")
    assert "nope" in paused["response"]
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state = 'failed'") == 0


def test_a_token_is_asked_for_when_one_is_configured(new_stack, judge, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret-token\n")
    j = judge(new_stack(scheduler={"rpc_token_file": token}))
    done = j.call("jobs", check=False)
    assert done.returncode != 0 and "UNAUTHENTICATED" in done.stderr
    wrong = tmp_path / "wrong"
    wrong.write_text("other\n")
    assert j.call("jobs", "--token-file", wrong, check=False).returncode != 0
    assert j.call("jobs", "--token-file", token)["jobs"] == []


@pytest.mark.parametrize("args, field", [
    (("custom",), "spec.period_start"),
    (("custom", "--period", "2026-02-30..2026-03-01"), "spec.period_start"),
    (("custom", "--period", "2026-03-02..2026-03-01"), "spec.period_end"),
    (("monthly", "--batch-size", "100000"), "spec.batch_size"),
    (("monthly", "--max-attempts", "-1"), "spec.max_attempts"),
    (("monthly", "--user-ids", "0"), "spec.user_ids"),
])
def test_a_wrong_specification_names_the_field(new_stack_once, judge, args, field):
    done = judge(new_stack_once).call("submit", *args, check=False)
    assert done.returncode == 2 and "INVALID_ARGUMENT" in done.stderr and field in done.stderr, done.stderr


@pytest.fixture(scope="module")
def new_stack_once(server):
    from foliostack import Stack
    stack = Stack(server.folder / "validation", database="validation")
    stack.postgres = server
    server.sql("postgres", 'CREATE DATABASE "validation" TEMPLATE seed')
    stack.start_sink()
    stack.start_services()
    yield stack
    stack.stop_services()
    server.sql("postgres", 'DROP DATABASE "validation" WITH (FORCE)')
