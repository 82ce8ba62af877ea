"""The plan of a run: which fault, when, to whom, for how long. Everything is drawn from
the seed, so that the same seed and length give the same plan, and it can be printed.
What a fault does is in faults.py, under the same name."""
import random
from dataclasses import asdict, dataclass

LEASE_S = 10 # LEDGER_LEASE_MS; a freeze must be longer to be interesting

# Replicas: those that always run, and those that come and go. Fixed, since
# everybody's list of peers is.
REPLICAS = {"scheduler": 2, "userstream": 2, "stats": 2, "mailer": 2}
EXTRA = {"userstream": ("userstream3",), "stats": ("stats3",), "mailer": ("mailer3",)}
PIPES = ("scheduler", "userstream", "stats") # by who listens: work, users, summaries
# Statements that a process can be cut off at, by their names in lib/ledger; "" is any.
STEPS = {
    "scheduler": ("", "grant", "redo", "expire", "retry", "job_complete", "lead", "instance_renew"),
    "userstream": ("", "page", "page", "instance_renew"),
    "stats": ("", "", "instance_renew"),
    "mailer": ("", "claim", "claim", "claim_due", "record", "record", "record", "finish", "finish", "instance_renew"),
}


@dataclass(frozen=True)
class Kind:
    name: str
    weight: int
    targets: str           # what plan() draws one of: a key of TARGETS
    seconds: tuple         # least and most; how long it lasts
    stops: bool = False    # while it lasts nobody can be expected to be mailed
    bound_s: int = 15      # work goes on within this after its end
    whole: bool = False    # takes the target for itself, or each that it names: one at a time


@dataclass(frozen=True)
class Fault:
    no: int
    at: float
    kind: str
    target: str
    seconds: float
    detail: str
    value: float


SERVICES = [f"{s}{n}" for s, count in REPLICAS.items() for n in range(1, count + 1)]
TARGETS = {
    "service": SERVICES,
    "mailer": [s for s in SERVICES if s.startswith("mailer")],
    "extra": [name for names in EXTRA.values() for name in names],
    "pair": [f"{a}+{b}" for a in SERVICES for b in SERVICES if a < b and a[:-1] != b[:-1]],
    "pipe": PIPES,
    "postgresql": ["postgresql"],
    "relay": ["relay"],
    "jobs": ["jobs"],
    "rate": ["rate"],
}

KINDS = [
    Kind("killed", 14, "service", (0.2, 3), whole=True),
    Kind("two killed at once", 3, "pair", (0.2, 3), whole=True),
    Kind("killed, a statement on its way", 4, "mailer", (0.5, 3), whole=True),
    Kind("frozen past the lease", 5, "service", (LEASE_S + 2, LEASE_S + 5), whole=True),
    Kind("frozen for a moment", 6, "service", (0.3, 4), whole=True),
    Kind("terminated", 8, "service", (0.2, 3), whole=True),
    Kind("scaled up and down", 5, "extra", (5, 15), whole=True),
    Kind("cut off from PostgreSQL", 5, "service", (1, LEASE_S + 4), whole=True),
    Kind("cut off from the bus", 4, "pipe", (1, 8), bound_s=30),
    Kind("PostgreSQL killed", 1, "postgresql", (0.3, 2), stops=True, whole=True),
    Kind("a backend of PostgreSQL killed", 2, "postgresql", (0, 0), stops=True, whole=True),
    Kind("PostgreSQL restarted", 2, "postgresql", (0.3, 2), stops=True, whole=True),
    Kind("PostgreSQL stopped at once", 2, "postgresql", (0.3, 2), stops=True, whole=True),
    Kind("PostgreSQL frozen past the lease", 1, "postgresql", (LEASE_S + 2, LEASE_S + 5), stops=True, whole=True),
    Kind("PostgreSQL slow", 3, "postgresql", (2, 6), whole=True),
    Kind("statement_timeout storm", 2, "postgresql", (1, 4), stops=True, whole=True),
    Kind("tables locked", 2, "postgresql", (1, 4), stops=True, whole=True),
    Kind("connections terminated", 5, "postgresql", (0, 0)),
    Kind("cut after a commit, before its reply", 16, "service", (0, 0)),
    Kind("cut before a statement", 8, "service", (0, 0)),
    Kind("a statement late, its client gone", 8, "service", (0, 0)),
    Kind("messages lost", 10, "pipe", (1, 5), bound_s=30),
    Kind("all messages lost", 3, "pipe", (0.5, 3), bound_s=30),
    Kind("messages doubled", 10, "pipe", (1, 6)),
    Kind("messages delayed", 8, "pipe", (1, 6)),
    Kind("messages reordered", 8, "pipe", (1, 6)),
    Kind("messages spoiled", 6, "pipe", (1, 4), bound_s=30),
    Kind("bus connections cut", 5, "pipe", (0, 0), bound_s=30),
    Kind("garbage on the ports", 4, "service", (0, 0)),
    Kind("relay down", 2, "relay", (1, 6), stops=True, whole=True),
    Kind("relay killed", 2, "relay", (0.3, 2), stops=True, whole=True),
    Kind("relay frozen", 2, "relay", (1, 5), stops=True, whole=True),
    Kind("relay slow", 3, "relay", (2, 6), whole=True),
    Kind("relay throttles", 3, "relay", (1, 4), whole=True),
    Kind("relay refuses for now", 4, "relay", (2, 6), whole=True),
    Kind("relay closes after the data", 4, "relay", (1, 4), whole=True),
    Kind("relay closes before the data", 3, "relay", (1, 4), whole=True),
    Kind("job paused", 3, "jobs", (0.5, 4)),
    Kind("job cancelled", 1, "jobs", (0, 0)),
    Kind("failed and ambiguous opened again", 3, "jobs", (0, 0)),
    Kind("rate set", 2, "rate", (1, 5), whole=True),
]
BY_NAME = {k.name: k for k in KINDS}


def detail(kind, target, dice):
    """What else there is to choose, as text and number."""
    if kind.name in ("cut after a commit, before its reply", "cut before a statement"):
        return dice.choice(STEPS[target.rstrip("0123456789")]), 0
    if kind.name == "a statement late, its client gone":
        return dice.choice(STEPS[target.rstrip("0123456789")]), round(dice.uniform(0.2, LEASE_S + 4), 2)
    if kind.name == "killed, a statement on its way":
        return dice.choice(("claim", "record", "finish")), round(dice.uniform(0.5, LEASE_S + 4), 2)
    if kind.name == "PostgreSQL restarted":
        return "fast", 0
    if kind.name == "PostgreSQL slow":
        return "", round(dice.uniform(0.01, 0.1), 3)
    if kind.name in ("messages delayed", "messages doubled"):
        return "", round(dice.choice((0, 1, 10)) * dice.uniform(0.5, 1), 2) if kind.name == "messages doubled" else round(dice.uniform(0.5, 12), 2)
    return "", round(dice.uniform(0, 1), 3)


def make_plan(seed, seconds, every, only=()):
    """Faults a mean of `every` seconds apart, by weight; none lasts into the last seconds."""
    dice = random.Random(f"plan/{seed}")
    kinds = [k for k in KINDS if not only or k.name in only]
    unknown = set(only) - set(BY_NAME)
    if unknown:
        raise ValueError(f"no such kind of fault: {', '.join(sorted(unknown))}")
    taken = {} # target -> until when somebody has it for himself
    plan, at = [], 1.0

    def busy(names, at):
        return any(taken.get(name, 0) > at for name in names)

    while True:
        at += dice.expovariate(1 / every)
        if at > seconds:
            return plan
        kind = dice.choices(kinds, [k.weight for k in kinds])[0]
        lasts = round(dice.uniform(*kind.seconds), 2)
        target = dice.choice(TARGETS[kind.targets])
        what, value = detail(kind, target, dice)
        names = target.split("+") if kind.whole else []
        if busy(names, at):
            continue
        taken.update(dict.fromkeys(names, at + lasts + (6 if target == "postgresql" else 2)))
        plan.append(Fault(len(plan) + 1, round(at, 2), kind.name, target, lasts, what, value))


def show(fault):
    extra = " ".join(str(x) for x in (fault.detail, fault.value or "") if x != "")
    return f"{fault.no:5} {fault.at:8.2f} s  {fault.kind:38} {fault.target:12} {fault.seconds:6.2f} s  {extra}"


def to_json(fault):
    return asdict(fault)
