from diffplan.data.source.d4rl_file import D4RLArrays


def test_the_repr_shows_shapes_and_no_numbers(five_episodes):
    arrays = D4RLArrays(**five_episodes, metadata={})
    assert repr(arrays) == "D4RLArrays(rows=12, observations=(12, 4), actions=(12, 2))"
