"""How a reader gets from a page to the notebook: JupyterLab, a download, Colab, Kaggle."""

from dataclasses import dataclass
from html import escape

_GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Origin:
    """Where the clone came from: the https address of its remote and its commit, "" where there is none."""

    address: str
    commit: str

    def hosted(self, name):
        """Labels and addresses that open a lesson's notebook in the web, empty where its repository is not on GitHub."""
        if not self.address.startswith(_GITHUB) or not self.commit:
            return ()
        repository = self.address.removeprefix(_GITHUB).removesuffix(".git").strip("/")
        place = f"{repository}/blob/{self.commit}/notebooks/{name}"
        return (
            ("Open in Colab", f"https://colab.research.google.com/github/{place}"),
            ("Open in Kaggle", f"https://kaggle.com/kernels/welcome?src={_GITHUB}{place}"),
        )


def as_html(name, origin):
    """The box under a lesson's title; `name` is its notebook's file, which lies beside the page."""
    file, hosted = escape(name), origin.hosted(name)
    links = [f'<a href="{file}" download>Download the notebook</a>']
    links += [f'<a href="{escape(address)}">{label}</a>' for label, address in hosted]
    return (
        f'<div class="course-open"><p>Work through it: type {copied("course lab")} and open <code>{file}</code>.</p>'
        f"<p>{' · '.join(links)}{_INSTALL if hosted else _NO_LINKS}</p></div>"
    )


_INSTALL = (
    '. In the last two, first <a href="../index.html#using-other-courses-with-this-one">install the course there</a>.'
)
_NO_LINKS = (
    ". Colab and Kaggle open notebooks from GitHub; this book was not made from a clone of there, so it has no links."
)


def copied(command):
    """A command and the button that copies it (`static/course.js`)."""
    button = f'<button type="button" class="course-copy" aria-label="Copy: {escape(command)}">Copy</button>'
    return f"<code>{escape(command)}</code> {button}"
