"""Holds the ledger against the sink's own record, job by job, and says what promise broke.

A user's mails, as the sink counted them, are at most maybe_doubles, and one more where
the outcome is sent or ambiguous: so a second mail is always one that the ledger owns up
to, and with policy `hold` there is none. Sent means that the sink has it.

Who gets no mail is known from the source: who opted out, whose data is broken, who has
nothing to report. Anybody else who ends as failed or skipped was missed, whatever the
reason says; and who opted out and got a mail was not asked.
"""
from collections import Counter, defaultdict

from chaos.stack import OPEN_INTENTS

EXAMPLES = 5
# user id % 1000, by sql/synthetic.sql: whose data is wrong, and whose prices are doubted
BROKEN = {*range(1, 17), 46, 50, 51}
EXPIRED = "lease over while sending"
ACCEPTED = "accepted by an operator"


class Record:
    """The sink's record, read on from where it was left."""

    def __init__(self, path):
        self.path, self.offset, self.total = path, 0, 0
        self.open = defaultdict(Counter) # job -> user -> mails
        self.closed = {}                 # judged job -> user -> mails that may still come
        self.late = []                   # mails nobody may get any more

    def read(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
        except FileNotFoundError:
            return
        data = data[:data.rfind(b"\n") + 1]
        self.offset += len(data)
        for line in data.decode(errors="replace").splitlines():
            self.count(line.split("\t")[1])

    def count(self, message_id):
        job, user = (int(x) for x in message_id[1:].split(".")[:2])
        self.total += 1
        if job not in self.closed:
            self.open[job][user] += 1
        elif self.closed[job].get(user, 0) > 0:
            self.closed[job][user] -= 1
        else:
            self.late.append((job, user))


class Judge:
    def __init__(self, stack):
        self.stack = stack
        self.record = Record(stack.record)
        self.wrong = []           # (promise, text)
        self.counts = Counter()   # of the figures of the summary
        self.judged = set()
        self.audience = {r[0] for r in stack.sql("SELECT id FROM portfolio.users")}
        self.opted_out = {r[0] for r in stack.sql("SELECT user_id FROM portfolio.preferences WHERE kind = 'monthly' AND NOT enabled")}
        self.first_traded = dict(stack.sql("SELECT user_id, min(trade_date) FROM portfolio.transactions WHERE isfinite(trade_date) GROUP BY 1"))

    def blame(self, promise, text, users=()):
        some = f", such as {sorted(users)[:EXAMPLES]}" if users else ""
        self.wrong.append((promise, text + some))

    def job(self, job_id, resolved=None):
        """Judges a job that is COMPLETED, once. resolved: what was decided about its ambiguous users, if anything."""
        rows = self.stack.patiently("SELECT user_id, state, maybe_doubles, reason FROM foliopost.deliveries WHERE job_id = %s", (job_id,))
        self.record.read()
        policy, period_end = self.stack.patiently("SELECT ambiguous_policy, period_end FROM foliopost.jobs WHERE id = %s", (job_id,))[0]
        outcomes = {u: (state, doubles, reason) for u, state, doubles, reason in rows}
        mails = self.record.open.pop(job_id, Counter())
        self.record.closed[job_id] = {}
        self.judged.add(job_id)
        self.everybody(job_id, outcomes)
        self.each(job_id, policy, outcomes, mails)
        accepted = [u for u, (_, _, reason) in outcomes.items() if reason.startswith(ACCEPTED)]
        if accepted and resolved != "accept":
            self.blame("P6", f"job {job_id}: {len(accepted)} users accepted by nobody", accepted)
        self.innocents(job_id, period_end, outcomes)
        self.proof(job_id, outcomes)

    def everybody(self, job_id, outcomes):
        missed, strangers = self.audience - outcomes.keys(), outcomes.keys() - self.audience
        self.counts["users"] += len(outcomes)
        self.counts["missed"] += len(missed)
        if missed:
            self.blame("P1", f"job {job_id}: {len(missed)} users without an outcome", missed)
        if strangers:
            self.blame("P2", f"job {job_id}: outcomes for {len(strangers)} strangers", strangers)
        open_ = [u for u, (state, _, _) in outcomes.items() if state in ("deferred", "requeued")]
        if open_:
            self.blame("P3", f"job {job_id}: completed with {len(open_)} open users", open_)

    def each(self, job_id, policy, outcomes, mails):
        twice, unseen, denied, poison = [], [], [], []
        for user, (state, doubles, reason) in outcomes.items():
            n, may = mails[user], doubles + (state in ("sent", "ambiguous"))
            self.counts[state] += 1
            self.counts["mailed more than once, recorded"] += n > 1
            if n > may:
                (denied if may == 0 else twice).append(user)
            if n < may and (state == "ambiguous" or doubles or reason.startswith(ACCEPTED)): # it may lie in a relay that was away
                self.record.closed[job_id][user] = may - n
            if state == "sent" and n == 0 and not reason.startswith(ACCEPTED):
                unseen.append(user)
            if reason.startswith("poison"):
                poison.append(user)
            if state == "ambiguous":
                self.counts["ambiguous: lease over" if reason == EXPIRED else "ambiguous: relay"] += 1
            if policy == "hold" and doubles:
                twice.append(user)
        self.counts["twice"] += len(twice) + len(denied)
        for promise, users, text in (("P6", twice, "mailed more often than recorded"), ("P6", denied, "mailed, and the ledger denies it"),
                                     ("P2", unseen, "recorded as sent, and the relay never saw it"), ("P9", poison, "failed as poison")):
            if users:
                self.blame(promise, f"job {job_id} ({policy}): {len(users)} users {text}", users)
        if mails.keys() - outcomes.keys():
            self.blame("P2", f"job {job_id}: mails to users without an outcome", mails.keys() - outcomes.keys())

    def may_go_without(self, user, period_end):
        if user in self.opted_out or user % 1000 in BROKEN:
            return True
        traded = self.first_traded.get(user)
        return traded is None or traded > period_end

    def innocents(self, job_id, period_end, outcomes):
        without = {u: reason or state for u, (state, _, reason) in outcomes.items()
                   if state in ("failed", "skipped") and u in self.audience and not self.may_go_without(u, period_end)}
        unasked = {u for u in self.opted_out if outcomes.get(u, ("",))[0] in ("sent", "ambiguous")}
        self.counts["innocent, without a mail"] += len(without)
        if without:
            reasons = Counter(without.values()).most_common(3)
            self.blame("P1", f"job {job_id}: {len(without)} users got no mail, and nothing is wrong with them ("
                       + ", ".join(f"{n} {reason}" for reason, n in reasons) + ")", without)
        if unasked:
            self.blame("P2", f"job {job_id}: {len(unasked)} users were mailed who had opted out", unasked)

    def proof(self, job_id, outcomes):
        """Finished is a proof: counted anew here, and compared with what the ledger kept."""
        bad = self.stack.patiently("""
            SELECT (SELECT count(*) FROM foliopost.intervals WHERE job_id = %(job)s AND state <> 'paged'),
                   (SELECT count(*) FROM foliopost.batches WHERE job_id = %(job)s AND state NOT IN ('done', 'split')),
                   (SELECT coalesce(sum(cardinality(user_ids)), 0) FROM foliopost.batches
                     WHERE job_id = %(job)s AND origin = 'page'),
                   (SELECT count(*) FROM foliopost.intervals a JOIN foliopost.intervals b
                     ON b.job_id = a.job_id AND b.no = a.no + 1 WHERE a.job_id = %(job)s AND a.upper_at <> b.lower_at),
                   (SELECT proofs->-1 FROM foliopost.jobs WHERE id = %(job)s)""", {"job": job_id})[0]
        open_intervals, open_batches, paged, gaps, proof = bad
        if open_intervals or open_batches or gaps or paged != len(outcomes) or not proof or proof.get("users") != len(outcomes):
            self.counts["false completions"] += 1
            self.blame("P3", f"job {job_id} is COMPLETED with {open_intervals} intervals and {open_batches} batches open, {gaps} gaps,"
                       f" {paged} users paged, {len(outcomes)} outcomes, proof {proof}")

    def so_far(self, after_job):
        """What is wrong already, in jobs that still run too: mailed twice with policy hold, or stale."""
        self.record.read()
        hold = {r[0] for r in self.stack.patiently("SELECT id FROM foliopost.jobs WHERE ambiguous_policy = 'hold' AND id > %s", (after_job,))}
        twice = [(j, u) for j, mails in self.record.open.items() if j in hold for u, n in mails.items() if n > 1]
        stale = self.stack.patiently("SELECT DISTINCT what FROM watch.wrong")
        return [f"{len(twice)} users mailed twice"] * bool(twice) + [r[0] for r in stale]

    def cancelled(self, job_id):
        """Of a job that was cancelled nobody is missed, and nobody gets more than the ledger knows of."""
        doubles = dict(self.stack.patiently("SELECT user_id, maybe_doubles FROM foliopost.deliveries WHERE job_id = %s", (job_id,)))
        twice = [u for u, n in self.record.open.pop(job_id, Counter()).items() if n > 1 + doubles.get(u, 0)]
        self.counts["cancelled jobs"] += 1
        self.counts["twice"] += len(twice)
        if twice:
            self.blame("P6", f"job {job_id} (cancelled): {len(twice)} users mailed more often than recorded", twice)

    # --- over all jobs, at the end -----------------------------------------------------------

    def finish(self):
        self.record.read()
        if self.record.late:
            self.counts["twice"] += len(self.record.late)
            self.blame("P6", f"{len(self.record.late)} mails after the proof of their job", self.record.late)
        for what, writer, count, example in self.stack.patiently(
                "SELECT what, writer, count(*), min(format('batch %%s user %%s %%s', batch_id, user_id, detail)) FROM watch.wrong"
                " GROUP BY 1, 2 ORDER BY 3 DESC", ()):
            self.counts["stale writes"] += count
            self.blame("P5", f"{count} times {what}, by {writer}: {example}")
        for owner, address, intents in self.stack.patiently(
                "SELECT o.owner, i.address, sum(o.intents) FROM watch.orphans o LEFT JOIN foliopost.instances i ON i.id = o.owner"
                " GROUP BY 1, 2 ORDER BY 3 DESC"):
            self.counts["owners whose mails were open"] += 1
            self.counts["most open mails of one owner"] = max(self.counts["most open mails of one owner"], int(intents))
            if intents > OPEN_INTENTS:
                self.blame("P6", f"{intents} mails of {address} were open when its lease ended, more than {OPEN_INTENTS}")
        self.counts["mails"] = self.record.total
