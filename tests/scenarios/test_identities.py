"""Who may call: the command line, the bus's door and gRPC's, with tokens and certificates."""
import time

import pytest

from foliostack import free_port
from test_grpc import Client, code, make_certificates, pb, secure_channel  # noqa: F401

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")

# As docs/rpc.md says it; services/scheduler/identities_test.c has the same for the bus's door.
LOOK, OPERATE, STOP, ADMIN = {"viewer", "operator", "approver", "admin"}, {"operator", "admin"}, {"operator", "approver", "admin"}, {"admin"}
ALLOWED = {
    **dict.fromkeys(["GetJob", "WatchJob", "ListJobs", "GetReport", "ListDeliveries", "GetUserHistory", "GetFleet", "ListSuppressions",
                     "ListRates", "GetSchedule", "ListSchedules"], LOOK),
    **dict.fromkeys(["SubmitJob", "PauseJob", "ResumeJob", "RetryFailed", "ResolveAmbiguous", "Suppress", "Unsuppress", "Resend",
                     "SetRate", "PreviewEmail", "SendTest", "CreateSchedule", "UpdateSchedule", "PauseSchedule", "ResumeSchedule", "DeleteSchedule", "RunSchedule"], OPERATE),
    **dict.fromkeys(["CancelJob", "ListAudit"], STOP),
    "ApproveJob": {"approver", "admin"},
    **dict.fromkeys(["EraseUser", "AddIdentity", "RevokeIdentity", "ListIdentities"], ADMIN),
}


def scheduler_alone(new_stack, **options):
    stack = new_stack(start=False)
    stack.start_services(scheduler=0, userstream=0, stats=0, mailer=0)
    process = stack.start_service("scheduler", **options)
    stack.wait_ready(process)
    return stack, process


def may_call(pb, channel, method, token):
    """Not PERMISSION_DENIED: an empty request is refused for what it lacks, if for anything."""
    m = pb.jobs.DESCRIPTOR.services_by_name["JobService"].methods_by_name[method]
    client = Client(pb, channel, token)
    try:
        reply = client._call(method, "unary_stream" if method == "WatchJob" else "unary_unary")(
            m.input_type._concrete_class(), timeout=20, metadata=client.metadata)
        if method == "WatchJob":
            list(reply)
    except grpc.RpcError as e:
        assert e.code() not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE), e
        return e.code() != grpc.StatusCode.PERMISSION_DENIED
    return True


def test_each_role_calls_what_it_may_at_the_grpc_door(new_stack, pb, tmp_path):  # noqa: F811
    stack, process = scheduler_alone(new_stack)
    secrets = {}
    for role in ("admin", "viewer", "operator", "approver"):
        out = tmp_path / role
        stack.foliopost("identities", "add", f"the-{role}", "--roles", role, "--out", out,
                        *(["--token-file", tmp_path / "admin"] if role != "admin" else []))
        secrets[role] = out.read_text().strip()
        assert out.stat().st_mode & 0o777 == 0o600
    methods = {m.name for m in pb.jobs.DESCRIPTOR.services_by_name["JobService"].methods}
    assert methods == set(ALLOWED), "who may call the new one?"
    with grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}") as channel:
        for role, secret in secrets.items():
            for method in sorted(methods):
                assert may_call(pb, channel, method, secret) == (role in ALLOWED[method]), f"{method} as {role}"
        assert code(lambda: Client(pb, channel).ListJobs(pb.jobs.ListJobsRequest())) == grpc.StatusCode.UNAUTHENTICATED
        metrics = stack.metrics(process)
        assert 'foliopost_grpc_calls_total{method="EraseUser",code="PERMISSION_DENIED"} 3' in metrics


def test_an_identity_comes_and_goes_by_the_command_line(new_stack, judge, tmp_path):
    stack, _ = scheduler_alone(new_stack)
    j = judge(stack)
    refused = stack.foliopost("identities", "add", "eve", "--roles", "viewer", "--out", tmp_path / "eve", check=False)
    assert refused.returncode != 0 and "must be an admin" in refused.stderr and not (tmp_path / "eve").exists()
    root = stack.foliopost("identities", "add", "root", "--roles", "admin").stdout.strip()
    assert root.startswith("fp_") and len(root) == 67
    assert j.sql("SELECT encode(token_hash, 'hex') = encode(sha256(convert_to('" + root + "', 'UTF8')), 'hex') FROM foliopost.identities")[0][0] == "t"
    (tmp_path / "root").write_text(root + "\n")
    with_root = ("--token-file", tmp_path / "root")
    assert "no token" in stack.foliopost("jobs", check=False).stderr
    stack.foliopost("identities", "add", "cron", "--roles", "operator,viewer", "--expires", "2099-01-01", "--out", tmp_path / "cron", *with_root)
    stack.foliopost("submit", "monthly", "--request-id", "by-cron", "--token-file", tmp_path / "cron")
    assert j.sql("SELECT actor FROM foliopost.audit WHERE action = 'submit'") == [["cron"]]
    table = stack.foliopost("identities", *with_root).stdout
    assert "operator" in table and "2099-01-01" in table and root not in table
    assert "may not call it" in stack.foliopost("identities", "--token-file", tmp_path / "cron", check=False).stderr
    stack.foliopost("identities", "revoke", "cron", *with_root)
    assert "not one of this server's" in stack.foliopost("jobs", "--token-file", tmp_path / "cron", check=False).stderr
    assert "cron" not in stack.foliopost("identities", "list", *with_root).stdout
    assert "cron" in stack.foliopost("identities", "list", "--all", *with_root).stdout


def test_a_job_that_needs_it_waits_for_a_second_identity(new_stack, judge, tmp_path):
    stack, process = scheduler_alone(new_stack, approval_above=1000000)
    j, run = judge(stack), stack.foliopost
    run("identities", "add", "root", "--roles", "admin", "--out", tmp_path / "root")
    by = {name: ("--token-file", tmp_path / name) for name in ("root", "ann", "bob")}
    run("identities", "add", "ann", "--roles", "operator,approver", "--out", tmp_path / "ann", *by["root"])
    run("identities", "add", "bob", "--roles", "approver", "--out", tmp_path / "bob", *by["root"])
    assert "foliopost approve" in run("submit", "monthly", "--approval", "--request-id", "four-eyes", *by["ann"]).stdout
    job = j.number("SELECT max(id) FROM foliopost.jobs")
    assert "PENDING (approval)" in run("jobs", *by["bob"]).stdout
    assert "waiting for approval by somebody else than ann" in run("status", job, *by["bob"]).stdout
    until = time.monotonic() + 60
    while "foliopost_jobs_unapproved 1" not in stack.metrics(process):
        assert time.monotonic() < until
        time.sleep(0.1)
    refused = run("approve", job, *by["ann"], check=False)
    assert refused.returncode == 1 and "submitted by ann, who cannot approve it as well" in refused.stderr
    assert j.sql(f"SELECT state, approved_by FROM foliopost.jobs WHERE id = {job}") == [["PENDING", ""]]
    run("approve", job, "--reason", "figures looked at", *by["bob"])
    run("approve", job, *by["bob"])  # is so already
    while j.sql(f"SELECT state FROM foliopost.jobs WHERE id = {job}") == [["PENDING"]]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert "by bob" in run("status", job, *by["bob"]).stdout
    assert j.sql("SELECT actor, detail FROM foliopost.audit WHERE action = 'approve'") == [["bob", "figures looked at"]]
    # A schedule's job is its author's.
    run("schedule", "create", "monthly", "--kind", "monthly", "--cron", "0 6 1 * *", "--approval", "yes", *by["ann"])
    j.sql("UPDATE foliopost.schedules SET version = version + 1, next_due = date_trunc('minute', now()) - interval '1 minute'")
    while not (fired := j.sql("SELECT job_id FROM foliopost.firings WHERE outcome = 'fired'")):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert run("approve", fired[0][0], *by["ann"], check=False).returncode == 1
    run("approve", fired[0][0], *by["bob"])


def test_the_token_file_opens_when_all_other_tokens_are_lost(new_stack, judge, tmp_path):
    (tmp_path / "file").write_text("from-the-secret\n")
    stack, _ = scheduler_alone(new_stack, rpc_token_file=tmp_path / "file")
    j, by_file = judge(stack), ("--token-file", tmp_path / "file")
    stack.foliopost("identities", "add", "ann", "--roles", "viewer", "--out", tmp_path / "ann", *by_file)
    stack.foliopost("identities", "revoke", "ann", *by_file)
    assert [a for [a] in j.sql("SELECT actor FROM foliopost.audit ORDER BY id")] == ["token-file", "token-file"]


def test_a_certificates_subject_is_an_identity(new_stack, judge, pb, tmp_path):  # noqa: F811
    make_certificates(tmp_path)
    port = free_port()
    stack, process = scheduler_alone(new_stack, grpc_listen=f"tls+tcp://127.0.0.1:{port}", grpc_cert_file=tmp_path / "server.pem",
                                     grpc_key_file=tmp_path / "server.key", grpc_client_ca_file=tmp_path / "ca.pem")
    root = stack.foliopost("identities", "add", "root", "--roles", "admin", "--out", tmp_path / "root") and (tmp_path / "root").read_text().strip()
    with secure_channel(tmp_path, port, "client") as channel:
        look = pb.jobs.ListJobsRequest()
        assert code(lambda: Client(pb, channel).ListJobs(look)) == grpc.StatusCode.UNAUTHENTICATED, "a certificate alone is nobody"
        stack.foliopost("identities", "add", "reports", "--roles", "operator", "--subject", "CN=client", "--token-file", tmp_path / "root")
        assert list(Client(pb, channel).ListJobs(look).jobs) == []
        assert code(lambda: Client(pb, channel).ListIdentities(pb.jobs.ListIdentitiesRequest())) == grpc.StatusCode.PERMISSION_DENIED
        assert [i.name for i in Client(pb, channel, root).ListIdentities(pb.jobs.ListIdentitiesRequest()).identities] == ["reports", "root"]
        assert code(lambda: Client(pb, channel, "wrong").ListJobs(look)) == grpc.StatusCode.UNAUTHENTICATED
        Client(pb, channel).SubmitJob(pb.jobs.SubmitJobRequest(request_id="c", spec=pb.jobs.JobSpec(kind=pb.jobs.JOB_KIND_MONTHLY)))
    assert judge(stack).sql("SELECT actor FROM foliopost.audit WHERE action = 'submit'") == [["reports"]]
    # Another scheduler revokes it: this one knows within seconds.
    judge(stack).sql("UPDATE foliopost.identities SET revoked_at = now() WHERE name = 'reports'")
    until = time.monotonic() + 60
    with secure_channel(tmp_path, port, "client") as channel:
        while time.monotonic() < until:
            try:
                Client(pb, channel).ListJobs(look)
            except grpc.RpcError as e:
                assert e.code() == grpc.StatusCode.UNAUTHENTICATED
                return
            time.sleep(0.1)
    pytest.fail("a revoked identity still calls after a minute")
