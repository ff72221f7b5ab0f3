"""Puts what pages link to outside docs/ into the site, so that it can be read without the repository.

mkdocs calls the functions by their names.
"""

import re
from pathlib import Path
from urllib.parse import quote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
BESIDE = "source"
"""Where such files are in the site."""

_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file that a page links to and that is not under docs/; a folder as a list of what is in it."""
    docs = Path(config.docs_dir).resolve()
    wanted = set()
    for page in list(files.documentation_pages()):
        here = (docs / page.src_uri).parent
        wanted |= {found for _, found in _outside(page.content_string, here, docs)}
    for path in sorted(wanted):
        name = path.relative_to(ROOT).as_posix()
        if path.is_dir():
            files.append(File.generated(config, f"{BESIDE}/{name}/index.md", content=_listing(path)))
            wanted_below = [below for below in path.iterdir() if below.is_file()]
        else:
            wanted_below = [path]
        for file in wanted_below:
            below = file.relative_to(ROOT).as_posix()
            # As text: a browser shows it, and mkdocs does not take the README of a chart for a page of ours.
            uri = f"{BESIDE}/{below}.txt"
            if files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, content=file.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ to where those files are in the site."""
    del files
    docs = Path(config.docs_dir).resolve()
    here = (docs / page.file.src_uri).parent
    up = "../" * page.file.src_uri.count("/")
    for link, path in _outside(markdown, here, docs):
        name = path.relative_to(ROOT).as_posix()
        target = f"{up}{BESIDE}/{quote(name)}{'/index.md' if path.is_dir() else '.txt'}"
        markdown = markdown.replace(f"]({link})", f"]({target})")
    return markdown


def _outside(markdown: str, here: Path, docs: Path) -> set[tuple[str, Path]]:
    """Return the links of a page to files of the repository that are not under docs/."""
    found = set()
    for match in _LINK.finditer(markdown):
        link = match[2]
        if "://" in link or link.startswith(("mailto:", "/")):
            continue
        path = (here / link).resolve()
        if not path.is_relative_to(docs) and path.is_relative_to(ROOT) and path.exists():
            found.add((link, path))
    return found


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return (
        "\n".join([f"# {folder.relative_to(ROOT)}", "", *(f"* [{name}]({quote(name)}.txt)" for name in names)]) + "\n"
    )
