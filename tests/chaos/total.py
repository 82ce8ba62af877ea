"""Adds up what several runs found: the JSONs of `script/chaos --json`, as one matrix.

Each piece was judged by itself, so nothing is lost in between: figures are added, most is
the most of all. A piece with other faults or lengths fits as well as one with the same.
"""
import json
import statistics
from collections import Counter, defaultdict

from chaos.plan import BY_NAME

MOST = ("most open mails of one owner",) # of the figures, those that are no sums


def load(paths):
    """The pieces by their paths; ValueError where one is there twice, or is none."""
    pieces, seen = [], {}
    for path in paths:
        with open(path) as f:
            piece = json.load(f)
        if "kinds" not in piece or "figures" not in piece:
            raise ValueError(f"{path}: not what script/chaos --json writes")
        key = json.dumps([piece["seed"], piece["plan"], piece["figures"]], sort_keys=True)
        if key in seen:
            raise ValueError(f"{path} and {seen[key]} are the same run: it counts once")
        seen[key] = path
        pieces.append(piece)
    return pieces


def add_figures(pieces):
    total = Counter()
    for piece in pieces:
        for name, n in piece["figures"].items():
            total[name] = max(total[name], n) if name in MOST else total[name] + n
    return dict(sorted(total.items()))


def add_kinds(pieces):
    faults, times = Counter(), defaultdict(list)
    for piece in pieces:
        for row in piece["kinds"]:
            faults[row["kind"]] += row["faults"]
            times[row["kind"]] += row["times_s"]
    return [{"kind": name, "faults": faults[name], **spread(times[name])} for name in BY_NAME if name in faults]


def spread(times):
    """Mean, the value below which 95 of 100 are, and most; None where nothing was to do."""
    if not times:
        return {"mean_s": None, "p95_s": None, "most_s": None}
    ordered = sorted(times)
    return {"mean_s": round(statistics.mean(times), 2), "p95_s": ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)],
            "most_s": ordered[-1]}


def add_each(pieces, key, put=lambda a, b: a + b):
    total = {}
    for piece in pieces:
        for name, n in piece[key].items():
            total[name] = put(total[name], n) if name in total else n
    return dict(sorted(total.items()))


def add_up(pieces):
    return {
        "pieces": [{k: p.get(k) for k in ("seed", "command", "seconds", "took_s", "load", "faults_done", "faults_planned", "jobs")}
                   | {"mails": p["figures"].get("mails", 0), "wrong": len(p["wrong"])} for p in pieces],
        "faults_done": sum(p["faults_done"] for p in pieces),
        "faults_planned": sum(p["faults_planned"] for p in pieces),
        "jobs": sum(p["jobs"] for p in pieces),
        "figures": add_figures(pieces),
        "kinds": add_kinds(pieces),
        "peak_mib": add_each(pieces, "peak_mib", max),
        "most_connections": max(p["most_connections"] for p in pieces),
        "bus": add_each(pieces, "bus"),
        "database_doors": add_each(pieces, "database_doors"),
        "wrong": [w | {"seed": p["seed"]} for p in pieces for w in p["wrong"]],
    }


# --- as the tables of docs/reliability.md --------------------------------------------------

FIGURES = ( # the words of the page, and the figures they stand for
    ("users' mails judged", "users"), ("mails that the sink accepted", "mails"),
    ("**users missed**", "missed"), ("**no mail, and nothing wrong with them**", "innocent, without a mail"),
    ("**mailed twice and not recorded**", "twice"),
    ("**completed without proof**", "false completions"), ("**writes of a stale owner**", "stale writes"),
    ("users ambiguous", "ambiguous"), ("  of a lease that ended", "ambiguous: lease over"),
    ("  of a relay that closed after the data", "ambiguous: relay"),
    ("mailers whose lease ended with mails open", "owners whose mails were open"),
    ("  most open mails of one", "most open mails of one owner"),
    ("mailed more than once, and recorded so", "mailed more than once, recorded"),
    ("sent", "sent"), ("failed", "failed"), ("skipped", "skipped"),
    ("connections to PostgreSQL left at the end", "connections left"), ("crashes of NNG, not blamed", "crashes of NNG 1.5"),
)


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def seconds(value):
    return "-" if value is None else f"{value:.1f} s"


def text(total):
    f = total["figures"]
    lines = table(("seed", "faults", "jobs", "mails", "broken", "load", "command"),
                  [(p["seed"], p["faults_done"], p["jobs"], f"{p['mails']:,}", p["wrong"], p["load"], f"`{p['command']}`") for p in total["pieces"]])
    lines += ["", *table(("", ""), [("faults carried out", f"{total['faults_done']:,} of {total['faults_planned']:,} planned"),
                                    ("jobs", total["jobs"])] + [(words.strip(), f"{f.get(name, 0):,}") for words, name in FIGURES]
                         + [("most memory of a process", ", ".join(f"{k} {v:.0f} MiB" for k, v in total["peak_mib"].items())),
                            ("connections to PostgreSQL", f"{total['most_connections']} at most"),
                            ("messages on the bus", listed(total["bus"])), ("statements", listed(total["database_doors"]))])]
    lines += ["", *table(("fault", "times", "work went on after, mean", "95 of 100", "most"),
                         [(k["kind"], k["faults"], *(seconds(k[c]) for c in ("mean_s", "p95_s", "most_s"))) for k in total["kinds"]])]
    lines += ["", *([f"BROKEN {w['promise']} (seed {w['seed']}): {w['what']}" for w in total["wrong"]] or ["nothing broke"])]
    return "\n".join(lines)


def listed(counts):
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())
