"""[report]: what the page at the end of a run says on top."""

from dataclasses import dataclass

from linnet.recipe.toml.setting import setting


@dataclass(frozen=True)
class ReportSection:
    """The page report.html of the run folder.

    Attributes:
        title: Its heading; None: the name of the run folder.
    """

    title: str | None = setting("heading of the report", default=None)
