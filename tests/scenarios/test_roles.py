"""Least privilege in the database: sql/roles.sql."""
import subprocess

import pytest

from foliostack import ROOT, SERVICES, StackError

# What each must not do, although a bug or a thief would like to.
DENIED = {
    "mailer": ["SELECT users FROM foliopost.previews", "DELETE FROM foliopost.previews",
               "SELECT * FROM portfolio.transactions", "SELECT * FROM portfolio.users", "DELETE FROM foliopost.deliveries",
               "UPDATE foliopost.leader SET owner = NULL", "SELECT * FROM foliopost.checkpoints"],
    "stats": ["SELECT answer FROM foliopost.previews", "INSERT INTO foliopost.previews (id, expires_at) VALUES (gen_random_uuid(), now())", "SELECT * FROM foliopost.deliveries", "UPDATE foliopost.batches SET state = 'done'",
              "SELECT open_intents FROM foliopost.batches", "UPDATE portfolio.transactions SET amount = 0",
              "SELECT * FROM foliopost.suppressions"],
    "userstream": ["SELECT * FROM portfolio.transactions", "UPDATE foliopost.batches SET state = 'queued'",
                   "UPDATE foliopost.deliveries SET state = 'sent'", "UPDATE foliopost.jobs SET state = 'COMPLETED'"],
    "scheduler": ["SELECT summary FROM foliopost.previews", "UPDATE foliopost.previews SET state = 'answered'", "SELECT * FROM portfolio.transactions", "DELETE FROM foliopost.deliveries", "DELETE FROM foliopost.jobs",
                  "UPDATE portfolio.users SET email = ''"],
    "autoscaler": ["SELECT * FROM foliopost.batches", "SELECT * FROM foliopost.deliveries", "SELECT * FROM portfolio.users",
                   "SELECT * FROM foliopost.jobs"],
    "inbound": ["SELECT * FROM portfolio.users", "UPDATE foliopost.deliveries SET state = 'sent'", "SELECT * FROM foliopost.batches"],
}


def give_roles(stack):
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", ROOT / "sql" / "roles.sql", stack.dsn],
                   check=True, capture_output=True, text=True)


def as_role(stack, service):
    return stack.dsn.replace("user=foliopost", f"user=foliopost_{service}")


def test_a_whole_job_is_sent_under_the_services_own_roles(new_stack, judge):
    stack = new_stack(start=False, sink=("--refuse-rcpt", "450:3%"))
    give_roles(stack)
    for service in SERVICES:
        stack.options[service] = {"ledger_dsn": as_role(stack, service)}
        if service != "mailer":
            stack.options[service]["source_dsn"] = as_role(stack, service)
    stack.options["mailer"]["retry_base"] = "500ms"
    stack.start_services()
    stack.start_inbound(ledger_dsn=as_role(stack, "inbound"))
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_sent(job, 200)
    users = {r[0] for r in j.sql("SELECT usename FROM pg_stat_activity WHERE datname = current_database()")}
    assert users >= {f"foliopost_{s}" for s in (*SERVICES, "inbound")}
    j.call("pause", job)
    j.call("resume", job)
    j.wait_state(job, "COMPLETED", 120)
    j.accounted(job)
    denied = [p.name for s in SERVICES for p in stack.of(s) if "permission denied" in p.log.read_text(errors="replace")]
    assert not denied, f"something they need is missing to {denied}"
    assert j.sql("SELECT message FROM foliopost.error_log WHERE message LIKE '%permission%'") == []


def test_a_role_may_do_its_work_and_nothing_else(new_stack):
    stack = new_stack(start=False)
    give_roles(stack)
    for service, statements in DENIED.items():
        for statement in statements:
            with pytest.raises(StackError, match="permission denied"):
                stack.postgres.sql(stack.database, f"SET ROLE foliopost_{service}; {statement}")
