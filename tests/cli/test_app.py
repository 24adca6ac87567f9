"""``diffplan`` and its verbs, as a user types them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from diffplan.cli.app import app, main, with_options

ROOT = Path(__file__).parents[2]
HYDRA_VERBS = ("train", "plan", "schedulers", "guidance")
VERBS = (*HYDRA_VERBS, "data", "table", "dashboard", "export", "import", "completion")
DATA_VERBS = ("list", "fetch", "generate", "collect", "inspect", "verify")
# What reads sys.argv[0] to know the verb that an old name stands for.
OLD_NAME = "import sys; from diffplan.cli.app import main_of_old_name; sys.argv[0] = 'bin/{}'; main_of_old_name()"
SLOW = ("torch", "lightning", "wandb", "matplotlib", "mujoco", "diffusers", "pandas", "altair", "hydra")


def run(*command: str, columns: int = 80) -> subprocess.CompletedProcess:
    environment = {**os.environ, "COLUMNS": str(columns), "HYDRA_FULL_ERROR": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=environment)


def diffplan(*words: str) -> subprocess.CompletedProcess:
    return run("-m", "diffplan", *words)


def old_name(name: str, *words: str) -> subprocess.CompletedProcess:
    return run("-c", OLD_NAME.format(name), *words)


def sentence(capsys, *words: str) -> str:
    """What a mistake prints, in this process."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert capsys.readouterr().out == ""
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


@pytest.fixture
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    # The application keeps the console of an earlier test, with that test's width.
    monkeypatch.setattr(app, "_console", Console())


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_help_lists_every_verb_with_what_it_does(columns, capsys, words):
    main(words)
    out = capsys.readouterr().out
    for verb in VERBS:
        assert re.search(rf"│ {verb} +[A-Z]\w+,? \w+", out), verb
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_the_help_loads_nothing_slow():
    code = "import sys; from diffplan.cli.app import main; main(['--help'])"
    loaded = f"print([name for name in {SLOW} if name in sys.modules])"
    assert run("-c", f"{code}; {loaded}").stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in HYDRA_VERBS])
def test_the_help_of_a_verb_has_an_example(columns, capsys, verb):
    main([verb, "--help"])
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: diffplan {verb}")
    assert f"diffplan {verb} " in out.partition("Example")[2]
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("verb", DATA_VERBS)
def test_the_help_of_a_data_command_has_an_example(columns, capsys, verb):
    main(["data", verb, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith(f"Usage: diffplan data {verb}")
    assert f"Example: diffplan data {verb}" in out


@pytest.mark.parametrize("verb", HYDRA_VERBS)
def test_the_help_of_a_hydra_verb_is_hydra_s(verb):
    result = diffplan(verb, "--help")
    assert result.returncode == 0, result.stderr
    assert f"Example: diffplan {verb} " in result.stdout
    assert "== Configuration groups ==" in result.stdout
    assert result.stdout == old_name(f"diffplan-{verb}", "--help").stdout


def test_the_version_is_printed(capsys):
    main(["--version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tabel"], 'diffplan: Unknown command "tabel". Did you mean "table"?'),
        (["data", "verfy"], 'diffplan data: Unknown command "verfy". Did you mean "verify"?'),
        (["table", "--sweap", "x"], "diffplan table: Unknown option: --sweap. Did you mean --sweep?"),
        (["table", "sweap=x"], "diffplan table: Unknown option: --sweap=x. Did you mean --sweep?"),
        (["import", "--epoch", "last", "--from", "a", "--to", "b"], 'unable to convert "last" into int'),
        (["import", "--to", "x"], "--from requires an argument"),
        (["export", "--checkpoint", "nowhere", "--to", "x"], "there is no checkpoint at nowhere"),
        (["data", "fetch"], "NAMES requires an argument"),
        (["completion", "csh"], 'Choose from: "bash", "zsh", "fish".'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(capsys, words, expected):
    assert expected in sentence(capsys, *words)


@pytest.mark.parametrize("words", [("tabel",), ("table", "--sweap", "x"), ("train", "optimzer.lr=1"), ("plan",)])
def test_a_mistake_exits_with_1_and_no_traceback(words):
    result = diffplan(*words)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("diffplan")


def test_ctrl_c_is_one_sentence(capsys, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("diffplan.cli.data.catalog", interrupt)
    with pytest.raises(SystemExit, match="130"):
        main(["data", "list"])
    assert capsys.readouterr().err == "Interrupted; rerun the same command to resume.\n"


def test_a_reader_that_stops_reading_is_no_error():
    command = f"{sys.executable} -m diffplan train --help | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert "diffplan train" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("verb", HYDRA_VERBS)
def test_hydra_gets_every_word_untouched(verb, monkeypatch):
    words = ["-m", "--help", "-h", "--version", "--cfg", "job", "--dry", "+a=[1,2]", "~b", "--", "c='x y'", "-x"]
    received = []

    def record(module, run_name, alter_sys):
        received.append((module, run_name, sys.argv[1:]))

    monkeypatch.setattr("sys.argv", ["diffplan"])
    monkeypatch.setattr("runpy.run_module", record)
    main([verb, *words])
    assert received == [(f"diffplan.cli.{verb}", "__main__", words)]


def test_the_processes_of_a_distributed_run_start_the_verb_itself():
    """Lightning starts them with the name of the main module and ``sys.argv``."""
    code = (
        "import sys\n"
        "def show(*arguments, **options):\n"
        "    import __main__\n"
        "    print(__main__.__spec__.name, sys.argv[1:])\n"
        "import hydra; hydra.main = lambda **options: lambda job: show\n"
        "from diffplan.cli.app import main; main(['train', 'seed=1'])"
    )
    assert run("-c", code).stdout == "diffplan.cli.train ['seed=1']\n"


@pytest.mark.parametrize("words", [("--cfg", "job"), ("-m", "seed=0,1", "--dry")], ids=" ".join)
def test_an_old_name_is_the_verb(words):
    new, old = diffplan("train", *words), old_name("diffplan-train", *words)
    assert new.returncode == 0, new.stderr
    assert (new.stdout, new.stderr) == (old.stdout, old.stderr)


@pytest.mark.parametrize("verb", ["data", "table", "dashboard", "export", "import"])
def test_an_old_name_has_the_verb_s_help(verb):
    new, old = diffplan(verb, "--help"), old_name(f"diffplan-{verb}", "--help")
    assert (new.returncode, old.returncode) == (0, 0)
    assert new.stdout == old.stdout


def test_every_verb_has_its_old_name_as_a_script():
    scripts = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2].partition("\n[")[0]
    assert 'diffplan = "diffplan.cli.app:main"' in scripts
    for verb in VERBS:
        if verb != "completion":
            assert f'diffplan-{verb} = "diffplan.cli.app:main_of_old_name"' in scripts


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "table ablation sweep=quickstart_width picture=w.png",
            "table ablation --sweep=quickstart_width --picture=w.png",
        ),
        (
            "table results=[a,b/c] allow=[versions,data]",
            "table --results=a --results=b/c --allow=versions --allow=data",
        ),
        ("table results=a name=[ab]*", "table --results=a --name=[ab]*"),
        ("table allow=[]", "table"),
        ("dashboard max_mib=1.5 publish=true", "dashboard --max-mib=1.5 --publish=true"),
        ("export checkpoint=runs/a=b/1e3 to=007", "export --checkpoint=runs/a=b/1e3 --to=007"),
        ("import from=exported to=x", "import --from=exported --to=x"),
        ("table --ablation dim=8", "table --ablation dim=8"),
        ("table backbone.dim=8", "table backbone.dim=8"),
        ("data collect x --policy expert=a.zip", "data collect x --policy expert=a.zip"),
        ("train seed=1", "train seed=1"),
        ("", ""),
    ],
)
def test_the_old_spelling_becomes_options(words, expected):
    assert with_options(words.split()) == expected.split()


@pytest.mark.parametrize("value", ["0.1", "a=b,c=-1-", "null", "it's ${oc.env:HOME}", "*: [x", "true", "1e3", "-1", ""])
def test_a_value_is_taken_letter_by_letter(value):
    _, bound, _ = app.parse_args(with_options(["table", f"name={value}"]))
    assert bound.arguments["settings"].name == value


def test_a_flag_of_the_old_spelling_can_be_true_or_false():
    for word, expected in (("true", True), ("false", False)):
        words = with_options(["dashboard", "wandb=a/b", f"publish={word}"])
        assert app.parse_args(words)[1].arguments["settings"].publish is expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_verbs_and_options(capsys, shell):
    main(["completion", shell])
    script = capsys.readouterr().out
    for word in ("dashboard", "picture", "fetch", "base-url"):
        assert word in script


def test_the_completion_of_bash_is_a_script_that_bash_reads(capsys):
    main(["completion"])
    result = subprocess.run(["bash", "-n"], input=capsys.readouterr().out, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
