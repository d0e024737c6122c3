"""Clips that calibrate a network in 8 bits, and the label-free score that accepts it.

Neither reads a label.
"""

from collections.abc import Sequence

from cyclesiam.data.discovery import moving_regions
from cyclesiam.data.scenes import Scene
from cyclesiam.errors import SourceError, TargetError, WeightsError
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.validation.examples import Example, ExampleConfig
from cyclesiam.validation.progress import ShowProgress, show_nothing
from cyclesiam.validation.score import label_free_score, paired_gain
from cyclesiam.video import read_frames

CALIBRATION_SCENES = 12
MOTION_GAP = 3  # frames between the two that motion is measured from
CALIBRATION_FRAMES = 40  # of each scene
MAX_SCORE_LOSS = 0.01  # of the label-free score, 0..1
# Fewer examples than validation draws, because two networks track them.
ACCEPTANCE_EXAMPLES = ExampleConfig(objects=20, degraded=20)


def track_scenes(
    network: Network, scenes: Sequence[Scene], *, show: ShowProgress = show_nothing
) -> None:
    """Track what moves through the first scenes, so that a network computes with typical crops.

    Args:
        network: records its inputs; see `deployment.quantization.collect_samples`.
        scenes: those that cannot be read, or in which nothing moves, are left out.
        show: shows how many scenes are done.
    """
    tracker, tracked = Tracker(network), 0
    for scene in show(scenes, "calibrating", min(len(scenes), CALIBRATION_SCENES)):
        try:
            frames = read_frames(scene.path, 0, CALIBRATION_FRAMES)
            is_long = len(frames) > MOTION_GAP
            moving = moving_regions(frames[0], frames[MOTION_GAP]) if is_long else []
            if not len(moving):
                continue
            left, top, right, bottom = moving[0].tolist()
            tracker.init(frames[0], (left, top, right - left, bottom - top))
            for image in frames[1:]:
                tracker.update(image)
        except (SourceError, TargetError):  # another scene will do
            continue
        tracked += 1
        if tracked == CALIBRATION_SCENES:
            return


def check_score(
    exact: Network,
    quantized: Network,
    examples: Sequence[Example],
    *,
    show: ShowProgress = show_nothing,
) -> dict[str, float]:
    """Compare the label-free scores of two networks.

    Args:
        exact: the network in float32.
        quantized: the same network in 8 bits.
        examples: what both track.
        show: shows how many examples are done.

    Returns:
        Both scores, 0..1; `rise`, the paired gain; `error`, its standard error.

    Raises:
        WeightsError: the quantized network's score is lower by more than `MAX_SCORE_LOSS`.
    """
    before, after = (
        label_free_score(network, examples, show=show) for network in (exact, quantized)
    )
    gain, error = paired_gain(before, after)
    if gain < -MAX_SCORE_LOSS:
        raise WeightsError(
            f"in 8 bits the label-free score falls from {before.total:.3f} to {after.total:.3f}, "
            f"by more than {MAX_SCORE_LOSS:g}; nothing was written. Give clips like those to track"
        )
    return {"float32": before.total, "int8": after.total, "rise": gain, "error": error}
