"""A `Report` about memory that ran out, as HTML for the notebook and as text for everything else."""

from html import escape

from course_utils.gpu.device import show_bytes
from course_utils.gpu.oom.remedies import absurd
from course_utils.gpu.oom.remedy import missing

BAR = 24
# JupyterLab's own colours where they are; else the reader's light or dark setting decides.
_STYLE = """<style>
.course-oom {
  --oom-text: var(--jp-content-font-color1, #1f1f1f); --oom-page: var(--jp-layout-color1, #ffffff);
  --oom-panel: var(--jp-layout-color2, #f0f0f0); --oom-bad: var(--jp-error-color0, #b71c1c); --oom-bar: #b45309;
  color: var(--oom-text); background: var(--oom-page); max-width: 56rem; margin: .25rem 0; padding: .5rem .9rem;
  border: 1px solid #8a8a8a; border-left: 6px solid var(--oom-bad); border-radius: 4px;
  font-family: var(--jp-content-font-family, system-ui, sans-serif); font-size: var(--jp-content-font-size1, 14px);
  line-height: 1.5; }
@media (prefers-color-scheme: dark) { .course-oom {
  --oom-text: var(--jp-content-font-color1, #ececec); --oom-page: var(--jp-layout-color1, #1c1c1c);
  --oom-panel: var(--jp-layout-color2, #303030); --oom-bad: var(--jp-error-color0, #ef9a9a); } }
.course-oom p, .course-oom ol, .course-oom table { margin: .4rem 0; }
.course-oom .course-oom-first { font-weight: 600; }
.course-oom caption { text-align: left; font-weight: 600; padding: 0; color: inherit; caption-side: top; }
.course-oom table { border-collapse: collapse; font-size: 1em; border: 0; }
.course-oom table tbody tr { background: none !important; }  /* JupyterLab stripes and centres every table */
.course-oom th, .course-oom td { text-align: left !important; font-weight: 400; padding: .05rem .8rem .05rem 0; max-width: none; border: 0; }
.course-oom td.course-oom-size { text-align: right !important; font-variant-numeric: tabular-nums; white-space: nowrap; }
.course-oom td.course-oom-bar { width: 14rem; }
.course-oom td.course-oom-bar span { display: block; height: .7em; background: var(--oom-bar); border-radius: 2px; }
.course-oom ol { padding-left: 1.4rem; }
.course-oom li { margin: .35rem 0; }
.course-oom pre, .course-oom code { background: var(--oom-panel); color: var(--oom-text);
  font-family: var(--jp-code-font-family, monospace); font-size: .93em; border-radius: 3px; }
.course-oom code { padding: 0 .25em; }
.course-oom pre { margin: .3rem 0; padding: .45rem .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.course-oom summary { cursor: pointer; }
</style>"""


def bundle(report):
    """The report as a mime bundle."""
    return {"text/html": html(report), "text/plain": text(report)}


def text(report):
    """The report in plain words, with the functions on the way in place of the traceback."""
    rows, largest = report.found.rows(), _largest(report.found.rows())
    lines = [headline(report), *where(report), "", table_title(report)]
    for words, size in rows:
        bar = "█" * round(BAR * (size or 0) / largest)
        lines.append(f"  {words:<42}{show_bytes(size):>11}  {bar}".rstrip())
    lines += [*shortfall(report.found), "", remedies_title(report)]
    for number, one in enumerate(report.remedies, 1):
        lines += [f"  {number}. {one.title}: {saves(one)}", f"     {one.how}", f"     {one.arithmetic}; {one.price}."]
    path = [f"On the way: {report.place.path}"] if report.place and report.place.path else []
    return "\n".join([*lines, "", *freed(report), *path])


def html(report):
    """The report with the full traceback folded under it; everything that came from the reader is escaped."""
    rows, largest = report.found.rows(), _largest(report.found.rows())
    shares = "".join(
        f'<tr><th scope="row">{escape(words)}</th><td class="course-oom-size">{show_bytes(size)}</td>'
        f'<td class="course-oom-bar" aria-hidden="true"><span style="width:{100 * (size or 0) / largest:.0f}%"></span></td></tr>'
        for words, size in rows
    )
    ways = "".join(
        f"<li><b>{_prose(one.title)}</b>: {escape(saves(one))}<br><code>{escape(one.how)}</code><br>"
        f"{escape(one.arithmetic)}; {escape(one.price)}.</li>"
        for one in report.remedies
    )
    parts = [
        f'<p class="course-oom-first">{escape(headline(report))}</p>',
        *(f"<p>{_prose(line)}</p>" for line in where(report)),
        f"<table><caption>{escape(table_title(report))}</caption><tbody>{shares}</tbody></table>",
        *(f"<p>{escape(line)}</p>" for line in shortfall(report.found)),
        f"<p><b>{escape(remedies_title(report))}</b></p>" + (f"<ol>{ways}</ol>" if ways else ""),
        *(f"<p>{_prose(line.strip())}</p>" for line in freed(report)),
        f"<details><summary>Full traceback</summary><pre>{escape(report.traceback)}</pre></details>",
    ]
    return f'{_STYLE}<div class="course-oom" role="group" aria-label="Out of memory">{"".join(parts)}</div>'


def short(report):
    """The lines of the error message that still marks the cell as failed."""
    line = [f"{report.place.line}: {report.place.code}"] if report.place else []
    return [f"\x1b[31m{report.name}\x1b[39m: {headline(report)}", *line, "The report above says what helps."]


def headline(report):
    """What was asked and what was free, in one sentence."""
    found = report.found
    where = ("on the card" if found.place == "card" else "in RAM") + (f", {report.limit}" if report.limit else "")
    asked = f"asked for {show_bytes(found.asked_bytes)}" if found.asked_bytes else "asked for more than there was"
    return f"Out of memory {where}: the cell {asked}, and {show_bytes(found.free_bytes)} was free."


def where(report):
    """The line that failed, with its code in backticks."""
    if report.place is None:
        return []
    place = report.place
    lines = [f"It failed on {place.line}: `{place.code}`" if place.code else f"It failed on {place.line}."]
    return lines + ([f"Further in, on {place.inner}: `{place.inner_code}`"] if place.inner else [])


def table_title(report):
    """Names the sum of the table."""
    held = sum(size or 0 for _, size in report.found.rows())
    return f"What holds the {show_bytes(held)} that were taken"


def shortfall(found):
    """How much is missing now, and at the optimiser's step where that is known."""
    now, step = missing(found)
    lines = []
    if now is not None and not absurd(found):
        if found.asked_bytes <= found.free_bytes:
            lines.append(
                "As much as was asked for is free now: the operation that failed has let go of its own temporaries, "
                "or what is free lies in pieces. So the whole request counts as missing."
            )
        lines.append(f"Missing: {show_bytes(now)} at least, for the rest of the cell never ran.")
    if step:
        when = "for the rest of it" if found.in_step else "after the backward pass"
        lines.append(f"And {show_bytes(step)} when {found.optimiser} makes its state, {when}.")
    return lines


def remedies_title(report):
    """Heads the remedies, or says that there is none."""
    if not report.remedies:
        if absurd(report.found):
            return "The request alone is many times all the memory there is: check the sizes in that line."
        return "Nothing that this report can see would save a tenth of what is missing: ask for less in that line."
    return "The cheapest ways out (estimates, from the shares above)"


def saves(remedy):
    """What a remedy saves, and whether that is enough."""
    size = remedy.saves_bytes or remedy.saves_in_step_bytes
    enough = {True: ", enough for this request", False: ", not enough alone", None: ""}[remedy.enough]
    later = " at the optimiser's step" if not remedy.saves_bytes else ""
    return f"saves about {show_bytes(size)}{later}{enough}"


def freed(report):
    """What happened to the memory since."""
    if report.freed is None:
        return ["The process that ran this cell has ended, and all its memory came back."]
    return [f"The memory was freed already: {report.freed.headline()}", *report.freed.still()]


def _largest(rows):
    return max((size or 0 for _, size in rows), default=0) or 1


def _prose(words):
    pieces = escape(words).split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick is a backtick
        return escape(words)
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))
