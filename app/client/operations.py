"""One method for each operation of the API. Written by scripts/client.py; do not edit."""

import json
from typing import Any, Literal, Unpack, cast

from app.client.schemas import (
    Account,
    AddedWebhook,
    Affected,
    Again,
    AlignmentReport,
    Answered,
    Applied,
    AskedAgain,
    AuditPage,
    BaselineGuess,
    BaselineMapping,
    Baselines,
    BaselineState,
    Browsed,
    Changed,
    ChangedAnswer,
    Confusion,
    Contested,
    Decided,
    Decision,
    DeletedProject,
    Delivery,
    Desk,
    Draft,
    DraftChanges,
    DryRunDetail,
    DryRuns,
    Ended,
    ExamplesTaken,
    GivenAnswer,
    GuidedStart,
    Guideline,
    GuidelineVersion,
    ImportState,
    Invitation,
    InvitedTo,
    ItemHistory,
    ItemPage,
    Joined,
    LogEntry,
    MadeToken,
    MapLine,
    Mapping,
    Model,
    NewAnnotation,
    NewGuideline,
    NewImport,
    NewInvitation,
    NewName,
    NewPracticeItem,
    NewPrefs,
    NewProject,
    NewRole,
    NewSkip,
    NewSuggestion,
    NewToken,
    NewUndo,
    NewWebhook,
    Next,
    PairRevision,
    PairsWaiting,
    People,
    PracticeAnswer,
    PracticeAnswered,
    PracticeAttempt,
    PracticeLine,
    PracticeTexts,
    Predicted,
    Prefs,
    ProjectDetail,
    ProjectFile,
    ProjectFileBody,
    ProjectLine,
    ProjectSettings,
    Released,
    Reply,
    Report,
    RoundDetail,
    RoundItems,
    RoundLine,
    RoundMap,
    RoundPairs,
    Ruling,
    Service,
    ShownPair,
    SignIn,
    SignInLink,
    Standing,
    Suggested,
    Suggestion,
    Target,
    Template,
    Texts,
    Tie,
    Token,
    Undone,
    Uploaded,
    Voted,
    WebhookLine,
)
from app.client.transport import Download, Transport, Upload, segment


class Operations:
    """What is left out of a call is left out of the request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list_projects(self, /) -> list[ProjectLine]:
        """Your projects."""
        return cast(list[ProjectLine], self._transport.call("GET", "/api/v1/projects", again=True))

    def create_project(self, /, **body: Unpack[NewProject]) -> ProjectDetail:
        """Create a project (site admins)."""
        return cast(ProjectDetail, self._transport.call("POST", "/api/v1/projects", body=body))

    def show_project(self, slug: str, /) -> ProjectDetail:
        """One project, with its guideline."""
        return cast(ProjectDetail, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}", again=True))

    def delete_project(self, slug: str, /, *, confirm: str) -> None:
        """Delete a project, so that it can be undone."""
        self._transport.call("DELETE", f"/api/v1/projects/{segment(slug)}", query={"confirm": confirm})

    def list_deleted(self, /) -> list[DeletedProject]:
        """Deleted projects that you may bring back."""
        return cast(list[DeletedProject], self._transport.call("GET", "/api/v1/deleted-projects", again=True))

    def undo_deletion(self, deleted: str, /) -> ProjectDetail:
        """Bring one back."""
        return cast(ProjectDetail, self._transport.call("POST", f"/api/v1/deleted-projects/{segment(deleted)}/undo"))

    def export_file(self, slug: str, /) -> ProjectFile:
        """The project as one document."""
        return cast(ProjectFile, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/file", again=True))

    def apply_file(self, slug: str, /, *, dry_run: bool = False, **body: Unpack[ProjectFileBody]) -> Applied:
        """Make the project what a document says."""
        return cast(
            Applied,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/file", query={"dry_run": dry_run}, body=body
            ),
        )

    def list_items(self, slug: str, /, *, after: int = -1, limit: int = 100) -> ItemPage:
        """Items, page by page."""
        return cast(
            ItemPage,
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/items", query={"after": after, "limit": limit}, again=True
            ),
        )

    def search_items(
        self,
        slug: str,
        /,
        *,
        q: str = "",
        version: int | None = None,
        label: str | None = None,
        low: float | None = None,
        high: float | None = None,
        round: int | None = None,
        reason: str = "",
        expert_label: str | None = None,
        split: Literal["", "train", "evaluation"] = "",
        differs: Literal["", "experts", "model", "baseline"] = "",
        order: Literal["pool", "unsure", "sure"] = "pool",
        after: str = "",
        limit: int = 50,
    ) -> Browsed:
        """Items by words, prediction, answers and why chosen."""
        return cast(
            Browsed,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/items/search",
                query={
                    "q": q,
                    "version": version,
                    "label": label,
                    "low": low,
                    "high": high,
                    "round": round,
                    "reason": reason,
                    "expert_label": expert_label,
                    "split": split,
                    "differs": differs,
                    "order": order,
                    "after": after,
                    "limit": limit,
                },
                again=True,
            ),
        )

    def show_item(self, slug: str, item_id: int, /) -> ItemHistory:
        """One item's whole history."""
        return cast(
            ItemHistory,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/items/{segment(item_id)}", again=True),
        )

    def create_import(
        self, slug: str, /, *, file: Upload, mapping: Mapping, skip_bad_rows: bool = False
    ) -> ImportState:
        """Upload a file of texts (CSV, JSON Lines, Parquet)."""
        return cast(
            ImportState,
            self._transport.upload(
                f"/api/v1/projects/{segment(slug)}/imports",
                file=file,
                fields={"mapping": json.dumps(mapping), "skip_bad_rows": json.dumps(skip_bad_rows)},
            ),
        )

    def list_imports(self, slug: str, /, *, limit: int = 50) -> list[ImportState]:
        """Imports, the newest first."""
        return cast(
            list[ImportState],
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/imports", query={"limit": limit}, again=True
            ),
        )

    def show_import(self, slug: str, import_id: int, /) -> ImportState:
        """How far an import is."""
        return cast(
            ImportState,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/imports/{segment(import_id)}", again=True),
        )

    def list_rounds(self, slug: str, /) -> list[RoundLine]:
        """All rounds."""
        return cast(
            list[RoundLine], self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/rounds", again=True)
        )

    def start_round(self, slug: str, /) -> RoundLine:
        """Start a round."""
        return cast(RoundLine, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rounds"))

    def show_round(self, slug: str, number: int, /) -> RoundDetail:
        """One round, with its stages."""
        return cast(
            RoundDetail,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}", again=True),
        )

    def close_review(self, slug: str, number: int, /) -> RoundDetail:
        """Go on with the answers given so far."""
        return cast(
            RoundDetail,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/close-review"),
        )

    def cancel(self, slug: str, number: int, /) -> RoundDetail:
        """Stop a round for good."""
        return cast(
            RoundDetail,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/cancel"),
        )

    def retry(self, slug: str, number: int, /, *, from_stage: str | None = None) -> RoundDetail:
        """Take a failed round up again."""
        return cast(
            RoundDetail,
            self._transport.call(
                "POST",
                f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/retry",
                query={"from_stage": from_stage},
            ),
        )

    def pause(self, slug: str, number: int, /) -> RoundDetail:
        """Pause a round."""
        return cast(
            RoundDetail,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/pause"),
        )

    def resume(self, slug: str, number: int, /) -> RoundDetail:
        """Go on with a paused round."""
        return cast(
            RoundDetail,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/resume"),
        )

    def list_ties(self, slug: str, number: int, /) -> list[Tie]:
        """Ties that wait for a decision."""
        return cast(
            list[Tie],
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/ties", again=True),
        )

    def decide_tie(self, slug: str, number: int, item_id: int, /, **body: Unpack[Decision]) -> Decided:
        """Decide a tie."""
        return cast(
            Decided,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/ties/{segment(item_id)}", body=body
            ),
        )

    def leave_ties_out(self, slug: str, number: int, /) -> RoundDetail:
        """Go on without the undecided items."""
        return cast(
            RoundDetail,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/leave-ties-out"),
        )

    def list_rulings(self, slug: str, /, *, search: str = "") -> list[Ruling]:
        """What was decided where experts disagreed."""
        return cast(
            list[Ruling],
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/rulings", query={"search": search}, again=True
            ),
        )

    def make_example(self, slug: str, item_id: int, /) -> Guideline:
        """Make a decided item an example."""
        return cast(
            Guideline,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/rulings/{segment(item_id)}/example"),
        )

    def list_versions(self, slug: str, /) -> list[GuidelineVersion]:
        """Every version of the guideline."""
        return cast(
            list[GuidelineVersion],
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/guideline/versions", again=True),
        )

    def publish(self, slug: str, /, **body: Unpack[NewGuideline]) -> GuidelineVersion:
        """Publish a new version."""
        return cast(
            GuidelineVersion, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/guideline", body=body)
        )

    def queue_again(self, slug: str, /, **body: Unpack[Again]) -> AskedAgain:
        """Ask for answers of the open review again."""
        return cast(
            AskedAgain, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/guideline/again", body=body)
        )

    def show_affected(
        self, slug: str, /, *, labels: list[str] | None = None, item_ids: list[int] | None = None
    ) -> Affected:
        """Answers of the open review that were given under an earlier version."""
        return cast(
            Affected,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/guideline/again",
                query={"labels": labels, "item_ids": item_ids},
                again=True,
            ),
        )

    def list_suggestions(self, slug: str, /) -> list[Suggestion]:
        """Questions and proposals about the guideline."""
        return cast(
            list[Suggestion], self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/suggestions", again=True)
        )

    def suggest(self, slug: str, /, **body: Unpack[NewSuggestion]) -> Suggested:
        """Ask, or propose an example."""
        return cast(
            Suggested,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/suggestions", body=body, again=True),
        )

    def answer(self, slug: str, suggestion_id: int, /, **body: Unpack[Reply]) -> Suggested:
        """Answer, decline or take up."""
        return cast(
            Suggested,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/suggestions/{segment(suggestion_id)}", body=body
            ),
        )

    def claim_next(self, slug: str, /) -> Next:
        """Claim your next item."""
        return cast(Next, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/next"))

    def annotate(self, slug: str, /, **body: Unpack[NewAnnotation]) -> Answered:
        """Answer an item, and get the next one."""
        return cast(
            Answered,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/annotations", body=body, again=True),
        )

    def skip(self, slug: str, /, **body: Unpack[NewSkip]) -> Next:
        """Pass an item to a colleague, and get the next one."""
        return cast(Next, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/skip", body=body))

    def undo(self, slug: str, /, **body: Unpack[NewUndo]) -> Undone:
        """Take your last answer back."""
        return cast(
            Undone, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/undo", body=body, again=True)
        )

    def show_alignment(self, slug: str, /) -> AlignmentReport:
        """Model–human and internal alignment, with intervals."""
        return cast(
            AlignmentReport, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/alignment", again=True)
        )

    def list_maps(self, slug: str, /) -> list[MapLine]:
        """Which rounds have a map."""
        return cast(list[MapLine], self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/maps", again=True))

    def show_map(self, slug: str, number: int, /, *, side: Literal["before", "after"] = "before") -> RoundMap:
        """The pool in two dimensions, and the round's items and pairs on it."""
        return cast(
            RoundMap,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/map",
                query={"side": side},
                again=True,
            ),
        )

    def redraw_map(self, slug: str, number: int, /, *, side: Literal["before", "after"] = "before") -> None:
        """Try again to draw a map that failed."""
        self._transport.call(
            "POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/map/redraw", query={"side": side}
        )

    def list_models(self, slug: str, /) -> list[Model]:
        """All model versions, the newest first."""
        return cast(list[Model], self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/models", again=True))

    def show_model(self, slug: str, version: int, /) -> Model:
        """One model version, with its lineage and figures."""
        return cast(
            Model,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/models/{segment(version)}", again=True),
        )

    def model_card(self, slug: str, version: int, /) -> str:
        """The model card, in Markdown."""
        return cast(
            str,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/models/{segment(version)}/card", again=True),
        )

    def model_files(self, slug: str, version: int, /) -> Download:
        """A trained model as a folder in a zip."""
        return self._transport.download(f"/api/v1/projects/{segment(slug)}/models/{segment(version)}/files")

    def use_model(self, slug: str, version: int, /, **body: Unpack[Target]) -> Target:
        """Make it another project's pre-labeller."""
        return cast(
            Target,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/models/{segment(version)}/prelabel", body=body
            ),
        )

    def start_round_from(self, slug: str, version: int, /) -> RoundDetail:
        """Start a round that mines this version's labels."""
        return cast(
            RoundDetail,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/models/{segment(version)}/rounds"),
        )

    def predict(self, slug: str, /, *, wait: float = 5.0, **body: Unpack[Texts]) -> Predicted:
        """Have a trained model label texts."""
        return cast(
            Predicted,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/predict", query={"wait": wait}, body=body),
        )

    def show_prediction(self, slug: str, request_id: int, /) -> Predicted:
        """What has become of texts sent before."""
        return cast(
            Predicted,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/predict/{segment(request_id)}", again=True),
        )

    def export(
        self,
        slug: str,
        /,
        *,
        format: Literal["jsonl", "csv", "parquet", "datasets"] = "jsonl",
        scope: Literal["all", "labelled"] = "all",
        names: bool = False,
    ) -> Download:
        """Items with their labels, as JSON Lines, CSV or Parquet, or zipped for the datasets library."""
        return self._transport.download(
            f"/api/v1/projects/{segment(slug)}/export", query={"format": format, "scope": scope, "names": names}
        )

    def list_webhooks(self, slug: str, /) -> list[WebhookLine]:
        """Addresses that are told."""
        return cast(
            list[WebhookLine], self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/webhooks", again=True)
        )

    def add_webhook(self, slug: str, /, **body: Unpack[NewWebhook]) -> AddedWebhook:
        """Add one."""
        return cast(AddedWebhook, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/webhooks", body=body))

    def remove_webhook(self, slug: str, webhook_id: int, /) -> None:
        """Remove one."""
        self._transport.call("DELETE", f"/api/v1/projects/{segment(slug)}/webhooks/{segment(webhook_id)}")

    def test_webhook(self, slug: str, webhook_id: int, /) -> Delivery:
        """Send it a test."""
        return cast(
            Delivery,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/webhooks/{segment(webhook_id)}/test"),
        )

    def list_deliveries(self, slug: str, webhook_id: int, /) -> list[Delivery]:
        """Its newest calls, and whether they arrived."""
        return cast(
            list[Delivery],
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/webhooks/{segment(webhook_id)}/deliveries", again=True
            ),
        )

    def list_people(self, slug: str, /) -> People:
        """Members and open invitations."""
        return cast(People, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/people", again=True))

    def invite_person(self, slug: str, /, **body: Unpack[NewInvitation]) -> Invitation:
        """Invite somebody."""
        return cast(
            Invitation, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/people/invitations", body=body)
        )

    def withdraw_invited(self, slug: str, invitation_id: int, /) -> People:
        """Withdraw an invitation."""
        return cast(
            People,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/people/invitations/{segment(invitation_id)}/withdraw"
            ),
        )

    def change_members_role(self, slug: str, user_id: int, /, **body: Unpack[NewRole]) -> People:
        """Change a member's role."""
        return cast(
            People,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/people/{segment(user_id)}/role", body=body),
        )

    def remove_person(self, slug: str, user_id: int, /) -> People:
        """Remove a member."""
        return cast(
            People, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/people/{segment(user_id)}/remove")
        )

    def create_sign_in_link(self, slug: str, user_id: int, /) -> SignInLink:
        """Make a sign-in link for a member."""
        return cast(
            SignInLink,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/people/{segment(user_id)}/sign-in-link"),
        )

    def change_settings(self, slug: str, /, **body: Unpack[Changed]) -> ProjectSettings:
        """Change name, labels or settings."""
        return cast(
            ProjectSettings, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/settings", body=body)
        )

    def show_invitation(self, token: str, /) -> InvitedTo:
        """What an invitation is for."""
        return cast(InvitedTo, self._transport.call("GET", f"/api/v1/invitations/{segment(token)}", again=True))

    def join_project(self, token: str, /) -> Joined:
        """Join a project by an invitation."""
        return cast(Joined, self._transport.call("POST", f"/api/v1/invitations/{segment(token)}/join"))

    def show_desk(self, slug: str, /) -> Desk:
        """What there is to know before you label."""
        return cast(Desk, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/desk", again=True))

    def note_guideline_seen(self, slug: str, /) -> None:
        """Say that you know the present guideline."""
        self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/guideline/seen")

    def release_items(self, slug: str, /) -> Released:
        """Give back what you hold."""
        return cast(Released, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/release"))

    def list_answers(self, slug: str, /, *, hours: int = 24) -> list[GivenAnswer]:
        """Your own answers that stand, the newest first."""
        return cast(
            list[GivenAnswer],
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/answers", query={"hours": hours}, again=True
            ),
        )

    def show_answer(self, slug: str, assignment_id: int, /) -> GivenAnswer:
        """One of your own answers."""
        return cast(
            GivenAnswer,
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/answers/{segment(assignment_id)}", again=True
            ),
        )

    def change_answer(self, slug: str, assignment_id: int, /, **body: Unpack[ChangedAnswer]) -> GivenAnswer:
        """Change one of your own answers."""
        return cast(
            GivenAnswer,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/answers/{segment(assignment_id)}", body=body, again=True
            ),
        )

    def count_pairs(self, slug: str, /) -> PairsWaiting:
        """How many pairs wait to be seen side by side."""
        return cast(PairsWaiting, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/contrast", again=True))

    def show_pair(self, slug: str, /) -> ShownPair:
        """See the pair that is due."""
        return cast(ShownPair, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/contrast"))

    def confirm_pair(self, slug: str, pair_id: int, /) -> PairsWaiting:
        """Both answers stand."""
        return cast(
            PairsWaiting,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/contrast/{segment(pair_id)}/confirm"),
        )

    def revise_pair(self, slug: str, pair_id: int, /, **body: Unpack[PairRevision]) -> PairsWaiting:
        """Change one of the two answers."""
        return cast(
            PairsWaiting,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/contrast/{segment(pair_id)}/revise", body=body, again=True
            ),
        )

    def show_attempt(self, slug: str, /, *, again: bool = False) -> PracticeAttempt:
        """The texts to practise, and how you are doing."""
        return cast(
            PracticeAttempt,
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/practice/attempt", query={"again": again}, again=True
            ),
        )

    def answer_practice(self, slug: str, /, **body: Unpack[PracticeAnswer]) -> PracticeAnswered:
        """Answer a text of the practice."""
        return cast(
            PracticeAnswered,
            self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/practice/answers", body=body),
        )

    def list_contested(self, slug: str, number: int, /) -> Contested:
        """Items on which experts disagree and vote."""
        return cast(
            Contested,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/votes", again=True),
        )

    def cast_vote(self, slug: str, number: int, item_id: int, /, **body: Unpack[Decision]) -> Voted:
        """Vote on an item."""
        return cast(
            Voted,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/votes/{segment(item_id)}", body=body
            ),
        )

    def show_account(self, /) -> Account:
        """Your account."""
        return cast(Account, self._transport.call("GET", "/api/v1/account", again=True))

    def rename_account(self, /, **body: Unpack[NewName]) -> Account:
        """Change your name."""
        return cast(Account, self._transport.call("POST", "/api/v1/account/name", body=body))

    def change_preferences(self, /, **body: Unpack[NewPrefs]) -> Prefs:
        """Change how you like your pages."""
        return cast(Prefs, self._transport.call("POST", "/api/v1/account/preferences", body=body))

    def list_sessions(self, /) -> list[SignIn]:
        """Browsers in which you are signed in."""
        return cast(list[SignIn], self._transport.call("GET", "/api/v1/account/sessions", again=True))

    def revoke_sign_in(self, session_id: int, /) -> list[SignIn]:
        """Sign a browser out."""
        return cast(
            list[SignIn], self._transport.call("POST", f"/api/v1/account/sessions/{segment(session_id)}/revoke")
        )

    def revoke_other_sign_ins(self, /) -> Ended:
        """Sign out everywhere else."""
        return cast(Ended, self._transport.call("POST", "/api/v1/account/sessions/revoke-others"))

    def list_tokens(self, /) -> list[Token]:
        """Your API tokens."""
        return cast(list[Token], self._transport.call("GET", "/api/v1/account/tokens", again=True))

    def make_token(self, /, **body: Unpack[NewToken]) -> MadeToken:
        """Make an API token."""
        return cast(MadeToken, self._transport.call("POST", "/api/v1/account/tokens", body=body))

    def revoke_token(self, token_id: int, /) -> list[Token]:
        """Revoke an API token."""
        return cast(list[Token], self._transport.call("POST", f"/api/v1/account/tokens/{segment(token_id)}/revoke"))

    def list_whole_audit(self, /, *, search: str = "", before: int | None = None, limit: int = 100) -> AuditPage:
        """The record of the whole installation (site admins)."""
        return cast(
            AuditPage,
            self._transport.call(
                "GET", "/api/v1/audit", query={"search": search, "before": before, "limit": limit}, again=True
            ),
        )

    def whole_audit_file(self, /, *, search: str = "") -> str:
        """The record of the whole installation, as CSV (site admins)."""
        return cast(str, self._transport.call("GET", "/api/v1/audit/file", query={"search": search}, again=True))

    def show_start(self, slug: str, /) -> GuidedStart:
        """The way to the first round: what is done and what is missing."""
        return cast(GuidedStart, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/start", again=True))

    def show_standing(self, slug: str, /) -> Standing:
        """Where the project stands, what comes next, and what it takes."""
        return cast(Standing, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/standing", again=True))

    def show_service(self, /) -> Service:
        """The installation: its version, database and workers (site admins)."""
        return cast(Service, self._transport.call("GET", "/api/v1/service", again=True))

    def upload_file(self, slug: str, /, *, file: Upload) -> Uploaded:
        """Upload a file and see what is in it."""
        return cast(Uploaded, self._transport.upload(f"/api/v1/projects/{segment(slug)}/uploads", file=file, fields={}))

    def show_upload(self, slug: str, token: str, /) -> Uploaded:
        """What is in an uploaded file."""
        return cast(
            Uploaded,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/uploads/{segment(token)}", again=True),
        )

    def import_upload(self, slug: str, token: str, /, **body: Unpack[NewImport]) -> ImportState:
        """Bring an uploaded file into the pool."""
        return cast(
            ImportState,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/uploads/{segment(token)}/import", body=body
            ),
        )

    def list_baselines(self, slug: str, /) -> Baselines:
        """Files of labels, the newest first."""
        return cast(Baselines, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/baselines", again=True))

    def create_baseline(self, slug: str, /, *, file: Upload, mapping: BaselineMapping) -> BaselineState:
        """Upload a file of labels that you have already."""
        return cast(
            BaselineState,
            self._transport.upload(
                f"/api/v1/projects/{segment(slug)}/baselines", file=file, fields={"mapping": json.dumps(mapping)}
            ),
        )

    def show_baseline(self, slug: str, baseline_id: int, /) -> BaselineState:
        """How far a baseline is."""
        return cast(
            BaselineState,
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/baselines/{segment(baseline_id)}", again=True
            ),
        )

    def check_baseline(self, slug: str, token: str, /) -> BaselineGuess:
        """What an uploaded file would be as a baseline."""
        return cast(
            BaselineGuess,
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/uploads/{segment(token)}/baseline", again=True
            ),
        )

    def start_baseline(self, slug: str, token: str, /, **body: Unpack[BaselineMapping]) -> BaselineState:
        """Make an uploaded file the baseline."""
        return cast(
            BaselineState,
            self._transport.call(
                "POST", f"/api/v1/projects/{segment(slug)}/uploads/{segment(token)}/baseline", body=body
            ),
        )

    def list_dry_runs(self, slug: str, /) -> DryRuns:
        """Dry runs of the pre-labeller, and what the whole pool would take."""
        return cast(DryRuns, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/dry-runs", again=True))

    def request_dry_run(self, slug: str, /) -> DryRunDetail:
        """Try the pre-labeller on twenty items."""
        return cast(DryRunDetail, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/dry-runs"))

    def show_dry_run(self, slug: str, run_id: int, /) -> DryRunDetail:
        """One dry run, text by text."""
        return cast(
            DryRunDetail,
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/dry-runs/{segment(run_id)}", again=True),
        )

    def show_round_log(self, slug: str, number: int, /) -> list[LogEntry]:
        """What has happened to a round, in plain words, oldest first."""
        return cast(
            list[LogEntry],
            self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/log", again=True),
        )

    def list_round_items(
        self, slug: str, number: int, /, *, reason: str = "", after: int = -1, limit: int = 50
    ) -> RoundItems:
        """The items that a round chose, and why."""
        return cast(
            RoundItems,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/items",
                query={"reason": reason, "after": after, "limit": limit},
                again=True,
            ),
        )

    def list_round_pairs(self, slug: str, number: int, /, *, after: int = -1, limit: int = 20) -> RoundPairs:
        """A round's boundary pairs, with their texts."""
        return cast(
            RoundPairs,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/pairs",
                query={"after": after, "limit": limit},
                again=True,
            ),
        )

    def show_confusion(self, slug: str, /) -> Confusion:
        """The newest model against the consensus, label by label."""
        return cast(
            Confusion, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/alignment/confusion", again=True)
        )

    def alignment_figures(self, slug: str, /) -> str:
        """Every figure of alignment, as CSV."""
        return cast(str, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/alignment/figures", again=True))

    def alignment_chart(self, slug: str, /, *, theme: Literal["light", "dark"] = "light") -> dict[str, Any]:
        """The chart of alignment, as a Vega-Lite specification."""
        return cast(
            dict[str, Any],
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/alignment/chart", query={"theme": theme}, again=True
            ),
        )

    def alignment_picture(self, slug: str, /) -> Download:
        """The chart of alignment, as SVG."""
        return self._transport.download(f"/api/v1/projects/{segment(slug)}/alignment/picture")

    def map_picture(
        self,
        slug: str,
        number: int,
        /,
        *,
        side: Literal["before", "after"] = "before",
        theme: Literal["light", "dark"] = "light",
    ) -> Download:
        """A round's map as SVG."""
        return self._transport.download(
            f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/map/picture",
            query={"side": side, "theme": theme},
        )

    def map_items(self, slug: str, number: int, /, *, side: Literal["before", "after"] = "before") -> str:
        """A round's items and where they lie on its map, as CSV."""
        return cast(
            str,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/rounds/{segment(number)}/map/items",
                query={"side": side},
                again=True,
            ),
        )

    def show_report(self, slug: str, /) -> Report:
        """The report's numbers."""
        return cast(Report, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/report", again=True))

    def report_html(self, slug: str, /) -> str:
        """The report as one HTML file."""
        return cast(str, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/report/html", again=True))

    def report_pdf(self, slug: str, /) -> Download:
        """The report as PDF."""
        return self._transport.download(f"/api/v1/projects/{segment(slug)}/report/pdf")

    def dataset_card(self, slug: str, /) -> str:
        """The dataset's card, in Markdown."""
        return cast(
            str, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/report/dataset-card", again=True)
        )

    def show_template(self, slug: str, /) -> Template:
        """A guideline to begin with, for the project's labels."""
        return cast(
            Template, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/guideline/template", again=True)
        )

    def compare_draft(self, slug: str, /, **body: Unpack[Draft]) -> DraftChanges:
        """What a new version would change."""
        return cast(
            DraftChanges, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/guideline/draft", body=body)
        )

    def list_practice_items(self, slug: str, /) -> PracticeTexts:
        """The practice's texts, with the right answers."""
        return cast(
            PracticeTexts, self._transport.call("GET", f"/api/v1/projects/{segment(slug)}/practice/items", again=True)
        )

    def add_practice_item(self, slug: str, /, **body: Unpack[NewPracticeItem]) -> PracticeLine:
        """Add a text."""
        return cast(
            PracticeLine, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/practice/items", body=body)
        )

    def take_examples(self, slug: str, /) -> ExamplesTaken:
        """Take all examples of the guideline."""
        return cast(ExamplesTaken, self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/practice/examples"))

    def retire_practice_item(self, slug: str, practice_id: int, /) -> None:
        """Take a text out."""
        self._transport.call("POST", f"/api/v1/projects/{segment(slug)}/practice/items/{segment(practice_id)}/retire")

    def list_audit(self, slug: str, /, *, search: str = "", before: int | None = None, limit: int = 100) -> AuditPage:
        """The record of who changed what, newest first."""
        return cast(
            AuditPage,
            self._transport.call(
                "GET",
                f"/api/v1/projects/{segment(slug)}/audit",
                query={"search": search, "before": before, "limit": limit},
                again=True,
            ),
        )

    def audit_file(self, slug: str, /, *, search: str = "") -> str:
        """The record of who changed what, as CSV."""
        return cast(
            str,
            self._transport.call(
                "GET", f"/api/v1/projects/{segment(slug)}/audit/file", query={"search": search}, again=True
            ),
        )
