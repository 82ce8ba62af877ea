"""What script/bench runs: whole jobs, what is beside them, and each stage alone."""
import contextlib
import json
import os
import re
import subprocess
import time

import psycopg2

from benchmeasure import Meter, Row, bytes_read, family_cpu_us, peak_kib
from benchtable import line, say
from foliostack import ROOT, SERVICES, Postgres, Process, Stack, StackError, free_port, months_ago, wait_for_port

CONNECTIONS = 16
MOST_MAILS = 200_000 # of a sender beside us: its rate is the same after minutes
MAILS_PER_CONNECTION = 100 # the mailer's default, and smtp_bench's
PAGE = """\\set at random(1, :users)
SELECT id, created_at, email, first_name, last_name, locale, time_zone, base_currency FROM portfolio.users
 WHERE (created_at, id) > (SELECT created_at, id FROM portfolio.users WHERE id = :at) AND created_at < now()
 ORDER BY created_at, id LIMIT 100;
"""
MONTH = """\\set at random(1, :users)
SELECT * FROM portfolio.transactions WHERE user_id = ANY (ARRAY(SELECT generate_series(:at, :at + 99)::bigint))
 AND trade_date >= date_trunc('month', now() - interval '1 month') AND trade_date <= now() ORDER BY user_id, trade_date, id;
"""
LEDGER = """\\set at random(1, 1000000000000)
INSERT INTO bench_deliveries (job_id, user_id, batch_id, epoch, state, reason, provider_id, attempts, maybe_doubles)
 SELECT 1, :at::bigint + i, 1, 1, 'sent', '', '250 2.0.0 Ok: queued', 1, 0 FROM unnest(ARRAY(SELECT generate_series(1, 100))) AS i
 ON CONFLICT DO NOTHING;
"""
NULL = {"transport": "null", "templates": ROOT / "bench" / "templates"} # settings of a mailer that hands over nothing


class Bench:
    """One database, one sink and one set of services; rows are what was measured so far.

    fill: makes the users, given this; the synthetic ones by default. build: the folder of the binaries."""

    def __init__(self, folder, users, connections, statements=False, fill=None, build=None):
        self.statements, self.fill = statements, fill
        self.folder, self.users, self.connections = folder, users, connections
        self.postgres = Postgres(folder)
        self.stack = Stack(folder / "stack", build)
        self.stack.postgres = self.postgres
        self.rows, self.mean = [], {}
        self.ready_ms, self.small_seconds = {}, []
        self.sink = None

    def add(self, row):
        self.rows.append(row)
        say(line(row))

    # --- what runs --------------------------------------------------------------------

    def up(self):
        self.postgres.start("-c shared_preload_libraries=pg_stat_statements")
        self.stack.make_database(100 if self.fill else self.users) # with the market, that users of all kinds share
        if self.fill:
            self.fill(self)
        self.postgres.sql(self.stack.database, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self.postgres.sql(self.stack.database, "VACUUM ANALYZE")
        self.connection = psycopg2.connect(self.stack.dsn)
        self.connection.autocommit = True
        self.meter = Meter(self.postgres, self.stack.database)
        self.start_sink()
        for service in SERVICES:
            self.stack.options[service] = {}

    @contextlib.contextmanager
    def running(self):
        """All of it up, and down again whatever happens."""
        try:
            self.up()
            yield self
        finally:
            self.down()

    def start_sink(self):
        port = free_port()
        # -c off: no counters on the terminal. smtp-sink refuses to run as root without -u.
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self.sink = Process("smtp-sink", self.folder, ["/usr/sbin/smtp-sink", *user, f"127.0.0.1:{port}", "1024"]).start()
        wait_for_port(port)
        self.stack.smtp = f"127.0.0.1:{port}"

    def down(self):
        self.stack.stop_services(40)
        if self.sink:
            self.sink.stop(5)
        self.postgres.stop("immediate")

    def services(self, **mailer):
        """All at first; then a mailer of other settings only: the others' caches are as warm as in
        the middle of a long job."""
        self.stack.options["mailer"] = {"connections": self.connections, **mailer}
        running = self.stack.of("mailer")
        if not running:
            self.stack.start_services()
            return
        running[0].stop(40)
        self.stack.wait_ready(self.stack.start_service("mailer"))

    # --- a whole job ------------------------------------------------------------------

    def wait(self, job):
        cursor = self.connection.cursor() # psql would start a process and a backend each time
        while True:
            cursor.execute("SELECT state FROM foliopost.jobs WHERE id = %s", (job,))
            state = cursor.fetchone()[0]
            if state == "COMPLETED":
                return
            if state in ("FAILED", "CANCELLED", "PAUSED"):
                raise StackError(f"job {job} is {state}: {self.stack.foliopost('report', job).stdout}")
            time.sleep(0.05)

    def submit(self, template, *spec):
        return json.loads(self.stack.foliopost("submit", *spec, "--template", template, "--json").stdout)["job"]["id"]

    def job(self, name, template, note="", month=0, **mailer):
        """Reports of the last month (of the one before: month=1)."""
        self.services(**mailer)
        processes = {s: self.stack.of(s)[0].pid for s in SERVICES}
        if mailer.get("transport", "smtp") == "smtp":
            processes["sink"] = self.sink.pid
        read = bytes_read(self.sink.pid)
        self.meter.begin(**processes)
        job = self.submit(template, "monthly", "--period", months_ago(month))
        self.wait(job)
        row = self.meter.end(name, self.users, note)
        sent = int(self.postgres.sql(self.stack.database, "SELECT count(*) FROM foliopost.deliveries WHERE state = 'sent'"
                                     f" AND job_id = {job}")[0][0])
        row.note = f"{sent / row.seconds:,.0f} mails/s"
        if "sink" in processes and sent:
            self.mean[template] = round((bytes_read(self.sink.pid) - read) / sent)
            row.note += f" of {self.mean[template]:,} bytes"
        self.add(row)
        if self.statements:
            self.top()

    def top(self):
        """Where the database's time went since the last call."""
        for calls, us, text in self.postgres.sql(self.stack.database, "SELECT calls, round((total_exec_time * 1000 / " f"{self.users})::numeric, 1),"
                                                 " left(regexp_replace(query, '\\s+', ' ', 'g'), 110) FROM pg_stat_statements"
                                                 " ORDER BY total_exec_time DESC LIMIT 8"):
            print(f"    {calls:>7} calls {us:>7} us a user  {text}", flush=True)
        self.postgres.sql(self.stack.database, "SELECT pg_stat_statements_reset()")

    def small_job(self, template, **mailer):
        """A job of 100 users, submitted when a tenth of everybody's have their outcome."""
        self.services(**mailer)
        everybody = self.submit(template, "monthly", "--period", months_ago(0))
        cursor = self.connection.cursor()
        done = 0
        while done < self.users / 10:
            time.sleep(0.05)
            cursor.execute("SELECT count(*) FROM foliopost.deliveries WHERE job_id = %s", (everybody,))
            done = cursor.fetchone()[0]
        begun = time.monotonic()
        first = self.users // 2
        self.wait(self.submit(template, "custom", "--period", months_ago(0), "--user-ids", ",".join(str(first + i) for i in range(100))))
        took = time.monotonic() - begun
        self.small_seconds.append(round(took, 2))
        self.wait(everybody)
        say(f"a job of 100 users in the midst of one of {self.users:,}: complete after {took:.1f} s")

    def starts(self):
        """From the start of a process to its /readyz, the database and the others being up; the best of five."""
        for service in SERVICES:
            best = None
            for _ in range(5):
                self.stack.of(service)[0].stop(40)
                begun = time.monotonic()
                self.stack.wait_ready(self.stack.start_service(service), every=0.002)
                took = (time.monotonic() - begun) * 1000
                best = min(best or took, took)
            self.ready_ms[service] = round(best)
        say("start to ready: " + ", ".join(f"{s} {ms} ms" for s, ms in self.ready_ms.items()))

    # --- what is beside it ------------------------------------------------------------

    def sender(self, name, argv, mails):
        """A sender of mails to the sink; argv without the number of mails and so on."""
        self.meter.begin(sink=self.sink.pid)
        child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while True:
            cpu, peak = family_cpu_us(child.pid), peak_kib(child.pid)
            if child.poll() is not None:
                break
            time.sleep(0.02)
            if peak:
                kept = cpu, peak
        if child.returncode:
            raise StackError(f"{name}: exit {child.returncode}")
        row = self.meter.end(name, mails)
        row.cpu_us["sender"], row.memory_kib["sender"] = kept[0] / mails, kept[1]
        row.cpu_us.pop("postgres")
        row.statements = row.wal_bytes = None
        self.add(row)

    def senders(self, template):
        size = self.mean[template]
        mails = min(self.users, MOST_MAILS)
        self.sender(f"smtp-source, {template}'s size", [
            "/usr/sbin/smtp-source", "-s", self.connections, "-d", "-l", size, "-m", mails, "-f", "reports@example.com",
            "-t", "someone@example.com", self.stack.smtp], mails)
        ours = [self.stack.binary("smtp_bench"), self.stack.smtp, mails, size, self.connections]
        self.sender(f"bare libcurl, {template}'s size", ours, mails)
        self.sender(f"our transport, {template}'s size", [*ours, MAILS_PER_CONNECTION, "transport"], mails)

    def pgbench(self, name, script, rows_each, seconds):
        path = self.folder / "pgbench.sql"
        path.write_text(script)
        self.meter.begin()
        done = subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", "2", "-j", "1", "-T", str(seconds), "-D", f"users={max(1, self.users - 100)}",
                               "-f", str(path), self.stack.dsn], capture_output=True, text=True, check=False)
        found = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
        if done.returncode or not found:
            raise StackError(f"pgbench: {done.stderr.strip()}")
        self.add(self.meter.end(name, int(found.group(1)) * rows_each, ""))

    def stages(self, seconds):
        self.stack.stop_services(40)
        self.pgbench("pgbench: pages of 100 users", PAGE, 100, seconds)
        self.pgbench("pgbench: transactions of 100 users", MONTH, 100, seconds)
        self.postgres.sql(self.stack.database, "CREATE TABLE IF NOT EXISTS bench_deliveries (LIKE foliopost.deliveries INCLUDING ALL)")
        self.pgbench("pgbench: 100 deliveries", LEDGER, 100, seconds)
        self.stats_alone()
        self.render_alone()

    def stats_alone(self):
        month = self.postgres.sql("postgres", "SELECT (date_trunc('month', now()) - interval '1 month')::date || '..' ||"
                                  " (date_trunc('month', now()) - interval '1 day')::date")[0][0]
        self.meter.begin()
        done = subprocess.run([self.stack.binary("stats_bench"), self.stack.dsn, "2", month, "checkpoints"],
                              capture_output=True, text=True, check=True).stdout
        row = self.meter.end("stats alone, with checkpoints", self.users)
        row.cpu_us["stats"] = float(re.search(r"([\d.]+) us of CPU", done).group(1))
        self.add(row)

    def render_alone(self):
        rounds = 2000
        for template in ("statement", "plain"):
            begun = time.monotonic()
            out = subprocess.run([self.stack.binary("render_bench"), str(rounds), template], capture_output=True, text=True, check=True).stdout
            times = [float(x) for x in re.findall(r"([\d.]+) us", out)]
            row = Row(f"rendering alone, {template}, 1 thread", 1, sum(times) / len(times) / 1e6,
                      {"mailer": sum(times) / len(times)}, note=f"mean of {len(times)} mails")
            assert time.monotonic() > begun
            self.add(row)
