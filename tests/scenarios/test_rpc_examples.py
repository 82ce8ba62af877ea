"""The examples of docs/rpc.md, as they stand there, against the real scheduler.
Node's is left out where @grpc/grpc-js is not found (NODE_PATH says where)."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from foliostack import ROOT

PLUGIN = shutil.which("grpc_python_plugin")


def example(language, contains):
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "rpc.md").read_text(), re.S)
    found = [b for b in blocks if contains in b]
    assert len(found) == 1, f"{len(found)} examples in {language} have {contains}"
    return found[0]


def run(argv, stack, **env):
    scheduler = stack.of("scheduler")[0]
    env = {**os.environ, "FOLIOPOST_GRPC": f"127.0.0.1:{scheduler.ports['grpc']}", "FOLIOPOST_PROTO": str(ROOT / "proto"),
           "FOLIOPOST_RPC": f"tcp://127.0.0.1:{scheduler.ports['rpc']}", "FOLIOPOST_TOKEN": "secret-1", **env}
    done = subprocess.run([str(a) for a in argv], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def stack(new_stack, tmp_path):
    (tmp_path / "token").write_text("secret-1\n")
    return new_stack(scheduler={"rpc_token_file": tmp_path / "token"}, mailer={"mail_rate": 2000})


@pytest.fixture
def generated(tmp_path):
    out = tmp_path / "generated"
    out.mkdir()
    plugin = [f"--plugin=protoc-gen-grpc_python={PLUGIN}", f"--grpc_python_out={out}"] if PLUGIN else []
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={out}", *plugin, "foliopost/v1/job_service.proto"], check=True)
    return {"PYTHONPATH": str(out)}


@pytest.mark.skipif(PLUGIN is None, reason="protobuf-compiler-grpc is not installed")
def test_the_python_example_watches_a_job_to_its_end_and_the_one_for_the_bus_lists_it(stack, generated):
    pytest.importorskip("grpc", reason="python3-grpcio is not installed")
    said = run([sys.executable, "-c", example("python", "import grpc")], stack, **generated)
    assert any(line.startswith("JOB_STATE_COMPLETED") for line in said) and " skipped" in said[-1]
    assert run([sys.executable, "-c", example("python", "import os, socket")], stack, **generated) == ["1 JOB_STATE_COMPLETED"]


def has_grpc_js():
    return shutil.which("node") and subprocess.run(["node", "-e", "require('@grpc/grpc-js'); require('@grpc/proto-loader')"],
                                                   capture_output=True).returncode == 0


@pytest.mark.skipif(not has_grpc_js(), reason="node with @grpc/grpc-js is not installed")
def test_the_node_example_watches_a_job_to_its_end(stack):
    said = run(["node", "-e", example("js", "grpc-js")], stack)
    assert any(line.startswith("JOB_STATE_COMPLETED") for line in said)
