"""Takes the pictures of the dashboard in docs/images anew, with the sample in a new store.

Run it after a change of the dashboard's look or labels: `.venv/bin/python docs/screenshots.py`. It needs
Debian's chromium, as the tests of the dashboard do.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Final
from urllib.error import URLError

from playwright.sync_api import Page, ViewportSize, sync_playwright

from offerlog import Role, Suppression, open_offerlog

IMAGES: Final = Path(__file__).parent / "images"
COMMAND: Final = str(Path(sys.executable).with_name("offerlog"))
ORGANIZATION: Final = "sample"
SECONDS = 300.0
"""Time limit of the service."""

LARGE: Final[ViewportSize] = {"width": 1280, "height": 1640}
SMALL: Final[ViewportSize] = {"width": 1280, "height": 1000}


def prepare(data: Path) -> tuple[str, Suppression]:
    """Record the sample, and return a reporter's key and a visitor who had a chat."""
    keyring = data.with_name("keyring.json")
    command = [COMMAND, "sample", "--data", str(data), "--keyring", str(keyring), "--yes"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)  # noqa: S603 - our own program
    with open_offerlog(
        data=data, keyring=keyring, organization=ORGANIZATION, keep_deadlines=False
    ) as service:
        _, key = service.keys.create(ORGANIZATION, Role.REPORTER, "pictures")
        action_map, _ = next(iter(service.action_maps()))
        engaged = (one for one in service.suppressed_visitors(action_map) if one.state == "engaged")
        return key, next(engaged)


def await_ready(url: str) -> None:
    """Wait until the service is ready, for a minute at most."""
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=5).close()  # noqa: S310 - our own service
        except URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def show_report(page: Page, url: str) -> None:
    """Show the newest day of the sample, as the dashboard opens."""
    page.goto(f"{url}/?zone=Europe%2FBerlin")
    page.locator("#rows .rows tr").first.wait_for()
    page.locator("#course canvas").wait_for()
    page.wait_for_timeout(500)  # the chart draws itself


def take(url: str, key: str, visitor: Suppression) -> None:
    """Take all pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=LARGE)
        page.goto(url)
        page.get_by_label("Key of a reporter or an admin").fill(key)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Action Map Performance").wait_for()
        show_report(page, url)
        page.screenshot(path=IMAGES / "performance.png")
        page.emulate_media(color_scheme="dark")
        show_report(page, url)
        page.screenshot(path=IMAGES / "performance-dark.png")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(SMALL)
        page.get_by_role("link", name="Visitors").click()
        page.get_by_label("Customer id").fill(visitor.customer_id)
        page.get_by_label("Action map", exact=True).select_option(visitor.action_map_id)
        page.get_by_role("button", name="Look up").click()
        page.locator("#entries li").first.wait_for()
        page.screenshot(path=IMAGES / "visitors.png", full_page=True)
        browser.close()


def main() -> None:
    """Take the pictures of a service that runs for them alone."""
    folder = Path(tempfile.mkdtemp(prefix="offerlog-pictures-"))
    folder.chmod(0o755)  # the server may have another user
    try:
        key, visitor = prepare(folder / "store")
        with socket.socket() as free:
            free.settimeout(10)
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [COMMAND, "serve", "--data", str(folder / "store"), "--port", str(port)]
        command += ["--keyring", str(folder / "keyring.json"), "--organization", ORGANIZATION]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:  # noqa: S603 - as above
            limit = threading.Timer(SECONDS, service.kill)
            limit.start()
            try:
                url = f"http://127.0.0.1:{port}"
                await_ready(url)
                take(url, key, visitor)
            finally:
                service.terminate()
                service.wait(60)
                limit.cancel()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
