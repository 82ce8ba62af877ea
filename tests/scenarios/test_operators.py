"""What operators do to a running job, and what the audit says of it."""
import json
import os
import re
import subprocess

import pytest


@pytest.mark.slow
def test_a_rate_that_an_operator_sets_holds_for_running_mailers(new_stack, judge):
    j = judge(new_stack(mailer={"mail_rate": 2}))
    job = j.submit("monthly", "--user-ids", ",".join(str(n) for n in range(1, 401)))
    j.wait_sent(job, 3)
    rate = j.call("rate", "unlimited")
    assert rate["by_operator"] and rate["configured_per_second"] == 2
    j.wait_state(job, "COMPLETED")  # within 60 s; at 2 a second it would take more than 150
    j.accounted(job, range(1, 401))
    assert j.call("rate", "reset")["limit_per_second"] == 2
    lines = j.call("audit")["entries"]
    assert [e["action"] for e in lines] == ["set_rate", "set_rate", "submit"]
    assert all(e["actor"] == "rpc" and e["peer"].startswith("127.0.0.1:") for e in lines)
    table = j.stack.foliopost("audit", "--action", "submit").stdout.splitlines()
    assert len(table) == 2 and table[0].split()[:2] == ["ID", "AT"] and str(job) in table[1]
    assert "no limit" not in j.stack.foliopost("rates").stdout


@pytest.mark.slow
def test_a_job_keeps_to_its_own_rate_until_an_operator_raises_it(new_stack, judge):
    j = judge(new_stack())
    ids = ",".join(str(n) for n in range(1, 161))
    slow = j.submit("monthly", "--user-ids", ids, "--rate", "20", "--time-zone", "Europe/Berlin")
    done = j.wait_state(slow, "COMPLETED", 120)
    assert done["finished_us"] - done["started_us"] >= 6e6  # 160 users, of whom 40 may have gone at once
    assert (done["spec"]["rate_per_second"], done["spec"]["batch_size"]) == (20, 5)
    many = j.submit("monthly", "--rate", "60", "--share", "10%", "--share-seed", "3")  # months of few users: each page is short
    done = j.wait_state(many, "COMPLETED", 120)
    users = j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {many}")
    took = (done["finished_us"] - done["started_us"]) / 1e6
    assert users / 60 - 2 <= took <= users / 60 + 6, f"{users} users at 60 a second took {took:.1f} s"
    job = j.submit("monthly", "--user-ids", ids, "--rate", "0.1")  # 1,600 s
    j.wait_state(job, "IN_PROGRESS")
    assert j.call("rate", "unlimited", "--job", job)["provider"] == f"job:{job}"
    j.wait_state(job, "COMPLETED", 120)
    j.accounted(job, range(1, 161))
    assert "COMPLETED" in j.stack.foliopost("rate", "5", "--job", job, check=False).stderr
    assert [e["action"] for e in j.call("audit", "--job", job)["entries"]] == ["set_rate", "submit"]


@pytest.mark.slow
def test_what_one_provider_refused_is_tried_again_and_nothing_else(new_stack, judge, tmp_path):
    stack = new_stack(start=False)
    stack.providers(f"[relay]\ntransport = smtp\nsmtp-url = smtp://{stack.smtp}\n"
                    f"[files]\ntransport = maildir\nmaildir = {tmp_path / 'mails'}\n")
    stack.start_services()
    j = judge(stack)
    users = range(1, 201)
    j.sql("UPDATE portfolio.users SET email = 'u' || id || '+550@example.com' WHERE id <= 200 AND id % 2 = 0")
    job = j.submit("monthly", "--user-ids", ",".join(map(str, users)))
    j.wait_state(job, "COMPLETED")

    def listed(*args):
        lines = stack.foliopost("deliveries", job, "--all", *args, "--json").stdout.splitlines()
        return {int(d["user_id"]): d for d in map(json.loads, lines)}
    refused = listed("--state", "failed", "--provider", "relay")
    assert len(refused) > 10 and all(u % 2 == 0 and d["provider"] == "relay" for u, d in refused.items())
    assert not listed("--state", "failed", "--provider", "files") and len(listed("--state", "sent", "--provider", "files")) > 20
    table = stack.foliopost("deliveries", job).stdout.splitlines()
    assert "  PROVIDER  REASON" in table[0] and any("  relay     550 " in line for line in table)
    # One has failed by itself: no provider's, and no concern of this retry.
    own = next(u for u in listed("--state", "sent"))
    j.sql(f"UPDATE foliopost.batches b SET sent = sent - 1, failed = failed + 1 FROM foliopost.deliveries d "
          f"WHERE d.job_id = {job} AND d.user_id = {own} AND b.id = d.batch_id")
    j.sql(f"UPDATE foliopost.deliveries SET state = 'failed', reason = 'render: x', provider = NULL WHERE job_id = {job} AND user_id = {own}")
    j.sql("UPDATE portfolio.users SET email = 'u' || id || '@example.com' WHERE id <= 200")
    wrong = stack.foliopost("retry", job, "--provider", "rely", check=False)
    assert wrong.returncode == 5 and 'no mailer ever had a provider "rely"; those known: files, relay' in wrong.stderr
    assert j.call("retry", job, "--provider", "files")["users"] == 0
    j.sql("DELETE FROM foliopost.suppressions")  # of the mailboxes that were not there
    assert j.call("retry", job, "--provider", "relay")["users"] == len(refused)
    j.wait_state(job, "COMPLETED")
    now = listed()
    assert all(now[u]["state"] == "DELIVERY_STATE_SENT" for u in refused)
    assert now[own]["state"] == "DELIVERY_STATE_FAILED" and now[own]["provider"] == ""


@pytest.mark.slow
def test_the_ambiguous_are_accepted_or_mailed_again_as_a_person_says(new_stack, judge):
    j = judge(new_stack())
    job = j.submit("monthly", "--user-ids", ",".join(str(n) for n in range(1, 201)))
    j.wait_state(job, "COMPLETED")
    sent = [u for u, (state, _) in j.deliveries(job).items() if state == "sent"]
    lost, kept = sent[0], sent[1]
    for user in (lost, kept):  # as after a connection that broke behind the data
        j.sql(f"UPDATE foliopost.batches b SET sent = sent - 1, ambiguous = ambiguous + 1 FROM foliopost.deliveries d "
              f"WHERE d.job_id = {job} AND d.user_id = {user} AND b.id = d.batch_id")
        j.sql(f"UPDATE foliopost.deliveries SET state = 'ambiguous', reason = 'closed after the data' WHERE job_id = {job} AND user_id = {user}")
    assert j.call("resolve", job, "accept", "--user", kept)["users"] == 1
    j.wait_state(job, "COMPLETED")
    assert j.call("resolve", job, "resend", "--reason", "closed")["users"] == 1
    done = j.wait_state(job, "COMPLETED")
    assert done["round"] == 3 and int(done["proof"]["sent"]) == len(sent)
    assert j.deliveries(job)[lost] == ("sent", 1) and j.deliveries(job)[kept] == ("sent", 0)
    assert j.mails(job)[lost] == 2 and j.mails(job)[kept] == 1
    j.accounted(job, range(1, 201))
    assert [d["user_id"] for d in j.call("deliveries", job, "--reason", "accepted by")["deliveries"]] == [kept]
    assert [e["action"] for e in j.call("audit", "--job", job)["entries"]] == ["reopen", "accept", "submit"]


@pytest.mark.slow
def test_an_old_report_is_sent_again_and_an_erased_user_leaves_nothing(new_stack, judge):
    j = judge(new_stack())
    user, address = 987654321, "ann.to.be.erased@example.com"
    j.sql("CREATE TEMP TABLE ann AS SELECT * FROM portfolio.users WHERE id = 1; "
          f"UPDATE ann SET id = {user}, email = '{address}'; INSERT INTO portfolio.users SELECT * FROM ann")
    job = j.submit("monthly", "--user-ids", f"1,2,3,4,5,{user}")
    j.wait_state(job, "COMPLETED")
    sent = next(u for u, (state, _) in j.deliveries(job).items() if state == "sent")
    child = j.call("resend", job, sent)["job"]
    assert child["spec"]["user_ids"] == [sent]
    j.wait_state(child["id"], "COMPLETED")
    assert j.mails(child["id"])[sent] == 1
    subprocess.run([str(j.stack.binary("foliopost")), "suppressions", "add", "--user", str(user)], env={**os.environ, **j.stack.env()}, check=True)
    assert j.stack.foliopost("erase", user, check=False).returncode != 0, "without --yes"
    assert "delete him there first" in j.stack.foliopost("erase", user, "--yes", check=False).stderr
    j.sql(f"DELETE FROM portfolio.users WHERE id = {user}")
    assert j.call("erase", user, "--address", address, "--yes")["suppressions"] == 1
    assert j.call("erase", user, "--yes")["existing"]
    assert j.stack.foliopost("resend", job, user, check=False).returncode != 0
    dump = subprocess.run(["pg_dump", "--data-only", j.stack.dsn], capture_output=True, text=True, check=True).stdout
    assert "COPY foliopost.deliveries_" in dump
    assert not re.search(rf"\b{user}\b", dump) and address not in dump
    assert len(j.call("report", job)["reasons"]) >= 1 and len(j.deliveries(job)) == 6


def test_every_command_explains_itself(new_stack):
    binary = str(new_stack(start=False).binary("foliopost"))

    def run(*args):
        return subprocess.run([binary, *args], capture_output=True, text=True, check=True).stdout

    names = re.findall(r"^  ([a-z-]+) ", run("help").split("Every command")[0], re.M)
    assert {"submit", "fleet", "audit", "rates", "erase", "help"} <= set(names)
    for name in names:
        assert f"foliopost {name}" in run(name, "--help")
    assert "(null)" not in run("help") + run("man")
    assert subprocess.run(["bash", "-n"], input=run("completion", "bash"), text=True).returncode == 0
