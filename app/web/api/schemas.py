"""What the API takes and gives. Where a service's own dataclass says it already, the API gives that."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from app.services.accounts import Role
from app.services.annotations import MAX_NOTE
from app.services.overview import ReviewProgress, StageLine
from app.services.projects import ProjectSettings
from app.web.storable import Storable

LARGEST_ID = 2**31 - 1  # Postgres refuses more in a column of this type


class Body(Storable):
    """What a request brings, and nothing besides."""

    model_config = ConfigDict(extra="forbid")


class Given(BaseModel):
    """What a response brings, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Problem(BaseModel):
    """Every error: one plain sentence, and in ``detail`` which field or row it is about."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error": "Two labels have the same name.", "detail": {"field": "labels"}}],
        }
    )

    error: str
    detail: dict[str, Any] = Field(description="For example `field`, `row`, `reason`, `obstacles` or `problems`.")


# --- projects and the pool -----------------------------------------------------------------------------------------


class DeletedProject(Given):
    slug: str
    name: str
    deleted_at: datetime


class NewProject(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Clickbait ads",
                    "labels": ["fine", "clickbait"],
                    "guideline": "An ad is clickbait if it hides what it sells.",
                    "examples": {
                        "fine": ["Oat milk in one-litre cartons, now at the corner shop"],
                        "clickbait": ["You won't believe what this little tool does to your bills"],
                    },
                    "settings": {"overlap": 2, "round_size": 100},
                }
            ]
        },
    )

    name: str = Field(max_length=200)
    labels: list[str] = Field(max_length=9, description="In the order of their keys; of two, the second is positive.")
    guideline: str = Field("", max_length=100_000, description="Markdown.")
    examples: dict[str, list[str]] = Field(default_factory=dict, description="Example texts by label.")
    settings: ProjectSettings = Field(default_factory=ProjectSettings)
    slug: str | None = Field(None, max_length=80, description="The name in addresses; made from the name if absent.")


class Guideline(Given):
    version: int
    text: str = Field(description="Markdown.")
    examples: dict[str, list[str]]


class ProjectLine(Given):
    slug: str
    name: str
    role: Role = Field(description="Yours.")
    labels: list[str]


class ProjectDetail(ProjectLine):
    item_count: int
    guideline: Guideline | None
    settings: ProjectSettings | None = Field(description="For admins only; null for experts.")


class Item(Given):
    id: int
    ordinal: int
    external_id: str | None
    text: str
    meta: dict[str, Any] | None


class ItemPage(BaseModel):
    items: list[Item]
    next_after: int | None = Field(description="Send it as `after` for the next page; null on the last one.")


class BrowsedItem(Given):
    """`label` and `consensus` are indices into the project's labels; `rounds` holds (number, why it was chosen)."""

    id: int
    ordinal: int
    external_id: str | None
    text: str
    label: int | None
    score: float | None
    rounds: list[tuple[int, str]]
    consensus: int | None
    source: str | None


class Browsed(Given):
    items: list[BrowsedItem]
    order: str = Field(description="The order that the items are in.")
    version: int | None = Field(description="The model version whose predictions these are.")
    next: str | None = Field(description="Send it as `after` for the next page; null on the last one.")


class VersionSaid(Given):
    version: int
    round_number: int | None = Field(description="Null for the pre-labeller.")
    engine: str
    label: int
    score: float
    scores: list[float]


class AnswerGiven(Given):
    expert: str
    kind: str = Field(description="`blind`, `revised` after the pair was shown, or `undone`.")
    label: int | None
    guideline_version: int
    flagged: bool
    note: str | None
    seconds: float | None
    asked_again_by: str | None
    when: datetime


class PairMember(Given):
    item_id: int
    text: str
    similarity: float
    our_label: int
    their_label: int


class RoundPart(Given):
    number: int
    state: str
    reason: str
    detail: dict[str, Any]
    propensity: float | None
    split: str | None
    model_label: int
    model_score: float
    pairs: list[PairMember]
    answers: list[AnswerGiven]
    label: int | None
    source: str | None
    decided_by: str | None
    decision_reason: str | None
    clause: str | None
    decided_at: datetime | None


class BaselineSaid(Given):
    filename: str
    label: int
    votes: int
    votes_total: int


class ItemHistory(Given):
    item: Item
    imported_from: str | None
    imported_at: datetime | None
    versions: list[VersionSaid]
    rounds: list[RoundPart]
    baselines: list[BaselineSaid]


class Mapping(Body):
    """Which columns of a file are what."""

    text: str = Field(min_length=1, max_length=1000)
    id: str | None = Field(None, max_length=1000)
    meta: list[str] = Field(default_factory=list, max_length=1000)
    language: str | None = Field(None, max_length=1000)


class RowProblem(Given):
    row: int | None
    field: str | None
    message: str


class ImportState(Given):
    id: int
    filename: str
    format: Literal["csv", "jsonl", "parquet"]
    mapping: dict[str, Any]
    skip_bad_rows: bool
    state: Literal["queued", "running", "done", "failed"]
    rows_total: int | None
    rows_done: int
    rows_added: int
    rows_duplicate: int
    rows_rejected: int
    errors: list[RowProblem] = Field(description="The first hundred.")
    summary: dict[str, Any] | None = Field(description="Of the whole pool: lengths, near-duplicates, languages.")
    created_at: datetime
    finished_at: datetime | None


# --- rounds --------------------------------------------------------------------------------------------------------


class RoundLine(Given):
    number: int
    state: Literal["preparing", "review", "adjudicating", "concluding", "done", "failed", "cancelled"]
    error: str | None
    advice: Literal["match", "plateau", "continue", "disagree"] | None
    advice_reason: str | None
    ties_left_out: bool
    created_at: datetime
    review_opened_at: datetime | None
    review_closed_at: datetime | None
    finished_at: datetime | None


class RoundDetail(RoundLine):
    settings: dict[str, Any] = Field(description="The project's settings when the round began.")
    ties_left: int
    stages: list[StageLine] = Field(description="All eight in order, each with its latest attempt.")
    review: ReviewProgress | None = Field(description="Null before the review has opened.")
    can_retry_from: list[str] = Field(description="Of a failed round: the stages at which it can be taken up again.")


# --- review: what an expert sends and gets. Nothing here may tell what a model or a colleague thinks. ----------------

Label = Annotated[StrictInt | StrictStr, Field(description="The label's name, or its index in the project's labels.")]
Key = Annotated[
    str,
    Field(
        min_length=8,
        max_length=64,
        description="Chosen by you, new for each answer. The same key sent again changes nothing.",
        json_schema_extra={"x-idempotency-key": True},  # the client sends such a request again by itself
    ),
]
AssignmentId = Annotated[int, Field(ge=1, le=LARGEST_ID, description="As the task names it.")]


class NewAnnotation(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"assignment_id": 17, "label": "clickbait", "key": "5f0c9d1e7a4b", "seconds": 3.2}]
        },
    )

    assignment_id: AssignmentId
    label: Label
    key: Key
    flagged: bool = Field(False, description="For an admin to look at.")
    note: str | None = Field(None, max_length=MAX_NOTE)
    seconds: float | None = Field(None, ge=0, lt=1e6, description="From the item being shown to the answer.")


class NewSkip(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"assignment_id": 17, "reason": "Not in a language I read."}]}
    )

    assignment_id: AssignmentId
    reason: str = Field("", max_length=MAX_NOTE)


class NewUndo(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"key": "b81d20c4e6f7"}]})

    key: Key
    assignment_id: AssignmentId | None = Field(None, description="Take back the answer to this one; null: the last.")


class Task(Given):
    assignment_id: int
    text: str


class Empty(BaseModel):
    reason: Literal[
        "no_items",
        "no_round",
        "paused",
        "preparing",
        "waiting_for_colleagues",
        "round_answered",
        "deciding",
        "votes_wanted",
        "held_up",
        "round_finished",
    ] = Field(description="Why there is nothing to label now.")
    message: str
    round_number: int | None


class Progress(Given):
    round_number: int | None
    done: int = Field(description="Your answers in the open round.")
    left: int = Field(description="At most as many more are wanted from you.")


class Next(BaseModel):
    """Exactly one of ``task`` and ``empty`` is there."""

    task: Task | None
    empty: Empty | None
    progress: Progress
    contrast: bool = Field(description="A pair is due: both of its texts have your answers. See it by `contrast`.")


class Saved(BaseModel):
    annotation_id: int
    label: str
    replayed: bool = Field(description="The answer had been stored before, under the same key.")


class Answered(BaseModel):
    saved: Saved
    next: Next


class Undone(BaseModel):
    undone: bool = Field(description="False when there was no answer in this round to take back.")
    next: Next


# --- ties ----------------------------------------------------------------------------------------------------------


class Vote(BaseModel):
    expert: str
    label: str
    blind_label: str | None = Field(description="What the expert said before anything was revealed.")
    flagged: bool
    note: str | None


class Tie(BaseModel):
    item_id: int
    text: str
    votes: list[Vote]


class Decision(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"label": "fine", "reason": "The price is named, so nothing is hidden."}]},
    )

    label: Label
    reason: str = Field(min_length=1, max_length=MAX_NOTE)
    clause: str = Field("", max_length=MAX_NOTE, description="The heading of the guideline that it rests on.")


class Ruling(BaseModel):
    round_number: int
    item_id: int
    text: str
    label: str
    reason: str
    clause: str | None
    decided_at: datetime


class Decided(BaseModel):
    ties_left: int = Field(description="After the last one the round goes on by itself.")


# --- guideline -----------------------------------------------------------------------------------------------------


class GuidelineVersion(Guideline):
    summary: str = Field(description="What changed, for experts who knew the version before.")
    created_at: datetime


class NewGuideline(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "text": "# Clickbait\nHides what it costs.",
                    "examples": {"clickbait": ["You won't believe the price"]},
                    "summary": "Hidden prices count.",
                }
            ]
        },
    )

    text: str = Field(max_length=200_000)
    examples: dict[str, list[str]] = Field(default_factory=dict, description="By label, all that it shall have.")
    summary: str = Field(min_length=1, max_length=500)
    based_on: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="The version that you had before you; refused if there is a newer one."
    )


class Again(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"labels": ["clickbait"]}]})

    labels: list[Label] = Field(default_factory=list, max_length=9)
    item_ids: list[Annotated[int, Field(ge=1, le=LARGEST_ID)]] = Field(default_factory=list, max_length=1000)
    expected: int | None = Field(None, ge=0, le=LARGEST_ID, description="Ask for no more answers than this.")


class AskedAgain(BaseModel):
    answers: int


class NewSuggestion(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "question", "text": "Does a price in the picture count?", "key": "5f0c9d1e7a4b"}]
        },
    )

    kind: Literal["question", "example"]
    text: str = Field(min_length=1, max_length=MAX_NOTE)
    key: Key
    assignment_id: AssignmentId | None = None
    label: Label | None = None


class Suggested(BaseModel):
    id: int


class Suggestion(BaseModel):
    id: int
    kind: str
    state: str = Field(description="`open`, `answered` or `declined`.")
    item_text: str | None
    label: str | None
    text: str
    answer: str | None
    version: int = Field(description="Of the guideline that its author had read.")
    published_version: int | None = Field(description="The version that has the example.")


class Reply(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"action": "answer", "answer": "Yes, it counts."}]}
    )

    action: Literal["answer", "decline", "take_up"]
    answer: str = Field("", max_length=MAX_NOTE)
