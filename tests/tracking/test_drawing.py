from dataclasses import replace

import numpy as np
import pytest

from cyclesiam.tracking.drawing import (
    PALETTE,
    WHITE,
    contact_sheet,
    draw_box,
    draw_results,
    target_color,
)
from cyclesiam.tracking.results import TrackResult

GRAY = np.full((240, 320, 3), 90, np.uint8)


def target(box=(80.0, 100.0, 200.0, 180.0), id=1, state="tracking"):
    return TrackResult(id=id, box=box, score=0.87, state=state)


def changed(drawn, image=GRAY):
    return (drawn != image).any(axis=-1)


def test_a_box_is_drawn_where_it_is_into_a_copy():
    image = GRAY.copy()
    image.setflags(write=False)
    drawn = draw_results(image, [target()])
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    for y, x in ((100, 140), (179, 140), (140, 80), (140, 199)):  # the first and last it covers
        assert tuple(drawn[y, x]) == target_color(1)
    assert not changed(drawn)[110:170, 90:190].any()
    assert not changed(drawn)[190:].any()
    assert not changed(draw_results(image, [])).any()


def test_targets_differ_and_keep_their_color():
    assert len({target_color(id) for id in range(1, len(PALETTE) + 1)}) == len(PALETTE)
    assert target_color(len(PALETTE) + 1) == target_color(1)
    assert tuple(draw_results(GRAY, [target(id=2)])[140, 80]) == target_color(2)


def test_a_lost_target_is_dashed_and_dim():
    lost, tracked = draw_results(GRAY, [target(state="lost")]), draw_results(GRAY, [target()])
    side = (slice(110, 170), 80)
    assert changed(tracked)[side].all()
    assert 0.2 < changed(lost)[side].mean() < 0.9
    assert not (lost[side] == target_color(1)).all(axis=-1).any()


@pytest.mark.parametrize("shape", [(1080, 1920), (240, 320), (32, 24), (1, 1)])
@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 5, 5),
        (-50, -50, 4000, 4000),
        (5000, 5000, 6000, 6000),
        (3, 3, 3, 3),
        (-1e9, 0, 1e9, 8),
    ],
)
@pytest.mark.parametrize("state", ["tracking", "lost"])
def test_any_box_in_any_image(shape, box, state):
    image = np.zeros((*shape, 3), np.uint8)
    assert draw_results(image, [target(box, state=state)]).shape == image.shape


def test_lines_grow_with_the_image():
    def thickness(image):
        middle = image.shape[1] // 2
        quarter = (image.shape[1] / 4, image.shape[0] / 4)
        drawn = draw_results(image, [target((*quarter, 3 * quarter[0], 3 * quarter[1]))])
        return changed(drawn, image)[image.shape[0] // 2 :, middle].sum()

    assert thickness(np.full((1080, 1920, 3), 90, np.uint8)) > 2 * thickness(GRAY)


def test_outline():
    drawn = draw_box(GRAY, (80.0, 100.0, 200.0, 180.0))
    assert tuple(drawn[100, 140]) == WHITE
    assert changed(drawn).sum() == 2 * 120 + 2 * 78


def test_contact_sheet():
    images = [np.full((30, 40, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = contact_sheet(images, columns=2, width=20)
    assert sheet.shape == (30, 40, 3)
    assert [sheet[y, x, 0] for y, x in ((7, 10), (7, 30), (22, 10), (22, 30))] == [10, 20, 30, 255]
    with pytest.raises(ValueError, match="sheet of 0 images"):
        contact_sheet([], columns=2, width=20)


def test_a_name_is_written_instead_of_a_number():
    plain, named = target(), replace(target(), name="fox")
    assert not np.array_equal(draw_results(GRAY, [plain]), draw_results(GRAY, [named]))
    unwritable = replace(target(), name="лиса")
    assert np.array_equal(draw_results(GRAY, [plain]), draw_results(GRAY, [unwritable]))
