"""JupyterLab on a copy of the notebooks, driven by headless Chromium, for the browser tests and the README's picture."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from course_utils.learn.paths import project_dir

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SETTINGS = {  # without windowing every cell is in the page; without news no box covers it
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}',
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": '{"fetchNews": "false"}',
    "@jupyterlab/apputils-extension/themes.jupyterlab-settings": '{"adaptive-theme": true}',  # as the browser's
}
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def lab(folder, notebook, profile="smoke"):
    """Address of this notebook in a JupyterLab of its own.

    Its root is `folder`/notebooks: the course's notebooks, beside those that were put there before.
    """
    shutil.copytree(project_dir() / "notebooks", folder / "notebooks", dirs_exist_ok=True)
    for name, content in SETTINGS.items():
        path = folder / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    port = _free_port()
    server = subprocess.Popen(_command(folder / "notebooks", port), env=_environment(folder, profile), **_quiet(folder))
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook}?token=course"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


@contextmanager
def page(address, width=1200, height=1000, dark=False, errors=None):
    """A page of headless Chromium at this address; what its console calls an error is added to the list `errors`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            tab = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            if errors is not None:
                tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
                tab.on("pageerror", lambda error: errors.append(str(error)))
            tab.goto(address)
            yield tab
        finally:
            browser.close()


def _command(root, port):
    options = {"port": port, "root_dir": root, "ip": "127.0.0.1", "open_browser": False, "allow_root": True}
    flags = [f"--ServerApp.{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "jupyter", "lab", *flags, "--IdentityProvider.token=course"]


def _environment(folder, profile):
    own = {"COURSE_PROFILE": profile, "COURSE_DATA_DIR": str(folder / "data"), "JUPYTER_PREFER_ENV_PATH": "1"}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTER_CONFIG_DIR": str(folder / "config")}
    return os.environ | own | {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"), "OMP_WAIT_POLICY": "PASSIVE"}


def _quiet(folder):
    log = open(folder / "jupyter.log", "wb")  # noqa: SIM115 - the server holds it
    return {"stdout": log, "stderr": log, "start_new_session": True}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port, server, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("JupyterLab did not start; see jupyter.log beside the notebooks' copy")


def end_kernels(address):
    """End every kernel of the JupyterLab that `lab` started."""
    import requests

    api, token = address.partition("/lab/")[0] + "/api/sessions", {"token": "course"}
    for session in requests.get(api, token, timeout=30).json():
        requests.delete(f"{api}/{session['id']}", params=token, timeout=30).raise_for_status()


def wait_until_ready(tab):
    """Wait until the notebook is open and its kernel answers."""
    tab.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    tab.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=60_000)


def show_as(tab, width, dark):
    """Give the page this width and theme; JupyterLab is set to follow the browser's."""
    tab.set_viewport_size({"width": width, "height": 1000})
    tab.emulate_media(color_scheme="dark" if dark else "light")
    tab.wait_for_selector(f"body[data-jp-theme-light={'false' if dark else 'true'}]", state="attached")


def run_all(tab, end, seconds=150):
    """Run every cell and wait until the page shows the text `end`, such as "week01 finished in"."""
    for _ in range(5):  # JupyterLab drops the command while the session is still being joined
        tab.click("text=Run >> nth=0")
        tab.click("li[data-command='runmenu:run-all'], li[data-command='notebook:run-all-cells']")
        tab.wait_for_timeout(3000)
        if tab.locator(".jp-InputPrompt", has_text=re.compile(r"\[(\*|\d+)\]")).count():
            break
    tab.get_by_text(end).first.wait_for(timeout=seconds * 1000)


def restart_kernel(tab):
    """Restart the kernel through the menu, and wait until the new one answers."""
    tab.click("text=Kernel >> nth=0")
    tab.click("li[data-command='kernelmenu:restart']")
    tab.click("button.jp-mod-accept:has-text('Restart')")
    tab.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=60_000)


def run_cell(tab, text):
    """Run the code cell that holds this text; returns at once."""
    cell_with(tab, text).locator(".cm-content").click()
    tab.keyboard.press("Shift+Enter")


def cell_with(tab, text):
    """The code cell whose editor holds this text."""
    return tab.locator(".jp-CodeCell", has=tab.locator(".jp-InputArea-editor", has_text=text)).first


def write_and_check(tab, stub, code, check):
    """Replace a stub's code, run it and its check cell, and give the check's fresh verdict."""
    editor = cell_with(tab, stub).locator(".cm-content")
    editor.click()
    tab.keyboard.press("Control+A")
    tab.keyboard.insert_text(code)
    tab.keyboard.press("Shift+Enter")
    before = cell_with(tab, check).locator(".jp-InputPrompt").inner_text()
    tab.keyboard.press("Shift+Enter")
    prompt = cell_with(tab, check).locator(".jp-InputPrompt")
    deadline = time.monotonic() + 30
    while prompt.inner_text() in (before, "[*]:") and time.monotonic() < deadline:
        tab.wait_for_timeout(100)
    return cell_with(tab, check).locator(".course-verdict")


def output_folder():
    """Where screenshots go; git ignores it."""
    folder = Path(project_dir() / "runs" / "browser")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
