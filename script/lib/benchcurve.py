"""What a user costs as their number grows, and what stays: script/bench --curve.

Light users, so that millions fit: a cash and a custody account, a deposit and one purchase
each, among the synthetic market of 500 instruments.
"""
import shutil
import tempfile
from pathlib import Path

from benchrun import NULL, Bench
from benchtable import HEAD, say

# Ids go on behind the hundred synthetic users and their transactions. A purchase at
# the close of its day, so that nothing is suspect; instruments 1 to 9 and each 20 on are in EUR.
USERS = """
INSERT INTO portfolio.users (id, email, first_name, last_name, created_at, locale, time_zone, base_currency)
SELECT id, 'user' || id || '@example.com', 'Ada', 'Lovelace', now() - interval '400 days' - (1300 - 1300 * (id / {last}.0)) * interval '1 day',
       (ARRAY['en-GB', 'de-DE', 'fr-FR', 'es-ES'])[1 + id % 4], 'Europe/Berlin', 'EUR'
FROM generate_series({first}, {last}) AS id;
INSERT INTO portfolio.accounts (id, user_id, kind, currency)
SELECT id * 4 + n, id, (ARRAY['cash', 'custody'])[n + 1], 'EUR' FROM generate_series({first}, {last}) AS id, generate_series(0, 1) AS n;
INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)
SELECT 1000000000 + id * 2, id, id * 4, 'deposit', 1000 + id % 9000, 'EUR', current_date - 200, now() - interval '200 days' FROM generate_series({first}, {last}) AS id;
CREATE TEMPORARY TABLE bought AS
SELECT (row_number() OVER (ORDER BY i.id))::integer - 1 AS no, i.id, p.day, p.close FROM portfolio.instruments AS i
JOIN LATERAL (SELECT day, close FROM portfolio.prices WHERE instrument_id = i.id AND day >= current_date - 190 ORDER BY day LIMIT 1) AS p ON true
WHERE i.id <= 500 AND i.currency = 'EUR' AND NOT EXISTS (SELECT FROM portfolio.splits AS s WHERE s.instrument_id = i.id);
INSERT INTO portfolio.transactions (id, user_id, account_id, instrument_id, type, quantity, price, amount, currency, trade_date, recorded_at)
SELECT 1000000001 + u.id * 2, u.id, u.id * 4 + 1, b.id, 'buy', 2, b.close, -2 * b.close, 'EUR', b.day, now() - interval '190 days'
FROM generate_series({first}, {last}) AS u (id) JOIN bought AS b ON b.no = u.id % (SELECT count(*) FROM bought);
"""
BYTES = """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = '{}' AND c.relkind = 'r'"""


def fill(bench):
    """Behind the hundred that the market came with, up to the number wanted."""
    bench.postgres.sql(bench.stack.database, USERS.format(first=1001, last=1000 + bench.users - 100))


def schema_bytes(bench, schema):
    return int(bench.postgres.sql(bench.stack.database, BYTES.format(schema))[0][0])


def one_size(users, connections):
    """A report of the last month for all, everything new: database, services, caches. (row, figures)"""
    folder = Path(tempfile.mkdtemp(prefix="foliopost-bench.", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with Bench(folder, users, connections, fill=fill).running() as bench:
            empty = schema_bytes(bench, "foliopost")
            bench.job(f"{users:,} users", "plain", **NULL)
            row = bench.rows[-1]
            figures = {"ledger_bytes_a_user": round((schema_bytes(bench, "foliopost") - empty) / users),
                       "checkpoint_bytes_a_user": round(relation_bytes(bench, "foliopost.checkpoints") / users),
                       "source_bytes": schema_bytes(bench, "portfolio"),
                       "disk_bytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())}
            return row, figures
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def relation_bytes(bench, name):
    return int(bench.postgres.sql(bench.stack.database, f"SELECT pg_total_relation_size('{name}')")[0][0])


def curve(sizes, connections):
    """Rows and figures of each size, printed as they come."""
    say(f"null transport, plain template, light users\n{HEAD}")
    rows, figures = [], []
    for users in sizes:
        row, found = one_size(users, connections)
        rows.append(row)
        figures.append(found)
        peaks = {name: kib / 1024 for name, kib in row.memory_kib.items()}
        say(f"  {row.seconds / users * 1e6:.0f} us a user, ledger {found['ledger_bytes_a_user']:,} bytes a user of which checkpoints"
            f" {found['checkpoint_bytes_a_user']:,}, source {found['source_bytes'] / 1e9:.2f} GB, disk {found['disk_bytes'] / 1e9:.2f} GB; "
            + ", ".join(f"{n} {m:.1f}" for n, m in peaks.items()) + f", together {sum(peaks.values()):.1f} MiB")
    return rows, figures
