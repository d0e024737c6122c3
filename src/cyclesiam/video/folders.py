"""Which files are the images of a folder or a pattern, and in which order."""

import glob
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from cyclesiam.errors import SourceError
from cyclesiam.video.file_info import is_video
from cyclesiam.video.images import IMAGE_SUFFIXES, is_image

# Pictures that neither OpenCV nor Pillow reads everywhere.
OTHER_PICTURES = frozenset(
    ".heic .heif .jxl .exr .hdr .psd .svg .raw .dng .cr2 .cr3 .nef .arw .raf .orf .rw2".split()
)
NUMBER_PATTERN = re.compile(r"%0?(\d*)d")
HEX_STEM = re.compile(r"((?:.*[^0-9a-f])?)([0-9a-f]+)", re.IGNORECASE)
DECIMAL_STEM = re.compile(r"(.*?)(-?\d+(?:\.(\d+))?)")

SortKey = list[tuple[int, float, str]]


def is_pattern(path: str | Path) -> bool:
    """Check whether a path stands for several files: `%05d.png`, `*.png`; no file has its name.

    >>> is_pattern("frames/%05d.png"), is_pattern("frames/*.png"), is_pattern("a.png")
    (True, True, False)
    """
    name = str(path)
    has_signs = glob.has_magic(name) or NUMBER_PATTERN.search(os.path.basename(name)) is not None
    return has_signs and not os.path.exists(name)


def list_images(folder: Path) -> list[Path]:
    """List a folder's images in natural order: 2.jpg before 10.jpg.

    Raises:
        SourceError: the folder holds no images.
    """
    try:
        visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed ({error.strerror}); check it") from error
    files = [path for path in visible if is_image(path)]
    if not files:
        raise SourceError(
            f"{folder}: holds no images that can be read"
            + _count_others(visible)
            + f"; looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return sort_by_numbers(files)


def match_images(pattern: Path) -> list[Path]:
    """List the images that a pattern matches: `%05d` for a number, or `*`, `?` and `[...]`.

    Raises:
        SourceError: no image matches it.
    """
    if NUMBER_PATTERN.search(pattern.name):
        pieces = re.split(r"%0?(\d*)d", pattern.name)  # text, width, text, ...
        digits = [rf"\d{{{int(width or 1)},}}" for width in pieces[1::2]] + [""]
        texts = map(re.escape, pieces[::2])
        name = re.compile("".join(map("".join, zip(texts, digits, strict=True))))
        folder = pattern.parent
        found = [p for p in folder.iterdir() if name.fullmatch(p.name)] if folder.is_dir() else []
    else:
        found = [Path(path) for path in glob.glob(str(pattern))]
    files = [path for path in found if is_image(path) and path.is_file()]
    if not files:
        raise SourceError(
            f"{pattern}: no image matches this pattern{_count_others(found)}; "
            "give the folder itself, or one file"
        )
    folders = defaultdict(list)
    for file in files:
        folders[file.parent].append(file)
    return [file for folder in sorted(folders) for file in sort_by_numbers(folders[folder])]


def sort_by_numbers(files: list[Path]) -> list[Path]:
    """Sort files by the numbers in their names: decimal, hexadecimal, negative, with a fraction."""
    stems = [file.stem for file in files]
    numbers = _hexadecimal(stems) or _fractions(stems)
    if numbers:
        order = sorted(zip(numbers, (file.name for file in files), files, strict=True))
        return [file for _, _, file in order]
    positive = {stem[: run.start()] for stem in stems for run in re.finditer(r"(?<!-)\d+", stem)}
    return sorted(files, key=lambda file: (_natural_key(file.stem, positive), file.name))


def _natural_key(stem: str, positive: set[str]) -> SortKey:
    """Return text and numbers of a name in turn, to compare by.

    A hyphen before a number is a minus at the start, after a sign, or where other names have the
    number without it; `positive` holds what comes before these. Else it separates.
    """
    key: SortKey = []
    sign, begin = 1, 0
    for part in re.findall(r"\d+|\D+", stem):
        if part.isdecimal():
            key.append((1, sign * int(part), ""))
            sign = 1
        else:
            before = part[:-1]
            after_sign = not before[-1].isalnum() if before else begin == 0
            is_last = begin + len(part) == len(stem)
            known = bool(before) and stem[: begin + len(before)] in positive
            if part.endswith("-") and not is_last and (after_sign or known):
                sign, part = -1, before
            key += [(0, 0, part)] if part else []
        begin += len(part) + (sign < 0 and not part.isdecimal())
    return key


def _hexadecimal(stems: list[str]) -> list[float]:
    """Return the numbers that names end with, if these are hexadecimal; else an empty list."""
    found = [HEX_STEM.fullmatch(stem) for stem in stems]
    matches = [match for match in found if match]
    digits = [match[2] for match in matches]
    if len(matches) < len(stems) or len({match[1] for match in matches}) > 1:
        return []
    if all(number.isdecimal() for number in digits):
        return []
    values = [int(number, 16) for number in digits]
    is_dense = max(values) - min(values) < 2 * len(values)
    return [*map(float, values)] if is_dense or len({*map(len, digits)}) == 1 else []


def _fractions(stems: list[str]) -> list[float]:
    """Return the numbers that names end with, if these have fractions of several lengths."""
    found = [DECIMAL_STEM.fullmatch(stem) for stem in stems]
    matches = [match for match in found if match]
    fractions = [match[3] or "" for match in matches]
    if len(matches) < len(stems) or len({match[1] for match in matches}) > 1:
        return []
    if len({*map(len, fractions)}) == 1 or not any(f.startswith("0") for f in fractions):
        return []
    return [float(match[2]) for match in matches]


def describe_kinds(files: list[Path]) -> str | None:
    """Return a line where two kinds of files alternate, such as frames and masks; else None."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for file in files:
        kinds[re.sub(r"\d+", "#", file.name)].append(re.sub(r"\D+", " ", file.stem).strip())
    if len(kinds) < 2:
        return None
    (_, first), (_, second) = ranked = sorted(kinds.items(), key=lambda kind: -len(kind[1]))[:2]
    names = [re.sub(r"\d+", "#", file.name) for file in files]
    changes = sum(one != other for one, other in pairwise(names))
    shared = len({*first} & {*second})
    if max(2, len(second) // 2) > shared and changes < max(3, len(files) // 2):
        return None
    one, other = (
        next(f.name for f, name in zip(files, names, strict=True) if name == kind)
        for kind, _ in ranked
    )
    return (
        f"{files[0].parent}: holds two kinds of files, such as {one} and {other}, and all are "
        f"taken for frames; to choose one, give a pattern such as {files[0].parent / _star(one)}"
    )


def describe_left_out(folder: Path) -> str | None:
    """Return a line that tells which pictures of a folder are not read; None without any."""
    left_out = _count_others(folder.iterdir())
    return f"{folder}: some files are left out{left_out}; convert them" if left_out else None


def _star(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _count_others(files: Iterable[Path]) -> str:
    """Return how many files are pictures or videos that are no frames, in brackets."""
    suffixes = (file.suffix.lower() for file in files if not file.name.startswith("."))
    counts = Counter(s for s in suffixes if s in OTHER_PICTURES or is_video(f"a{s}"))
    listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    return f" ({listed})" if listed else ""
