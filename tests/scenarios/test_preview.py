"""foliopost preview and send-test: the mail of a job, looked at and tried out before there is one."""
import email
import email.policy
import hashlib
import json
import os
import shutil
import subprocess

import pytest

WORD = "this-is-a-test"  # where a real link has its token


def call(stack, command, *args, **env):
    return subprocess.run([str(stack.binary("foliopost")), command, *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=150, env={**os.environ, **stack.env(), **env})


def read(path):
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


@pytest.fixture
def stack(new_stack):
    s = new_stack(start=False)
    s.options["mailer"] = {"transport": "maildir", "maildir": s.folder / "mail", "mail_rate": 0,
                           "unsubscribe_url": "https://unsubscribe.example.com", "token_key_file": s.token_keys(),
                           "reply_to": "help@example.com", "postal_address": "1 Street, Town"}
    s.start_services()
    return s


# The mailer's settings, as a container has them.
ENV = {"FOLIOPOST_FROM": "Foliopost <reports@example.com>", "FOLIOPOST_REPLY_TO": "help@example.com",
       "FOLIOPOST_UNSUBSCRIBE_URL": "https://unsubscribe.example.com", "FOLIOPOST_POSTAL_ADDRESS": "1 Street, Town",
       "FOLIOPOST_MESSAGE_HOST": "example.com"}


def test_a_preview_is_the_mail_of_the_job(stack, judge, tmp_path):
    j = judge(stack)
    users = list(range(40, 60))
    job = j.submit("monthly", "--user-ids", ",".join(map(str, users)))
    j.wait_state(job, "COMPLETED")
    mails = [read(p) for p in (stack.folder / "mail" / "new").iterdir()]
    assert len(mails) > 10
    said = {int(u): (v, c) for u, v, c in j.sql("SELECT user_id, encode(template_version, 'hex'), encode(content_hash, 'hex')"
                                                " FROM foliopost.deliveries WHERE content_hash IS NOT NULL")}
    assert len(said) == len(mails)
    templates = j.job(job)["template_hash"]
    for mail in mails:
        text = mail["Subject"] + "\n" + mail.get_body(("plain",)).get_content().replace("\r\n", "\n")
        version, content = said[int(mail["Message-ID"].split(".")[1])]
        assert content == hashlib.sha256(text.encode()).hexdigest()[:32]
        assert version == templates[:8]
    shown = stack.foliopost("deliveries", job, "--state", "sent", "--content").stdout
    assert all(content in shown and version in shown for version, content in said.values())
    before = j.number("SELECT count(*) FROM foliopost.deliveries")
    for mail in mails[:6]:
        user = mail["Message-ID"].split(".")[1]
        source = tmp_path / f"{user}.eml"
        done = call(stack, "preview", "--user", user, "--eml", "--out", source, **ENV)
        assert done.returncode == 0, done.stderr
        assert source.stat().st_mode & 0o777 == 0o600
        seen = read(source)
        for header in ("From", "Reply-To", "To", "Subject", "List-Id", "Content-Language"):
            assert seen[header] == mail[header]
        assert seen["List-Unsubscribe"] == f"<https://unsubscribe.example.com/u/{WORD}>"
        assert seen["Message-ID"].startswith(f"<0.{user}.")
        url = mail["List-Unsubscribe"].strip("<>")
        for kind in ("plain", "html"):
            ours, theirs = (m.get_body((kind,)).get_content() for m in (seen, mail))
            assert ours.replace(WORD, url.rsplit("/", 1)[1]) == theirs
        text = call(stack, "preview", "--user", user, **ENV).stdout
        assert text.startswith(f"Subject: {mail['Subject']}\n\n")
        assert text.split("\n\n", 1)[1] == seen.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert j.number("SELECT count(*) FROM foliopost.deliveries") == before
    said = json.loads(call(stack, "preview", "--user", user, "--json", **ENV).stdout)
    assert said["user_id"] == int(user) and said["subject"] == mail["Subject"] and said["html"].startswith("<!doctype html>")
    assert f"Subject: {said['subject']}\n\n{said['text']}" == text
    assert json.loads(call(stack, "preview", "--user", user, "--json", "--eml", **ENV).stdout)["source"].startswith("Date: ")
    page = call(stack, "preview", "--user", user, "--html", "--locale", "ja-JP", **ENV)
    assert '<html lang="ja"' in page.stdout
    assert "Foliopost" in call(stack, "preview", "--user", user, "--template", "plain", **ENV).stdout


def test_a_test_mail_reaches_its_address_alone_and_no_ledger(stack, judge, tmp_path):
    j = judge(stack)
    box = tmp_path / "box"
    done = call(stack, "send-test", "--user", 40, "--to", "me@example.org", "--transport", "maildir", "--maildir", box, **ENV)
    assert done.returncode == 0 and done.stdout.startswith("accepted by default (maildir)"), done.stderr
    mail, = (read(p) for p in (box / "new").iterdir())
    assert mail["To"].addresses[0].addr_spec == "me@example.org"
    assert mail["Subject"] != call(stack, "preview", "--user", 40, **ENV).stdout.splitlines()[0].removeprefix("Subject: ")
    assert mail["List-Unsubscribe"] == f"<https://unsubscribe.example.com/u/{WORD}>"
    assert not mail.defects and mail.get_body(("html",))
    for table in "deliveries", "jobs", "batches", "provider_rates", "delivery_events":
        where = " WHERE provider <> 'default'" if table == "provider_rates" else ""
        assert j.number(f"SELECT count(*) FROM foliopost.{table}{where}") == 0, table
    # over SMTP, through one of several providers
    config = tmp_path / "providers.conf"
    config.write_text(f"[kept]\ntransport = null\n[relay]\ntransport = smtp\nsmtp-url = smtp://{stack.smtp}\n")
    done = call(stack, "send-test", "--user", 40, "--to", "me@example.org", "--providers-file", config, "--through", "relay", **ENV)
    assert done.returncode == 0 and "accepted by relay (smtp)" in done.stdout, done.stderr
    assert stack.record.read_text().count("me@example.org") == 1
    done = call(stack, "send-test", "--user", 40, "--to", "me@b\u00fccher.example", "--json", "--transport", "maildir", "--maildir", box, **ENV)
    assert json.loads(done.stdout) == {"provider": "default", "transport": "maildir", "provider_id": json.loads(done.stdout)["provider_id"]}
    assert any(read(p)["To"].addresses[0].addr_spec == "me@xn--bcher-kva.example" for p in (box / "new").iterdir())


def test_what_is_wrong_is_said(stack, tmp_path):
    for command, args, code, words in [
        ("preview", ("--user", 40, "--html", "--eml"), 2, "at a time"),
        ("preview", ("--user", 40, "--template", "none"), 2, "--template"),
        ("preview", ("--user", 40, "--png", tmp_path / "x.png", "--browser", "/nowhere/chromium"), 4, "/nowhere/chromium"),
        ("preview", ("--user", 99999999), 5, "not in portfolio.users"),
        ("preview", ("--user", 1), 1, "unknown_currency"),
        ("preview", ("--user", 40, "--period", "2026"), 2, "--period"),
        ("preview", ("--user", 40, "--from", "nobody"), 2, "from"),
        ("send-test", ("--user", 40), 2, "--to"),
        ("send-test", ("--user", 40, "--to", "a@b.example\nBcc: c@d.example"), 2, "--to"),
        ("send-test", ("--user", 40, "--to", "a b@example.com"), 2, "--to"),
        ("send-test", ("--user", 40, "--to", "me@example.com", "--through", "ses", "--transport", "null"), 2, "--through"),
        ("send-test", ("--user", 40, "--to", "me@example.com", "--smtp-url", "smtp://127.0.0.1:1"), 4, "default (smtp)"),
    ]:
        done = call(stack, command, *args)
        assert done.returncode == code and words in done.stderr, (command, args, done)
        assert not done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_a_picture_is_as_wide_as_asked_and_as_high_as_the_page(stack, tmp_path):
    sizes = {}
    for width in 600, 360:
        path = tmp_path / f"{width}.png"
        done = call(stack, "preview", "--user", 40, "--png", path, "--width", width, "--dark", **ENV)
        assert done.returncode == 0, done.stderr
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG\r\n")
        sizes[width] = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    assert [sizes[w][0] for w in (600, 360)] == [600, 360]
    assert 1000 < sizes[600][1] < sizes[360][1] < 8000
