"""What the machines under it do: clocks that jump, a disk that is full, a standby that takes over, strangers on the bus."""
import glob
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from foliostack import ROOT, SERVICES, Process

pytestmark = pytest.mark.slow # what is preloaded and what sanitizers preload do not go together


# --- clocks ----------------------------------------------------------------------------------

def faked_clock(folder):
    """Environment of a process whose wall clock is set by a file; its monotonic clock is let alone, as a
    real step of the time leaves it."""
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert library, "libfaketime is missing: run script/bootstrap"
    clock = Path(folder) / "clock"
    clock.write_text("+0\n")
    clock.chmod(0o644)
    return clock, {"LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
                   "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def jump(clock, seconds):
    clock.write_text(f"{seconds:+d}\n")


@pytest.mark.machine
def test_wall_clocks_of_the_services_that_jump_change_nothing(new_stack, judge, tmp_path):
    clock, env = faked_clock(tmp_path)
    stack = new_stack(env=env, mailer={"mail_rate": 150})
    j = judge(stack)
    job = j.submit("monthly")
    for share, seconds in ((200, 3600), (500, -7200), (800, 40 * 86400), (1100, 0)):
        j.wait_sent(job, share)
        jump(clock, seconds)
    j.wait_state(job, "COMPLETED", 120)
    assert j.accounted(job)["ambiguous"] == 0, "a lease that ended by a wall clock"
    assert max(j.mails(job).values()) == 1
    assert all(p.alive() for p in stack.processes.values())


@pytest.mark.machine
def test_the_databases_clock_jumps_and_nobody_is_mailed_twice(new_stack, own_server, judge, tmp_path):
    """An hour ahead every lease is over at once: what was open is unknown, and said so. Ten seconds back all
    that is due, the next slice of the rate too, is ten seconds further."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents: # the server runs as an ordinary user
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    clock, env = faked_clock(tmp_path)
    stack = new_stack(on=own_server(env=env, users=1200), mailer={"mail_rate": 150, "connections": 8})
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_sent(job, 300)
    jump(clock, 3600)
    j.wait_sent(job, 700, 60)
    jump(clock, 3590)
    end = time.monotonic() + 120
    while j.state(job) != "COMPLETED":
        assert time.monotonic() < end, j.diagnosis(job)
        for p in stack.processes.values():
            if not p.alive(): # whose lease is over may end: Kubernetes starts it again
                stack.start_service(p.name.rstrip("0123456789"))
        time.sleep(0.2)
    counts = j.accounted(job)
    assert counts["ambiguous"] <= 4 * 16, "more than the open mails of a mailer for each jump"
    assert max(j.mails(job).values()) == 1


def refusals_wait(j, job):
    return j.number(f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job} AND state = 'deferred'")


@pytest.mark.machine
def test_the_databases_clock_is_set_back_by_six_hours_and_work_goes_on(new_stack, own_server, judge, tmp_path):
    """What waits for its due time when the clock is set, refused mails above all, waits as long as was meant, and no
    six hours more."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents: # the server runs as an ordinary user
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    clock, env = faked_clock(tmp_path)
    cues = tmp_path / "cues"
    cues.write_text("refuse-rcpt 450:40%\n")
    stack = new_stack(on=own_server(env=env, users=1200), sink=("--control-file", cues),
                      mailer={"mail_rate": 150, "connections": 8, "retry_base": "4s", "retry_cap": "6s"})
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_sent(job, 200)
    cues.write_text("normal\n")
    assert refusals_wait(j, job) > 20, "nobody waits: the test shows nothing"
    sent = j.mails(job).total()
    jump(clock, -6 * 3600)
    began = time.monotonic()
    j.wait_sent(job, sent + 60, 30)
    went_on_s = time.monotonic() - began
    end = time.monotonic() + 60
    while j.state(job) != "COMPLETED":
        assert time.monotonic() < end, j.diagnosis(job)
        for p in stack.processes.values():
            if not p.alive(): # whose lease is over may end: Kubernetes starts it again
                stack.start_service(p.name.rstrip("0123456789"))
        time.sleep(0.2)
    counts = j.accounted(job)
    assert went_on_s < 30, f"work went on after {went_on_s:.1f} s"
    assert counts["ambiguous"] <= 2 * 16, "more than the open mails of a mailer"
    assert max(j.mails(job).values()) == 1
    print(f"went on after {went_on_s:.1f} s, all done after {time.monotonic() - began:.1f} s")


# --- a standby ---------------------------------------------------------------------------------

@pytest.mark.machine
def test_a_promoted_synchronous_standby_takes_over_in_mid_job(new_stack, own_server, judge):
    primary = own_server(options="-c wal_level=replica -c max_wal_senders=4 -c wal_keep_size=256MB")
    standby = primary.copy_to(primary.folder / "standby")
    try:
        standby.start()
        primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("postgres", "SELECT pg_reload_conf()")
        end = time.monotonic() + 30
        while primary.sql("postgres", "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != [["1"]]:
            assert time.monotonic() < end, "the standby does not follow"
            time.sleep(0.1)
        both = f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port} user=foliopost target_session_attrs=read-write"
        stack = new_stack(on=primary, start=False)
        dsn = f"{both} dbname={stack.database}"
        stack.options = {s: {"ledger_dsn": dsn, **({} if s == "mailer" else {"source_dsn": dsn})} for s in SERVICES}
        stack.options["mailer"]["mail_rate"] = 200
        stack.start_services()
        j = judge(stack)
        job = j.submit("monthly")
        j.wait_sent(job, 300)
        primary.stop("immediate")
        sent = j.mails(job).total()
        time.sleep(2)
        standby.promote()
        stack.postgres = standby
        j.wait_sent(job, sent + 40, 60)
        j.wait_state(job, "COMPLETED", 120)
        assert j.accounted(job)["ambiguous"] == 0, "what was committed is on the standby"
        assert max(j.mails(job).values()) == 1
        assert all(p.alive() for p in stack.processes.values())
    finally:
        standby.stop("immediate")


# --- a full disk ---------------------------------------------------------------------------------

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 MB, of which a file takes what is wanted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m,mode=0755", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    for parent in disk.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.machine
def test_a_full_disk_under_postgresql_is_waited_out(new_stack, small_disk, own_server, judge): # the server ends before its disk
    server = own_server(folder=small_disk / "server", users=800)
    stack = new_stack(on=server, mailer={"mail_rate": 200})
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_sent(job, 300)
    ballast = small_disk / "ballast"
    with ballast.open("wb") as f:
        try:
            while True:
                f.write(b"\0" * 65536)
                f.flush()
        except OSError:
            pass
    time.sleep(6) # statements fail, or the server ends when it cannot write its log
    ballast.unlink()
    server.stop("fast") # as an operator would: it may be down already
    server.start()
    j.wait_state(job, "COMPLETED", 120)
    j.accounted(job)
    assert max(j.mails(job).values()) == 1
    assert all(p.alive() for p in stack.processes.values()), "a service ended because of the database's disk"


# --- strangers on the bus ----------------------------------------------------------------------------

def openssl(folder, *args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)


def authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")


def certificate(folder, name, ca, expired=False):
    """name.pem and name.key, signed by ca; for localhost and 127.0.0.1."""
    (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", f"{name}.key",
            "-out", f"{name}.csr")
    lifetime = ("-days", "2")
    sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-extfile", f"{name}.ext", "-out", f"{name}.pem", *lifetime]
    if expired: # openssl signs for now only: the clock is another one
        subprocess.run(["faketime", "-f", "-30d", "openssl", *sign], check=True, capture_output=True, cwd=folder)
    else:
        openssl(folder, *sign)


def what_a_stranger_gets(port, folder, name=None, trust="ca"):
    """What the port says to one who has this certificate, or none: "" for nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / f"{trust}.pem")
    context.check_hostname = False
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw) as s:
            s.settimeout(10)
            return s.recv(8) # what it begins with; who is silent gets no messages
    except OSError: # of TLS too; 10 s of silence is not among what is expected
        return b""


def test_a_stranger_gets_nothing_from_a_bus_with_certificates(new_stack, judge, tmp_path):
    authority(tmp_path, "ca")
    authority(tmp_path, "other")
    certificate(tmp_path, "ours", "ca")
    certificate(tmp_path, "expired", "ca", expired=True)
    certificate(tmp_path, "foreign", "other")
    stack = new_stack(start=False)
    files = {"bus_ca_file": tmp_path / "ca.pem", "bus_cert_file": tmp_path / "ours.pem", "bus_key_file": tmp_path / "ours.key"}
    ports = {s: stack._ports(s) for s in SERVICES}
    for s in SERVICES:
        stack.processes[f"{s}1"] = Process(f"{s}1", stack.folder, [], ports=ports[s])
    url = {s: f"tls+tcp://localhost:{ports[s].get('out')}" for s in SERVICES}
    stack.options = {
        "scheduler": {**files, "work_listen": url["scheduler"], "rpc_listen": f"tls+tcp://localhost:{ports['scheduler']['rpc']}"},
        "userstream": {**files, "work_from": url["scheduler"], "users_listen": url["userstream"]},
        "stats": {**files, "users_from": url["userstream"], "summaries_listen": url["stats"]},
        "mailer": {**files, "summaries_from": url["stats"], "mail_rate": 300},
    }
    stack.start_services()
    j = judge(stack)
    env = {**os.environ, **stack.env(), "FOLIOPOST_RPC": f"tls+tcp://localhost:{ports['scheduler']['rpc']}",
           "FOLIOPOST_BUS_CA_FILE": str(tmp_path / "ca.pem"), "FOLIOPOST_BUS_CERT_FILE": str(tmp_path / "ours.pem"),
           "FOLIOPOST_BUS_KEY_FILE": str(tmp_path / "ours.key")}
    done = subprocess.run([stack.binary("foliopost"), "submit", "monthly", "--json"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    job = int(j.sql("SELECT max(id) FROM foliopost.jobs")[0][0])
    j.wait_sent(job, 200)
    doors = [ports["scheduler"]["out"], ports["userstream"]["out"], ports["stats"]["out"], ports["scheduler"]["rpc"]]
    for port in doors:
        assert what_a_stranger_gets(port, tmp_path, "ours").startswith(b"\x00SP"), "who has a good one is greeted"
    for port in doors:
        assert what_a_stranger_gets(port, tmp_path) == b"", "no certificate"
        assert what_a_stranger_gets(port, tmp_path, "foreign") == b"", "of another CA"
        assert what_a_stranger_gets(port, tmp_path, "expired") == b"", "expired"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain: # no TLS at all
            plain.settimeout(10)
            plain.sendall(b"\x00SP\x00\x00\x51\x00\x00") # as one that pulls
            try:
                assert plain.recv(8)[:3] != b"\x00SP"
            except OSError:
                pass
    plain = subprocess.run([stack.binary("foliopost"), "jobs"], env={**os.environ, "FOLIOPOST_RPC": env["FOLIOPOST_RPC"].replace("tls+", "")},
                           capture_output=True, text=True, timeout=60)
    assert plain.returncode != 0
    end = time.monotonic() + 90
    while j.sql(f"SELECT state FROM foliopost.jobs WHERE id = {job}") != [["COMPLETED"]]:
        assert time.monotonic() < end, j.diagnosis(job)
        time.sleep(0.2)
    j.accounted(job)


# --- without any right -------------------------------------------------------------------------------

NOBODY = "65532" # as in the image
CONFINED = """#!/bin/sh
exec unshare --mount --propagation private sh -euc '
for disk in $(findmnt -rn -o TARGET); do
    mount -o remount,bind,ro "$disk" 2>/dev/null || true
done
exec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all {program} "$@"' confined "$@"
"""


def confine(folder, build):
    """A folder like build/ whose services run as nobody, with no capability, on read-only disks."""
    (folder / "bin").mkdir(parents=True)
    (folder / "real").mkdir()
    (folder / "bin" / "foliopost").symlink_to(build / "bin" / "foliopost")
    for name in (f"foliopost-{s}" for s in (*SERVICES, "inbound")):
        shutil.copy(build / "bin" / name, folder / "real" / name) # the build's own folder may be nobody's to read
        wrapper = folder / "bin" / name
        wrapper.write_text(CONFINED.format(user=NOBODY, program=folder / "real" / name))
        wrapper.chmod(0o755)
    shutil.copytree(ROOT / "services" / "mailer" / "templates", folder / "share" / "foliopost" / "templates")
    return folder


def facts(process):
    status = dict(line.split(":", 1) for line in open(f"/proc/{process.pid}/status").read().splitlines() if ":" in line)
    root = [line.split()[3] for line in open(f"/proc/{process.pid}/mounts") if line.split()[1] == "/"][-1]
    core = next(line.split()[4] for line in open(f"/proc/{process.pid}/limits") if line.startswith("Max core file size"))
    return {"users": set(status["Uid"].split()), "rights": {status[c].strip().strip("0") for c in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")},
            "no_new": status["NoNewPrivs"].strip(), "root": root.split(",")[0], "core": core}


def test_the_services_need_no_right_and_no_disk(new_stack, judge):
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("only root can take everything away")
    stack = new_stack(start=False)
    stack.build = confine(stack.folder / "confined", stack.build)
    stack.token_keys()
    shutil.chown(stack.token_keys(), int(NOBODY), int(NOBODY))
    stack.options["mailer"] = {"templates": stack.build / "share" / "foliopost" / "templates"}
    stack.start_services()
    stack.start_inbound()
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED", 120)
    j.accounted(job)
    for service in (*SERVICES, "inbound"):
        for process in stack.of(service):
            assert facts(process) == {"users": {NOBODY}, "rights": {""}, "no_new": "1", "root": "ro", "core": "0"}, process.name
