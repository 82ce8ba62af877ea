"""What the ledger costs a job: script/bench --ledger-share.

The same binaries (build/hooks: a release that can be told to) over SMTP, with the ledger and without: a
mailer without it takes every record for written, so that no intent and no outcome reaches PostgreSQL.
Such a job can never be proven complete; what is timed in both is when the last page is done.
"""
import statistics
import time

from benchrun import Bench
from benchtable import HEAD, say
from foliostack import ROOT, SERVICES, StackError, months_ago

GOALS = {16: 0.15, 64: 0.10} # of the end-to-end rate, by connections


class LedgerBench(Bench):
    def until_paged_and_sent(self, job):
        cursor = self.connection.cursor()
        while True:
            cursor.execute("SELECT (SELECT count(*) FROM foliopost.intervals WHERE job_id = %(j)s AND state <> 'paged'),"
                           " (SELECT count(*) FROM foliopost.batches WHERE job_id = %(j)s AND state <> 'done'),"
                           " (SELECT count(*) FROM foliopost.intervals WHERE job_id = %(j)s)", {"j": job})
            unread, unsent, intervals = cursor.fetchone()
            if intervals and not unread and not unsent:
                return
            time.sleep(0.02)

    def sent_by(self, name, template, keeps_none, connections):
        """A row of the job, from its submission to its last page."""
        self.stack.service_env = {"FOLIOPOST_SABOTAGE": "unrecorded"} if keeps_none else {}
        self.connections = connections
        self.services()
        processes = {s: self.stack.of(s)[0].pid for s in SERVICES}
        self.meter.begin(**processes, sink=self.sink.pid)
        job = self.submit(template, "monthly", "--period", months_ago(0))
        self.until_paged_and_sent(job)
        row = self.meter.end(name, self.users)
        self.add(row)
        rows = int(self.postgres.sql(self.stack.database, f"SELECT count(*) FROM foliopost.deliveries WHERE job_id = {job}")[0][0])
        if (rows < self.users * 0.8) != keeps_none:
            raise StackError(f"{name}: the ledger has {rows} outcomes")
        self.stack.foliopost("cancel", job, check=False)
        return row


def share(folder, users, template, repeat):
    """By connections: the part of the rate that the ledger costs, median of runs in turn."""
    bench = LedgerBench(folder, users, 16, build=ROOT / "build" / "hooks")
    out = {}
    with bench.running():
        say(HEAD)
        bench.job("first report of all", "plain", month=1)
        for connections in sorted(GOALS):
            shares = []
            for _ in range(repeat):
                kept = bench.sent_by(f"ledger kept, {connections} connections", template, False, connections)
                none = bench.sent_by(f"none kept, {connections} connections", template, True, connections)
                shares.append(1 - kept.rate / none.rate)
            out[connections] = round(statistics.median(shares), 3)
            say(f"the ledger costs {out[connections]:.1%} of the rate at {connections} connections"
                f" ({', '.join(f'{s:.1%}' for s in sorted(shares))}; aim {GOALS[connections]:.0%})")
    return bench.rows, out
