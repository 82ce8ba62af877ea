"""Holds the ledger against the sink's own record, and drives jobs."""
import collections
import json
import time


class Judge:
    def __init__(self, stack):
        self.stack = stack

    # --- driving -----------------------------------------------------------------------

    def call(self, *args, check=True):
        done = self.stack.foliopost(*args, "--json", check=check, timeout=90)
        return json.loads(done.stdout) if done.returncode == 0 else done

    def submit(self, *args):
        return self.call("submit", *(args or ("monthly",)))["job"]["id"]

    def job(self, job_id):
        return self.call("status", job_id)

    def state(self, job_id):
        return self.job(job_id)["state"].replace("JOB_STATE_", "")

    def wait_state(self, job_id, state, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = self.call("status", job_id, check=False) # a scheduler may be away just now
            if isinstance(done, dict):
                now = done["state"].replace("JOB_STATE_", "")
                if now == state:
                    return done
                assert now not in ("COMPLETED", "FAILED", "CANCELLED"), f"job {job_id} is {now}, not {state}: {done['response']}"
            time.sleep(0.1)
        raise AssertionError(f"job {job_id} is not {state} after {seconds} s: {done}\n{self.diagnosis(job_id)}")

    def wait_sent(self, job_id, least, seconds=60):
        end = time.monotonic() + seconds
        while self.mails(job_id).total() < least:
            assert time.monotonic() < end, f"only {self.mails(job_id).total()} mails after {seconds} s\n{self.diagnosis(job_id)}"
            time.sleep(0.05)

    # --- what there is ------------------------------------------------------------------

    def sql(self, text):
        return self.stack.postgres.sql(self.stack.database, text)

    def number(self, text):
        return int(self.sql(text)[0][0])

    def mails(self, job_id):
        """User id -> times the sink accepted his mail of this job."""
        counts = collections.Counter()
        if self.stack.record.exists():
            for line in self.stack.record.read_text(errors="replace").splitlines():
                fields = line.split("\t")
                if len(fields) == 3 and fields[1].startswith(f"<{job_id}."):
                    counts[int(fields[1][1:].split(".")[1])] += 1
        return counts

    def deliveries(self, job_id):
        rows = self.sql(f"SELECT user_id, state, maybe_doubles FROM foliopost.deliveries WHERE job_id = {job_id}")
        return {int(u): (state, int(doubles)) for u, state, doubles in rows}

    def audience(self):
        return {int(r[0]) for r in self.sql("SELECT id FROM portfolio.users")}

    def diagnosis(self, job_id):
        batches = self.sql(f"SELECT state, count(*), sum(redos), sum(emits), sum(cardinality(open_intents)) FROM foliopost.batches WHERE job_id = {job_id} GROUP BY 1")
        intervals = self.sql(f"SELECT state, count(*) FROM foliopost.intervals WHERE job_id = {job_id} GROUP BY 1")
        outcomes = self.sql(f"SELECT state, reason, count(*) FROM foliopost.deliveries WHERE job_id = {job_id} GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10")
        errors = self.sql("SELECT service, code, message FROM foliopost.error_log ORDER BY id DESC LIMIT 5")
        return f"batches {batches}\nintervals {intervals}\ndeliveries {outcomes}\nerrors {errors}"

    # --- the verdict ---------------------------------------------------------------------

    def accounted(self, job_id, audience=None):
        """Everybody has one outcome, and the sink agrees with each of them."""
        audience = self.audience() if audience is None else set(audience)
        rows, mails = self.deliveries(job_id), self.mails(job_id)
        missed = audience - rows.keys()
        assert not missed, f"{len(missed)} users without an outcome, such as {sorted(missed)[:5]}"
        assert rows.keys() == audience, f"outcomes for strangers: {sorted(rows.keys() - audience)[:5]}"
        open_ = {u: s for u, (s, _) in rows.items() if s in ("deferred", "requeued")}
        assert not open_, f"{len(open_)} users without a terminal outcome"
        lost = [u for u, (s, _) in rows.items() if s == "sent" and not mails[u]]
        assert not lost, f"{len(lost)} users recorded as sent whom the sink never saw, such as {lost[:5]}"
        twice = [u for u, n in mails.items() if n > 1 + rows[u][1]]
        assert not twice, f"{len(twice)} users mailed twice and not recorded, such as {twice[:5]}"
        unrecorded = [u for u in mails if rows[u][0] not in ("sent", "ambiguous")]
        assert not unrecorded, f"{len(unrecorded)} users got a mail that the ledger denies, such as {unrecorded[:5]}"
        return collections.Counter(s for s, _ in rows.values())

    def report_agrees(self, job_id):
        report, counts = self.call("report", job_id), self.accounted(job_id)
        for field, state in (("mails_sent", "sent"), ("failed", "failed"), ("skipped", "skipped"), ("ambiguous", "ambiguous")):
            assert int(report[field]) == counts[state], f"report says {field} {report[field]}, the ledger {counts[state]}"
        assert int(report["mails_sent"]) <= self.mails(job_id).total()
        proof = report["job"]["proof"]
        assert int(proof["users"]) == sum(counts.values())
        return report
