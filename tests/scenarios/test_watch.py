"""The live screens of the command line, on a terminal of the test's own."""
import re
import signal
import subprocess
import time

import pytest

from fakescheduler import FakeScheduler, Refusal
from foliostack import Stack
from terminal import Terminal
from test_grpc import pb  # noqa: F401

MONTH_US = 30 * 86400 * 10**6
NOTHING_IS_THERE = 5


class World:
    """A job of 40 months that a test moves on by hand."""

    def __init__(self, pb):  # noqa: F811
        self.pb = pb.jobs
        self.done = 12
        self.state = self.pb.JOB_STATE_IN_PROGRESS
        self.refusal = None
        self.title = "October statements for everybody who has ever opened an account"
        self.scheduler = FakeScheduler(self.pb, {"GetJob": self.job, "GetFleet": self.fleet, "ListJobs": self.jobs, "ListRates": self.rates})

    def interval(self, i):
        r = self.pb.IntervalReport(no=i + 1, lower_us=int(19358.5 * 86400e6) + i * MONTH_US, state="ready")
        c = r.counts
        if i < self.done:
            r.state, r.paged_part = "paged", 1
            c.users, c.sent, c.batches, c.batches_done = 1000, 990, 10, 10
        elif i < self.done + 2 and i < 40:
            r.state, r.paged_part = "granted", 0.5
            c.users, c.sent, c.failed, c.batches, c.batches_done = 500, 244, 6, 5, 2
        return r

    def job(self, request):
        if self.refusal:
            raise self.refusal
        if request.job_id == 404:
            raise Refusal(NOTHING_IS_THERE, "no job 404")
        p = self.pb
        job = p.Job(id=request.job_id, state=self.state, started_us=int(time.time() * 1e6) - 125 * 10**6, waiting=[])
        job.spec.kind, job.spec.period_start, job.spec.period_end = p.JOB_KIND_MONTHLY, "2026-10-01", "2026-10-31"
        job.spec.title = self.title
        c = job.counts
        c.users, c.sent, c.failed, c.skipped, c.intervals, c.intervals_paged = 1234567, 987654, 4321, 23456, 40, self.done
        job.progress.users_per_s, job.progress.mails_per_s, job.progress.eta_s = 612.5, 500.2, 765
        job.progress.users_total, job.progress.intervals_behind = 2500000, 40 - self.done
        job.waiting.append("the provider relay stands: 421 4.3.2 too many connections from this address, try again later please")
        if request.details:
            job.intervals.extend(self.interval(i) for i in range(40))
            for n, (state, reason) in enumerate([(p.DELIVERY_STATE_FAILED, "550 5.1.1"), (p.DELIVERY_STATE_DEFERRED, "451 4.7.1"),
                                                 (p.DELIVERY_STATE_AMBIGUOUS, "the connection was lost after the end of the data, and nobody can know")]):
                job.failures.add(state=state, reason=reason, users=4000 // 10**n)
        return job

    def jobs(self, request):
        found = [self.job(self.pb.GetJobRequest(job_id=12))] if request.state == self.state else []
        return self.pb.ListJobsResponse(jobs=found)

    def rates(self, request):
        return self.pb.ListRatesResponse(rates=[self.pb.ProviderRate(provider="relay", per_second=250, limit_per_second=500)])

    def fleet(self, request):
        i = self.pb.Instance
        return self.pb.GetFleetResponse(instances=[
            i(id="a", service="scheduler", leads=True), i(id="b", service="userstream"), i(id="c", service="stats"),
            i(id="d", service="mailer", slots=8, batches=5), i(id="e", service="mailer", slots=8, batches=2, note="the relay is down")])


@pytest.fixture
def world(pb):  # noqa: F811
    w = World(pb)
    yield w
    w.scheduler.close()


@pytest.fixture
def terminal(world, stack_binary):
    made = []

    def make(*args, **options):
        made.append(Terminal([stack_binary, *args, "--rpc", world.scheduler.url], **options))
        return made[-1]

    yield make
    for t in made:
        t.close()


@pytest.fixture
def stack_binary(tmp_path):
    return str(Stack(tmp_path).binary("foliopost"))


def run(binary, world, *args):
    return subprocess.run([binary, *args, "--rpc", world.scheduler.url], capture_output=True, text=True, timeout=60)


def numbers_are_whole(text):
    """No number lost its end at the edge of the terminal: each that is there is one of the job's, or is marked as cut."""
    for line in text.splitlines():
        assert not re.search(r"\d,\d{0,2}$", line), f"a number is cut: {line!r}"


def test_everything_is_on_a_wide_screen(world, terminal):
    t = terminal("watch", "12", columns=100, rows=30)
    said = t.await_text("fleet ", "550 5.1.1")
    for part in ("job 12  monthly 2026-10-01..2026-10-31", "IN_PROGRESS  for 2m 0", "40.6 %", "1,015,431 of about 2,500,000 users",
                 "sent 987,654  failed 4,321  skipped 23,456", "500 mails/s  36,750 users/min  ETA 12m 45s  28 intervals behind",
                 "waiting: the provider relay stands", "intervals [", "12 of 40 done  2 at work", "so far 500 users  6 failed",
                 "4,000 failed    550 5.1.1", "400 deferred  451 4.7.1", "40 ambiguous the connection was lost",
                 "fleet 1 scheduler  1 userstream  1 stats  2 mailer (7 of 16 slots)", "1 mailer: the relay is down"):
        assert part in said, f"{part!r} is not in\n{said}"
    strip = re.search(r"intervals \[([#+.]+)\]", said).group(1)
    assert strip == "#" * 12 + "++" + "." * 26
    assert re.findall(r"^  (\d{4}-\d\d \[[#.]+\] +\S+ %)", said, re.M) == [f"{month} [#####...............]  25.0 %" for month in ("2023-12", "2024-01")]
    # It moves on, and ends with the job.
    world.done = 40
    t.await_text("40 of 40 done", gone=["at work"])
    world.state = world.pb.JOB_STATE_COMPLETED
    assert t.end() == 0
    assert "COMPLETED  after" in t.text() and "ETA" not in t.text() and "fleet" not in t.text()
    assert (t.wrapped, t.scrolled) == (0, 0)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_has_whole_numbers_and_nothing_wraps(world, terminal, columns):
    t = terminal("watch", "12", columns=columns, rows=40)
    said = t.await_text("fleet ", "12 of 40 done", "550 5.1.1")
    for part in ("1,015,431 of about 2,500,000 users", "sent 987,654", "failed 4,321", "skipped 23,456", "ETA 12m 45s", "36,750 users/min", "7 of 16 slots"):
        assert part in said, f"{part!r} is not in\n{said}"
    assert max(map(len, said.splitlines())) < columns
    assert "waiting: the provider relay stand" in said and "..." in said
    numbers_are_whole(said)
    assert (t.wrapped, t.scrolled) == (0, 0)


def test_a_low_terminal_shows_the_beginning_and_does_not_scroll(world, terminal):
    t = terminal("watch", "12", columns=40, rows=6)
    t.await_text("job 12", "IN_PROGRESS", "about 2,500,000")
    time.sleep(2.5)
    t.read()
    assert t.text().startswith("job 12") and (t.wrapped, t.scrolled) == (0, 0)


def test_a_resized_terminal_is_drawn_anew(world, terminal):
    t = terminal("watch", "12", columns=100, rows=30)
    t.await_text("fleet ")
    t.resize(40, 20)
    said = t.await_text("about 2,500,000 users", gone=["36,750 users/min  ETA"])
    assert said.startswith("job 12") and said.count("job 12") == 1 and said.count("IN_PROGRESS") == 1
    t.resize(120, 40)
    said = t.await_text("36,750 users/min  ETA", "fleet 1 scheduler  1 userstream  1 stats  2 mailer")
    assert said.count("IN_PROGRESS") == 1 and said.count("intervals [") == 1
    assert (t.wrapped, t.scrolled) == (0, 0)


def test_after_a_stop_it_goes_on_below_what_the_shell_said(world, terminal):
    t = terminal("watch", "12", columns=100, rows=60)
    t.await_text("fleet ")
    t.stop_and_go_on()
    end = time.monotonic() + 20
    while t.text().count("job 12  monthly") < 2:
        assert time.monotonic() < end, t.text()
        t.read()
    time.sleep(1.2)
    t.read()
    assert "$ fg" in t.text() and t.text().count("job 12  monthly") == 2


@pytest.mark.parametrize("columns", [40, 100])
def test_ctrl_c_leaves_the_picture_the_terminal_and_the_job_as_they_are(world, terminal, columns):
    t = terminal("watch", "12", columns=columns, rows=60)
    t.await_text("fleet ")
    t.press(b"\x03")
    assert t.end() == 130
    unwrapped = t.text().replace("\n", "")
    assert "The job goes on." in unwrapped and "foliopost watch 12" in unwrapped and "foliopost pause 12" in unwrapped
    assert t.text().startswith("job 12  monthly") and t.x == 0
    assert re.search(r"^The job goes on", t.text(), re.M)  # on a line of its own
    assert not [m for m, _ in world.scheduler.asked if m not in ("GetJob", "GetFleet")]
    assert "\x1b[?" not in t.raw  # no mode was set, so none has to be taken back


def test_in_a_pipe_there_are_lines_and_no_control_sequences(world, stack_binary):
    p = subprocess.Popen([stack_binary, "watch", "12", "--rpc", world.scheduler.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = p.stdout.readline()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d job 12 IN_PROGRESS 40.6 % of about 2,500,000 users; sent 987,654  failed 4,321 ", first), first
    assert "ETA 12m 45s  28 intervals behind; waiting: the provider relay stands" in first
    world.state = world.pb.JOB_STATE_FAILED
    out, err = p.communicate(timeout=30)
    assert p.returncode == 3 and "job 12 FAILED" in out and err == ""
    assert "\x1b" not in first + out and "\r" not in first + out
    assert not any(request.details for m, request in world.scheduler.asked)  # nobody pays for what is not shown


def test_in_a_pipe_sigint_says_that_the_job_goes_on(world, stack_binary):
    p = subprocess.Popen([stack_binary, "watch", "12", "--rpc", world.scheduler.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline()
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=30)
    assert p.returncode == 130 and "The job goes on." in err and "\x1b" not in out + err


def test_it_ends_when_nobody_reads_any_more(world, stack_binary):
    p = subprocess.Popen([stack_binary, "watch", "12", "--json", "--rpc", world.scheduler.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert p.stdout.readline()
    p.stdout.close()
    assert p.wait(20) != 0


def test_a_dumb_terminal_has_lines(world, terminal):
    t = terminal("watch", "12", env={"TERM": "dumb"})
    t.await_text("job 12 IN_PROGRESS")
    assert "\x1b" not in t.raw


def test_a_lost_scheduler_is_said_and_waited_for(world, terminal):
    t = terminal("watch", "12", columns=60, rows=40)
    t.await_text("fleet ")
    world.refusal = Refusal(14, "the ledger is away")
    t.await_text("has not answered for", "the ledger is away", "ETA 12m 45s")
    world.refusal = None
    t.await_text("ETA 12m 45s", gone=["has not answered"])
    world.refusal = Refusal(5, "no job 12")
    assert t.end() == 5
    assert re.search(r"^foliopost: NOT_FOUND: no job 12", t.text(), re.M) and (t.wrapped, t.scrolled) == (0, 0)


@pytest.mark.parametrize("state,code", [("COMPLETED", 0), ("FAILED", 3), ("CANCELLED", 3)])
def test_a_job_that_is_over_is_shown_once(world, terminal, stack_binary, state, code):
    world.state, world.done = world.pb.JobState.Value(f"JOB_STATE_{state}"), 40
    t = terminal("watch", "12", columns=100, rows=30)
    assert t.end() == code
    assert f"{state}  after" in t.text() and "550 5.1.1" in t.text() and "ETA" not in t.text()
    assert [m for m, _ in world.scheduler.asked] == ["GetJob"]
    for form, expected in ((), f" job 12 {state} "), (("--json",), f'"state":"JOB_STATE_{state}"'):
        done = run(stack_binary, world, "watch", "12", *form)
        assert (done.returncode, done.stderr) == (code, "") and expected in done.stdout and len(done.stdout.splitlines()) == 1, done.stdout


def test_a_job_that_is_not_there_is_an_error_at_once(world, terminal):
    t = terminal("watch", "404")
    assert t.end() == 5 and t.text().startswith("foliopost: NOT_FOUND: no job 404")


@pytest.mark.parametrize("columns,there,gone", [(40, "  JOB STATE             DONE  USERS/S", "TITLE"), (100, "FAILED  USERS/S  TITLE", "JOB STATE")])
def test_top_fits_and_ends_with_ctrl_c(world, terminal, columns, there, gone):
    t = terminal("top", "--every", "200ms", columns=columns, rows=30)
    said = t.await_text(there, "1,015,431", "250/s", "scheduler (leads)", gone=[gone])
    assert max(map(len, said.splitlines())) < columns
    numbers_are_whole(said)
    assert (t.wrapped, t.scrolled) == (0, 0)
    t.resize(50, 12)
    t.await_text("JOB STATE             DONE")
    t.wrapped = t.scrolled = 0  # what was on its way when the size changed was made for the old one
    time.sleep(0.5)
    t.press(b"\x03")
    assert t.end() == 130 and (t.wrapped, t.scrolled) == (0, 0)


def test_top_in_a_pipe_is_one_picture_without_control_sequences(world, stack_binary):
    for form in ((), ("--once",)):
        done = run(stack_binary, world, "top", *form)
        assert (done.returncode, done.stderr) == (0, "") and "\x1b" not in done.stdout and "\r" not in done.stdout
        for part in ("FAILED  USERS/S  TITLE", "1,015,431", "250/s", "scheduler (leads)"):
            assert done.stdout.count(part) == 1, done.stdout


def test_top_has_no_json_and_says_who_has(world, stack_binary):
    done = run(stack_binary, world, "top", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "jobs --json" in done.stderr and not world.scheduler.asked


def test_top_says_that_the_scheduler_is_lost_and_goes_on(world, terminal):
    t = terminal("top", "--every", "200ms", columns=100, rows=30)
    t.await_text("1,015,431")
    world.refusal = Refusal(14, "the ledger is away")
    said = t.await_text("no answer, trying again: the ledger is away", "1,015,431")
    assert said.startswith("no answer")
    world.refusal = None
    t.await_text("1,015,431", gone=["no answer"])
    world.refusal = Refusal(16, "the token is revoked")
    assert t.end() == 1
    assert re.search(r"^foliopost: UNAUTHENTICATED: the token is revoked", t.text(), re.M) and (t.wrapped, t.scrolled) == (0, 0)


def test_top_without_a_scheduler_is_an_error_at_once(world, terminal):
    world.refusal = Refusal(14, "the ledger is away")
    t = terminal("top")
    assert t.end() == 4 and t.text().startswith("foliopost: UNAVAILABLE: the ledger is away")
