import pytest

from diffplan.cli.export import main
from diffplan.cli.export_settings import HELP, ExportSettings


def test_the_help_names_every_setting(capsys):
    main(["--help"])
    assert capsys.readouterr().out == HELP
    for name, field in ExportSettings.__dataclass_fields__.items():
        assert f"  {field.metadata.get('word', name)}=" in HELP


def test_places_are_taken_letter_by_letter():
    settings = ExportSettings.parse(["checkpoint=runs/a=b/1e3", "to=007"])
    assert settings == ExportSettings("runs/a=b/1e3", "007")


def test_a_missing_word_is_one_sentence():
    with pytest.raises(
        SystemExit, match=r"^diffplan-export: checkpoint=\.\.\. must be given; see diffplan-export --help\.$"
    ):
        main(["to=x"])
