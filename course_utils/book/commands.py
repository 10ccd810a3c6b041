"""The pages for learners, validators and instructors: every command, as its own help tells it."""

from html import escape

LEARNER = ("lab", "list", "progress", "doctor", "plan")
INSTRUCTOR = ("assign", "handout", "grade")
TITLES = {
    "learner": ("For learners", "What helps while you work through the lessons."),
    "validator": ("For validators", "What runs, checks and publishes the whole course."),
    "instructor": ("For instructors", "What assigns a lesson and grades what comes back."),
}


def audience(name):
    """Whose page a command is on, by the first word of its name."""
    first = name.split()[0]
    return "learner" if first in LEARNER else "instructor" if first in INSTRUCTOR else "validator"


def leaves(command, name=""):
    """Every command that does something, as (name, click command), in the order of the help."""
    if not hasattr(command, "commands"):
        return [(name, command)]
    return [pair for word, one in command.commands.items() for pair in leaves(one, f"{name} {word}".strip())]


def page(root, whom):
    """A page in Markdown; `root` is the click command `course`."""
    title, lead = TITLES[whom]
    described = [_command(name, one) for name, one in leaves(root) if audience(name) == whom]
    return "\n\n".join([f"# {title}", f"{lead} `course COMMAND --help` prints the same.", *described]) + "\n"


def _command(name, command):
    with command.context_class(command, info_name=f"course {name}") as ctx:
        usage = " ".join([ctx.info_name, *command.collect_usage_pieces(ctx)])
        records = [record for one in command.get_params(ctx) if (record := one.get_help_record(ctx))]
    parts = [f"## course {name}", _prose(command.help), f"```\n{usage}\n```", _table(records), _example(command.epilog)]
    return "\n\n".join(part for part in parts if part)


def _prose(text):
    return " ".join((text or "").split())


def _example(epilog):
    words = (epilog or "").removeprefix("Example:").strip()
    return f"For example:\n\n```\n{words}\n```" if words else ""


def _table(records):
    rows = [f"| `{_in_table(name)}` | {_meaning(words)} |" for name, words in records if "--help" not in name]
    return "\n".join(["| what you type | what it means |", "|---|---|", *rows]) if rows else ""


def _meaning(words):
    """The help of an option; `[default: x]` at its end becomes a sentence."""
    text, _, default = _prose(words).replace(" [required]", " Required.").partition(" [default: ")
    said = _in_table(escape(text, quote=False)).replace("$", r"\$")
    return f"{said} By default `{_in_table(default[:-1])}`." if default else said


def _in_table(text):
    return text.replace("|", r"\|")
