"""The page on video memory: what was measured on a card, and what the planner predicts for the models it knows."""

import warnings
from dataclasses import dataclass

from course_utils.bars import bar
from course_utils.gpu.device import show_bytes
from course_utils.learn import catalog, measured, passport

CARD = "RTX 4070 Ti"


@dataclass(frozen=True)
class Prediction:
    """What a model needs on the card in half precision, and with weights of 4 bits (None where half precision fits)."""

    model: str
    bytes: int
    verdict: str
    nf4_bytes: int | None = None
    nf4_verdict: str | None = None


def page(predictions, folder=None):
    """The page in Markdown; measured results come from `folder`, the clone's unless given."""
    results = measured.results(folder or measured.FOLDER)
    parts = ["# Video memory", _LEAD, "## The lessons", _lessons(), "## Measured on a card"]
    parts += [_result(one) for one in results] or [_NONE]
    return "\n\n".join([*parts, "## Predicted by the planner", _RULE, _predicted(predictions)]) + "\n"


_LEAD = (
    "How much of a card's own memory (VRAM) a process takes, CUDA context included. "
    "A prediction and a measurement never stand in one column."
)
_NONE = (
    "**Not measured yet.** No row of the GPU contract has been run on a card. "
    "`python benchmarks/gpu_contract.py` measures them all and writes card and date beside each figure."
)
_RULE = (
    f"What `course plan MODEL` says of each model that it knows, for an {CARD}: inference with one example, "
    "in half precision unless the model says otherwise. These are predictions; nothing here was measured. "
    "Where that does not fit, the last column has the same model with weights of 4 bits (NF4)."
)


def _lessons():
    rows = []
    for one in catalog.lessons():
        papers = passport.read(one.path)
        vram = papers.vram or {}
        estimate = show_bytes(vram.get("estimated_bytes")) if vram else "none needed"
        found = measured.measured_text(vram.get("measured")) if vram else "–"
        rows.append((f"[{papers.title}](notebooks/{one.path.name})", estimate, found))
    return table(("lesson", "estimated", "measured"), rows)


def _result(result):
    head = f"**{result['card']}**, {result['date'][:10]}, torch {result.get('torch', 'n/a')}:"
    rows = [(one["what"], one["status"], show_bytes(one["process_bytes"])) for one in result["rows"]]
    return f"{head}\n\n{table(('what', 'outcome', 'process'), rows)}"


def _predicted(predictions):
    rows = [
        (f"`{one.model}`", show_bytes(one.bytes), one.verdict, _nf4(one)) for one in sorted(predictions, key=_by_size)
    ]
    return table(("model", "process", "verdict", "in 4 bits"), rows)


def _nf4(one):
    return f"{show_bytes(one.nf4_bytes)}, {one.nf4_verdict}" if one.nf4_verdict else ""


def _by_size(one):
    return one.bytes


def table(columns, rows):
    """A table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def predictions():
    """The planner's word on every model it knows: half a minute of tracing; raises CourseError where an extra is missing."""
    from course_utils.gpu.plan import presets

    found = []
    with bar("planning", len(presets.names()), "models") as tell:
        for name in presets.names():
            found.append(_prediction(name))
            tell(len(found))
    return found


def _prediction(name):
    from course_utils.gpu.plan.verdict import NOT

    plain = _plan(name)
    small = _plan(name, quant="nf4") if plain.verdict == NOT else None
    rest = (small.process_bytes, small.verdict) if small else ()
    return Prediction(name, plain.process_bytes, plain.verdict, *rest)


def _plan(name, **options):
    from course_utils.gpu.plan import card, imports, presets, tracing, verdict
    from course_utils.gpu.plan.request import Request

    request = Request(name, card=CARD, **options)
    imports.bring(presets.find(name), request)
    with warnings.catch_warnings(), tracing.quiet(imports.REGRETS):
        warnings.simplefilter("ignore")
        return verdict.plan(request, card.target(request))
