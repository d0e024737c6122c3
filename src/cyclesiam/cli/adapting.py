"""What `cyclesiam train --from` does beside training: hold scenes out, score before and after."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cyclesiam.cli.options import count_noun, load_network
from cyclesiam.cli.validate import describe_examples, print_scores
from cyclesiam.data.scenes import Scene, split_scenes
from cyclesiam.errors import TrainingError
from cyclesiam.models.averaging import average_networks
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.validation.examples import Example, ExampleConfig, make_examples
from cyclesiam.validation.score import LabelFreeScores, label_free_score

Judge = Callable[[Path], None]


def prepare(scenes: list[Scene], start: str, seed: int, device: str) -> tuple[list[Scene], Judge]:
    """Hold scenes out and score the weights to start from on them.

    Returns:
        The scenes to learn from; and what compares the weights in a folder with those at the
        start, leaves the better ones there, and says which.

    Raises:
        TrainingError: there is one scene only, so nothing is left to judge by.
    """
    from cyclesiam.training.adaptation import HELD_OUT

    learnt, held = split_scenes(scenes, HELD_OUT)
    if not held:
        raise TrainingError(
            f"{scenes[0].path} alone cannot both teach and judge: cut it into two files or more, "
            "or give further videos or pictures"
        )
    examples = make_examples(held, ExampleConfig(seed=seed))
    videos = sum(scene.frames > 1 for scene in held)
    print(
        f"Held out to judge by, without labels: {count_noun(videos, 'video')} and "
        f"{count_noun(len(held) - videos, 'picture')}. {describe_examples(examples)} "
        "(cycles: of targets found by their motion).",
        flush=True,
    )
    before = label_free_score(load_network(start, device)[0], examples, device=device)
    print(f"Label-free score of {start}: {before.total:.3f}", flush=True)

    return learnt, lambda output: _judge(output, start, before, examples, device)


def _judge(
    output: Path,
    start: str,
    before: LabelFreeScores,
    examples: list[Example],
    device: str,
) -> None:
    """Compare the weights in a folder with those at the start, and leave the better ones there."""
    from cyclesiam.training.adaptation import MIN_GAIN, Candidate, keep_best

    adapted, record = load_weights(output, trainable=True)
    begun, _ = load_weights(start, trainable=True)
    networks = {"adapted": adapted, "mean of both": average_networks(begun, adapted)}
    candidates = {
        name: Candidate(
            network,
            replace(record, recipe=f"{record.recipe}: {name}"),
            label_free_score(fuse_for_inference(network).to(device), examples, device=device),
        )
        for name, network in networks.items()
    }
    scores = {name: candidate.scores for name, candidate in candidates.items()}
    print_scores({f"{start} (before)": before, **scores})
    best, rise, error = verdict = keep_best(output, start, before, candidates)
    print(
        f"The best of these ({best}) changed the label-free score by {rise:+.3f}, with a "
        f"standard error of {error:.3f}; to be kept it must rise by {MIN_GAIN:g} of these."
    )
    print(
        f"Kept: the adapted weights ({best})."
        if verdict.kept
        else f"Not kept: {output} holds the weights of {start}, as before."
    )
