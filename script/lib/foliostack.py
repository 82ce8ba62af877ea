"""A whole Foliopost on one machine: a private PostgreSQL, the four services and
a mail sink, each a process on free loopback ports, in a folder of its own.

script/stack is the command; script/demo and the scenarios use it too. Every
process is remembered with its start time, and only ever signalled by that: a
process id that was taken by somebody else is left alone.
"""
import datetime
import functools
import itertools
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("scheduler", "userstream", "stats", "mailer")
# For whoever starts sanitized binaries: scenarios, chaos, sabotage, crash points.
os.environ["LSAN_OPTIONS"] = f"suppressions={ROOT / 'tests' / 'lsan.supp'}:print_suppressions=0"


class StackError(Exception):
    """Something a person has to mend; the text says what."""


# Below the range that the kernel takes for outgoing connections: a port there
# could be taken by one between our asking and our listening, and a client that
# tries a closed one again and again can connect to itself. Each process draws
# from a hundredth of its own, so that two that start at once do not meet.
PORTS_FIRST, PORTS_EACH = 20000, 120
_drawn = itertools.count()


def free_port():
    for _ in range(PORTS_EACH):
        port = PORTS_FIRST + os.getpid() % 100 * PORTS_EACH + next(_drawn) % PORTS_EACH
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise StackError(f"no free port among {PORTS_EACH}")


def start_time(pid):
    """Start time of a process in clock ticks, None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def months_ago(n):
    """The last full month, or the n-th before it, as a period FIRST..LAST."""
    last = datetime.date.today().replace(day=1) - datetime.timedelta(days=1)
    for _ in range(n):
        last = last.replace(day=1) - datetime.timedelta(days=1)
    return f"{last.replace(day=1)}..{last}"


def wait_for_port(port, seconds=10):
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise StackError(f"nothing listens on port {port} after {seconds} s") from None
            time.sleep(0.02)


class Process:
    """One started program: its command, its log and its identity."""

    def __init__(self, name, folder, argv, env=None, ports=None):
        self.name, self.folder, self.argv = name, Path(folder), [str(a) for a in argv]
        self.env, self.ports = dict(env or {}), dict(ports or {})
        self.pid = self.started = None
        self.child = None

    @property
    def log(self):
        return self.folder / "logs" / f"{self.name}.log"

    def start(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env={**os.environ, **self.env}, start_new_session=True, cwd=ROOT)
        self.pid = self.child.pid
        self.started = start_time(self.pid)
        return self

    def alive(self):
        """Until its last thread is gone: a killed leader is a zombie while its threads still
        hold the ports, and the kernel gives its exit code to nobody before they are gone."""
        if self.child is not None:
            return self.child.poll() is None
        return self.pid is not None and self.started is not None and start_time(self.pid) == self.started

    def peak_mib(self):
        """Most resident memory so far, in MiB; None when it is gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text() if self.alive() else ""
        except OSError:
            return None
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), None)

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def wait(self, seconds):
        """True when it ended in time."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def stop(self, seconds=30):
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if not self.wait(seconds):
            self.signal(signal.SIGKILL)
            self.wait(5)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait(5)

    def exit_code(self):
        """Of a process that ended and was started by us."""
        return None if self.child is None else self.child.wait(timeout=5)

    def log_tail(self, lines=15):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def to_json(self):
        return {"name": self.name, "argv": self.argv, "env": self.env, "ports": self.ports,
                "pid": self.pid, "started": self.started}

    @classmethod
    def from_json(cls, folder, d):
        p = cls(d["name"], folder, d["argv"], d["env"], d["ports"])
        p.pid, p.started = d["pid"], d["started"]
        return p


@functools.cache
def psql_path():
    """The program itself: Debian's /usr/bin/psql is a script that looks for it, which takes as long again."""
    return str(max(Path("/usr/lib/postgresql").glob("*/bin/psql"), key=lambda p: int(p.parts[4]), default="psql"))


class Postgres:
    """A private server in a folder, by script/lib/postgres.sh."""

    def __init__(self, folder, env=None):
        self.folder, self.env = Path(folder), dict(env or {})

    def _shell(self, command):
        env = {**os.environ, "PG_ENV": " ".join(f"{k}={v}" for k, v in self.env.items())}
        return subprocess.run(["bash", "-c", f". script/lib/postgres.sh; {command}"], cwd=ROOT, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True)

    @property
    def port(self):
        return int((self.folder / "pg.port").read_text())

    def start(self, options=""):
        self.folder.mkdir(parents=True, exist_ok=True)
        done = self._shell(f"PG_EXTRA_OPTIONS={shlex.quote(options)} pg_private_start {shlex.quote(str(self.folder))}")
        if done.returncode:
            raise StackError(f"PostgreSQL did not start:\n{done.stderr}")

    def stop(self, mode="fast"):
        self._shell(f"pg_private_stop {shlex.quote(str(self.folder))} {mode}")

    def copy_to(self, folder):
        """A standby in another folder, not started: a base backup that follows this server."""
        standby = Postgres(folder, self.env)
        standby.folder.mkdir(parents=True)
        done = self._shell(f"pg_private_copy {shlex.quote(str(self.folder))} {shlex.quote(str(folder))}")
        if done.returncode:
            raise StackError(f"pg_basebackup:\n{done.stderr}")
        return standby

    def promote(self):
        done = self._shell(f"pg_private_promote {shlex.quote(str(self.folder))}")
        if done.returncode:
            raise StackError(f"the standby was not promoted:\n{done.stderr}")

    def dsn(self, database):
        return f"host=127.0.0.1 port={self.port} user=foliopost dbname={database}"

    def sql(self, database, text):
        """Runs statements by psql; returns the rows as lists of text."""
        done = subprocess.run([psql_path(), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", self.dsn(database), "-c", text],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise StackError(f"psql: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]


class Stack:
    def __init__(self, folder, build=None, database="foliopost"):
        self.folder = Path(folder).resolve()
        self.build = Path(build or os.environ.get("FOLIOPOST_BUILD", ROOT / "build" / "release")).resolve()
        self.database = database
        self.postgres = Postgres(self.folder)
        self.processes = {}
        self.smtp = None
        self.options = {}
        self.service_env = {} # of every service; not kept in stack.json

    # --- what there is --------------------------------------------------------------

    @property
    def dsn(self):
        return self.postgres.dsn(self.database)

    @property
    def record(self):
        return self.folder / "sink" / "record.tsv"

    @property
    def mails(self):
        return self.folder / "sink" / "mails"

    def binary(self, name):
        path = self.build / "bin" / name
        if not path.exists():
            raise StackError(f"{path} is not there: run script/build first")
        return path

    def of(self, service):
        return [p for n, p in sorted(self.processes.items()) if n.rstrip("0123456789") == service]

    def env(self):
        """What `script/stack env` exports."""
        e = {"PATH": f"{self.build}/bin:{os.environ['PATH']}",
             "FOLIOPOST_LEDGER_DSN": self.dsn, "FOLIOPOST_SOURCE_DSN": self.dsn}
        schedulers = self.of("scheduler")
        if schedulers:
            e["FOLIOPOST_RPC"] = ",".join(f"tcp://127.0.0.1:{p.ports['rpc']}" for p in schedulers)
        if self.smtp:
            e["FOLIOPOST_SMTP"] = self.smtp
        for service in SERVICES:
            urls = [f"http://127.0.0.1:{p.ports['admin']}" for p in self.of(service)]
            if urls:
                e[f"FOLIOPOST_ADMIN_{service.upper()}"] = ",".join(urls)
        for p in self.of("inbound"):
            e["FOLIOPOST_INBOUND"] = f"http://127.0.0.1:{p.ports['http']}"
        if "sink" in self.processes:
            e["FOLIOPOST_SINK"] = str(self.record)
        return e

    # --- state on disk: so that `down` finds what `up` started -------------------------

    def save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"build": str(self.build), "database": self.database, "smtp": self.smtp, "options": self.options,
                 "processes": [p.to_json() for p in self.processes.values()]}
        temp = self.folder / "stack.json.new"
        temp.write_text(json.dumps(state, indent=1, default=str))
        temp.replace(self.folder / "stack.json")

    @classmethod
    def load(cls, folder):
        try:
            state = json.loads((Path(folder) / "stack.json").read_text())
        except FileNotFoundError:
            raise StackError(f"no stack in {folder}: run `script/stack up --dir {folder}`") from None
        s = cls(folder, state["build"], state["database"])
        s.smtp, s.options = state["smtp"], state["options"]
        s.processes = {d["name"]: Process.from_json(s.folder, d) for d in state["processes"]}
        return s

    # --- up and down -------------------------------------------------------------------

    def foliopost(self, *args, check=True, timeout=None):
        done = subprocess.run([str(self.binary("foliopost")), *map(str, args)], env={**os.environ, **self.env()},
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout)
        if check and done.returncode:
            raise StackError(f"foliopost {' '.join(map(str, args))}: exit {done.returncode}: {done.stderr.strip()}")
        return done

    def make_database(self, users, seed=1, quiet=True):
        """Migrations, and synthetic data when there is none yet."""
        if not self.postgres.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{self.database}'"):
            self.postgres.sql("postgres", f'CREATE DATABASE "{self.database}"')
        if self.postgres.sql(self.database, "SELECT to_regclass('portfolio.users')") == [[""]]:
            argv = [str(self.binary("foliopost")), "seed", "--users", str(users), "--seed", str(seed)]
            done = subprocess.run(argv, env={**os.environ, **self.env()}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE if quiet else sys.stderr,
                                  stderr=subprocess.PIPE if quiet else None, text=True)
            if done.returncode:
                raise StackError(f"foliopost seed: exit {done.returncode}: {(done.stderr or '').strip()}")
        self.foliopost("migrate")

    def start_sink(self, *args):
        port = free_port()
        self.mails.mkdir(parents=True, exist_ok=True)
        self._start(Process("sink", self.folder, [
            self.binary("sink"), "--listen", f"127.0.0.1:{port}", "--record", self.record,
            "--keep", "50", "--keep-dir", self.mails, *args], ports={"smtp": port},
            env={"ASAN_OPTIONS": "detect_leaks=0"})) # a sanitized sink: its leak check now and then hangs at the end
        self.smtp = f"127.0.0.1:{port}"

    def start_http_sink(self, *args):
        """An HTTP provider beside the SMTP sink, with the same record; returns its URL."""
        port = free_port()
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self._start(Process("httpsink", self.folder, [
            sys.executable, ROOT / "tests" / "tools" / "httpsink.py", "--listen", f"127.0.0.1:{port}",
            "--record", self.record, *args], ports={"http": port}))
        wait_for_port(port)
        return f"http://127.0.0.1:{port}"

    def _start(self, process):
        self.processes[process.name] = process
        process.start()
        self.save()
        return process

    def start_service(self, service, number=1, **settings):
        """Starts one replica; settings are flags with _ for -, True for one without a value. The ports of a
        replica that ran before are used again, so that its peers find it."""
        name = f"{service}{number}"
        old = self.processes.get(name)
        ports = old.ports if old else self._ports(service)
        argv = [self.binary(f"foliopost-{service}"), "--ledger-dsn", self.dsn,
                "--admin-listen", f"127.0.0.1:{ports['admin']}", "--log-format", "text"]
        self.processes.setdefault(name, Process(name, self.folder, argv, ports=ports))
        flags = {**self._flags(service, ports), **self.options.get(service, {}), **settings}
        for key, value in flags.items():
            argv += [f"--{key.replace('_', '-')}"] + ([] if value is True else [str(value)])
        return self._start(Process(name, self.folder, argv, env=self.service_env, ports=ports))

    @staticmethod
    def _ports(service):
        wanted = {"scheduler": ("admin", "rpc", "out", "grpc"), "userstream": ("admin", "out"), "stats": ("admin", "out"),
                  "mailer": ("admin",), "inbound": ("admin", "http")}[service]
        return {w: free_port() for w in wanted}

    def _upstream(self, service):
        before = SERVICES[SERVICES.index(service) - 1]
        return ",".join(f"tcp://127.0.0.1:{p.ports['out']}" for p in self.of(before))

    def _flags(self, service, ports):
        if service == "scheduler":
            return {"source_dsn": self.dsn, "rpc_listen": f"tcp://127.0.0.1:{ports['rpc']}",
                    "work_listen": f"tcp://127.0.0.1:{ports['out']}",
                    "grpc_listen": f"tcp://127.0.0.1:{ports['grpc']}"}
        if service == "userstream":
            return {"source_dsn": self.dsn, "work_from": self._upstream(service),
                    "users_listen": f"tcp://127.0.0.1:{ports['out']}"}
        if service == "stats":
            return {"source_dsn": self.dsn, "users_from": self._upstream(service),
                    "summaries_listen": f"tcp://127.0.0.1:{ports['out']}"}
        if service == "inbound":
            return {"listen": f"127.0.0.1:{ports['http']}", "token_key_file": self.token_keys()}
        return {"summaries_from": self._upstream(service), "transport": "smtp", "smtp_url": f"smtp://{self.smtp}",
                "mail_rate": 0, "from": "Foliopost <reports@example.com>", "message_host": "example.com",
                "templates": ROOT / "services" / "mailer" / "templates"}

    def providers(self, text):
        """What mailers that are yet to be started have as their --providers-file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "providers.conf"
        path.write_text(text)
        self.options.setdefault("mailer", {})["providers_file"] = path

    def token_keys(self):
        """The file of the signed tokens' keys, made at the first call."""
        path = self.folder / "token.keys"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(f"1:{os.urandom(32).hex()}\n")
            path.chmod(0o600)
        return path

    def start_inbound(self, **settings):
        """Not one of SERVICES: it is no part of the pipeline, and most stacks need none."""
        process = self.start_service("inbound", **settings)
        self.wait_ready(process)
        return process

    def start_services(self, **replicas):
        for service in SERVICES:
            self.options.setdefault(service, {})
            count = replicas.get(service, 1)
            for number in range(1, count + 1): # all ports first: downstream needs the list
                self.processes.setdefault(f"{service}{number}", Process(
                    f"{service}{number}", self.folder, [], ports=self._ports(service)))
        for service in SERVICES:
            for number in range(1, replicas.get(service, 1) + 1):
                self.start_service(service, number)
        for service in SERVICES:
            for p in self.of(service):
                self.wait_ready(p)

    def wait_ready(self, process, seconds=60, every=0.05):
        """Waits for /readyz; says what the log says when it does not come."""
        end = time.monotonic() + seconds
        url = f"http://127.0.0.1:{process.ports['admin']}/readyz"
        why = "no answer"
        while time.monotonic() < end:
            if not process.alive():
                raise StackError(f"{process.name} ended by itself:\n{process.log_tail()}")
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except urllib.error.HTTPError as e:
                why = e.read().decode(errors="replace").strip()
            except OSError as e:
                why = str(e)
            time.sleep(every)
        raise StackError(f"{process.name} is not ready after {seconds} s: {why}\n{process.log_tail()}")

    def stop_services(self, seconds=40):
        """Drains all, the last of the pipeline first. Returns the names of those that had to be killed."""
        hung = []
        for service in (*reversed(SERVICES), "inbound", "sink", "httpsink"):
            found = self.of(service)
            for p in found:
                p.signal(signal.SIGTERM)
                p.signal(signal.SIGCONT)
            for p in found:
                if not p.wait(seconds):
                    print(f"stack: {p.name} did not end in {seconds} s: killed", file=sys.stderr)
                    p.kill()
                    hung.append(p.name)
        self.save()
        return hung

    def metrics(self, process):
        with urllib.request.urlopen(f"http://127.0.0.1:{process.ports['admin']}/metrics", timeout=5) as answer:
            return answer.read().decode()
