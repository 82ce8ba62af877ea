"""Least privilege in the database: sql/roles.sql."""
import subprocess
import time

import pytest

from foliostack import ROOT, SERVICES, StackError, psql_path

# What each must not do, although a bug or a thief would like to.
DENIED = {
    "mailer": ["SELECT users FROM foliopost.previews", "DELETE FROM foliopost.previews",
               "SELECT * FROM portfolio.transactions", "SELECT * FROM portfolio.users", "DELETE FROM foliopost.deliveries",
               "UPDATE foliopost.leader SET owner = NULL", "SELECT * FROM foliopost.checkpoints",
               "UPDATE foliopost.jobs SET user_ids = NULL", "UPDATE foliopost.jobs SET spec_hash = ''", "UPDATE foliopost.batches SET user_ids = '{1}'",
               "UPDATE foliopost.batches SET redos = 9", "UPDATE foliopost.deliveries SET user_id = 1", "INSERT INTO foliopost.jobs DEFAULT VALUES",
               "UPDATE foliopost.instances SET service = 'stats'"],
    "stats": ["SELECT answer FROM foliopost.previews", "INSERT INTO foliopost.previews (id, expires_at) VALUES (gen_random_uuid(), now())", "SELECT * FROM foliopost.deliveries", "UPDATE foliopost.batches SET state = 'done'",
              "SELECT open_intents FROM foliopost.batches", "UPDATE portfolio.transactions SET amount = 0",
              "SELECT * FROM foliopost.suppressions", "SELECT * FROM portfolio.users",
              "SELECT * FROM portfolio.preferences", "SELECT * FROM portfolio.accounts"],
    "userstream": ["SELECT * FROM foliopost.deliveries", "SELECT * FROM foliopost.leader", "UPDATE foliopost.intervals SET lower_at = now()",
                   "SELECT * FROM portfolio.transactions", "UPDATE foliopost.batches SET state = 'queued'",
                   "UPDATE foliopost.deliveries SET state = 'sent'", "UPDATE foliopost.jobs SET state = 'COMPLETED'"],
    "scheduler": ["SELECT state FROM foliopost.checkpoints", "SELECT summary FROM foliopost.previews", "UPDATE foliopost.previews SET state = 'answered'", "SELECT * FROM portfolio.transactions", "DELETE FROM foliopost.deliveries", "DELETE FROM foliopost.jobs",
                  "UPDATE portfolio.users SET email = ''"],
    "autoscaler": ["SELECT * FROM foliopost.batches", "SELECT * FROM foliopost.deliveries", "SELECT * FROM portfolio.users",
                   "SELECT * FROM foliopost.jobs"],
    "inbound": ["SELECT * FROM portfolio.users", "UPDATE foliopost.deliveries SET state = 'sent'", "SELECT * FROM foliopost.batches"],
}


def give_roles(stack):
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", ROOT / "sql" / "roles.sql", stack.dsn],
                   check=True, capture_output=True, text=True)


def run_roles(postgres, database):
    """What psql says of it; like whoever runs it by hand, it goes on after an error."""
    return subprocess.Popen([psql_path(), "-X", "-q", "-f", ROOT / "sql" / "roles.sql", postgres.dsn(database)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rights(postgres, database, schema):
    """All that our roles hold there, column by column."""
    return postgres.sql(database, f"""SELECT grantee, table_name, column_name, privilege_type FROM information_schema.column_privileges
        WHERE table_schema = '{schema}' AND grantee LIKE 'foliopost\\_%' ORDER BY 1, 2, 3, 4""")


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


def test_services_keep_their_rights_while_the_file_runs_again(new_stack):
    """It is stopped in its midst, by somebody who changes a function's rights just then, and nobody lacks anything."""
    stack = new_stack(start=False)
    give_roles(stack)
    postgres, database = stack.postgres, stack.database
    before = rights(postgres, database, "foliopost"), rights(postgres, database, "portfolio")
    other = subprocess.Popen([psql_path(), "-X", "-q", "-A", "-t", postgres.dsn(database)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    try:
        other.stdin.write("BEGIN; GRANT EXECUTE ON FUNCTION foliopost.ensure_delivery_partition(bigint) TO foliopost_scheduler;"
                          "SELECT 'granted';\n")
        other.stdin.flush()
        assert other.stdout.readline().strip() == "granted"
        again = run_roles(postgres, database)
        end = time.monotonic() + 20
        while not postgres.sql(database, """SELECT 1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'"""):
            assert time.monotonic() < end and again.poll() is None, "it was not stopped"
            time.sleep(0.05)
        assert (rights(postgres, database, "foliopost"), rights(postgres, database, "portfolio")) == before
        other.stdin.write("ROLLBACK;\n")
        other.stdin.close()
        other.wait(10)
    finally:
        other.kill()
    assert again.communicate(timeout=20)[0] == ""
    assert (rights(postgres, database, "foliopost"), rights(postgres, database, "portfolio")) == before


def test_ledger_and_source_may_be_two_databases(new_stack):
    stack = new_stack(start=False)
    give_roles(stack)
    postgres, both = stack.postgres, stack.database
    for schema, other in (("foliopost", "portfolio"), ("portfolio", "foliopost")):
        database = f"{both}_{schema}"
        postgres.sql("postgres", f'CREATE DATABASE "{database}" TEMPLATE "{both}"')
        postgres.sql(database, f"DROP SCHEMA {other} CASCADE")
        postgres.sql(database, f"""DO $$ BEGIN EXECUTE (SELECT string_agg(format('REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM %I', rolname), ';')
            FROM pg_roles WHERE rolname LIKE 'foliopost\\_%'); END $$""")
        assert rights(postgres, database, schema) == []
        said = run_roles(postgres, database).communicate(timeout=20)[0]
        assert said == ""
        assert rights(postgres, database, schema) == rights(postgres, both, schema) != []
        postgres.sql("postgres", f'DROP DATABASE "{database}"')
    assert "neither schema" in run_roles(postgres, "postgres").communicate(timeout=20)[0]


def test_a_role_writes_rows_of_its_own_kind_alone(new_stack):
    stack = new_stack(start=False)
    give_roles(stack)
    give_roles(stack) # a second time changes nothing
    sql = lambda role, text: stack.postgres.sql(stack.database, f"SET ROLE foliopost_{role}; {text}")  # noqa: E731
    insert = "INSERT INTO foliopost.instances (id, service, lease_until) VALUES (gen_random_uuid(), '{}', now() + interval '1 hour')"
    services = (*SERVICES, "inbound")
    for service in services:
        sql(service, insert.format(service))
    for role in services[1:]:
        for other in services:
            if other != role:
                with pytest.raises(StackError, match="row-level security"):
                    sql(role, insert.format(other))
        # the way to end others' work: nothing is found to be changed
        sql(role, f"UPDATE foliopost.instances SET state = 'ended', lease_until = '-infinity' WHERE service <> '{role}'")
        assert stack.postgres.sql(stack.database, "SELECT count(*) FROM foliopost.instances WHERE state = 'live'") == [[str(len(services))]]
        sql(role, f"UPDATE foliopost.instances SET note = 'mine' WHERE service = '{role}'")
    assert stack.postgres.sql(stack.database, "SELECT count(*) FROM foliopost.instances WHERE note = 'mine'") == [["4"]]
    assert sql("stats", "SELECT count(*) FROM foliopost.instances")[-1] == [str(len(services))]
    sql("scheduler", "UPDATE foliopost.instances SET state = 'expired'") # the sweep
    assert stack.postgres.sql(stack.database, "SELECT count(*) FROM foliopost.instances WHERE state = 'live'") == [["0"]]


def test_a_mailer_pauses_a_job_and_ends_none(new_stack, judge):
    stack = new_stack(mailer={"mail_rate": 50})
    give_roles(stack)
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_sent(job, 10)
    mailer = lambda text: stack.postgres.sql(stack.database, f"SET ROLE foliopost_mailer; {text}")  # noqa: E731
    for state in ("COMPLETED", "CANCELLED", "FAILED"):
        with pytest.raises(StackError, match="row-level security"):
            mailer(f"UPDATE foliopost.jobs SET state = '{state}' WHERE id = {job}")
    mailer(f"UPDATE foliopost.jobs SET state = 'PAUSED' WHERE id = {job}")
    assert j.state(job) == "PAUSED"
    j.call("cancel", job)
    mailer(f"UPDATE foliopost.jobs SET state = 'IN_PROGRESS' WHERE id = {job}")
    assert j.state(job) == "CANCELLED"
