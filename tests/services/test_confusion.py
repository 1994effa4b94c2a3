"""The cells count decided evaluation items of finished rounds, and lead to exactly those items."""

import numpy as np
from sqlalchemy import select

from app.db.tables import ConsensusLabel, ModelVersion, Project, Round, RoundItem
from app.services.confusion import model_confusion
from app.services.pool.browse import Filters, browse
from tests.services.test_evaluation import Case  # a scored round of forty items


def test_every_cell_counts_its_items(db):
    case = Case(db)
    with db.write() as session:
        round_ = session.get_one(Round, case.round_id)
        round_.state = "done"
        decided = {}
        for place, item_id in enumerate(case.items):
            label = None if place % 7 == 0 else int(case.ratings[place, 0])
            decided[item_id] = label
            source = "tie" if label is None else "majority"
            session.add(ConsensusLabel(round_id=round_.id, item_id=item_id, label=label, source=source, votes=3))
        for version in session.scalars(select(ModelVersion)):
            version.state = "ready"
        session.flush()
        project = session.get_one(Project, round_.project_id)
        found = model_confusion(session, project)
        expected = np.zeros((2, 2), dtype=int)
        for place, item_id in enumerate(case.items):
            if case.scored[place] and decided[item_id] is not None:
                expected[decided[item_id], case.models[found.version][place]] += 1
        assert found.counts == expected.tolist()
        assert found.n == expected.sum()
        for row in range(2):
            for column in range(2):
                filters = Filters(split="evaluation", expert_label=row, label=column, version=found.version)
                items = browse(session, project, filters, limit=100).items
                assert len(items) == found.counts[row][column]
        assert session.scalars(select(RoundItem.split)).all().count("evaluation") == 30


def test_there_is_none_before_a_round_is_done(db):
    case = Case(db)
    with db.read() as session:
        assert (
            model_confusion(session, session.get_one(Project, session.get_one(Round, case.round_id).project_id)) is None
        )
