"""A job waits for the prices of its period, says so, and sees them when it starts."""
import time

import pytest

LATE = """
    FROM portfolio.prices
    WHERE day >= (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '15 days')::date"""


def waiting(j, job):
    return " ".join(j.job(job).get("waiting") or [])


def await_(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.2)


def test_a_job_waits_for_the_prices_of_its_period(new_stack, judge):
    j = judge(new_stack())
    j.sql("CREATE TABLE public.late AS SELECT *" + LATE)
    j.sql("DELETE" + LATE)
    job = j.submit()
    await_(lambda: "data not ready" in waiting(j, job))
    told = waiting(j, job)
    assert "0 of 50" in told and "90 % must" in told, told
    assert "data not ready" in j.stack.foliopost("status", job).stdout
    assert j.state(job) == "PENDING" and not j.mails(job)
    time.sleep(3)
    assert j.state(job) == "PENDING" and not j.deliveries(job)
    j.sql("INSERT INTO portfolio.prices SELECT * FROM public.late") # their recorded_at is before as_of, whenever that is
    j.wait_state(job, "COMPLETED", 90)
    j.accounted(job)


@pytest.mark.slow
def test_who_does_not_wait_any_longer_cancels(new_stack, judge):
    j = judge(new_stack())
    j.sql("DELETE" + LATE)
    job = j.submit()
    await_(lambda: "data not ready" in waiting(j, job))
    j.call("cancel", job)
    j.wait_state(job, "CANCELLED")
    assert not j.mails(job)
