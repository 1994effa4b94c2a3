"""How well model and experts agree."""

from app.services import alignment
from app.web.api.common import api_router
from app.web.deps import ReadSession, ViewerAccess

router = api_router("Alignment")


@router.get("/alignment", summary="Model–human and internal alignment, with intervals")
def show_alignment(access: ViewerAccess, session: ReadSession) -> alignment.AlignmentReport:
    """Every figure of the newest finished round. An undefined one has no `value` and says why in `undefined`."""
    return alignment.alignment(session, access.project.id)
