import json
import math

import altair as alt
import pandas as pd
import pytest

from diffplan.errors import ConfigError
from diffplan.report.charts import (
    COLOURS,
    axis_kind,
    chart_config,
    chart_script,
    chart_spec,
    curve_chart,
    save_chart,
    smoothed,
)


def curve(values, name="a", **columns):
    return pd.DataFrame({"curve": name, "step": range(len(values)), "value": values}).assign(**columns)


def rows_of(chart, column="curve"):
    """The data that a chart draws."""
    (rows,) = (rows for rows in chart_spec(chart)["datasets"].values() if column in rows[0])
    return rows


def encodings(chart):
    return [layer.get("encoding", {}) for layer in chart_spec(chart)["layer"]]


def test_values_lie_over_steps_in_the_colour_of_their_curve():
    chart = curve_chart(pd.concat([curve([1.0, 2.0]), curve([3.0, 4.0], "b")]), "score")
    assert [(row["curve"], row["step"], row["value"]) for row in rows_of(chart)] == [
        ("a", 0, 1.0), ("a", 1, 2.0), ("b", 0, 3.0), ("b", 1, 4.0),
    ]  # fmt: skip
    line = encodings(chart)[0]
    assert (line["x"]["field"], line["y"]["field"], line["color"]["field"]) == ("step", "value", "curve")


def test_a_name_in_the_legend_shows_and_hides_its_curve_and_one_curve_needs_no_legend():
    several = curve_chart(pd.concat([curve([1.0, 2.0]), curve([3.0, 4.0], "b")]), "score")
    assert any(param.get("bind") == "legend" for param in chart_spec(several)["params"])
    assert encodings(curve_chart(curve([1.0, 2.0]), "score"))[0]["color"]["legend"] is None


def test_values_that_have_no_logarithm_are_left_out():
    chart = curve_chart(curve([1.0, 0.0, -1.0, 0.5]), "loss", log=True)
    assert [row["value"] for row in rows_of(chart)] == [1.0, 0.5]
    assert encodings(chart)[0]["y"]["scale"]["type"] == "log"


def test_a_band_and_a_reference_are_drawn():
    chart = curve_chart(curve([1.0, 2.0], low=[0.5, 1.5], high=[1.5, 2.5]), "score", reference=(5.0, "paper 5"))
    spec = chart_spec(chart)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "line", "point", "rule", "text"]
    assert spec["layer"][3]["encoding"]["y"] == {"datum": 5.0}
    assert rows_of(chart, "label") == [{"label": "paper 5"}]


def test_single_seeds_are_thin_lines_with_a_box_that_hides_them():
    chart = curve_chart(pd.concat([curve([1.0, 2.0]), curve([1.0, 3.0], seed=4)]), "score")
    assert any(param.get("bind", {}) == {"input": "checkbox", "name": "single training seeds"}
               for param in chart_spec(chart)["params"])  # fmt: skip
    assert sorted({row.get("seed") for row in rows_of(chart)}, key=str) == [4.0, None]


def test_a_long_curve_keeps_its_extremes_and_few_points():
    values = [0.0] * 20_000
    values[7777], values[12_345] = 9.0, -9.0
    kept = [row["value"] for row in rows_of(curve_chart(curve(values), "v"))]
    assert len(kept) <= 500
    assert (max(kept), min(kept)) == (9.0, -9.0)


def test_values_that_are_none_leave_no_point():
    assert len(rows_of(curve_chart(curve([1.0, math.nan, 2.0]), "v"))) == 2


def test_a_constant_stays_constant_and_a_window_of_one_changes_nothing():
    assert smoothed(pd.Series([3.0] * 20), 7).tolist() == pytest.approx([3.0] * 20)
    assert smoothed(pd.Series([1.0, 5.0, 2.0]), 1).tolist() == [1.0, 5.0, 2.0]


def test_older_values_count_less():
    # Weights 1/2, 1/4 of the two values, divided by their sum 3/4.
    assert smoothed(pd.Series([0.0, 3.0]), 2).tolist()[1] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 2, 4, 8], "linear"),
        ([8, 16, 32], "linear"),
        ([1, 4, 16, 64], "log"),
        ([0.0001, 0.001, 0.01], "log"),
        ([0, 0.0001, 0.001, 0.01], "ordinal"),
        ([5], "linear"),
        (list(range(5, 55, 5)), "linear"),
        ([None, 1], "nominal"),
        ([True, False], "nominal"),
        (["epsilon", "sample"], "nominal"),
    ],
)
def test_a_setting_is_spaced_so_that_its_labels_have_room(values, kind):
    assert axis_kind(values) == kind


def test_on_a_page_colours_follow_the_page_and_in_files_they_are_fixed():
    assert "var(--ink)" in json.dumps(chart_config(on_page=True))
    assert "var(" not in json.dumps(chart_config())
    assert len(chart_config(on_page=True)["range"]["category"]) == len(COLOURS)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_the_ending_chooses_the_kind_of_picture(tmp_path, suffix, start):
    path = tmp_path / "new" / f"a.{suffix}"
    save_chart(curve_chart(curve([1.0, 2.0]), "v").properties(width=200), path)
    assert path.read_bytes().startswith(start)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"must be a \.png, \.svg or \.pdf file, got 'a\.gif'"):
        save_chart(curve_chart(curve([1.0, 2.0]), "v"), tmp_path / "a.gif")


def test_every_chart_is_valid_vega_lite():
    chart = curve_chart(pd.concat([curve([1.0, 2.0], low=[0.0, 1.0], high=[2.0, 3.0], raw=[1.0, 2.0]),
                                   curve([1.0, 2.0], seed=1)]), "v", log=True, reference=(1.0, "r"))  # fmt: skip
    assert isinstance(chart, alt.LayerChart)
    chart.to_dict(validate=True)


def test_the_script_is_one_file_that_draws():
    script = chart_script()
    assert "vegaEmbed" in script
    assert len(script) < 1_000_000


def test_a_curve_with_single_seeds_is_valid_json():
    mean = pd.DataFrame({"curve": "a", "step": [1, 2], "value": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]})
    seeds = pd.DataFrame({"curve": "a", "step": [1, 2], "value": [1.0, 2.0], "seed": pd.Series([0, 0], dtype=object)})
    spec = chart_spec(curve_chart(pd.concat([mean, seeds]), "score"))
    rows = json.loads(json.dumps(spec, allow_nan=False))["datasets"]
    assert {row["seed"] for row in next(rows for rows in rows.values() if len(rows) == 4)} == {None, 0}
