from collections.abc import Sequence
from dataclasses import dataclass, field

from diffplan.config.command_words import closest, parse_words
from diffplan.errors import ConfigError
from diffplan.report.comparability import ASPECTS

HELP = """\
diffplan-dashboard [key=value ...]

Shows a sweep, a group or a whole project: one local HTML page, or a W&B workspace and report.

which runs
  results=outputs            folder or folders, [a,b]; every results.json below it
  sweep=...  name=...        only runs of that sweep, of that name; * stands for anything
  task=...  group=...        only of that task; of that W&B group, task/name/ablation, or of those it begins
  allow=[]                   of data, environment, versions, settings, episodes: what averaged results may differ in
  baseline=...               the value to compare with; by default what was run without changes

one page, no account
  to=dashboard.html          the file; it holds all it shows, fetches nothing and can be sent to others
  max_mib=20                 most that pictures and videos may take in it

Weights & Biases (pip install 'diffplan[dashboard]')
  wandb=entity/project       where workspace and report go
  to=dashboard.json          what would be sent there, checked without a server
  publish=true               sends it; runs are read from W&B, unless results=... names folders

  diffplan-dashboard sweep=quickstart_width to=width.html
  diffplan-dashboard sweep=quickstart_width wandb=lab/diffplan
  diffplan-dashboard sweep=quickstart_width wandb=lab/diffplan publish=true
"""
_COMMAND = "diffplan-dashboard"
_PAGE_ENDINGS, _SPEC_ENDING = (".html", ".htm"), ".json"


@dataclass
class DashboardSettings:
    """What can be said on the command line; the meaning of each is in its help.

    Attributes:
        results: Folders; None for the default place.
        wandb: W&B project.
        sweep: Of runs.
        name: Of runs.
        task: Of runs.
        group: Of runs.
        allow: What may differ.
        baseline: Value.
        to: File.
        max_mib: Of pictures and videos.
        publish: Whether W&B gets it.
    """

    results: list[str] | None = None
    wandb: str | None = None
    sweep: str | None = None
    name: str | None = None
    task: str | None = None
    group: str | None = None
    allow: list[str] = field(default_factory=list)
    baseline: str | None = None
    to: str | None = None
    max_mib: float = 20.0
    publish: bool = False

    @classmethod
    def parse(cls, words: Sequence[str]) -> "DashboardSettings":
        """Reads a command line.

        Args:
            words: Arguments without the program's name.

        Raises:
            ConfigError: something in it is not known, or does not go together.
        """
        settings = parse_words(words, cls, _COMMAND)
        for aspect in settings.allow:
            if aspect not in ASPECTS:
                raise ConfigError(f"allow cannot be {aspect!r}{closest(aspect, ASPECTS)}")
        if settings.to is None and not settings.publish:
            settings.to = "dashboard.html" if settings.wandb is None else "dashboard.json"
        if settings.to is not None and not settings.to.endswith((*_PAGE_ENDINGS, _SPEC_ENDING)):
            raise ConfigError(f"to must name an .html page or a .json file, got {settings.to!r}.")
        needs = "publish=true" if settings.publish else f"to={settings.to}" if settings.is_spec else None
        if needs and (settings.wandb is None or settings.wandb.count("/") != 1 or not all(settings.wandb.split("/"))):
            raise ConfigError(f"{needs} needs wandb=entity/project, got wandb={settings.wandb or ''}.")
        if settings.max_mib < 0:
            raise ConfigError(f"max_mib must not be negative, got {settings.max_mib:g}.")
        return settings

    @property
    def is_page(self) -> bool:
        """Whether a page is asked for."""
        return self.to is not None and self.to.endswith(_PAGE_ENDINGS)

    @property
    def is_spec(self) -> bool:
        """Whether a file of what W&B would get is asked for."""
        return self.to is not None and self.to.endswith(_SPEC_ENDING)

    @property
    def reads_wandb(self) -> bool:
        """Whether runs are read from W&B."""
        return self.results is None and self.wandb is not None and (self.publish or self.is_page)
