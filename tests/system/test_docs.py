"""README and docs hold: commands parse, snippets run, links lead somewhere, the site builds."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import asdict
from importlib.util import find_spec
from itertools import dropwhile
from pathlib import Path

import pytest
import torch

from cyclesiam.cli.program import COMMANDS as PROGRAMS
from cyclesiam.cli.program import parse
from cyclesiam.deployment.export import export
from cyclesiam.models.metadata import SHIPPED_WEIGHTS, TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.config import CONFIG_FILE, TrackerConfig, load_config
from cyclesiam.tracking.results import FrameResult, TrackResult
from cyclesiam.video import VideoWriter
from support import ROOT
from support.networks import TINY

DOCS = ROOT / "docs"
SITE_PAGES = sorted(DOCS.rglob("*.md"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *SITE_PAGES,
    *SHIPPED_WEIGHTS.glob("*/README.md"),
]
SHORT_PAGES = [  # all but the log
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in SITE_PAGES if page.name != "log.md"),
]
LONGEST_SENTENCE = 25  # words
OTHER_PROGRAMS = set("git ln mkdir pre-commit python python3 source tensorboard vot".split())


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = rf"^```{language}\n(.*?)^```"
    return [
        (name_of(page), block)
        for page in PAGES
        for block in re.findall(pattern, page.read_text(), re.DOTALL | re.MULTILINE)
    ]


COMMANDS = [
    (page, line.strip()) for page, block in blocks("sh") for line in block.splitlines() if line
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page, line):
    words = shlex.split(line, comments=True)
    program, *arguments = dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)
    match Path(program).name:
        case "cyclesiam":
            parse(arguments) if arguments != ["--version"] else None
        case "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case "python" if arguments[0] != "-m":
            assert (ROOT / arguments[0]).is_file()
        case "pip":
            known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            for extras in re.findall(r"(?:^|\s)(?:cyclesiam|\.)\[([\w,]+)\]", " ".join(arguments)):
                assert set(extras.split(",")) <= known["optional-dependencies"].keys()
        case (
            "python"
            | "tensorboard"
            | "git"
            | "pre-commit"
            | "vot"
            | "python3"
            | "ln"
            | "mkdir"
            | "source"
        ):
            pass  # other people's programs
        case _:
            pytest.fail(f"{page}: {line!r} is of no known program")


def test_commands_were_found():
    assert len(COMMANDS) >= 40


@pytest.mark.parametrize(("page", "snippet"), blocks("python"))
def test_snippets_run(page, snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoWriter("street.mp4", fps=25) as video:
        for image in make_demo_clip(frames=4).images:
            video.write(image)
    if "runs/default_onnx" in snippet:
        torch.manual_seed(0)
        export(SiamRPN(TINY), TrainingRecord(policy="none"), "runs/default_onnx")
    exec(compile(snippet, page, "exec"), {})


@pytest.mark.parametrize(("page", "snippet"), blocks("py"))
def test_imports_of_snippets_that_need_data_or_a_gpu_work(page, snippet):
    imports = [n for n in ast.parse(snippet).body if isinstance(n, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), page, "exec"), {})


@pytest.mark.parametrize(("page", "shown"), blocks("json"))
def test_the_shown_json_is_a_written_result_or_a_tracker_configuration(page, shown, tmp_path):
    if "targets" in json.loads(shown):
        target = TrackResult(id=1, box=(120.0, 80.0, 184.0, 128.0), score=1.0, state="tracking")
        assert shown.strip() == FrameResult(frame=0, time=0.0, targets=(target,)).to_json()
    else:
        (tmp_path / CONFIG_FILE).write_text(shown)
        assert asdict(load_config(tmp_path)) != asdict(TrackerConfig())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor and not anchor.startswith("cyclesiam."):  # these the strict build checks
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    text = prose(page)
    found = set(PROGRAMS) if "<!-- generated: commands -->" in text else set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        words = re.sub(r"\]\([^)]*\)|[^\w\s-]", "", heading).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", words))
    return found


@pytest.mark.parametrize("page", SITE_PAGES, ids=name_of)
def test_every_page_is_in_the_navigation(page):
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    assert f": {page.relative_to(DOCS).as_posix()}\n" in navigation


@pytest.mark.parametrize("page", SHORT_PAGES, ids=name_of)
def test_sentences_are_short(page):
    text = re.sub(r"\]\([^)]*\)", "]", prose(page))
    text = re.sub(r"^(\||:::|    |<!--).*$", "", text, flags=re.MULTILINE)
    for part in re.split(r"\n\n|\n(?=- |\d+\. |#)", text):
        for sentence in re.split(r"(?<=[.:!?;])\s", part):
            assert len(sentence.split()) <= LONGEST_SENTENCE, sentence


def test_the_site_builds_without_a_warning(tmp_path):
    missing = [m for m in ("mkdocs", "material", "mkdocstrings", "griffe") if find_spec(m) is None]
    if missing:
        pytest.skip(f"needs the extra docs: {', '.join(missing)} cannot be imported")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "reference" / "commands.html").read_text()
    assert all(f'id="{command}"' in page for command in PROGRAMS)
    assert not re.search(r'(src|href)="https?://[^"]*\.(js|css|woff2?)"', page)
