"""A run under way: its rows, and the report as it stands."""

import threading
import time
from dataclasses import dataclass, field

from course_utils.learn.paths import project_dir
from course_utils.run import plan as planning
from course_utils.run import report as reporting
from course_utils.run.reach import Tree


@dataclass
class Run:
    """A run under way; `stop` ends it early, `kept` are rows of an unfinished run by lesson.

    `rows`, `prepared` and `attempts` are by lesson.
    """

    plan: planning.Plan
    listener: object
    use_cache: bool
    kept: dict
    rows: dict = field(default_factory=dict)
    prepared: dict = field(default_factory=dict)
    attempts: dict = field(default_factory=dict)
    tree: Tree = field(default_factory=lambda: Tree(project_dir()))
    started: str = field(default_factory=reporting.now)
    clock: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    versions: dict = field(default_factory=reporting.versions)

    def __post_init__(self):
        for one in self.plan.notebooks:
            self.rows[one.lesson] = reporting.Row(one.lesson, one.title, one.path.name, profile=self.plan.profile)

    def begin(self):
        """Write the first report and tell the listener."""
        report = self.report("running")
        reporting.write_json(report)
        self.listener.begin(report, self.plan.needs)

    def note(self, *rows):
        """Take lessons' new state, and write it down in case this process is killed."""
        self.rows.update((row.lesson, row) for row in rows)
        reporting.write_json(self.report("running"))
        for row in rows:
            self.listener.change(row)

    def passed(self, lesson):
        """The keys of the lessons that this one waited for and that passed."""
        earlier = self.plan.graph[lesson]
        return {name: self.prepared[name].key for name in earlier if self.rows[name].status == "passed"}

    def report(self, status):
        """The `Report` as it stands now."""
        plan = self.plan
        return reporting.Report(
            folder=plan.folder,
            status=status,
            started=self.started,
            seconds=round(time.monotonic() - self.clock, 2),
            profile=plan.profile,
            parameters=plan.parameters,
            jobs=plan.jobs,
            timeout_seconds=plan.timeout_seconds,
            containment={"kind": plan.containment.kind, "guarantee": plan.containment.guarantee},
            versions=self.versions,
            lessons=tuple(self.rows.values()),
        )
