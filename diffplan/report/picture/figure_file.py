import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from diffplan.files import write_atomically


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG file, in one piece and without a display."""
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write_atomically(path, png.getvalue())
