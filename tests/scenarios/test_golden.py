"""The golden mails, read by a MIME parser that is not ours."""
import email
import email.policy
import pathlib
import re

import pytest

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
MAILS = sorted(GOLDEN.glob("*.eml"))


def parts(mail):
    return [p for p in mail.walk() if not p.is_multipart()]


def figures(text):
    """Amounts and percentages, as they stand at the end of the text's columns."""
    return re.findall(r"\s([+-]?[\d.,’\u00a0\u202f]*\d[.,]\d\d)(?:\s*%)?$", text, re.MULTILINE)


def test_there_are_eleven():
    assert len(MAILS) == 11


@pytest.mark.parametrize("path", MAILS, ids=lambda p: p.stem)
def test_a_golden_mail_is_read_by_python(path):
    raw = path.read_bytes()
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert not mail.defects and not any(p.defects for p in mail.walk())
    assert mail.get_content_type() == "multipart/alternative"
    text, html = parts(mail)
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content_charset() == html.get_content_charset() == "utf-8"
    assert text.get_content().replace("\r\n", "\n").rstrip("\n") == path.with_suffix(".txt").read_text().rstrip("\n")
    assert html.get_content().replace("\r\n", "\n").rstrip("\n") == path.with_suffix(".html").read_text().rstrip("\n")
    assert all(len(line) <= 998 and max(line, default=0) < 128 for line in raw.split(b"\r\n"))
    for name in ("From", "To", "Subject", "Date", "Message-ID", "List-Id", "Feedback-ID", "Auto-Submitted"):
        assert len(mail.get_all(name)) == 1, name
    assert "Bcc" not in mail and "Cc" not in mail
    assert b"\r\nList-Unsubscribe: <https://" in raw
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    assert mail["To"].addresses[0].addr_spec.endswith("@mail.example")


@pytest.mark.parametrize("path", MAILS, ids=lambda p: p.stem)
def test_both_parts_have_the_same_figures(path):
    page = path.with_suffix(".html").read_text()
    assert len(page.encode()) < 60_000
    missing = [f for f in figures(path.with_suffix(".txt").read_text()) if f not in page]
    assert not missing


def test_hostile_names_stay_text():
    page = (GOLDEN / "hostile.html").read_text()
    assert "<script" not in page and "<img" not in page and "<b>{{{" not in page


def remarks(name):
    return (GOLDEN / f"{name}.txt").read_text().replace("\n  ", " ").split("* ")[1:]


def test_a_suspect_price_is_told_of_the_holding_and_its_day():
    text = remarks("suspect-price")
    for holding, day in ("Wrongly Typed NV", "October 6, 2026"), ("Hundredfold plc", "October 19, 2026"):
        assert any(holding in r and day in r and "far from the one before" in r for r in text), (holding, text)
    assert any("on its way between two accounts" in r for r in text), text
    assert not any(r.startswith("A price is far") for r in text)  # told by the events already


def test_all_flags_are_all_flags():
    assert any("Ein Kurs liegt weit entfernt vom vorigen" in r for r in remarks("bad-month-all-flags")), remarks("bad-month-all-flags")


@pytest.mark.parametrize("path", MAILS, ids=lambda p: p.stem)
def test_a_page_is_accessible(path):
    page = path.with_suffix(".html").read_text()
    assert re.search(r'<html lang="[a-z]{2}" dir="(ltr|rtl)">', page)
    assert page.count("<h1") == 1 and "<title>" in page
    for table in re.findall(r"<table[^>]*>", page):
        assert 'role="presentation"' in table or 'border-collapse' in table, table
    assert "<svg" not in page and "<img" not in page and "data:" not in page
    for row in re.findall(r"<th[^>]*>", page):
        assert re.search(r'scope="(row|col)"', row), row
    for table in re.split(r"<caption", page)[1:]:  # what has a heading has heads of columns too
        if "<h2" in table.partition("</caption>")[0]:
            assert 'scope="col"' in table.partition("</caption>")[2].partition('scope="row"')[0], table[:300]


def contrast(one, other):
    """As WCAG 2 has it, of two colours like 14213d."""
    def luminance(color):
        parts = [int(color[i:i + 2], 16) / 255 for i in (0, 2, 4)]
        return sum(w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for w, c in zip((0.2126, 0.7152, 0.0722), parts))
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_texts_and_bars_can_be_told_from_what_is_behind_them():
    pages = "".join(p.with_suffix(".html").read_text() for p in MAILS)
    texts, dark_texts = set(re.findall(r";color:#(\w{6})", pages)), set(re.findall(r"\{color:#(\w{6})", pages))
    squares = set(re.findall(r'"color:#(\w{6})[^;]*">&#9632;', pages))
    assert len(texts) >= 4 and len(dark_texts) == 4 and len(squares) >= 6
    for behind in ("ffffff", "f4f6f9"):
        assert all(contrast(t, behind) >= 4.5 for t in texts), (behind, texts)
    for behind in ("171d27", "202938"):
        assert all(contrast(t, behind) >= 4.5 for t in dark_texts), (behind, dark_texts)
    for behind in ("ffffff", "171d27"):
        assert all(contrast(s, behind) >= 3 for s in squares), (behind, {s: contrast(s, behind) for s in squares})
