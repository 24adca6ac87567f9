from functools import partial

import numpy as np
import pytest

from diffplan.method.guide import NoGuide, ValueGuide
from diffplan.planner.guided_planner import GuidedPlanner
from diffplan.run.guide_comparison import GuideComparison, without_guide


def test_the_guide_is_left_out_and_one_plan_is_drawn():
    planner = partial(GuidedPlanner, guide=partial(ValueGuide, scale=0.1), num_candidates=64)
    plain = without_guide(planner)
    assert plain.keywords == {"guide": NoGuide, "num_candidates": 1}
    assert planner.keywords["num_candidates"] == 64


@pytest.mark.parametrize(
    "planner",
    [
        partial(GuidedPlanner, guide=partial(NoGuide)),
        partial(GuidedPlanner, guide=NoGuide),
        GuidedPlanner,
        lambda *_: 0,
    ],
)
def test_a_planner_without_a_guide_has_nothing_to_compare(planner):
    assert without_guide(planner) is None


def test_a_guide_that_lowers_the_score_is_told_and_one_that_does_not_is_not():
    unguided = np.array([60.0, 70.0, 65.0])
    harmful = GuideComparison(unguided - [50.0, 49.0, 51.0], unguided)
    assert harmful.is_harmful
    assert harmful.sentence().startswith(
        "Guidance lowers the score: 3 episodes score 15.0 with the guide and 65.0 without (-50.0, 95 %"
    )
    for scores in (unguided + 20.0, unguided - [1.0, -3.0, 5.0], unguided):
        assert not GuideComparison(np.asarray(scores), unguided).is_harmful


def test_one_episode_has_no_interval():
    alone = GuideComparison(np.array([0.0]), np.array([100.0]))
    assert not alone.is_harmful
    assert alone.metrics() == {"no_guide_score_mean": 100.0, "no_guide_score_stderr": 0.0, "guide_gain_mean": -100.0}
    assert "interval" not in alone.sentence()
