"""What each kind of fault does. A fault is a generator: what stands before its yield
begins it, what stands behind ends it, after as long as the plan says. Where it cannot
do its part (the process it aims at is gone just now) it raises Missed."""
import os
import random
import signal
import socket
import time

import psycopg2

from foliostack import StackError

FAULTS = {}


class Missed(Exception):
    pass


def fault(name):
    def register(f):
        FAULTS[name] = f
        return f
    return register


def running(s, name):
    if name not in s.wanted:
        raise Missed(f"{name} is not running")
    return s.processes[name]


# --- processes -----------------------------------------------------------------------------

@fault("killed")
def killed(s, f):
    running(s, f.target)
    s.kill(f.target)
    if s.fast:
        s.lease_over(f.target)
    yield
    s.start(f.target)


@fault("two killed at once")
def two_killed(s, f):
    names = f.target.split("+")
    for name in names:
        running(s, name)
    for name in names:
        s.kill(name)
    yield
    for name in names:
        s.start(name)


@fault("frozen past the lease")
@fault("frozen for a moment")
def frozen(s, f):
    process = running(s, f.target)
    process.signal(signal.SIGSTOP)
    yield
    process.signal(signal.SIGCONT)


@fault("terminated")
def terminated(s, f):
    running(s, f.target)
    wrong = s.terminate(f.target)
    yield
    s.start(f.target)
    if wrong:
        raise StackError(wrong)


@fault("scaled up and down")
def scaled(s, f):
    s.start(f.target)
    yield
    wrong = s.terminate(f.target)
    if wrong:
        raise StackError(wrong)


@fault("cut off from PostgreSQL")
def cut_off(s, f):
    door = s.database_doors[f.target]
    door.blackhole = True
    yield
    door.blackhole = False


@fault("garbage on the ports")
def garbage(s, f):
    dice = random.Random(f"{s.seed}/{f.no}")
    pieces = [b"GET / HTTP/1.1\r\n\r\n", b"\x00SP\x00\x00\x50\x00\x00" + b"\xff" * 64,
              b"\x00SP\x00\x00\x30\x00\x00" + b"\x00" * 7 + b"\x10" + b"\x7f" * 16,
              b"\x00SP\x00\x00\x51\x00\x00", dice.randbytes(4000), b""]
    for port in running(s, f.target).ports.values():
        for piece in pieces:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=3) as c:
                    c.sendall(piece)
                    time.sleep(0.01)
            except OSError:
                pass # it dropped us already: its right
    yield


# --- PostgreSQL ----------------------------------------------------------------------------

@fault("PostgreSQL killed")
def postgres_killed(s, f):
    os.kill(s.postmaster(), signal.SIGKILL)
    yield
    back(s)


def back(s, seconds=40):
    """The children of a killed server need a moment to notice, and until then pg_ctl may
    believe that one runs: so it is asked."""
    end = time.monotonic() + seconds
    while True:
        try:
            s.start_postgres()
            s.patiently("SELECT 1", seconds=3)
            return
        except (StackError, psycopg2.Error):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


@fault("a backend of PostgreSQL killed")
def backend_killed(s, f):
    rows = s.patiently("SELECT pid FROM pg_stat_activity WHERE datname = 'chaos' AND application_name <> 'judge' ORDER BY pid")
    if not rows:
        raise Missed("nobody is connected")
    os.kill(rows[int(f.value * len(rows)) % len(rows)][0], signal.SIGKILL)
    yield
    s.patiently("SELECT 1") # the server restarts itself


@fault("PostgreSQL restarted")
@fault("PostgreSQL stopped at once")
def postgres_stopped(s, f):
    s.postgres.stop(f.detail or "immediate")
    yield
    back(s)


@fault("PostgreSQL frozen past the lease")
def postgres_frozen(s, f):
    s.signal_postgres(signal.SIGSTOP)
    yield
    s.signal_postgres(signal.SIGCONT)
    s.patiently("SELECT 1")


@fault("PostgreSQL slow")
def postgres_slow(s, f):
    for door in s.database_doors.values():
        door.latency_s = f.value
    yield
    for door in s.database_doors.values():
        door.latency_s = 0.0


TERMINATE = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'chaos'"
             " AND pid <> pg_backend_pid() AND application_name <> 'judge'")


@fault("connections terminated")
def terminated_connections(s, f):
    s.patiently(TERMINATE + " AND abs(hashint4(pid + %s)) %% 100 < %s", (f.no, 100 if f.value < 0.3 else 40))
    yield


@fault("statement_timeout storm")
def storm(s, f):
    s.patiently(f"ALTER DATABASE chaos SET statement_timeout = '{2 + int(f.value * 6)}ms'")
    s.patiently(TERMINATE)
    yield
    s.patiently("ALTER DATABASE chaos RESET statement_timeout")
    s.patiently(TERMINATE)


@fault("tables locked")
def locked(s, f):
    table = ("batches", "deliveries", "instances", "jobs")[int(f.value * 4) % 4]
    try:
        connection = s.connect()
        connection.autocommit = False
        connection.cursor().execute(f"SET lock_timeout = '5s'; LOCK TABLE foliopost.{table} IN ACCESS EXCLUSIVE MODE")
    except psycopg2.Error as e:
        raise Missed(str(e)) from None
    yield
    connection.close()


def once(s, f, what, pid=None):
    """Waits until it has happened."""
    door = s.database_doors[f.target]
    before = door.counts[what]
    action = (what, f.detail, f.value, pid)
    door.once.append(action)
    end = time.monotonic() + 15
    while door.counts[what] == before:
        if time.monotonic() > end or s.hurry.is_set():
            try:
                door.once.remove(action)
            except ValueError:
                return # just now
            raise Missed(f"{f.target} ran no {f.detail or 'statement'}")
        time.sleep(0.05)


@fault("cut after a commit, before its reply")
def reply_lost(s, f):
    once(s, f, "reply lost")
    yield


@fault("cut before a statement")
def statement_lost(s, f):
    once(s, f, "statement lost")
    yield


@fault("a statement late, its client gone")
def statement_late(s, f):
    once(s, f, "statement late")
    yield


@fault("killed, a statement on its way")
def killed_behind(s, f):
    """What it asked last arrives when its lease is over."""
    process = running(s, f.target)
    s.unwanted(f.target)
    try:
        once(s, f, "statement late", process.pid)
    except Missed:
        with s.lock:
            s.wanted.add(f.target)
        raise
    process.wait(5)
    yield
    s.start(f.target)


# --- the bus -------------------------------------------------------------------------------------

def on_pipe(name, **settings):
    """A fault that sets attributes of a pipe's doors for its time."""
    @fault(name)
    def set_for_a_while(s, f):
        doors = s.doors_of(f.target)
        for door in doors:
            for key, value in settings.items():
                setattr(door, key, f.value if value == "value" else value)
        yield
        for door in doors:
            for key in settings:
                setattr(door, key, type(getattr(door, key))(0))


on_pipe("messages lost", lose=30)
on_pipe("all messages lost", lose=100)
on_pipe("messages doubled", double=50, late_copies_s="value")
on_pipe("messages delayed", delay=30, delay_s="value")
on_pipe("messages reordered", reorder=30)
on_pipe("messages spoiled", spoil=30)
on_pipe("cut off from the bus", blackhole=True)


@fault("bus connections cut")
def bus_cut(s, f):
    for door in s.doors_of(f.target):
        door.cut_all()
    yield


# --- the relay -------------------------------------------------------------------------------------

def relay(name, *lines):
    @fault(name)
    def misbehave(s, f):
        s.cue(*lines)
        yield
        s.cue("normal")


relay("relay down", "stop-accepting")
relay("relay slow", "delay-ms 300")
relay("relay throttles", "refuse-mail 421:30%")
relay("relay refuses for now", "refuse-rcpt 450:20%")
relay("relay closes after the data", "close-after-data 3%")
relay("relay closes before the data", "close-before-data 10%")


@fault("relay killed")
def relay_killed(s, f):
    s.processes["sink"].kill()
    yield
    s.start_the_sink()


@fault("relay frozen")
def relay_frozen(s, f):
    s.processes["sink"].signal(signal.SIGSTOP)
    yield
    s.processes["sink"].signal(signal.SIGCONT)


# --- people ----------------------------------------------------------------------------------------

@fault("job paused")
def paused(s, f):
    rows = s.patiently("SELECT id FROM foliopost.jobs WHERE state = 'IN_PROGRESS' ORDER BY id")
    if not rows:
        raise Missed("no job in progress")
    job = rows[int(f.value * len(rows)) % len(rows)][0]
    s.paused.add(job)
    s.foliopost("pause", job, "--timeout", "5s", check=False) # done perhaps also when nobody answered
    yield
    while s.patiently("SELECT state FROM foliopost.jobs WHERE id = %s", (job,)) == [("PAUSED",)]:
        s.foliopost("resume", job, "--timeout", "5s", check=False)
    s.paused.discard(job)


@fault("job cancelled")
def cancelled(s, f):
    rows = s.patiently("SELECT id FROM foliopost.jobs WHERE state = 'IN_PROGRESS' ORDER BY id")
    if not rows:
        raise Missed("no job in progress")
    job = rows[int(f.value * len(rows)) % len(rows)][0]
    s.cancelled.add(job)
    s.foliopost("cancel", job, "--timeout", "5s", check=False)
    yield
    if s.patiently("SELECT state FROM foliopost.jobs WHERE id = %s", (job,)) != [("CANCELLED",)]:
        time.sleep(10) # a call without an answer may come yet
        if s.patiently("SELECT state FROM foliopost.jobs WHERE id = %s", (job,)) != [("CANCELLED",)]:
            s.cancelled.discard(job)


@fault("failed and ambiguous opened again")
def opened_again(s, f):
    """Of a job that has just completed: it is judged when it has completed again."""
    end = time.monotonic() + 30
    while not (rows := s.patiently("SELECT id, ambiguous_policy FROM foliopost.jobs WHERE state = 'COMPLETED' AND round = 1"
                                   " AND finished_at > clock_timestamp() - interval '6 s' ORDER BY id")):
        if time.monotonic() > end or s.hurry.is_set():
            raise Missed("no job has just completed")
        time.sleep(0.2)
    job, policy = rows[int(f.value * len(rows)) % len(rows)]
    what = "accept" if policy == "hold" else "resend"
    if f.no % 2:
        s.foliopost("retry", job, "--timeout", "5s", check=False)
    else:
        s.resolved[job] = what
        s.foliopost("resolve", job, what, "--timeout", "5s", check=False)
    yield


@fault("rate set")
def rate_set(s, f):
    if s.foliopost("rate", 50 + int(f.value * 500), "--timeout", "5s", check=False).returncode != 0:
        raise Missed("nobody answered")
    yield
    end = time.monotonic() + 60
    while s.foliopost("rate", "reset", "--timeout", "5s", check=False).returncode != 0:
        if time.monotonic() > end:
            raise StackError("the rate could not be reset for a minute")


def check_names(kinds):
    missing = [k.name for k in kinds if k.name not in FAULTS]
    if missing:
        raise ValueError(f"kinds of faults that nobody can do: {missing}")
