import subprocess
import sys
from typing import Any

import pytest

from diffplan.config.stored_settings import part_settings, plain_settings, shown, typed
from diffplan.errors import CheckpointError

UNET = {"_part_": "backbone/temporal_unet", "transition_dim": 4, "dim": 8, "dim_multipliers": [1, 2]}
UNET_PATH = "diffplan.method.network.temporal_unet.TemporalUnet"
DDPM = {"_target_": "diffusers.DDPMScheduler", "num_train_timesteps": 4, "prediction_type": "sample"}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def shared(doublings: int) -> list:
    """A list whose copy would have 2 ** doublings items."""
    value: Any = [1, 1]
    for _ in range(doublings):
        value = [value, value]
    return value


def test_plain_settings_are_copied_as_they_are():
    settings = {"name": "größe, 2. Versuch", "rate": 1e-3, "steps": 10**6, "on": True, "tags": ["a", None], "more": {}}
    settings["observation_weights"] = {0: 5.0, 3: 2.0}
    copied = plain_settings(settings, "config")
    assert copied == settings
    assert copied is not settings


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:HOME}", "${", "x${task.name}", "???", "\x1b]0;owned\x07", "two\nlines", "\u202etxt", "\ud800",
        "a" * 5000,
        float("nan"), float("inf"), 10**30, -(10**30), [10**10000], nested(20), shared(14), shared(40),
        {1: 2, "a": 3}, {-1: 2}, {True: 1},
        {"a b": 1}, {"${x}": 1}, {"": 1}, (1, 2), {1, 2}, b"bytes", object(), 1j,
        [[object()]], {"a": {"b": float("nan")}},
    ],
)  # fmt: skip
def test_what_is_no_plain_setting_is_refused_with_its_key(value):
    with pytest.raises(CheckpointError, match=r"^config\.") as error:
        plain_settings({"good": 1, "key": value}, "config")
    message = str(error.value)
    assert message.isascii()
    assert "\n" not in message
    assert len(message) < 400


def test_a_list_that_holds_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(CheckpointError, match="too deeply nested"):
        plain_settings(value, "config")


def test_a_part_gets_this_package_s_path_and_typed_settings():
    expected = {"_target_": UNET_PATH, "transition_dim": 4, "dim": 8, "dim_multipliers": [1, 2]}
    assert part_settings("backbone", UNET, "backbone") == expected
    first = {**UNET, "_target_": "diffplan.backbone.temporal_unet.TemporalUnet"}
    assert part_settings("backbone", first, "backbone") == expected


def test_a_diffusers_scheduler_with_or_without_a_yaml_is_known():
    assert part_settings("scheduler", {"_part_": "scheduler/ddim"}, "scheduler") == {
        "_target_": "diffusers.DDIMScheduler"
    }
    pndm = {"_target_": "diffusers.PNDMScheduler", "num_train_timesteps": 4}
    assert part_settings("scheduler", pndm, "scheduler") == pndm


@pytest.mark.parametrize(
    "asked",
    [
        "os.system", "builtins.open", "torch.optim.Adam", "backbone/nothing", "normalizer/limits_normalizer", None, 3,
        [], {"_target_": "os.system"}, "diffusers.DDPMScheduler", f"{UNET_PATH}.to",
        "diffplan.method.network.temporal_unet.torch.save",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["_target_", "_part_"])
def test_what_is_no_part_of_the_group_is_refused(asked, key):
    node = {key_: value for key_, value in UNET.items() if key_ != "_part_"} | {key: asked}
    with pytest.raises(CheckpointError, match="which is no part of a model"):
        part_settings("backbone", node, "backbone")


@pytest.mark.parametrize(
    "target",
    ["diffusers.DDPMScheduler.from_pretrained", "diffusers.utils.importlib", "diffusers.schedulers.os.Scheduler"],
)
def test_only_schedulers_at_the_top_of_diffusers_are_schedulers(target):
    with pytest.raises(CheckpointError, match="which is no part of a model"):
        part_settings("scheduler", {"_target_": target}, "scheduler")


def test_a_scheduler_that_diffusers_does_not_have_is_refused():
    with pytest.raises(CheckpointError, match="which the installed diffusers does not have"):
        part_settings("scheduler", {"_target_": "diffusers.UnheardOfScheduler"}, "scheduler")


@pytest.mark.parametrize(
    ("group", "node", "key"),
    [
        ("backbone", {"dim": "8"}, "dim"),
        ("backbone", {"dim": 8.5}, "dim"),
        ("backbone", {"dim": True}, "dim"),
        ("backbone", {"dim": None}, "dim"),
        ("backbone", {"dim": 10**9}, "dim"),
        ("backbone", {"dim": {"of": 8}}, "dim"),
        ("backbone", {"dim": [8]}, "dim"),
        ("backbone", {"dim_multipliers": [1, "2"]}, "dim_multipliers"),
        ("backbone", {"dim_multipliers": [1, 2.5, 2]}, "dim_multipliers"),
        ("backbone", {"dim_multipliers": [1] * 100}, "dim_multipliers"),
        ("backbone", {"dim_multipliers": []}, "dim_multipliers"),
        ("backbone", {"dim_multipliers": "12"}, "dim_multipliers"),
        ("backbone", {"attention": 1}, "attention"),
        ("backbone", {"attention": []}, "attention"),
        ("backbone", {"surprise": 1}, "surprise"),
        ("backbone", {"_args_": []}, "_args_"),
        ("scheduler", {"num_train_timesteps": 10**9}, "num_train_timesteps"),
        ("scheduler", {"num_train_timesteps": 0}, "num_train_timesteps"),
        ("scheduler", {"prediction_type": "sample${x}"}, "prediction_type"),
        ("scheduler", {"prediction_type": "[red]sample"}, "prediction_type"),
        ("scheduler", {"prediction_type": "../../sample"}, "prediction_type"),
        ("scheduler", {"trained_betas": ["a"]}, "trained_betas"),
        ("scheduler", {"beta_start": float("nan")}, "beta_start"),
    ],
)
def test_a_wrong_setting_of_a_part_is_named(group, node, key):
    good = {"backbone": UNET, "scheduler": DDPM}[group]
    with pytest.raises(CheckpointError, match=rf"^{group}.*{key}"):
        part_settings(group, {**good, **node}, group)


@pytest.mark.parametrize("node", [{"dim": {"_target_": "os.system"}}, {"more": [{"a": {"_part_": "os.system"}}]}])
def test_a_part_inside_a_part_is_refused(node):
    with pytest.raises(CheckpointError, match=r"asks for 'os\.system' to be called"):
        part_settings("backbone", {**UNET, **node}, "backbone")


def test_a_missing_setting_is_named_unless_the_caller_gives_it():
    lacking = {key: value for key, value in UNET.items() if key != "transition_dim"}
    with pytest.raises(CheckpointError, match="backbone lacks the setting 'transition_dim'"):
        part_settings("backbone", lacking, "backbone")
    assert "transition_dim" not in part_settings("backbone", lacking, "backbone", given=["transition_dim"])


def test_whole_floats_may_be_written_as_integers_and_tuples_as_lists():
    assert typed(1, float, "scale") == 1
    assert typed([1, 2.5], tuple[float, ...] | None, "numbers") == [1, 2.5]
    assert typed({"single_task": [83, 2]}, dict[str, list[float]], "scores") == {"single_task": [83, 2]}
    with pytest.raises(CheckpointError, match="scale must be float, got True"):
        typed(True, float, "scale")


def test_every_item_of_a_long_list_is_checked():
    with pytest.raises(CheckpointError, match="steps must be"):
        typed([*range(500), "x", *range(500)], list[int], "steps")


def test_what_is_shown_is_short_and_has_no_control_characters():
    for value in ("\x1b[31m" * 100, 10**10000, [10**10000], nested(100), {"a": "b" * 1000}, "ü"):
        assert len(shown(value)) < 200
        assert shown(value).isascii()
        assert shown(value).isprintable()


def test_settings_are_checked_without_torch():
    program = (
        "import sys; from diffplan.config.stored_settings import part_settings;"
        f"part_settings('backbone', {UNET!r}, 'backbone'); part_settings('scheduler', {DDPM!r}, 'scheduler');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
