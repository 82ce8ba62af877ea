"""When the relay took mails, of all jobs and of each: a job that stands is not hidden by
another that goes on."""
from collections import defaultdict
from itertools import pairwise

from chaos.plan import BY_NAME

BOUND_S = 30  # after the last mail, or the last fault, a job's next mail comes within this
STALL_S = 90  # so long no job stands, whatever the plan does to it


class Progress:
    def __init__(self, path=None):
        self.path, self.offset = path, 0
        self.all = []                # times
        self.of = defaultdict(list)  # job -> times of its mails
        self.began, self.ended = {}, {}

    def read(self, at):
        """What the record has more than at the last call. It is appended to line by line."""
        if self.path is None or not self.path.exists() or self.path.stat().st_size == self.offset:
            return
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        data = data[:data.rfind(b"\n") + 1]
        self.offset += len(data)
        self.note(at, {int(line.split(b"\t")[1][1:].split(b".")[0]) for line in data.splitlines()})

    def note(self, at, jobs):
        if jobs:
            self.all.append(at)
        for job in jobs:
            self.of[job].append(at)

    def see(self, at, job, state):
        """A job's life is from when it was first seen in progress to when it was seen completed."""
        if state == "IN_PROGRESS":
            self.began.setdefault(job, at)
        elif state in ("COMPLETED", "CANCELLED") and job in self.began:
            self.ended.setdefault(job, at) # what is opened again later is few, and no pause

    def pauses(self):
        """(job, from, to): between its begin, its mails, and its end, for whoever came to it."""
        for job, began in sorted(self.began.items()):
            end = self.ended.get(job)
            times = [t for t in self.of[job] if t > began and (end is None or t < end)]
            for a, b in pairwise([began, *times] + ([end] if end is not None else [])):
                yield job, a, b


def stood(faults, a, b):
    """Seconds between a and b in which nobody could be mailed by the plan."""
    return sum(max(0, min(b, d.ended) - max(a, d.began)) for d in faults if BY_NAME[d.fault.kind].stops or d.fault.target == "jobs")


def stalled(progress, done, patience):
    """Pauses of single jobs that no fault explains, or that none explains any more."""
    faults = [d for d in done if d.ended is not None]
    for job, a, b in progress.pauses():
        allowed = max([a + BOUND_S * patience] + [d.ended + BY_NAME[d.fault.kind].bound_s * patience for d in faults if d.began < b])
        if b > allowed:
            yield f"job {job} stood from {a:.1f} s to {b:.1f} s, {b - allowed:.1f} s longer than the faults explain"
        elif b - a - stood(faults, a, b) > STALL_S * patience:
            yield f"job {job} stood from {a:.1f} s to {b:.1f} s, while faults came and went"
