"""Users whose data break something: each fails alone, and nobody beside him.

What a user does that takes his worker down needs a build with FP_TEST_HOOKS (build/debug, build/asan) and
minutes: script/poison."""
import re
import threading
import time

import pytest

from foliostack import SERVICES

POISON = 1042
USERS = range(1001, 1201) # two batches; he is in the midst of the first and of its fifth tenth


class Supervisor(threading.Thread):
    """Starts again who died, as Kubernetes would. The lease of a dead mailer ends at once: ten seconds for
    each of so many deaths are waited for elsewhere."""

    def __init__(self, stack, judge):
        super().__init__(name="supervisor", daemon=True)
        self.stack, self.judge, self.deaths, self.over = stack, judge, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            for p in (p for s in SERVICES for p in self.stack.of(s) if not p.alive()):
                self.again(p)

    def again(self, process):
        self.deaths += 1
        owners = re.findall(r"lease held owner=(\S+)", process.log.read_text(errors="replace"))
        if owners:
            self.judge.sql(f"UPDATE foliopost.instances SET lease_until = '-infinity' WHERE id = '{owners[-1]}' AND state = 'live'")
        self.stack.start_service(re.sub(r"\d", "", process.name), int(re.sub(r"\D", "", process.name)))


def keep_the_pipeline_moving(judge, job, seconds):
    """Until the job is completed, others come: that their batches get through tells a bad batch from a bad day."""
    jobs, end = [], time.monotonic() + seconds
    while judge.sql(f"SELECT state FROM foliopost.jobs WHERE id = {job}") != [["COMPLETED"]]:
        assert time.monotonic() < end, judge.diagnosis(job)
        jobs.append((judge.submit("monthly", "--user-ids", str(1 + len(jobs))), 1 + len(jobs)))
        time.sleep(0.3)
    return jobs


@pytest.mark.hooks
@pytest.mark.parametrize("service, batch_size", [("stats", 100), ("mailer", 10)]) # cut twice, cut once
def test_a_user_who_takes_his_workers_down_fails_alone(new_stack, judge, service, batch_size):
    stack = new_stack(start=False)
    stack.options = {"scheduler": {"redo_after": "1s", "max_jobs": 20}, "userstream": {"redo_after": "1s"}}
    stack.service_env = {"FOLIOPOST_CRASH_USERS": str(POISON)}
    stack.start_services(**{service: 2})
    j = judge(stack)
    supervisor = Supervisor(stack, j)
    supervisor.start()
    try:
        job = j.submit("monthly", "--batch-size", str(batch_size), "--user-ids", ",".join(map(str, USERS)))
        jobs = keep_the_pipeline_moving(j, job, 900)
        for other, _ in jobs:
            j.wait_state(other, "COMPLETED", 120)
    finally:
        supervisor.over.set()
        supervisor.join()
    assert supervisor.deaths >= 8, "of each worker that came to him"
    poison = j.sql("SELECT job_id, user_id FROM foliopost.deliveries WHERE reason LIKE 'poison%'")
    assert poison == [[str(job), str(POISON)]], "the one, and nobody who stood beside him"
    j.accounted(job, USERS)
    for other, user in jobs:
        j.accounted(other, [user])


def outcomes(judge, job):
    return {int(u): (state, reason) for u, state, reason in
            judge.sql(f"SELECT user_id, state, reason FROM foliopost.deliveries WHERE job_id = {job}")}


@pytest.mark.slow
def test_of_a_hundred_users_the_broken_one_fails_and_the_others_are_mailed(new_stack, judge):
    """Transactions that no bookkeeping can follow, each in a way of its own."""
    j = judge(new_stack(stats={"no_checkpoints": True}))
    before = j.submit("monthly")
    j.wait_state(before, "COMPLETED", 120)
    whole = outcomes(j, before)
    sent = sorted(u for u, (state, _) in whole.items() if state == "sent")
    broken = sent[len(sent) // 200::100]
    ways = ("quantity = 'NaN'", "amount = 'NaN'", "type = 'gift'", "quantity = 1e19", "price = 'NaN'")
    for n, user in enumerate(broken):
        j.sql(f"UPDATE portfolio.transactions SET {ways[n % len(ways)]} WHERE id ="
              f" (SELECT min(id) FROM portfolio.transactions WHERE user_id = {user})")
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED", 120)
    j.accounted(job)
    now = outcomes(j, job)
    changed = {u for u in whole if now[u][0] != whole[u][0]}
    assert changed == set(broken), "those who were broken, and nobody else"
    assert {now[u][0] for u in broken} == {"failed"}
    assert not any("poison" in now[u][1] for u in broken), "each with a reason of his own"
