"""Wrong settings and a wrong environment: a message that says what to do, and
an exit or a process that lives on."""
import os
import re
import subprocess
import time

import pytest

from foliostack import ROOT, SERVICES


def run(stack, binary, *args, seconds=20):
    return subprocess.run([str(stack.binary(binary)), *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=seconds)


@pytest.fixture(scope="module")
def stack(server):
    from foliostack import Stack
    s = Stack(server.folder / "wrong", database="wrong")
    s.postgres = server
    server.sql("postgres", 'CREATE DATABASE "wrong" TEMPLATE seed')
    yield s
    server.sql("postgres", 'DROP DATABASE "wrong" WITH (FORCE)')


@pytest.mark.parametrize("service", SERVICES)
def test_help_shows_every_setting_with_its_default(stack, service):
    done, table = run(stack, f"foliopost-{service}", "--help"), run(stack, f"foliopost-{service}", "--help=markdown")
    assert done.returncode == table.returncode == 0
    rows = [line.split(" | ") for line in table.stdout.splitlines() if line.startswith("| `--")]
    assert len(rows) > 10
    for flag, _, default, bounds, _ in rows:
        name = flag.strip("|` ")
        shown = " ".join(re.search(rf"^  {name}(?= |$).*?(?=^  --|\Z)", done.stdout, re.M | re.S)[0].split())
        assert f"default {default.strip('` ') or 'none'}" in shown or default == "required" and "required" in shown, shown
        assert bounds.replace("\\|", "|").strip() in shown, shown


def test_the_page_of_settings_is_what_the_programs_say(stack):
    made = subprocess.run([ROOT / "script/settings"], capture_output=True, text=True, check=True,
                          env={**os.environ, "FOLIOPOST_BUILD": str(stack.build)})
    assert made.stdout == (ROOT / "docs/settings.md").read_text(), "run: script/settings >docs/settings.md"


@pytest.mark.parametrize("service, setting, value, told", [
    ("scheduler", "--batch-size", "0", ("batch-size", "0", "1", "200")),
    ("scheduler", "--batch-size", "many", ("batch-size", "many")),
    ("scheduler", "--max-jobs", "-1", ("max-jobs", "-1")),
    ("scheduler", "--range-start", "yesterday", ("range-start", "yesterday")),
    ("scheduler", "--rpc-listen", "ipc:///tmp/x", ("rpc-listen", "ipc")),
    ("userstream", "--work-from", "http://x", ("work-from", "http://x")),
    ("userstream", "--workers", "1000000", ("workers", "1000000")),
    ("stats", "--workers", "0", ("workers", "0")),
    ("mailer", "--mail-rate", "fast", ("mail-rate", "fast")),
    ("mailer", "--connections", "100000", ("connections", "100000")),
    ("mailer", "--transport", "pigeon", ("transport", "pigeon", "smtp")),
    ("mailer", "--from", "nobody", ("from", "nobody")),
    ("mailer", "--templates", "/nonexistent", ("/nonexistent",)),
    ("mailer", "--no-such-setting", "1", ("no-such-setting",)),
])
def test_a_wrong_setting_stops_the_start_with_its_name_and_value(stack, service, setting, value, told):
    done = run(stack, f"foliopost-{service}", "--ledger-dsn", stack.dsn, setting, value)
    assert done.returncode == 2, done.stderr
    for word in told:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_malformed_dsn_stops_the_start(stack, service):
    done = run(stack, f"foliopost-{service}", "--ledger-dsn", "host=127.0.0.1 prot=1", "--admin-listen", "127.0.0.1:0")
    assert done.returncode == 2 and "ledger-dsn" in done.stderr and "prot" in done.stderr


def test_a_malformed_template_is_named_with_line_and_column(stack, tmp_path):
    (tmp_path / "statement.subject").write_text("Your portfolio")
    (tmp_path / "statement.txt").write_text("Hello\n{{#gain}\n")
    (tmp_path / "statement.html").write_text("<p>Hello</p>")
    done = run(stack, "foliopost-mailer", "--ledger-dsn", stack.dsn, "--templates", tmp_path)
    assert done.returncode == 2 and "statement.txt:2:" in done.stderr


def waits_unready(stack, service, dsn, *words):
    """The service lives, is not ready, and its log says what to do."""
    process = stack.processes.get("waiting1")
    from foliostack import Process, free_port
    import urllib.error
    import urllib.request
    ports = {"admin": free_port()}
    flags = [stack.binary(f"foliopost-{service}"), "--ledger-dsn", dsn, "--admin-listen", f"127.0.0.1:{ports['admin']}"]
    if service != "mailer":
        flags += ["--source-dsn", dsn]
    process = Process("waiting", stack.folder, flags, ports=ports).start()
    try:
        end = time.monotonic() + 15
        answer = ""
        while time.monotonic() < end:
            assert process.alive(), process.log_tail()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{ports['admin']}/readyz", timeout=2)
                raise AssertionError("ready without a ledger")
            except urllib.error.HTTPError as e:
                answer = e.read().decode()
                if all(w in answer for w in words):
                    break
            except OSError:
                pass
            time.sleep(0.1)
        assert all(w in answer for w in words), f"{answer!r}\n{process.log_tail()}"
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['admin']}/livez", timeout=2) as live:
            assert live.status == 200
    finally:
        process.stop(40)
    assert process.exit_code() == 0


def test_an_unknown_database_is_named(stack):
    waits_unready(stack, "userstream", stack.postgres.dsn("no_such_database"), "no_such_database")


def test_a_server_that_is_not_there_is_named(stack):
    waits_unready(stack, "stats", "host=127.0.0.1 port=1 user=x dbname=y", "127.0.0.1", "1")


def test_a_missing_schema_says_what_to_run(stack):
    stack.postgres.sql("postgres", 'CREATE DATABASE "empty"')
    try:
        waits_unready(stack, "mailer", stack.postgres.dsn("empty"), "foliopost migrate")
    finally:
        stack.postgres.sql("postgres", 'DROP DATABASE "empty" WITH (FORCE)')


def test_doctor_finds_a_missing_index_and_says_how_to_make_it(stack):
    fine = stack.foliopost("doctor", check=False)
    assert fine.returncode == 0, fine.stdout + fine.stderr
    stack.postgres.sql("wrong", "DROP INDEX portfolio.users_created_at_id")
    broken = stack.foliopost("doctor", check=False)
    assert broken.returncode != 0
    assert "CREATE" in broken.stdout and "INDEX" in broken.stdout and "created_at" in broken.stdout


def test_the_command_line_says_when_nobody_answers(stack):
    done = run(stack, "foliopost", "jobs", "--rpc", "tcp://127.0.0.1:1", "--timeout", "2s")
    assert done.returncode not in (0, 2) and "127.0.0.1:1" in done.stderr and "UNAVAILABLE" in done.stderr


def test_a_plain_door_is_refused_to_who_names_a_ca(stack):
    done = run(stack, "foliopost", "jobs", "--rpc", "tcp://127.0.0.1:1", "--bus-ca-file", "ca.pem")
    assert done.returncode == 2 and "tls+tcp://" in done.stderr and "--bus-ca-file" in done.stderr


def test_an_unknown_job_is_not_found(new_stack):
    s = new_stack()
    done = s.foliopost("status", "424242", check=False)
    assert done.returncode != 0 and "NOT_FOUND" in done.stderr and "424242" in done.stderr
    wrong = s.foliopost("status", "twelve", check=False)
    assert wrong.returncode == 2 and "twelve" in wrong.stderr
