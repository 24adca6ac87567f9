import json

from diffplan.interop import pipeline_folder
from diffplan.interop.pipeline_folder import local_folder, write_index


def test_a_folder_is_taken_and_a_name_is_fetched_without_pickles(tmp_path, monkeypatch):
    settings = {"revision": "main", "variant": "ema"}
    assert local_folder(tmp_path, settings) == tmp_path
    asked = {}
    # The Hub itself cannot be asked here; what it would be asked is looked at.
    monkeypatch.setattr(
        pipeline_folder, "snapshot_download", lambda name, **how: asked.update(name=name, **how) or tmp_path
    )
    settings = {"revision": "main", "variant": "ema"}
    assert local_folder("somebody/hopper", settings) == tmp_path
    assert (asked["name"], asked["revision"], settings) == ("somebody/hopper", "main", {"variant": "ema"})
    assert not any("bin" in pattern or pattern == "*" for pattern in asked["allow_patterns"])


def test_the_index_names_diffusers_pipeline_only_where_it_can_load_both_networks(tmp_path):
    path, ours, theirs = tmp_path / "model_index.json", ["diffplan.x", "Y"], ["diffusers", "UNet1DModel"]
    for unet, critic, name in (
        (theirs, theirs, "ValueGuidedRLPipeline"),
        (ours, theirs, "DiffuserPipeline"),
        (theirs, [None, None], "DiffuserPipeline"),
    ):
        index = {"_class_name": "DiffuserPipeline", "unet": unet, "value_function": critic, "trajectory": ours}
        path.write_text(json.dumps(index))
        write_index(path)
        assert json.loads(path.read_text())["_class_name"] == name
        assert "trajectory" not in json.loads(path.read_text())
