"""Schedules: each due time makes one job, however many schedulers there are and whenever they end."""
import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

FIRED = "SELECT count(*) FROM foliopost.firings WHERE outcome = 'fired'"
DUE = "UPDATE foliopost.schedules SET version = version + 1, next_due = date_trunc('minute', now()) - interval '{} minutes'"


def two_schedulers(new_stack):
    stack = new_stack(start=False)
    for number in (1, 2):
        stack.start_service("scheduler", number)
    for p in stack.of("scheduler"):
        stack.wait_ready(p)
    return stack


def leader(j):
    rows = j.sql("SELECT i.address FROM foliopost.leader l JOIN foliopost.instances i ON i.id = l.owner WHERE l.lease_until > now()")
    return rows[0][0] if rows else None


def wait_for(what, seconds=90):
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return got


@pytest.mark.slow
def test_a_due_time_fires_once_though_each_scheduler_is_killed_in_turn(new_stack, judge):
    j = judge(two_schedulers(new_stack))
    j.call("schedule", "create", "yearly", "--kind", "monthly", "--cron", "0 6 1 1 *", "--time-zone", "Europe/Berlin")
    rng = random.Random(6)
    for turn, number in enumerate((1, 2), 1):
        wait_for(lambda: leader(j))
        j.sql(DUE.format(20 - turn))
        time.sleep(rng.random() * 1.2)  # anywhere around the firing, which comes within a second
        j.stack.processes[f"scheduler{number}"].kill()
        wait_for(lambda: j.number(FIRED) == turn)
        j.stack.start_service("scheduler", number)
        j.stack.wait_ready(j.stack.processes[f"scheduler{number}"])
    jobs = j.sql("SELECT request_id FROM foliopost.jobs")
    assert len(jobs) == 2 and len({r[0] for r in jobs}) == 2
    assert j.number("SELECT count(*) FROM foliopost.firings f JOIN foliopost.jobs j ON j.id = f.job_id") == 2
    shown = j.call("schedule", "show", "yearly")
    assert len(shown["firings"]) == 2 and len(shown["next_us"]) == 10


class Firings:
    """Two schedulers and one schedule. For each turn one of them, the leader until then, is frozen; the other
    takes the lead, sees that the schedule is due, and may be killed at a point; the first wakes up and believes
    that it still leads. Leases end by a hand here, not after ten seconds."""

    def __init__(self, stack, judge):
        self.stack, self.j, self.turn = stack, judge(stack), 0
        for number in (1, 2):
            self.start(number, {})
        for p in stack.of("scheduler"):
            stack.wait_ready(p)
        self.j.call("schedule", "create", "yearly", "--kind", "monthly", "--cron", "0 6 1 1 *", "--catch-up", "168h")
        wait_for(lambda: leader(self.j))

    def start(self, number, env):
        self.stack.service_env = env
        process = self.stack.start_service("scheduler", number, instance_address=f"scheduler{number}")
        self.stack.service_env = {}
        return process

    def leads(self, process):
        return leader(self.j) == process.name

    def depose(self):
        self.j.sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() - interval '1 second'")

    def fire(self, env, seconds=20):
        """True when the second was killed at its point."""
        first, second = self.stack.processes["scheduler1"], self.stack.processes["scheduler2"]
        second.kill()
        if leader(self.j) == second.name:
            self.depose()
        wait_for(lambda: self.leads(first))
        first.signal(signal.SIGSTOP)
        self.depose()
        self.turn += 1
        self.j.sql(DUE.format(5000 - self.turn))
        second = self.start(2, env)
        wait_for(lambda: not second.alive() or self.leads(second), seconds)
        first.signal(signal.SIGCONT)
        second.wait(0 if not env else 3)
        died = not second.alive()
        if died:
            self.depose()
        wait_for(lambda: self.j.number("SELECT count(*) FROM foliopost.firings") >= self.turn, seconds)
        return died

    def judge(self, point):
        rows = self.j.sql("SELECT outcome, count(*) FROM foliopost.firings GROUP BY 1")
        assert rows == [("fired", str(self.turn))] or rows == [["fired", str(self.turn)]], f"{point}: {rows}"
        jobs = self.j.number("SELECT count(*) FROM foliopost.jobs")
        linked = self.j.number("SELECT count(DISTINCT f.job_id) FROM foliopost.firings f JOIN foliopost.jobs j ON j.id = f.job_id"
                               " AND j.request_id = 'schedule/yearly/' || to_char(f.due AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI\"Z\"')")
        assert jobs == linked == self.turn, f"{point}: {jobs} jobs, {linked} of their due times, of {self.turn}"


POINTS = ["before-schedules_due", "after-schedules_due", "before-schedule_fire", "after-schedule_fire"]


@pytest.mark.crash_points
def test_a_due_time_fires_once_though_the_leader_is_killed_beside_its_firing(new_stack, judge):
    f = Firings(new_stack(start=False), judge)
    for point in POINTS:
        assert f.fire({"FOLIOPOST_CRASH_AT": point}), f"{point} was not met"
        f.judge(point)


@pytest.mark.hooks
@pytest.mark.slow
def test_a_due_time_fires_once_though_the_leader_is_killed_at_every_statement(new_stack, judge, tmp_path):
    f = Firings(new_stack(start=False), judge)
    file = tmp_path / "points"
    f.fire({"FOLIOPOST_CRASH_LIST": str(file)})
    f.judge("listing")
    points = sorted(set(file.read_text().split()) | set(POINTS))
    assert len(points) > 20
    met = 0
    for point in points:
        for nth in (1, 2):  # of a turn before the firing, or of it; and of the next
            met += f.fire({"FOLIOPOST_CRASH_AT": f"{point}:{nth}"})
            f.judge(f"{point}:{nth}")
    print(f"{met} deaths at {len(points)} points")
    assert met >= len(points)
    f.start(2, {})
    time.sleep(3)  # nobody fires anything again
    f.judge("at the end")


@pytest.mark.slow
def test_an_operator_makes_changes_and_runs_a_schedule(new_stack, judge):
    j = judge(two_schedulers(new_stack))
    run = j.stack.foliopost
    j.call("schedule", "create", "weekly", "--kind", "weekly", "--cron", "30 7 * * mon", "--title", "on Mondays", "--catch-up", "2h")
    j.call("schedule", "update", "weekly", "--overlap", "skip")
    j.call("schedule", "update", "weekly", "--rate", "5", "--send-window", "08:00-20:00", "--share", "5%", "--share-seed", "3", "--deadline", "6h")
    shown = run("schedule", "show", "weekly").stdout
    assert all(text in shown for text in ("5 users a second", "08:00-20:00", "5 % of them, seed 3", "after it is due"))
    s = j.call("schedule", "update", "weekly", "--no-rate", "--no-share")
    assert "rate_per_second" not in s["spec"] or not s["spec"]["rate_per_second"]
    assert s["spec"]["send_window"] == "08:00-20:00" and not s["spec"].get("share_ppm") and s["deadline_after_ms"] == 21600000
    s = j.call("schedule", "update", "weekly", "--no-send-window", "--no-deadline", "--no-provider")
    assert not s["spec"].get("send_window") and not s.get("deadline_after_ms")
    assert "not both" in run("schedule", "update", "weekly", "--rate", "5", "--no-rate", check=False).stderr
    s = j.call("schedule", "show", "weekly")
    assert (s["cron"], s["time_zone"], s["catch_up_ms"]) == ("30 7 * * mon", "UTC", 7200000)
    assert (s["overlap"], s["spec"]["title"]) == ("OVERLAP_POLICY_SKIP", "on Mondays")
    assert "on Mondays" in run("schedule", "show", "weekly").stdout
    assert run("schedule", "list").stdout.splitlines()[1].split()[:2] == ["weekly", "weekly"]
    run("schedule", "pause", "weekly")
    assert "paused" in run("schedule", "list").stdout
    job = j.call("schedule", "run", "weekly", "--request-id", "once")["job"]
    assert j.call("schedule", "run", "weekly", "--request-id", "once")["existing"]
    top = run("top", "--once").stdout
    assert "PENDING" in top or "IN_PROGRESS" in top
    assert "scheduler (leads)" in top and str(job["id"]) in top and all(len(line) < 200 for line in top.splitlines())
    wrong = run("schedule", "update", "weekly", "--cron", "61 * * * *", check=False)
    assert wrong.returncode == 2 and 'minute "61": not 0 to 59' in wrong.stderr
    assert run("schedule", "show", "monthly", check=False).returncode == 5
    run("schedule", "delete", "weekly")
    assert "was not there" in run("schedule", "delete", "weekly").stdout
    actions = [e["action"] for e in j.call("audit")["entries"]]
    assert actions == ["schedule_delete", "submit", "schedule_pause", *["schedule_update"] * 4, "schedule_create"]


def test_top_leaves_the_terminal_as_it_was(new_stack):
    stack = new_stack(start=False)
    stack.wait_ready(stack.start_service("scheduler"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    top = subprocess.Popen([stack.binary("foliopost"), "top", "--every", "200ms"], stdin=slave, stdout=slave, stderr=slave,
                           env={**os.environ, **stack.env(), "TERM": "vt100"})
    shown, end = b"", time.monotonic() + 60
    while shown.count(b"PROCESS") < 3:
        assert time.monotonic() < end and top.poll() is None, shown
        if select.select([master], [], [], 0.2)[0]:
            shown += os.read(master, 65536)
    top.send_signal(signal.SIGINT)
    assert top.wait(30) == 130
    assert termios.tcgetattr(slave) == before
    assert b"\x1b[?" not in shown  # no mode of the terminal was changed
    pictures = shown.replace(b"\x1b[K", b"").replace(b"\x1b[J", b"").replace(b"\r", b"").split(b"\n")
    assert all(len(line) < 80 for line in pictures if b"\x1b" not in line)
    os.close(master)
    os.close(slave)
