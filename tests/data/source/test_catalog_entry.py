from diffplan.data.catalog import dataset


def test_the_file_name_is_the_last_part_of_the_address():
    entry = dataset("hopper-medium-expert-v2")
    assert entry.url_path == "gym_mujoco_v2/hopper_medium_expert-v2.hdf5"
    assert entry.file_name == "hopper_medium_expert-v2.hdf5"
