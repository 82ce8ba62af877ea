"""The rows of script/bench as lines of a terminal, their medians and what follows from them."""
import statistics
from dataclasses import replace

COLUMNS = ("scheduler", "userstream", "stats", "mailer", "postgres", "sink", "sender")
HEAD = f"{'':36} {'users/s':>9} {'us CPU':>7} " + " ".join(f"{c[:7]:>7}" for c in COLUMNS) + f" {'stmts':>7} {'WAL B':>7}"


def say(text):
    print(text, flush=True)


def line(row):
    cpu = " ".join(f"{row.cpu_us[c]:7.1f}" if c in row.cpu_us else f"{'':7}" for c in COLUMNS)
    db = f"{row.statements:7.3f} {row.wal_bytes:7.0f}" if row.statements is not None else f"{'':15}"
    return f"{row.name:36} {row.rate:9,.0f} {sum(row.cpu_us.values()):7.1f} {cpu} {db}  {row.note}".rstrip()


def _median_of(dicts):
    return {k: statistics.median([d[k] for d in dicts]) for k in dicts[0]}


def medians(rows):
    """One row for each name: the median of each figure over its runs, and the range of the rates."""
    out = []
    for name in dict.fromkeys(r.name for r in rows):
        runs = [r for r in rows if r.name == name]
        middle = sorted(runs, key=lambda r: r.seconds)[len(runs) // 2]
        note = middle.note
        if len(runs) > 1:
            note = f"{note}; {min(r.rate for r in runs):,.0f} to {max(r.rate for r in runs):,.0f} in {len(runs)} runs".lstrip("; ")
        out.append(replace(middle, seconds=statistics.median([r.seconds for r in runs]), cpu_us=_median_of([r.cpu_us for r in runs]),
                           memory_kib={k: max(r.memory_kib[k] for r in runs) for k in middle.memory_kib}, note=note))
    return out


def memory(rows):
    peaks = {}
    for row in rows:
        for name, kib in row.memory_kib.items():
            peaks[name] = max(peaks.get(name, 0), kib)
    return "most resident memory: " + ", ".join(f"{n} {k / 1024:.1f} MiB" for n, k in peaks.items())


def ratios(rows):
    by = {r.name: r for r in rows}
    out = {}
    for template in ("statement", "plain"):
        job, source = by.get(f"end to end, {template}"), by.get(f"smtp-source, {template}'s size")
        if job and source:
            mails = float(job.note.split()[0].replace(",", ""))
            out[template] = {"of_smtp_source": round(job.rate / source.rate, 3), "mails_of_smtp_source": round(mails / source.rate, 3)}
    return out
