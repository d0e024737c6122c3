"""Clips of tubes, drawn from gray frames whose target is white."""

from pathlib import Path

import numpy as np
import pytest

from cyclesiam.data.chunks import CHUNK, LazyChunk
from cyclesiam.data.clip_sources import BatchRequest
from cyclesiam.data.clips import ClipConfig, ClipDataset
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.data.tube_clips import TubeClips, draw_window
from cyclesiam.data.tube_store import SceneTubes
from cyclesiam.data.tubes import MASK_SIDE, Tube
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.geometry.masks import mask_to_box
from support.media import moving_square, write_frames

CANVAS = (64, 80)
FRAME = (90, 160)
SIZES = (0.08, 0.45)
FIRST, COUNT = 50, 40  # frames 50 to 89: of two chunks


def box_of(number: int) -> np.ndarray:
    x, y = 20 + 2 * (number - FIRST), 30 + (number - FIRST) // 2
    return np.array([x, y, x + 20, y + 16], np.float32)


class Frames:
    """Frames of level 2 t, with the target in white; chunk 1 of the scene `broken` fails."""

    def read(self, path, chunk):
        if path.name == "broken.mp4":
            raise SourceError("broken.mp4 is broken")
        images = []
        for number in range(chunk * CHUNK, (chunk + 1) * CHUNK):
            image = np.full((*FRAME, 3), number, np.uint8)
            if FIRST <= number < FIRST + COUNT:
                x0, y0, x1, y1 = box_of(number).astype(int)
                image[y0:y1, x0:x1] = 255
            images.append(image)
        return images


TUBE = Tube(
    FIRST,
    np.stack([box_of(number) for number in range(FIRST, FIRST + COUNT)]),
    np.ones((COUNT, MASK_SIDE, MASK_SIDE), bool),
)
SCENE = Scene(Path("/videos/street.mp4"), 128)


def make_source(probability=1.0, name="street.mp4", scale=1):
    tube = Tube(TUBE.first, TUBE.boxes * scale, TUBE.masks)
    size = FRAME[0] * scale, FRAME[1] * scale
    scenes = [Scene(SCENE.path.with_name(name), 128)]
    tubes = {name: SceneTubes(size, (tube,))}
    return TubeClips(scenes, tubes, Frames(), CANVAS, probability, sizes=SIZES)


def plan(source, seed, turn=2, gap=3, chunk_seed=None):
    rng = np.random.default_rng(seed)
    chunk_rng = np.random.default_rng(seed if chunk_seed is None else chunk_seed)
    problems = {}
    chunk = LazyChunk(None, chunk_rng, problems)
    return source.plan(BatchRequest(0, turn, gap), chunk, rng, problems), problems


@pytest.mark.parametrize("scale", [1, 2])
def test_boxes_and_masks_lie_on_the_target_in_every_frame(scale):
    """Also where the tubes were found in frames of another size."""
    source = make_source(scale=scale)
    for seed in range(40):
        clip, _ = plan(source, seed)
        rendered = clip.render(np.empty((3, *CANVAS, 3), np.uint8))
        for frame, box in zip(rendered.frames, rendered.boxes, strict=True):
            assert np.abs(mask_to_box(frame[..., 0] > 170) - box).max() < 1.6
        for mask, box in zip(rendered.masks, rendered.boxes[[0, -1]], strict=True):
            assert np.abs(mask_to_box(mask) - box).max() < 1.6


def test_targets_stay_in_the_frame_at_many_sizes():
    source = make_source()
    sizes = []
    for seed in range(200):
        clip, _ = plan(source, seed)
        assert (clip.boxes[:, :2] > -1e-6).all()
        assert (clip.boxes[:, 2:] < np.array(CANVAS[::-1]) + 1e-6).all()
        sides = clip.boxes[0, 2:] - clip.boxes[0, :2]
        sizes.append(np.sqrt(sides.prod()) / min(CANVAS))
    assert min(sizes) < 0.3  # the whole frame shows it at 0.2
    assert max(sizes) > 0.4
    assert max(sizes) < SIZES[1] + 1e-6


def test_gaps_are_wide_at_times_and_frames_lie_in_one_chunk():
    steps = []
    for seed in range(100):
        clip, _ = plan(make_source(), seed, turn=1, gap=2)
        numbers = [int(view.image[0, 0, 0]) for view in clip.views]
        assert len({number // CHUNK for number in numbers}) == 1
        assert all(FIRST <= number < FIRST + COUNT for number in numbers)
        steps.append(numbers[1] - numbers[0])
    assert max(steps) > 10
    assert min(steps) < -10
    assert np.mean(np.abs(steps) <= 2) > 0.4


def test_a_clip_depends_on_its_seeds_alone_and_a_tube_on_that_of_the_chunk():
    first, second = (plan(make_source(), 3)[0] for _ in range(2))
    np.testing.assert_array_equal(first.boxes, second.boxes)
    parts = [
        int(plan(make_source(), seed, chunk_seed=1)[0].views[0].image[0, 0, 0]) // CHUNK
        for seed in range(20)
    ]
    assert len(set(parts)) == 1


def test_a_turn_of_0_is_one_frame():
    clip, _ = plan(make_source(), 0, turn=0, gap=0)
    assert len(clip.views) == 1
    assert clip.masks[0].pixels.any()


def test_other_sources_follow_by_chance_and_where_nothing_can_be_read():
    assert plan(make_source(probability=0.0), 0)[0] is None
    drawn = [plan(make_source(probability=0.5), seed)[0] is not None for seed in range(60)]
    assert 15 < sum(drawn) < 45
    clip, problems = plan(make_source(name="broken.mp4"), 0)
    assert clip is None
    assert [*problems] == ["broken.mp4 is broken"]


def test_a_window_holds_what_moves_far():
    boxes = np.array([[5, 5, 15, 15], [140, 70, 155, 85]], float)
    for seed in range(20):
        x, y, w, h = draw_window(boxes, FRAME, CANVAS, np.random.default_rng(seed), sizes=SIZES)
        assert w / h == pytest.approx(CANVAS[1] / CANVAS[0])
        assert abs(x - 80) + 75 < w / 2
        assert abs(y - 45) + 40 < h / 2


def dataset(tmp_path, **options):
    write_frames(tmp_path / "square", moving_square(20))
    scenes, _ = find_scenes([tmp_path])
    x = 10 + 2 * np.arange(20)
    boxes = np.stack((x, x * 0 + 30, x + 24, x * 0 + 54), axis=-1).astype(np.float32)
    tube = Tube(0, boxes, np.ones((20, MASK_SIDE, MASK_SIDE), bool))
    tubes = {"square": SceneTubes((96, 128), (tube,))}
    return ClipDataset(
        scenes, ClipConfig(height=64, width=80, batch_size=4, **options), 0, tubes=tubes
    )


def test_a_dataset_draws_tubes_with_known_boxes_and_masks(tmp_path):
    batch = dataset(tmp_path, tube_probability=1.0)[BatchRequest(0, 2, 4)]
    assert not batch.boxes.isnan().any()
    assert set(batch.masks.unique().tolist()) == {0, 255}


def test_without_a_probability_tubes_change_nothing(tmp_path):
    request = BatchRequest(5, 2, 4)
    batch = dataset(tmp_path)[request]
    scenes, _ = find_scenes([tmp_path])
    plain = ClipDataset(scenes, ClipConfig(height=64, width=80, batch_size=4), 0)[request]
    assert batch.frames.equal(plain.frames)


def test_a_recipe_with_tubes_needs_some(tmp_path):
    write_frames(tmp_path / "square", moving_square(20))
    scenes, _ = find_scenes([tmp_path])
    with pytest.raises(TrainingError, match="tubes"):
        ClipDataset(scenes, ClipConfig(tube_probability=0.5), 0)
    other = {"other": SceneTubes(FRAME, (TUBE,))}
    with pytest.raises(TrainingError, match="tubes"):
        ClipDataset(scenes, ClipConfig(tube_probability=0.5), 0, tubes=other)
    none_found = {"square": SceneTubes(FRAME, ())}
    ClipDataset(scenes, ClipConfig(tube_probability=0.5), 0, tubes=none_found)
    with pytest.raises(ValueError, match="tube_probability"):
        ClipConfig(tube_probability=1.5)
