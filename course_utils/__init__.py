"""The helper package of the course: `import course_utils as course` in every notebook.

The names below are all that a notebook needs. Each is imported on first use, so that the
import itself takes no time, loads neither numpy nor torch and changes nothing.
"""

import importlib

_HOMES = {
    "CourseError": "errors",
    "assets": "learn.assets",
    "cap": "gpu.cap",
    "check": "learn.check",
    "compare": "gpu.plan.notebook",
    "doctor": "gpu.doctor.doctor",
    "expect": "learn.lesson",
    "fit_batch_size": "gpu.monitor.batch",
    "free": "gpu.oom.free",
    "gauge": "gpu.gauge.gauge",
    "nbgrader_points": "learn.nbgrader",
    "plan": "gpu.plan.notebook",
    "plots": "learn.plots",
    "start": "learn.lesson",
    "track": "gpu.monitor.track",
}
_MODULES = {"assets", "plots"}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"course_utils has no {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(f"course_utils.{_HOMES[name]}")
    return module if name in _MODULES else getattr(module, name)


def __dir__():
    return __all__
