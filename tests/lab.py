"""JupyterLab as people meet it: started for a test, its notebooks run in a headless Chromium."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

SETTINGS = {  # every cell lies in the page, seen or not; no news, no dialogues
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
COUNTS = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(each => each.textContent)
    const errors = [...document.querySelectorAll('[data-mime-type="application/vnd.jupyter.error"]')]
    return {waiting: prompts.filter(each => !/^\\[\\d+\\]:$/.test(each)).length, cells: prompts.length,
            errors: errors.map(each => each.textContent)}
}"""
READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext
    return context?.isReady && context.session?.kernel?.connectionStatus === 'connected'
        && context.session.kernel.status === 'idle'
}"""
WIDGET = ".jp-OutputArea .widget-vbox"
SLIDER = f"{WIDGET} .noUi-handle"
WINDOW = {"width": 1300, "height": 6000}  # tall: a screenshot shows most of a notebook


class Killed(BaseException):
    """Stands for a signal that ends the process."""


def chromium() -> str:
    """Return the path of a Chromium; skips the test where there is none, or no playwright to drive it."""
    pytest.importorskip("playwright.sync_api", reason="no playwright here to drive a browser with")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here (on Debian: apt-get install chromium)")
    return found


@contextmanager
def browser() -> Iterator:
    """Start a headless Chromium; give its playwright Browser."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        words = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        yield playwright.chromium.launch(executable_path=path, args=words)


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Serve a folder by JupyterLab, with settings and kernels of its own; give its address."""
    home = folder.parent / "lab"
    for name, values in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    words = [
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
    ]
    words += [f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
    places = {"JUPYTER_RUNTIME_DIR": f"{home / 'runtime'}", "JUPYTER_CONFIG_DIR": f"{home / 'config'}"}
    with (home / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", "--port=0", *words]
        server = subprocess.Popen(command, env={**os.environ, **places}, stdout=log, stderr=log)
        try:
            yield _address(server, home)
        finally:
            server.terminate()
            server.wait(60)


def _address(server: subprocess.Popen, home: Path) -> str:
    for _ in range(600):
        found = re.search(r"http://\S+?:\d+/", (home / "log").read_text())
        if found:
            return found[0]
        assert server.poll() is None, (home / "log").read_text()
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {(home / 'log').read_text()}")


def copied(notebooks: Sequence[Path], folder: Path, **parameters: str) -> list[str]:
    """Copy notebooks into a folder with other values of these parameters; return their names."""
    folder.mkdir(parents=True)
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        for name, value in parameters.items():
            cell.source, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.MULTILINE)
            assert count == 1, (path, name)
        nbformat.write(notebook, folder / path.name)
    return [path.name for path in notebooks]


def start_all_cells(page, address: str, name: str, kernel: str | None) -> str:
    """Open a notebook in a page, wait for its kernel, and choose Run All Cells in its menu; return the kernel's id.

    With the id of another notebook's kernel it goes on in that one, which has imported torch already.
    """
    page.goto(f"{address}doc/tree/{name}?reset")
    page.wait_for_function(READY, timeout=180_000)
    if kernel is not None:
        page.evaluate("id => window.jupyterapp.shell.currentWidget.sessionContext.changeKernel({id})", kernel)
        page.wait_for_function(READY, timeout=180_000)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    return page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")


def wait_for_cells(page, *, seconds: int) -> int:
    """Wait until every code cell has run; return their number. Fails with the text of an error output."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        counts = page.evaluate(COUNTS)
        assert counts["errors"] == [], f"{page.url}: {counts['errors'][0]}"
        if counts["cells"] and not counts["waiting"]:
            return counts["cells"]
        page.wait_for_timeout(500)
    raise AssertionError(f"{page.url}: cells still waiting after {seconds} s: {page.evaluate(COUNTS)}")


def move_first_slider(page) -> tuple[str, str]:
    """Move the first slider of a notebook one step by the keyboard; return the widget's picture before and after."""
    widget = page.locator(WIDGET).filter(has=page.locator(".noUi-handle")).first
    picture, handle = widget.locator("img").first, widget.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    before = after = picture.get_attribute("src")
    last = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    handle.press("ArrowLeft" if last else "ArrowRight")
    for _ in range(120):
        after = picture.get_attribute("src")
        if after != before:
            break
        page.wait_for_timeout(250)
    return before, after
