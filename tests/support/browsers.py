"""Pages in a real browser, where there is one."""

from __future__ import annotations

import os
import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync"
)


def find_browser():
    """Program of a browser; None where there is none."""
    named = os.environ.get("NEUROCODEC_BROWSER")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


class Opened:
    """A page as a reader has it, without a network; errors are gathered."""

    def __init__(self, browser, address, **settings):
        self.context = browser.new_context(offline=True, **settings)
        self.page, self.errors, self.requests = self.context.new_page(), [], []
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.errors.append(line.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
