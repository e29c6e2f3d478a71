"""A headless Chromium, where one is installed: a page, what it says on its console, its DOM."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tools.screenshots import BROWSERS, browser

SKIPPED = f"no headless browser here: none of {', '.join(BROWSERS)} is installed"


def ask(
    page: Path, script: str, folder: Path, width: int = 1280, dark: bool = False
) -> dict[str, Any]:
    """Open a copy of `page`, run `script` in it, and return the object that it puts in `answer`.

    The page is shown `width` pixels wide; `dark`: the reader prefers dark pages.

    Added are "errors", all that reached the console as an error or was thrown.
    """
    before = (
        "<script>window.faults=[];addEventListener('error',e=>faults.push(String(e.message)));"
        "addEventListener('securitypolicyviolation',e=>faults.push('policy '+e.violatedDirective));"
        "const said=console.error;console.error=(...x)=>{faults.push(x.join(' '));said(...x)};"
        "</script>"
    )
    after = (
        "<script>addEventListener('load',()=>setTimeout(()=>{const answer={};"
        f"try{{{script}}}catch(e){{faults.push(String(e))}}"
        "answer.errors=faults;parent.postMessage(JSON.stringify(answer),'*')}))</script>"
    )
    text = page.read_text(encoding="utf-8")
    copy = folder / "copy.html"
    copy.write_text(
        text.replace("<style>", before + "<style>", 1).replace("</body>", after + "</body>"),
        encoding="utf-8",
    )
    # A window is 500 pixels wide at least, a frame as wide as it is told.
    frame = folder / "frame.html"
    frame.write_text(
        "<!DOCTYPE html><script>addEventListener('message',e=>{"
        "const p=document.createElement('pre');p.id='answer';p.textContent=e.data;"
        "document.body.append(p)})</script>"
        f'<iframe src="copy.html" width="{width}" height="844" style="border:0"></iframe>',
        encoding="utf-8",
    )
    chromium = browser()
    assert chromium is not None
    done = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--window-size=1400,1000", "--hide-scrollbars"),
            *(["--force-dark-mode"] if dark else []),
            *(
                f"--user-data-dir={folder / 'profile'}",
                "--virtual-time-budget=60000",
                frame.as_uri(),
            ),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
