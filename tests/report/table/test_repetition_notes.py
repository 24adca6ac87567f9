from diffplan.report.table.repetition_notes import repetition_notes


def test_the_first_are_named_once_and_the_rest_counted():
    assert repetition_notes([]) == []
    assert repetition_notes(["a repeats b", "a repeats b"]) == ["a repeats b."]
    notes = repetition_notes([f"{number} repeats" for number in range(5)])
    assert notes[2:] == ["2 repeats.", "2 more evaluations repeat episodes and are not counted."]
