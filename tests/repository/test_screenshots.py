"""Screenshots show a page as a user with this window and these colours sees it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.support.browser import SKIPPED
from tools.screenshots import NARROW, browser, screenshot

PAGE = """<!doctype html>
<style>
body { background: rgb(0, 0, 255); margin: 0; min-height: 2000px }
@media (max-width: 400px) { body { background: rgb(255, 0, 0) } }
@media (prefers-color-scheme: dark) { body { background: rgb(0, 0, 0) } }
</style>"""


@pytest.mark.skipif(browser() is None, reason=SKIPPED)
@pytest.mark.parametrize(("scheme", "colour"), [("light", (255, 0, 0)), ("dark", (0, 0, 0))])
def test_a_screenshot_has_the_windows_width_and_colours(
    tmp_path: Path, scheme: str, colour: tuple[int, int, int]
) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    image = Image.open(BytesIO(screenshot(page, NARROW, scheme))).convert("RGB")
    assert image.size == NARROW
    width, height = NARROW
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        assert image.getpixel(corner) == colour


def test_without_a_browser_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no Chromium is installed"):
        screenshot(tmp_path / "page.html", NARROW, "light")
