"""SMTP with STARTTLS and AUTH against a server that is not ours (aiosmtpd), which asks for both."""
import email
import email.policy
import ssl
import subprocess
import threading
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from foliostack import free_port


class Keeper:
    """Keeps what it accepted, in the form of the sink's record."""

    def __init__(self, record):
        self.record, self.lock, self.messages = record, threading.Lock(), []

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self.lock:
            self.messages.append(message)
            with self.record.open("a") as f:
                f.write(f"{int(time.time() * 1e6)}\t{message['Message-ID']}\t{envelope.rcpt_tos[0]}\n")
        return "250 2.0.0 Ok: queued as kept"


@pytest.mark.slow
def test_a_job_over_starttls_with_a_login(new_stack, judge, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    (tmp_path / "password").write_text("right\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    tried = []

    def login(server, session, envelope, mechanism, data):
        tried.append((bytes(data.login), bytes(data.password), session.ssl is not None))
        return AuthResult(success=bytes(data.password) == b"right")

    stack = new_stack(start=False)
    keeper = Keeper(stack.record)
    stack.record.parent.mkdir(parents=True, exist_ok=True)
    controller = Controller(keeper, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True,
                            auth_required=True, auth_require_tls=True, authenticator=login)
    controller.start()
    try:
        stack.options["mailer"] = {"smtp_url": f"smtp://127.0.0.1:{controller.port}", "smtp_tls": "require",
                                   "smtp_ca_file": cert, "smtp_user": "reports", "smtp_password_file": tmp_path / "password",
                                   "connections": 4, "mails_per_connection": 25}
        stack.start_services()
        j = judge(stack)
        ids = sorted(j.audience())[:200]
        job = j.submit("monthly", "--user-ids", ",".join(map(str, ids)))
        j.wait_state(job, "COMPLETED", 60)
        counts = j.accounted(job, ids)
    finally:
        controller.stop()
    assert counts["sent"] > 100 and counts["ambiguous"] == 0
    assert all(t == (b"reports", b"right", True) for t in tried), "the password goes over TLS alone"
    assert counts["sent"] / 25 <= len(tried) <= counts["sent"] / 25 + 8, "kept connections, and no longer than their mails"
    for message in keeper.messages:
        assert not message.defects
        kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
        assert kinds[:2] == ["text/plain", "text/html"]
        assert all(part.get_content_charset() == "utf-8" for part in message.walk() if part.get_content_maintype() == "text")
