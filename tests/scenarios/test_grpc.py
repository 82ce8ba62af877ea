"""The gRPC door, by grpcio: a client nobody here wrote. Messages are made from
the .proto by protoc; the calls are grpcio's generic ones, so that no plugin of
protoc's is needed."""
import calendar
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from foliostack import ROOT

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")


@pytest.fixture(scope="module")
def pb(tmp_path_factory):
    out = tmp_path_factory.mktemp("pb")
    protos = ["foliopost/v1/job_service.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1alpha/reflection.proto",
              "grpc/reflection/v1/reflection.proto"]
    # Under names that do not hide the package grpc itself.
    for p in protos:
        text = (ROOT / "proto" / p).read_text()
        (out / p.replace("/", "_")).write_text(text)
    files = [p.replace("/", "_") for p in protos]
    subprocess.run(["protoc", f"--proto_path={out}", f"--python_out={out}", *files], check=True)
    sys.path.insert(0, str(out))
    try:
        import importlib
        names = ("jobs", "health", "reflection_v1alpha", "reflection_v1")
        modules = [importlib.import_module(f.replace(".proto", "_pb2")) for f in files]
        yield type("Pb", (), dict(zip(names, modules)))
    finally:
        sys.path.remove(str(out))


class Client:
    def __init__(self, pb, channel, token=None):
        self.pb, self.channel = pb.jobs, channel
        self.metadata = [("authorization", f"Bearer {token}")] if token else None

    def __getattr__(self, method):
        def call(request, timeout=20):
            return self._call(method, "unary_unary")(request, timeout=timeout, metadata=self.metadata)
        return call

    def watch(self, job_id, timeout=120, details=False):
        request = self.pb.WatchJobRequest(job_id=job_id, details=details)
        return self._call("WatchJob", "unary_stream")(request, timeout=timeout, metadata=self.metadata)

    def _call(self, method, kind):
        m = self.pb.DESCRIPTOR.services_by_name["JobService"].methods_by_name[method]
        reply = getattr(self.pb, m.output_type.name)
        return getattr(self.channel, kind)(f"/foliopost.v1.JobService/{method}", m.input_type._concrete_class.SerializeToString,
                                           reply.FromString)


def code(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def channel_of(stack):
    return grpc.insecure_channel(f"127.0.0.1:{stack.of('scheduler')[0].ports['grpc']}")


def health(pb, channel, service="", timeout=10):
    check = channel.unary_unary("/grpc.health.v1.Health/Check", pb.health.HealthCheckRequest.SerializeToString,
                                pb.health.HealthCheckResponse.FromString)
    return check(pb.health.HealthCheckRequest(service=service), timeout=timeout).status


def test_a_grpc_client_submits_watches_to_the_end_and_pages_through_the_deliveries(new_stack, judge, pb):
    stack = new_stack(mailer={"mail_rate": 1000})
    with channel_of(stack) as channel:
        c = Client(pb, channel)
        request = pb.jobs.SubmitJobRequest(request_id="grpc-1", spec=pb.jobs.JobSpec(kind=pb.jobs.JOB_KIND_MONTHLY))
        first, again = c.SubmitJob(request), c.SubmitJob(request)
        assert first.job.id == again.job.id and again.existing and not first.existing
        seen = list(c.watch(first.job.id, details=True))
        last = seen[-1]
        assert sum(i.counts.users for i in last.intervals) == last.counts.users and all(i.paged_part == 1 for i in last.intervals)
        assert sum(f.users for f in last.failures if f.state == pb.jobs.DELIVERY_STATE_FAILED) == last.counts.failed > 0
        assert len(seen) >= 2 and seen[-1].state == pb.jobs.JOB_STATE_COMPLETED
        assert all(a.counts.users <= b.counts.users for a, b in zip(seen, seen[1:]))
        users, after = [], 0
        while True:
            page = c.ListDeliveries(pb.jobs.ListDeliveriesRequest(job_id=first.job.id, page_size=300, after_user_id=after))
            users += [d.user_id for d in page.deliveries]
            after = page.next_after_user_id
            if not after:
                break
        assert sorted(users) == sorted(judge(stack).audience())
        report = c.GetReport(pb.jobs.GetReportRequest(job_id=first.job.id))
        assert report.users_processed == len(users)
        judge(stack).accounted(first.job.id)
        both = [("monthly", "2020-01-01", "2999-01-01", [first.job.id]), ("weekly", "2020-01-01", "2999-01-01", []), ("monthly", "2020-01-01", "2020-01-02", [])]
        for kind, since, before, ids in both:
            at = [calendar.timegm(time.strptime(day, "%Y-%m-%d")) * 10**6 for day in (since, before)]
            found = c.ListJobs(pb.jobs.ListJobsRequest(kind=pb.jobs.JobKind.Value("JOB_KIND_" + kind.upper()), from_us=at[0], to_us=at[1])).jobs
            assert [j.id for j in found] == ids
            found = json.loads(stack.foliopost("jobs", "--kind", kind, "--from", since, "--to", before, "--json").stdout)["jobs"]
            assert [j["id"] for j in found] == ids
        fleet = c.GetFleet(pb.jobs.GetFleetRequest()).instances
        assert sorted(i.service for i in fleet) == ["mailer", "scheduler", "stats", "userstream"]
        assert [i.service for i in fleet if i.leads] == ["scheduler"]
        mine = c.GetUserHistory(pb.jobs.GetUserHistoryRequest(user_id=users[0])).mails
        assert [(m.job_id, m.delivery.user_id) for m in mine] == [(first.job.id, users[0])]
        again = c.RetryFailed(pb.jobs.RetryFailedRequest(job_id=first.job.id))
        assert again.users == report.failed > 0 and again.job.state == pb.jobs.JOB_STATE_IN_PROGRESS
        last = list(c.watch(first.job.id))[-1]
        assert last.state == pb.jobs.JOB_STATE_COMPLETED and last.proof.round == 2
        assert c.GetReport(pb.jobs.GetReportRequest(job_id=first.job.id)).mails_sent >= report.mails_sent
    judge(stack).accounted(first.job.id)


def test_errors_deadlines_and_cancelling_reach_a_grpc_client(new_stack, judge, pb):
    stack = new_stack(mailer={"mail_rate": 20})
    with channel_of(stack) as channel:
        c = Client(pb, channel)
        job = c.SubmitJob(pb.jobs.SubmitJobRequest(request_id="é", spec=pb.jobs.JobSpec(kind=pb.jobs.JOB_KIND_MONTHLY))).job.id
        assert code(lambda: c.GetJob(pb.jobs.GetJobRequest(job_id=0))) == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as wrong:
            c.GetJob(pb.jobs.GetJobRequest(job_id=-1))
        details = dict(wrong.value.trailing_metadata())["grpc-status-details-bin"]
        assert b"google.rpc.BadRequest" in details and b"\n\x06job_id\x12" in details
        assert code(lambda: c.GetJob(pb.jobs.GetJobRequest(job_id=99))) == grpc.StatusCode.NOT_FOUND
        unknown = channel.unary_unary("/foliopost.v1.JobService/DropTables")
        assert code(lambda: unknown(b"")) == grpc.StatusCode.UNIMPLEMENTED
        bad = channel.unary_unary("/foliopost.v1.JobService/GetJob")
        assert code(lambda: bad(b"\xff\xff")) == grpc.StatusCode.INVALID_ARGUMENT
        assert code(lambda: bad(b"x" * (1 << 20))) == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 1 < ended_by_its_deadline(c, job, 1.5) < 10
        watching = c.watch(job)
        assert next(watching).id == job
        watching.cancel()
        assert c.CancelJob(pb.jobs.CancelJobRequest(job_id=job, reason="enough")).state == pb.jobs.JOB_STATE_CANCELLED
        assert list(c.watch(job))[-1].state == pb.jobs.JOB_STATE_CANCELLED
        metrics = stack.metrics(stack.of("scheduler")[0])
        assert 'foliopost_grpc_calls_total{method="GetJob",code="NOT_FOUND"} 1' in metrics


def ended_by_its_deadline(client, job, timeout):
    started = time.monotonic()
    assert code(lambda: list(client.watch(job, timeout=timeout))) == grpc.StatusCode.DEADLINE_EXCEEDED
    return time.monotonic() - started


def test_connections_grow_old_and_streams_have_the_deadline_of_the_client_alone(new_stack, pb):
    stack = new_stack(start=False)
    stack.start_services(scheduler=0, userstream=0, stats=0, mailer=0)
    process = stack.start_service("scheduler", rpc_deadline="4s", grpc_max_age="2s", grpc_keepalive="1s", grpc_idle="1s")
    stack.wait_ready(process)
    with channel_of(stack) as channel:
        c = Client(pb, channel)
        job = c.SubmitJob(pb.jobs.SubmitJobRequest(request_id="old", spec=pb.jobs.JobSpec(kind=pb.jobs.JOB_KIND_MONTHLY))).job.id
        assert 7 < ended_by_its_deadline(c, job, 7) < 20, "a call is not cut off by the age of its connection, nor by rpc-deadline"
        until = time.monotonic() + 6
        while time.monotonic() < until:
            assert c.GetJob(pb.jobs.GetJobRequest(job_id=job)).id == job  # whatever connection it is on
            time.sleep(0.05)
        # Who hangs up first after the GOAWAY is not said: "goodbye" by us, "peer" by the client.
        closed = [line for line in stack.metrics(process).splitlines() if line.startswith("foliopost_grpc_closed_total{")]
        assert sum(float(line.split()[-1]) for line in closed) >= 1, closed


def test_health_and_reflection(new_stack, pb):
    stack = new_stack()
    with channel_of(stack) as channel:
        assert health(pb, channel) == health(pb, channel, "foliopost.v1.JobService") == 1
        assert code(lambda: health(pb, channel, "nothing.of.ours")) == grpc.StatusCode.NOT_FOUND
        for version, r in (("v1", pb.reflection_v1), ("v1alpha", pb.reflection_v1alpha)):
            ask = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                        r.ServerReflectionRequest.SerializeToString, r.ServerReflectionResponse.FromString)
            answers = list(ask(iter([r.ServerReflectionRequest(list_services=""),
                                     r.ServerReflectionRequest(file_containing_symbol="foliopost.v1.JobService.GetJob"),
                                     r.ServerReflectionRequest(file_by_filename="grpc/health/v1/health.proto"),
                                     r.ServerReflectionRequest(file_containing_symbol="foliopost.v1.Nothing")]), timeout=10))
            names = {s.name for s in answers[0].list_services_response.service}
            assert {"foliopost.v1.JobService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= names
            name, messages, methods = names_of(answers[1].file_descriptor_response.file_descriptor_proto[0])
            assert name == "foliopost/v1/job_service.proto" and messages == set(pb.jobs.DESCRIPTOR.message_types_by_name)
            assert methods == {m.name for m in pb.jobs.DESCRIPTOR.services_by_name["JobService"].methods}
            assert len(answers[2].file_descriptor_response.file_descriptor_proto) == 1
            assert answers[3].error_response.error_code == 5


def names_of(data):
    from google.protobuf import descriptor_pb2
    f = descriptor_pb2.FileDescriptorProto.FromString(data)
    return f.name, {m.name for m in f.message_type}, {m.name for s in f.service for m in s.method}


def test_a_drain_tells_watchers_and_ends_with_0(new_stack, pb):
    stack = new_stack()
    scheduler = stack.of("scheduler")[0]
    with channel_of(stack) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", pb.health.HealthCheckRequest.SerializeToString,
                                     pb.health.HealthCheckResponse.FromString)
        answers = watch(pb.health.HealthCheckRequest(), timeout=60)
        assert next(answers).status == 1
        scheduler.signal(15)
        assert next(answers).status == 2
        assert code(lambda: next(answers)) == grpc.StatusCode.UNAVAILABLE
        assert scheduler.wait(20) and scheduler.exit_code() == 0


def make_certificates(folder):
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{ca}.pem", "-CAkey", folder / f"{ca}.key",
                "-CAcreateserial", "-days", "2", "-extfile", folder / "san", "-out", folder / f"{name}.pem")


def secure_channel(folder, port, who):
    own = {"private_key": (folder / f"{who}.key").read_bytes(), "certificate_chain": (folder / f"{who}.pem").read_bytes()} if who else {}
    return grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), **own))


def test_tls_with_client_certificates_and_a_token(new_stack, pb, tmp_path):
    make_certificates(tmp_path)
    (tmp_path / "token").write_text("secret-1\n")
    stack = new_stack(start=False)
    from foliostack import free_port
    port, port_plain = free_port(), free_port()
    stack.start_services(scheduler=0, userstream=0, stats=0, mailer=0)
    process = stack.start_service("scheduler", grpc_listen=f"tls+tcp://127.0.0.1:{port},tcp://127.0.0.1:{port_plain}",
                                  grpc_cert_file=tmp_path / "server.pem",
                                  grpc_key_file=tmp_path / "server.key", grpc_client_ca_file=tmp_path / "ca.pem",
                                  rpc_token_file=tmp_path / "token")
    stack.wait_ready(process)

    def channel(who):
        return secure_channel(tmp_path, port, who)

    with channel("client") as good, channel("stranger") as stranger, channel(None) as bare, grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        jobs = pb.jobs.ListJobsRequest()
        assert list(Client(pb, good, "secret-1").ListJobs(jobs).jobs) == []
        assert code(lambda: Client(pb, good).ListJobs(jobs)) == grpc.StatusCode.UNAUTHENTICATED
        assert code(lambda: Client(pb, good, "secret-2").ListJobs(jobs)) == grpc.StatusCode.UNAUTHENTICATED
        assert health(pb, good) == 1, "health asks for no token"
        for wrong in (stranger, bare, plain):
            assert code(lambda: health(pb, wrong, timeout=3)) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert health(pb, good) == 1
    with grpc.insecure_channel(f"127.0.0.1:{port_plain}") as probe:
        assert health(pb, probe) == 1, "plain text where it was asked for: a probe's door"
        assert code(lambda: Client(pb, probe).ListJobs(pb.jobs.ListJobsRequest())) == grpc.StatusCode.UNAUTHENTICATED


def test_tls_where_client_certificates_are_optional(new_stack, pb, tmp_path):
    make_certificates(tmp_path)
    stack = new_stack(start=False)
    from foliostack import free_port
    port = free_port()
    stack.start_services(scheduler=0, userstream=0, stats=0, mailer=0)
    process = stack.start_service("scheduler", grpc_listen=f"tls+tcp://127.0.0.1:{port}", grpc_cert_file=tmp_path / "server.pem",
                                  grpc_key_file=tmp_path / "server.key", grpc_client_ca_file=tmp_path / "ca.pem",
                                  grpc_client_cert_optional=True)
    stack.wait_ready(process)
    for who in ("client", None):
        with secure_channel(tmp_path, port, who) as channel:
            assert list(Client(pb, channel).ListJobs(pb.jobs.ListJobsRequest()).jobs) == []
    with secure_channel(tmp_path, port, "stranger") as channel:
        assert code(lambda: health(pb, channel, timeout=3)) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    # TLS 1.1 and clients that do not speak HTTP/2 are refused in the handshake.
    for wrong in (["-tls1_1", "-cipher", "ALL@SECLEVEL=0", "-alpn", "h2"], ["-alpn", "http/1.1"]):
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *wrong], capture_output=True, text=True, input="", timeout=20)
        assert said.returncode != 0 and "alert" in said.stderr, said.stderr


# --- the command line by this door -----------------------------------------------------------


def test_the_command_line_does_by_grpc_what_it_does_by_the_bus(new_stack, judge):
    stack = new_stack(mailer={"mail_rate": 1500})
    door = ("--rpc", f"grpc://127.0.0.1:{stack.of('scheduler')[0].ports['grpc']}")
    done = stack.foliopost("submit", "monthly", "--watch", *door)
    assert done.returncode == 0 and "COMPLETED" in done.stdout
    judge(stack).accounted(1)
    for command in (["status", "1"], ["report", "1"], ["jobs"], ["rates"], ["deliveries", "1", "--state", "failed"], ["fleet"]):
        by_bus, by_grpc = (json.loads(stack.foliopost(*command, "--json", *more).stdout) for more in ((), door))
        if command == ["fleet"]:  # which says when each was heard
            by_bus, by_grpc = ({i["id"] for i in said["instances"]} for said in (by_bus, by_grpc))
        assert by_bus == by_grpc, command
    lines = stack.foliopost("fleet", *door).stdout.splitlines()
    assert lines[0].split() == ["SERVICE", "ADDRESS", "VERSION", "STARTED", "HEARD", "BATCHES", "SLOTS", "NOTE"] and len(lines) == 5
    missing = stack.foliopost("status", "99", *door, check=False)
    assert missing.returncode == 5 and missing.stderr == stack.foliopost("status", "99", check=False).stderr
    bus = stack.of("scheduler")[0].ports["rpc"]
    wrong = stack.foliopost("jobs", "--rpc", f"grpc://127.0.0.1:{bus}", "--timeout", "2s", check=False)
    assert wrong.returncode == 4 and wrong.stderr.startswith("foliopost: ")
    nobody = stack.foliopost("jobs", "--rpc", "grpc://127.0.0.1:1", check=False)
    assert nobody.returncode == 4 and "is the scheduler running?" in nobody.stderr


def test_the_command_line_by_grpc_with_tls(new_stack, tmp_path):
    from foliostack import free_port
    make_certificates(tmp_path)
    (tmp_path / "token").write_text("secret-1\n")
    port = free_port()
    stack = new_stack(start=False)
    stack.options["scheduler"] = {"grpc_listen": f"tls+tcp://127.0.0.1:{port}", "grpc_cert_file": tmp_path / "server.pem",
                                  "grpc_key_file": tmp_path / "server.key", "grpc_client_ca_file": tmp_path / "ca.pem",
                                  "rpc_token_file": tmp_path / "token"}
    stack.start_services(userstream=0, stats=0, mailer=0)

    def jobs(who="client", ca="ca", host="localhost", scheme="tls+grpc", token=True):
        own = ["--bus-cert-file", tmp_path / f"{who}.pem", "--bus-key-file", tmp_path / f"{who}.key"] if who else []
        authority = ["--bus-ca-file", tmp_path / f"{ca}.pem"] if ca else []
        secret = ["--token-file", tmp_path / "token"] if token else []
        return stack.foliopost("jobs", "--json", "--rpc", f"{scheme}://{host}:{port}", *own, *authority, *secret, check=False)

    for host in ("localhost", "127.0.0.1"):
        good = jobs(host=host)
        assert good.returncode == 0 and json.loads(good.stdout)["jobs"] == [], good.stderr
    for wrong, code, told in (({"ca": "other"}, 4, "certificate is not accepted"), ({"ca": None}, 4, "certificate is not accepted"),
                              ({"host": "ip6-localhost"}, 4, ""), ({"who": None}, 4, ""), ({"who": "stranger"}, 4, ""),
                              ({"token": False}, 1, "UNAUTHENTICATED"), ({"scheme": "grpc", "ca": None}, 4, ""),
                              ({"scheme": "grpc"}, 2, "tls+grpc://"), ({"ca": "nothing"}, 2, "nothing.pem")):
        said = jobs(**wrong)
        assert said.returncode == code and told in said.stderr and "secret-1" not in said.stderr, (wrong, said.returncode, said.stderr)


def test_new_clients_are_served_by_a_scheduler_that_leaves(new_stack, pb):
    """kube-proxy sends them to it until it has heard; then the other one answers."""
    stack = new_stack(scheduler={"drain_delay": "6s"})
    leaving = stack.of("scheduler")[0]
    told = time.monotonic()
    leaving.signal(signal.SIGTERM)
    unready = 0
    while time.monotonic() < told + 4:
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"http://127.0.0.1:{leaving.ports['admin']}/readyz", timeout=5)
        unready += answer.value.code == 503
        stack.foliopost("jobs") # by the bus's door
        with channel_of(stack) as channel:
            Client(pb, channel).ListJobs(pb.jobs.ListJobsRequest())
    assert unready > 1
    assert leaving.wait(30) and leaving.exit_code() == 0
    assert time.monotonic() - told >= 6
