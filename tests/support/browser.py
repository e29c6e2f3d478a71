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


def ask(page: Path, script: str, folder: Path) -> dict[str, Any]:
    """Open a copy of `page`, run `script` in it, and return the object that it puts in `answer`.

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
        "answer.errors=faults;const p=document.createElement('pre');p.id='answer';"
        "p.textContent=JSON.stringify(answer);document.body.replaceChildren(p)}))</script>"
    )
    text = page.read_text(encoding="utf-8")
    copy = folder / "copy.html"
    copy.write_text(
        text.replace("<style>", before + "<style>", 1).replace("</body>", after + "</body>"),
        encoding="utf-8",
    )
    chromium = browser()
    assert chromium is not None
    done = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={folder / 'profile'}", "--timeout=60000", copy.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
