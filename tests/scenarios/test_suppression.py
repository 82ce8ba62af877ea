"""Who is not to be mailed is not mailed, however late it is said."""
import csv
import io
import os
import subprocess


def run(stack, *args, stdin=None):
    return subprocess.run([str(stack.binary("foliopost")), "suppressions", *map(str, args)], env={**os.environ, **stack.env()},
                          capture_output=True, text=True, input=stdin, timeout=60)


def mailable(j, n):
    """Users who got a mail in a first job."""
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED")
    return [int(r[0]) for r in j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent' ORDER BY user_id LIMIT {n}")]


def skipped(j, job):
    return {int(r[0]) for r in j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {job} AND state = 'skipped' AND reason = 'suppressed'")}


def test_suppressed_users_and_addresses_get_no_mail(new_stack, judge):
    j = judge(new_stack())
    a, b, c, d = mailable(j, 4)
    address = {int(r[0]): r[1] for r in j.sql(f"SELECT id, email FROM portfolio.users WHERE id IN ({a}, {b}, {c}, {d})")}
    text = f"address,user_id,kind,reason\n{address[b].upper()},,all,complaint\n,{c},weekly,manual\n,{d},monthly,unsubscribe\n"
    assert run(j.stack, "add", "--user", a, "--evidence", "a letter").returncode == 0
    done = run(j.stack, "import", "-", stdin=text)
    assert done.returncode == 0 and "added 3" in done.stdout, done.stderr
    assert "added 0, known already 3" in run(j.stack, "import", "-", stdin=text).stdout
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED")
    j.accounted(job)
    assert skipped(j, job) == {a, b, d}
    # b's account was erased; somebody registers the address again
    j.sql(f"UPDATE portfolio.users SET email = 'gone{b}@example.com' WHERE id = {b}")
    j.sql(f"UPDATE portfolio.users SET email = '{address[b]}' WHERE id = {c}")
    job = j.submit("monthly", "--request-id", "again")
    j.wait_state(job, "COMPLETED")
    assert skipped(j, job) == {a, c, d}
    # exported, lost, imported again
    exported = run(j.stack, "export").stdout
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert len(rows) == 4 and all(r["address"] == "" and "@" not in str(r) for r in rows)
    j.sql("TRUNCATE foliopost.suppressions")
    assert "added 4" in run(j.stack, "import", "-", stdin=exported).stdout
    assert run(j.stack, "remove", "--user", a).stdout.startswith("removed 1")
    job = j.submit("monthly", "--request-id", "third")
    j.wait_state(job, "COMPLETED")
    assert skipped(j, job) == {c, d}


def test_a_file_with_mistakes_imports_nothing_and_names_their_lines(new_stack, judge):
    j = judge(new_stack())
    text = ("user_id,reason,expires,evidence\n1,manual,,ok\n2,bounce,,\n\nx,manual,,\n3,manual,soon,\n4,manual,,wrote from a@b.org\n"
            '5,manual,,"a quote\n6,manual\n,manual,,\n7,manual,2030-01-01,"with, comma and ""quotes"""\n')
    done = run(j.stack, "import", "-", stdin=text)
    assert done.returncode == 2
    for line in ("line 3: reason is not", "line 5: user_id is not", "line 6: expires is not", "line 7: evidence holds an @",
                 "line 8: has a quote", "line 9: has not as many", "line 10: names neither", "nothing was imported"):
        assert line in done.stderr, done.stderr
    assert j.number("SELECT count(*) FROM foliopost.suppressions") == 0
    assert "is no column" in run(j.stack, "import", "-", stdin="user_id,colour\n1,red\n").stderr
    assert "names none of" in run(j.stack, "import", "-", stdin="reason\nmanual\n").stderr
    assert run(j.stack, "import", "-", stdin="").returncode == 2
    assert run(j.stack, "import", "/nonexistent").returncode == 2
    assert run(j.stack, "import").returncode == 2 and run(j.stack, "drop").returncode == 2
    good = "\n".join(["user_id,reason"] + [f"{i},manual" for i in range(1, 2502)])
    assert "added 2501" in run(j.stack, "import", "-", stdin=good).stdout
    lines = run(j.stack, "list", "--all", "--json").stdout.splitlines()
    assert len(lines) == 2501
    assert "more: --after" in run(j.stack, "list", "--limit", "10").stderr


def test_suppressed_between_paging_and_sending(new_stack, judge):
    """A batch waits at a slow rate in the mailer's hands; its users unsubscribe meanwhile."""
    j = judge(new_stack(mailer={"mail_rate": 2, "slots": 2}))
    job = j.submit("monthly")
    j.wait_sent(job, 2)
    j.sql("INSERT INTO foliopost.suppressions (user_id, reason) SELECT id, 'unsubscribe' FROM portfolio.users"
          f" WHERE id NOT IN (SELECT user_id FROM foliopost.deliveries WHERE job_id = {job})")
    j.wait_state(job, "COMPLETED", 90)
    counts = j.accounted(job)
    assert counts["sent"] < 30, counts
    assert len(skipped(j, job)) > 1000
