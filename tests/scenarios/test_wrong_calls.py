"""Each method with each field wrong in turn, by both doors: the code says so, the message names the field, nothing is ours
to blame and nothing happened. Then the methods with bytes that are no message at all."""
import random
import socket
import struct
import time

import pytest

from test_grpc import Client, channel_of, pb  # noqa: F401

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")

# What a caller may be told of his own mistake. UNAVAILABLE: of a preview, where no stats is alive.
TOKEN = "secret-of-the-test"
CODES = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "OK"}
NAMED = "INVALID_ARGUMENT"

INTS = [-1, -(1 << 63), (1 << 63) - 1]
SMALL_INTS = [-1, -(1 << 31), (1 << 31) - 1]
TEXTS = ["x" * 70000, "a\0b", "a\nb", "a\x1b[2Jb", "\u202e" + "x" * 600, "%n%s", "'; DROP TABLE foliopost.jobs; --", " ", "2026-02-30"]
DOUBLES = [-1.0, float("nan"), float("inf"), 1e308]


def wrong_values(field):
    from google.protobuf.descriptor import FieldDescriptor as F
    if field.type in (F.TYPE_INT64, F.TYPE_SINT64):
        return INTS
    if field.type in (F.TYPE_INT32, F.TYPE_SINT32):
        return SMALL_INTS
    if field.type == F.TYPE_ENUM:
        return [99, -1]
    if field.type == F.TYPE_DOUBLE:
        return DOUBLES
    if field.type == F.TYPE_STRING:
        return TEXTS
    if field.type == F.TYPE_BYTES:
        return [b"x", b"x" * 100000]
    return []


def changes(message, path=()):
    """(path, how it is made wrong) of every field, those of messages within too; replies' own fields of a request are left."""
    for f in message.DESCRIPTOR.fields:
        here = (*path, f.name)
        if f.message_type:
            if f.label == f.LABEL_REPEATED:
                yield here, lambda m, f=f: getattr(m, f.name).extend(f.message_type._concrete_class() for _ in range(1001))
                continue
            for deeper, make in changes(f.message_type._concrete_class(), here):
                yield deeper, lambda m, f=f, make=make: make(getattr(m, f.name))
        elif f.label == f.LABEL_REPEATED:
            for v in wrong_values(f):
                yield here, lambda m, f=f, v=v: getattr(m, f.name).extend([v])
            if f.cpp_type in (f.CPPTYPE_INT64, f.CPPTYPE_ENUM):
                yield here, lambda m, f=f: getattr(m, f.name).extend([1] * 120001)
        else:
            for v in wrong_values(f):
                yield here, lambda m, f=f, v=v: setattr(m, f.name, v)


def proper(jobs, method, job):
    """A request that is right but for what the test then makes wrong."""
    name = jobs.DESCRIPTOR.services_by_name["JobService"].methods_by_name[method].input_type._concrete_class
    m = name()
    for field, value in (("job_id", job), ("user_id", 1), ("request_id", f"wrong-{method}-{time.monotonic_ns()}"), ("name", "monthly"), ("to", "me@example.com")):
        if field in m.DESCRIPTOR.fields_by_name and m.DESCRIPTOR.fields_by_name[field].label != 3:
            setattr(m, field, value)
    if method in ("CreateSchedule", "UpdateSchedule"):
        m.schedule.name, m.schedule.cron, m.schedule.spec.kind = "monthly", "0 6 1 1 *", jobs.JOB_KIND_MONTHLY
    if method == "SubmitJob":
        m.spec.kind, m.dry_run = jobs.JOB_KIND_MONTHLY, True
    if method == "ResolveAmbiguous":
        m.resolution = jobs.AMBIGUOUS_RESOLUTION_ACCEPT
    if method == "AddIdentity":
        m.token_sha256 = random.randbytes(32)
        m.roles.append(jobs.ROLE_VIEWER)
    if method == "SendTest":
        m.mail.user_id = 1
    return m


# Called when all others were, since it ends what they need.
CHANGES_THE_WORLD = ["CancelJob", "EraseUser", "AddIdentity", "RevokeIdentity", "DeleteSchedule"]


@pytest.fixture
def alone(new_stack, tmp_path):
    """A scheduler and nobody else. An identity that is added locks its doors: hence a token from the beginning."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    stack = new_stack(start=False)
    stack.options["scheduler"] = {"rpc_token_file": tmp_path / "token"}
    stack.start_services(userstream=0, stats=0, mailer=0)
    return stack


class GrpcDoor:
    def __init__(self, pb, stack):  # noqa: F811
        self.channel = channel_of(stack)
        self.client = Client(pb, self.channel, TOKEN)

    def close(self):
        self.channel.close()

    def ask(self, method, request):
        """(code, message) of the answer."""
        try:
            kind = "unary_stream" if method == "WatchJob" else "unary_unary"
            call = self.client._call(method, kind)(request, timeout=5, metadata=self.client.metadata)
            if method == "WatchJob":
                next(call)
                call.cancel()
        except grpc.RpcError as e:
            return e.code().name, e.details()
        return "OK", ""

    def ask_raw(self, method, payload):
        try:
            self.channel.unary_unary(f"/foliopost.v1.JobService/{method}")(payload, timeout=5, metadata=self.client.metadata)
        except grpc.RpcError as e:
            return e.code().name
        return "OK"


class BusDoor:
    """NNG's REQ, on one connection, one call after the other."""

    def __init__(self, pb, stack):  # noqa: F811
        self.pb = pb.jobs
        self.socket = socket.create_connection(("127.0.0.1", stack.of("scheduler")[0].ports["rpc"]), timeout=10)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(b"\0SP\0" + struct.pack(">HH", 0x30, 0))
        assert self.stream.read(8) == b"\0SP\0" + struct.pack(">HH", 0x31, 0)

    def close(self):
        self.stream.close()
        self.socket.close()

    def ask(self, method, request):
        reply = self.reply(method, request.SerializeToString())
        return self.name(reply.code), reply.message

    def ask_raw(self, method, payload):
        return self.name(self.reply(method, payload).code)

    def reply(self, method, payload):
        packed = self.pb.RpcRequest(schema_version=1, method=method, request_id="1", deadline_ms=5000, token=TOKEN,
                                    payload=payload).SerializeToString()
        self.socket.sendall(struct.pack(">QI", 4 + len(packed), 0x80000001) + packed)
        return self.pb.RpcReply.FromString(self.stream.read(struct.unpack(">Q", self.stream.read(8))[0])[4:])

    @staticmethod
    def name(code):
        return next(c.name for c in grpc.StatusCode if c.value[0] == code)


@pytest.fixture(params=[GrpcDoor, BusDoor], ids=["grpc", "bus"])
def door(request, alone, pb):  # noqa: F811
    made = request.param(pb, alone)
    yield made
    made.close()


def test_each_field_of_each_method_wrong_in_turn(alone, door, pb):  # noqa: F811
    methods = [m.name for m in pb.jobs.DESCRIPTOR.services_by_name["JobService"].methods]
    first = pb.jobs.SubmitJobRequest(request_id="one", spec=pb.jobs.JobSpec(kind=pb.jobs.JOB_KIND_MONTHLY))
    assert door.ask("SubmitJob", first) == ("OK", "")
    job = 1
    assert door.ask("CreateSchedule", proper(pb.jobs, "CreateSchedule", job))[0] in ("OK", "ALREADY_EXISTS")
    bad, tried = [], 0
    for method in sorted(methods, key=CHANGES_THE_WORLD.__contains__):
        for path, make in changes(proper(pb.jobs, method, job)):
            request = proper(pb.jobs, method, job)
            try:
                make(request)
            except (ValueError, TypeError):  # this client cannot say that
                continue
            code, told = door.ask(method, request)
            tried += 1
            if code not in CODES or (code == NAMED and path[-1] not in told):
                bad.append(f"{method} {'.'.join(path)}: {code} {told[:150]!r}")
    assert tried > 700 and not bad, f"{len(bad)} of {tried}:\n" + "\n".join(bad)
    assert door.ask("ListJobs", pb.jobs.ListJobsRequest()) == ("OK", "")
    assert all(p.alive() for p in alone.of("scheduler"))


def test_bytes_that_are_no_message(alone, door, pb):  # noqa: F811
    seeded = random.Random(1)
    for m in pb.jobs.DESCRIPTOR.services_by_name["JobService"].methods:
        for n in (1, 2, 7, 40, 300, 5000):
            code = door.ask_raw(m.name, b"\xff" + seeded.randbytes(n))
            assert code == "INVALID_ARGUMENT", f"{m.name}, {n} bytes: {code}"
    assert all(p.alive() for p in alone.of("scheduler"))
