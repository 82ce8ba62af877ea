"""What operators do to a running job, and what the audit says of it."""


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
