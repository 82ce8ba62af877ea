"""The gRPC door, by @grpc/grpc-js: the other client that nobody here wrote. What is called stands in
tests/node/client.js. Left out where `script/bootstrap --node` could not install it."""
import json
import shutil
import subprocess

import pytest

from foliostack import ROOT, free_port
from test_grpc import make_certificates

NODE = ROOT / "tests" / "node"
pytestmark = pytest.mark.skipif(not (shutil.which("node") and (NODE / "node_modules" / "@grpc" / "grpc-js").is_dir()),
                                reason="script/bootstrap --node has not installed @grpc/grpc-js")


def begin(task, address, *more):
    return subprocess.Popen(["node", NODE / "client.js", task, address, ROOT / "proto", *map(str, more)], cwd=NODE, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result_of(client):
    out, err = client.communicate(timeout=180)
    assert client.returncode == 0, out + err
    return json.loads(out.splitlines()[-1])


def run(task, stack):
    return result_of(begin(task, f"127.0.0.1:{stack.of('scheduler')[0].ports['grpc']}"))


@pytest.fixture
def token(tmp_path):
    (tmp_path / "token").write_text("secret-1\n")
    return tmp_path / "token"


def test_submits_watches_to_the_end_and_pages_through_the_deliveries(new_stack, judge, token):
    stack = new_stack(scheduler={"rpc_token_file": token}, mailer={"mail_rate": 1000})
    found = run("whole", stack)
    assert sorted(found["users"]) == sorted(judge(stack).audience()) and found["sent"] > 1000
    judge(stack).accounted(found["job"])


def test_errors_deadlines_cancelling_and_wrong_tokens(new_stack, token):
    stack = new_stack(scheduler={"rpc_token_file": token}, mailer={"mail_rate": 20})
    run("errors", stack)


def test_health_and_reflection(new_stack):
    found = run("health_and_reflection", new_stack())
    for services in (found["v1"], found["v1alpha"]):
        assert {"foliopost.v1.JobService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(services)


def test_a_drain_tells_who_watches(new_stack):
    stack = new_stack()
    scheduler = stack.of("scheduler")[0]
    client = begin("drain", f"127.0.0.1:{scheduler.ports['grpc']}")
    assert json.loads(client.stdout.readline()) == {"watching": True}
    scheduler.signal(15)
    assert result_of(client)["said"] == ["SERVING", "NOT_SERVING"]
    assert scheduler.wait(20) and scheduler.exit_code() == 0


def test_tls_with_client_certificates_and_a_token(new_stack, token, tmp_path):
    make_certificates(tmp_path)
    port = free_port()
    new_stack(scheduler={"grpc_listen": f"tls+tcp://127.0.0.1:{port}", "grpc_cert_file": tmp_path / "server.pem",
                         "grpc_key_file": tmp_path / "server.key", "grpc_client_ca_file": tmp_path / "ca.pem", "rpc_token_file": token})
    result_of(begin("tls", f"localhost:{port}", tmp_path))
