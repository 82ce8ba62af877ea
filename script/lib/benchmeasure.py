"""What script/bench measures with: CPU time and memory of processes from /proc,
and what a PostgreSQL did meanwhile.

A server's CPU is that of its whole family: of the processes that run, and, in
the parent's own counters, of those that ended and were waited for.
"""
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """Fields of /proc/PID/stat from the state on; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def _children(pid):
    try:
        return [int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    except OSError:
        return []


def family_cpu_us(pid):
    """Of a process, its children, and theirs: user and system."""
    fields = _stat(pid)
    if fields is None:
        return 0.0
    own = sum(int(f) for f in fields[11:15]) * TICK_US # utime, stime, and those of children that ended
    return own + sum(family_cpu_us(child) for child in _children(pid))


def peak_kib(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def bytes_read(pid):
    """By read() and its like, from files and sockets."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text().split("rchar: ")[1].split()[0])
    except (OSError, IndexError):
        return 0


@dataclass
class Row:
    """One line of the table. cpu_us: microseconds a user by process; memory_kib: peaks."""
    name: str
    users: int
    seconds: float
    cpu_us: dict = field(default_factory=dict)
    memory_kib: dict = field(default_factory=dict)
    statements: float = None
    wal_bytes: float = None
    note: str = ""

    @property
    def rate(self):
        return self.users / self.seconds

    def to_json(self):
        return {"name": self.name, "users": self.users, "seconds": round(self.seconds, 3), "users_a_second": round(self.rate, 1),
                "cpu_us_a_user": {k: round(v, 1) for k, v in self.cpu_us.items()},
                "peak_memory_kib": self.memory_kib,
                "statements_a_user": self.statements, "wal_bytes_a_user": self.wal_bytes, "note": self.note}


class Meter:
    """Takes what processes and database have used between begin() and end()."""

    def __init__(self, postgres, database):
        self.postgres, self.database = postgres, database

    def _postmaster(self):
        return int((self.postgres.folder / "pg" / "postmaster.pid").read_text().split()[0])

    def _database(self):
        rows = self.postgres.sql(self.database, "SELECT coalesce((SELECT sum(calls) FROM pg_stat_statements WHERE dbid ="
                                 " (SELECT oid FROM pg_database WHERE datname = current_database())), 0),"
                                 " pg_current_wal_lsn() - '0/0'::pg_lsn")
        return float(rows[0][0]), float(rows[0][1])

    def _cpu(self):
        return {name: family_cpu_us(pid) for name, pid in self.pids.items()}

    def begin(self, **pids):
        self.pids = {**pids, "postgres": self._postmaster()}
        self.postgres.sql("postgres", "CHECKPOINT") # the one before pays for its own
        self.statements, self.wal = self._database()
        self.cpu = self._cpu()
        self.begun = time.monotonic()

    def end(self, name, users, note=""):
        seconds = time.monotonic() - self.begun
        cpu = self._cpu()
        statements, wal = self._database()
        return Row(name, users, seconds, {n: (cpu[n] - self.cpu[n]) / users for n in cpu},
                   {n: peak_kib(pid) for n, pid in self.pids.items() if n != "postgres"},
                   round((statements - self.statements) / users, 3), round((wal - self.wal) / users, 1), note)
