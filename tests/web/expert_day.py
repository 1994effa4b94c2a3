"""An expert's whole life in a project: every page that they may open, in every state, and every step between.

Two tests read what comes back: one for English where the page should be in German, one for anything that could sway
an answer. So all that is stored is in Greek, and what experts must not see can be made to differ (``Hidden``).
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update

from app.db.tables import (
    BoundaryPair,
    ConsensusLabel,
    GuidelineVersion,
    Item,
    Membership,
    ModelVersion,
    PracticeItem,
    Prediction,
    Project,
    Round,
    RoundItem,
    Suggestion,
    User,
)
from app.services import accounts, annotations, guidance, invitations, projects, queue
from app.services.annotations import Answer
from tests.factories import make_items, make_member, make_project
from tests.services.review_factories import add_round
from tests.web.conftest import PASSWORD, Browser, Scene
from tests.web.test_label import note_down, state
from tests.web.test_roles import EXPECTED, FILLED

TEXTS = [f"Κείμενο {n}" for n in "αβγδεζηθ"]
LABELS = ["Καλό", "Κακό"]
EXPERT_LEVELS = ("public", "signed_in", "expert", "voter", "labeller")
LEAVE_OUT = {"/sign-out", "/account/sessions/revoke-others"}  # they end the session that the next steps need
HTMX = {"HX-Request": "true"}


@dataclass(frozen=True)
class Hidden:
    """What an expert must not learn before they have answered. Labels and scores go up and down from item to item."""

    label: int = 0
    score: float = 0.90625
    reason: str = "boundary"
    colleague: tuple[int, ...] = (0, 1, 0)
    note: str = "Σημείωση συναδέλφου"
    question: str = "Ερώτηση συναδέλφου"
    flagged: bool = False


def furnish(scene: Scene) -> None:
    """Greek names for everything, and a colleague."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        scene.slug = project.slug = "ergo"  # the same in every world
        project.name, project.labels = "Έργο", LABELS
        for name, greek in (("admin", "Αθηνά"), ("expert", "Έλλη"), ("outsider", "Ξένη")):
            session.get_one(User, scene.users[name]).name = greek
        second = accounts.create_user(session, email="second@example.org", name="Δέσποινα", password=PASSWORD)
        make_member(session, project, second)
        scene.users["second"] = second.id
        session.execute(update(GuidelineVersion).values(text="Οδηγία"))
        elsewhere = make_project(session, name="Άλλο έργο", labels=LABELS)
        elsewhere.slug = "allo"
        make_member(session, elsewhere, session.get_one(User, scene.users["expert"]))
        publish(session, project, scene, 1)


def publish(session, project: Project, scene: Scene, number: int) -> None:
    projects.publish_guideline(
        session,
        project,
        text=f"# Κανόνας\n\nΟδηγία {number}",
        examples={LABELS[0]: ["Παράδειγμα"]},
        summary=f"Αλλαγή {number}",
        user_id=scene.users["admin"],
    )


def add_review(scene: Scene, hidden: Hidden, items: list[str] = TEXTS[:3], *, number: int = 1) -> list[int]:
    """A review of two answers each, with a model behind it, a pair, and a colleague who is done with it."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        rows = [row.id for row in make_items(session, project, items)]
        session.execute(update(Item).where(Item.id.in_(rows)).values(meta={"μυστικό": hidden.note}))
        round_ = add_round(session, project, rows, overlap=2, number=number)
        _model(session, project, round_, rows, hidden)
    _colleague_answers(scene, hidden)
    return rows


def _model(session, project: Project, round_: Round, items: list[int], hidden: Hidden) -> None:
    version = ModelVersion(project_id=project.id, version=round_.number, kind="prelabel", engine="few_shot", config={})
    session.add(version)
    session.flush()
    for place, item in enumerate(items):
        row = session.scalars(select(RoundItem).where(RoundItem.round_id == round_.id, RoundItem.item_id == item)).one()
        row.model_label, row.model_score = (hidden.label + place) % 2, hidden.score - hidden.label * place / 64
        row.reason, row.reason_detail = hidden.reason, {"why": f"{hidden.reason}-{hidden.label}"}
        session.add(
            Prediction(
                model_version_id=version.id, item_id=item, label=row.model_label, score=row.model_score, scores=b""
            )
        )
    session.add(
        BoundaryPair(
            round_id=round_.id,
            rank=0,
            left_item_id=items[hidden.label],  # left is the side of the lower label, as mined
            right_item_id=items[1 - hidden.label],
            left_label=0,
            right_label=1,
            similarity=hidden.score,
            left_cluster=hidden.label + 41,
            right_cluster=hidden.label + 51,
        )
    )
    round_.base_model_id = version.id
    round_.settings = round_.settings | {"adjudicators": "two_experts"}


def _colleague_answers(scene: Scene, hidden: Hidden) -> None:
    """Every text that they are given; then they ask something about the last one."""
    second, project_id, turn, given = scene.users["second"], scene.project_id, 0, None
    while True:
        with scene.db.write() as session:
            task = queue.claim(session, project_id, second, lease=timedelta(hours=1))
            if task is None:
                break
            label = hidden.colleague[turn % len(hidden.colleague)]
            given = Answer(task.assignment_id, label, secrets.token_hex(16), hidden.flagged, hidden.note)
            annotations.submit(session, project_id=project_id, expert_id=second, n_labels=2, answer=given)
            turn += 1
    with scene.db.write() as session:
        project, slot, key = session.get_one(Project, project_id), given.assignment_id, secrets.token_hex(16)
        guidance.suggest(
            session, project, second, "example", hidden.question, key=key, assignment_id=slot, label=given.label
        )


# --- the steps -----------------------------------------------------------------------------------------------------


def filled(scene: Scene, path: str) -> str:
    values = FILLED | {"slug": scene.slug, "number": 1}
    return re.sub(r"{(\w+)}", lambda match: str(values.get(match[1], 999)), path)


class Day:
    """Goes through the steps as one expert; ``keep`` gets the name of each step and what came back."""

    def __init__(self, scene: Scene, browser: Browser, keep: Callable[[str, object], None], headers=None) -> None:
        self.scene, self.browser, self.keep = scene, browser, keep
        browser.client.headers.update(headers or {})
        self.visited: set[str] = set()

    def get(self, path: str, template: str = "", **values):
        """As a page, and as the part of it that htmx asks for."""
        self.visited.add(template or path)
        response = self.browser.get(path, **values)
        self.keep(f"GET {path}", response)
        self.keep(f"GET {path} (htmx)", self.browser.get(path, headers=HTMX))
        return response

    def page(self, rest: str = ""):
        return self.get(self.scene.path(rest), "/p/{slug}" + rest.partition("?")[0])

    def send(self, path: str, data=None, **values):
        """A form; where it leads to another page, that page too."""
        response = self.browser.post(path, data, **values)
        self.keep(f"POST {path}", response)
        if response.status_code == 303:
            self.keep(f"POST {path}, then", self.browser.get(response.headers["location"]))
        return response

    def post(self, rest: str, data=None, **values):
        return self.send(self.scene.path(rest), data, **values)

    def note(self, kind: str = "answer", **entry):
        response = note_down(self.browser, self.scene, kind, **entry)
        self.keep(f"{kind} {sorted(entry)}", response)
        return response.json()

    def tasks(self) -> list[int]:
        return [task["assignment"] for task in state(self.browser.get(self.scene.path("/label")))["desk"]["tasks"]]

    def sweep(self) -> None:
        """Every address that is read from, those included that an expert is refused."""
        for level, method, path in EXPECTED:
            if method == "GET" and not path.startswith("/api/"):
                self.get(filled(self.scene, path), path if level in EXPERT_LEVELS else "")
        self.keep("no such page", self.browser.get("/nowhere"))
        self.keep("no such way", self.browser.client.put("/account"))

    def sweep_posts(self) -> None:
        """Every address that is written to, with an empty form: what is missing, or that it is not allowed."""
        for _, method, path in EXPECTED:
            if method == "POST" and not path.startswith("/api/") and path not in LEAVE_OUT:
                url = filled(self.scene, path)
                self.keep(f"POST {url}", self.browser.post(url, {}))
                self.keep(f"POST {url} (htmx)", self.browser.post(url, {}, headers=HTMX))


def before_any_round(day: Day) -> None:
    day.sweep()
    with day.scene.db.write() as session:
        make_items(session, session.get_one(Project, day.scene.project_id), ["Άλλο κείμενο"])
    day.page("/label")
    day.page("/label/next")


def the_practice(day: Day) -> None:
    with day.scene.db.write() as session:
        for n in (0, 1):
            row = PracticeItem(project_id=day.scene.project_id, position=n, text=f"Άσκηση {n}", label=n)
            row.explanation = f"Εξήγηση {n}"
            session.add(row)
        project = session.get_one(Project, day.scene.project_id)
        project.settings = project.settings | {"practice_pass_share": 1.0}
    day.page("/label")
    day.note(assignment=1, label=1)
    day.page("/practice")
    _practise(day, [0, 0], 1)
    day.page("/practice")
    day.page("/practice?again=true")
    _practise(day, [0, 1], 2)
    day.page("/practice")


def _practise(day: Day, labels: list[int], attempt: int) -> None:
    with day.scene.db.read() as session:
        items = session.scalars(select(PracticeItem.id).order_by(PracticeItem.position)).all()
    for item, label in zip(items, labels, strict=True):
        day.post("/practice", {"item": item, "label": label, "attempt": attempt})


def without_practice(scene: Scene) -> None:
    with scene.db.write() as session:
        session.execute(update(Membership).values(practice_passed_at=None))
        session.execute(update(PracticeItem).values(retired_at=PracticeItem.created_at))


def before_the_first_answer(day: Day) -> list[int]:
    """A review is open, a colleague has answered all of it."""
    day.page("/label")
    day.page("/label/next")
    day.sweep()
    return day.tasks()


def the_answers(day: Day) -> None:
    """Skip, undo, mistakes, repetitions, questions; the last text stays unanswered."""
    one, two = day.tasks()[:2]
    key = secrets.token_hex(16)
    for label in (1, 0, 7):
        day.note(assignment=one, label=label, key=key, note="Δική μου")
    day.note(assignment=one, label=0)
    day.note("skip", assignment=one)
    day.note("undo")
    day.note(assignment=one, label=1, flagged=True)
    day.note("undo", key="u" * 16)
    day.note("undo", key="u" * 16)
    day.note(assignment=one, label=1)
    day.page("/contrast")
    day.page("/answers")
    for _ in range(2):
        day.post(f"/answers/{one}", {"label": 0, "key": secrets.token_hex(16)})
        day.post(f"/answers/{one}", {"label": 1, "key": secrets.token_hex(16)})
    _questions(day, one)
    form = {"assignment": two, "key": secrets.token_hex(16), "label": 0}
    day.post("/label", form)  # both sides of the pair: leads to the contrast card
    day.page("/contrast")
    with day.scene.db.read() as session:
        pair = session.scalar(select(BoundaryPair.id).order_by(BoundaryPair.id.desc()))
    revision = {"change": f"{two}:1", "key": secrets.token_hex(16)}
    for headers in ({}, HTMX):
        day.post(f"/contrast/{pair}/revise", revision, headers=headers)
    day.post(f"/contrast/{pair}/revise", revision | {"reason": "Επειδή"})
    day.post(f"/contrast/{pair}/confirm", headers=HTMX)
    day.post(f"/contrast/{pair}/confirm")
    day.post("/label/undo", {"undo_key": secrets.token_hex(16)})
    day.page("/answers")


def _questions(day: Day, assignment: int) -> None:
    for kind, text, headers in (
        *(("question", "", {}), ("question", "", HTMX), ("nonsense", "Ερώτηση", {})),
        *(("question", "Ερώτηση", HTMX), ("example", "Πρόταση", {})),
    ):
        form = {"kind": kind, "text": text, "assignment": assignment, "label": 1, "key": secrets.token_hex(16)}
        day.post("/suggestions", form, headers=headers)
    day.page("/suggestions")


def a_new_guideline(day: Day, hidden: Hidden) -> None:
    """Questions are answered, a new version comes, and answers are asked for again; the colleague gives theirs."""
    scene = day.scene
    with scene.db.write() as session:
        project, admin = session.get_one(Project, scene.project_id), scene.users["admin"]
        mine = session.scalars(select(Suggestion).where(Suggestion.author_id == scene.users["expert"])).all()
        guidance.reply(session, project, mine[0].id, "Απάντηση", user_id=admin)
        guidance.take_up(session, project, mine[1].id, user_id=admin)
        publish(session, project, scene, 3)
        guidance.queue_again(session, project, [0, 1], user_id=admin)
    _colleague_answers(scene, hidden)
    for rest in ("/label", "/suggestions", "/guideline/versions", ""):
        day.page(rest)
    day.post("/guideline/seen")
    day.page("/label")


def the_last_answers(day: Day) -> None:
    """Until the queue is empty; then the page says what it waits for. A skip and an undo by form."""
    (first, *_) = day.tasks()
    day.post("/label/skip", {"assignment": first, "reason": ""})
    day.post("/label/skip", {"assignment": first, "reason": "Λόγος"})
    while tasks := day.tasks():
        day.note(assignment=tasks[0], label=0)
    day.page("/label")
    day.page("")
    day.sweep_posts()


def what_was_decided(scene: Scene, items: list[int], hidden: Hidden) -> None:
    """Consensus labels and a tie, which are nothing that experts are told before they vote."""
    with scene.db.write() as session:
        round_id = session.scalars(select(Round.id)).one()
        session.add_all(
            ConsensusLabel(round_id=round_id, item_id=item, label=hidden.label, source="majority", votes=2)
            for item in items[1:]
        )
        session.add(ConsensusLabel(round_id=round_id, item_id=items[0], source="tie", votes=2))


def the_round_goes_on(day: Day) -> None:
    for stage in ("review", "concluding", "adjudicating", "failed", "preparing", "done"):
        with day.scene.db.write() as session:
            session.scalars(select(Round)).one().state = stage
        for rest in ("/label", "/label/next", "/answers", ""):
            day.page(rest)
        if stage != "adjudicating":  # only then are colleagues' answers shown (a_vote)
            day.get(day.scene.path("/rounds/1/ties"))
        day.note("undo")


def a_vote(day: Day, items: list[int]) -> None:
    """Two experts decide where they disagree: from here on colleagues' answers are shown, without names."""
    scene = day.scene
    with scene.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        round_.state, round_.settings = "adjudicating", round_.settings | {"adjudicators": "two_experts"}
        session.add_all(
            ConsensusLabel(round_id=round_.id, item_id=item, source="tie", votes=2, decided_at=round_.created_at)
            for item in items[:2]
        )
    for rest in ("", "/label", "/label/next", "/rulings"):
        day.page(rest)
    day.get(scene.path("/rounds/1/ties"), "/p/{slug}/rounds/{number}/ties")
    other = scene.browser("second")
    for item in items[:2]:
        url = f"/rounds/1/ties/{item}"
        day.post(url, {"label": 1, "reason": ""})
        day.post(url, {"label": 9, "reason": "Επειδή"})
        day.post(url, {"label": 1, "reason": "Επειδή", "clause": "Κανόνας"})
        day.get(scene.path("/rounds/1/ties"), "/p/{slug}/rounds/{number}/ties")
        other.post(scene.path(url), {"label": 1, "reason": "Και εγώ"})
        day.post(url, {"label": 1, "reason": "Αργά"})
    for rest in ("/rulings", "/rulings?q=Και", "/rulings?q=Πουθενά"):
        day.page(rest)


def the_account(day: Day) -> None:
    """One's own name, password, browsers and tokens; twice signed in."""
    day.scene.browser("expert")
    day.get("/account")
    for url, form in (
        *(("/account/name", {"name": ""}), ("/account/name", {"name": "Έλλη"})),
        *(("/account/password", {"current": "x", "password": "y"}), ("/account/password", {"current": PASSWORD})),
        ("/account/password", {"current": PASSWORD, "password": "aaaaaaaaaaaa"}),
        ("/account/tokens", {"token_name": ""}),
        ("/account/tokens", {"token_name": "Όνομα", "days": 0, "scopes": "read"}),
        ("/account/tokens", {"token_name": "Όνομα", "days": 30}),
        *(("/account/tokens/1/revoke", {}), ("/account/tokens/1/revoke", {})),
        *(("/account/sessions/999/revoke", {}), ("/account/sessions/revoke-others", {})),
        *(("/account/preferences", {"language": "xx"}), ("/account/preferences", {"break_minutes": 45})),
    ):
        day.send(url, form)
    day.keep("preferences", day.browser.post_json("/preferences", {"swipe": True}))
    day.get("/account")


def coming_in(scene: Scene, keep: Callable[[str, object], None], headers) -> set[str]:
    """Signing in, links and invitations, by somebody without a session and by somebody with one; what they opened."""
    visited: set[str] = set()
    with scene.db.write() as session:
        by = scene.users["admin"]
        invited = [
            invitations.invite(session, scene.project_id, role, days=1, by_user_id=by, email=email)[0]
            for role, email in (("expert", ""), ("lead", "somebody@example.org"), ("viewer", ""))
        ]
        link = invitations.create_sign_in_link(session, scene.users["second"])
    for who in (None, "outsider"):
        day = Day(scene, scene.browser(who), keep, headers)
        for path, template in (
            *(("/sign-in", ""), (f"/sign-in/{link}", "/sign-in/{token}")),
            *((f"/invitation/{token}", "/invitation/{token}") for token in (*invited, "x" * 43)),
            ("/sso/callback", ""),
        ):
            day.get(path, template)
        for url, form in (
            ("/sign-in", {"email": "expert@example.org", "password": "wrong"}),
            (f"/invitation/{invited[0]}", {"email": "no address", "name": ""}),
            (f"/invitation/{invited[0]}", {"email": "nea@example.org", "name": "", "password": "short"}),
            (f"/invitation/{invited[0]}", {"email": "nea@example.org", "name": "Νέα", "password": "short"}),
            (f"/invitation/{invited[0]}", {"email": "expert@example.org", "name": "Νέα", "password": PASSWORD}),
            (f"/invitation/{invited[1]}", {"email": "nea@example.org", "name": "Νέα", "password": PASSWORD}),
            ("/sign-in/" + "x" * 43, {}),
            ("/sso/start", {}),
        ):
            day.send(url, form)
        visited |= day.visited
    day.send(f"/invitation/{invited[1]}/join")
    day.send(f"/invitation/{invited[0]}/join")
    fresh = Day(scene, scene.browser(), keep, headers)
    form = {"email": "nea@example.org", "name": "Νέα", "password": PASSWORD}
    fresh.send(f"/invitation/{invited[2]}", form)
    fresh.send("/sign-out")
    fresh.send(f"/sign-in/{link}")
    for _ in range(9):
        tried = fresh.browser.sign_in("nobody@example.org", "wrong")
    keep("too many attempts", tried)
    return visited
