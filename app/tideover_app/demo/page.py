"""The report's HTML: words, a table, a chart per scene, and one style sheet; it loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .chart import chart
from .layout import AWAY, HOME
from .measure import Call, percentile
from .promises import Result, Take

COLUMNS = (
    ("Scene", ""),
    ("Calls", "n"),
    ("Failed", "n"),
    ("Cut in flight", "n"),
    ("Retried", "n"),
    ("Moved in", "n"),
    ("Promise", ""),
    ("", ""),
)


def page(
    takes: Sequence[Take], results: Sequence[Result], calls: Sequence[Call], facts: str, *, passed: bool
) -> str:
    """The whole page. `facts` is a line about the machine and versions."""
    verdict = "Every promise was kept" if passed else "Not every promise was kept"
    head = "".join(f'<th class="{css}">{name}</th>' for name, css in COLUMNS)
    rows = "\n".join(_row(result) for result in results)
    sections = "\n".join(_section(t, r, calls) for t, r in zip(takes, results, strict=True))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tideover demo: {verdict.lower()}</title>
<style>{STYLE}</style></head><body><main>
<h1>Tideover demo</h1>
<p class="verdict {"kept" if passed else "broken"}">{verdict}.</p>
{_summary(results, calls)}
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>
{EXPLANATION}
{LEGEND}
{sections}
<footer>{escape(facts)}</footer>
</main></body></html>
"""


def _summary(results: Sequence[Result], calls: Sequence[Call]) -> str:
    total = sum(result.count.calls for result in results)
    failed = sum(result.count.failed for result in results)
    usual = percentile((c.ended_s - c.began_s for c in calls), 50) or 0.0
    return (
        f"<p>Two clusters, {HOME} and {AWAY}, each with its pods and a caller behind a real Envoy sidecar; "
        f"faults one after another. {total:,} calls were made in the scenes, {failed:,} failed as their "
        f"callers saw it. A call usually took {1000 * usual:.0f} ms.</p>"
    )


def _row(result: Result) -> str:
    numbers, scene = result.count, result.scene
    moved = "never" if result.moved_s is None else f"{result.moved_s:.2f} s"
    verdict = "kept" if result.kept else "; ".join(result.broken)
    cells = (numbers.calls, numbers.failed, numbers.cut, result.retried)
    return (
        f'<tr><td><a href="#{scene.letter}">({scene.letter}) {escape(scene.name)}</a></td>'
        + "".join(f'<td class="n">{cell:,}</td>' for cell in cells)
        + f'<td class="n">{moved}</td><td>{escape(str(scene.promise))}</td>'
        + f'<td class="{"kept" if result.kept else "broken"}">{escape(verdict)}</td></tr>'
    )


def _section(take: Take, result: Result, calls: Sequence[Call]) -> str:
    scene = take.scene
    whose = "all services" if len(scene.scope.services) > 1 else ", ".join(scene.scope.services)
    picture = chart(take, calls) if result.count.calls else "<p>No calls.</p>"
    return (
        f'<section id="{scene.letter}"><h2>({scene.letter}) {escape(scene.name)}</h2>\n'
        f"<p>{escape(scene.story)}</p>\n<figure>{picture}\n"
        f"<figcaption>Calls from {scene.scope.caller} to {whose}; time is from the fault on.</figcaption>"
        "</figure></section>"
    )


EXPLANATION = """<p class="note">Failed: the caller got no good answer. Cut in flight: a POST whose connection
broke after it had been sent; nobody may repeat it. Retried: second and third tries, made by the sidecars.
Moved: when 99&nbsp;% of the calls (in 0.2&nbsp;s) were served where they should go.</p>"""

LEGEND = f"""<p class="legend"><span class="home"></span>served from {HOME}
<span class="away"></span>served from {AWAY} <span class="failed"></span>failed
<span class="slow"></span>slowest answer</p>"""

STYLE = """
:root{--ink:#1c2430;--soft:#5d6878;--line:#dfe4ea;--paper:#fff;
--home:#2f6fde;--away:#f0a020;--failed:#d6293e;--slow:#9aa5b4;--ok:#1a7f4b}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#323b48;--paper:#151a21;
--home:#5b93f5;--away:#f2b445;--failed:#ff5b6e;--slow:#6b7686;--ok:#4cc38a}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:36px 0 4px}p{margin:6px 0}
.verdict{font-size:18px;font-weight:600}.kept{color:var(--ok)}.broken{color:var(--failed)}
.wide{overflow-x:auto;margin:18px 0 6px}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:13px;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
a{color:inherit;text-decoration-color:var(--line)}
.note,footer,figcaption{color:var(--soft);font-size:13px}
.legend{margin-top:22px;color:var(--soft)}
.legend span{display:inline-block;width:12px;height:12px;border-radius:2px;margin:0 6px 0 14px}
.legend span{vertical-align:-1px}.legend span:first-child{margin-left:0}
.legend .home{background:var(--home)}.legend .away{background:var(--away)}
.legend .failed{background:var(--failed)}.legend .slow{background:var(--slow)}
figure{margin:8px 0 0}svg{width:100%;height:auto;display:block}
svg .home{fill:var(--home)}svg .away{fill:var(--away)}
svg .failed{fill:var(--failed)}svg .slow{fill:var(--slow)}
.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:11px}
.mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3;opacity:.7}
.label{fill:var(--ink);font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
footer{margin-top:40px;border-top:1px solid var(--line);padding-top:10px}
"""
