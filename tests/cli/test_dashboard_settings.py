import re

import pytest

from diffplan.cli.dashboard_settings import HELP, DashboardSettings
from diffplan.errors import ConfigError


def test_a_page_is_made_where_nothing_else_is_said():
    settings = DashboardSettings.parse(["sweep=width"])
    assert (settings.to, settings.is_page, settings.is_spec, settings.reads_wandb) == (
        "dashboard.html",
        True,
        False,
        False,
    )


def test_a_project_is_checked_without_a_server_until_it_is_published():
    settings = DashboardSettings.parse(["wandb=lab/diffplan"])
    assert (settings.to, settings.is_spec, settings.reads_wandb) == ("dashboard.json", True, False)
    published = DashboardSettings.parse(["wandb=lab/diffplan", "publish=true"])
    assert (published.to, published.reads_wandb) == (None, True)
    assert not DashboardSettings.parse(["wandb=lab/diffplan", "publish=true", "results=outputs"]).reads_wandb


def test_a_page_of_a_project_is_made_from_its_runs():
    assert DashboardSettings.parse(["wandb=lab/diffplan", "to=page.html"]).reads_wandb


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["publish=true"], "publish=true needs wandb=entity/project, got wandb=."),
        (["publish=true", "wandb=diffplan"], "publish=true needs wandb=entity/project, got wandb=diffplan."),
        (["to=spec.json"], "to=spec.json needs wandb=entity/project"),
        (["to=page.pdf"], "to must name an .html page or a .json file, got 'page.pdf'."),
        (["allow=version"], "allow cannot be 'version'; did you mean 'versions'?"),
        (["max_mib=-1"], "max_mib must not be negative, got -1."),
        (["swep=x"], "there is no setting 'swep'; did you mean 'sweep'?"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words, message):
    with pytest.raises(ConfigError) as raised:
        DashboardSettings.parse(words)
    assert message in str(raised.value)


def test_help_names_every_setting():
    named = set(re.findall(r"(?:^|  )(\w+)=", HELP, flags=re.MULTILINE))
    assert set(DashboardSettings.__dataclass_fields__) <= named
