"""One method for each operation of the API. Written by scripts/client.py; do not edit."""

import json
from typing import Literal, Unpack, cast

from app.client.schemas import (
    Account,
    AddedWebhook,
    Again,
    AlignmentReport,
    Answered,
    Applied,
    AskedAgain,
    AuditPage,
    Browsed,
    Changed,
    ChangedAnswer,
    Contested,
    Decided,
    Decision,
    DeletedProject,
    Delivery,
    Desk,
    Ended,
    GivenAnswer,
    Guideline,
    GuidelineVersion,
    ImportState,
    Invitation,
    InvitedTo,
    ItemHistory,
    ItemPage,
    Joined,
    MadeToken,
    MapLine,
    Mapping,
    Model,
    NewAnnotation,
    NewGuideline,
    NewInvitation,
    NewName,
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
    Predicted,
    Prefs,
    ProjectDetail,
    ProjectFile,
    ProjectFileBody,
    ProjectLine,
    ProjectSettings,
    Released,
    Reply,
    RoundDetail,
    RoundLine,
    RoundMap,
    Ruling,
    ShownPair,
    SignIn,
    SignInLink,
    Suggested,
    Suggestion,
    Target,
    Texts,
    Tie,
    Token,
    Undone,
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
