"""Every table, by area. Import from here: ``from app.db.tables import Item, Round``."""

from app.db.base import Base
from app.db.tables.accounts import ApiToken, Invitation, Membership, User, UserIdentity, UserSession
from app.db.tables.guidance import PracticeAnswer, PracticeItem, Suggestion
from app.db.tables.maps import BoundaryMap, MapProjection
from app.db.tables.messages import Message, Webhook
from app.db.tables.models import Evaluation, ModelVersion, Prediction, PredictRequest, PrelabelCache
from app.db.tables.pool import Import, Item
from app.db.tables.projects import AuditEvent, GuidelineVersion, Project
from app.db.tables.review import AdjudicationVote, Annotation, Assignment, ConsensusLabel, PairView
from app.db.tables.rounds import BoundaryPair, Round, RoundItem, StageRun, Worker
from app.db.tables.search import ITEMS_SEARCH
from app.db.tables.setup import Baseline, BaselineLabel, DryRun

__all__ = [
    "ITEMS_SEARCH",
    "AdjudicationVote",
    "Annotation",
    "ApiToken",
    "Assignment",
    "AuditEvent",
    "Base",
    "Baseline",
    "BaselineLabel",
    "BoundaryMap",
    "BoundaryPair",
    "ConsensusLabel",
    "DryRun",
    "Evaluation",
    "GuidelineVersion",
    "Import",
    "Invitation",
    "Item",
    "MapProjection",
    "Membership",
    "Message",
    "ModelVersion",
    "PairView",
    "PracticeAnswer",
    "PracticeItem",
    "PredictRequest",
    "Prediction",
    "PrelabelCache",
    "Project",
    "Round",
    "RoundItem",
    "StageRun",
    "Suggestion",
    "User",
    "UserIdentity",
    "UserSession",
    "Webhook",
    "Worker",
]
