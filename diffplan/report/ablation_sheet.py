"""An ablation as a table: a row for each combination of values, with score, cost and comparison to the baseline."""

from typing import Any

from diffplan.report.ablation import Ablation, AblationCell, value_text
from diffplan.report.pooled_scores import repetition_notes
from diffplan.report.sheet import MISSING, Sheet, SheetCell, SheetRow

_NOT_D4RL = "trained on {} data: no D4RL result"


def cell_entries(cell: AblationCell, ablation: Ablation) -> dict[str, tuple[float | None, str]]:
    """Returns what a table shows of one of an ablation's cells: by heading, a number to sort by or None, and a text."""
    found, change, better, pool = cell.statistics, cell.difference, cell.improvement, cell.pool
    entries: dict[str, tuple[float | None, str]] = {
        "score ± s.e.": (found.mean, f"{found.mean:.1f} ± {found.stderr:.1f}"),
        "mean, 95 %": (found.mean, _interval(found.mean, found.mean_interval)),
        "IQM, 95 %": (found.iqm, _interval(found.iqm, found.iqm_interval)),
        "n": (found.num_episodes, found.count_text),
    }
    if any(other.pool.decision_gflop is not None for other in ablation.cells):
        entries["GFLOP/step"] = (pool.decision_gflop, _cost(pool.decision_gflop))
    entries["CPU s/step"] = (pool.decision_cpu_seconds, _cost(pool.decision_cpu_seconds))
    if ablation.baseline is not None:
        entries |= {"paired difference, 95 %": (None, MISSING), "P(better), 95 %": (None, MISSING)}
    if change is not None:
        entries["paired difference, 95 %"] = change.mean, _interval(change.mean, change.mean_interval, "+")
    if better is not None:
        entries["P(better), 95 %"] = better.probability, _interval(better.probability, better.interval, digits=2)
    return entries


def ablation_sheet(ablation: Ablation) -> Sheet:
    """Writes one row for each cell of an ablation, which has at least one."""
    entries = [cell_entries(cell, ablation) for cell in ablation.cells]
    rows = []
    for cell, of_cell in zip(ablation.cells, entries, strict=True):
        first, *others = (text for _, text in of_cell.values())
        label = cell.values_text + (" (baseline)" if cell.is_baseline else "")
        rows.append(SheetRow(label, [SheetCell([first], _marks(cell, ablation)), *(SheetCell([t]) for t in others)]))
    score = "latched score" if ablation.metric == "latched" else "score"
    return Sheet(
        title=f"{ablation.task}, {ablation.protocol}: {score} by {' and '.join(ablation.settings)}",
        corner=", ".join(ablation.settings),
        columns=list(entries[0]),
        rows=rows,
        notes=_notes(ablation),
        records=[_record(cell, ablation) for cell in ablation.cells],
    )


def _marks(cell: AblationCell, ablation: Ablation) -> list[str]:
    results = [stored.result for stored in cell.pool.results]
    kinds = sorted({str(result.data["kind"]) for result in results} - {"d4rl"})
    played = sorted({result.environment.get("env_id", "") for result in results} - {ablation.task})
    return [
        *(_NOT_D4RL.format(kind) for kind in kinds),
        *(f"played in {env_id}, which is another environment" for env_id in played),
    ]


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
        notes.append("No value is known to be the baseline; name one with --baseline <value>.")
    for name, also in zip(ablation.settings, ablation.also, strict=True):
        if also:
            notes.append(f"What changes with {name} in these results: {', '.join(also)}; its effect is theirs too.")
    if ablation.allowed:
        notes.append(f"These results differ in {' and '.join(ablation.allowed)} too, which was allowed.")
    return [*notes, *repetition_notes([text for cell in ablation.cells for text in cell.pool.dropped])]


def _record(cell: AblationCell, ablation: Ablation) -> dict[str, Any]:
    """Returns every statistic of a cell, for CSV."""
    change, better = cell.difference, cell.improvement
    record: dict[str, Any] = {"task": ablation.task, "protocol": ablation.protocol, "metric": ablation.metric}
    record |= {name: value_text(value) for name, value in zip(ablation.settings, cell.values, strict=True)}
    record |= {"is_baseline": cell.is_baseline, **cell.statistics.record()}
    record |= {name: getattr(cell.pool, name) for name in ("decision_gflop", "decision_cpu_seconds")}
    low, high = (None, None) if change is None else change.mean_interval
    record |= {"difference": change and change.mean, "difference_low": low, "difference_high": high}
    low, high = (None, None) if better is None else better.interval
    record |= {"probability_of_improvement": better and better.probability}
    record |= {"probability_low": low, "probability_high": high}
    return record | {"results": "; ".join(stored.source for stored in cell.pool.results)}
