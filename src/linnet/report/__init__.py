"""Records to one self-contained HTML page; tables, figures and pictures with points for it."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.report.dots import BINS, score_colors, score_legend, svg_dots
    from linnet.report.figures import Curve, chart, data_uri, figure, image
    from linnet.report.html_page import Content, Section, badge, beside, code, note, page, prose, steps, tiles
    from linnet.report.records import record_sections, write_report
    from linnet.report.sheet import picture_sheet
    from linnet.report.tables import Cell, measured, number, table

__all__ = [
    "BINS",
    "Cell",
    "Content",
    "Curve",
    "Section",
    "badge",
    "beside",
    "chart",
    "code",
    "data_uri",
    "figure",
    "image",
    "measured",
    "note",
    "number",
    "page",
    "picture_sheet",
    "prose",
    "record_sections",
    "score_colors",
    "score_legend",
    "steps",
    "svg_dots",
    "table",
    "tiles",
    "write_report",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "dots": "BINS score_colors score_legend svg_dots",
        "figures": "Curve chart data_uri figure image",
        "html_page": "Content Section badge beside code note page prose steps tiles",
        "records": "record_sections write_report",
        "sheet": "picture_sheet",
        "tables": "Cell measured number table",
    },
)
