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
