"""One private PostgreSQL for the session, a seeded database as a template, and a
stack of real processes for each test on a copy of it."""
import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "script" / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from foliostack import SERVICES, Postgres, Stack  # noqa: E402
from judge import Judge  # noqa: E402

USERS = 2000
numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out of the sanitized run")
    config.addinivalue_line("markers", "machine: a server, a disk or a standby of its own; script/machine")
    config.addinivalue_line("markers", "hooks: needs a build with FP_TEST_HOOKS, and minutes; script/poison")
    config.addinivalue_line("markers", "crash_points: needs a build with FP_TEST_HOOKS")
    config.addinivalue_line("markers", "alone: measures against a clock, with nothing beside it")


@pytest.fixture(scope="session")
def server():
    folder = Path(tempfile.mkdtemp(prefix="foliopost-scenarios.", dir="/tmp"))
    folder.chmod(0o755)
    postgres = Postgres(folder)
    try:
        postgres.start()
        stack = Stack(folder / "seed", database="seed")
        stack.postgres = postgres
        stack.make_database(USERS)
        yield postgres
    finally:
        postgres.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture
def new_stack(server, request):
    """Makes stacks; what they started is stopped and checked at the end."""
    made = []

    def make(sink=(), start=True, on=None, env=None, **options):
        number = next(numbers)
        stack = Stack(server.folder / f"s{number}", database=f"s{number}")
        stack.postgres = on or server
        stack.service_env = dict(env or {})
        made.append(stack)
        stack.postgres.sql("postgres", f'CREATE DATABASE "{stack.database}" TEMPLATE seed')
        stack.start_sink(*sink)
        replicas = {s: options.pop(s + "s", 1) for s in SERVICES}
        stack.options = {s: dict(options.get(s, {})) for s in SERVICES}
        if start:
            stack.start_services(**replicas)
        return stack

    yield make
    failed = getattr(request.node, "rep_call", None) and request.node.rep_call.failed
    for stack in made:
        if failed:
            for p in stack.processes.values():
                print(f"--- {p.name} (pid {p.pid}, {'up' if p.alive() else 'down'})\n{p.log_tail(25)}")
        hung = stack.stop_services(40)
        assert not hung, f"{hung} had to be killed:\n" + "\n".join(stack.processes[n].log_tail(40) for n in hung)
    for stack in made:
        complaints = [c for p in stack.processes.values() for c in sanitizer_complaints(p)]
        assert not complaints, "\n".join(complaints)
        if stack.postgres is server: # another one goes away as a whole
            server.sql("postgres", f'DROP DATABASE IF EXISTS "{stack.database}" WITH (FORCE)')


def sanitizer_complaints(process):
    text = process.log.read_text(errors="replace") if process.log.exists() else ""
    words = ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "panic:")
    lines = text.splitlines()
    return ["\n".join([process.name, *lines[i:i + 30]]) for i, line in enumerate(lines) if any(w in line for w in words)]


@pytest.fixture
def own_server():
    """Makes seeded servers for one test that does to them what it cannot do to everybody's."""
    made = []

    def make(folder=None, users=USERS, env=None, options=""):
        folder = Path(folder or tempfile.mkdtemp(prefix="foliopost-server.", dir="/tmp"))
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        postgres = Postgres(folder, env)
        made.append(postgres)
        postgres.start(options)
        stack = Stack(folder / "seed", database="seed")
        stack.postgres = postgres
        stack.make_database(users)
        return postgres

    yield make
    for postgres in made:
        postgres.stop("immediate")
        shutil.rmtree(postgres.folder, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.rep_call = report


@pytest.fixture
def judge():
    return Judge
