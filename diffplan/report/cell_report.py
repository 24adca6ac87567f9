"""A comparison of cells in files: Markdown, CSV, a picture a protocol and a page of charts."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import pandas as pd

from diffplan.files import write_atomically
from diffplan.report.charts import save_chart
from diffplan.report.page import Charts, Figure, Page, Section
from diffplan.report.run_summary import protocol_title
from diffplan.terminal import markdown_text

_LETTER_WIDTH = 6  # of a subtitle, in pixels


@dataclass(frozen=True)
class ProtocolCharts:
    """The charts of one protocol.

    Attributes:
        on_page: Panels of the page by title; a click on a name may show and hide it.
        in_picture: Panels of the picture by title.
        note: What stands below the title of the picture.
        width: Of a panel of the picture, in pixels.
        columns: Panels side by side in the picture.
    """

    on_page: Mapping[str, alt.LayerChart]
    in_picture: Mapping[str, alt.LayerChart]
    note: str
    width: int = 330
    columns: int = 3


def write_comparison(
    stem: str,
    heading: str,
    lines: Sequence[str],
    text: str,
    table: pd.DataFrame,
    charts: Mapping[str, ProtocolCharts],
    folder: Path,
) -> dict[str, Path]:
    """Writes a comparison into a folder.

    Args:
        stem: Name of the files.
        heading: What is compared, for which model.
        lines: Muted lines of the page.
        text: The comparison in Markdown, without its heading.
        table: A row a cell.
        charts: By protocol.
        folder: Folder to write into.

    Returns:
        The files: ``markdown``, ``csv``, ``page``, and the picture of each protocol by its name.
    """
    files = {"markdown": folder / f"{stem}.md", "csv": folder / f"{stem}.csv", "page": folder / f"{stem}.html"}
    write_atomically(files["markdown"], f"# {markdown_text(heading)}\n\n{text}".encode())
    write_atomically(files["csv"], table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())
    sections = []
    for protocol, drawn in charts.items():
        figures = [Figure(title, chart) for title, chart in drawn.on_page.items()]
        sections.append(Section(protocol_title(protocol), [Charts(figures)]))
        files[protocol] = folder / f"{stem}-{protocol}.png"
        panels = [chart.properties(width=drawn.width, title=title) for title, chart in drawn.in_picture.items()]
        lines_below = textwrap.wrap(drawn.note, drawn.width * drawn.columns // _LETTER_WIDTH)
        whole = alt.Title(f"{heading}, {protocol}", subtitle=lines_below, offset=12)
        picture = alt.concat(*panels, columns=drawn.columns, spacing=24).properties(title=whole)
        save_chart(picture, files[protocol])
    Page(heading, lines=lines, sections=sections).write(files["page"])
    return files
