"""A browser for the pages that are looked at in one."""

import pytest
from browsers import BROWSERS, QUIET, find_browser


@pytest.fixture(scope="module")
def browser():
    """One that is started for the tests of a file; they skip where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = find_browser()
    if program is None:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}, or NEUROCODEC_BROWSER")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=[f"--{flag}" for flag in QUIET.split()]
        )
        yield started
        started.close()
