"""A bar chart as SVG, of nothing but text: one bar for each name and value."""
from html import escape

BAR, GAP, LEFT, WIDE = 18, 8, 300, 420


def _bar(at, name, value, most):
    y = 34 + at * (BAR + GAP)
    return (f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{max(1, round(value / most * WIDE))}" height="{BAR}" fill="#3a6ea5"/>'
            f'<text x="{LEFT + max(1, round(value / most * WIDE)) + 6}" y="{y + 13}">{value:,.0f}</text>')


def chart(title, bars):
    """bars: [(name, value), ...], from top to bottom."""
    high = 44 + len(bars) * (BAR + GAP)
    most = max((v for _, v in bars), default=0) or 1
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDE + 90} {high}"'
             ' font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}</text>']
    lines += [_bar(at, name, value, most) for at, (name, value) in enumerate(bars)]
    return "\n".join([*lines, "</svg>", ""])
