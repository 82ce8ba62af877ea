#!/usr/bin/python3
"""Writes portfolios and what their figures must be, by a second implementation.

  independent.py FOLDER FIRST LAST      the cases of seeds FIRST to LAST - 1

It knows docs/statistics.md and the fields of tests/vectors/README.md, and nothing of
lib/performance. Everything but the money-weighted rate is an exact fraction, so that a
figure that differs by more than its own rounding is an error of one of the two. A year of
two currencies, two custody accounts, splits, and up to three transactions a day of every
type: whatever a draw is not possible for (too little cash, nothing to sell) is left out.
"""
import json
import math
import random
import sys
from datetime import date, timedelta
from fractions import Fraction as F
from itertools import count
from pathlib import Path

BASE, OTHER = "EUR", "USD"
DAY = timedelta(1)
# On one day: what comes in, transfers, what goes out. The rest counts as going out.
FIRST = ("DEPOSIT", "BUY", "DELIVERY_IN", "DIVIDEND", "INTEREST", "FEE_REFUND")
INCOMING = ("DEPOSIT", "SELL", "DIVIDEND", "INTEREST", "FEE_REFUND") # to the cash account
ORDER = {**{t: 0 for t in FIRST}, "TRANSFER_OUT": 1, "TRANSFER_IN": 2}
KINDS = ("BUY", "BUY", "SELL", "DIVIDEND", "INTEREST", "INTEREST_CHARGE", "FEE", "FEE_REFUND", "TAX", "DEPOSIT", "WITHDRAWAL",
         "DELIVERY_IN", "DELIVERY_OUT", "TRANSFER")
# A printed figure is rounded once; gain, interest and the unrealised part are what printed figures leave to them.
TOLERANCE = {"money": 0.0051, "interest": 0.0101, "gain": 0.0251, "capital_gains": 0.0551, "twr": 2e-8, "irr": 1e-4}


class Impossible(Exception):
    """A draw that no broker would have carried out."""


class World:
    """Days, closes, rates and splits of a seed."""

    def __init__(self, r):
        self.first = date(2024, 1, 1) + DAY * r.randrange(200)
        self.days = [self.first + DAY * k for k in range(-1, r.randrange(15, 70))]
        self.end = self.days[-1]
        self.opens = self.first + DAY * r.randrange(len(self.days) // 2)
        self.currency = {name: r.choice([BASE, OTHER]) for name in "ABC"[:r.randrange(1, 4)]}
        self.splits = {}
        for name in self.currency:
            if r.random() < 0.4:
                self.splits[name] = r.choice(self.days[4:-1]), F(*r.choice([(2, 1), (3, 1), (1, 2), (3, 2)]))
        self.price_of_base = self._walk(r, F(r.randrange(80, 120), 100), 10, 6)
        self.close = {name: self._closes(r, name) for name in self.currency}

    def _walk(self, r, value, thousandths, decimals):
        out = {}
        for day in self.days:
            value = F(round(value * r.randrange(1000 - thousandths, 1001 + thousandths) / 1000 * 10**decimals), 10**decimals)
            out[day] = value
        return out

    def _closes(self, r, name):
        walk = self._walk(r, F(r.randrange(1000, 20000), 100), 40, 2)
        return {day: F(round(close / self.shares_of_one(name, day) * 100), 100) for day, close in walk.items()}

    def shares_of_one(self, name, day):
        """What a share of the beginning has become."""
        when, ratio = self.splits.get(name, (None, 1))
        return ratio if when and day >= when else F(1)

    def rate(self, currency, day):
        return F(1) if currency == BASE else 1 / self.price_of_base[day]


class Draws:
    """Transactions, one after the other, as long as cash and shares are there for them."""

    def __init__(self, r, world):
        self.r, self.w, self.list = r, world, []
        self.credit = r.choice([0] * 9 + [10**6]) # one in ten may overdraw, and lose more than he has
        self.cash = {BASE: F(0), OTHER: F(0)}
        self.shares = {(name, account): F(0) for name in world.currency for account in "PQ"}
        for currency in self.cash:
            self.book(world.first, "DEPOSIT", currency, F(r.randrange(500_000, 2_000_000), 100))
        for day in world.days[1:]:
            self.split(day)
            self.day(day)

    def split(self, day):
        for name, (when, ratio) in self.w.splits.items():
            for account in "PQ" if when == day else "":
                self.shares[name, account] *= ratio

    def day(self, day):
        traded = set() # one trade of an instrument a day, so that its order within the day is none of our business
        for _ in range(self.r.randrange(3)):
            kind, name = self.r.choice(KINDS), self.r.choice(list(self.w.currency))
            if kind in ("BUY", "SELL", "DELIVERY_IN", "DELIVERY_OUT", "TRANSFER"):
                if name in traded:
                    continue
                traded.add(name)
            try:
                self.draw(day, kind, name)
            except Impossible:
                pass

    def draw(self, day, kind, name):
        r, currency, account = self.r, self.w.currency[name], self.r.choice("PQ")
        fee, tax = (F(r.choice([0, 0, r.randrange(most)]), 100) for most in (900, 500))
        if kind in ("BUY", "SELL", "DELIVERY_IN", "DELIVERY_OUT"):
            self.trade(day, kind, name, account, fee, tax)
        elif kind == "TRANSFER":
            quantity = self.some(name, "P")
            for side, of in (("TRANSFER_OUT", "P"), ("TRANSFER_IN", "Q")):
                self.move(name, of, -quantity if of == "P" else quantity)
                self.list.append({"date": day, "type": side, "instrument": name, "portfolio": of, "quantity": quantity, "currency": currency})
        elif kind == "DIVIDEND":
            if not any(self.shares[name, a] > 0 for a in "PQ"):
                raise Impossible
            self.book(day, kind, currency, F(r.randrange(1500, 9000), 100) - fee - tax, instrument=name, portfolio=account, fee=fee, tax=tax)
        else:
            most = {"DEPOSIT": 300_000, "WITHDRAWAL": 100_000}.get(kind, 900)
            self.book(day, kind, currency, F(r.randrange(10, most), 100))

    def trade(self, day, kind, name, account, fee, tax):
        price = F(round(self.w.close[name][day] * self.r.randrange(985, 1016) / 10), 100)
        out = kind in ("SELL", "DELIVERY_OUT")
        quantity = self.some(name, account) if out else F(self.r.randrange(1, 40000), 1000)
        gross = F(round(quantity * price * 100), 100)
        more = {"instrument": name, "portfolio": account, "quantity": quantity, "price": price}
        if kind in ("BUY", "SELL"):
            self.book(day, kind, self.w.currency[name], gross - fee - tax if out else gross + fee + tax, fee=fee, tax=tax, **more)
        else:
            self.list.append({"date": day, "type": kind, "currency": self.w.currency[name], **more})
        self.move(name, account, -quantity if out else quantity)

    def some(self, name, account):
        have = self.shares[name, account]
        quantity = have if self.r.random() < 0.2 else min(have, F(self.r.randrange(1, 40000), 1000))
        if quantity <= 0 or (quantity * 10**8).denominator != 1:
            raise Impossible
        return quantity

    def move(self, name, account, quantity):
        self.shares[name, account] += quantity

    def book(self, day, kind, currency, amount, **more):
        signed = amount if kind in INCOMING else -amount
        if amount <= 0 or self.cash[currency] + signed < -self.credit:
            raise Impossible
        self.cash[currency] += signed
        self.list.append({"date": day, "type": kind, "amount": amount, "currency": currency, **more})


class Lot:
    def __init__(self, number, name, account, quantity, cost, since):
        self.number, self.name, self.account, self.quantity = number, name, account, quantity
        self.cost = cost   # what was paid, with fees and taxes, in the base currency of its day
        self.since = since # what the bridge measures from: the purchase before costs, or the opening value

    def take(self, quantity, account=None):
        """A part of it as a lot of its own."""
        part = quantity / self.quantity
        taken = Lot(self.number, self.name, account or self.account, quantity, self.cost * part, self.since * part)
        self.quantity -= taken.quantity
        self.cost -= taken.cost
        self.since -= taken.since
        return taken


class Books:
    """Day after day, by the definitions."""

    def __init__(self, world, transactions):
        self.w, self.lots, self.numbers = world, [], count()
        self.cash = {BASE: F(0), OTHER: F(0)}
        self.average = {name: [F(0), F(0)] for name in world.currency} # shares, cost
        self.sum = dict.fromkeys(("fees", "taxes", "dividends", "interest", "withheld_tax", "net_contributions", "realized_gains", "fx_gains"), F(0))
        self.realised_fifo = self.realised_average = F(0)
        self.wealth, self.before, self.flows, self.counts, self.below_zero = F(1), F(0), [], False, False
        by_day = {}
        for number, t in enumerate(transactions):
            by_day.setdefault(t["date"], []).append((ORDER.get(t["type"], 3), number, t))
        for day in world.days[1:]:
            self.one_day(day, [t for _, _, t in sorted(by_day.get(day, []), key=lambda x: x[:2])])

    def holdings(self, day):
        return sum(lot.quantity * self.w.close[lot.name][day] * self.w.rate(self.w.currency[lot.name], day) for lot in self.lots)

    def value(self, day):
        return sum(amount * self.w.rate(c, day) for c, amount in self.cash.items()) + self.holdings(day)

    def open(self, day):
        """The evening before the period."""
        evening = day - DAY
        self.counts = True
        self.opening = self.before = self.value(evening)
        for lot in self.lots:
            lot.since = lot.quantity * self.w.close[lot.name][evening] * self.w.rate(self.w.currency[lot.name], evening)

    def one_day(self, day, transactions):
        if day == self.w.opens:
            self.open(day)
        for name, (when, ratio) in self.w.splits.items():
            if when == day:
                self.average[name][0] *= ratio
                for lot in self.lots:
                    lot.quantity *= ratio if lot.name == name else 1
        for currency, amount in self.cash.items():
            self.add("fx_gains", amount * (self.w.rate(currency, day) - self.w.rate(currency, day - DAY)))
        self.came, self.went, self.moving = F(0), F(0), {}
        for t in transactions:
            self.carry_out(day, t)
        self.lots = [lot for lot in self.lots if lot.quantity > 0]
        if self.counts:
            self.link(day)

    def link(self, day):
        value, flow = self.value(day), self.came - self.went
        self.below_zero |= value < 0 or self.before < 0 or self.before + self.came < 0
        if self.before + self.came > 0:
            self.wealth *= (value + self.went) / (self.before + self.came)
        self.add("net_contributions", flow)
        if flow:
            self.flows.append((day, flow))
        self.before = value

    def add(self, name, amount):
        if self.counts:
            self.sum[name] += amount

    def carry_out(self, day, t):
        kind, rate = t["type"], self.w.rate(t["currency"], day)
        amount, fee, tax = (t.get(k, F(0)) for k in ("amount", "fee", "tax"))
        if "amount" in t:
            self.cash[t["currency"]] += amount if kind in INCOMING else -amount
        self.add("fees", {"FEE": amount, "FEE_REFUND": -amount}.get(kind, fee) * rate)
        self.add("taxes", (amount if kind == "TAX" else tax) * rate)
        if kind == "DEPOSIT":
            self.came += amount * rate
        elif kind == "WITHDRAWAL":
            self.went += amount * rate
        elif kind == "DIVIDEND":
            self.add("dividends", (amount + fee + tax) * rate)
            self.add("withheld_tax", tax * rate)
        elif kind in ("INTEREST", "INTEREST_CHARGE"):
            self.add("interest", (amount if kind == "INTEREST" else -amount) * rate)
        elif kind == "BUY":
            self.bring(t, amount * rate, (amount - fee - tax) * rate)
        elif kind == "SELL":
            self.take(t, amount * rate, (amount + fee + tax) * rate)
        elif kind in ("DELIVERY_IN", "DELIVERY_OUT"):
            self.deliver(day, t, rate)
        elif kind == "TRANSFER_OUT":
            self.moving[t["instrument"]] = self.first_in(t, [lot for lot in self.lots if lot.account == t["portfolio"]], "Q")
        elif kind == "TRANSFER_IN":
            self.lots += self.moving.pop(t["instrument"])

    def deliver(self, day, t, rate):
        market, stated = (t["quantity"] * price * rate for price in (self.w.close[t["instrument"]][day], t["price"]))
        if t["type"] == "DELIVERY_IN":
            self.came += market
            self.bring(t, stated, market)
        else:
            self.went += market
            self.take(t, stated, market)

    def bring(self, t, cost, since):
        self.lots.append(Lot(next(self.numbers), t["instrument"], t["portfolio"], t["quantity"], cost, since))
        self.average[t["instrument"]][0] += t["quantity"]
        self.average[t["instrument"]][1] += cost

    def take(self, t, net, gross):
        own = [lot for lot in self.lots if lot.account == t["portfolio"]]
        taken = self.first_in(t, own)
        shares, cost = self.average[t["instrument"]]
        part = cost * t["quantity"] / shares
        self.average[t["instrument"]] = [shares - t["quantity"], cost - part]
        self.realised_average += net - part
        self.realised_fifo += net - sum(lot.cost for lot in taken)
        self.add("realized_gains", gross - sum(lot.since for lot in taken))

    @staticmethod
    def first_in(t, lots, account=None):
        left, taken = t["quantity"], []
        for lot in sorted(lots, key=lambda lot: lot.number):
            quantity = min(left, lot.quantity) if lot.name == t["instrument"] else 0
            if quantity > 0:
                taken.append(lot.take(quantity, account))
                left -= quantity
        assert left == 0, "more taken than is there"
        return taken

    def figures(self):
        end, held = self.w.end, self.holdings(self.w.end)
        cost_fifo, cost_average = sum(lot.cost for lot in self.lots), sum(cost for _, cost in self.average.values())
        out = {**self.sum, "opening_value": self.opening, "closing_value": self.before, "twr": self.wealth - 1,
               "gain": self.before - self.opening - self.sum["net_contributions"],
               "capital_gains": held - sum(lot.since for lot in self.lots), "cost_fifo": cost_fifo, "cost_average": cost_average,
               "realized_gain_fifo": self.realised_fifo, "realized_gain_average": self.realised_average,
               "unrealized_gain_fifo": held - cost_fifo, "unrealized_gain_average": held - cost_average}
        bridge = sum(out[k] for k in ("opening_value", "net_contributions", "realized_gains", "capital_gains", "dividends", "interest", "fx_gains"))
        assert bridge - out["fees"] - out["taxes"] == self.before == self.value(end), "the statement does not close"
        if self.below_zero:
            return {**out, "twr": None, "irr": None} # no figure may be published
        rate = self.money_weighted()
        return out if rate is None else {**out, "irr": rate}

    def money_weighted(self):
        """Annual; None unless a fine grid has exactly one solution, of an ordinary size."""
        flows = [(self.w.opens - DAY, -self.opening), *((d, -f) for d, f in self.flows), (self.w.end, self.before)]
        flows = [(d, float(f)) for d, f in flows if f]

        def present(log_rate):
            return sum(f * math.exp(-log_rate * (d - flows[0][0]).days / 365) for d, f in flows)

        grid = [k / 4 for k in range(-240, 241)]
        around = [(a, b) for a, b in zip(grid, grid[1:]) if present(a) * present(b) < 0]
        if len(around) != 1:
            return None
        low, high = around[0]
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (low, middle) if present(low) * present(middle) <= 0 else (middle, high)
        rate = math.exp(low) - 1
        return rate if -0.99 < rate < 5 else None


def number(value):
    """Closes of before a split are thirds at times: a fraction as text says them exactly."""
    return float(value) if F(str(float(value))) == value else str(value)


def case(seed):
    r = random.Random(seed)
    world = World(r)
    transactions = Draws(r, world).list
    figures = Books(world, transactions).figures()
    adjusted = {name: world.shares_of_one(name, world.end) for name in world.currency}
    return {
        "id": f"independent-{seed}", "source": "tests/tools/vectors/independent.py", "kind": "portfolio", "currency": BASE,
        "period": {"start": str(world.opens), "end": str(world.end)},
        "instruments": [{"id": name, "currency": c} for name, c in world.currency.items()],
        "prices": [{"instrument": name, "date": str(d), "close": number(close * world.shares_of_one(name, d) / adjusted[name])}
                   for name, closes in world.close.items() for d, close in closes.items()],
        "fx": [{"base": BASE, "quote": OTHER, "date": str(d), "rate": number(v)} for d, v in world.price_of_base.items()],
        "splits": [{"instrument": name, "date": str(d), "numerator": ratio.numerator, "denominator": ratio.denominator}
                   for name, (d, ratio) in world.splits.items()],
        "transactions": [{k: number(v) if isinstance(v, F) else str(v) for k, v in t.items()} for t in transactions],
        "expected": {k: None if v is None else float(v) for k, v in figures.items()}, "tolerance": TOLERANCE,
    }


def main():
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for seed in range(first, last):
        (folder / f"independent-{seed:05}.json").write_text(json.dumps(case(seed), indent=1))


if __name__ == "__main__":
    main()
