"""Hooks of MkDocs: the site has the README, the leaderboards and the commands' help, too.

Pages keep the links that work in a checkout. A link that leaves docs/ is rewritten to the place of
its target on the site, so that the same text works in both.
"""

from __future__ import annotations

import importlib
import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from benchmarks.__main__ import COMMANDS
from benchmarks.commands.options import Parser

ROOT = Path(__file__).resolve().parent.parent
ALSO = ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff")
"""Files of the repository that are part of the site besides docs/, README.md and results/."""
RESULTS = (
    *("*/leaderboard.md", "*/leaderboard.html", "*/pictures/*.png", "data/*.png"),
    *("published/README.md",),
)
HELP = "<!-- help -->"
REPORT = "leaderboard.md"
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
"""The target of a link without its anchor; links to other servers are left out."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that do not lie in docs/."""
    paths = [ROOT / "README.md", *(ROOT / name for name in ALSO)]
    paths += [path for pattern in RESULTS for path in sorted((ROOT / "results").glob(pattern))]
    for path in paths:
        place = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, site_uri(place), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links that leave docs/, and fill in the commands' help."""
    uri = page.file.src_uri
    folder = posixpath.dirname(repository_path(uri))

    def rewritten(found: re.Match[str]) -> str:
        target = site_uri(posixpath.normpath(posixpath.join(folder, found[1])))
        return posixpath.relpath(target, posixpath.dirname(uri) or ".")

    text = _LINK.sub(rewritten, markdown)
    if posixpath.basename(uri) == REPORT:
        text = f"[The same as one page with tables to sort and filter](leaderboard.html)\n\n{text}"
    if HELP in text:
        os.environ["COLUMNS"] = "100"  # the width of argparse's help
        text = text.replace(HELP, "\n".join(map(command_help, COMMANDS)))
    return text


def site_uri(path: str) -> str:
    """The place on the site of a file of the repository."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def repository_path(uri: str) -> str:
    """The file of the repository that a page is made from; the inverse of `site_uri`."""
    if uri == "index.md":
        return "README.md"
    return uri if uri in ALSO or uri.startswith("results/") else f"docs/{uri}"


def command_help(name: str) -> str:
    """The help of a command and of its subcommands, as a section."""
    module, purpose = COMMANDS[name]
    parser = Parser(prog=f"osrl-bench {name}")
    importlib.import_module(f"benchmarks.{module}").add_arguments(parser)
    texts = [parser.format_help()]
    for action in parser._actions:
        if isinstance(action.choices, dict):  # subcommands
            texts += [child.format_help() for child in action.choices.values()]
    blocks = "\n".join(f"```text\n{text}```\n" for text in texts)
    return f"## osrl-bench {name}\n\nTo {purpose}.\n\n{blocks}"
