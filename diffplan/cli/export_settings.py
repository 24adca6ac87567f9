"""The words after ``diffplan-export``."""

from collections.abc import Sequence
from dataclasses import dataclass

from diffplan.config.command_words import MISSING, parse_words

HELP = """\
diffplan-export checkpoint=<run> to=<folder> [key=value ...]

Writes a trained model, with its critic where it has one, as a folder that diffplan's DiffuserPipeline and, where it can
plan with it, diffusers' ValueGuidedRLPipeline load: safetensors, JSON and a model card.

  checkpoint=...             a run's folder or a .ckpt file
  to=...                     the folder; an export that is there already is replaced, anything else is not
  critic=...                 the critic's run or file; by default the one beside the denoiser
  license=mit                of the weights, as the Hub names it

  diffplan-export checkpoint=outputs/hopper-medium-expert-v2/hopper_on_cpu/seed0-... to=exported
"""


@dataclass
class ExportSettings:
    """What can be said on the command line; the meaning of each is in its help.

    Attributes:
        checkpoint: Run or file.
        to: Folder.
        critic: Run or file.
        license: Name.
    """

    checkpoint: str = MISSING
    to: str = MISSING
    critic: str | None = None
    license: str = "mit"

    @classmethod
    def parse(cls, words: Sequence[str]) -> "ExportSettings":
        """Reads a command line.

        Args:
            words: Arguments without the program's name.

        Raises:
            ConfigError: something in it is not known, or missing.
        """
        return parse_words(words, cls, "diffplan-export")
