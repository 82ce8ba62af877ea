"""Walks through the crash points of a test build (lib/base/crash.h): for each statement of
the ledger and for the provider's reply, a process is killed just before and just after it,
while jobs run; then everything is judged as after any other run.

Which points there are is asked of the binaries: in a first part they write down what they
pass. In the second each service's first replica is started again and again, each time told
the next point; the second replica keeps work going. That a dead process's lease is over is
written by hand, else each death would cost ten seconds.
"""
import random
import signal
import threading
import time

from chaos.run import Run
from chaos.stack import service_of

LIST_S = 18     # of the first part, with some trouble so that rare statements are run too
MEET_S = 5      # so long a process may take to come to its point; then it is told to drain,
LEADER_S = 25   # but for the leader, who declares nobody dead before he has led for a lease
WALKED_TOGETHER = (("userstream", "stats", "mailer"), ("scheduler",))


class Walk(Run):
    def __init__(self, stack, options, say):
        super().__init__(stack, [], float("inf"), options, say)
        self.memory_bound_mib = float("inf") # a sanitized build may be walked through
        self.points = {}
        self.met, self.not_met = [], []

    def carry_out(self):
        self.list_points()
        if self.options.list:
            return
        for services in WALKED_TOGETHER:
            threads = [threading.Thread(target=self.guarded, args=(lambda s=s: self.walk(s),)) for s in services]
            for t in threads:
                t.start()
            for t in threads:
                t.join()

    # --- what there is --------------------------------------------------------------------------

    def list_points(self):
        """Every process is started again to write down what it passes, and gets some trouble."""
        files = {n: self.stack.folder / f"points.{n}" for n in sorted(self.stack.wanted)}
        for name, file in files.items():
            self.stack.kill(name)
            self.stack.lease_over(name)
            self.stack.start(name, {"FOLIOPOST_CRASH_LIST": str(file)})
        end = time.monotonic() + LIST_S
        self.stack.cue("refuse-rcpt 450:5%", "delay-ms 20")
        time.sleep(LIST_S / 2)
        self.stack.kill("mailer2")
        self.stack.lease_over("mailer2")
        self.stack.terminate("mailer1")
        self.stack.start("mailer1", {"FOLIOPOST_CRASH_LIST": str(files["mailer1"])})
        self.stack.start("mailer2")
        time.sleep(max(0, end - time.monotonic()))
        for name, file in files.items():
            some = file.read_text().split() if file.exists() else []
            self.points.setdefault(service_of(name), set()).update(some)

    # --- the walk ---------------------------------------------------------------------------------

    def walk(self, service):
        points = sorted(self.points.get(service, ()))
        random.Random(f"{self.options.seed}/{service}").shuffle(points)
        if self.options.most:
            points = points[:self.options.most]
        name = f"{service}1"
        if service == "scheduler": # the leader is to die, and no other to take over
            self.stack.kill("scheduler2")
            self.stack.lease_over("scheduler2")
        self.stack.kill(name)
        self.stack.lease_over(name)
        for point in points:
            self.die_at(name, point)
        self.stack.start(name)

    def die_at(self, name, point):
        self.stack.start(name, {"FOLIOPOST_CRASH_AT": point}, wanted=False)
        process = self.stack.processes[name]
        met = process.wait(LEADER_S if service_of(name) == "scheduler" else MEET_S)
        if not met:
            process.signal(signal.SIGTERM)
            met = process.wait(MEET_S) and process.exit_code() != 0
        if met and process.exit_code() != -signal.SIGKILL:
            self.ended_by_itself.append(f"{name} told to die at {point} ended with {process.exit_code()}:\n{process.log_tail(8)}")
        if not met:
            process.kill()
        (self.met if met else self.not_met).append(f"{service_of(name)} {point}")
        self.stack.lease_over(name)
