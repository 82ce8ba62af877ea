"""What a run found: for people, and as JSON."""
import bisect
import json
import os
import shlex
import statistics
import sys
from collections import defaultdict

from chaos.plan import BY_NAME, to_json
from chaos.progress import stalled


def went_on_after(run, done):
    """Seconds from a fault's end until the relay took a mail again. While another fault
    was stopping everything the clock starts at that one's end. None: nothing was to do."""
    base = done.ended
    stops = sorted((d.began, d.ended) for d in run.done if d.ended and BY_NAME[d.fault.kind].stops)
    while True:
        n = bisect.bisect_left(run.progress.all, base)
        if n == len(run.progress.all):
            return None
        first = run.progress.all[n]
        later = [end for begin, end in stops if end > base and begin < first]
        if not later:
            return first - base
        base = max(later)


def by_kind(run):
    found = defaultdict(list)
    for d in run.done:
        if d.ended is not None:
            found[d.fault.kind].append(went_on_after(run, d))
    rows = []
    for kind in BY_NAME.values():
        if kind.name in found:
            times = [t for t in found[kind.name] if t is not None]
            rows.append({"kind": kind.name, "faults": len(found[kind.name]), "times_s": [round(t, 2) for t in times],
                         "mean_s": round(statistics.mean(times), 2) if times else None,
                         "most_s": round(max(times), 2) if times else None})
    return rows


def late(run, patience):
    """Times without a mail that no fault explains any more: the bound of each that began
    before the next mail is over. One of a cluster of faults is named, the last."""
    ended = [d for d in run.done if d.ended is not None]
    for d in ended:
        took = went_on_after(run, d)
        if took is None:
            continue
        at = run.progress.all[bisect.bisect_left(run.progress.all, d.ended)]
        excuses = [e for e in ended if e.began < at]
        allowed = max(e.ended + BY_NAME[e.fault.kind].bound_s * patience for e in excuses)
        if at > allowed and d is max(excuses, key=lambda e: e.ended):
            yield f"no mail from {d.ended:.1f} s (the end of fault {d.fault.no}, {d.fault.kind}, {d.fault.target}) to {at:.1f} s"
    yield from stalled(run.progress, run.done, patience)


def load():
    """Who is waiting for this machine's cores, on average over the last minutes."""
    return round(os.getloadavg()[1], 1)


def command(argv):
    """What to type to do it again: without what names files of this machine."""
    words, rest = [os.path.relpath(argv[0])], iter(argv[1:])
    for word in rest:
        if word in ("--build", "--json"):
            next(rest, None)
        elif word != "--keep" and not word.startswith(("--build=", "--json=")):
            words.append(word)
    return shlex.join(words)


def as_dict(run, options):
    counts = run.judge.counts
    return {
        "seed": options.seed, "command": command(sys.argv), "took_s": round(run.now()), "load": load(),
        "seconds": run.seconds, "users": options.users, "every_s": options.every,
        "faults_planned": len(run.done), "faults_done": sum(d.ended is not None for d in run.done),
        "jobs": len(run.judge.judged), "jobs_submitted": run.submitted,
        "figures": dict(sorted(counts.items())),
        "kinds": by_kind(run),
        "peak_mib": {k: round(v, 1) for k, v in sorted(run.peak.items())},
        "most_connections": run.connections,
        "bus": bus(run),
        "database_doors": doors(run.stack.database_doors.values()),
        "wrong": [{"promise": p, "what": w} for p, w in run.judge.wrong],
        "missed_faults": [{"no": d.fault.no, "kind": d.fault.kind, "why": d.missed} for d in run.done if d.missed],
        "plan": [to_json(d.fault) for d in run.done],
    }


def doors(some):
    total = defaultdict(int)
    for door in some:
        for what, n in door.counts.items():
            if what != "held":
                total[what] += n
    return dict(total)


def bus(run):
    return doors(run.stack.bus_doors.values())


def text(r):
    f = r["figures"]
    lines = ["", f"{'fault':40} {'times':>6} {'went on, mean':>14} {'most':>8}"]
    for k in r["kinds"]:
        mean, most = (f"{k[x]:.1f} s" if k[x] is not None else "-" for x in ("mean_s", "most_s"))
        lines.append(f"{k['kind']:40} {k['faults']:6} {mean:>14} {most:>8}")
    lines += [
        "",
        f"seed {r['seed']}: {r['faults_done']} faults of {r['faults_planned']} planned in {r['seconds']:.0f} s,"
        f" {r['jobs']} jobs, {f.get('users', 0)} users, {f.get('mails', 0)} mails",
        f"  users missed                           {f.get('missed', 0)}",
        f"  no mail, and nothing wrong with them   {f.get('innocent, without a mail', 0)}",
        f"  mailed twice and not recorded          {f.get('twice', 0)}",
        f"  completed without proof                {f.get('false completions', 0)}",
        f"  writes of stale owners                 {f.get('stale writes', 0)}",
        f"  ambiguous                              {f.get('ambiguous', 0)}"
        f" (a lease over {f.get('ambiguous: lease over', 0)}, the relay {f.get('ambiguous: relay', 0)})",
        f"  mailers whose lease ended in sending   {f.get('owners whose mails were open', 0)}, with at most"
        f" {f.get('most open mails of one owner', 0)} mails open",
        f"  mailed more than once, recorded        {f.get('mailed more than once, recorded', 0)} (policy resend)",
        f"  sent, failed, skipped                  {f.get('sent', 0)}, {f.get('failed', 0)}, {f.get('skipped', 0)}",
        f"  jobs cancelled                         {f.get('cancelled jobs', 0)}",
        f"  crashes of NNG, not blamed             {f.get('crashes of NNG 1.5', 0)}",
        "  peak memory                            " + ", ".join(f"{k} {v:.0f} MiB" for k, v in r["peak_mib"].items()),
        f"  connections to PostgreSQL              {r['most_connections']} at most, {f.get('connections left', 0)} left at the end",
        f"  messages on the bus                    {r['bus']}",
        f"  statements                             {r['database_doors']}",
        "",
    ]
    lines += [f"BROKEN {w['promise']}: {w['what']}" for w in r["wrong"]] or ["nothing broke"]
    return "\n".join(lines)


def write(path, r):
    with open(path, "w") as f:
        json.dump(r, f, indent=1, default=str)
