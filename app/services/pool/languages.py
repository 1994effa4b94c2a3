"""A rough guess at a text's language, offline and without a model: the script by Unicode, and within the Latin script
the language whose small words occur most. Good for shares of a pool, not for a single short text."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

UNSURE = "Latin script, language unsure"
_LOOKED_AT = 400  # characters
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPT_NAMES = {
    "CYRILLIC": "Cyrillic script",
    "GREEK": "Greek",
    "ARABIC": "Arabic script",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Devanagari script",
    "BENGALI": "Bengali",
    "TAMIL": "Tamil",
    "THAI": "Thai",
    "HANGUL": "Korean",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "CJK": "Chinese",
}
# Words that are frequent in one of these languages; those shared by two help neither much and do no harm.
_SMALL_WORDS = {
    "English": "the and of to in is that it for was with you this are not your what how have from will be on at an who "
    "why when they she his her their we can all has but by or as if my these which do just",
    "German": "der die und das ist nicht ein eine zu den mit von sich auf für dem im des auch wird sind wie bei ich "
    "sie es nach oder aus einen war hat noch nur über wir ihr einer mehr aber",
    "French": "le la les et des est une pas que pour dans qui sur avec ce il plus du au vous nous sont cette par son "
    "ne elle mais ses être aux votre je tout",
    "Spanish": "el los las que y en es por para con una del se no su al lo más como pero sus este son muy ha esta "
    "todo también fue hay cuando",
    "Italian": "il di che è e per un una non con del della sono gli alla più anche dei nel questo come le si ma ha "
    "delle dal sua tutti",
    "Portuguese": "o os que não e um uma para com em do da dos das é por mais se no na como ao você mas seu sua foi "
    "são isso muito",
    "Dutch": "de het een en van is niet dat op te voor met zijn aan er maar om ook bij als naar uit wordt dit nog "
    "heeft deze over door je",
    "Polish": "i w nie na się z do że jest to jak po co ale od za tak przez dla czy było jego są był tylko już",
    "Swedish": "och att det i som på är av för med den till inte har om ett var sig så men från kan när vi hade",
    "Turkish": "ve bir bu için ile da de çok daha olarak gibi ne var mı kadar sonra olan ama değil",
    "Indonesian": "yang dan di untuk dengan ini itu dari tidak pada adalah akan ke juga dalam bisa ada saya anda oleh",
}
_WORDS = {name: frozenset(words.split()) for name, words in _SMALL_WORDS.items()}


def guess_language(text: str) -> str:
    """A language or a script by name; ``UNSURE`` where Latin letters hold no telling small word, "no letters"."""
    head = text[:_LOOKED_AT]
    scripts = Counter(_script(character) for character in head if character.isalpha())
    if not scripts:
        return "no letters"
    if scripts["HIRAGANA"] + scripts["KATAKANA"]:
        return "Japanese"  # which writes with Chinese characters too
    script = scripts.most_common(1)[0][0]
    return _latin(head) if script == "LATIN" else _SCRIPT_NAMES.get(script, f"{script.capitalize()} script")


@lru_cache(maxsize=10_000)
def _script(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split()[0]


def _latin(text: str) -> str:
    words = Counter(_WORD.findall(text.lower()))
    hits = {name: sum(words[word] for word in words.keys() & known) for name, known in _WORDS.items()}
    ranked = sorted(hits.items(), key=lambda hit: -hit[1])
    return ranked[0][0] if ranked[0][1] > ranked[1][1] else UNSURE
