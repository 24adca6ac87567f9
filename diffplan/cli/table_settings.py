"""The words after ``diffplan-table``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diffplan.config.command_words import closest, parse_words
from diffplan.errors import ConfigError
from diffplan.report.comparability import ASPECTS

HELP = """\
diffplan-table [1|2|3|ablation] [key=value ...]

Rebuilds the paper's tables from results: the published columns and ours beside them. Without a number: every table that
has a result. `ablation` compares runs that differ in one or two settings.

which results
  results=outputs            folder or folders, [a,b]; every results.json below it
  wandb=entity/project       the same from W&B; without results=... only from there
  name=...  sweep=...        only runs of that name, of that sweep; * stands for anything
  task=...  group=...        only of that task; of that W&B group, task/name/ablation, or of those it begins
  protocol=...               single_task or multi2d; ablation: both by default
  ablation=default           which changes to the defaults get a column: default, all, or words with *
  metric=score               or latched: every step after first reaching the goal counts
  seeds=3                    training seeds that a whole cell has; cells with fewer are marked

what must agree
  allow=[]                   of data, environment, versions, settings, episodes: what averaged results may differ in

ablation
  baseline=...               the value to compare with; by default what was run without changes
  picture=ablation.png       draw it, too; .png, .svg or .pdf

where it goes
  format=text                or markdown, latex, csv (one line a cell), wandb
  to=...                     file; its ending chooses the format where none is given. For wandb: entity/project

  diffplan-table 1
  diffplan-table 2 results=[outputs,/elsewhere] format=latex to=table2.tex
  diffplan-table ablation sweep=quickstart_width picture=width.png
"""
_FORMATS = ("text", "markdown", "latex", "csv", "wandb")
_ENDINGS = {".txt": "text", ".md": "markdown", ".tex": "latex", ".csv": "csv"}
_CHOICES: dict[str, tuple[str, ...]] = {
    "format": _FORMATS, "metric": ("score", "latched"), "allow": ASPECTS, "protocol": ("single_task", "multi2d"),
}  # fmt: skip
_KINDS = ("1", "2", "3", "ablation")
_COMMAND = "diffplan-table"


@dataclass
class TableSettings:
    """What can be said on the command line; the meaning of each is in its help.

    Attributes:
        results: Folders.
        wandb: W&B project.
        name: Of runs.
        sweep: Of runs.
        task: Of runs.
        group: Of runs.
        protocol: Of episodes.
        ablation: Which ablations.
        metric: Which score.
        seeds: Of a whole cell.
        allow: What may differ.
        baseline: Value.
        picture: File.
        format: Of the output.
        to: Place of the output.
    """

    results: list[str] | None = None
    wandb: str | None = None
    name: str | None = None
    sweep: str | None = None
    task: str | None = None
    group: str | None = None
    protocol: str | None = None
    ablation: str | None = None
    metric: str = "score"
    seeds: int = 3
    allow: list[str] = field(default_factory=list)
    baseline: str | None = None
    picture: str | None = None
    format: str | None = None
    to: str | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> tuple[str | None, "TableSettings"]:
        """Reads a command line.

        Args:
            words: Arguments without the program's name.

        Returns:
            Which table, ``1`` to ``3`` or ``ablation``; None for none. And the settings.

        Raises:
            ConfigError: something in it is not known; the message says what was probably meant.
        """
        return _kind([word for word in words if "=" not in word]), _settings([w for w in words if "=" in w])


def _kind(words: Sequence[str]) -> str | None:
    if len(words) > 1:
        raise ConfigError(f"one table can be asked for at a time, got {' '.join(words)}; say key=value for the rest.")
    if words and words[0] not in _KINDS:
        raise ConfigError(f"there is no table {words[0]!r}{closest(words[0], list(_KINDS))}")
    return words[0] if words else None


def _settings(words: Sequence[str]) -> TableSettings:
    settings = parse_words(words, TableSettings, _COMMAND)
    if settings.seeds < 1:
        raise ConfigError(f"seeds must be at least 1, got {settings.seeds}.")
    if settings.format is None:
        settings.format = "text" if settings.to is None else _ENDINGS.get(Path(settings.to).suffix, "text")
    for key, choices in _CHOICES.items():
        value = getattr(settings, key)
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one not in choices:
                raise ConfigError(f"{key} cannot be {one!r}{closest(one, list(choices))}")
    return settings
