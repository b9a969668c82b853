"""The page around a report: style, head, sections, tables. One file, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["Markup", "cell", "page", "section", "table", "tiles"]

CSS = """
:root{color-scheme:light dark;--bg:#f4f5f7;--card:#fff;--ink:#22262b;--muted:#5b616a;--quiet:#a3a8b0;--line:#dcdfe4;
--plus:#2e6f95;--minus:#d1495b;--herald:#b86e00;--good:#2f7d4f;--pps:#6c8f5b;--failed:#b9c0c9;--not:#e3e6ea}
@media(prefers-color-scheme:dark){:root{--bg:#15181c;--card:#1e2227;--ink:#e8eaed;--muted:#a9b0b9;--quiet:#6c737c;
--line:#353b43;--plus:#6fb3dc;--minus:#f28b97;--herald:#f0a83c;--good:#6cc492;--pps:#9dc38a;--failed:#59616b;--not:#333940}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:16px}
h1{font-size:1.5rem;line-height:1.25;margin:.2em 0}h2{font-size:1.1rem;margin:0 0 .5em}
h3{font-size:1rem;margin:1.2em 0 .4em}
p{margin:.4em 0;max-width:46em}
.sub,.note{color:var(--muted);font-size:.9rem}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin:14px 0}
.pill{display:inline-block;border-radius:99px;padding:.1em .7em;font-size:.85rem;font-weight:600;color:var(--card);
background:var(--muted);vertical-align:middle}
.pill.done{background:var(--good)}.pill.failed,.pill.interrupted{background:var(--minus)}
.banner{border-left:4px solid var(--herald)}.banner.bad{border-left-color:var(--minus)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(156px,1fr));gap:10px;margin:12px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.tile b{display:block;font-size:1.15rem;font-weight:650;line-height:1.35;white-space:nowrap}
.tile span{color:var(--muted);font-size:.85rem;display:block}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(400px,100%),1fr));gap:14px}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.9rem}
th,td{padding:.3em .8em .3em 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{color:var(--muted);font-weight:600}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font:.85em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
summary{cursor:pointer;font-weight:600}
svg{display:block;height:auto}svg.chart{width:100%;max-width:560px}svg.ledger{max-width:620px}
svg.network{width:100%;min-width:800px}svg.round{width:100%;min-width:720px}
svg.swatch{display:inline-block;width:10px;height:10px;margin-right:.4em}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
svg .title{font-weight:600}svg .label{fill:var(--muted)}
.grid{stroke:var(--line);fill:none}.zero,.axis{stroke:var(--muted);fill:none}
.plus{stroke:var(--plus);fill:none}.minus{stroke:var(--minus);fill:none}
.plus.fill{fill:var(--plus);fill-opacity:.3;stroke:none}.minus.fill{fill:var(--minus);fill-opacity:.3;stroke:none}
.key{stroke-width:3}.thick{stroke-width:9;stroke-opacity:.35}
.pred{stroke:var(--herald);stroke-width:2;stroke-dasharray:5 3;fill:none}.mean{stroke:var(--plus);fill:none}
.err{stroke:var(--ink);fill:none;stroke-width:1.3}.dot{fill:var(--ink)}
.span{fill:var(--herald);fill-opacity:.15}
.slot.heralded{fill:var(--good)}.slot.vetoed{fill:var(--plus)}.slot.failed{fill:var(--failed)}
.slot.not_played{fill:var(--not)}.slot.masked{fill:var(--herald)}.slot.expired{fill:var(--minus)}
.site{fill:var(--bg);stroke:var(--line)}.instrument{fill:var(--card);stroke:var(--muted)}
.element{fill:var(--card);stroke:var(--line)}
.wire{fill:none;stroke:var(--muted);stroke-width:1.4}.wire.photon,.wire.herald{stroke-width:2.4}
.wire.photon,.wire.light{stroke:var(--minus)}.wire.herald{stroke:var(--herald)}.wire.microwave{stroke:var(--plus)}
.wire.bias{stroke:var(--plus);stroke-dasharray:2 3}
.wire.pps{stroke:var(--pps)}.wire.clock{stroke:var(--quiet);stroke-dasharray:2 3}
.head.photon{fill:var(--minus)}.head.herald{fill:var(--herald)}
@media(max-width:480px){main{padding:8px}section{padding:12px}table{font-size:.82rem}th,td{padding-right:.6em}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
"""


class Markup(str):
    """Text that is HTML already; everything else is escaped."""

    __slots__ = ()


def cell(value: str) -> str:
    """A text as HTML."""
    return value if isinstance(value, Markup) else escape(value)


def page(title: str, body: Sequence[str]) -> str:
    """The whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str, class_: str = "") -> str:
    """A card with a heading; empty without content."""
    inner = "".join(parts)
    if not inner:
        return ""
    attribute = f' class="{class_}"' if class_ else ""
    return f"<section{attribute}>\n<h2>{escape(title)}</h2>\n{inner}\n</section>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int = 1) -> str:
    """A table that scrolls in itself where it is wider than the screen; empty without rows.

    Args:
        head: names of the columns; empty for none.
        rows: texts, or `Markup`.
        numbers_from: columns from this one on are aligned as numbers.
    """
    if not rows:
        return ""

    def line(kind: str, cells: Sequence[str]) -> str:
        marks = ('<{0} class="n">' if place >= numbers_from else "<{0}>" for place in range(len(cells)))
        joined = (mark.format(kind) + cell(one) + f"</{kind}>" for mark, one in zip(marks, cells, strict=True))
        return f"<tr>{''.join(joined)}</tr>"

    top = f"<thead>{line('th', head)}</thead>" if head else ""
    body = "\n".join(line("td", row) for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Large numbers: what it is, the number, what stands below it."""
    inner = "".join(
        f'<div class="tile"><span>{cell(what)}</span><b>{cell(value)}</b><span>{cell(below)}</span></div>'
        for what, value, below in items
    )
    return f'<div class="tiles">{inner}</div>' if inner else ""
