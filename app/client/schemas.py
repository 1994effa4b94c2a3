"""What the API takes and gives. Written by scripts/client.py; do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Account(TypedDict):
    name: str
    email: str
    is_site_admin: bool
    has_password: bool
    preferences: Prefs


class AddedWebhook(TypedDict):
    id: int
    url: str
    events: list[str]
    created_at: str
    secret: str


class Affected(TypedDict):
    by_label: dict[str, int]
    items: list[AnsweredBefore]
    chosen: int | None


class Again(TypedDict):
    labels: NotRequired[list[int | str]]
    item_ids: NotRequired[list[int]]
    expected: NotRequired[int | None]


class AlignmentReport(TypedDict):
    """``round_number`` is the newest finished round's, or None; then ``points``, ``internal`` and ``pairs`` are
    empty. Points are in the order of slices, then versions.
    """

    label_names: list[str]
    round_number: int | None
    points: list[Point]
    internal: list[Internal]
    pairs: list[ExpertPair]
    advice: RoundAdvice | None
    history: list[RoundAdvice]
    labels: Labels
    baseline: NotRequired[list[Reference]]
    trend: NotRequired[Trend | None]


class Answer(TypedDict):
    label: str
    score: float
    scores: dict[str, float]


class AnswerGiven(TypedDict):
    expert: str
    kind: str
    label: int | None
    guideline_version: int
    flagged: bool
    note: str | None
    seconds: float | None
    asked_again_by: str | None
    when: str


class Answered(TypedDict):
    saved: Saved
    next: Next


class AnsweredBefore(TypedDict):
    item_id: int
    text: str
    answers: dict[str, int]


class Applied(TypedDict):
    dry_run: bool
    changes: list[FieldChange]


class AskedAgain(TypedDict):
    answers: int


class AuditEntry(TypedDict):
    id: int
    when: str
    who: str | None
    project: str | None
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(TypedDict):
    entries: list[AuditEntry]
    next_before: int | None


class BaselineGuess(TypedDict):
    mapping: dict[str, Any]
    rows: int
    found: int


class BaselineMapping(TypedDict):
    """Which column finds the item, and which holds the label."""

    match: Literal["id", "text"]
    key: str
    label: str
    values: NotRequired[dict[str, str]]


class BaselineSaid(TypedDict):
    filename: str
    label: int
    votes: int
    votes_total: int


class BaselineState(TypedDict):
    id: int
    filename: str
    format: Literal["csv", "jsonl", "parquet"]
    mapping: dict[str, Any]
    state: Literal["queued", "running", "done", "failed"]
    rows_total: int
    rows_matched: int
    rows_unmatched: int
    rows_rejected: int
    items_labelled: int
    items_tied: int
    counts: dict[str, int]
    errors: list[RowProblem]
    created_at: str
    finished_at: str | None


class Baselines(TypedDict):
    current: int | None
    baselines: list[BaselineState]


class BodyCreateBaseline(TypedDict):
    file: str
    mapping: str


class BodyCreateImport(TypedDict):
    file: str
    mapping: str
    skip_bad_rows: NotRequired[bool]


class BodyUploadFile(TypedDict):
    file: str


class Browsed(TypedDict):
    items: list[BrowsedItem]
    order: str
    version: int | None
    next: str | None


class BrowsedItem(TypedDict):
    """`label` and `consensus` are indices into the project's labels; `rounds` holds (number, why it was chosen)."""

    id: int
    ordinal: int
    external_id: str | None
    text: str
    label: int | None
    score: float | None
    rounds: list[list[Any]]
    consensus: int | None
    source: str | None


class Budget(TypedDict):
    """Before rounds no longer start by themselves; null is no limit."""

    rounds: int | None
    answers: int | None
    cost: float | None


class Changed(TypedDict):
    """What is left out stays as it is."""

    name: NotRequired[str | None]
    labels: NotRequired[list[str] | None]
    settings: NotRequired[dict[str, Any]]


class ChangedAnswer(TypedDict):
    label: int | str
    key: str
    flagged: NotRequired[bool]
    note: NotRequired[str | None]


class ChangedLine(TypedDict):
    kind: Literal["same", "added", "removed"]
    text: str


class Chosen(TypedDict):
    """An item of the round. ``label`` is the model's (of this side), ``consensus`` the experts'; None: none."""

    id: int
    x: int
    y: int
    reason: str
    label: int | None
    consensus: int | None


class Confusion(TypedDict):
    version: int | None
    n: int
    cells: list[ConfusionCell]
    labels: list[LabelFigures]


class ConfusionCell(TypedDict):
    experts: str
    model: str
    count: int
    items: str


class Contested(TypedDict):
    items: list[ContestedItem]
    clauses: list[str]


class ContestedItem(TypedDict):
    item_id: int
    text: str
    opinions: list[Opinion]
    vote: OwnVote | None


class ContrastPair(TypedDict):
    pair_id: int
    sides: list[PairSide]


class Decided(TypedDict):
    ties_left: int


class Decision(TypedDict):
    label: int | str
    reason: str
    clause: NotRequired[str]


class DeletedProject(TypedDict):
    slug: str
    name: str
    deleted_at: str


class Delivery(TypedDict):
    id: str
    type: str
    state: Literal["waiting", "sent", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: str
    created_at: str
    sent_at: str | None


class Desk(TypedDict):
    progress: Progress
    seconds_per_answer: float | None
    practice: Literal["required", "offered", "none"]
    news: GuidelineVersion | None
    returned: int


class Draft(TypedDict):
    text: str
    examples: NotRequired[dict[str, list[str]]]


class DraftChanges(TypedDict):
    changes: list[ChangedLine]
    affected: dict[str, int]


class DryRunDetail(TypedDict):
    id: int
    state: Literal["queued", "running", "done", "failed"]
    error: str | None
    config: dict[str, Any]
    config_is_current: bool
    seconds: float | None
    asked: int
    created_at: str
    finished_at: str | None
    estimate: Estimate
    answers: list[Said]


class DryRuns(TypedDict):
    estimate: Estimate
    runs: list[RunLine]


class Empty(TypedDict):
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
    ]
    message: str
    round_number: int | None


class Ended(TypedDict):
    ended: int


class Estimate(TypedDict):
    """What labelling the whole pool takes. Without a dry run that is done, rules of thumb."""

    items: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float | None
    measured: bool
    max_calls: int | None
    max_cost: float | None
    cap_bites: bool


class ExamplesTaken(TypedDict):
    added: int


class ExpertPair(TypedDict):
    first_id: int
    second_id: int
    first: str
    second: str
    slice: str
    kappa: Figure


class ExpertProgress(TypedDict):
    """``median_seconds`` is by answer, pauses left out, None below five answers. Of ``compared`` comparisons with a
    colleague's answer to the same item, ``same`` were the same answer.
    """

    expert_id: int
    name: str
    done: int
    skipped: int
    holds: int
    last_answer_at: str | None
    present: bool
    median_seconds: NotRequired[float | None]
    same: NotRequired[int]
    compared: NotRequired[int]


class FieldChange(TypedDict):
    field: str
    before: Any
    after: Any


class Figure(TypedDict):
    """A value with its 95 % interval and the number of items it rests on."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    undefined: str | None


class GivenAnswer(TypedDict):
    assignment_id: int
    round_number: int
    text: str
    label: str
    flagged: bool
    note: str | None
    answered_at: str
    changeable: bool
    seen_in_pair: bool


class GuessedMapping(TypedDict):
    text: str
    id: str | None
    meta: list[str]
    language: str | None


class GuidedStart(TypedDict):
    steps: list[StartStep]
    obstacles: list[str]
    review: ReviewTime
    worker_alive: bool


class Guideline(TypedDict):
    version: int
    text: str
    examples: dict[str, list[str]]


class GuidelineVersion(TypedDict):
    version: int
    text: str
    examples: dict[str, list[str]]
    summary: str
    created_at: str


class ImportState(TypedDict):
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
    errors: list[RowProblem]
    summary: dict[str, Any] | None
    created_at: str
    finished_at: str | None


class Internal(TypedDict):
    """How well the experts agree with each other on one slice."""

    slice: str
    kappa: Figure
    agreement: Figure | None
    alpha: Figure | None


class Invitation(TypedDict):
    id: int
    role: Literal["admin", "lead", "viewer", "expert"]
    name: str
    email: str | None
    created_at: str
    expires_at: str
    link: str


class Invited(TypedDict):
    id: int
    role: Literal["admin", "lead", "viewer", "expert"]
    name: str
    email: str | None
    created_at: str
    expires_at: str


class InvitedTo(TypedDict):
    project: str
    role: Literal["admin", "lead", "viewer", "expert"]
    invited_by: str
    email: str | None


class Item(TypedDict):
    id: int
    ordinal: int
    external_id: str | None
    text: str
    meta: dict[str, Any] | None


class ItemHistory(TypedDict):
    item: Item
    imported_from: str | None
    imported_at: str | None
    versions: list[VersionSaid]
    rounds: list[RoundPart]
    baselines: list[BaselineSaid]


class ItemPage(TypedDict):
    items: list[Item]
    next_after: int | None


class Joined(TypedDict):
    slug: str
    name: str
    role: Literal["admin", "lead", "viewer", "expert"]


class LabelFigures(TypedDict):
    label: str
    recall: ShareGiven
    precision: ShareGiven
    f1: float | None


class LabelSet(TypedDict):
    """A set of labels, and how well it agrees with the experts (the curated one: they with each other)."""

    name: str
    size: int
    counts: list[int]
    kappa: Figure | None


class Labels(TypedDict):
    """Consensus labels of all finished rounds. ``counts`` is by label, in the project's order; ``fine_tuning`` and
    ``evaluation`` count those in either split; ``undecided`` are ties that were left out. ``share_positive`` is
    None without labels, or with more than two of them.
    """

    total: int
    counts: list[int]
    fine_tuning: int
    evaluation: int
    undecided: int


class LogEntry(TypedDict):
    when: str
    text: str
    who: str


class MadeToken(TypedDict):
    id: int
    name: str
    hint: str
    scopes: list[Literal["read", "label", "manage"]]
    made_by_id: int | None
    created_at: str
    last_used_at: str | None
    expires_at: str | None
    token: str


class MapLine(TypedDict):
    """A round on the slider. ``states`` has for each side: wanted, done, failed, or '' before it can be drawn."""

    number: int
    round_state: str
    states: dict[str, str]
    errors: dict[str, str]
    projection_id: int | None


class MapRegion(TypedDict):
    """``counts`` are items by label, then those without one, as the map's cells have them."""

    x: int
    y: int
    words: list[str]
    counts: list[int]


class Mapping(TypedDict):
    """Which columns of a file are what."""

    text: str
    id: NotRequired[str | None]
    meta: NotRequired[list[str]]
    language: NotRequired[str | None]


class MemberInput(TypedDict):
    email: str
    role: Literal["expert", "viewer", "lead", "admin"]
    name: NotRequired[str]


class Model(TypedDict):
    version: int
    kind: str
    engine: str
    state: str
    can_predict: bool
    round_number: int | None
    guideline_version: int | None
    base_version: int | None
    training_size: int
    example_items: int
    pool_size: int | None
    predicted_items: int
    seed: int
    encoder: str | None
    encoder_revision: str | None
    threshold: float | None
    settings: dict[str, Any]
    created_at: str
    evaluation: Point | None
    control: Point | None


class NewAnnotation(TypedDict):
    assignment_id: int
    label: int | str
    key: str
    flagged: NotRequired[bool]
    note: NotRequired[str | None]
    seconds: NotRequired[float | None]


class NewGuideline(TypedDict):
    text: str
    examples: NotRequired[dict[str, list[str]]]
    summary: str
    based_on: NotRequired[int | None]


class NewImport(TypedDict):
    text: str
    id: NotRequired[str | None]
    meta: NotRequired[list[str]]
    language: NotRequired[str | None]
    skip_bad_rows: NotRequired[bool]


class NewInvitation(TypedDict):
    role: NotRequired[Literal["admin", "lead", "viewer", "expert"]]
    name: NotRequired[str]
    email: NotRequired[str]


class NewName(TypedDict):
    name: str


class NewPracticeItem(TypedDict):
    text: str
    label: int | str
    explanation: NotRequired[str]


class NewPrefs(TypedDict):
    """What is left out stays as it is."""

    language: NotRequired[str | None]
    keys: NotRequired[dict[str, str]]
    break_minutes: NotRequired[int]
    swipe: NotRequired[bool]
    notify: NotRequired[bool]
    email_when_work: NotRequired[bool]


class NewProject(TypedDict):
    name: str
    labels: list[str]
    guideline: NotRequired[str]
    examples: NotRequired[dict[str, list[str]]]
    settings: NotRequired[ProjectSettings]
    slug: NotRequired[str | None]


class NewRole(TypedDict):
    role: Literal["admin", "lead", "viewer", "expert"]
    although_seen: NotRequired[bool]


class NewSkip(TypedDict):
    assignment_id: int
    reason: NotRequired[str]


class NewSuggestion(TypedDict):
    kind: Literal["question", "example"]
    text: str
    key: str
    assignment_id: NotRequired[int | None]
    label: NotRequired[int | str | None]


class NewToken(TypedDict):
    name: str
    days: NotRequired[int | None]
    scopes: NotRequired[list[Literal["read", "label", "manage"]]]


class NewUndo(TypedDict):
    key: str
    assignment_id: NotRequired[int | None]


class NewWebhook(TypedDict):
    url: str
    events: NotRequired[list[str]]


class Next(TypedDict):
    """Exactly one of ``task`` and ``empty`` is there."""

    task: Task | None
    empty: Empty | None
    progress: Progress
    contrast: bool


class Opinion(TypedDict):
    label: str
    note: str | None


class OwnVote(TypedDict):
    label: str
    reason: str


class Pair(TypedDict):
    id: int
    left: int
    right: int
    similarity: float


class PairMember(TypedDict):
    item_id: int
    text: str
    similarity: float
    our_label: int
    their_label: int


class PairRevision(TypedDict):
    assignment_id: int
    label: int | str
    reason: str
    key: str


class PairSide(TypedDict):
    assignment_id: int
    text: str
    label: str


class PairedItem(TypedDict):
    item_id: int
    text: str
    label: str
    consensus: str | None


class PairsWaiting(TypedDict):
    waiting: int


class People(TypedDict):
    members: list[PeopleMember]
    invitations: list[Invited]


class PeopleMember(TypedDict):
    user_id: int
    name: str
    email: str
    role: Literal["admin", "lead", "viewer", "expert"]
    joined_at: str
    has_seen_model: bool


class Point(TypedDict):
    """One model version on one slice. ``round_number`` is 0 for the pre-labeller: the place on the chart's axis."""

    version: int
    round_number: int
    engine: str
    training_size: int
    slice: str
    kappa: Figure
    agreement: Figure | None
    gap: Figure | None
    gain: Figure | None
    gain_over_prelabeller: Figure | None


class PracticeAnswer(TypedDict):
    item_id: int
    label: int | str
    attempt: NotRequired[int]


class PracticeAnswered(TypedDict):
    feedback: PracticeFeedback
    attempt: PracticeAttempt


class PracticeAttempt(TypedDict):
    attempt: int
    items: list[TextToPractise]
    correct: int
    complete: bool
    pass_share: float
    passed_at: str | None


class PracticeFeedback(TypedDict):
    label: str
    right_label: str
    explanation: str


class PracticeLine(TypedDict):
    id: int
    text: str
    label: str | None
    explanation: str


class PracticeText(TypedDict):
    text: str
    label: str
    explanation: NotRequired[str]


class PracticeTexts(TypedDict):
    pass_share: float
    items: list[PracticeLine]


class Predicted(TypedDict):
    id: int
    state: str
    version: int
    error: str | None
    answers: list[Answer]


class Prefs(TypedDict):
    language: str | None
    keys: dict[str, str]
    break_minutes: int
    swipe: bool
    notify: bool
    email_when_work: bool


class Problem(TypedDict):
    """Every error: one plain sentence, and in ``detail`` which field or row it is about."""

    error: str
    detail: dict[str, Any]


class Progress(TypedDict):
    round_number: int | None
    done: int
    left: int


class ProjectDetail(TypedDict):
    slug: str
    name: str
    role: Literal["admin", "lead", "viewer", "expert"]
    labels: list[str]
    item_count: int
    guideline: Guideline | None
    settings: ProjectSettings | None


class ProjectFile(TypedDict):
    """What is None is left as it is. ``settings`` are those of a project but ``prelabel``, each optional."""

    linecall: NotRequired[Literal[1]]
    slug: NotRequired[str | None]
    name: NotRequired[str | None]
    labels: NotRequired[list[str] | None]
    guideline: NotRequired[str | None]
    examples: NotRequired[dict[str, list[str]] | None]
    settings: NotRequired[dict[str, Any] | None]
    prelabel: NotRequired[dict[str, Any] | None]
    practice: NotRequired[list[PracticeText] | None]
    members: NotRequired[list[ProjectFileMember] | None]


class ProjectFileBody(TypedDict):
    """The project as it should be; what is left out, or null, stays as it is."""

    linecall: NotRequired[Literal[1]]
    slug: NotRequired[str | None]
    name: NotRequired[str | None]
    labels: NotRequired[list[str] | None]
    guideline: NotRequired[str | None]
    examples: NotRequired[dict[str, list[str]] | None]
    settings: NotRequired[dict[str, Any] | None]
    prelabel: NotRequired[dict[str, Any] | None]
    practice: NotRequired[list[PracticeText] | None]
    members: NotRequired[list[MemberInput] | None]


class ProjectFileMember(TypedDict):
    email: str
    role: Literal["expert", "viewer", "lead", "admin"]
    name: NotRequired[str]


class ProjectLine(TypedDict):
    slug: str
    name: str
    role: Literal["admin", "lead", "viewer", "expert"]
    labels: list[str]


class ProjectSettings(TypedDict):
    """What a round of this project does. A round keeps its own copy, so a later change never rewrites history."""

    overlap: NotRequired[int]
    round_size: NotRequired[int]
    control_share: NotRequired[float]
    evaluation_share: NotRequired[float]
    strategy: NotRequired[Literal["boundary", "hybrid", "adaptive", "margin_diverse", "margin", "random"]]
    split_mode: NotRequired[Literal["grouped", "paper"]]
    engine: NotRequired[Literal["linear", "encoder", "lora"]]
    engine_config: NotRequired[dict[str, Any]]
    encoder: NotRequired[str]
    prelabel: NotRequired[dict[str, Any]]
    seed: NotRequired[int]
    reveal: NotRequired[Literal["pair", "end", "off"]]
    adjudicate: NotRequired[Literal["ties", "disagreements"]]
    adjudicators: NotRequired[Literal["lead", "two_experts"]]
    practice_pass_share: NotRequired[float]
    next_round: NotRequired[Literal["asked", "itself"]]
    most_rounds: NotRequired[int | None]
    most_answers: NotRequired[int | None]
    most_cost: NotRequired[float | None]
    lease_minutes: NotRequired[int | None]


class Reference(TypedDict):
    """The admin's own labels from before, scored on the items that they cover."""

    slice: str
    kappa: Figure
    agreement: Figure | None
    gap: Figure | None


class Released(TypedDict):
    released: int


class Reply(TypedDict):
    action: Literal["answer", "decline", "take_up"]
    answer: NotRequired[str]


class Report(TypedDict):
    alignment: AlignmentReport
    sets: list[LabelSet]
    models: list[ReportedModel]
    rounds: list[ReportedRound]
    reduction: float | None
    answers: int
    cost: float
    settings: dict[str, Any]
    guideline_version: int
    made_at: str
    made_by: str
    limits: list[str]


class ReportedModel(TypedDict):
    name: str
    trained_on: int
    evaluation: Figure | None
    control: Figure | None
    gap: Figure | None


class ReportedRound(TypedDict):
    number: int
    state: str
    seed: int
    strategy: str
    engine: str
    encoder: str
    items: int
    finished_at: str | None


class ReviewProgress(TypedDict):
    """``open`` slots are free to take, ``held`` ones are before an expert now; an item is complete when none of its
    slots waits.
    """

    experts: list[ExpertProgress]
    done: int
    open: int
    held: int
    items: int
    items_complete: int


class ReviewTime(TypedDict):
    """What one round asks of the experts."""

    answers: int
    hours: float
    hours_each: float | None
    seconds_an_answer: float
    measured_on: int


class RoundAdvice(TypedDict):
    """What a finished round advised, in the words of its own time."""

    round_number: int
    kind: str
    reason: str
    finished_at: str | None


class RoundDetail(TypedDict):
    number: int
    state: Literal["preparing", "review", "adjudicating", "concluding", "done", "failed", "cancelled"]
    error: str | None
    advice: Literal["match", "plateau", "continue", "disagree"] | None
    advice_reason: str | None
    ties_left_out: bool
    created_at: str
    review_opened_at: str | None
    review_closed_at: str | None
    finished_at: str | None
    settings: dict[str, Any]
    ties_left: int
    stages: list[StageLine]
    review: ReviewProgress | None
    can_retry_from: list[str]


class RoundItemLine(TypedDict):
    position: int
    item_id: int
    text: str
    reason: str
    detail: dict[str, Any]
    partner: str | None
    model_label: str | None
    model_score: float
    propensity: float | None
    split: str | None
    consensus: str | None
    source: str | None


class RoundItems(TypedDict):
    reasons: dict[str, int]
    items: list[RoundItemLine]
    next_after: int | None


class RoundLine(TypedDict):
    number: int
    state: Literal["preparing", "review", "adjudicating", "concluding", "done", "failed", "cancelled"]
    error: str | None
    advice: Literal["match", "plateau", "continue", "disagree"] | None
    advice_reason: str | None
    ties_left_out: bool
    created_at: str
    review_opened_at: str | None
    review_closed_at: str | None
    finished_at: str | None


class RoundMap(TypedDict):
    """A side of a round on the map. Places are 0 … ``extent`` from the left and from the top; `Layer` says what
    ``density`` and ``examples`` hold. Maps with the same ``projection`` compare.
    """

    round: int
    side: Literal["before", "after"]
    sides: list[Literal["before", "after"]]
    labels: list[str]
    model_version: int | None
    projection: int
    landmarks: int
    neighbours: int
    kept: float | None
    chance: float | None
    checked: int
    extent: int
    counts: list[int]
    grid: int
    density: list[str]
    example_grid: int
    examples: list[str]
    regions: list[MapRegion]
    chosen: list[Chosen]
    pairs: list[Pair]


class RoundPair(TypedDict):
    id: int
    rank: int
    similarity: float
    left: PairedItem
    right: PairedItem


class RoundPairs(TypedDict):
    pairs: list[RoundPair]
    next_after: int | None


class RoundPart(TypedDict):
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
    decided_at: str | None


class RowProblem(TypedDict):
    row: int | None
    field: str | None
    message: str


class Ruling(TypedDict):
    round_number: int
    item_id: int
    text: str
    label: str
    reason: str
    clause: str | None
    decided_at: str


class RunLine(TypedDict):
    id: int
    state: Literal["queued", "running", "done", "failed"]
    error: str | None
    config: dict[str, Any]
    config_is_current: bool
    seconds: float | None
    asked: int
    created_at: str
    finished_at: str | None


class Said(TypedDict):
    text: str
    label: str | None
    score: float | None
    scores: dict[str, float]
    raw: str | None
    answered: bool


class Saved(TypedDict):
    annotation_id: int
    label: str
    replayed: bool


class Service(TypedDict):
    version: str
    database: Literal["sqlite", "postgresql"]
    workers: list[WorkerLine]


class ShareGiven(TypedDict):
    """`hits` of `n` items, with a 95 % interval; null where `n` is 0."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None


class ShownPair(TypedDict):
    pair: ContrastPair | None


class SignIn(TypedDict):
    id: int
    browser: str
    created_at: str
    expires_at: str
    current: bool


class SignInLink(TypedDict):
    link: str
    hours: int


class Spent(TypedDict):
    rounds: int
    answers: int
    cost: float


class StageLine(TypedDict):
    """One stage of a round: its latest attempt, or its place in the order if it has not begun."""

    stage: str
    state: str
    done: NotRequired[int]
    total: NotRequired[int]
    message: NotRequired[str]
    attempt: NotRequired[int]
    started_at: NotRequired[str | None]
    seconds: NotRequired[float | None]
    seconds_left: NotRequired[float | None]
    rate: NotRequired[float | None]
    cost: NotRequired[float | None]


class Standing(TypedDict):
    next_step: str
    reason: str
    open_round: int | None
    obstacles: list[str]
    starts_by_itself: bool
    because: str
    spent: Spent
    budget: Budget
    review: ReviewTime
    worker_alive: bool


class StartStep(TypedDict):
    key: Literal["task", "guideline", "pool", "baseline", "prelabel", "experts", "round"]
    title: str
    state: Literal["done", "missing", "optional", "running", "ready"]
    summary: str
    missing: list[str]
    later: str


class Suggested(TypedDict):
    id: int


class Suggestion(TypedDict):
    id: int
    kind: str
    state: str
    item_text: str | None
    label: str | None
    text: str
    answer: str | None
    version: int
    published_version: int | None


class Target(TypedDict):
    project: str


class Task(TypedDict):
    assignment_id: int
    text: str


class Template(TypedDict):
    text: str


class TextToPractise(TypedDict):
    item_id: int
    text: str
    feedback: PracticeFeedback | None


class Texts(TypedDict):
    texts: list[str]
    version: NotRequired[int | None]


class Tie(TypedDict):
    item_id: int
    text: str
    votes: list[Vote]


class Token(TypedDict):
    id: int
    name: str
    hint: str
    scopes: list[Literal["read", "label", "manage"]]
    made_by_id: int | None
    created_at: str
    last_used_at: str | None
    expires_at: str | None


class Trend(TypedDict):
    """``gain`` is the rise of kappa to expect from ``now`` to ``then`` fine-tuning labels, read off a line through
    ``points`` model versions; ``low`` and ``high`` are its 95 % prediction interval, None where the points lie on
    the line exactly and so do not show how far a next one may lie from it.
    """

    gain: float
    low: float | None
    high: float | None
    now: int
    then: int
    points: int


class Undone(TypedDict):
    undone: bool
    next: Next


class Uploaded(TypedDict):
    token: str
    filename: str
    format: Literal["csv", "jsonl", "parquet"]
    columns: list[str]
    rows: list[dict[str, str | int | float | bool | None]]
    problems: list[str]
    mapping: GuessedMapping | None


class VersionSaid(TypedDict):
    version: int
    round_number: int | None
    engine: str
    label: int
    score: float
    scores: list[float]


class Vote(TypedDict):
    expert: str
    label: str
    blind_label: str | None
    flagged: bool
    note: str | None


class Voted(TypedDict):
    settled: bool


class WebhookLine(TypedDict):
    id: int
    url: str
    events: list[str]
    created_at: str


class WorkerLine(TypedDict):
    id: str
    host: str
    pid: int
    started_at: str
    heartbeat_at: str
    alive: bool
