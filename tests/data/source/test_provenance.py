import pytest

from diffplan.data.catalog import dataset, provenance

HOPPER = dataset("hopper-medium-v2")
UMAZE = dataset("maze2d-umaze-v1")
KITCHEN = dataset("kitchen-mixed-v0")


@pytest.mark.parametrize("from_d4rl", [True, False])
def test_the_published_hash_makes_it_d4rl_wherever_the_file_lies(from_d4rl):
    assert provenance(HOPPER.sha256, 5, {"algorithm": "SAC"}, HOPPER, from_d4rl) == "d4rl"


def test_another_hash_than_the_published_one_is_not_d4rl():
    assert provenance("0" * 64, 5, {}, HOPPER, from_d4rl=True) == "file"


def test_without_a_published_hash_d4rl_s_cache_and_its_number_of_rows_count():
    assert provenance("0" * 64, 1_000_000, {}, UMAZE, from_d4rl=True) == "d4rl"
    assert provenance("0" * 64, 999_999, {}, UMAZE, from_d4rl=True) == "file"
    assert provenance("0" * 64, 1_000_000, {}, UMAZE, from_d4rl=False) == "file"
    assert provenance("0" * 64, 123, {}, KITCHEN, from_d4rl=True) == "d4rl"


def test_a_data_set_that_nobody_published_is_not_d4rl():
    assert provenance("0" * 64, 5, {}, None, from_d4rl=True) == "file"


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"generator": "diffplan, by D4RL's Maze2D recipe; not D4RL's own data"}, "regenerated"),
        ({"generator": "some program"}, "collected"),
        ({"description": "collected, not D4RL: rollouts of public policies"}, "collected"),
        ({"source": "NOT a D4RL release file"}, "collected"),
    ],
)
def test_what_a_file_says_about_itself_counts_even_in_d4rl_s_cache(metadata, kind):
    assert provenance("0" * 64, 1_000_000, metadata, UMAZE, from_d4rl=True) == kind


def test_the_algorithm_that_d4rl_notes_in_its_files_speaks_against_nothing():
    metadata = {"algorithm": "SAC", "iteration": 780, "policy/nonlinearity": "relu"}
    assert provenance("0" * 64, 123, metadata, KITCHEN, from_d4rl=True) == "d4rl"
