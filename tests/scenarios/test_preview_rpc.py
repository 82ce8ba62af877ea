"""PreviewEmail and SendTest: one user's mail by way of the scheduler, which may neither read figures nor send."""
import email
import email.policy
import hashlib
import json
import os
import subprocess
import threading
import time

import pytest

from test_grpc import Client, channel_of, code, pb  # noqa: F401
from test_preview import ENV, WORD, call, read
from test_roles import as_role, give_roles

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")
SERVICES = ("scheduler", "userstream", "stats", "mailer")


def remote(stack, command, *args):
    """The scheduler alone is asked: no database, no setting of the mailer."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FOLIOPOST_")}
    rpc = stack.env()["FOLIOPOST_RPC"]
    return subprocess.run([str(stack.binary("foliopost")), command, "--remote", "--rpc", rpc, *map(str, args)], env=env,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.fixture
def stack(new_stack):
    s = new_stack(start=False)
    s.options["mailer"] = {"transport": "maildir", "maildir": s.folder / "mail", "mail_rate": 0,
                           "unsubscribe_url": "https://unsubscribe.example.com", "token_key_file": s.token_keys(),
                           "reply_to": "help@example.com", "postal_address": "1 Street, Town"}
    give_roles(s)
    for service in SERVICES:
        s.options.setdefault(service, {})["ledger_dsn"] = as_role(s, service)
        if service != "mailer":
            s.options[service]["source_dsn"] = as_role(s, service)
    s.start_services()
    return s


def logs(stack):
    return "".join(p.log.read_text(errors="replace") for s in SERVICES for p in stack.of(s))


def lend(j, *services):
    """Instances that have a lease and do nothing, for a while."""
    for service in services:
        j.sql("INSERT INTO foliopost.instances (id, service, address, version, slots, lease_until) VALUES"
              f" (gen_random_uuid(), '{service}', '', '0', 1, clock_timestamp() + interval '18 s')")


def test_the_mail_of_a_job_is_seen_and_tried_at_the_grpc_door(stack, judge, pb):  # noqa: F811
    j = judge(stack)
    job = j.submit("monthly", "--user-ids", "40,41")
    j.wait_state(job, "COMPLETED")
    mails = {int(m["Message-ID"].split(".")[1]): m for m in map(read, (stack.folder / "mail" / "new").iterdir())}
    user = min(mails)
    said = j.sql(f"SELECT encode(template_version, 'hex'), encode(content_hash, 'hex') FROM foliopost.deliveries WHERE user_id = {user}")[0]
    before = {t: j.sql(f"SELECT * FROM foliopost.{t}") for t in ("deliveries", "jobs", "batches", "intervals", "delivery_events", "checkpoints")}
    with channel_of(stack) as channel:
        c = Client(pb, channel)
        seen = c.PreviewEmail(pb.jobs.PreviewEmailRequest(user_id=user))
        sent, mail = mails[user], email.message_from_bytes(seen.source, policy=email.policy.default)
        assert seen.subject == sent["Subject"] == mail["Subject"]
        assert seen.template_version == said[0]
        assert hashlib.sha256((seen.subject + "\n" + seen.text.decode()).encode()).hexdigest()[:32] == seen.content_hash
        assert seen.size_bytes == len(seen.source) and b"\r\n" in seen.source
        assert mail["To"] == sent["To"] and mail["Message-ID"].startswith(f"<0.{user}.") and WORD in mail["List-Unsubscribe"]
        assert seen.html.startswith(b"<!doctype html>") and seen.remark == ""
        assert seen.period_start[8:] == "01" and seen.period_end > seen.period_start
        japanese = c.PreviewEmail(pb.jobs.PreviewEmailRequest(user_id=user, locale="ja-JP", template_name="plain"))
        assert japanese.content_hash != seen.content_hash
        # a test mail
        box = stack.folder / "mail" / "new"
        old = set(box.iterdir())
        done = c.SendTest(pb.jobs.SendTestRequest(mail=pb.jobs.PreviewEmailRequest(user_id=user), to="me@b\u00fccher.example"))
        assert (done.provider, done.transport, done.template_version) == ("default", "maildir", said[0])
        test, = (read(p) for p in set(box.iterdir()) - old)
        assert test["To"].addresses[0].addr_spec == "me@xn--bcher-kva.example"
        assert test["Subject"] != seen.subject and seen.subject in test["Subject"] and WORD in test["List-Unsubscribe"]
        # what is refused
        P, S = pb.jobs.PreviewEmailRequest, pb.jobs.SendTestRequest
        for request, expected, words in [
            (P(user_id=99999999), "NOT_FOUND", "portfolio.users"), (P(user_id=1), "FAILED_PRECONDITION", "unknown_currency"),
            (P(user_id=0), "INVALID_ARGUMENT", "user_id"), (P(user_id=user, template_name="none"), "INVALID_ARGUMENT", "template_name"),
            (P(user_id=user, template_name="../x"), "INVALID_ARGUMENT", "template_name"),
            (P(user_id=user, period_start="2026"), "INVALID_ARGUMENT", "period_start"), (P(user_id=user, time_zone="Mars/Base"), "INVALID_ARGUMENT", "time_zone"),
            (P(user_id=user, as_of_us=2**52), "INVALID_ARGUMENT", "as_of_us"), (P(user_id=user, period_start="2126-01-01", period_end="2126-01-31"), "INVALID_ARGUMENT", "period_end"),
            (S(mail=P(user_id=user), to="a@b.example\nBcc: x@y.example"), "INVALID_ARGUMENT", "to"), (S(mail=P(user_id=user), to="nobody"), "INVALID_ARGUMENT", "to"),
            (S(to="a@b.example"), "INVALID_ARGUMENT", "mail"), (S(mail=P(user_id=user), to="a@b.example", provider="none"), "INVALID_ARGUMENT", "provider"),
        ]:
            with pytest.raises(grpc.RpcError) as e:
                (c.PreviewEmail if isinstance(request, P) else c.SendTest)(request)
            assert (e.value.code().name, words in e.value.details()) == (expected, True), (request, e.value)
        j.sql("INSERT INTO foliopost.suppressions (user_id, scope, reason, source) VALUES (%d, 'all', 'complaint', 'test')" % user)
        assert "suppressed" in c.PreviewEmail(P(user_id=user)).remark
    for table, rows in before.items():
        assert j.sql(f"SELECT * FROM foliopost.{table}") == rows, table
    # nothing is left but who asked
    assert j.number("SELECT count(*) FROM foliopost.previews") == 0
    lines = j.sql("SELECT action, detail FROM foliopost.audit WHERE action IN ('preview', 'send_test') ORDER BY id")
    assert ["preview", f"user {user}"] in lines
    assert any(a == "send_test" and d.startswith(f"user {user} to somebody at xn--bcher-kva.example, call ") for a, d in lines)
    text = logs(stack)
    assert "permission denied" not in text
    address = mails[user]["To"].addresses[0].addr_spec
    for secret in (address, "me@", seen.subject, mails[user]["To"].addresses[0].display_name or address):
        assert secret not in text, secret
    assert j.number("SELECT count(*) FROM pg_class WHERE relname = 'previews' AND relpersistence = 'u'") == 1


def test_the_command_line_asks_the_scheduler_alone(stack, tmp_path):
    by_databases = json.loads(call(stack, "preview", "--user", 40, "--json", **ENV).stdout)
    done = remote(stack, "preview", "--user", 40, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == by_databases
    assert remote(stack, "preview", "--user", 40).stdout == f"Subject: {by_databases['subject']}\n\n{by_databases['text']}"
    assert remote(stack, "preview", "--user", 40, "--html").stdout == by_databases["html"]
    eml = tmp_path / "mail.eml"
    assert remote(stack, "preview", "--user", 40, "--eml", "--out", eml).returncode == 0
    assert eml.stat().st_mode & 0o777 == 0o600 and read(eml)["Subject"] == by_databases["subject"]
    month = remote(stack, "preview", "--user", 40, "--period", "2026-09", "--as-of", "2026-10-05")
    assert month.returncode == 0 and "2026" in month.stdout, month.stderr
    done = remote(stack, "send-test", "--user", 40, "--to", "me@example.org")
    assert done.returncode == 0 and done.stdout.startswith("accepted by default (maildir): "), done.stderr
    for args, exit_code, words in [(("preview", "--user", 40, "--benchmarks", "EUR=1"), 2, "--benchmarks"), (("preview",), 2, "--user"),
                                   (("preview", "--user", 99999999), 5, "user_id"), (("send-test", "--user", 40), 2, "to"),
                                   (("send-test", "--user", 40, "--to", "me@example.com", "--through", "x"), 2, "provider")]:
        done = remote(stack, *args)
        assert (done.returncode, words in done.stderr, done.stdout) == (exit_code, True, ""), done


def test_without_stats_or_mailers_the_call_says_who_is_missing(new_stack, judge, pb):  # noqa: F811
    stack = new_stack(start=False)
    stack.start_services(userstream=0, stats=0, mailer=0)
    j, request = judge(stack), pb.jobs.PreviewEmailRequest(user_id=40)
    with channel_of(stack) as channel:
        c = Client(pb, channel)

        def refused(timeout=20):
            with pytest.raises(grpc.RpcError) as e:
                c.PreviewEmail(request, timeout=timeout)
            return e.value.code().name, e.value.details()

        assert refused() == ("UNAVAILABLE", "no stats is alive to compute the figures")
        stats = stack.start_service("stats", users_from="tcp://127.0.0.1:1")
        stack.wait_ready(stats)
        assert refused() == ("UNAVAILABLE", "no mailer is alive to write the mail")
        # both have a lease, and neither works: an old version, say
        lend(j, "mailer")
        begun = time.monotonic()
        name, why = refused(3)
        assert name == "UNAVAILABLE" and "no mailer took it up" in why and time.monotonic() - begun < 3
        assert j.number("SELECT count(*) FROM foliopost.previews") == 0


def test_an_answer_is_not_trusted_and_none_outlives_its_call(new_stack, judge, pb):  # noqa: F811
    stack = new_stack(start=False)
    stack.start_services(userstream=0, stats=0, mailer=0)
    j = judge(stack)
    good = pb.jobs.PreviewEmailResponse(subject="s", text=b"t").SerializeToString()
    reply = pb.jobs.RpcReply
    answers = [(b"", "INTERNAL"), (b"\xff" * 1000, "INTERNAL"), (os.urandom(50000), "INTERNAL"),
               (reply(schema_version=1, code=99, message="x").SerializeToString(), "INTERNAL"),
               (reply(schema_version=1, code=-1).SerializeToString(), "INTERNAL"),
               (reply(schema_version=1, payload=b"\x0a\x05ab").SerializeToString(), "INTERNAL"),
               (reply(schema_version=1, payload=pb.jobs.PreviewEmailResponse(subject="a\r\nb").SerializeToString()).SerializeToString(), "INTERNAL"),
               (reply(schema_version=1, payload=pb.jobs.PreviewEmailResponse(html=b"x" * 1045000).SerializeToString()).SerializeToString(), "RESOURCE_EXHAUSTED"),
               (reply(schema_version=1, code=9, message="no").SerializeToString(), "FAILED_PRECONDITION"),
               (reply(schema_version=1, payload=good).SerializeToString(), "OK")]

    def sql_of(answer):  # a long tail of x need not fit into psql's arguments
        head = answer.rstrip(b"x")
        return f"decode('{head.hex()}' || repeat('78', {len(answer) - len(head)}), 'hex')"
    with channel_of(stack) as channel:
        c = Client(pb, channel)
        for answer, expected in answers:
            lend(j, "stats", "mailer") # anew, for the last ones' time may be over
            got = []

            def ask():
                try:
                    got.append(c.PreviewEmail(pb.jobs.PreviewEmailRequest(user_id=40), timeout=10))
                except grpc.RpcError as e:
                    got.append(e)
            thread = threading.Thread(target=ask)
            thread.start()
            while not j.sql(f"UPDATE foliopost.previews SET state = 'answered', answer = {sql_of(answer)} RETURNING id"):
                assert thread.is_alive(), got
                time.sleep(0.02)
            thread.join(20)
            assert (got[0].code().name if isinstance(got[0], grpc.RpcError) else "OK") == expected, (answer[:20], got)
            assert j.number("SELECT count(*) FROM foliopost.previews") == 0
        # nobody who waited was the last to know: the sweep takes what a scheduler that died left
        j.sql("INSERT INTO foliopost.previews (id, expires_at) VALUES (gen_random_uuid(), clock_timestamp() + interval '1 s')")
        until = time.monotonic() + 20
        while j.number("SELECT count(*) FROM foliopost.previews"):
            assert time.monotonic() < until
            time.sleep(0.1)
        lend(j, "stats", "mailer")
        # many at once: the door keeps half of its threads for others
        calls = [c._call("PreviewEmail", "unary_unary").future(pb.jobs.PreviewEmailRequest(user_id=40), timeout=4) for _ in range(8)]
        assert c.ListJobs(pb.jobs.ListJobsRequest(), timeout=3) is not None
        codes = sorted(f.code().name for f in calls)
        assert codes.count("RESOURCE_EXHAUSTED") == 6 and codes.count("UNAVAILABLE") == 2


def test_tests_go_to_their_domains_and_not_by_the_hundred(new_stack, judge, pb, tmp_path):  # noqa: F811
    stack = new_stack(start=False)
    stack.start_services(scheduler=0, userstream=0, stats=0, mailer=0)
    process = stack.start_service("scheduler", test_domains="example.com, example.org")
    stack.wait_ready(process)
    j = judge(stack)
    lend(j, "stats", "mailer")
    with grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}") as channel:
        c = Client(pb, channel)

        def test(to):
            return code(lambda: c.SendTest(pb.jobs.SendTestRequest(mail=pb.jobs.PreviewEmailRequest(user_id=40), to=to), timeout=1)).name

        assert test("me@elsewhere.example") == "PERMISSION_DENIED"
        assert test("me@Example.org") == "UNAVAILABLE"
        j.sql("INSERT INTO foliopost.audit (actor, action) SELECT 'x', 'send_test' FROM generate_series(1, 29)")
        assert test("me@example.com") == "RESOURCE_EXHAUSTED"
        j.sql("UPDATE foliopost.audit SET at = at - interval '2 minutes'")
        assert test("me@example.com") == "UNAVAILABLE"
