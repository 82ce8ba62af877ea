#!/usr/bin/python3
"""An HTTP provider for tests: takes the calls of SES v2 and SendGrid v3, checks who
signed them, keeps a record, and misbehaves on cue.

Signatures (AWS SigV4) are checked by botocore's own signer: from the request as
it came and the secret it makes the signature that should stand there.

The record has the same lines as that of `sink` (time in us, Message-ID,
recipient) and is written before the reply leaves.

Cues: POST /cue with JSON, merged into {"delay_ms": 0, "status": 0, "headers": {},
"body": "", "percent": 100, "close": false}; status 0 accepts. GET /count tells
accepted, refused and forged. "quota": [rate, day, sent] is what GetAccount says.
"""
import argparse
import asyncio
import base64
import json
import random
import re
import ssl
import sys
import time

SEND = {"/v2/email/outbound-emails": "ses", "/v3/mail/send": "sendgrid"}
ACCOUNT = "/v2/email/account"


def signature_fault(method, path, headers, body, credentials, now=None):
    """"" when the request is signed with the credentials, else what is wrong."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    key, secret, token = credentials
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                         r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})", headers.get("authorization", ""))
    if not found:
        return "IncompleteSignature"
    its_key, day, region, service, signed, signature = found.groups()
    stamp = headers.get("x-amz-date", "")
    if its_key != key or service != "ses" or not stamp.startswith(day):
        return "SignatureDoesNotMatch"
    if token and headers.get("x-amz-security-token") != token:
        return "ExpiredToken"
    names = signed.split(";")
    if not {"host", "x-amz-date"} <= set(names) or (token and "x-amz-security-token" not in names):
        return "SignatureDoesNotMatch"
    then = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
    if abs((now or time.time()) - then) > 300:
        return "SignatureDoesNotMatch"
    request = AWSRequest(method, f"http://{headers['host']}{path}", headers={n: headers[n] for n in names}, data=body)
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(key, secret), service, region)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return "" if expected == signature else "SignatureDoesNotMatch"


class Provider:
    def __init__(self, options):
        self.cue = {"delay_ms": options.delay_ms, "status": 0, "headers": {}, "body": "", "percent": 100,
                    "close": False, "quota": [0, 0, 0]}
        self.credentials = options.credentials.split(":") if options.credentials else None
        self.api_key = options.api_key
        self.record = open(options.record, "a", buffering=1) if options.record else None
        self.counts = {"accepted": 0, "refused": 0, "forged": 0}
        self.connections = 0

    def forged(self, method, path, headers, body):
        if path.startswith("/v3/"):
            if self.api_key and headers.get("authorization") != f"Bearer {self.api_key}":
                return 401, {}, {"errors": [{"message": "authorization required", "field": None}]}
        elif self.credentials:
            fault = signature_fault(method, path, headers, body, self.credentials)
            if fault:
                return 403, {"x-amzn-ErrorType": fault}, {"message": "the signature is not the one we made"}
        return None

    @staticmethod
    def mail(kind, body):
        call = json.loads(body)
        if kind == "ses":
            raw = base64.b64decode(call["Content"]["Raw"]["Data"], validate=True)
            found = re.search(rb"^Message-ID: *(<[^>]*>)", raw, re.M | re.I)
            return found.group(1).decode(), call["Destination"]["ToAddresses"][0]
        return call["headers"]["Message-ID"], call["personalizations"][0]["to"][0]["email"]

    def answer(self, method, path, headers, body):
        """(status, headers, object), or None: close without a reply."""
        if path == "/cue":
            self.cue.update(json.loads(body))
            return 200, {}, self.cue
        if path == "/count":
            return 200, {}, {**self.counts, "connections": self.connections}
        refusal = self.forged(method, path, headers, body)
        if refusal:
            self.counts["forged"] += 1
            return refusal
        if path == ACCOUNT:
            rate, day, sent = self.cue["quota"]
            return 200, {}, {"SendQuota": {"MaxSendRate": rate, "Max24HourSend": day, "SentLast24Hours": sent}}
        kind = SEND.get(path)
        if not kind:
            return 404, {}, {"message": "no such path"}
        cue = self.cue if random.random() * 100 < self.cue["percent"] else {}
        if cue.get("status"):
            self.counts["refused"] += 1
            return cue["status"], cue["headers"], cue["body"]
        message_id, recipient = self.mail(kind, body)
        self.counts["accepted"] += 1
        if self.record:
            self.record.write(f"{int(time.time() * 1e6)}\t{message_id}\t{recipient}\n")
        if cue.get("close"):
            return None
        if kind == "ses":
            return 200, {}, {"MessageId": f"ses-{self.counts['accepted']}"}
        return 202, {"X-Message-Id": f"sg-{self.counts['accepted']}"}, ""


class Connection(asyncio.Protocol):
    def __init__(self, provider):
        self.provider, self.buffer = provider, b""

    def connection_made(self, transport):
        self.transport = transport
        self.provider.connections += 1

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        body, self.buffer = self.buffer[end + 4:end + 4 + length], self.buffer[end + 4 + length:]
        method, path, _ = first.split(" ")
        answer = self.provider.answer(method, path, headers, body)
        delay = self.provider.cue["delay_ms"] / 1000
        if delay and path in SEND:
            asyncio.get_running_loop().call_later(delay, self.reply, answer)
        else:
            self.reply(answer)

    def reply(self, answer):
        if self.transport.is_closing():
            return
        if answer is None:
            self.transport.close()
            return
        status, headers, body = answer
        text = body if isinstance(body, str) else json.dumps(body)
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.transport.write(f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{head}"
                             f"Content-Length: {len(text.encode())}\r\n\r\n{text}".encode())


async def serve(options):
    provider = Provider(options)
    context = None
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    host, _, port = options.listen.rpartition(":")
    server = await asyncio.get_running_loop().create_server(lambda: Connection(provider), host, int(port), ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--listen", default="127.0.0.1:0", help="port 0 picks a free one; the port is printed")
    p.add_argument("--record")
    p.add_argument("--delay-ms", type=float, default=0)
    p.add_argument("--credentials", help="KEY:SECRET:TOKEN; signatures are checked")
    p.add_argument("--api-key", help="of SendGrid; checked")
    p.add_argument("--cert")
    p.add_argument("--key")
    try:
        asyncio.run(serve(p.parse_args()))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
