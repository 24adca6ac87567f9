"""Lets pages show pictures of ``results/``, which lies beside ``docs/``: GitHub and the site both find them.

A page says ``../results/quickstart/multi2d_plans.png``. In the site, ``results/`` lies below the site's root, so each
such link loses one ``../`` and the picture joins the site's files.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_NUMBER_AND_ERROR = re.compile(r"(\d) ± (\d)")
_PICTURE = re.compile(r"\]\(((?:\.\./)+)(results/[\w./-]+\.(?:png|gif|svg))\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds every picture of ``results/`` that a page shows."""
    root = Path(config["docs_dir"]).parent
    shown = {match.group(2) for page in files.documentation_pages() for match in _PICTURE.finditer(page.content_string)}
    for name in sorted(shown):
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points the links at the copies inside the site, and keeps a number and its error on one line."""
    markdown = _NUMBER_AND_ERROR.sub("\\1\u00a0±\u00a0\\2", markdown)
    return _PICTURE.sub(lambda match: f"]({match.group(1).removeprefix('../')}{match.group(2)})", markdown)
