"""Several brands in one job: each user gets his own brand's mail, through its own provider."""
import email
import email.policy
import time


def read(folder):
    return [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in (folder / "new").iterdir()]


def user_of(mail):
    return int(mail["Message-ID"].split(".")[1])


def test_a_job_through_a_slow_provider_leaves_claim_slots_to_others(new_stack, judge, tmp_path):
    """At one mail a second of its own it would hold all four for minutes."""
    stack = new_stack(start=False)
    stack.providers(f"[common]\ntransport = maildir\nmaildir = {tmp_path / 'common'}\n"
                    f"[slow]\ntransport = maildir\nmaildir = {tmp_path / 'slow'}\nmail-rate = 1\nweight = 0\n")
    stack.start_services()
    j = judge(stack)
    slow = [j.submit("monthly", "--provider", "slow", "--request-id", f"slow{n}") for n in range(2)]
    for job in slow:
        j.wait_state(job, "IN_PROGRESS")
    until = time.monotonic() + 30
    while not j.number("SELECT count(*) FROM foliopost.batches WHERE state = 'sending'"):
        assert time.monotonic() < until
        time.sleep(0.05)
    for n in range(3):
        other = j.submit("monthly", "--user-ids", ",".join(map(str, range(1, 301))), "--request-id", f"other{n}")
        j.wait_state(other, "COMPLETED", 25)
        in_flight = j.number(f"SELECT count(*) FROM foliopost.batches WHERE job_id IN ({slow[0]}, {slow[1]}) AND state IN ('queued', 'sending')")
        assert 1 <= in_flight <= 2
    assert all(j.state(job) == "IN_PROGRESS" for job in slow)
    j.call("rate", "unlimited", "--provider", "slow")  # and as soon as it is fast, they are
    for job in slow:
        j.wait_state(job, "COMPLETED", 60)


def test_each_user_gets_the_mail_of_his_brand_and_the_unknown_get_none(new_stack, judge, tmp_path):
    stack = new_stack(start=False)
    common, acme = tmp_path / "common", tmp_path / "acme"
    stack.providers(f"[shared]\ntransport = maildir\nmaildir = {common}\n"
                    f"[theirs]\ntransport = maildir\nmaildir = {acme}\n")
    (tmp_path / "brands.conf").write_text("[acme]\nfrom = Acme Invest <reports@acme.example>\nmessage-host = acme.example\n"
                                          "unsubscribe-url = https://leave.acme.example\ntemplate = plain\n"
                                          "provider = theirs\npostal-address = Acme Ltd, Town\n")
    stack.options["mailer"] |= {"brands_file": tmp_path / "brands.conf", "token_key_file": stack.token_keys(),
                                "unsubscribe_url": "https://leave.example.com"}
    stack.start_services()
    j = judge(stack)
    j.sql("INSERT INTO portfolio.preferences (user_id, kind, enabled, brand)"
          " SELECT id, 'monthly', true, CASE WHEN id % 10 = 5 THEN 'acne' ELSE 'acme' END FROM portfolio.users"
          " WHERE id BETWEEN 40 AND 199 AND id % 5 = 0"
          " ON CONFLICT (user_id, kind) DO UPDATE SET brand = excluded.brand")
    ids = list(range(40, 200))
    job = j.submit("monthly", "--user-ids", ",".join(map(str, ids)))
    j.wait_state(job, "COMPLETED")
    reasons = {(r["state"], r["reason"]): int(r["users"]) for r in j.call("report", job)["reasons"]}
    assert 8 <= reasons[("DELIVERY_STATE_FAILED", "unknown brand: acne")] <= 16
    theirs, ours = read(acme), read(common)
    assert theirs and {user_of(m) % 10 for m in theirs} == {0}
    assert ours and all(user_of(m) % 5 for m in ours)
    sent = j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent'")
    assert sent == len(theirs) + len(ours) == len({user_of(m) for m in theirs + ours})
    for m in theirs:
        assert m["From"].addresses[0].addr_spec == "reports@acme.example" and m["Message-ID"].endswith("@acme.example>")
        assert m["List-Unsubscribe"].startswith("<https://leave.acme.example/u/") and ":acme:" in m["Feedback-ID"]
        assert "Acme Ltd, Town" in m.get_body(("plain",)).get_content() and "reports@example.com" not in m.as_string()
    assert all(m["From"].addresses[0].addr_spec == "reports@example.com" and "acme" not in str(m.items()) for m in ours)
    # a job of a brand that is not there waits for a person, and fails nobody
    job = j.submit("monthly", "--user-ids", "41,42", "--brand", "other", "--request-id", "other")
    paused = j.wait_state(job, "PAUSED")
    assert 'no brand "other"' in paused["response"]
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job}") == 0
    # a job may name a provider: one that no brand has, that is there, and that is there still when its mails go out
    before, others = len(read(common)), len(theirs)
    job = j.submit("monthly", "--user-ids", "41,42,43,50", "--provider", "shared", "--request-id", "through")
    assert j.wait_state(job, "COMPLETED")["spec"]["provider"] == "shared"
    assert "shared alone" in stack.foliopost("status", job).stdout
    sent = {u for u, (state, _) in j.deliveries(job).items() if state == "sent"}
    assert len(read(common)) - before == len(sent - {50}) > 0 and len(read(acme)) - others == len(sent & {50})
    refused = stack.foliopost("submit", "monthly", "--provider", "sahred", check=False).stderr
    assert "spec.provider: the mailers have no provider sahred; they have: shared, theirs" in refused
    refused = stack.foliopost("schedule", "create", "x", "--kind", "weekly", "--cron", "@weekly", "--provider", "no", check=False).stderr
    assert "schedule.spec.provider: the mailers have no provider no" in refused
    j.sql("INSERT INTO foliopost.provider_rates (provider, rate, rate_limit, configured_limit) VALUES ('gone', 0, 0, 0)")
    for name, why in ("gone", 'no provider "gone"'), ("theirs", 'no provider "theirs" for brand "default"'):
        job = j.submit("monthly", "--user-ids", "41,42", "--provider", name, "--request-id", name)
        assert why in j.wait_state(job, "PAUSED")["response"]
        assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job}") == 0
    done = stack.foliopost("preview", "--user", 50, "--eml", "--from", "Foliopost <reports@example.com>",
                           "--brands-file", tmp_path / "brands.conf").stdout
    assert "From: Acme Invest <reports@acme.example>" in done and "<https://leave.acme.example/u/this-is-a-test>" in done


def test_a_mailer_says_what_is_not_fit_for_users_yet(new_stack, tmp_path):
    def says(stack):
        log = stack.of("mailer")[0].log.read_text()
        return "from is still the example's" in log, "without a way to unsubscribe" in log
    stack = new_stack(start=False)
    stack.options["mailer"] |= {"from": "Foliopost <reports@foliopost.invalid>"}
    stack.start_services()
    assert says(stack) == (True, True)
    other = new_stack(start=False)
    other.options["mailer"] |= {"from": "Foliopost <reports@foliopost.invalid>", "transport": "maildir", "maildir": tmp_path / "mails"}
    other.start_services()
    assert says(other) == (False, False)
