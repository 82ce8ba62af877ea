"""A job's mails through a real Postfix into a Maildir, read by Python's email.

Postfix is one of its own in a folder: on loopback, without DNS, with its own
queue, started in the foreground and ended by its process id. master has to be
started by root; the daemons run as postfix, the mails are written by their owner.
"""
import collections
import email
import email.policy
import json
import os
import pwd
import re
import signal
import subprocess
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from email.parser import BytesHeaderParser
from html import unescape
from pathlib import Path

from foliostack import StackError, free_port, wait_for_port

DAEMONS = Path("/usr/lib/postfix/sbin")
BOUNCES = "bounces.example.com"

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log/maillog
maillog_file_prefixes = {dir}/log
myhostname = mx.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
alias_maps =
local_recipient_maps =
default_transport = error:nothing leaves this machine
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_reject_unlisted_recipient = no
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = regexp:{dir}/conf/domains
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = regexp:{dir}/conf/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
in_flow_delay = 0
"""
MASTER = """\
127.0.0.1:{port} inet n - n - 64 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
virtual unix - n n - 16 virtual
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.port = free_port()
        self.process = None

    @staticmethod
    def missing():
        """Why it cannot run here; "" when it can."""
        if not (DAEMONS / "master").exists():
            return "postfix is not installed"
        return "" if os.geteuid() == 0 else "Postfix's master is to be started by root"

    @property
    def box(self):
        return self.folder / "mail" / "box"

    @property
    def bounces(self):
        return self.folder / "mail" / "bounces"

    def start(self, unknown="^$"):
        """unknown: a regular expression of addresses that bounce after they were accepted."""
        conf, owner = self.folder / "conf", pwd.getpwnam("postfix")
        for name in "conf", "queue", "data", "log", "mail":
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        os.chown(self.folder / "data", owner.pw_uid, owner.pw_gid)
        os.chown(self.folder / "mail", owner.pw_uid, owner.pw_gid)
        (conf / "main.cf").write_text(MAIN.format(dir=self.folder, daemons=DAEMONS, uid=owner.pw_uid, gid=owner.pw_gid))
        (conf / "master.cf").write_text(MASTER.format(port=self.port))
        (conf / "domains").write_text("/./ here\n")
        (conf / "boxes").write_text(f"/@{re.escape(BOUNCES)}$/ bounces/\nif !/{unknown}/\n/./ box/\nendif\n")
        done = subprocess.run(["/usr/sbin/postfix", "-c", conf, "check"], capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"postfix check: {done.stderr}")
        out = open(self.folder / "log" / "start", "ab")
        self.process = subprocess.Popen([DAEMONS / "master", "-c", conf, "-d"], stdin=subprocess.DEVNULL, stdout=out,
                                        stderr=out, start_new_session=True)
        self.wait_started()

    def wait_started(self, seconds=20):
        """By what master itself says: somebody else may listen on that port, and take the mails."""
        log, end = self.folder / "log" / "maillog", time.monotonic() + seconds
        while not log.exists() or "daemon started" not in log.read_text(errors="replace"):
            if self.process.poll() is not None or time.monotonic() > end:
                said = log.read_text(errors="replace")[-500:] if log.exists() else ""
                raise StackError(f"Postfix did not start on port {self.port}: {said}")
            time.sleep(0.05)
        wait_for_port(self.port)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # master ends its daemons
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def queued(self):
        return sum(1 for q in ("incoming", "active", "deferred", "maildrop")
                   for p in (self.folder / "queue" / q).rglob("*") if p.is_file())

    def wait_empty(self, seconds=120):
        end = time.monotonic() + seconds
        while self.queued():
            if time.monotonic() > end:
                raise StackError(f"{self.queued()} mails are still in Postfix's queue after {seconds} s")
            time.sleep(0.2)


# --- reading ------------------------------------------------------------------------------------

ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "List-Id", "Feedback-ID",
        "Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post", "Return-Path", "X-Original-To")
FIGURE = re.compile(r"\d[\d.,’'\u00a0\u202f\u066b\u066c]*\d|\d")


def figures(text):
    """Every number of the text as its digits: 1.234,56 and 1,234.56 and ١٬٢٣٤٫٥٦ are 123456."""
    found = set()
    for m in FIGURE.findall(text):
        digits = "".join(str(unicodedata.digit(c)) for c in m if c.isdigit())
        found.add(int(digits or 0))
    return found


def amounts(summary):
    """What of a summary stands in every mail, in minor units without a sign."""
    names = ("open_value_minor", "close_value_minor", "net_contributions_minor", "income_minor", "fees_minor", "taxes_minor")
    found = {name: abs(int(summary.get(name, 0))) for name in names}
    found["gain_minor"] = abs(int(summary.get("gain_minor", 0)))
    for place, m in enumerate([*summary.get("top", []), *summary.get("bottom", [])]):
        found[f"mover {place}"] = abs(int(m.get("gain_minor", 0)))
    return {name: value for name, value in found.items() if value}


class Found:
    """One mail, as a reader has it."""

    def __init__(self, path, user):
        self.user = user
        self.raw = path.read_bytes()
        self.mail = email.message_from_bytes(self.raw, policy=email.policy.default)

    def check_form(self):
        m = self.mail
        assert not m.defects and not any(p.defects for p in m.walk()), (self.user, m.defects)
        assert m.get_content_type() == "multipart/alternative"
        kinds = [(p.get_content_type(), p.get_content_charset(), p["Content-Transfer-Encoding"]) for p in m.iter_parts()]
        assert kinds == [("text/plain", "utf-8", "quoted-printable"), ("text/html", "utf-8", "quoted-printable")], kinds
        for name in ONCE:
            assert len(m.get_all(name, [])) == 1, (self.user, name)
        assert "Bcc" not in m and "Cc" not in m
        assert self.raw.isascii() and max(map(len, self.raw.splitlines())) <= 998
        assert m["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert b"\nList-Unsubscribe: <https://" in self.raw or b"\nList-Unsubscribe:\n <https://" in self.raw
        assert m["Return-Path"].startswith("<bounce+") and m["Return-Path"].endswith(f"@{BOUNCES}>"), m["Return-Path"]
        assert m["Date"].datetime is not None and len(m["From"].addresses) == len(m["To"].addresses) == 1

    def check_text(self, address, first, last):
        text, html = (self.mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
        assert "\ufffd" not in text and "{{" not in text.replace(first, "")
        assert self.mail["To"].addresses[0].addr_spec == self.mail["X-Original-To"] == address
        if not 20 <= self.user % 1000 <= 31:  # hostile ones are cleaned: the golden mails show how
            name = self.mail["To"].addresses[0].display_name
            assert name in (f"{first} {last}".strip(), f"{last} {first}", f"{last}{first}"), (self.user, name)
            assert any(part in text and part in html for part in (first, last)), self.user
        return text, html

    def check_amounts(self, text, html, summary):
        in_text, in_html = figures(text), figures(unescape(re.sub(r"<[^>]*>", " ", html)))
        for name, value in amounts(summary).items():
            assert value in in_text and value in in_html, \
                f"user {self.user}: {name} {value} is not in the {'html' if value in in_text else 'text'} of\n{text}"


def message_ids(box):
    """Of every mail its path and its Message-ID."""
    parser = BytesHeaderParser(policy=email.policy.default)
    for path in sorted(p for folder in ("new", "cur") for p in (box / folder).glob("*")):
        with open(path, "rb") as f:
            yield path, parser.parse(f)["Message-ID"]


def summary_of(stack, user, period):
    done = stack.foliopost("explain", "--user", user, "--period", period, "--json", "--brief", check=False)
    assert done.returncode == 0, f"user {user} got a mail, and explain says: {done.stderr}"
    return json.loads(done.stdout)


def what_became_of(sql, job, box, users):
    """What Postfix's log has of these users' mails, by the queue ids that the ledger keeps; and of all that did not get there."""
    log = (box.parent.parent / "log" / "maillog").read_text(errors="replace").splitlines()
    ids = [row[0] for user in users for row in
           sql(f"SELECT provider_id FROM foliopost.deliveries WHERE job_id = {job} AND user_id = {user}") if row[0]]
    lines = [line for line in log if any(i in line for i in ids)] or [f"nothing of {ids}"]
    odd = [line for line in log if "status=" in line and "status=sent" not in line or " warning: " in line or " fatal: " in line]
    return "\nPostfix's log:\n" + "\n".join(lines[:20] + [f"{len(odd)} lines of trouble:"] + odd[:5])


def judge_mails(stack, sql, job, box, bounced=frozenset(), sample=1):
    """Holds the mails in the box against ledger, users and statistics (of every
    sample-th user). Returns how many mails and how many statements were compared."""
    found = list(message_ids(box))
    names = [tuple(int(n) for n in name.strip("<>").split(".")[:2]) for _, name in found]
    counts = collections.Counter(user for _, user in names)
    sent = {int(r[0]) for r in sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent'")}
    left = sql(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state NOT IN ('sent', 'failed', 'skipped')")
    assert left == [["0"]], "users without a clear outcome"
    twice = [u for u, n in counts.items() if n > 1]
    assert not twice, f"{len(twice)} users have two mails, such as {twice[:5]}"
    lost, strange = sorted(sent - set(bounced) - counts.keys()), sorted(counts.keys() - sent)
    assert not lost and not strange, (f"{len(lost)} lost, such as {lost[:5]}, {len(strange)} from nowhere, such as {strange[:5]}"
                                      + what_became_of(sql, job, box, lost[:3]))
    assert len({name for _, name in found}) == len(found) and {j for j, _ in names} == {int(job)}
    rows = sql("SELECT id, convert_to(email, 'UTF8'), convert_to(first_name, 'UTF8'), convert_to(last_name, 'UTF8')"
               " FROM portfolio.users")  # as bytes: some hold line ends
    users = {int(i): [bytes.fromhex(text[2:]).decode() for text in texts] for i, *texts in rows}
    start, end = sql(f"SELECT period_start, period_end FROM foliopost.jobs WHERE id = {job}")[0]
    compared = [user for _, user in names][::sample]
    with ThreadPoolExecutor(2) as pool:
        statements = dict(zip(compared, pool.map(lambda user: summary_of(stack, user, f"{start}..{end}"), compared)))
    for (path, _), (_, user) in zip(found, names):  # one at a time: ten thousand parsed ones are gigabytes
        f = Found(path, user)
        f.check_form()
        text, html = f.check_text(*users[user])
        if user in statements:
            f.check_amounts(text, html, statements[user])
    return len(found), len(statements)
