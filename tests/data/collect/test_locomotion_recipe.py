from pathlib import Path

import pytest

from diffplan.data.catalog import catalog
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.errors import ConfigError, DataError

DOMAINS = ("hopper", "walker2d", "halfcheetah", "ant")
KINDS = ("random", "medium", "medium-replay", "medium-expert", "expert")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_domain_and_kind_has_a_recipe_of_a_published_set(domain, kind):
    recipe = LocomotionRecipe(f"{domain}-{kind}-v2")
    assert (recipe.domain, recipe.kind, recipe.env_id) == (domain, kind, f"{domain}-medium-v2")
    assert recipe.entry.name == recipe.name
    assert recipe.file_name.startswith(f"{recipe.name}-collected-seed0-")
    assert recipe.file_name not in {entry.file_name for entry in catalog().values()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "maze2d-umaze-v1"}, r"Only \{hopper,walker2d,halfcheetah,ant\}-.*-v2 can be collected, got 'maze2d"),
        ({"name": "hopper-medium-v0"}, "can be collected, got 'hopper-medium-v0'"),
        ({"name": "hopper-medium-v2", "num_transitions": 0}, "--rows must be at least 1, got 0"),
        ({"name": "hopper-medium-expert-v2", "num_transitions": 1}, "--rows must be at least 2, got 1"),
        ({"name": "hopper-medium-replay-v2", "num_transitions": 5}, "takes neither --rows nor --policy"),
        ({"name": "hopper-medium-v2", "train_steps": 0}, "--train-steps must be at least 1, got 0"),
        ({"name": "hopper-medium-v2", "seed": -1}, "--seed must be at least 0, got -1"),
        ({"name": "hopper-medium-v2", "hidden_width": 0}, "--hidden-width must be at least 1, got 0"),
        ({"name": "hopper-medium-v2", "evaluate_every": 0}, "--evaluate-every must be at least 1, got 0"),
        (
            {"name": "hopper-medium-v2", "policy_paths": {"expert": Path("p.zip")}},
            "'expert', which hopper-medium-v2 does not",
        ),
        (
            {"name": "hopper-random-v2", "policy_paths": {"random": Path("p.zip")}},
            "'random', which hopper-random-v2 does not",
        ),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        LocomotionRecipe(**arguments)


def test_rows_are_halved_between_medium_and_expert():
    assert LocomotionRecipe("hopper-medium-expert-v2", 7).rows_per_part == (3, 4)
    assert LocomotionRecipe("hopper-medium-expert-v2").rows_per_part == (1_000_000, 1_000_000)


def test_file_names_differ_where_rows_do_and_only_there():
    def name(kind, **arguments):
        return LocomotionRecipe(f"hopper-{kind}-v2", **arguments).file_name

    assert name("medium", train_steps=5) == name("medium", train_steps=6)
    assert name("expert", train_steps=5) != name("expert", train_steps=6)
    assert name("expert", medium_score=5.0) == name("expert", medium_score=6.0)
    assert name("medium", medium_score=5.0) != name("medium", medium_score=6.0)
    assert name("random", hidden_width=5) == name("random", hidden_width=6)
    assert name("random", seed=1) != name("random", seed=2)


def test_a_missing_policy_is_named(tmp_path):
    recipe = LocomotionRecipe("hopper-medium-v2", policy_paths={"medium": tmp_path / "nothing.zip"})
    with pytest.raises(DataError, match=r"nothing\.zip cannot be read: No such file"):
        recipe.metadata()
