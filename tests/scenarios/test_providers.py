"""HTTP providers: signed calls that another implementation checks, and one job through each."""
import http.client
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from httpsink import signature_fault  # noqa: E402

CREDENTIALS = ("AKIAEXAMPLE", "wJalr/XUtnFEMI+K7MDENG", "IQoJb3Jp/Z2luX2VjEXAMPLE+TOKEN==")


def ask(url, method, path, body=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.request(method, path, body=json.dumps(body) if body is not None else None)
    return json.loads(connection.getresponse().read())


def ses(folder, url, credentials=CREDENTIALS, **more):
    folder.mkdir(parents=True, exist_ok=True)
    key, secret, token = credentials
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"
    (folder / "credentials").write_text(text)
    return {"transport": "ses", "ses_region": "eu-west-1", "api_url": url, "api_key_file": folder / "credentials", **more}


def sendgrid(folder, url, **more):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_text("SG.example\n")
    return {"transport": "sendgrid", "api_url": url, "api_key_file": folder / "key", **more}


@pytest.mark.parametrize("provider", [ses, sendgrid])
def test_a_job_through_an_http_provider(new_stack, judge, provider):
    stack = new_stack(start=False)
    url = stack.start_http_sink("--credentials", ":".join(CREDENTIALS), "--api-key", "SG.example", "--delay-ms", "5")
    stack.options["mailer"] = provider(stack.folder, url)
    stack.start_services()
    j = judge(stack)
    ids = sorted(j.audience())[:600]
    job = j.submit("monthly", "--user-ids", ",".join(map(str, ids)))
    j.wait_state(job, "COMPLETED", 60)
    counts = j.accounted(job, ids)
    assert counts["sent"] > 400 and counts["ambiguous"] == 0
    count = ask(url, "GET", "/count")
    assert count["forged"] == 0 and count["accepted"] == counts["sent"]
    assert count["connections"] < 60, "connections are kept"
    ids_kept = j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent' AND provider_id <> ''")
    assert ids_kept == counts["sent"]


def test_wrong_credentials_stop_the_mailer_and_new_ones_in_the_file_let_it_go_on(new_stack, judge):
    stack = new_stack(start=False)
    url = stack.start_http_sink("--credentials", ":".join(CREDENTIALS))
    stack.options["mailer"] = ses(stack.folder, url, (CREDENTIALS[0], "wrong", CREDENTIALS[2]))
    stack.start_services()
    j = judge(stack)
    ids = sorted(j.audience())[:200]
    job = j.submit("monthly", "--user-ids", ",".join(map(str, ids)))
    reason = wait_for_reason(j, job, "SignatureDoesNotMatch")
    assert "mail provider does not take mail" in reason
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND attempts > 0") == 0
    ses(stack.folder, url)
    j.wait_state(job, "COMPLETED", 60)
    assert j.accounted(job, ids)["sent"] > 150
    assert j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state = 'failed' AND attempts > 0") == 0
    assert ask(url, "GET", "/count")["forged"] > 0


def wait_for_reason(j, job, word, seconds=30):
    import time
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        waiting = " | ".join(j.job(job).get("waiting", []))
        if word in waiting:
            return waiting
        time.sleep(0.2)
    raise AssertionError(f"no reason with {word!r}: {waiting}\n{j.diagnosis(job)}")


# --- the second implementation itself, and what it must refuse ---------------------------------


def curl_signs(tmp_path, credentials, body):
    """The request as libcurl signs it, taken down by a server that answers nothing of use."""
    import socket
    import threading
    key, secret, token = credentials
    listener = socket.create_server(("127.0.0.1", 0))
    port, taken = listener.getsockname()[1], []

    def take():
        client, _ = listener.accept()
        data = b""
        while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < len(body):
            data += client.recv(65536)
        taken.append(data)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.close()

    thread = threading.Thread(target=take)
    thread.start()
    (tmp_path / "body").write_bytes(body)
    subprocess.run(["curl", "-s", "--aws-sigv4", "aws:amz:eu-west-1:ses", "--user", f"{key}:{secret}",
                    "-H", "Content-Type: application/json", "-H", f"X-Amz-Security-Token: {token}",
                    "--data-binary", f"@{tmp_path / 'body'}", f"http://127.0.0.1:{port}/v2/email/outbound-emails"], check=True)
    thread.join()
    listener.close()
    head, sent = taken[0].split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")[1:]
    return {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}, sent


def test_a_forged_or_altered_call_is_refused(tmp_path):
    path, body = "/v2/email/outbound-emails", '{"Destination":"\u00e4"}'.encode()
    headers, sent = curl_signs(tmp_path, CREDENTIALS, body)
    assert signature_fault("POST", path, headers, sent, CREDENTIALS) == ""
    assert "x-amz-security-token" in headers["authorization"]
    assert signature_fault("POST", path, headers, sent + b" ", CREDENTIALS)
    assert signature_fault("POST", path + "2", headers, sent, CREDENTIALS)
    assert signature_fault("GET", path, headers, sent, CREDENTIALS)
    assert signature_fault("POST", path, {**headers, "content-type": "text/plain"}, sent, CREDENTIALS)
    assert signature_fault("POST", path, {**headers, "x-amz-security-token": "another"}, sent, CREDENTIALS)
    assert signature_fault("POST", path, headers, sent, (CREDENTIALS[0], "other", CREDENTIALS[2]))
    forged = headers["authorization"][:-1] + ("0" if headers["authorization"][-1] != "0" else "1")
    assert signature_fault("POST", path, {**headers, "authorization": forged}, sent, CREDENTIALS)
    assert signature_fault("POST", path, {k: v for k, v in headers.items() if k != "authorization"}, sent, CREDENTIALS)
