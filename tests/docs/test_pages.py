"""The pages name what there is, and nothing that there is not."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Final

import pytest

from estimator import errors
from server.main import run
from stream.sources.choose import SPELLINGS

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
PAGES: Final = (README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))
DECISIONS: Final = DOCS / "decisions"
ERRORS: Final = sorted(name for name, found in vars(errors).items() if inspect.isclass(found))
_FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The commands that ``wattstream --help`` lists."""
    assert run(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    return re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", text(ROOT / "Makefile"), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative_links(page: Path) -> list[str]:
    found = _LINK.findall(_FENCED.sub("", text(page)))
    return [link for link in found if not link.startswith(("http://", "https://"))]


def test_every_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    found = commands(capsys)
    assert "up" in found
    assert [name for name in found if f"`wattstream {name}" not in text(README)] == []


def test_pages_name_no_command_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    known = set(commands(capsys))
    for page in PAGES:
        named = set(re.findall(r"(?:`|bin/|\$ )wattstream ([a-z]+)", text(page)))
        assert named <= known, name_of(page)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_source_has_its_place_in_the_page_of_sources(spelling: str) -> None:
    page = text(DOCS / "sources.md")
    assert f"| `{spelling}` |" in page
    assert re.search(rf"^## .*`{re.escape(spelling)}`", page, re.MULTILINE)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_in_the_architecture(error: str) -> None:
    assert f"| `{error}` |" in text(DOCS / "architecture.md")


def test_the_architecture_names_no_file_that_there_is_not() -> None:
    named = re.findall(r"`((?:estimator|stream|server)/[\w/.]*)`", text(DOCS / "architecture.md"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    for link in relative_links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        for link in relative_links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert [name_of(page) for page in PAGES if page not in reached] == []


def test_the_index_names_every_page() -> None:
    named = {
        (DOCS / link.partition("#")[0]).resolve() for link in relative_links(DOCS / "README.md")
    }
    pages = set(DOCS.rglob("*.md")) - set(DECISIONS.glob("0*.md")) - {DOCS / "README.md"}
    assert [name_of(page) for page in sorted(pages) if page not in named] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_pages_name_exist(page: Path) -> None:
    code = re.findall(r"`(make [a-z-]+)`|^(make [a-z-]+)", text(page), re.MULTILINE)
    named = {(inline or line).removeprefix("make ") for inline, line in code}
    assert named <= make_targets()


def test_the_readme_names_the_targets_that_matter() -> None:
    for target in ("run", "test", "check", "bench", "demo"):
        assert f"make {target}" in text(README)


def test_the_picture_is_small_and_is_one() -> None:
    picture = (DOCS / "images" / "page.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) < 300_000


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    found = re.findall(r"(?<![\w.])/(?:home|root|work|Users)/[^\s`)]*", text(page))
    found += re.findall(r"/tmp/(?!estimator\.sock)[^\s`)]*", text(page))
    assert found == []


@pytest.mark.parametrize("decision", sorted(DECISIONS.glob("0*.md")), ids=name_of)
def test_decisions_have_one_form_and_are_listed(decision: Path) -> None:
    page = text(decision)
    number = int(decision.name.partition("-")[0])
    assert page.startswith(f"# {number}. ")
    parts = ["Context", "Choice", "What else was possible", "Consequences"]
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == parts
    title = page.partition("\n")[0].partition(". ")[2]
    assert f"| [{number:04d}]({decision.name}) | {title} |" in text(DECISIONS / "README.md")


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name.partition("-")[0]) for path in sorted(DECISIONS.glob("0*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_license_is_whole() -> None:
    license_text = text(ROOT / "LICENSE")
    assert "Apache License\n                           Version 2.0, January 2004" in license_text
    assert all(f"\n   {number}. " in license_text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in license_text
