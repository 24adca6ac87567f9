import pytest

from tests.report.conftest import make_result, stored


def test_settings_are_equal_for_training_seeds_and_tell_the_steps_trained():
    one, two = stored(seed=0).settings, stored(seed=1).settings
    assert one == two
    assert one["step"] == 100
    assert stored(settings={"backbone.dim": 8}).settings != one
    assert stored(make_result(step=50)).settings != one


@pytest.mark.parametrize(
    ("trained", "planned", "expected"),
    [
        ("default", "default", "default"),
        ("backbone.dim=8", "backbone.dim=8", "backbone.dim=8"),
        ("backbone.dim=8", "default", "backbone.dim=8"),
        ("default", "num_episodes=150,num_videos=0", "default"),
        ("backbone.dim=8", "guide.scale=0.1,num_episodes=10", "backbone.dim=8,guide.scale=0.1"),
        ("default", "protocols=-single_task,multi2d-,scheduler=ddim", "scheduler=ddim"),
        ("default", "env_id=hopper-exact-v2", "env_id=hopper-exact-v2"),
    ],
)
def test_what_training_and_planning_changed_is_said_once(trained, planned, expected):
    result = make_result(ablation=trained).model_copy(update={"ablation": planned})
    assert stored(result).ablation == expected
