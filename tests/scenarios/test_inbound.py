"""What the world sends: unsubscriptions, bounces, complaints; and what it
should not. Tokens and signatures are made here by other implementations."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from test_roles import as_role, give_roles

TOPIC = "arn:aws:sns:eu-west-1:123456789012:foliopost"
CERT = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-abc.pem"
UNSUBSCRIBE, BOUNCE = 1, 2


def token(stack, purpose, job, user, kind=2):
    key_id, secret = stack.token_keys().read_text().splitlines()[0].split(":", 1)
    number = lambda n: n.to_bytes((n.bit_length() + 7) // 8, "big")  # noqa: E731
    head = bytes([purpose << 4 | kind, int(key_id), len(number(job)) << 4 | len(number(user))]) + number(job) + number(user)
    return base64.b32encode(head + hmac.digest(secret.encode(), head, "sha256")[:16]).decode().lower().rstrip("=")


class World:
    def __init__(self, stack, **settings):
        self.stack = stack
        give_roles(stack) # as it is run: what it may not, fails here
        self.process = stack.start_inbound(**{"ledger_dsn": as_role(stack, "inbound"), **settings})

    def ask(self, method, path, body=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.process.ports["http"], timeout=20)
        try:
            c.request(method, path, body=body, headers=headers)
            r = c.getresponse()
            return r.status, r.read().decode(), dict(r.getheaders())
        finally:
            c.close()

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, **headers)[0]

    def sql(self, text):
        return self.stack.postgres.sql(self.stack.database, text)

    def events(self):
        return [tuple(r) for r in self.sql("SELECT job_id, user_id, event, provider FROM foliopost.delivery_events ORDER BY id")]

    def suppressed(self):
        return {(int(u), r) for u, r in self.sql("SELECT user_id, reason FROM foliopost.suppressions")}

    def counted(self, what):
        text = self.stack.metrics(self.process)
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f'foliopost_inbound_total{{what="{what}"}}'))


# --- one click ---------------------------------------------------------------------------


def test_one_click_ends_the_mails_and_looking_does_not(new_stack, judge):
    j = judge(new_stack())
    w = World(j.stack)
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED")
    user, other = [int(r[0]) for r in j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent' ORDER BY 1 LIMIT 2")]
    path = "/u/" + token(j.stack, UNSUBSCRIBE, job, user)
    for _ in range(3):
        status, page, headers = w.ask("GET", path)
        assert status == 200 and '<form method="post">' in page and 'lang="en"' in page and "<h1>" in page
        assert "Set-Cookie" not in headers and headers["Cache-Control"] == "no-store"
    assert w.ask("HEAD", path)[0] == 405 and w.ask("PUT", path, "x")[0] == 405
    assert w.post(path, "something=else") == 400 and w.post(path, "") == 400
    assert w.events() == [] and w.suppressed() == set()
    for body in ("List-Unsubscribe=One-Click", "List-Unsubscribe=One-Click",
                 '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'):
        status, page, headers = w.ask("POST", path, body, **{"Content-Type": "application/x-www-form-urlencoded"})
        assert status == 200 and "unsubscribed" in page and "Location" not in headers and "Set-Cookie" not in headers
    assert w.post(path.upper().replace("/U/", "/u/"), "List-Unsubscribe=One-Click") == 200
    assert w.events() == [(str(job), str(user), "unsubscribed", "one-click")]
    assert w.suppressed() == {(user, "unsubscribe")}
    assert j.number("SELECT count(*) FROM foliopost.suppressions WHERE address_hash IS NOT NULL AND scope = 'monthly'") == 1
    # forged, for another purpose, damaged
    good = token(j.stack, UNSUBSCRIBE, job, other)
    swapped = good[:-2] + ("a" if good[-2] != "a" else "b") + good[-1]
    for bad in (swapped, token(j.stack, BOUNCE, job, other), good[:-1], good + "a", "", "x" * 5000, "%00", "../../etc/passwd"):
        assert w.post("/u/" + bad, "List-Unsubscribe=One-Click") in (400, 403, 404, 414, 431), bad
    assert w.counted("forged") >= 1 and w.suppressed() == {(user, "unsubscribe")}
    job = j.submit("monthly", "--request-id", "next")
    j.wait_state(job, "COMPLETED")
    j.accounted(job)
    assert j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {job} AND reason = 'suppressed'") == [[str(user)]]
    log = w.process.log.read_text()
    assert good not in log and "@" not in log


def test_a_kind_can_be_ended_alone_and_a_rotated_key_goes_on(new_stack):
    stack = new_stack(start=False)
    w = World(stack) # a kind alone is the default, as the mails' link says
    old = token(stack, UNSUBSCRIBE, 3, 4, kind=1)
    for link, words in ((old, "your weekly report is not"), (token(stack, UNSUBSCRIBE, 3, 4, kind=3), "this kind of report is not"),
                        (token(stack, UNSUBSCRIBE, 3, 4, kind=0), "no report is mailed to you any more, of whatever kind")):
        assert words in w.ask("GET", "/u/" + link)[1]
    stack.token_keys().write_text("7:" + "n" * 40 + "\n" + stack.token_keys().read_text())
    time.sleep(1.3)
    status, page, _ = w.ask("POST", "/u/" + old, "List-Unsubscribe=One-Click", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 200 and "your weekly report is not mailed to you any more. Reports of other kinds are not" in page
    assert w.post("/u/" + token(stack, UNSUBSCRIBE, 3, 5, kind=2), "List-Unsubscribe=One-Click") == 200
    assert w.sql("SELECT user_id, scope FROM foliopost.suppressions ORDER BY 1") == [["4", "weekly"], ["5", "monthly"]]
    stack.token_keys().write_text("7:" + "n" * 40 + "\n")
    time.sleep(1.3)
    assert w.post("/u/" + old, "List-Unsubscribe=One-Click") == 403


# --- SES by SNS ----------------------------------------------------------------------------


class Sns:
    def __init__(self, folder):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.datetime.utcnow()
        self.folder = folder
        folder.mkdir()
        for file, begin, end in (("SimpleNotificationService-abc.pem", -1, 1), ("old.pem", -9, -1)):
            cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key()).serial_number(1)
                    .not_valid_before(now + datetime.timedelta(days=begin)).not_valid_after(now + datetime.timedelta(days=end))
                    .sign(self.key, hashes.SHA256()))
            (folder / file).write_bytes(cert.public_bytes(serialization.Encoding.PEM))

    def message(self, event, version="1", message_id="m-1", **more):
        m = {"Type": "Notification", "MessageId": message_id, "TopicArn": TOPIC, "Message": event if isinstance(event, str) else json.dumps(event),
             "Timestamp": "2026-11-01T12:00:00.000Z", "SignatureVersion": version, "SigningCertURL": CERT, **more}
        fields = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        if m["Type"] != "Notification":
            fields = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{f}\n{m[f]}\n" for f in fields if f in m).encode()
        m["Signature"] = base64.b64encode(self.key.sign(text, padding.PKCS1v15(), hashes.SHA1() if version == "1" else hashes.SHA256())).decode()
        return m


def ses_event(kind, job, user, source="bounce@example.com", **particulars):
    return {"eventType": kind, "mail": {"source": source, "tags": {"foliopost-job": [str(job)], "foliopost-user": [str(user)]}},
            kind[0].lower() + kind[1:]: {"timestamp": "2026-11-01T12:00:00.000Z", **particulars}}


@pytest.fixture
def ses(new_stack):
    stack = new_stack(start=False)
    sns = Sns(stack.folder / "certs")
    return World(stack, ses_topics=f"arn:aws:sns:us-east-1:1:x,{TOPIC}", sns_certificate_folder=sns.folder), sns


def test_ses_events_are_kept_once_and_suppress_what_is_final(ses):
    w, sns = ses
    post = lambda m: w.post("/ses", json.dumps(m), **{"Content-Type": "text/plain"})  # noqa: E731
    hard = ses_event("Bounce", 7, 3, bounceType="Permanent", bounceSubType="General",
                     bouncedRecipients=[{"emailAddress": "ann@example.org", "status": "5.1.1", "diagnosticCode": "smtp; 550 ann@example.org"}])
    for _ in range(2):
        assert post(sns.message(ses_event("Delivery", 7, 1), "1", "a")) == 200
        assert post(sns.message(ses_event("Bounce", 7, 2, bounceType="Transient", bounceSubType="MailboxFull"), "2", "b")) == 200
        assert post(sns.message(hard, "2", "c", Subject="Amazon SES Email Event Notification")) == 200
        assert post(sns.message(ses_event("Complaint", 7, 4, complaintFeedbackType="abuse"), "2", "d")) == 200
    assert w.events() == [("7", "1", "delivered", "ses"), ("7", "2", "bounced", "ses"), ("7", "3", "bounced", "ses"), ("7", "4", "complained", "ses")]
    assert w.suppressed() == {(3, "hard_bounce"), (4, "complaint")}
    assert w.sql("SELECT detail FROM foliopost.delivery_events WHERE user_id = 3") == [["Permanent General 5.1.1"]]
    # the envelope sender's token says more than the tags; a forged one is refused
    tagged = ses_event("Delivery", 99, 99)
    tagged["mail"]["tags"]["foliopost-token"] = [token(w.stack, BOUNCE, 7, 8)]
    assert post(sns.message(tagged, "2", "tagged")) == 200
    assert ("7", "8", "delivered", "ses") in w.events()
    good = token(w.stack, BOUNCE, 7, 8)
    tagged["mail"]["tags"]["foliopost-token"] = [good[:20] + ("a" if good[20] != "a" else "b") + good[21:]]
    assert post(sns.message(tagged, "2", "forged")) in (400, 403)
    by_token = ses_event("Delivery", 99, 99, source=f"bounce+{token(w.stack, BOUNCE, 7, 5)}@b.example.com")
    assert post(sns.message(by_token, "2", "e")) == 200
    assert ("7", "5", "delivered", "ses") in w.events()
    assert post(sns.message(ses_event("Delivery", 7, 6, source="bounce+" + "a" * 40 + "@b.example.com"), "2", "f")) in (400, 403)
    # what is not for us
    for event in (ses_event("Open", 7, 1), ses_event("Delivery", 0, 1), {"mail": {}}, "not json", "[" * 9000, {"eventType": 5}):
        assert post(sns.message(event, "2", "g")) == 200
    assert len(w.events()) == 6


def test_ses_messages_that_sns_did_not_sign_for_us_are_refused(ses):
    w, sns = ses
    event = ses_event("Complaint", 7, 1)
    good = sns.message(event, "2")
    post = lambda m: w.post("/ses", m if isinstance(m, (str, bytes)) else json.dumps(m))  # noqa: E731
    stranger = Sns(w.stack.folder / "others").message(event, "2")
    for bad in ({**good, "Message": json.dumps(ses_event("Complaint", 7, 2))}, {**good, "MessageId": "m-2"}, {**good, "Signature": "AAAA"},
                {**good, "Signature": ""}, {**good, "SignatureVersion": "1"}, {**good, "SignatureVersion": "3"}, stranger,
                sns.message(event, "2", TopicArn="arn:aws:sns:eu-west-1:666:foliopost"),
                sns.message(event, "2", TopicArn=TOPIC[:-1]), sns.message(event, "2", TopicArn=TOPIC + ",arn"),
                sns.message(event, "2", SigningCertURL=CERT.replace("abc.pem", "none.pem")),
                sns.message(event, "2", SigningCertURL="https://sns.eu-west-1.amazonaws.com/old.pem"),
                sns.message(event, "2", SigningCertURL=CERT.replace("amazonaws.com", "amazonaws.com.evil.example")),
                sns.message(event, "2", SigningCertURL=CERT.replace("eu-west-1", "us-east-1")),
                sns.message(event, "2", SigningCertURL=CERT.replace("https", "http")),
                {**good, "Type": "SubscriptionConfirmation"}):
        assert post(bad) == 403, bad
    for bad in ("", "x", "[]", "{}", "[" * 500000, '{"Type": ' * 100000, b"\xff\xfe\x00", json.dumps({**good, "Type": 7})):
        assert post(bad) == 400, bad[:20]
    confirmation = sns.message("confirm", "2", Type="SubscriptionConfirmation", Token="t", SubscribeURL="https://evil.example/")
    assert post(confirmation) == 403
    assert w.events() == [] and w.suppressed() == set()
    assert post(good) == 200 and w.suppressed() == {(1, "complaint")}


# --- SendGrid -----------------------------------------------------------------------------------


def test_sendgrid_events_are_kept_when_signed_and_young(new_stack):
    stack = new_stack(start=False)
    key = ec.generate_private_key(ec.SECP256R1())
    file = stack.folder / "sendgrid.key"
    stack.folder.mkdir(parents=True, exist_ok=True)
    file.write_text(base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).decode() + "\n")
    w = World(stack, sendgrid_key_file=file, sendgrid_max_age="1h")

    def post(events, at=None, by=key, body=None):
        body = json.dumps(events).encode() if body is None else body
        at = str(int(at or time.time()))
        signature = base64.b64encode(by.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
        return w.post("/sendgrid", body, **{"X-Twilio-Email-Event-Webhook-Signature": signature, "X-Twilio-Email-Event-Webhook-Timestamp": at})

    def event(kind, user, key_, **more):
        return {"event": kind, "sg_event_id": key_, "timestamp": int(time.time()), "email": "ann@example.org", "foliopost_job": "9", "foliopost_user": str(user), **more}

    batch = [event("processed", 1, "p"), event("delivered", 1, "a"), event("bounce", 2, "b", type="bounce", status="5.1.1", reason="550 ann@example.org"),
             event("bounce", 3, "c", type="blocked", status="5.7.1"), event("spamreport", 4, "d"), event("dropped", 5, "e", reason="Unsubscribed Address"),
             {"event": "delivered", "sg_event_id": "foreign", "timestamp": 1}, event("delivered", 0, "f"), event("delivered", 1, ""), 5, None, event("delivered", 1, "a")]
    for _ in range(2):
        assert post(batch) == 200
    assert w.events() == [("9", "1", "delivered", "sendgrid"), ("9", "2", "bounced", "sendgrid"), ("9", "3", "bounced", "sendgrid"),
                          ("9", "4", "complained", "sendgrid"), ("9", "5", "bounced", "sendgrid")]
    assert w.suppressed() == {(2, "hard_bounce"), (4, "complaint"), (5, "unsubscribe")}
    assert w.sql("SELECT count(*) FROM foliopost.delivery_events WHERE detail LIKE '%@%'") == [["0"]]
    more = [event("spamreport", 8, "z")]
    assert post(more, at=time.time() - 7200) == 403 and post(more, at=time.time() + 7200) == 403
    assert post(more, by=ec.generate_private_key(ec.SECP256R1())) == 403
    assert w.post("/sendgrid", json.dumps(more)) == 403
    assert w.post("/sendgrid", json.dumps(more), **{"X-Twilio-Email-Event-Webhook-Signature": "AAAA", "X-Twilio-Email-Event-Webhook-Timestamp": "x"}) == 403
    for body in (b"", b"{}", b"[", b"[" * 300000, b"\x00", json.dumps([{}] * 5001).encode()):
        assert post(None, body=body) == 400
    assert len(w.events()) == 5
    assert w.post("/ses", "{}") == 404


# --- a Maildir -------------------------------------------------------------------------------------


def dsn(to, action="failed", status="5.1.1", extra=""):
    return (f"Return-Path: <>\nDelivered-To: {to}\nFrom: MAILER-DAEMON@mx.example.org\nTo: {to}\nSubject: Undelivered\nMIME-Version: 1.0\n"
            f"Content-Type: multipart/report; report-type=delivery-status; boundary=b1\n\n--b1\n\nSorry, ann@example.org.\n{extra}\n"
            f"--b1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
            f"Final-Recipient: rfc822; ann@example.org\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; 550 ann@example.org unknown\n\n"
            f"--b1\nContent-Type: text/rfc822-headers\n\nSubject: your report\n\n--b1--\n")


def arf(sender, kind="abuse"):
    return (f"From: fbl@yahoo.example\nTo: abuse@example.com\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; boundary=b2\n\n"
            f"--b2\n\nA complaint.\n--b2\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: x/1\nVersion: 1\nOriginal-Mail-From: <{sender}>\n\n"
            f"--b2\nContent-Type: message/rfc822\n\nReturn-Path: <{sender}>\nSubject: your report\n\nhello\n--b2--\n")


def test_bounces_and_complaints_are_read_from_a_maildir(new_stack):
    stack = new_stack(start=False)
    box = stack.folder / "Maildir"
    for folder in ("new", "cur", "tmp"):
        (box / folder).mkdir(parents=True)
    w = World(stack, maildir=box, maildir_poll="100ms")
    verp = lambda user: f"bounce+{token(stack, BOUNCE, 12, user)}@b.example.com"  # noqa: E731
    forged = verp(1).replace("+" + token(stack, BOUNCE, 12, 1)[:12], "+" + token(stack, BOUNCE, 13, 1)[:12])
    mails = {"1.hard": dsn(verp(1)), "1.again": dsn(verp(1)), "2.policy": dsn(verp(2), status="5.7.1"), "3.delayed": dsn(verp(3), "delayed", "4.4.1"),
             "4.complaint": arf(verp(4)), "5.notspam": arf(verp(5), "not-spam"), "6.forged": dsn(forged), "7.reply": f"To: {verp(7)}\nSubject: I am away\n\nback soon\n",
             "8.crlf": dsn(verp(8).upper().replace("BOUNCE", "bounce")).replace("\n", "\r\n"), "9.garbage": "\xff\xfe\x00" * 500, "a.empty": "",
             "b.huge": dsn(verp(9), extra="x" * 300000), "c.optout": arf(verp(10), "opt-out-list"),
             "i.domain": dsn(verp(21), status="5.1.2"), "j.unknown": dsn(verp(23), status="5.1.0"),
             "d.deep": "".join(f"Content-Type: multipart/mixed; boundary=q{i}\n\n--q{i}\n" for i in range(5000)) + verp(11),
             "e.manyplus": ("+" + "a" * 40 + "@x ") * 5000, "f.unsubscribe-token": dsn(f"bounce+{token(stack, UNSUBSCRIBE, 12, 12)}@b.example.com")}
    for name, text in mails.items():
        (box / "tmp" / name).write_bytes(text.encode("latin-1"))
        os.rename(box / "tmp" / name, box / "new" / name)
    (box / "new" / "g.link").symlink_to("/etc/passwd")
    os.mkfifo(box / "new" / "h.fifo")
    end = time.monotonic() + 20
    while os.listdir(box / "new") and time.monotonic() < end:
        time.sleep(0.1)
    assert os.listdir(box / "new") == []
    kinds = {int(u): e for _, u, e, _ in w.events()}
    assert kinds == {1: "bounced", 2: "bounced", 3: "delayed", 4: "complained", 8: "bounced", 10: "unsubscribed", 21: "bounced", 23: "bounced"}
    assert len(w.events()) == 8 # the same report twice is one
    assert w.suppressed() == {(1, "hard_bounce"), (4, "complaint"), (8, "hard_bounce"), (10, "unsubscribe")}
    left = {n.split(":")[0] for n in os.listdir(box / "cur")}
    assert left == {"5.notspam", "6.forged", "7.reply", "9.garbage", "a.empty", "b.huge", "d.deep", "e.manyplus", "f.unsubscribe-token", "g.link", "h.fifo"}
    assert w.counted("forged") == 3 and w.process.alive()
    assert w.sql("SELECT count(*) FROM foliopost.delivery_events WHERE detail LIKE '%@%'") == [["0"]]


# --- hostile clients -----------------------------------------------------------------------------------


def raw(w, data, seconds=5):
    with socket.create_connection(("127.0.0.1", w.process.ports["http"]), timeout=seconds) as s:
        try:
            s.sendall(data)
            return s.recv(4096)
        except OSError:
            return b""


def test_hostile_clients_get_an_error_and_no_more(new_stack):
    stack = new_stack(start=False)
    w = World(stack)
    path = "/u/" + token(stack, UNSUBSCRIBE, 1, 1)
    assert b"413" in raw(w, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n".encode())
    chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"400\r\n" + b"x" * 1024 + b"\r\n"
    assert b"200" not in raw(w, chunked + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 500)
    for data in (b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"POST /u/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01" * 100,
                 b"GET /u/" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n", os.urandom(5000)):
        assert b" 200 " not in raw(w, data, 3)
    assert w.ask("GET", "/")[0] == 404 and w.ask("GET", "/ses")[0] == 405 and w.ask("GET", "/u")[0] == 404
    # a byte now and then, for ever: the connection is ended, others are served meanwhile
    slow = [socket.create_connection(("127.0.0.1", w.process.ports["http"])) for _ in range(20)]
    began = time.monotonic()
    for s in slow:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n".encode())
    ended = 0
    while ended < len(slow) and time.monotonic() < began + 45:
        time.sleep(2)
        ended = 0
        for s in slow:
            try:
                s.send(b"x")
            except OSError:
                ended += 1
        assert w.ask("GET", path)[0] == 200
    assert ended == len(slow) and 20 < time.monotonic() - began < 45
    assert w.events() == []
    peak = w.process.peak_mib()
    assert "asan" in str(stack.build) or peak < 40, peak


def test_without_the_ledger_it_says_so_and_loses_nothing(new_stack):
    stack = new_stack(start=False)
    w = World(stack)
    path = "/u/" + token(stack, UNSUBSCRIBE, 1, 1)
    w.sql("ALTER TABLE foliopost.delivery_events RENAME TO away")
    status, _, headers = w.ask("POST", path, "List-Unsubscribe=One-Click")
    assert status == 503 and headers["Retry-After"] == "60"
    w.sql("ALTER TABLE foliopost.away RENAME TO delivery_events")
    assert w.post(path, "List-Unsubscribe=One-Click") == 200
    assert len(w.events()) == 1


def test_clicks_are_served_while_inbound_leaves(new_stack):
    inbound = World(new_stack(start=False), drain_delay="6s")
    told = time.monotonic()
    inbound.process.signal(signal.SIGTERM)
    while time.monotonic() < told + 4:
        assert inbound.post("/u/nothing", "List-Unsubscribe=One-Click") in (400, 404)
        time.sleep(0.2)
    assert inbound.process.wait(30) and inbound.process.exit_code() == 0
    assert time.monotonic() - told >= 6


def test_what_the_database_refuses_us_is_no_forgery(ses):
    w, sns = ses
    path = "/u/" + token(w.stack, UNSUBSCRIBE, 1, 1)
    complaint = json.dumps(sns.message(ses_event("Complaint", 7, 2), "2"))
    w.sql("REVOKE INSERT ON foliopost.delivery_events FROM foliopost_inbound")
    for ask in (lambda: w.ask("POST", path, "List-Unsubscribe=One-Click"), lambda: w.ask("POST", "/ses", complaint)):
        status, _, headers = ask()
        assert status == 503 and headers["Retry-After"] == "60"
    assert w.counted("forged") == 0
    w.sql("GRANT INSERT ON foliopost.delivery_events TO foliopost_inbound")
    assert w.post(path, "List-Unsubscribe=One-Click") == 200 and w.post("/ses", complaint) == 200
    assert w.suppressed() == {(1, "unsubscribe"), (2, "complaint")}
