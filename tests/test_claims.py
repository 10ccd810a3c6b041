"""Every measured figure in README, CONTRIBUTING and docs is the committed measurement, and every other figure has a reason.

A figure is a number with a unit of measure. `syllabus.md` is not here: tests/test_syllabus.py makes the whole page again.
In a notebook a figure is printed by a cell; the few that prose takes from a benchmark are held against it here.
"""

import json
import re
from statistics import mean

import pytest

from course_utils.gpu.device import GIB
from course_utils.learn import catalog
from course_utils.learn.paths import project_dir

RESULTS = project_dir() / "benchmarks" / "results"
PAGES = ("README.md", "CONTRIBUTING.md", "docs/assigning.md", "docs/cluster.md", "docs/multi_gpu.md")


def result(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def hostile_that_get_points(grader):
    attacks = [one for one in result("grading_attacks")["attacks"] if one["attack"] not in ("right", "wrong")]
    given = [one[grader] for one in attacks]
    return len(attacks), sum(isinstance(points, float) and points > 0 for points in given)


def planner_errors(line):
    """Errors in per cent of the planner's allocated and process memory in the table that the benchmark printed."""
    text = (RESULTS / "planner_vs_peers.txt").read_text(encoding="utf-8")
    allocated, _, process = re.search(rf"^{re.escape(line)} +(\S+) +(\S+) +(\S+) \|", text, re.MULTILINE).groups()
    return float(allocated), float(process)


def setup():
    one = result("setup_cost")
    seconds = one["install_seconds"] + one["first_result_seconds"] + one["lab_start_seconds"]
    download_seconds = one["download_bytes"] * 8 / 50e6
    return {
        "packages": one["wheels"],
        "GB": one["download_bytes"] / 1e9,
        "GiB": one["disk_bytes"] / GIB,
        "minutes": (download_seconds + seconds) / 60,
        "download": download_seconds / 60,
        "rest": seconds / 60,
    }


def everything():
    one = result("setup_cost")["everything"]
    return one["wheels"], one["download_bytes"] / 1e9, one["disk_bytes"] / GIB


def planner():
    median, over, under = map(planner_errors, ("median |error|", "worst over", "worst under"))
    text = (RESULTS / "planner_vs_peers.txt").read_text(encoding="utf-8")
    rows = int(re.search(r"^(\d+) rows;", text, re.MULTILINE)[1])
    return rows, median[0], max(over[0], -under[0]), median[1], over[1], under[1]


def runner():
    forty = result("runner_overhead")["forty"]
    seconds, ratio = forty["median_seconds"], forty["ratio_of_medians"]
    papermill, nbclient = ratio["papermill, one after another"], ratio["nbclient, 2 processes"]
    return papermill, nbclient, seconds["course run again, from the cache"]


def grading():
    torch, small = result("grading")["torch"], result("grading")["trivial"]
    return (
        torch["submissions"],
        torch["course_grade"]["seconds"],
        torch["nbgrader"]["scaled_seconds"] / torch["course_grade"]["seconds"],
        torch["nbgrader"]["submissions"],
        small["submissions"],
        small["course_grade"]["seconds"],
    )


def models():
    from course_utils.gpu.plan import presets

    return len(list(presets.names()))


def ladder():
    """What batch norm brings week 04a's network, in points: added to the plain one, and left out of the whole recipe."""
    shares = {name: mean(runs) for name, runs in result("emoji_ablation")["accuracies"].items()}
    return (
        shares["+ batch norm"] - shares["plain CNN"],
        shares["+ test-time flip"] - shares["without batch norm"],
    )


def trial(name):
    return next(one for one in result("transfer")["trials"] if one["trial"] == name)


def transfer():
    one = result("transfer")
    long = [run["transfer_test_percent"] for run in one["long_transfers"]]
    scratch = [run["scratch_test_percent"] for run in one["runs"]]
    gains = [a - b for a, b in zip(long, scratch, strict=True)]
    return mean(long), mean(scratch), min(gains), max(gains)


# Sentences with measured figures: those in brackets are these values, rounded as far as the sentence writes them.
README = {
    r"into `.venv`: ([\d,]+) packages, a download of ([\d.]+) GB, most of it PyTorch with CUDA, and ([\d.]+) GiB on disk": (
        lambda: [setup()[name] for name in ("packages", "GB", "GiB")]
    ),
    r"about (\d+) minutes after the clone: ([\d.]+) of download, computed, and ([\d.]+) of unpacking": (
        lambda: [setup()[name] for name in ("minutes", "download", "rest")]
    ),
    r"every extra: ([\d,]+) packages in all, ([\d.]+) GB of download, ([\d.]+) GiB in `.venv`": everything,
    r"\(about (\d+) seconds on two cores\)": lambda: [result("doctor_time")["median_seconds"]["course doctor"]],
    r"(\d+) models are known by name": lambda: [models()],
    r"Against (\d+) published measurements of QLoRA and LoRA on a T4 its allocated memory is off by ([\d.]+) % "
    r"\(median; ([\d.]+) % at worst\) and its process memory by ([\d.]+) % \(([+\d.]+) and ([−\d.]+) % at worst\)": planner,
    r"take ([\d.]+) of the time that papermill takes one after another, and ([\d.]+) of plain nbclient's with the same two "
    r"processes \(\[runner_overhead.json\]\([^)]*\)\); from the cache, ([\d.]+) seconds": runner,
    r"([\d,]+) submissions of a torch exercise take (\d+) seconds, (\d+) times as fast as `nbgrader autograde`, computed from "
    r"the (\d+) that it graded in the same run, and ([\d,]+) of a small one (\d+)": grading,
    r"Of (\d+) hostile submissions (\d+) get points from nbgrader": lambda: hostile_that_get_points("nbgrader"),
}
LESSONS = {
    ("week04a", r"(\d+) points on the ladder, and (\d+) when it is left out of the whole recipe"): ladder,
    ("week04b", r"([\d.]+) % of the validation pictures against ([\d.]+) % with still ones"): (
        lambda: [trial("head")["norms learn, as fast.ai"][-1], trial("head")["rate 0.01"][-1]]
    ),
    ("week04b", r"by a hair: (\d+) % against ([\d.]+) % on 200 pictures"): (
        lambda: [trial("head")["rate 0.003"][-1], trial("head")["rate 0.01"][-1]]
    ),
    ("week04b", r"transfer gets (\d+) % \(mean of three draws\), the rival (\d+) %"): lambda: transfer()[:2],
    ("week04b", r"(\d+) to (\d+) points are what the million photos are worth"): lambda: transfer()[2:],
    ("week04b", r"Transfer had (\d+) % after 5 epochs"): (
        lambda: [mean(run["transfer_test_percent"] for run in result("transfer")["runs"])]
    ),
}
# Figures that nobody measured, with the reason why they stand there.
GIVEN = {
    r"10 GiB of free disk": "what we ask for; the test below holds it against what the installation takes",
    r"11 GiB free while": "the same for everything",
    r"a line of 50 Mbit/s": "the line that the computed download assumes",
    r"12 GB card|a card with 12 GB|16 or 24 GB": "the cards' names",
    r"11\.7 GiB to PyTorch": "published by owners of the card; `course doctor` shows the reader's own",
    r"90-minute handout|in 90 minutes": "the length of a lesson at school",
    r"at most three times": "a limit in the code: run/cluster_executor.py",
    r"within ten seconds": "a limit in the code: run/cluster.py",
    r"of more than two seconds": "a rule for what we write",
    r"at most 20 and 90 seconds": "a rule for lessons",
}
_COUNT = r"(?:[−+±]?\d[\d,.]*|\b(?:half an?\b|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|forty|fifty))"
_UNIT = r"(?:per cent|milliseconds?|seconds?|minutes?|hours?|ms|s|GB|GiB|MB|MiB|kB|KiB|TB|[GMk]bit/s|times|tokens?|TFLOPS)\b"
FIGURE = re.compile(rf"{_COUNT}[\s-]?(?:%|{_UNIT})")
_CODE = (r"(?s)```.*?```", r"`[^`\n]+`", r"\]\([^)]*\)")


def page(name):
    return (project_dir() / name).read_text(encoding="utf-8")


def pattern(sentence):
    """The sentence with its spaces meaning any white space, for lines break anywhere."""
    return re.compile(sentence.replace(" ", r"\s+"))


def differing(text, sentence, values):
    """The figures of a sentence that are not the measured values: pairs of what is written and what should be."""
    match = pattern(sentence).search(text)
    if match is None:
        return [("nothing", sentence)]
    written = [figure.replace(",", "").replace("−", "-").lstrip("+") for figure in match.groups()]
    rounded = [f"{value:.{len(figure.partition('.')[2])}f}" for figure, value in zip(written, values, strict=True)]
    return [pair for pair in zip(written, rounded, strict=True) if pair[0] != pair[1]]


def without_code(text):
    for code in _CODE:
        text = re.sub(code, lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    return text


def uncovered(text):
    """Figures in the prose of a page that no sentence of the two tables holds."""
    covered = [m.span() for sentence in (*README, *GIVEN) for m in pattern(sentence).finditer(text)]
    return [
        m[0]
        for m in FIGURE.finditer(without_code(text))
        if not any(start <= m.start() and m.end() <= end for start, end in covered)
    ]


@pytest.mark.parametrize("sentence", README)
def test_the_readme_says_what_was_measured(sentence):
    assert differing(page("README.md"), sentence, README[sentence]()) == []


@pytest.mark.parametrize("lesson, sentence", LESSONS)
def test_a_lesson_says_what_was_measured(lesson, sentence):
    cells = json.loads(catalog.resolve(lesson).path.read_text(encoding="utf-8"))["cells"]
    assert differing("\n".join("".join(cell["source"]) for cell in cells), sentence, LESSONS[lesson, sentence]()) == []


def test_course_grade_gives_no_hostile_submission_a_point():
    assert "none from `course grade`" in page("README.md")
    assert hostile_that_get_points("course grade")[1] == 0


def test_no_process_was_left_of_a_killed_run():
    assert pattern("end with the run, also when it is killed").search(page("README.md"))
    storm = result("kill_storm")
    assert storm["kills"]["runner"] > 0 and storm["orphans_after_5_s"] == storm["lost_results"] == 0


def test_the_disk_that_we_ask_for_holds_the_download_and_what_is_installed():
    core, readme = result("setup_cost"), page("README.md")
    for one, gib in ((core, 10), (core["everything"], 11)):
        assert f"{gib} GiB" in readme and one["download_bytes"] + one["disk_bytes"] <= gib * GIB


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_is_measured_or_given_with_its_reason(name):
    assert uncovered(page(name)) == []


def test_all_pages_are_looked_at():
    docs = {f"docs/{one.name}" for one in (project_dir() / "docs").glob("*.md")}
    assert set(PAGES) == {"README.md", "CONTRIBUTING.md"} | docs


def test_no_reason_is_left_over():
    texts = [page(name) for name in PAGES]
    assert [given for given in GIVEN if not any(pattern(given).search(text) for text in texts)] == []


@pytest.mark.parametrize(
    "written, value", [("took 12 s", 11.57), ("took 0.48 s", 0.4799), ("took 1,000 s", 1000), ("took −4.9 s", -4.94)]
)
def test_a_figure_is_compared_as_far_as_it_is_written(written, value):
    assert differing(written, r"took ([−\d.,]+) s", [value]) == []
    assert differing(written, r"took ([−\d.,]+) s", [value * 1.1]) != []


def test_a_sentence_that_is_gone_is_told():
    assert differing("nothing here", r"took (\d+) s", [1]) == [("nothing", r"took (\d+) s")]


@pytest.mark.parametrize(
    "text", ["It takes 7 s.", "half a minute", "saves 30 %", "three times as fast", "with 9.1 GiB"]
)
def test_a_figure_without_a_measurement_is_found(text):
    assert len(uncovered(text)) == 1


@pytest.mark.parametrize(
    "text", ["`sleep 7 s`", "```\n30 %\n```", "Python 3.11 or newer", "week 04 says", "in a minute"]
)
def test_what_is_no_figure_needs_no_measurement(text):
    assert uncovered(text) == []
