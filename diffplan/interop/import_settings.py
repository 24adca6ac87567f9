"""The words after ``diffplan-import``."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from diffplan.config.command_words import MISSING, parse_words

HELP = """\
diffplan-import from=<folder> to=<run> [key=value ...]

Turns a model in diffusers' layout, or one of the original repository, into an ordinary run of diffplan. Nothing is
unpickled: a file that would run code is refused by name.

  from=...                   a folder in diffusers' layout, a folder of the original's state_<epoch>.pt, or such a file
  to=...                     the run's folder
  task=...                   its name in conf/task; exports of diffplan know theirs
  critic=...                 the original's other folder or file
  statistics=...             what normalises: a run, an export, a JSON file with offset and scale, or `data`
  data_file=...              the HDF5 file for statistics=data; by default the task's
  prediction_type=...        sample, epsilon or v_prediction, where the files do not say
  horizon=...                rows of a plan, where the files do not say
  epoch=...                  one of several states; by default the last
  name=imported              the run's

  diffplan-import from=exported to=outputs/imported
  diffplan-import from=logs/hopper-medium-v2/diffusion/H32_T20 critic=logs/hopper-medium-v2/values/H32_T20 \\
      task=hopper-medium-v2 statistics=data to=outputs/original
"""


@dataclass
class ImportSettings:
    """What can be said on the command line; the meaning of each is in its help.

    Attributes:
        source: Folder or file; ``from`` on the command line.
        to: Folder.
        task: Name.
        critic: Folder or file.
        statistics: Where they are.
        data_file: File.
        prediction_type: Of the denoiser.
        horizon: Rows.
        epoch: Of the state.
        name: Of the run.
    """

    source: str = field(default=MISSING, metadata={"word": "from"})
    to: str = MISSING
    task: str | None = None
    critic: str | None = None
    statistics: str | None = None
    data_file: str | None = None
    prediction_type: str | None = None
    horizon: int | None = None
    epoch: int | None = None
    name: str = "imported"

    @classmethod
    def parse(cls, words: Sequence[str]) -> "ImportSettings":
        """Reads a command line.

        Args:
            words: Arguments without the program's name.

        Raises:
            ConfigError: something in it is not known, or missing.
        """
        return parse_words(words, cls, "diffplan-import")
