"""Broken inputs of every kind are refused in one sentence, or rightly accepted."""

import pytest
from harness import RIGHT
from run_faults import generators, run_group

_IN_THE_GATE, _IN_AN_HOUR = 8, 250


def _wrong_answers(name, server, inputs, place, count, seed):
    judged = list(run_group(server, generators()[name], inputs, seed, count, place))
    assert len(judged) == count
    return [
        f"{answer.outcome}: {fault.name}: {answer.detail}" for fault, answer in judged if answer.outcome not in RIGHT
    ]


@pytest.mark.parametrize("name", sorted(generators()))
def test_broken_inputs_are_answered_in_one_sentence(name, server, inputs, tmp_path):
    assert _wrong_answers(name, server, inputs, tmp_path, _IN_THE_GATE, seed=0) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", sorted(generators()))
def test_many_broken_inputs_are_answered_in_one_sentence(name, server, inputs, tmp_path):
    assert _wrong_answers(name, server, inputs, tmp_path, _IN_AN_HOUR, seed=1) == []
