from diffplan.method.conditioning import FirstState


def test_the_first_row_alone_is_given_whatever_the_horizon():
    assert [FirstState().rows(horizon) for horizon in (1, 4, 384)] == [[0], [0], [0]]
