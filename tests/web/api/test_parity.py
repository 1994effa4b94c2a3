"""Everything that the pages do can be done by API: every route of a page, by its name, with the operations that do
the same, or with the reason why there is none.

A route that is not in the tables fails the first test, and an entry without a route the second: whoever adds, renames
or removes a page says here how a script does it.
"""

import pytest

from app.web.main import ROUTERS, create_app

OPERATIONS = {
    # --- projects, from the first page to the deletion
    "home": "list_projects list_deleted",
    "create_project": "create_project",
    "project": "show_project show_standing show_alignment list_rounds",
    "project_settings": "show_project",
    "save_settings": "change_settings",
    "delete_project": "delete_project",
    "undo_deletion": "undo_deletion",
    # --- the guided start
    "start": "show_start show_project show_template",
    "start_guideline": "publish",
    "start_settings": "change_settings",
    "baseline": "list_baselines",
    "upload_baseline": "upload_file create_baseline",
    "baseline_upload": "show_upload check_baseline",
    "start_baseline": "start_baseline",
    "baseline_job": "show_baseline",
    "dry_runs": "list_dry_runs",
    "request_dry_run": "request_dry_run",
    "dry_run": "show_dry_run",
    # --- the pool
    "pool": "list_items list_imports",
    "upload_pool": "upload_file create_import",
    "pool_upload": "show_upload",
    "start_import": "import_upload",
    "pool_import": "show_import",
    "items": "search_items",
    "item": "show_item",
    # --- rounds
    "rounds": "list_rounds show_standing",
    "start_round": "start_round",
    "round": "show_round show_round_log show_standing",
    "round_items": "list_round_items",
    "close_review": "close_review",
    "cancel_round": "cancel",
    "retry_round": "retry",
    "pause_round": "pause",
    "resume_round": "resume",
    # --- what experts disagree on, and the guideline
    "ties": "list_ties list_contested",
    "decide_tie": "decide_tie cast_vote",
    "leave_ties_out": "leave_ties_out",
    "rulings": "list_rulings",
    "make_example": "make_example",
    "guideline": "show_project list_versions",
    "preview_guideline": "compare_draft",
    "publish_guideline": "publish queue_again",
    "guideline_versions": "list_versions",
    "guideline_seen": "note_guideline_seen",
    "choose_again": "show_affected",
    "queue_again": "queue_again",
    "suggestions": "list_suggestions",
    "suggest": "suggest",
    "answer_suggestion": "answer",
    # --- results
    "alignment": "show_alignment show_confusion show_standing search_items",
    "alignment_chart": "alignment_chart",
    "alignment_svg": "alignment_picture",
    "alignment_csv": "alignment_figures",
    "map": "list_maps show_map list_round_pairs",
    "map_texts": "show_item",
    "map_json": "show_map",
    "map_svg": "map_picture",
    "map_csv": "map_items",
    "map_redraw": "redraw_map",
    "report": "show_report",
    "report_file": "report_html",
    "report_pdf": "report_pdf",
    "dataset_card": "dataset_card",
    "export_file": "export",
    # --- models
    "models": "list_models",
    "model": "show_model show_prediction",
    "model_card": "model_card",
    "model_files": "model_files",
    "try_model": "predict",
    "prelabel_with_model": "use_model",
    "start_round_from_model": "start_round_from",
    # --- people, the record, webhooks
    "people": "list_people",
    "invite": "invite_person",
    "withdraw_invitation": "withdraw_invited",
    "change_role": "change_members_role",
    "remove_member": "remove_person",
    "make_sign_in_link": "create_sign_in_link",
    "invitation": "show_invitation",
    "join_by_invitation": "join_project",
    "audit": "list_audit",
    "audit_csv": "audit_file",
    "whole_audit": "list_whole_audit",
    "whole_audit_csv": "whole_audit_file",
    "webhooks": "list_webhooks list_deliveries",
    "add_webhook": "add_webhook",
    "test_webhook": "test_webhook",
    "remove_webhook": "remove_webhook",
    # --- an expert's day
    "label": "show_desk claim_next",
    "label_next": "claim_next",
    "label_noted": "annotate skip undo",
    "label_release": "release_items",
    "answer": "annotate",
    "skip": "skip",
    "undo": "undo",
    "contrast": "count_pairs show_pair",
    "confirm_contrast": "confirm_pair",
    "revise_contrast": "revise_pair",
    "given": "list_answers show_answer",
    "change_given": "change_answer",
    "practice": "show_attempt list_practice_items",
    "answer_practice": "answer_practice",
    "add_practice": "add_practice_item",
    "practise_examples": "take_examples",
    "retire_practice": "retire_practice_item",
    # --- one's own account
    "account": "show_account list_sessions list_tokens",
    "rename_account": "rename_account",
    "revoke_session": "revoke_sign_in",
    "revoke_other_sessions": "revoke_other_sign_ins",
    "create_api_token": "make_token",
    "revoke_api_token": "revoke_token",
    "save_preferences": "change_preferences",
    "account_preferences": "change_preferences",
}
REASONS = {
    "sign_in": "makes a browser's session; a script has its token instead",
    "sign_out": "ends a browser's session, and so does revoke_session; a script's token is revoked instead",
    "sign_in_link": "the page that a sign-in link opens in a browser",
    "use_sign_in_link": "makes a browser's session; a script has its token instead",
    "accept_invitation": "makes an account with a password and signs it in, before there can be a token",
    "sso_start": "sends a browser to the identity provider",
    "sso_callback": "takes a browser back from the identity provider",
    "change_password": "a token must not be able to lock its owner out",
    "new_project": "the empty form of create_project",
    "ask_to_delete": "the form of delete_project, whose confirmation is a parameter there",
    "export": "the form of export_file",
}


@pytest.fixture(scope="module")
def operations() -> dict[str, str]:
    """The method of every documented operation, by its name."""
    paths = create_app().openapi()["paths"]
    return {entry["operationId"]: method for verbs in paths.values() for method, entry in verbs.items()}


def pages() -> dict[str, set[str]]:
    """The methods of every route of a page, by its name; a form and what it sends may share one."""
    found: dict[str, set[str]] = {}
    for router in ROUTERS:
        for route in router.routes:
            found.setdefault(route.name, set()).update(route.methods - {"HEAD"})
    return found


def test_every_page_route_is_in_a_table():
    assert set(pages()) - set(OPERATIONS) - set(REASONS) == set()


def test_no_entry_is_stale_or_twice():
    assert (set(OPERATIONS) | set(REASONS)) - set(pages()) == set()
    assert set(OPERATIONS) & set(REASONS) == set()


def test_every_operation_named_exists(operations):
    named = {name for names in OPERATIONS.values() for name in names.split()}
    assert named - set(operations) == set()


def test_what_a_page_changes_an_operation_changes_and_what_it_shows_one_reads(operations):
    """So that no form is held to an operation that only reads, and no page to one that only writes."""
    for name, methods in pages().items():
        verbs = {operations[one] for one in OPERATIONS.get(name, "").split() if one in operations}
        if not verbs:
            continue
        if methods == {"POST"}:
            assert verbs - {"get"}, name
        elif methods == {"GET"} and name not in RESERVES:
            assert "get" in verbs, name


RESERVES = {"label", "label_next"}  # the page reserves items, and so does the operation, which is a POST


def test_every_operation_is_one_that_a_page_needs_too(operations):
    """Or one of those that scripts alone have: a whole project as a document, and the machines behind it."""
    named = {name for names in OPERATIONS.values() for name in names.split()}
    assert set(operations) - named == {"export_file", "apply_file", "show_service"}
