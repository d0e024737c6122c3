"""Batches that PyTorch renders from frames on a device are those that OpenCV renders."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cyclesiam.data import frame_store, packed_plans, resident
from cyclesiam.data.clip_plans import MASK_ON
from cyclesiam.data.clips import BatchRequest, ClipConfig, ClipDataset
from cyclesiam.data.frame_store import FrameStore, load_frames
from cyclesiam.data.packed_plans import PlanDataset
from cyclesiam.data.resident import ResidentRenderer
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.data.tube_store import SceneTubes
from cyclesiam.data.tubes import MASK_SIDE, Tube
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.synthetic.compositing import CompositingConfig
from support.media import moving_square, textured, write_image, write_stills, write_video

PASTED = CompositingConfig(probability=1.0, object_probability=0.6, max_distractors=4)
CLIPS = ClipConfig(height=72, width=96, batch_size=6)
KINDS = {
    "pasted": replace(CLIPS, compositing=PASTED),
    "objects": replace(CLIPS, compositing=PASTED, object_probability=1.0),
    "found": replace(CLIPS, compositing=CompositingConfig(probability=0.0)),
    "twice": replace(CLIPS, samples_per_clip=2),
}
CPU = torch.device("cpu")


def thing(seed, height=120, width=150):
    """A textured thing on a plain ground, smooth as photographs are."""
    image = np.full((height, width, 3), 60, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (30, 25), 20, 0, 360, 1, -1)
    image[mask > 0] = textured(seed, height, width)[mask > 0] // 2 + 120
    return cv2.GaussianBlur(image, (0, 0), 1)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two videos, four stills, two of them with an object."""
    root = tmp_path_factory.mktemp("media")
    write_video(root / "street.mp4", moving_square(20))
    write_video(root / "walk.mp4", moving_square(70, seed=5))
    write_stills(root / "stills", 2)
    for seed in range(2):
        write_image(root / "things" / f"{seed}.png", thing(seed))
    return find_scenes([root])[0]


@pytest.fixture(scope="module")
def store(scenes):
    return load_frames(scenes, objects=True, limit=2**30)


def both_ways(scenes, store, config, request, **options):
    ordinary = ClipDataset(scenes, config, 4, **options)[request]
    plans = PlanDataset(ClipDataset(scenes, config, 4, store=store, **options), store)
    render = ResidentRenderer(store, (config.height, config.width), CPU)
    return ordinary, render(plans[request])


def assert_equal_within_rounding(ordinary, rendered):
    difference = (ordinary.frames.int() - rendered.frames.int()).abs()
    assert difference.max() <= 2
    assert (difference > 1).float().mean() < 1e-3
    torch.testing.assert_close(rendered.boxes, ordinary.boxes, atol=1e-3, rtol=0, equal_nan=True)
    assert (rendered.masks != ordinary.masks).float().mean() < 1e-3
    assert rendered.frames.stride() == ordinary.frames.stride()
    assert rendered.frames.dtype == torch.uint8
    assert (rendered.names, rendered.problems) == (ordinary.names, ordinary.problems)


def test_tubes_are_rendered_alike(scenes, store):
    x = 10 + 2.0 * np.arange(20)
    boxes = np.stack((x, x * 0 + 30, x + 24, x * 0 + 54), axis=-1).astype(np.float32)
    disk = cv2.circle(np.zeros((MASK_SIDE, MASK_SIDE), np.uint8), (16, 16), 15, 1, -1) > 0
    tubes = {"street.mp4": SceneTubes((96, 128), (Tube(0, boxes, np.stack([disk] * 20)),))}
    config = replace(CLIPS, tube_probability=1.0, samples_per_clip=2)
    ordinary, rendered = both_ways(scenes, store, config, BatchRequest(1, 2, 3), tubes=tubes)
    assert set(ordinary.names) == {"street.mp4"}
    assert_equal_within_rounding(ordinary, rendered)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_", [BatchRequest(5, 0, 0), BatchRequest(2, 2, 3)])
def test_a_batch_is_the_ordinary_one_within_rounding(scenes, store, kind, request_):
    ordinary, rendered = both_ways(scenes, store, KINDS[kind], request_)
    assert_equal_within_rounding(ordinary, rendered)
    if kind in ("pasted", "objects"):
        assert (ordinary.masks == MASK_ON).any()


def test_some_rows_are_those_of_the_whole_batch(scenes, store):
    request = BatchRequest(3, 1, 3)
    _, whole = both_ways(scenes, store, KINDS["twice"], request)
    _, some = both_ways(scenes, store, KINDS["twice"], request, rows=[5, 1])
    assert torch.equal(some.frames, whole.frames[[5, 1]])
    assert torch.equal(some.masks, whole.masks[[5, 1]])


def test_a_target_out_of_the_frame_has_no_box(scenes, store):
    away = replace(PASTED, shift=3.0)
    config = replace(CLIPS, compositing=away, batch_size=12)
    ordinary, rendered = both_ways(scenes, store, config, BatchRequest(1, 2, 3))
    assert ordinary.boxes.isnan().any()
    assert_equal_within_rounding(ordinary, rendered)


def test_images_that_the_store_lacks_travel_with_the_batch(scenes, store, monkeypatch):
    monkeypatch.setattr(FrameStore, "offset", lambda self, image: None)
    assert_equal_within_rounding(*both_ways(scenes, store, KINDS["pasted"], BatchRequest(2, 1, 3)))
    monkeypatch.setattr(packed_plans, "SPARE", 1000)
    with pytest.raises(TrainingError, match="take smaller batches with --resident"):
        both_ways(scenes, store, KINDS["pasted"], BatchRequest(2, 1, 3))


def test_frames_are_views_of_one_array(scenes, store):
    for (path, number), images in store.chunks.items():
        for image in images:
            offset = store.offset(image)
            assert np.shares_memory(image, store.flat[offset : offset + image.nbytes])
        assert store.read(path, number) is images
    assert store.offset(np.zeros(4, np.uint8)) is None
    assert len(store.objects.masks) == 2
    assert sum(scene.frames for scene in scenes) == sum(map(len, store.chunks.values()))


def test_what_cannot_be_read_is_reported_and_replaced(scenes):
    gone = Scene(Path("gone.mp4"), 500)
    config = KINDS["found"]
    store = load_frames([*scenes, gone], objects=False, limit=2**30)
    with pytest.raises(SourceError, match=r"gone\.mp4"):
        store.read(gone.path, 0)
    for number in range(4):
        ordinary, rendered = both_ways([*scenes, gone], store, config, BatchRequest(number, 1, 3))
        assert_equal_within_rounding(ordinary, rendered)
        if ordinary.problems:
            break
    else:
        pytest.fail("no draw met the broken video")


def test_a_chunk_that_a_shorter_copy_lacks_is_refused(scenes, store):
    with pytest.raises(SourceError, match="has no frame 640"):
        store.read(scenes[0].path, 10)


def test_too_many_frames_are_refused_with_what_they_need(scenes):
    with pytest.raises(TrainingError, match=r"need about 0\.0 GB.*leave out --resident"):
        load_frames(scenes, objects=False, limit=100_000)


def test_a_full_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * 2**30, 4 * 2**30))
    resident._check_memory(2 * 2**30, torch.device("cuda"))
    with pytest.raises(TrainingError, match=r"need 2\.5 GB on cuda, and 3\.0 GB are free"):
        resident._check_memory(int(2.5 * 2**30), torch.device("cuda"))


@pytest.mark.parametrize(("span", "side"), [(90, 37), (37, 90), (50, 50), (80, 40)])
def test_sprites_are_resized_as_opencv_does(span, side):
    piece = np.random.default_rng(0).integers(0, 256, (span, span)).astype(np.uint8)
    method = cv2.INTER_AREA if span > side else cv2.INTER_LINEAR
    place, sides = torch.arange(side)[None], torch.tensor([side])
    weights = resident._resize_weights(place, torch.tensor([span]), sides, span)[0]
    resized = weights @ torch.from_numpy(piece).float() @ weights.T
    expected = cv2.resize(piece.astype(np.float32), (side, side), interpolation=method)
    np.testing.assert_allclose(resized.numpy(), expected, atol=0.01)


@pytest.mark.parametrize("side", [24, 61, 128])
def test_deformations_are_as_smooth_as_opencv_makes_them(side):
    coarse = np.random.default_rng(0).normal(0, 3, (4, 4)).astype(np.float32)
    weights = resident._cubic_weights(torch.arange(side)[None], torch.tensor([side]))[0].numpy()
    expected = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(weights @ coarse @ weights.T, expected, atol=1e-4)


def test_indices_outside_are_mirrored_as_opencv_does():
    row = np.arange(5, dtype=np.uint8)[None]
    expected = cv2.copyMakeBorder(row, 0, 0, 9, 9, cv2.BORDER_REFLECT_101)[0]
    index, _ = resident._mirror(torch.arange(-9.0, 14.0)[None], torch.tensor([[5]]))
    np.testing.assert_array_equal(index[0].numpy(), expected)


def test_alphas_keep_all_their_levels(store):
    (sprite,) = [*store.objects.sprites.values()][:1]
    scaled = sprite.alpha * packed_plans.ALPHA_ONE
    assert np.abs(scaled - scaled.round()).max() == 0
    assert math.isclose(sprite.alpha.max(), 1)
    assert 100 * sprite.alpha.size < frame_store.SPARE
