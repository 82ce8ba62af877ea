"""A job that fares badly stops by itself; a canary goes first."""
import time

import pytest


def processed(j, job):
    return j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job}")


def waiting(j, job):
    return " ".join(j.job(job).get("waiting") or [])


def await_(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.2)


def test_a_canary_is_sent_then_the_job_waits_then_the_rest_follows(new_stack, judge):
    j = judge(new_stack())
    job = j.submit("monthly", "--canary", "10%", "--canary-wait", "8s")
    await_(lambda: "canary: the first 200 users" in waiting(j, job))
    assert "canary" in j.stack.foliopost("report", job).stdout
    done = j.wait_state(job, "COMPLETED")
    until_us = int(done["canary_until_us"])
    assert int(done["spec"]["canary_users"]) == 200 and until_us > 0
    first = j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND updated_at < to_timestamp({until_us} / 1e6)")
    assert 200 <= first < 300 # whole pages, and nobody else before the wait was over
    assert done["finished_us"] > until_us
    waited_s = j.number(f"SELECT floor({until_us} / 1e6 - extract(epoch FROM max(updated_at))) FROM foliopost.deliveries WHERE job_id = {job}"
                        f" AND updated_at < to_timestamp({until_us} / 1e6)")
    assert waited_s >= 7 # from when they had their outcome
    j.accounted(job)
    for wrong in ("0", "x", "101%", "-5", "0.00001%"):
        assert j.call("submit", "monthly", f"--canary={wrong}", check=False).returncode == 2, wrong


def test_a_canary_larger_than_the_audience_is_all_of_it(new_stack, judge):
    j = judge(new_stack())
    ids = sorted(j.audience())[:150]
    job = j.submit("monthly", "--canary", "500", "--canary-wait", "1h", "--user-ids", ",".join(map(str, ids)))
    j.wait_state(job, "COMPLETED")
    j.accounted(job, ids)


@pytest.mark.parametrize("event,setting", [("bounced", "guard-bounced"),
                                           pytest.param("complained", "guard-complained", marks=pytest.mark.slow)])
def test_a_guard_pauses_the_job_in_its_canary_and_counts_anew_after_a_resume(new_stack, judge, event, setting):
    j = judge(new_stack())
    job = j.submit("monthly", "--canary", "200", "--canary-wait", "6s")
    await_(lambda: "canary" in waiting(j, job))
    j.sql("INSERT INTO foliopost.delivery_events (job_id, user_id, event, occurred_at)"
          f" SELECT {job}, user_id, '{event}', now() FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent' LIMIT 20")
    await_(lambda: j.state(job) == "PAUSED")
    response = j.job(job)["response"]
    assert "guard:" in response and setting in response and "foliopost report" in response
    time.sleep(7) # the wait is over, and the job still paused
    assert j.state(job) == "PAUSED" and processed(j, job) < 300
    j.call("resume", job)
    j.wait_state(job, "COMPLETED")
    j.accounted(job)
    told = j.stack.foliopost("report", job).stdout
    assert f"20 {event}" in told, told


def test_a_guard_pauses_a_job_whose_mails_fail(new_stack, judge):
    j = judge(new_stack(scheduler={"guard_failed": 1, "guard_after": 100}, mailer={"mail_rate": 200}))
    j.sql("UPDATE portfolio.users SET base_currency = 'XXX' WHERE id % 2 = 0")
    job = j.submit("monthly")
    j.wait_state(job, "PAUSED")
    assert "--guard-failed 1" in j.job(job)["response"]
    assert processed(j, job) < 1900
    j.call("cancel", job)


def skip_most(j, but_every):
    j.sql("INSERT INTO portfolio.preferences (user_id, kind, enabled) SELECT id, 'monthly', false FROM portfolio.users"
          f" WHERE id % {but_every} <> 0 ON CONFLICT (user_id, kind) DO UPDATE SET enabled = false")


def test_a_canary_whose_users_are_mostly_skipped_is_judged_all_the_same(new_stack, judge):
    j = judge(new_stack())
    skip_most(j, but_every=5)
    job = j.submit("monthly", "--canary", "200", "--canary-wait", "8s")
    await_(lambda: "canary" in waiting(j, job))
    j.sql("INSERT INTO foliopost.delivery_events (job_id, user_id, event, occurred_at)"
          f" SELECT {job}, user_id, 'bounced', now() FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent' LIMIT 10")
    await_(lambda: j.state(job) == "PAUSED")
    assert "guard-bounced" in j.job(job)["response"]
    j.call("cancel", job)


def test_a_canary_without_mails_to_judge_waits_for_a_person(new_stack, judge):
    j = judge(new_stack())
    skip_most(j, but_every=60)
    job = j.submit("monthly", "--canary", "200", "--canary-wait", "1s")
    await_(lambda: j.state(job) == "PAUSED")
    response = j.job(job)["response"]
    assert "canary: of its" in response and "were sent a mail, too few to judge by (20)" in response, response
    time.sleep(3)
    assert j.state(job) == "PAUSED" and processed(j, job) <= 300
    j.call("resume", job)
    j.wait_state(job, "COMPLETED")
