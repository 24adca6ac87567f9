"""An ablation as a table."""

from typing import Any

from diffplan.report.table.ablation import Ablation, AblationCell, value_text
from diffplan.report.table.repetition_notes import repetition_notes
from diffplan.report.table.sheet import MISSING, Sheet, SheetCell, SheetRow

_NOT_D4RL = "trained on {} data: no D4RL result"


def ablation_sheet(ablation: Ablation) -> Sheet:
    """Puts one combination of values on a line: score, cost, and how it compares with the baseline.

    Args:
        ablation: What was varied.
    """
    has_flops = any(cell.pool.decision_gflop is not None for cell in ablation.cells)
    columns = ["score ± s.e.", "mean, 95 %", "IQM, 95 %", "n", *(["GFLOP/step"] if has_flops else []), "CPU s/step"]
    if ablation.baseline is not None:
        columns += ["paired difference, 95 %", "P(better), 95 %"]
    rows = [SheetRow(_label(cell), _cells(cell, ablation, has_flops)) for cell in ablation.cells]
    score = "latched score" if ablation.metric == "latched" else "score"
    return Sheet(
        title=f"{ablation.task}, {ablation.protocol}: {score} by {' and '.join(ablation.settings)}",
        corner=", ".join(ablation.settings),
        columns=columns,
        rows=rows,
        notes=_notes(ablation),
        records=[_record(cell, ablation) for cell in ablation.cells],
    )


def _label(cell: AblationCell) -> str:
    return ", ".join(value_text(value) for value in cell.values) + (" (baseline)" if cell.is_baseline else "")


def _cells(cell: AblationCell, ablation: Ablation, has_flops: bool) -> list[SheetCell]:
    found, change, better = cell.statistics, cell.difference, cell.improvement
    kinds = {str(stored.result.data["kind"]) for stored in cell.pool.results} - {"d4rl"}
    marks = [_NOT_D4RL.format(kind) for kind in sorted(kinds)]
    marks += [
        f"played in {env_id}, which is another environment"
        for env_id in sorted({stored.result.environment.get("env_id", "") for stored in cell.pool.results})
        if env_id != ablation.task
    ]
    texts = [_interval(found.mean, found.mean_interval), _interval(found.iqm, found.iqm_interval), found.count_text]
    if has_flops:
        texts.append(_cost(cell.pool.decision_gflop))
    texts.append(_cost(cell.pool.decision_cpu_seconds))
    if ablation.baseline is not None:
        texts.append(MISSING if change is None else _interval(change.mean, change.mean_interval, "+"))
        texts.append(MISSING if better is None else _interval(better.probability, better.interval, digits=2))
    return [SheetCell([f"{found.mean:.1f} ± {found.stderr:.1f}"], marks), *(SheetCell([text]) for text in texts)]


def _interval(middle: float, interval: tuple[float, float], sign: str = "", digits: int = 1) -> str:
    low, high = interval
    return f"{middle:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def _cost(cost: float | None) -> str:
    return MISSING if cost is None else f"{cost:.3g}"


def _notes(ablation: Ablation) -> list[str]:
    notes = [
        "± one standard error over all episodes; 95 % intervals of a bootstrap over training seeds and their episodes "
        "(of one seed: over its episodes); n = training seeds x episodes; IQM: interquartile mean; "
        "cost of one environment step."
    ]
    if ablation.baseline is not None:
        notes.append(
            "Paired difference to the baseline: same training seed, same episode. P(better): probability that a "
            "training scores above one of the baseline's on the same episode, ties half (Agarwal et al. 2021)."
        )
    else:
        notes.append("No value is known to be the baseline; name one with baseline=<value>.")
    for name, also in zip(ablation.settings, ablation.also, strict=True):
        if also:
            notes.append(f"What changes with {name} in these results: {', '.join(also)}; its effect is theirs too.")
    if ablation.allowed:
        notes.append(f"These results differ in {' and '.join(ablation.allowed)} too, which was allowed.")
    dropped = [text for cell in ablation.cells for text in cell.pool.dropped]
    return [*notes, *repetition_notes(dropped)]


def _record(cell: AblationCell, ablation: Ablation) -> dict[str, Any]:
    plain = next(c for c in ablation.to_dict()["cells"] if tuple(c["values"]) == cell.values)
    record: dict[str, Any] = {"task": ablation.task, "protocol": ablation.protocol, "metric": ablation.metric}
    record |= {name: value_text(value) for name, value in zip(ablation.settings, cell.values, strict=True)}
    for key, value in plain.items():
        if key in ("values", "seed_means"):
            continue
        if key.endswith("interval"):
            low, high = value or (None, None)
            stem = "mean" if key == "mean_interval" else key.removesuffix("_interval")
            record |= {f"{stem}_low": low, f"{stem}_high": high}
        else:
            record[key] = "; ".join(value) if key == "results" else value
    return record
