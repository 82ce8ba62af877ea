"""foliopost explain: a statement that an auditor can add up himself."""
import datetime
import json
import re
import subprocess

import pytest

LAST = datetime.datetime.now(datetime.timezone.utc).date().replace(day=1) - datetime.timedelta(days=1)
PERIOD = LAST.strftime("%Y-%m")


@pytest.fixture(scope="module")
def explain(server):
    from foliostack import Stack
    s = Stack(server.folder / "explain", database="explain")
    s.postgres = server
    server.sql("postgres", 'CREATE DATABASE "explain" TEMPLATE seed')

    def call(*args):
        return subprocess.run([str(s.binary("foliopost")), "explain", *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, env=s.env())

    call.sql = lambda text: server.sql("explain", text)
    yield call
    server.sql("postgres", 'DROP DATABASE "explain" WITH (FORCE)')


def summaries(explain, users):
    for user in users:
        done = explain("--user", user, "--period", PERIOD, "--json")
        if done.returncode == 0:
            yield user, json.loads(done.stdout)
        else:
            assert re.search(r"FAILED_PRECONDITION: user \d+: \w+", done.stderr), done.stderr


def test_every_bridge_sums_to_the_closing_value(explain):
    seen = 0
    for user, s in summaries(explain, range(20, 80)):
        b = s["bridge"]
        total = (s["open_value_minor"] + s["net_contributions_minor"] + b["realised_minor"] + b["unrealised_minor"]
                 + s["income_minor"] - s["fees_minor"] - s["taxes_minor"] + b["currency_minor"])
        assert total == s["close_value_minor"], user
        for groups in s["by_class"], s["by_currency"]:
            assert sum(g["value_minor"] for g in groups) == s["close_value_minor"], user
            assert sum(g["percent_e2"] for g in groups) in (0, 10000), user
        seen += bool(s["holdings"])
    assert seen > 30


def test_the_text_shows_the_steps_and_that_the_statement_closes(explain):
    user, s = next((u, s) for u, s in summaries(explain, range(20, 80)) if s["holdings"] > 1 and s["twr_defined"])
    text = explain("--user", user, "--period", PERIOD).stdout
    assert "the statement closes" in text
    returns = [float(r) for r in re.findall(r"^  link.* return ([+-][\d.]+) %", text, re.M)]
    assert len(returns) == LAST.day
    wealth = 1.0
    for r in returns:
        wealth *= 1 + r / 100
    assert wealth - 1 == pytest.approx(s["twr_e8"] / 1e8, abs=5e-5)  # they are printed with four decimals
    lines = [float(r) for r in re.findall(r"([+-][\d.]+) %$", text.split("CONTRIBUTIONS")[1].split("\n\n")[0], re.M)]
    assert sum(lines[:-1]) == pytest.approx(lines[-1], abs=2e-3)
    assert "@" not in text  # no address


def number(text):
    return float(text.replace(",", ""))


LINK = re.compile(r"^  link(?: MD)? .*opened (\S+), in (\S+), out (\S+), closed (\S+), capital (\S+), return (\S+) %", re.M)


def test_each_link_can_be_added_up(explain):
    seen = flows = 0
    for user in range(20, 60):
        for link in LINK.findall(explain("--user", user, "--period", PERIOD).stdout):
            opened, came, left, closed, capital, rate = map(number, link)
            flows += bool(came or left)
            seen += 1
            if capital > 0:
                assert (closed + left - opened - came) / capital * 100 == pytest.approx(rate, abs=1e-3 + 2e-2 / capital), (user, link)
    assert seen > 500 and flows > 5


def test_a_subperiod_shows_the_weight_of_each_flow(explain):
    for day, kind, amount in (9, "withdrawal", -4700), (10, "deposit", 500), (11, "deposit", 20), (20, "withdrawal", -30.5):
        explain.sql(f"""INSERT INTO portfolio.transactions SELECT (SELECT max(id) + 1 FROM portfolio.transactions), 45, account_id, NULL,
            '{kind}', 0, 0, {amount}, 0, 0, currency, '{LAST.replace(day=day)}', now() FROM portfolio.transactions
            WHERE user_id = 45 AND type = 'deposit' LIMIT 1""")  # his price is of weeks ago
    text = explain("--user", 45, "--period", PERIOD).stdout
    assert len(re.findall("  weight ", text)) == 4, text
    for weights, days, opened, came, left, capital in re.findall(
            r"((?:  weight .*\n)+)  link MD .*: (\d+) days, opened (\S+), in (\S+), out (\S+), closed \S+, capital (\S+),", text):
        average, sums = number(opened), {"in": 0, "out": 0}
        for way, flow, over, of in re.findall(r"(in|out) (\S+) x (\d+)/(\d+)", weights):
            assert of == days
            average += (number(flow) if way == "in" else -number(flow)) * int(over) / int(of)
            sums[way] += number(flow)
        assert average == pytest.approx(number(capital), abs=2e-3)
        assert sums == {"in": pytest.approx(number(came)), "out": pytest.approx(number(left))}


def test_the_payments_are_worth_nothing_at_the_money_weighted_rate(explain):
    user, s = next((u, s) for u, s in summaries(explain, range(20, 80)) if s["net_contributions_minor"] and s["spans"][2].get("mwr"))
    text = explain("--user", user, "--period", PERIOD, "--benchmarks", "*=504").stdout
    part = text.split("MADE FROM\n")[1].split("\n\n")[0]
    lists = re.split(r"^  (?=\w)", part, flags=re.M)[1:]
    assert [p.split("\n")[0] for p in lists] == ["period", "year to date", "since inception"]
    for span, p in zip(s["spans"], lists):
        paid = [number(a) for a in re.findall(r"payment \S+ +(\S+)", p)]
        assert sum(paid) * 100 == pytest.approx(span["gain_minor"], abs=2)
        factors = [float(f) for f in re.findall(r" x (\S+) of", p)]
        assert sum(a * f for a, f in zip(paid, factors)) == pytest.approx(0, abs=1)
        assert re.search(r"^    = -?\d+\.\d{4}$", p, re.M)
        assert re.search(r"benchmark from \S+ of the evening before its first day to \S+ at the close", p)
        assert re.search(r"volatility from \d+ returns", p)


def test_the_contributions_add_up_to_the_last_digit(explain):
    for user in range(20, 50):
        text = explain("--user", user, "--period", PERIOD, "--brief").stdout
        if "= time-weighted return" not in text or re.search(r"time-weighted return +n/a", text):
            continue
        lines = [round(float(r) * 1e6) for r in re.findall(r"([+-][\d.]+) %$", text.split("CONTRIBUTIONS")[1].split("\n\n")[0], re.M)]
        assert sum(lines[:-1]) == lines[-1], user


def test_each_lot_that_is_sold_says_what_it_earned(explain):
    basis = json.loads(explain("--user", 40, "--period", PERIOD, "--json").stdout)["cost_basis"]
    text = explain("--user", 40, "--period", PERIOD).stdout.split("\nTHE PERIOD\n")[1]
    earned = [float(g.replace(",", "")) for g in re.findall(r"lot -.* brought [-\d,.]+: (-?[\d,.]+)$", text, re.M)]
    assert earned and sum(earned) * 100 == pytest.approx(basis["realised_fifo_minor"], abs=1)


def test_each_rate_has_its_day(explain):
    texts = (explain("--user", user, "--period", PERIOD).stdout for user in range(20, 80))
    text = next(t for t in texts if re.search(r"value   cash USD", t) and "in EUR" in t)
    assert re.search(r"value   cash USD +[-\d,.]+ at \d\.\d{8} of \d{4}-\d\d-\d\d = ", text)


# What sql/synthetic.sql makes out of the ordinary: user, what his statement must show.
def realised(s):
    return s["bridge"]["realised_minor"] != 0


UNCOMMON = {
    40: ("shares that moved between accounts are sold from where they came", lambda s: realised(s) and s["holdings"] == 1),
    41: ("a short sale bought back", lambda s: realised(s) and s["holdings"] == 0 and s["twr_defined"]),
    42: ("closed and reopened", lambda s: s["open_value_minor"] == 0 and s["close_value_minor"] > 0),
    43: ("emptied", lambda s: s["close_value_minor"] == 0 and s["net_contributions_minor"] < 0),
    44: ("an overdraft", lambda s: s["open_value_minor"] * 20 < s["net_contributions_minor"]),
    45: ("a price of weeks ago", lambda s: "SUMMARY_FLAG_STALE_PRICE" in s["flags"]),
    46: ("a split that nobody told of", lambda s: "SUMMARY_FLAG_SUSPECTED_SPLIT" in s["flags"]),
    47: ("opened in the period", lambda s: "SUMMARY_FLAG_OPENED_IN_PERIOD" in s["flags"]),
    48: ("held over a split on file", lambda s: s["holdings"] == 1 and realised(s)),
    50: ("a close 7.5 times the one before", lambda s: s["flags"] == ["SUMMARY_FLAG_SUSPECT_PRICE"]
         and [e["kind"] for e in s["events"]] == ["EVENT_KIND_PRICE_JUMP"]),
    51: ("closes in pence among pounds", lambda s: s["flags"] == ["SUMMARY_FLAG_SUSPECT_PRICE"]
         and [e["kind"] for e in s["events"]] == ["EVENT_KIND_PRICE_UNITS"] * 2),
    52: ("booked in before it was booked out, a month end between", lambda s: realised(s) and not s["flags"]
         and s["net_contributions_minor"] == 0 and s["holdings"] == 1),
    53: ("booked in and not yet booked out", lambda s: s["flags"] == ["SUMMARY_FLAG_IN_TRANSIT"]
         and s["net_contributions_minor"] == 0 and s["holdings"] == 1),
    49: ("interest, tax and fee, some given back", lambda s: s["income_minor"] < 0 < s["fees_minor"] and s["taxes_minor"] > 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("user", UNCOMMON, ids=[what for what, _ in UNCOMMON.values()])
def test_the_uncommon(explain, user):
    done = explain("--user", user, "--period", PERIOD, "--json", "--benchmarks", "EUR=504")
    assert done.returncode == 0, done.stderr
    s = json.loads(done.stdout)
    assert UNCOMMON[user][1](s), json.dumps(s)[:3000]
    assert "the statement closes" in explain("--user", user, "--period", PERIOD).stdout


def test_what_cannot_be_explained_says_what_to_do(explain):
    for args, code, words in [
        ((), 2, "--user 4711"),
        (("--user", 20, "--period", "2026-13"), 2, "2026-10"),
        (("--user", 20, "--as-of", "soon"), 2, "2026-11-03"),
        (("--user", 20, "--benchmarks", "EUR"), 2, "EUR=4711"),
        (("--user", 99999999), 5, "not in portfolio.users"),
    ]:
        done = explain(*args)
        assert done.returncode == code and words in done.stderr, (args, done)
