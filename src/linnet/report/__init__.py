"""One self-contained HTML page from records; tables, figures and pictures with points for it."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.report.dots import (
        BINS as BINS,
        score_colors as score_colors,
        score_legend as score_legend,
        svg_dots as svg_dots,
    )
    from linnet.report.figures import (
        Curve as Curve,
        chart as chart,
        data_uri as data_uri,
        figure as figure,
        image as image,
    )
    from linnet.report.html_page import (
        Content as Content,
        Section as Section,
        badge as badge,
        beside as beside,
        code as code,
        note as note,
        page as page,
        prose as prose,
        steps as steps,
        tiles as tiles,
    )
    from linnet.report.records import record_sections as record_sections, write_report as write_report
    from linnet.report.sheet import picture_sheet as picture_sheet
    from linnet.report.tables import Cell as Cell, measured as measured, number as number, table as table

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
