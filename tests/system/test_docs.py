"""The commands and snippets of README and docs hold: commands parse, snippets run, links lead."""

import re
import shlex
from itertools import dropwhile
from pathlib import Path

import pytest
import torch

from cyclesiam.cli import parse
from cyclesiam.deployment.export import export
from cyclesiam.models.metadata import SHIPPED_WEIGHTS, TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.results import FrameResult, TrackResult
from cyclesiam.video import VideoWriter
from support import ROOT
from support.networks import TINY

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *SHIPPED_WEIGHTS.glob("*/README.md"),
]


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = rf"^```{language}\n(.*?)^```"
    return [
        (page.name, block)
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
            parse(arguments)
        case "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case "python":
            assert (ROOT / arguments[0]).is_file()
        case "pip" | "tensorboard" | "git" | "vot" | "python3" | "ln" | "mkdir":
            pass  # other people's programs
        case _:
            pytest.fail(f"{page}: {line!r} is of no known program")


def test_commands_were_found():
    assert len(COMMANDS) >= 8


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


def test_the_shown_result_is_what_is_written():
    (_, shown), *_ = blocks("json")
    target = TrackResult(id=1, box=(120.0, 80.0, 184.0, 128.0), score=1.0, state="tracking")
    assert shown.strip() == FrameResult(frame=0, time=0.0, targets=(target,)).to_json()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link
