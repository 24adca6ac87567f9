"""The command ``diffplan``: its verbs, their help and completion, and one sentence for a user's mistake."""

import os
import re
import runpy
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from diffplan import __version__
from diffplan.errors import DiffplanError, system_refusal
from diffplan.terminal import printable

_OLD_SPELLING = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)
_VERBS_WITH_OLD_SPELLING = {"table", "dashboard", "export", "import"}
_LISTS = {"results", "allow"}
_WRITTEN = ("--to", "--picture", "--data-dir")
_INTERRUPTED = 130


def _examples(*commands: str) -> str:
    return "\n".join(["Examples:", "", *(f"* `{command}`" for command in commands)])


app = App(
    name="diffplan",
    help="Train, evaluate and compare planning diffusion models.\n\n"
    "Run `diffplan COMMAND --help` to see what a command does, its options and an example.",
    help_format="markdown",
    version=__version__,
    # Without this, every list option has a second option such as --empty-results.
    default_parameter=Parameter(negative=()),
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

Words = Annotated[str, Parameter(allow_leading_hyphen=True)]
# Hydra reads these words, `--help` and `--` included.
_READ_BY_HYDRA: dict[str, Any] = {"help_flags": (), "version_flags": (), "end_of_options_delimiter": ""}


@app.command(sort_key=0, **_READ_BY_HYDRA)
def train(*words: Words) -> None:
    """Train a denoiser, and a critic where the task has one, then evaluate them.

    Example: `diffplan train experiment=quickstart`
    """
    _run_module("diffplan.cli.train", words)


@app.command(sort_key=1, **_READ_BY_HYDRA)
def plan(*words: Words) -> None:
    """Evaluate a trained model with any planner settings.

    Example: `diffplan plan checkpoint=outputs/maze2d-umaze-v1/diffuser/seed0-1a2b3c4d`
    """
    _run_module("diffplan.cli.plan", words)


@app.command(sort_key=2, **_READ_BY_HYDRA)
def schedulers(*words: Words) -> None:
    """Measure how few denoising steps keep the score, under each scheduler.

    Example: `diffplan schedulers checkpoint=outputs/maze2d-umaze-v1/diffuser/seed0-1a2b3c4d`
    """
    _run_module("diffplan.cli.schedulers", words)


@app.command(sort_key=3, **_READ_BY_HYDRA)
def guidance(*words: Words) -> None:
    """Check whether guidance helps, at which scale and with how many plans.

    Example: `diffplan guidance checkpoint=outputs/hopper-medium-v2/diffuser/seed0-1a2b3c4d`
    """
    _run_module("diffplan.cli.guidance", words)


# A command's module is loaded when the command runs. Its help stands here, so that `diffplan --help` loads none.
app.command(
    "diffplan.cli.data:app",
    name="data",
    help="List, download, make, inspect and check data sets.\n\nExample: `diffplan data fetch maze2d-umaze-v1`",
    sort_key=4,
)
app.command(
    "diffplan.cli.table:table",
    name="table",
    help="Rebuild the paper's tables from results, or compare runs that differ in one or two settings.\n\n"
    "The published numbers stand beside ours.",
    help_epilogue=_examples(
        "diffplan table 1",
        "diffplan table 2 --results outputs --results /elsewhere --to table2.tex",
        "diffplan table ablation --sweep quickstart_width --picture width.png",
    ),
    sort_key=5,
)
app.command(
    "diffplan.cli.dashboard:dashboard",
    name="dashboard",
    help="Show a sweep, a group or a project as one HTML page, or as a W&B workspace and report.",
    help_epilogue=_examples(
        "diffplan dashboard --sweep quickstart_width --to width.html",
        "diffplan dashboard --sweep quickstart_width --wandb lab/diffplan --publish",
    ),
    sort_key=6,
)
app.command(
    "diffplan.cli.export:export",
    name="export",
    help="Write a trained model as a folder for diffusers and for diffplan's pipeline.\n\n"
    "The folder holds safetensors, JSON and a model card. diffplan's DiffuserPipeline always loads it. The command "
    "says whether diffusers' ValueGuidedRLPipeline can load it, too.",
    help_epilogue=_examples(
        "diffplan export --checkpoint outputs/hopper-medium-v2/diffuser/seed0-1a2b3c4d --to exported"
    ),
    sort_key=7,
)
app.command(
    "diffplan.cli.import_model:import_model",
    name="import",
    help="Turn a model of diffusers or of the original repository into an ordinary run.\n\n"
    "Nothing is unpickled: a file that would run code is refused.",
    help_epilogue=_examples(
        "diffplan import --from exported --to outputs/imported",
        "diffplan import --from logs/hopper-medium-v2/diffusion/H32_T20 --task hopper-medium-v2 --statistics data "
        "--to outputs/original",
    ),
    sort_key=8,
)


@app.command(sort_key=10)
def completion(shell: Literal["bash", "zsh", "fish"] = "bash") -> None:
    """Print a script that completes verbs and options in your shell.

    Example: `diffplan completion bash >> ~/.bashrc`

    Args:
        shell: The shell that runs the script.
    """
    print(app.generate_completion(shell=shell))


def main(words: Sequence[str] | None = None) -> None:
    """Runs ``diffplan``.

    Args:
        words: The command line without the program's name; None takes it from ``sys.argv``.

    Raises:
        SystemExit: with one sentence after a user's mistake, with 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if words is None else words)
    command = " ".join(["diffplan", *words[:1]]) if words and words[0] in app else "diffplan"
    try:
        app(with_options(words))
    except UnusedCliTokensError as error:
        extra = ", ".join(map(repr, error.unused_tokens or []))
        sys.exit(printable(f"{command}: there is no use for {extra}; `{command} --help` shows what can be given."))
    except (CycloptsError, DiffplanError) as error:
        sys.exit(printable(f"{command}: {' '.join(str(error).splitlines())}"))
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Python would report it again when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        refusal = system_refusal(error, _places(words))
        if refusal is None:
            raise
        sys.exit(printable(f"{command}: {refusal}"))
    except KeyboardInterrupt:
        print("Interrupted; rerun the same command to resume.", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def _places(words: Sequence[str]) -> dict[str, str]:
    """The files and folders of a command line by the option that names them."""
    pairs = [*pairwise(words), *(word.split("=", 1) for word in words if "=" in word)]
    return {f"{option} ...": value for option, value in pairs if option in _WRITTEN} | {"TMPDIR": gettempdir()}


def main_of_old_name() -> None:
    """Runs ``diffplan <verb>`` for a script that is installed as ``diffplan-<verb>``."""
    main([Path(sys.argv[0]).stem.removeprefix("diffplan-"), *sys.argv[1:]])


def with_options(words: Sequence[str]) -> list[str]:
    """Rewrites ``table results=[a,b]`` as ``table --results=a --results=b``, so that older scripts keep working.

    Args:
        words: The command line. It is returned as it is if it has an option already, since a word after an option
            may be the option's value.
    """
    verb, *rest = words or [""]
    if verb not in _VERBS_WITH_OLD_SPELLING or any(word.startswith("-") for word in rest):
        return list(words)
    options = [verb]
    for word in rest:
        setting = _OLD_SPELLING.fullmatch(word)
        if setting is None:
            options.append(word)
            continue
        key, value = setting.groups()
        is_list = key in _LISTS and value.startswith("[") and value.endswith("]")
        values = [one.strip() for one in value[1:-1].split(",") if one.strip()] if is_list else [value]
        options += [f"--{key.replace('_', '-')}={one}" for one in values]
    return options


def _run_module(module: str, words: Sequence[str]) -> None:
    """Runs ``python -m module words`` in this process.

    Hydra reads ``sys.argv``, and Lightning starts the other processes of a distributed run by the name of the main
    module. Both must see the command itself, not ``diffplan``.
    """
    sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__", alter_sys=True)
