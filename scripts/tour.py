"""Goes through every state of the pages, as an admin and as experts, in one demo project; each stop is a picture.

The project has three finished rounds; the fourth is answered, disputed and decided on the way, by the same services
and pages that people use, with a worker beside them.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import Assignment, ConsensusLabel, Item, Membership, Project, Round, RoundItem, User
from app.services import (
    accounts,
    annotations,
    deletion,
    guidance,
    invitations,
    messages,
    practice,
    projects,
    queue,
    rounds,
    rulings,
    webhooks,
)
from app.services.annotations import Answer

LONG = (
    "Open day at the allotments, Saturday from ten. Twelve growers show their plots, from a first season's beans to a "
    "pear that was planted in 1931. Tea and seed cake at the hut, £2; seedlings from 50p. At noon Moira Kerr shows how "
    "she prunes currants, and at two there is a walk for children, who may dig. Dogs on a lead, please. The nearest "
    "stop is Mill Lane, line 14; there is no parking at the gate. In heavy rain it is the Sunday after, at the same "
    "hours. The site has been let by the parish since 1919, and nine of its forty plots come free this winter: whoever "
    "wants one can leave their name at the hut, and will hear by the end of the month. "
) * 3
SHORT_WAIT = 250  # milliseconds: for what a key press changes
CHARTS_WAIT = 2500  # charts draw themselves after loading

Shoot = Callable[[str, str, Page], None]  # name, sentence, page


@dataclass
class Tour:
    """``people`` by name: the admin's first name, then the experts'."""

    browser: Browser
    base: str
    db: Database
    project_id: int
    slug: str
    shoot: Shoot
    people: dict[str, int]

    def session(self, who: str) -> BrowserContext:
        context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        self.sign_in(context, who)
        return context

    def sign_in(self, context: BrowserContext, who: str) -> None:
        with self.db.write() as session:
            cookie = accounts.start_session(session, self.people[who], days=1, user_agent="Firefox/130.0 Linux")
        context.add_cookies([{"name": "linecall", "value": cookie, "url": self.base}])

    @contextmanager
    def page(self, who: str | None, path: str = "") -> Iterator[Page]:
        context = self.session(who) if who else self.browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(self.url(path))
        page.wait_for_timeout(SHORT_WAIT)
        yield page
        context.close()

    def url(self, path: str) -> str:
        """``./label`` is the project's page; what begins with a slash is the site's."""
        return self.base + (f"/p/{self.slug}{path[1:].rstrip('/')}" if path.startswith(".") else path)

    def show(self, name: str, sentence: str, who: str | None, path: str, *, wait: int = 0) -> None:
        with self.page(who, path) as page:
            page.wait_for_timeout(wait)
            self.shoot(name, sentence, page)

    def wait_for_round(self, *states: str) -> str:
        for _ in range(1200):
            with self.db.read() as session:
                state = session.scalar(
                    select(Round.state).where(Round.project_id == self.project_id).order_by(Round.number.desc())
                )
            if state in states:
                return state
            time.sleep(0.1)
        raise SystemExit(f"the round did not become {states}")

    def project(self, session: Session) -> Project:
        return session.get_one(Project, self.project_id)


def whole(tour: Tour) -> None:
    admin, *experts = tour.people
    coming_in(tour, admin)
    the_practice(tour, admin)
    after_three_rounds(tour, admin)
    prepare_fourth_round(tour, admin)
    the_desk(tour, experts[0])
    the_guideline(tour, admin, experts[0])
    everybody_answers(tour, experts)
    disagreements(tour, admin, experts)
    a_new_project(tour, admin)


def coming_in(tour: Tour, admin: str) -> None:
    with tour.db.write() as session:
        token, _ = invitations.invite(
            session, tour.project_id, "expert", days=7, by_user_id=tour.people[admin], name="Nora", email=""
        )
        link = invitations.create_sign_in_link(session, tour.people[admin])
    tour.show("sign-in", "Signing in", None, "/sign-in")
    tour.show("sign-in-link", "A link that signs somebody in once", None, f"/sign-in/{link}")
    with tour.page(None, f"/invitation/{token}") as page:
        tour.shoot("invitation", "An invitation: a name and a password, and one is in the project", page)
    with tour.db.write() as session:
        nora = invitations.accept_as_new(
            session, token, email="nora@example.org", name="Nora", password=secrets.token_urlsafe()
        )
        tour.people["Nora"] = nora.id
    tour.show("not-found", "An address that is none of yours", "Nora", "/p/elsewhere/label")


def the_practice(tour: Tour, admin: str) -> None:
    with tour.db.write() as session:
        project = tour.project(session)
        for text, label, why in (
            ("You won't believe what this baker puts in her bread.", 1, "It holds back the very thing it is about."),
            ("Rye bread, baked every morning, £3.20 a loaf.", 0, "It says what is sold, and for how much."),
            ("This one trick will change how you water your plants.", 1, "The trick is what one must click to learn."),
        ):
            practice.add(session, project, text, label, why, user_id=tour.people[admin])
        project.settings = project.settings | {"practice_pass_share": 0.6}
    with tour.page("Nora", "./practice") as page:
        tour.shoot("practice", "Practice: a text whose answer is known", page)
        page.keyboard.press("2")
        page.locator("#feedback").wait_for()
        tour.shoot("practice-right", "Practice: right, and why", page)
        page.get_by_role("button", name="Next text").click()
        page.locator("form.answer").wait_for()
        page.keyboard.press("2")
        page.locator("#feedback").wait_for()
        tour.shoot("practice-wrong", "Practice: what the guideline says instead", page)
        page.get_by_role("button", name="Next text").click()
        page.locator("form.answer").wait_for()
        page.keyboard.press("2")
        page.get_by_role("button", name="See how it went").click()
        page.wait_for_timeout(SHORT_WAIT)
        tour.shoot("practice-passed", "Practice: passed, with what was wrong", page)
    with tour.db.write() as session:  # the others began before there was a practice
        project = tour.project(session)
        project.settings = project.settings | {"practice_pass_share": 0.0}
    tour.show("practice-items", "The texts of the practice, as a lead keeps them", admin, "./practice")


def after_three_rounds(tour: Tour, admin: str) -> None:
    for name, sentence, path in (
        ("home", "Projects", "/"),
        ("overview", "A project: where it stands and what to do next", "./"),
        ("rounds", "Its rounds", "./rounds"),
        ("round", "A finished round, stage by stage", "./rounds/3"),
        ("round-items", "What a round chose, with the model's label and the experts'", "./rounds/3/items"),
        ("alignment", "Model–human alignment by round, under the experts' own", "./alignment"),
        ("map", "The pool in two dimensions, with the round's pairs on the line", "./map"),
        ("report", "The report: two tables, a figure, the settings and the limits, to send on", "./report"),
        ("models", "The model versions, with their figures", "./models"),
        ("model", "One model version: where it comes from, what it is worth, and how to use it", "./models/3"),
        ("export", "Taking the data away", "./export"),
        ("delete", "Deleting a project, which can be undone", "./delete"),
        ("pool", "The pool", "./pool"),
        ("pool-items", "Browsing the pool", "./pool/items"),
        ("people", "People and invitations", "./people"),
        ("settings", "Settings", "./settings"),
        ("guideline", "Writing the guideline", "./guideline"),
        ("baseline", "Labels that exist already", "./baseline"),
        ("audit", "The audit log", "./audit"),
        ("audit-whole", "The audit log of the installation", "/audit"),
    ):
        tour.show(name, sentence, admin, path, wait=CHARTS_WAIT if name == "alignment" else 0)
    with tour.db.read() as session:
        first = select(RoundItem.item_id).join(Round).where(Round.project_id == tour.project_id, Round.number == 3)
        item = session.scalars(first.order_by(RoundItem.position)).first()
    tour.show("item", "An item's whole history", admin, f"./pool/items/{item}")
    with tour.page(admin, "./dry-runs") as page:
        page.get_by_role("button", name="Try it on 20 items").click()
        page.locator(".dry-run .pill").first.wait_for(timeout=120_000)
        tour.shoot("dry-runs", "Trying the pre-labeller on twenty texts", page)
    the_webhooks(tour, admin)


def the_webhooks(tour: Tour, admin: str) -> None:
    """One call has arrived and one waits to be repeated: nobody answers at this address, so both are written here."""
    with tour.page(admin, "./webhooks") as page:
        page.get_by_label("Address").fill("https://hooks.example.org/ads")
        page.get_by_label("A round has failed").check()  # so that nobody is called on the way
        page.get_by_role("button", name="Add").click()
        page.get_by_label("Signing secret").wait_for()
        tour.shoot("webhook-secret", "A webhook's signing secret, shown once", page)
    with tour.db.write() as session:
        (hook,) = webhooks.list_webhooks(session, tour.project_id)
        for error in ("It answered 503.", ""):
            call = webhooks.send_test(session, tour.project_id, hook.id, user_id=tour.people[admin])
            call.attempts = 1
            if error:
                messages.note_failure(session, call.id, error)
            else:
                messages.note_sent(session, call.id)
    tour.show("webhooks", "Programs that are told of rounds, and whether the calls arrived", admin, "./webhooks")
    with tour.db.write() as session:
        webhooks.remove(session, tour.project_id, hook.id, user_id=tour.people[admin])  # before it is called again


def prepare_fourth_round(tour: Tour, admin: str) -> None:
    tour.show("empty-no-round", "An empty queue says why: the round is over", list(tour.people)[1], "./label")
    with tour.db.write() as session:
        project = tour.project(session)
        project.settings = project.settings | {"adjudicators": "two_experts"}
        rounds.start_round(session, project, user_id=tour.people[admin])
    tour.wait_for_round("review")
    tour.show("review", "A round in review, as an admin sees it", admin, "./rounds/4")


def the_desk(tour: Tour, expert: str) -> None:
    context = tour.session(expert)
    page = context.new_page()
    page.goto(tour.url("./label"))
    page.locator("#show-keys").wait_for()
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("label", "The labelling page: one text, one key", page)
    for key in "121211":
        _answer(page, key)
    tour.shoot("label-saved", "A receipt once the answer is on disk, and the time left at one's own pace", page)
    page.keyboard.press("s")
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("skip", "Skipping asks why; a number is enough", page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("keys", "The keys, which can be changed, and other settings", page)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("promise")
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("search", "Searching the guideline", page)
    page.keyboard.press("Escape")
    page.get_by_text("Ask or propose").click()
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("ask", "Asking about the text in hand, or proposing it as an example", page)
    page.evaluate(
        "sessionStorage.setItem('linecall:stretch', JSON.stringify({ since: Date.now() - 46 * 6e4, last: Date.now() }))"
    )
    page.locator("#item").focus()
    _answer(page, "1")
    tour.shoot("break", "A break is suggested, and can be turned off", page)
    page.get_by_role("button", name="Carry on").click()
    _no_connection(tour, context, page, expert)
    _long_text(tour, page)
    _until_a_pair(tour, page)
    page.goto(tour.url("./answers"))
    page.locator(".given > li > details > summary").nth(1).click()
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("answers", "One's own answers of the last day, each of which can be changed", page)
    context.close()
    tour.show("account", "One's account", expert, "/account")
    tour.show("overview-expert", "The project as an expert sees it", expert, "./")


def _answer(page: Page, key: str) -> None:
    if page.locator("#contrast").is_visible():
        page.locator("#contrast[data-ready]").wait_for()
        page.keyboard.press("Enter")
        page.locator("#contrast").wait_for(state="detached")
    page.keyboard.press(key)
    page.wait_for_timeout(SHORT_WAIT)


def _refused(tour: Tour, page: Page) -> None:
    page.route("**/label/noted", lambda route: route.fulfill(status=413, body="too large"), times=1)
    _answer(page, "1")
    page.get_by_text("One answer was not stored").click()
    tour.shoot("set-aside", "What the server would not have: kept, to send again, copy or throw away", page)
    page.keyboard.press("u")
    page.locator("#aside").wait_for(state="hidden")


def _no_connection(tour: Tour, context: BrowserContext, page: Page, expert: str) -> None:
    context.set_offline(True)
    for key in "12":
        _answer(page, key)
    page.get_by_text("2 answers wait to be sent").wait_for()
    tour.shoot("offline", "Without a network: answers are kept on the device, and sent later", page)
    for key in "1212":
        _answer(page, key)
    tour.shoot("offline-empty", "Without a network, when the texts in hand are used up", page)
    context.set_offline(False)
    page.locator("#trouble").wait_for(state="hidden")
    page.locator("#item").wait_for()
    _refused(tour, page)
    with tour.db.write() as session:
        accounts.revoke_all_sessions(session, tour.people[expert])
    _answer(page, "1")
    page.get_by_text("You have been signed out").wait_for()
    tour.shoot("signed-out", "A sign-in that has expired: nothing is lost", page)
    tour.sign_in(context, expert)
    page.reload()
    page.locator("#show-keys").wait_for()
    page.wait_for_timeout(4 * SHORT_WAIT)


def _long_text(tour: Tour, page: Page) -> None:
    with tour.db.write() as session:
        item = session.get_one(Item, int(page.get_attribute("#task", "data-item") or 0))
        short, item.text = item.text, LONG.strip()
    page.reload()
    page.locator("#show-keys").wait_for()
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("long", "A long text is folded; the answers never leave the screen", page)
    with tour.db.write() as session:
        session.get_one(Item, item.id).text = short
    page.reload()
    page.locator("#show-keys").wait_for()


def _until_a_pair(tour: Tour, page: Page) -> None:
    """Answer until both texts of a pair are answered."""
    for turn in range(80):
        page.keyboard.press("12"[turn % 2])
        page.wait_for_timeout(SHORT_WAIT)
        if page.locator("#contrast").is_visible():
            break
    else:
        raise SystemExit("no pair came up")
    page.locator("#contrast[data-ready]").wait_for()
    tour.shoot("contrast", "Both texts of a pair are answered: side by side, with one's own answers", page)
    page.keyboard.press("r")
    page.wait_for_timeout(SHORT_WAIT)
    tour.shoot("contrast-revise", "Revising one of the two, with a reason", page)


def the_guideline(tour: Tour, admin: str, expert: str) -> None:
    with tour.db.write() as session:
        project, by, who = tour.project(session), tour.people[admin], tour.people[expert]
        slots = session.scalars(
            select(Assignment.id).where(Assignment.expert_id == who, Assignment.state == "done").order_by(Assignment.id)
        ).all()
        for place, (kind, text) in enumerate(
            (("question", "Does a price with no product count?"), ("example", "It withholds the place."))
        ):
            guidance.suggest(
                session, project, who, kind, text, key=f"tour-{place}-key", assignment_id=slots[-1 - place], label=1
            )
    tour.show("suggestions", "Experts' questions and proposals, as a lead answers them", admin, "./suggestions")
    with tour.db.write() as session:
        project, present = tour.project(session), projects.current_guideline(session, tour.project_id)
        asked = guidance.asked(session, tour.project_id)
        question = next(entry.row.id for entry in asked if entry.row.kind == "question")
        guidance.reply(session, project, question, "Yes: the product is what is held back.", user_id=by)
        text = present.text + "\n\n## Prices\n\nA price alone, with no product, holds back what is sold: *clickbait*.\n"
        summary = "A price with no product counts as clickbait."
        projects.publish_guideline(session, project, text=text, examples=present.examples, summary=summary, user_id=by)
    tour.show("suggestions-own", "One's own questions, with the answers", expert, "./suggestions")
    tour.show("news", "A new version of the guideline is announced until it is read", expert, "./label")
    tour.show("versions", "Versions of the guideline, and what changed", expert, "./guideline/versions")
    tour.show(
        "versions-lead", "The same for a lead, who can ask again for what it affects", admin, "./guideline/versions"
    )
    tour.show("again", "Asking again, label by label or text by text", admin, "./guideline/again")


def everybody_answers(tour: Tour, experts: list[str]) -> None:
    """The first expert to the end by hand, so to say; the empty queue waits for the others, who disagree at times."""
    _drain(tour, tour.people[experts[0]], lambda item: item * 7 % 10 < 4)
    with tour.page(experts[0], "./label") as page:
        while page.locator("#contrast").is_visible():
            page.locator("#contrast[data-ready]").wait_for()
            page.keyboard.press("Enter")
            page.wait_for_timeout(SHORT_WAIT)
        tour.shoot("empty-waiting", "An empty queue says what it waits for", page)
    for expert in experts[1:]:
        _drain(tour, tour.people[expert], lambda item: (item * 7 % 10 < 4) != (item % 11 == 0))
    tour.wait_for_round("adjudicating")


def _drain(tour: Tour, user_id: int, label: Callable[[int], bool]) -> None:
    for _ in range(500):
        with tour.db.write() as session:
            task = queue.claim(session, tour.project_id, user_id, lease=timedelta(minutes=30))
            if task is None:
                return
            note = "It names no product." if task.item_id % 22 == 0 else ""
            answer = Answer(task.assignment_id, int(label(task.item_id)), f"tour-{user_id}-{task.item_id}", note=note)
            receipt = annotations.submit(
                session, project_id=tour.project_id, expert_id=user_id, n_labels=2, answer=answer
            )
            queue.close_if_answered(session, receipt.round_id)


def disagreements(tour: Tour, admin: str, experts: list[str]) -> None:
    tour.show("empty-votes", "An empty queue leads to the votes on disagreements", experts[0], "./label")
    with tour.page(experts[0], "./rounds/4/ties") as page:
        tour.shoot("ties-vote", "Where experts decide: blind answers and notes, without names", page)
        page.get_by_label("Because").first.fill("It holds the product back.")
        page.get_by_role("button", name="clickbait").first.click()
        page.wait_for_timeout(SHORT_WAIT)
        tour.shoot("ties-voted", "One vote is cast; two that agree settle it", page)
    tour.show("ties", "Where a lead decides: answers side by side, with notes", admin, "./rounds/4/ties")
    with tour.db.write() as session:
        round_ = session.scalars(select(Round).where(Round.project_id == tour.project_id, Round.number == 4)).one()
        ties = session.scalars(
            select(ConsensusLabel.item_id).where(ConsensusLabel.round_id == round_.id, ConsensusLabel.source == "tie")
        ).all()
        for item in ties[:3]:
            for expert in experts[1:3]:
                ground = {"reason": "The subject is held back.", "clause": "Clickbait"}
                if rulings.vote(session, round_, item, 1, n_labels=2, user_id=tour.people[expert], **ground):
                    break
    tour.show("rulings", "Rulings: how disagreements were decided, and why", experts[0], "./rulings")


def a_new_project(tour: Tour, admin: str) -> None:
    with tour.db.write() as session:
        by = tour.people[admin]
        name = "Phishing mails"
        project = projects.create_project(session, name=name, labels=["harmless", "phishing"], user_id=by)
        accounts.add_member(session, project.id, by, "admin")
        slug = project.slug
    tour.show("start", "The guided start: from nothing to the first round", admin, f"/p/{slug}/start")
    tour.show("start-overview", "An empty project says what comes next", admin, f"/p/{slug}")
    _upload(tour, admin, slug)
    tour.show("new-project", "A new project", admin, "/projects/new")
    with tour.db.write() as session:
        deletion.delete_project(session, projects.get_project(session, slug), confirm=name, user_id=by)
    tour.show("deleted", "A deleted project can be brought back", admin, "/")


def _upload(tour: Tour, admin: str, slug: str) -> None:
    mails = (("m1", "Your parcel is held: pay £1.99 by midnight"), ("m2", "Minutes of Thursday's meeting, attached"))
    rows = [f'{key}-{n},"{text} ({n})"' for n in range(40) for key, text in mails]
    content = "\n".join(["reference,mail", *rows]).encode()
    with tour.page(admin, f"/p/{slug}/start") as page:
        page.locator("#pool input[type=file]").set_input_files(
            {"name": "mails.csv", "mimeType": "text/csv", "buffer": content}
        )
        page.get_by_role("button", name="Upload and look").click()
        page.wait_for_url("**/pool/uploads/*")
        tour.shoot("pool-upload", "A file is looked at before anything of it is stored", page)
        page.get_by_role("button", name="Import").click()
        page.get_by_text("What is in the pool").wait_for(timeout=60_000)
        tour.shoot("pool-import", "What came of it: languages, lengths, near-duplicates", page)


def people_of(session: Session, project_id: int) -> dict[str, int]:
    """Admins first."""
    rows = session.execute(
        select(User.name, User.id, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project_id)
        .order_by(Membership.role, User.id)
    )
    return {name: user_id for name, user_id, _ in rows}
