"""lib/cron against brute force: the wall clock of Python's zoneinfo over ten
years, in ten zones that change it in every way there is."""
import calendar
import datetime as dt
import os
import random
import re
import subprocess
import zoneinfo
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("FOLIOPOST_BUILD", Path(__file__).resolve().parents[2] / "build" / "release")).resolve()
EPOCH = dt.date(1970, 1, 1)
FIRST, LAST = dt.date(2010, 7, 1), dt.date(2020, 7, 1)
# By an hour, at midnight, by half an hour, by two hours, a day left out, summer as
# the standard time, twice a year around Ramadan, and offsets that changed for good.
ZONES = ["Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Antarctica/Troll",
         "Pacific/Apia", "Europe/Dublin", "Africa/Casablanca", "America/Caracas", "Asia/Tehran"]
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


def minutes_of(day):
    return (day - EPOCH).days * 1440


def offset(zone, minute):
    """Of the wall clock to UTC, in minutes."""
    at = dt.datetime.fromtimestamp(minute * 60, zone)
    return int(at.utcoffset().total_seconds()) // 60


def runs(name):
    """Stretches of UTC minutes with one offset: (from, to, offset). The clock is
    looked at every hour, and every minute of an hour that changed it."""
    zone, found = zoneinfo.ZoneInfo(name), []
    start, end = minutes_of(FIRST) - 1440, minutes_of(LAST) + 1440
    begun, now = start, offset(zone, start)
    for hour in range(start, end, 60):
        if offset(zone, hour + 60) == now:
            continue
        for minute in range(hour, hour + 61):
            then = offset(zone, minute)
            if then != now:
                found.append((begun, minute, now))
                begun, now = minute, then
    return found + [(begun, end, now)]


class Field:
    """A random field: its text, and the numbers it means."""

    def __init__(self, rng, lo, hi, names=(), first_name=0, star=0.35):
        self.lo, self.hi, self.names, self.first_name = lo, hi, names, first_name
        self.values, texts = set(), []
        if rng.random() < star:
            step = rng.choice([1, 1, 1, 2, 3, 7])
            self.values, texts = set(range(lo, hi + 1, step)), ["*" if step == 1 else f"*/{step}"]
        while not texts or rng.random() < 0.3:
            a, b = sorted((rng.randint(lo, hi), rng.randint(lo, hi)))
            step = rng.choice([1, 1, 2, 5])
            if rng.random() < 0.6:
                texts.append(self.word(rng, a))
                self.values.add(a)
            else:
                texts.append(f"{self.word(rng, a)}-{self.word(rng, b)}" + (f"/{step}" if step > 1 else ""))
                self.values |= set(range(a, b + 1, step))
        self.text = ",".join(texts)
        self.starred = self.text.startswith("*")

    def word(self, rng, value):
        return rng.choice([str.lower, str.upper])(self.names[value - self.first_name]) \
            if self.names and rng.random() < 0.5 else str(value)


class Expression:
    def __init__(self, rng):
        self.minute = Field(rng, 0, 59, star=0.1)
        self.hour = Field(rng, 0, 23, star=0.2)
        self.day = Field(rng, 1, 31, star=0.5)
        self.month = Field(rng, 1, 12, MONTHS, 1, star=0.7)
        self.weekday = Field(rng, 0, 6, WEEKDAYS, star=0.5)
        self.last = rng.random() < 0.2
        if self.last:
            self.day.text += ",L"
        self.text = " ".join(f.text for f in (self.minute, self.hour, self.day, self.month, self.weekday))

    def has_day(self, day):
        if day.month not in self.month.values:
            return False
        by_month = day.day in self.day.values or \
            (self.last and day.day == calendar.monthrange(day.year, day.month)[1])
        by_week = day.isoweekday() % 7 in self.weekday.values
        return by_month and by_week if self.day.starred or self.weekday.starred else by_month or by_week

    def mask(self, first, last):
        """A byte for each minute of the wall clock: 1 when it matches."""
        day = bytes(h in self.hour.values and m in self.minute.values for h in range(24) for m in range(60))
        days = (first + dt.timedelta(n) for n in range((last - first).days))
        return b"".join(day if self.has_day(d) else bytes(1440) for d in days)


def brute_force(expression, stretches, first, last):
    """Each minute of the wall clock is due when the clock first shows it or is
    already past it."""
    base, mask, due = minutes_of(first), expression.mask(first, last), set()
    reached = base
    for start, end, off in stretches:
        low, high = start + off, min(end + off, base + len(mask))
        if high <= reached:
            continue
        if low > reached and b"\1" in mask[reached - base:low - base]:
            due.add(start)
        low = max(low, reached)
        due |= {low - off + m.start() for m in re.finditer(b"\1", mask[low - base:high - base])}
        reached = high
    return sorted(due)


@pytest.mark.slow
def test_ten_years_in_ten_zones_are_as_brute_force_has_them():
    rng, cases, asked = random.Random(6), [], []
    for zone in ZONES:
        stretches = runs(zone)
        for _ in range(12):
            e, first, last = Expression(rng), FIRST, LAST
            if len(e.minute.values) * len(e.hour.values) > 48: # dense: a year of it
                first = dt.date(rng.randint(2011, 2018), 1, 1)
                last = first.replace(year=first.year + 1)
            due = brute_force(e, stretches, first, last)
            # A day inside the ends, which the zone's clock may shift.
            low, high = minutes_of(first) + 1440, minutes_of(last) - 1440
            cases.append((zone, e.text, [m * 60 for m in due if low < m <= high]))
            asked.append(f"{low * 60} {high * 60} {zone} {e.text}\n")
    answers = subprocess.run([BUILD / "bin" / "cron_times"], input="".join(asked), capture_output=True, text=True,
                             check=True).stdout.splitlines()
    assert len(answers) == len(cases)
    for (zone, text, due), answer in zip(cases, answers):
        if not due and answer.startswith("error: ") and "never due" in answer:
            continue
        got = [int(t) for t in answer.split()] if not answer.startswith("error") else answer
        if got != due:
            differ = sorted(set(got) ^ set(due))[:5] if isinstance(got, list) else got
            pytest.fail(f"{text} in {zone}: {differ}")
    assert sum(len(due) for _, _, due in cases) > 100_000
