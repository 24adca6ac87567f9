import json

from diffplan.report.sheet import Sheet, SheetCell, SheetRow
from diffplan.tracking.wandb_logger import log_sheets


def sheet(title="Table 1, mazes"):
    rows = [
        SheetRow("Maze2D", kind="heading"),
        SheetRow("U-Maze", [SheetCell(["1.0 ± 0.1", "n = 1 x 2"], ["partial"])]),
    ]
    return Sheet(title, "", ["ours"], rows, ["A note."], [{"column": "ours", "mean": 1.0}])


def test_a_table_is_logged_as_printed_and_as_data(clean_wandb, tmp_path):
    clean_wandb.setenv("WANDB_MODE", "offline")
    assert "wandb sync" in log_sheets([sheet()], "lab/diffplan", tmp_path)
    tables = {path.name.split(".")[0]: json.loads(path.read_text()) for path in tmp_path.rglob("*.table.json")}
    printed, data = sorted(tables.values(), key=lambda table: len(table["data"]), reverse=True)
    assert printed["columns"] == ["row", "ours"]
    assert printed["data"] == [
        ["Maze2D", ""],
        ["U-Maze", "1.0 ± 0.1 [a] n = 1 x 2"],
        ["[a] partial", ""],
        ["A note.", ""],
    ]
    assert (data["columns"], data["data"]) == (["column", "mean"], [["ours", 1.0]])


def test_the_same_folder_is_the_same_run(clean_wandb, tmp_path):
    clean_wandb.setenv("WANDB_MODE", "offline")
    log_sheets([sheet()], "diffplan", tmp_path)
    run_id = (tmp_path / "wandb_run_id").read_text().strip()
    log_sheets([sheet()], "diffplan", tmp_path)
    folders = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert len(folders) == 2
    assert all(f"-{run_id}" in name for name in folders)
