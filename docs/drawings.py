"""Draw the pictures of the documentation: the cycle, the tracker's step, and the parts.

python docs/drawings.py writes them where the pages show them. They are made from the code: the
acts from the docstring of `tracking/step.py`, the parts from the table of the architecture test.
"""

import ast
import re
import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
INK, SOFT, PALE, ACCENT, ANSWER = "#1f2933", "#e4e7eb", "#9aa5b1", "#2f6fde", "#d64545"
HEADS = {INK: "ink", PALE: "pale", ACCENT: "blue", ANSWER: "red"}  # names of arrows' heads
FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass
class Drawing:
    """Shapes in pixels, which become one SVG file of fixed size on white."""

    width: int
    height: int
    shapes: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, w: float, h: float, *, fill: str = SOFT, line: str = INK):
        """Draw a rectangle with round corners."""
        self.shapes.append(
            f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='4' "
            f"fill='{fill}' stroke='{line}'/>"
        )

    def text(self, x: float, y: float, text: str, *, size: int = 13, ink: str = INK, at="middle"):
        """Write one line, its baseline at y."""
        self.shapes.append(
            f"<text x='{x:g}' y='{y:g}' font-size='{size}' {FONT} fill='{ink}' "
            f"text-anchor='{at}'>{escape(text)}</text>"
        )

    def arrow(self, points: list[tuple[float, float]], *, ink: str = INK):
        """Draw a line through points, with a head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.shapes.append(
            f"<polyline points='{path}' fill='none' stroke='{ink}' stroke-width='2' "
            f"marker-end='url(#{HEADS[ink]})'/>"
        )

    def svg(self) -> str:
        """Return the file's text."""
        heads = "".join(
            f"<marker id='{name}' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='6' "
            f"markerHeight='6' orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='{ink}'/></marker>"
            for ink, name in HEADS.items()
        )
        lines = "\n".join(self.shapes)
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' "
            f"width='{self.width}' height='{self.height}'>\n<defs>{heads}</defs>\n"
            f"<rect width='{self.width}' height='{self.height}' fill='white'/>\n{lines}\n</svg>\n"
        )


def draw_cycle() -> str:
    """Return the cycle: forward to the turn, back, and the loss in the first frame."""
    drawing = Drawing(760, 330)
    places = [(40, 30), (300, 48), (560, 70)]  # of frames; the target moves to the right and down
    for number, (left, shift) in enumerate(places):
        drawing.box(left, 90, 160, 120, fill="#f5f7fa")
        drawing.text(left + 80, 230, ("first frame", "frame 1", "frame 2: the turn")[number])
        drawing.box(left + shift, 90 + shift * 0.6, 44, 34, fill="#cfe0ff", line=ACCENT)
    drawing.arrow([(120, 84), (120, 50), (380, 50), (380, 84)], ink=ACCENT)
    drawing.arrow([(390, 84), (390, 50), (640, 50), (640, 84)], ink=ACCENT)
    drawing.text(380, 36, "1  track forward: no loss, no gradient", ink=ACCENT)
    drawing.arrow([(640, 240), (640, 272), (390, 272), (390, 240)])
    drawing.arrow([(380, 240), (380, 272), (120, 272), (120, 240)], ink=ANSWER)
    drawing.text(520, 292, "2  track back: the template is cropped at the last box")
    drawing.text(250, 310, "3  search the first frame, with gradient", ink=ANSWER)
    left, shift = places[0]
    drawing.box(left + shift + 10, 90 + shift * 0.6 + 8, 50, 36, fill="none", line=ANSWER)
    drawing.text(left + 80, 188, "loss: found box - target", size=11, ink=ANSWER)
    return drawing.svg()


def read_acts() -> list[str]:
    """Return the numbered acts in the docstring of `tracking/step.py`, in order."""
    source = (ROOT / "src/cyclesiam/tracking/step.py").read_text(encoding="utf-8")
    lines = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    acts = [m for line in lines if (m := re.match(r"\s*(\d+)[.)]?\s+(\S.*)", line))]
    return [f"{act[1]}  {act[2].rstrip('.;,')}" for act in acts]


# First acts of the groups, and the function that does each group.
GROUPS = {
    1: ("search", "search_targets"),
    3: ("localize", "localize_targets"),
    7: ("finish", "finish"),
    10: ("update", "update"),
}


def draw_step(acts: list[str]) -> str:
    """Return the acts of one frame from top to bottom, by the function that does them."""
    drawing = Drawing(860, 90 + 34 * len(acts) + 20 * len(GROUPS))
    drawing.text(330, 28, "frame")
    y = 40
    for number, act in enumerate(acts, 1):
        if number in GROUPS:
            if number > 1:
                y += 20
            drawing.arrow([(330, y - (8 if number == 1 else 18)), (330, y)])
            following = [first for first in GROUPS if first > number]
            count = (following[0] if following else len(acts) + 1) - number
            drawing.box(150, y, 600, 34 * count, fill="#f5f7fa")
            drawing.text(30, y + 22, f"{GROUPS[number][1]}()", ink=ACCENT, at="start")
        drawing.text(166, y + 22, act, at="start")
        y += 34
    drawing.arrow([(330, y), (330, y + 24)])
    drawing.text(330, y + 40, "results")
    return drawing.svg()


def draw_parts(floors: list[list[str]], imports: dict[str, set[str]]) -> str:
    """Return the parts on their floors, and an arrow from each part to what it imports.

    What a part imports of the ground floor stands below its name: arrows would hide the rest.

    Args:
        floors: names of parts, the lowest floor first.
        imports: from a part to the parts that it may import.
    """
    drawing = Drawing(760, 40 + 96 * len(floors))
    top = 20 + 96 * (len(floors) - 1)
    ground, everything = set(floors[0]), {part for floor in floors for part in floor}
    places = {}
    for height, floor in enumerate(floors):
        for column, part in enumerate(floor):  # floors are shifted: no arrow goes through a part
            x = 90 + (column + 0.5) * 600 / len(floor) + (height % 3) * 36
            places[part] = (x, top - 96 * height)
    for part, (x, y) in places.items():
        for other in sorted(imports[part] - ground if imports[part] < everything - {part} else ()):
            drawing.arrow([(x, y + 44), (places[other][0], places[other][1] - 2)], ink=PALE)
    for part, (x, y) in places.items():
        drawing.box(x - 66, y, 132, 44)
        drawing.text(x, y + 19, part, size=14)
        below = sorted(imports[part] & ground)
        note = "all" if imports[part] >= everything - {part} else ", ".join(below)
        drawing.text(x, y + 35, note, size=10, ink="#52606d")
    for height in range(len(floors)):
        drawing.text(10, top - 96 * height + 27, f"floor {height}", size=11, at="start")
    return drawing.svg()


def drawings() -> dict[Path, str]:
    """Return what each picture's file must hold."""
    sys.path.insert(0, str(ROOT / "tests"))  # whose modules it imports
    table = runpy.run_path(str(ROOT / "tests/system/test_architecture.py"))
    return {
        DOCS / "method/cycle.svg": draw_cycle(),
        DOCS / "method/step.svg": draw_step(read_acts()),
        DOCS / "development/architecture.svg": draw_parts(table["FLOORS"], table["IMPORTS"]),
    }


if __name__ == "__main__":
    for path, text in drawings().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
