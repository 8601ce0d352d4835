"""What the help answers to a program that asks it: the passages that fit a question best, with where they stand."""

from pydantic import BaseModel, ConfigDict, Field


class HelpPassage(BaseModel):
    """A part of a page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(description="The page's title.")
    heading: str = Field(description="The heading that it stands below; empty at a page's beginning.")
    text: str
    address: str = Field(description="Where people read it.")
    markdown: str = Field(description="The whole page as Markdown.")


class HelpAnswer(BaseModel):
    """The best passages, best first; none where no word of the question stands anywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passages: list[HelpPassage]
    index: str = Field(description="The list of all pages, as Markdown.")
