from collections import Counter

import pytest

from cyclesiam.training.curriculum import Curriculum, CurriculumConfig, Stage

STAGES = (Stage(0, 0), Stage(1, 3), Stage(2, 8))
CONFIG = CurriculumConfig(
    stages=STAGES, success_threshold=0.6, min_steps=4, max_steps=10, review_probability=0.3
)


def train(curriculum, steps, accuracy):
    for _ in range(steps):
        curriculum = curriculum.advance(CONFIG, STAGES[curriculum.level], accuracy)
    return curriculum


def test_success_leads_on_after_min_steps():
    assert train(Curriculum(), 3, 0.9) == Curriculum(0, 3, pytest.approx(0.9))
    assert train(Curriculum(), 4, 0.9) == Curriculum(1)


def test_failure_leads_on_only_after_max_steps():
    assert train(Curriculum(), 9, 0.1).level == 0
    assert train(Curriculum(), 10, 0.1).level == 1


def test_the_last_stage_lasts():
    assert train(Curriculum(2), 50, 0.9).level == 2


def test_steps_of_other_stages_do_not_count():
    at = Curriculum(1, 2, 0.5)
    assert at.advance(CONFIG, STAGES[0], 1.0) == at


def test_the_accuracy_is_a_plain_mean_at_first():
    at = Curriculum()
    for accuracy in (0.2, 0.4, 0.9):
        at = at.advance(CONFIG, STAGES[0], accuracy)
    assert at.accuracy == pytest.approx(0.5)


def test_a_draw_depends_on_seed_and_step_alone():
    at = Curriculum(2)
    draws = [at.sample_stage(CONFIG, step, seed=1) for step in range(50)]
    assert draws == [at.sample_stage(CONFIG, step, seed=1) for step in range(50)]
    assert draws != [at.sample_stage(CONFIG, step, seed=2) for step in range(50)]


def test_earlier_stages_are_reviewed_now_and_then():
    counts = Counter(Curriculum(2).sample_stage(CONFIG, step, seed=0) for step in range(1000))
    assert 0.25 < (counts[STAGES[0]] + counts[STAGES[1]]) / 1000 < 0.35
    assert 100 < counts[STAGES[0]] < 200
    assert {Curriculum(0).sample_stage(CONFIG, step, seed=0) for step in range(50)} == {STAGES[0]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stages": ()}, "first stage must have turn 0"),
        ({"stages": (Stage(1, 3),)}, "first stage must have turn 0"),
        ({"stages": (Stage(0, 0), Stage(1, 0))}, "needs a gap of 1 or more"),
        ({"review_probability": 1.5}, "must lie in 0..1"),
        ({"success_threshold": -1}, "must lie in 0..1"),
    ],
)
def test_impossible_curricula_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        CurriculumConfig(**wrong)
