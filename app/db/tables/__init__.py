"""Every table, by area. Import from here: ``from app.db.tables import Item, Round``."""

from app.db.base import Base
from app.db.tables.accounts import ApiToken, Invitation, Membership, User, UserSession
from app.db.tables.models import Evaluation, ModelVersion, Prediction, PrelabelCache
from app.db.tables.pool import Import, Item
from app.db.tables.projects import AuditEvent, GuidelineVersion, Project
from app.db.tables.review import Annotation, Assignment, ConsensusLabel
from app.db.tables.rounds import BoundaryPair, Round, RoundItem, StageRun, Worker

__all__ = [
    "Annotation",
    "ApiToken",
    "Assignment",
    "AuditEvent",
    "Base",
    "BoundaryPair",
    "ConsensusLabel",
    "Evaluation",
    "GuidelineVersion",
    "Import",
    "Invitation",
    "Item",
    "Membership",
    "ModelVersion",
    "Prediction",
    "PrelabelCache",
    "Project",
    "Round",
    "RoundItem",
    "StageRun",
    "User",
    "UserSession",
    "Worker",
]
