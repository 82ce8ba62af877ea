"""The examples of docs/rpc.md, as they stand there, against the real scheduler.
Node's is left out where `script/bootstrap --node` could not install its client, Go's without Debian's
golang-google-grpc-dev and protoc-gen-go-grpc. Debian has no grpcurl: its commands are read here, and
called as it does, with nothing known but what reflection says."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from foliostack import ROOT

NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
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


@pytest.mark.skipif(not (shutil.which("node") and (NODE_MODULES / "@grpc" / "grpc-js").is_dir()), reason="@grpc/grpc-js is not installed")
def test_the_node_example_watches_a_job_to_its_end(stack):
    said = run(["node", "-e", example("js", "grpc-js")], stack, NODE_PATH=NODE_MODULES)
    assert any(line.startswith("JOB_STATE_COMPLETED") for line in said)


# --- Go -----------------------------------------------------------------------------------

GO_MAIN = """package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"example.com/you/foliopost"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func main() {
%s}
"""


def has_go():
    return all(map(shutil.which, ("go", "protoc-gen-go", "protoc-gen-go-grpc"))) and os.path.isdir("/usr/share/gocode/src/google.golang.org/grpc")


def build_go(dir):
    """As docs/rpc.md says, but for what Debian's versions (gRPC 1.33, protoc-gen-go 1.3) do not know yet."""
    package = dir / "src" / "example.com" / "you" / "foliopost"
    main = dir / "src" / "main"
    package.mkdir(parents=True)
    main.mkdir()
    maps = [f"--{g}_opt=Mfoliopost/v1/job_service.proto=example.com/you/foliopost" for g in ("go", "go-grpc")]
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--go_out={dir}", f"--go-grpc_out={dir / 'src'}", *maps,
                    "foliopost/v1/job_service.proto"], check=True)
    generated = (dir / "foliopost" / "v1" / "job_service.pb.go").read_text()
    (package / "job_service.pb.go").write_text(re.sub(r"(?m)^package \w+", "package foliopost", generated, count=1))
    code = example("go", "grpc.Dial").replace('"localhost:7710"', 'os.Getenv("FOLIOPOST_GRPC")')
    (main / "main.go").write_text(GO_MAIN % code.replace("grpc.WithTransportCredentials(insecure.NewCredentials())", "grpc.WithInsecure()"))
    subprocess.run(["go", "build", "-o", str(dir / "watch"), "."], cwd=main, check=True, timeout=600,
                   env={**os.environ, "GO111MODULE": "off", "GOPATH": f"{dir}:/usr/share/gocode"})
    return dir / "watch"


@pytest.mark.slow
@pytest.mark.skipif(not has_go(), reason="golang-google-grpc-dev, protoc-gen-go-1-3 or protoc-gen-go-grpc is not installed")
def test_the_go_example_watches_a_job_to_its_end(stack, tmp_path):
    said = run([build_go(tmp_path / "go")], stack)
    assert any(line.startswith("JOB_STATE_COMPLETED") for line in said)


# --- grpcurl ------------------------------------------------------------------------------

CURL = """
import json, sys, grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc.reflection.v1alpha import reflection_pb2 as r

channel = grpc.insecure_channel(sys.argv[1])
def reflect(**what):
    ask = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=r.ServerReflectionRequest.SerializeToString, response_deserializer=r.ServerReflectionResponse.FromString)
    return next(ask(iter([r.ServerReflectionRequest(**what)]), timeout=20, metadata=metadata))

metadata, service, method, body = [tuple(m) for m in json.loads(sys.argv[2])], *sys.argv[3:6]
pool = descriptor_pool.DescriptorPool()
for packed in reflect(file_containing_symbol=service).file_descriptor_response.file_descriptor_proto:
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(packed))
methods = {m.name: m for m in pool.FindServiceByName(service).methods}
if not method:
    print(*methods, sep="\\n")
    sys.exit()
make = message_factory.MessageFactory(pool).GetPrototype
request = json_format.Parse(body, make(methods[method].input_type)())
call = channel.unary_stream(f"/{service}/{method}", request_serializer=lambda m: m.SerializeToString(),
                            response_deserializer=make(methods[method].output_type).FromString)
for reply in call(request, timeout=60, metadata=metadata):
    print(json.dumps(json_format.MessageToDict(reply)))
"""


def grpcurl_commands():
    """(headers, service, method, body) of each command of the docs."""
    text = re.search(r"### grpcurl\n.*?```\n(.*?)```", (ROOT / "docs" / "rpc.md").read_text(), re.S).group(1)
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        headers = [words[i + 1].split(": ", 1) for i, w in enumerate(words) if w == "-H"]
        body = words[words.index("-d") + 1] if "-d" in words else ""
        service, _, method = words[-1].partition("/")
        yield headers, service, method, body


@pytest.mark.skipif(PLUGIN is None, reason="protobuf-compiler-grpc is not installed")
def test_the_grpcurl_commands_work_by_reflection_alone(stack, tmp_path):
    pytest.importorskip("grpc", reason="python3-grpcio is not installed")
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto' / 'grpc' / 'reflection' / 'v1alpha'}", f"--python_out={tmp_path}", "reflection.proto"], check=True)
    curl = CURL.replace("from grpc.reflection.v1alpha import reflection_pb2", "import reflection_pb2")
    address = f"127.0.0.1:{stack.of('scheduler')[0].ports['grpc']}"
    said = {}
    for headers, service, method, body in grpcurl_commands():
        headers = [[k, v.replace("$TOKEN", "secret-1")] for k, v in headers] or [["authorization", "Bearer secret-1"]]
        said[method] = run([sys.executable, "-c", curl, address, json.dumps(headers), service, method, body], stack, PYTHONPATH=str(tmp_path))
    assert {"SubmitJob", "WatchJob", "ListJobs"} <= set(said[""])
    assert json.loads(said["SubmitJob"][0])["job"]["requestId"] == "monthly-2026-10"
    assert json.loads(said["WatchJob"][-1])["state"] == "JOB_STATE_COMPLETED"
    assert [j["id"] for j in json.loads(said["ListJobs"][0])["jobs"]] == ["1"]
