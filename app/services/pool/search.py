"""What the words in a search box mean: all of them, in any order; ``refund*`` begins so; "in quotes" in that order.

SQLite and Postgres are asked the same. To both, a script that is written without spaces is one long word.
"""

import re

from sqlalchemy import ColumnElement, Select, TextClause, exists, func, literal_column, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db.tables import ITEMS_SEARCH, Item
from app.errors import InvalidInput

_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_MOST_TERMS = 20


def terms(words: str) -> list[tuple[list[str], bool]]:
    """Each term as the words of a phrase, and whether its last word may go on. Signs that belong to no word are passed
    over. Raises InvalidInput where nothing is left, or too much."""
    found = [(_WORD.findall(phrase or word), word.endswith("*")) for phrase, word in _TERM.findall(words)]
    found = [(parts, open_) for parts, open_ in found if parts]
    if not found:
        raise InvalidInput("Search for a word: there is none in it.", field="q")
    if len(found) > _MOST_TERMS:
        raise InvalidInput(f"That is too much to look for: at most {_MOST_TERMS} words.", field="q")
    return found


def matching(session: Session, words: str) -> tuple[Select[int], ColumnElement[int] | InstrumentedAttribute[int]]:
    """The ids of items whose text holds every term, and the column to put them in order by: the index gives them in
    the pool's order, so that a page needs no more of it than it shows."""
    if session.get_bind().dialect.name == "sqlite":
        found = select(Item.id).select_from(ITEMS_SEARCH.join(Item, Item.id == ITEMS_SEARCH.c.rowid))
        return found.where(_match(words)), ITEMS_SEARCH.c.rowid
    return select(Item.id).where(_held(words)), Item.id


def holds(session: Session, words: str) -> ColumnElement[bool]:
    """The same as a condition on an item, for few items: it asks the index about each."""
    if session.get_bind().dialect.name == "sqlite":
        return exists().select_from(ITEMS_SEARCH).where(_match(words), ITEMS_SEARCH.c.rowid == Item.id)
    return _held(words)


def _match(words: str) -> TextClause:
    query = " AND ".join(f'"{" ".join(parts)}"' + ("*" if open_ else "") for parts, open_ in terms(words))
    return text("items_search MATCH :words").bindparams(words=query)


def _held(words: str) -> ColumnElement[bool]:
    query = " & ".join("(" + " <-> ".join(parts) + (":*" if open_ else "") + ")" for parts, open_ in terms(words))
    simple: ColumnElement[str] = literal_column("'simple'")
    return func.to_tsvector(simple, Item.text).op("@@")(func.to_tsquery(simple, query))
