"""The stack under test: real binaries, a private PostgreSQL and the sink, with a proxy in
front of the database for each process and in front of each listener of the bus."""
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg2
from foliostack import ROOT, Process, Stack, StackError, free_port, wait_for_port

from chaos.plan import EXTRA, REPLICAS
from chaos.proxy import BusDoor, DatabaseDoor, Loop

LISTENERS = ("scheduler", "userstream", "stats")
UPSTREAM = {"userstream": "scheduler", "stats": "userstream", "mailer": "stats"}
CONNECTIONS = 16 # of each mailer to the relay
OPEN_INTENTS = 2 * CONNECTIONS # at most so many of one mailer's mails are unknown when it dies
GRACE_S = 40 # for SIGTERM: the drain's 25 s and what a loaded machine adds

# Short, so that a minute has many turns. The lease stays what it is.
SETTINGS = {
    "scheduler": {"redo-after": "5s", "grant-due": "5s", "rpc-threads": 3, "max-jobs": 4, "data-ready-share": 0,
                  "guard-bounced": 0, "guard-complained": 0, "guard-failed": 0, "max-attempts": 6},
    "userstream": {"redo-after": "5s"},
    "stats": {"retry-for": "10s"},
    "mailer": {"connections": CONNECTIONS, "reply-timeout": "8s", "connect-timeout": "3s", "retry-base": "500ms",
               "retry-cap": "3s", "mail-rate": 0, "transport": "smtp", "message-host": "example.com",
               "from": "Foliopost <reports@example.com>", "templates": ROOT / "services" / "mailer" / "templates"},
}


def service_of(name):
    return name.rstrip("0123456789")


class ChaosStack(Stack):
    def __init__(self, folder, args):
        super().__init__(folder, args.build, database="chaos")
        self.seed, self.rate = args.seed, args.rate
        self.settings = {service: dict(some) for service, some in SETTINGS.items()}
        self.set(*args.settings)
        self.environment = {}  # of every service
        self.always = [f"{s}{n}" for s, count in REPLICAS.items() for n in range(1, count + 1)]
        self.names = self.always + [name for names in EXTRA.values() for name in names]
        self.starts = Counter()
        self.wanted = set()    # who should be running
        self.lock = threading.RLock()
        self.paused = set()    # jobs that the plan paused
        self.cancelled = set() # that it may have cancelled
        self.resolved = {}     # job -> resend or accept: what it may have decided about the ambiguous
        self.hurry = threading.Event() # faults end now
        self.fast = False      # a killed process's lease is over at once
        self.proxies = Loop()
        self.database_doors, self.bus_doors = {}, {}
        self.sink_args, self.control = (), None

    # --- up --------------------------------------------------------------------------------

    def up(self, users):
        self.start_postgres()
        self.make_database(users)
        self.sql((ROOT / "sql" / "roles.sql").read_text())
        self.sql((Path(__file__).parent / "watch.sql").read_text())
        self.start_the_sink()
        for name in self.names:
            ports = self._ports(service_of(name))
            self.processes[name] = Process(name, self.folder, [], ports=ports)
            self.database_doors[name] = self.proxies.open(DatabaseDoor(name, free_port(), self.postgres.port))
            if service_of(name) in LISTENERS:
                self.bus_doors[name] = self.proxies.open(BusDoor(name, free_port(), ports["out"], self.seed))
        self.start_all()

    def start_all(self):
        for name in self.always:
            self.start(name)
        for name in self.always:
            self.wait_ready(self.processes[name])

    def set(self, *settings):
        """SERVICE.NAME=VALUE: for who starts from now on."""
        for text in settings:
            name, value = text.split("=", 1)
            service, setting = name.split(".", 1)
            self.settings[service][setting] = value

    def fresh(self):
        """Everybody is gone at once, with his leases and jobs."""
        self.hurry.clear()
        self.paused.clear()
        self.calm()
        for name in list(self.wanted):
            self.kill(name)
        self.sql("UPDATE foliopost.instances SET state = 'expired', lease_until = '-infinity' WHERE state = 'live';"
                 " UPDATE foliopost.leader SET owner = NULL, lease_until = '-infinity';"
                 " UPDATE foliopost.jobs SET state = 'CANCELLED' WHERE state IN ('PENDING', 'IN_PROGRESS', 'PAUSED');"
                 " DELETE FROM watch.wrong")

    def start_postgres(self):
        self.postgres.start("-c max_connections=250 -c log_min_messages=fatal")

    def postmaster(self):
        try:
            return int((self.postgres.folder / "pg" / "postmaster.pid").read_text().split()[0])
        except (OSError, IndexError):
            return None

    def signal_postgres(self, number):
        """To the server and each of its processes, as they are now."""
        server = self.postmaster()
        if server is None:
            return
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
                if server in (pid, parent):
                    os.kill(pid, number)
            except OSError:
                pass # it ended just now

    def start_the_sink(self):
        if "sink" not in self.processes:
            self.sink_port, self.control = free_port(), free_port()
            self.smtp = f"127.0.0.1:{self.sink_port}"
            self.record.parent.mkdir(parents=True, exist_ok=True)
            self.processes["sink"] = Process("sink", self.folder, [
                self.binary("sink"), "--listen", self.smtp, "--record", self.record, "--seed", self.seed,
                "--control-listen", f"127.0.0.1:{self.control}"], ports={"smtp": self.sink_port})
        self.processes["sink"].start()
        wait_for_port(self.control)

    def cue(self, *lines):
        """Tells the sink how to misbehave; "normal" ends it."""
        with socket.create_connection(("127.0.0.1", self.control), timeout=10) as s:
            answers = s.makefile()
            for line in lines:
                s.sendall(line.encode() + b"\n")
                if answers.readline().strip() != "ok":
                    raise StackError(f"the sink does not know {line!r}")

    def flags(self, name):
        service, ports = service_of(name), self.processes[name].ports
        label = f"{name}.{self.starts[name]}"
        dsn = f"host=127.0.0.1 port={self.database_doors[name].port} user=foliopost_{service} dbname={self.database} application_name={label}"
        flags = {"ledger-dsn": dsn, "admin-listen": f"127.0.0.1:{ports['admin']}", "instance-address": label,
                 **self.settings[service]}
        listen = {"scheduler": "work-listen", "userstream": "users-listen", "stats": "summaries-listen"}
        dial = {"userstream": "work-from", "stats": "users-from", "mailer": "summaries-from"}
        if service in listen:
            flags[listen[service]] = f"tcp://127.0.0.1:{ports['out']}"
        if service in dial:
            flags[dial[service]] = ",".join(f"tcp://127.0.0.1:{d.port}" for n, d in self.bus_doors.items()
                                            if service_of(n) == UPSTREAM[service])
        if service == "scheduler":
            flags["rpc-listen"] = f"tcp://127.0.0.1:{ports['rpc']}"
            flags["grpc-listen"] = f"tcp://127.0.0.1:{ports['grpc']}"
        if service == "mailer":
            flags.update({"smtp-url": f"smtp://{self.smtp}", "mail-rate": self.rate})
        return flags

    def start(self, name, env=None, wanted=True):
        """wanted: it is a fault when it ends by itself."""
        with self.lock:
            self.starts[name] += 1
            argv = [self.binary(f"foliopost-{service_of(name)}")]
            for key, value in self.flags(name).items():
                argv += [f"--{key}", str(value)]
            self.processes[name] = Process(name, self.folder, argv, {**self.environment, **(env or {})}, self.processes[name].ports).start()
            if wanted:
                self.wanted.add(name)

    # --- to be broken ------------------------------------------------------------------------

    def unwanted(self, name):
        """It ends now by the plan."""
        with self.lock:
            self.wanted.discard(name)
        return self.processes[name]

    def kill(self, name):
        self.unwanted(name).kill()

    def lease_over(self, name):
        """Of a process that is dead for certain: ten seconds are not waited for."""
        label = f"{name}.{self.starts[name]}"
        self.patiently("UPDATE foliopost.instances SET lease_until = '-infinity' WHERE address = %s AND state = 'live'", (label,))
        if service_of(name) == "scheduler":
            self.patiently("UPDATE foliopost.leader SET lease_until = '-infinity', owner = NULL")

    def terminate(self, name):
        """Why it did not end as it should; None when it did."""
        process = self.unwanted(name)
        process.signal(signal.SIGTERM)
        if not process.wait(GRACE_S):
            process.kill()
            return f"{name} did not drain in {GRACE_S} s:\n{process.log_tail(10)}"
        code = process.exit_code()
        return None if code == 0 else f"{name} ended with {code} after SIGTERM:\n{process.log_tail(10)}"

    def doors_of(self, service):
        return [d for n, d in self.bus_doors.items() if service_of(n) == service]

    def calm(self):
        """Nothing is wrong any more."""
        for door in [*self.database_doors.values(), *self.bus_doors.values()]:
            door.blackhole = False
        for door in self.database_doors.values():
            door.latency_s = 0.0
            door.once.clear()
        for door in self.bus_doors.values():
            door.calm()
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
        self.signal_postgres(signal.SIGCONT)

    # --- to be looked at: past the proxies ------------------------------------------------------

    def connect(self):
        connection = psycopg2.connect(self.postgres.dsn(self.database) + " connect_timeout=3 application_name=judge"
                                      " options='-c statement_timeout=0'")
        connection.autocommit = True
        return connection

    def sql(self, text, args=None):
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(text, args)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def patiently(self, text, args=None, seconds=60):
        """The same, also while PostgreSQL is being tormented."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.sql(text, args)
            except psycopg2.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def down(self):
        """Drains all; what did not end as it should."""
        wrong = []
        threads = [threading.Thread(target=lambda n=n: wrong.append(self.terminate(n))) for n in list(self.wanted)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return [w for w in wrong if w]

    def connections_left(self, seconds=10):
        end = time.monotonic() + seconds
        while True:
            left = self.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'chaos' AND application_name <> 'judge'")[0][0]
            if left == 0 or time.monotonic() > end:
                return left
            time.sleep(0.2)

    def end(self):
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGKILL)
        self.signal_postgres(signal.SIGCONT)
        self.postgres.stop("immediate")
        self.proxies.close()


def rss_mib(pid):
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0
