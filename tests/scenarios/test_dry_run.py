"""A whole dry run: everything but the send, and a report of what would go out."""
import json
import time

import pytest

from test_grpc import Client, channel_of, pb  # noqa: F401
from test_roles import as_role, give_roles

SERVICES = ("scheduler", "userstream", "stats", "mailer")


@pytest.fixture
def stack(new_stack):
    s = new_stack(start=False)
    give_roles(s)
    for service in SERVICES:
        s.options.setdefault(service, {})["ledger_dsn"] = as_role(s, service)
        if service != "mailer":
            s.options[service]["source_dsn"] = as_role(s, service)
    s.options["mailer"]["mail_rate"] = 400
    return s


def outcomes(j, job):
    return {(s, r): int(n) for s, r, n in j.sql(f"SELECT state, reason, count(*) FROM foliopost.deliveries WHERE job_id = {job} GROUP BY 1, 2")}


def test_everything_but_the_send(stack, judge, pb):  # noqa: F811
    stack.start_services()
    j = judge(stack)
    rates = j.sql("SELECT provider, next_free FROM foliopost.provider_rates")
    hour = time.gmtime(time.time() + 2 * 3600).tm_hour  # opens in an hour at the earliest, and it is not waited for
    job = j.submit("monthly", "--rehearse", "--canary", "5%", "--approval", "--send-window", f"{hour}:59-{(hour + 1) % 24}:59", "--rate", "50", "--deadline", "1h")
    j.wait_state(job, "COMPLETED", 120)
    assert stack.record.read_text() == ""
    said = outcomes(j, job)
    would = sum(n for (s, r), n in said.items() if r.startswith("dry run: would be sent"))
    assert would > 1000 and all(s == "skipped" for (s, r) in said if r.startswith("dry run")) and not any(s in ("sent", "ambiguous") for s, _ in said)
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND (attempts > 0 OR content_hash IS NOT NULL)") == 0
    assert j.number(f"SELECT min(size_bytes) FROM foliopost.deliveries WHERE job_id = {job}") > 2000
    assert j.sql("SELECT provider, next_free FROM foliopost.provider_rates") == rates  # no slice of the rate was taken
    metrics = stack.metrics(stack.of("mailer")[0])
    assert 'foliopost_mails_total{outcome="sent"}' not in metrics
    with channel_of(stack) as channel:
        c = Client(pb, channel)
        r = c.GetReport(pb.jobs.GetReportRequest(job_id=job))
        d = r.dry_run
        assert (r.mails_sent, d.would_send, d.compared_job, d.users_added) == (0, would, 0, 0)
        assert d.size_max_bytes >= d.size_sum_bytes / would > 2000
        assert d.mails_per_s == 50 and abs(d.seconds - would / 50) < 1e-6 and d.quota_left == -1
        assert not d.in_time and r.job.spec.dry_run and not r.job.spec.approval_required
        someone = j.number(f"SELECT min(user_id) FROM foliopost.deliveries WHERE job_id = {job}")
        assert len(c.GetUserHistory(pb.jobs.GetUserHistoryRequest(user_id=someone)).mails) == 0
    # The job itself: the same users, by the same reasons.
    real = j.submit("monthly")
    j.wait_state(real, "COMPLETED", 200)
    j.accounted(real)
    assert {k: n for k, n in outcomes(j, real).items() if k[0] != "sent"} == {k: n for k, n in said.items() if not k[1].startswith("dry run")}
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {real} AND (state = 'sent' OR size_bytes IS NOT NULL)") == would
    # And once more, when some have left and somebody is there who was not.
    left = [int(u) for [u] in j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {real} AND state = 'sent' ORDER BY user_id LIMIT 3")]
    for u in left:
        j.sql(f"INSERT INTO foliopost.suppressions (user_id, scope, reason, source) VALUES ({u}, 'all', 'manual', 'test')")
    new = int(j.sql(f"UPDATE foliopost.deliveries SET state = 'failed' WHERE job_id = {real} AND user_id = (SELECT max(user_id) FROM foliopost.deliveries"
                    f" WHERE job_id = {real} AND state = 'sent') RETURNING user_id")[0][0])
    sent = len(stack.record.read_text().splitlines())
    again = j.submit("monthly", "--rehearse", "--deadline", "1h")
    j.wait_state(again, "COMPLETED", 120)
    assert len(stack.record.read_text().splitlines()) == sent
    d = json.loads(stack.foliopost("report", again, "--json").stdout)["dry_run"]
    assert (d["compared_job"], d["users_added"], d["added_ids"], d["users_dropped"], d["dropped_ids"]) == (real, 1, [new], 3, left)
    assert d["in_time"] and d["mails_per_s"] == 400
    shown = stack.foliopost("report", again).stdout
    assert "nothing was sent" in shown and f"compared      with job {real}" in shown and str(left[0]) in shown
    assert "(dry run)" in stack.foliopost("status", again).stdout
    # Whom it would be sent, nobody can resend.
    who = j.number(f"SELECT min(user_id) FROM foliopost.deliveries WHERE job_id = {again} AND size_bytes IS NOT NULL")
    refused = stack.foliopost("resend", again, who, check=False)
    assert refused.returncode != 0 and "not sent" in refused.stderr
    assert "no job" not in stack.foliopost("retry", again).stdout
    assert "permission denied" not in "".join(p.log.read_text(errors="replace") for s in SERVICES for p in stack.of(s))


def test_no_mailer_can_open_an_intent_of_a_dry_run(stack, judge):
    """Also one of before there were dry runs: without an intent nothing goes out."""
    stack.start_services(mailer=0)
    j = judge(stack)
    job = j.submit("monthly", "--rehearse")
    while not j.number(f"SELECT count(*) FROM foliopost.batches WHERE job_id = {job}"):
        pass
    from foliostack import StackError
    with pytest.raises(StackError, match="violates check constraint"):
        j.sql(f"UPDATE foliopost.batches SET open_intents = user_ids[1:1] WHERE job_id = {job}")


def test_outliers_have_their_class_and_are_counted(stack, judge):
    """One share trebles in the period, another loses nearly all, both day by day: no price is suspect."""
    stack.start_services()
    j = judge(stack)
    quiet = j.submit("monthly", "--rehearse")
    start, end = (j.wait_state(quiet, "COMPLETED", 120)["spec"][f"period_{x}"] for x in ("start", "end"))
    before = {r: n for (_, r), n in outcomes(j, quiet).items() if "outlier" in r}
    risen, fallen = (int(i) for [i] in j.sql("SELECT instrument_id FROM portfolio.transactions WHERE instrument_id IS NOT NULL"
                                             " GROUP BY 1 ORDER BY count(DISTINCT user_id) DESC LIMIT 2"))
    for share, part in (risen, "1 + 2.0 * gone"), (fallen, "1 - 0.97 * gone"):
        j.sql(f"UPDATE portfolio.prices p SET close = close * ({part}) FROM (SELECT day, (least(day, DATE '{end}') - DATE '{start}' + 1)"
              f"::numeric / (DATE '{end}' - DATE '{start}' + 1) AS gone FROM portfolio.prices WHERE instrument_id = {share}) g"
              f" WHERE p.instrument_id = {share} AND p.day = g.day AND p.day >= DATE '{start}'")
    job = j.submit("monthly", "--rehearse", "--request-id", "moved")
    j.wait_state(job, "COMPLETED", 120)
    said = outcomes(j, job)
    after = {r.removeprefix("dry run: would be sent, outlier: "): n for (_, r), n in said.items() if "outlier" in r}
    assert not before and after["return above +50 %"] > 0 and after["return below -50 %"] > 0, (before, said)
    report = j.call("report", job)
    d = report["dry_run"]
    assert int(d["outliers"]) == sum(after.values()) < int(d["would_send"])
    assert {r["reason"]: int(r["users"]) for r in report["reasons"] if "outlier" in r["reason"]} == \
        {f"dry run: would be sent, outlier: {r}": n for r, n in after.items()}
    holders = {s: {int(u) for [u] in j.sql(f"SELECT DISTINCT user_id FROM portfolio.transactions WHERE instrument_id = {s}")} for s in (risen, fallen)}
    earlier = {int(u) for [u] in j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {quiet} AND reason LIKE '%outlier%'")}
    for text, share in ("above", risen), ("below", fallen):
        lines = stack.foliopost("deliveries", job, "--reason", f"dry run: would be sent, outlier: return {text}", "--all", "--json").stdout
        assert {json.loads(line)["user_id"] for line in lines.splitlines()} - earlier <= holders[share]
    assert f"{sum(after.values())} of them outliers" in stack.foliopost("report", job).stdout


def test_a_dry_run_for_some_is_compared_with_what_they_were_sent(stack, judge):
    stack.start_services()
    j = judge(stack)
    ids = range(1, 301)
    real = j.submit("monthly")
    j.wait_state(real, "COMPLETED", 200)
    j.wait_state(j.submit("monthly", "--user-ids", "5", "--request-id", "one"), "COMPLETED")  # neither is to be compared with
    j.wait_state(j.submit("monthly", "--share", "10%", "--request-id", "share"), "COMPLETED", 60)
    sent = [u for u, (state, _) in sorted(j.deliveries(real).items()) if state == "sent" and u in ids]
    j.sql(f"INSERT INTO foliopost.suppressions (user_id, scope, reason, source) VALUES ({sent[0]}, 'all', 'manual', 'test')")
    some = j.submit("monthly", "--rehearse", "--user-ids", ",".join(map(str, ids)), "--request-id", "some")
    j.wait_state(some, "COMPLETED")
    d = j.call("report", some)["dry_run"]
    assert (int(d["compared_job"]), int(d["users_added"]), int(d["users_dropped"]), d["dropped_ids"]) == (real, 0, 1, [sent[0]])
    assert int(d["would_send"]) == len(sent) - 1 and d["template_errors"] == 0


def test_templates_that_fail_have_their_class(stack, judge, tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "wide.subject").write_text("x\n")
    # Neither of the statements that templates are tried with at start has the one without the other.
    wide = "{{^has_benchmark}}{{#has_chart}}" + "x" * 200000 + "{{/has_chart}}{{/has_benchmark}}"
    (folder / "wide.txt").write_text(f"x {wide}\n")
    (folder / "wide.html").write_text(f"<p>x {wide}</p>\n")
    stack.options["mailer"]["templates"] = folder
    stack.start_services()
    j = judge(stack)
    job = j.submit("monthly", "--rehearse", "--template", "wide")
    j.wait_state(job, "COMPLETED", 120)
    said = outcomes(j, job)
    assert said["failed", "render: larger than 262144 bytes"] > 1000
    without_chart = sum(n for (_, r), n in said.items() if r.startswith("dry run: would be sent"))
    assert without_chart < 100
    d = j.call("report", job)["dry_run"]
    assert int(d["template_errors"]) == said["failed", "render: larger than 262144 bytes"] and int(d["would_send"]) == without_chart
    assert "--state failed --reason render" in stack.foliopost("report", job).stdout
