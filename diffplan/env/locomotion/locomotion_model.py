"""Bodies of the locomotion environments, with the masses and contacts they had when D4RL's data was recorded."""

from typing import Literal

import mujoco

# From this release on the contact distance of two geoms is the sum of their margins, before it was the greater one.
_MARGINS_ADD_UP_SINCE = (3, 5, 0)


def locomotion_model(path: str, capsule_masses: Literal["d4rl", "exact"]) -> mujoco.MjModel:
    """Compiles a model.

    - Until MuJoCo 2.1.2 a capsule had the mass and inertia of a cylinder, half a radius longer at each end than the
      capsule's own cylindrical part. D4RL's data is older.
    - Until MuJoCo 3.5 contacts began at the greater margin of two geoms, now at the sum. Where all geoms of a model
      have one margin, half of it is the same distance.
    - A total mass that the file asks for is set afterwards; MuJoCo complains about the file's own attribute.

    Args:
        path: The model as XML.
        capsule_masses: ``d4rl`` as above; ``exact`` as today's MuJoCo has them.
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
    # What MuJoCo derives from masses.
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _with_cylinders(specification: mujoco.MjSpec, model: mujoco.MjModel) -> mujoco.MjModel:
    """Compiles the same bodies with a cylinder in the place of each capsule."""
    twin = specification.copy()
    for index, geom in enumerate(twin.geoms):
        if geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE:
            radius, half_length, _ = model.geom_size[index]
            geom.type = mujoco.mjtGeom.mjGEOM_CYLINDER
            # Stated by its place, since the ends of a file's ``fromto`` would be those of the shorter cylinder.
            geom.fromto = [float("nan")] * 6
            geom.size = [radius, half_length + radius / 2.0, 0.0]
            geom.pos, geom.quat = model.geom_pos[index], model.geom_quat[index]
            geom.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    return twin.compile()
