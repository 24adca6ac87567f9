"""Models of the locomotion bodies with the masses and contacts that they had when D4RL's data was recorded."""

from typing import Literal

import mujoco

# From this release on, the contact distance of two geoms is the sum of their margins. Before, it was the larger margin.
_MARGINS_ADD_UP_SINCE = (3, 5, 0)


def locomotion_model(path: str, capsule_masses: Literal["d4rl", "exact"]) -> mujoco.MjModel:
    """Compiles a model.

    - Before MuJoCo 2.1.2, a capsule had the mass and inertia of a cylinder that is longer by half a radius at each end
      than the cylindrical part of the capsule. D4RL's data is older than that release.
    - Before MuJoCo 3.5, contacts began at the larger margin of two geoms, now they begin at the sum. If all geoms of a
      model have the same margin, half of it gives the old distance.
    - A total mass that the file requests is set after compiling, because MuJoCo warns about the attribute in the file.

    Args:
        path: The model as XML.
        capsule_masses: ``d4rl`` as described above, ``exact`` for those of current MuJoCo.
    """
    specification = mujoco.MjSpec.from_file(path)
    total_mass = specification.compiler.settotalmass
    specification.compiler.settotalmass = -1.0
    if tuple(int(part) for part in mujoco.__version__.split(".")[:3]) >= _MARGINS_ADD_UP_SINCE:
        for geom in specification.geoms:
            geom.margin /= 2.0
    model = specification.compile()
    if capsule_masses == "d4rl":
        weighed = _with_cylinders(specification, model)
        model.body_mass, model.body_inertia = weighed.body_mass, weighed.body_inertia
        model.body_ipos, model.body_iquat = weighed.body_ipos, weighed.body_iquat
    if total_mass > 0:
        mujoco.mj_setTotalmass(model, total_mass)
    # Update what MuJoCo derives from the masses.
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _with_cylinders(specification: mujoco.MjSpec, model: mujoco.MjModel) -> mujoco.MjModel:
    """Compiles the same bodies with a cylinder instead of each capsule."""
    twin = specification.copy()
    for index, geom in enumerate(twin.geoms):
        if geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE:
            radius, half_length, _ = model.geom_size[index]
            geom.type = mujoco.mjtGeom.mjGEOM_CYLINDER
            # Set by position, because the ends in the ``fromto`` of the file would be those of the shorter cylinder.
            geom.fromto = [float("nan")] * 6
            geom.size = [radius, half_length + radius / 2.0, 0.0]
            geom.pos, geom.quat = model.geom_pos[index], model.geom_quat[index]
            geom.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    return twin.compile()
