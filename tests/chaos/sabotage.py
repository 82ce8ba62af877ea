"""Is the judge worth his bread? Each protection that lib/ledger/sabotage.c can take out is
taken out, fitting faults follow, and the judge must see something that is wrong.

One stack for all: between two hunts its processes are killed and its jobs ended. Each
hunt is over as soon as something is seen. The faults are drawn from the seed as any plan
is; keep says which of them fit, change what they are changed to.
"""
import time
from dataclasses import dataclass, field, replace

from chaos import plan
from chaos.run import Run

LIMIT_S = 120


@dataclass
class Hunt:
    what: str              # FOLIOPOST_SABOTAGE
    kinds: tuple
    every: float
    keep: object           # which of the plan's faults
    change: dict = field(default_factory=dict) # of each of them
    sink: tuple = ()       # the relay's cues for the whole hunt
    settings: dict = field(default_factory=dict)


def of_mailer(*details):
    return lambda f: f.target.startswith("mailer") and (not details or f.detail in details)


HUNTS = [
    Hunt("fence", ("a statement late, its client gone",), 0.1, lambda f: of_mailer("record", "finish")(f) and f.value < 4),
    Hunt("claim_token", ("messages doubled",), 0.2, lambda f: f.target == "stats" and not f.value),
    Hunt("open_intents", ("killed",), 0.5, of_mailer(), sink=("delay-ms 200",)),
    Hunt("intents_replace", ("killed",), 0.5, of_mailer(), sink=("delay-ms 200",)),
    Hunt("lease", ("killed, a statement on its way",), 0.5, of_mailer(), {"detail": "claim", "value": 11.5},
         settings={"scheduler.redo-after": "40s", "userstream.redo-after": "40s"}),
    Hunt("retry_guard", ("terminated", "job paused"), 0.7, lambda f: f.target == "jobs" or of_mailer()(f),
         sink=("refuse-rcpt 450:20%", "delay-ms 50")),
]


class Sabotaged(Run):
    """A run whose processes have one protection less."""

    def __init__(self, stack, hunt, options, say):
        some = plan.make_plan(options.seed, LIMIT_S, hunt.every, hunt.kinds)
        super().__init__(stack, [replace(f, **hunt.change) for f in some if hunt.keep(f)], LIMIT_S, options, say)
        self.hunt, self.seen, self.took = hunt, [], 0.0
        self.policies = ("hold",)
        self.request_prefix = hunt.what

    def begin(self):
        self.stack.fresh()
        self.stack.fast = True
        self.stack.environment = {"FOLIOPOST_SABOTAGE": self.hunt.what}
        self.stack.set(*[f"{k}={v}" for k, v in self.hunt.settings.items()])
        self.after_job = self.stack.sql("SELECT coalesce(max(id), 0) FROM foliopost.jobs")[0][0]
        self.stack.start_all()
        self.stack.cue("normal", *self.hunt.sink)

    def watch_jobs(self):
        """Nobody waits for these jobs."""

    def enough(self):
        """Looked at between two faults, and every half second while there is none."""
        if not self.seen:
            self.seen = self.judge.so_far(self.after_job)
        return bool(self.seen)

    def run(self):
        self.begin()
        helpers = self.prepare()
        self.carry_out()
        while not self.enough() and self.now() < LIMIT_S and not self.errors:
            time.sleep(0.5)
        self.took = self.now()
        self.finish_early(helpers)
