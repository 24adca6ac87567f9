from importlib.resources import files

import numpy as np
import pytest

from diffplan.env.locomotion.locomotion_model import locomotion_model

ASSETS = files("gymnasium.envs.mujoco") / "assets"
DENSITY = 1000.0


def model_of(body, capsule_masses="d4rl"):
    return locomotion_model(str(ASSETS / f"{body}.xml"), capsule_masses)


def cylinder(radius, length):
    """Mass and inertia, across and along, of a cylinder half a radius longer at each end."""
    height = length + radius
    mass = DENSITY * np.pi * radius**2 * height
    return mass, mass * (3 * radius**2 + height**2) / 12, mass * radius**2 / 2


# Radius and length of torso, thigh, leg and foot, from the files.
@pytest.mark.parametrize(
    ("body", "capsules"),
    [
        ("hopper", [(0.05, 0.4), (0.05, 0.45), (0.04, 0.5), (0.06, 0.39)]),
        ("walker2d", [(0.05, 0.4)] + [(0.05, 0.45), (0.04, 0.5), (0.06, 0.2)] * 2),
    ],
)
def test_a_capsule_weighs_and_turns_as_the_cylinder_it_once_was(body, capsules):
    model = model_of(body)
    expected = np.array([cylinder(*capsule) for capsule in capsules])
    assert model.body_mass[1:] == pytest.approx(expected[:, 0])
    assert np.sort(model.body_inertia[1:], axis=1) == pytest.approx(np.sort(expected[:, [1, 1, 2]], axis=1))


def test_the_hopper_has_the_masses_that_were_printed_for_version_2():
    assert model_of("hopper").body_mass[1:] == pytest.approx([3.53429174, 3.92699082, 2.71433605, 5.0893801], abs=1e-8)


@pytest.mark.parametrize("capsule_masses", ["d4rl", "exact"])
def test_the_half_cheetah_weighs_the_14_kilograms_its_file_asks_for(capsule_masses):
    model = model_of("half_cheetah", capsule_masses)
    assert model.body_mass.sum() == pytest.approx(14.0, abs=1e-12)
    assert model.body_subtreemass[0] == pytest.approx(14.0, abs=1e-12)


def test_mass_is_split_over_the_half_cheetah_as_over_its_capsules():
    # Torso and head are one body; then thigh, shin and foot, behind and before. All have the radius 0.046.
    lengths = [(1.0, 0.3), (0.29,), (0.3,), (0.188,), (0.266,), (0.212,), (0.14,)]
    volumes = np.array([sum(length + 0.046 for length in body) for body in lengths])
    assert model_of("half_cheetah").body_mass[1:] == pytest.approx(14.0 * volumes / volumes.sum())


@pytest.mark.parametrize("body", ["hopper", "walker2d", "half_cheetah", "ant"])
def test_exact_masses_leave_gymnasium_s_model_as_it_is_but_for_the_margins(body, tmp_path, monkeypatch):
    # MuJoCo leaves a log of its warnings where it is called.
    monkeypatch.chdir(tmp_path)
    made = model_of(body, "exact")
    plain = type(made).from_xml_path(str(ASSETS / f"{body}.xml"))
    names = [name for name in dir(plain) if isinstance(getattr(plain, name, None), np.ndarray)]
    assert len(names) > 300
    differing = [name for name in names if not np.array_equal(getattr(plain, name), getattr(made, name))]
    has_margin = body in ("hopper", "ant")
    assert differing == (["body_margin", "geom_margin"] if has_margin else [])
    assert made.geom_margin == pytest.approx(plain.geom_margin / 2)


def test_what_a_model_s_file_says_of_contacts_and_motors_is_kept_with_the_older_masses():
    made, exact = model_of("ant"), model_of("ant", "exact")
    for name in ("geom_type", "geom_size", "geom_pos", "geom_friction", "jnt_range", "dof_armature", "actuator_gear"):
        np.testing.assert_array_equal(getattr(made, name), getattr(exact, name))


def test_nothing_is_said_and_no_log_is_left_behind(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model_of("half_cheetah")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
