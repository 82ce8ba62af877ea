"""One run: starts the stack, keeps jobs coming, carries out the plan, watches, heals,
waits for every job, judges, drains, and counts what is left."""
import heapq
import threading
import time
import traceback
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from foliostack import StackError

from chaos import nng
from chaos.faults import FAULTS, Missed
from chaos.judge import Judge
from chaos.plan import BY_NAME
from chaos.progress import Progress
from chaos.stack import LISTENERS, rss_mib, service_of

JUDGE_AFTER_S = 20      # a completed job: what lay with a frozen relay is in the record by then
MEMORY_BOUND_MIB = 128
CANCELLED_AFTER_S = 20  # a cancelled job's last mail may lie in a frozen mailer's or relay's hands
WAY_OFF_S = 180         # for all jobs to end after the last fault


class Done:
    """What became of one fault of the plan."""

    def __init__(self, fault):
        self.fault, self.began, self.ended, self.missed = fault, None, None, ""


class Run:
    def __init__(self, stack, plan, seconds, options, say):
        self.stack, self.plan, self.seconds, self.options, self.say = stack, plan, seconds, options, say
        self.done = [Done(f) for f in plan]
        self.ended_by_itself = []       # texts
        self.peak = defaultdict(float)  # service -> MiB
        self.first = {}
        self.progress = Progress(stack.record)
        self.connections = 0
        self.over = threading.Event()   # no more faults, no more jobs
        self.stop = threading.Event()
        self.whole = defaultdict(threading.Lock)
        self.completed = {}             # job -> when it was seen completed
        self.memory_bound_mib = MEMORY_BOUND_MIB
        self.submitted = 0
        self.policies = ("hold", "resend") # in turn
        self.request_prefix = "chaos"
        self.errors = []

    def now(self):
        return time.monotonic() - self.start

    # --- the whole ---------------------------------------------------------------------------

    def run(self):
        helpers = self.prepare()
        try:
            self.to_the_end(helpers)
        finally:
            self.finish_early(helpers) # ended by a signal: who watches would start again what is ended

    def to_the_end(self, helpers):
        self.carry_out()
        self.over.set()
        self.say(f"{self.now():.0f} s: the plan is carried out; waiting for the jobs")
        self.heal()
        self.wait_for_jobs()
        self.stop.set()
        for h in helpers:
            h.join(30)
        done = {r[0] for r in self.stack.patiently("SELECT id FROM foliopost.jobs WHERE state = 'COMPLETED'")}
        for job in sorted(done - self.judge.judged):
            self.judge.job(job, self.stack.resolved.get(job))
        self.judge.record.read()
        for job in sorted(self.stack.cancelled):
            self.judge.cancelled(job)
            after = [t for t in self.progress.of[job] if t > self.progress.ended.get(job, t) + CANCELLED_AFTER_S]
            if after:
                self.judge.blame("P7", f"job {job}: mails {after[-1] - self.progress.ended[job]:.0f} s after it was cancelled")
        self.judge.finish()
        for text in self.stack.down():
            self.judge.blame("end", text)
        self.judge_processes()

    def prepare(self):
        """Starts the clock and those who submit and watch."""
        self.judge = Judge(self.stack)
        self.start = time.monotonic()
        helpers = [threading.Thread(target=self.guarded, args=(f,), name=f.__name__, daemon=True)
                   for f in (self.submit_jobs, self.watch_processes, self.watch_progress, self.watch_jobs)]
        for h in helpers:
            h.start()
        return helpers

    def finish_early(self, helpers):
        """Nothing is waited for; the processes are left as they are."""
        self.over.set()
        self.stop.set()
        for h in helpers:
            h.join(30)

    def judge_processes(self):
        left = self.stack.connections_left()
        self.judge.counts["connections left"] = left
        if left:
            self.judge.blame("end", f"{left} connections to PostgreSQL are left after everybody ended")
        for text in self.ended_by_itself:
            self.judge.blame("end", text)
        for service, mib in self.peak.items():
            if mib > self.memory_bound_mib:
                self.judge.blame("P7", f"{service} used {mib:.0f} MiB")
        for text in self.errors:
            self.judge.blame("chaos itself", text)

    def guarded(self, f):
        try:
            f()
        except Exception: # noqa: BLE001 - a helper's end must be seen and not lose the run
            self.errors.append(f"{f.__name__}: {traceback.format_exc()}")

    # --- the plan ------------------------------------------------------------------------------

    def carry_out(self):
        waiting = [(d.fault.at, n) for n, d in enumerate(self.done)]
        heapq.heapify(waiting)
        with ThreadPoolExecutor(32, "fault") as pool:
            while waiting and not self.errors and not self.enough():
                if waiting[0][0] > self.now():
                    time.sleep(min(0.5, waiting[0][0] - self.now()))
                    continue
                pool.submit(self.carry_out_one, self.done[heapq.heappop(waiting)[1]])
            while self.now() < self.seconds and not self.enough():
                time.sleep(0.2)
            if self.enough():
                self.stack.hurry.set()

    def enough(self):
        """True to leave the rest of the plan."""
        return False

    def carry_out_one(self, d):
        names = sorted(d.fault.target.split("+")) if BY_NAME[d.fault.kind].whole else []
        held = []
        try:
            for name in names:
                if not self.whole[name].acquire(timeout=5):
                    raise Missed("the one before is not over")
                held.append(name)
            steps = FAULTS[d.fault.kind](self.stack, d.fault)
            next(steps)
            d.began = self.now()
            self.stack.hurry.wait(d.fault.seconds)
            next(steps, None)
            d.ended = self.now()
        except Missed as e:
            d.missed = str(e)
        except StackError as e:
            d.ended = self.now()
            self.judge.blame("end", f"fault {d.fault.no} ({d.fault.kind}, {d.fault.target}): {e}")
        except Exception: # noqa: BLE001
            self.errors.append(f"fault {d.fault}: {traceback.format_exc()}")
        finally:
            for name in held:
                self.whole[name].release()

    def heal(self):
        self.stack.calm()
        self.stack.cue("normal")
        for name in self.stack.always:
            if name not in self.stack.wanted:
                self.stack.start(name)

    # --- jobs ------------------------------------------------------------------------------------

    def submit_jobs(self):
        while not self.over.is_set():
            rows = self.stack.patiently("SELECT count(*) FROM foliopost.jobs WHERE state IN ('PENDING', 'IN_PROGRESS', 'PAUSED')")
            if rows[0][0] >= self.options.jobs or self.seconds - self.now() < 5:
                time.sleep(0.3)
                continue
            argv = ("submit", "monthly", "--request-id", f"{self.request_prefix}-{self.submitted + 1}", "--policy",
                    self.policies[self.submitted % len(self.policies)], "--timeout", "5s")
            if self.stack.foliopost(*argv, check=False).returncode == 0: # else nobody answered: again, the same id
                self.submitted += 1

    def watch_jobs(self):
        while not self.stop.wait(0.5):
            for job, state, response in self.stack.patiently("SELECT id, state, response FROM foliopost.jobs"):
                self.see_job(job, state, response)
            for job, at in list(self.completed.items()):
                if job not in self.judge.judged and self.now() - at > JUDGE_AFTER_S:
                    self.judge.job(job, self.stack.resolved.get(job))

    def see_job(self, job, state, response):
        self.progress.see(self.now(), job, state)
        if state == "COMPLETED":
            self.completed.setdefault(job, self.now())
        elif state == "CANCELLED" and job in self.stack.cancelled:
            pass
        elif state == "IN_PROGRESS":
            self.completed.pop(job, None) # opened again
        elif state in ("FAILED", "CANCELLED"):
            raise StackError(f"job {job} is {state}: {response}")
        elif state == "PAUSED" and job not in self.stack.paused:
            again = self.stack.patiently("SELECT state, waiting FROM foliopost.jobs WHERE id = %s", (job,))
            if again[0][0] == "PAUSED" and job not in self.stack.paused:
                self.judge.blame("P9", f"job {job} is paused by itself: {response} {again[0][1]}")
                self.stack.foliopost("resume", job, "--timeout", "5s", check=False)

    def wait_for_jobs(self):
        way_off_s = WAY_OFF_S * getattr(self.options, "patience", 1)
        end = time.monotonic() + way_off_s
        while True:
            left = [row for row in self.stack.patiently("SELECT id, state, waiting FROM foliopost.jobs WHERE state <> 'COMPLETED'")
                    if row[0] not in self.stack.cancelled]
            if not left:
                return
            if time.monotonic() > end:
                for job, state, waiting in left:
                    self.judge.blame("P7", f"job {job} is {state} {way_off_s:.0f} s after the last fault: {waiting} {self.standing(job)}")
                return
            time.sleep(0.3)

    def standing(self, job):
        return self.stack.sql("SELECT state, count(*), max(redos), max(emits), min(due_at)::text FROM foliopost.batches"
                              " WHERE job_id = %s GROUP BY 1", (job,))

    # --- what is watched ---------------------------------------------------------------------------

    def watch_processes(self):
        turn = 0
        while not self.stop.wait(0.2):
            with self.stack.lock:
                gone = [n for n in self.stack.wanted if not self.stack.processes[n].alive()]
                for name in gone:
                    self.note_end(name)
            turn += 1
            if turn % 10 == 0:
                self.measure()

    def note_end(self, name):
        process = self.stack.processes[name]
        code = process.exit_code()
        if code < 0 and service_of(name) in LISTENERS and nng.died_of_it(process.log_tail(80)):
            self.judge.counts["crashes of NNG 1.5"] += 1
        else:
            self.ended_by_itself.append(f"{name} ended by itself at {self.now():.1f} s with {code}:\n{process.log_tail(40)}")
        self.stack.start(name)

    def measure(self):
        for name in list(self.stack.wanted):
            mib = rss_mib(self.stack.processes[name].pid)
            self.peak[service_of(name)] = max(self.peak[service_of(name)], mib)
        try:
            count = self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'chaos'")[0][0]
            self.connections = max(self.connections, count)
        except Exception: # noqa: BLE001 - PostgreSQL is away just now
            pass

    def watch_progress(self):
        while not self.stop.wait(0.05):
            self.progress.read(self.now())
