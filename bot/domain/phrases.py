"""How people write times: the one pattern that `bot.domain.when` reads, put together from its parts.

It finds whatever looks like a time, with what leads it and what follows it; whether that is clearly one,
and which, is decided there. Every repetition is bounded or possessive, so that a search is one linear scan.
"""

import re

# Full-width forms and typographic spaces read as their plain twins, one for one, so that positions stay true.
_TWINS = str.maketrans(
    {wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}
    | {ord(space): " " for space in "\u00a0\u2009\u202f\u3000"}
    | {ord("’"): "'", ord("′"): "'"}
)
_SHORTCODE = re.compile(
    r":[a-z][\w+-]*:", re.IGNORECASE | re.ASCII
)  # Slack writes 🍕 as `:pizza:`; it is no word


def plain(text: str) -> str:
    """The text as the pattern reads it, every character in its place."""
    return _SHORTCODE.sub(lambda code: "~" * len(code[0]), text.translate(_TWINS))


NUMBER_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40,
    "fortyfive": 45, "fifty": 50, "sixty": 60, "ninety": 90,
}  # fmt: skip
_S = r"\s{1,3}"
_WORD = rf"(?:(?:{'|'.join(NUMBER_WORDS)}|forty[\s-]five)(?![a-z]))"
_NUMBER = rf"(?:\d++(?:[.,]\d++)?+(?:\s?½|\s1/2)?|\.\d++|½|1/2|{_WORD})"
_JOIN = rf"(?:,?{_S}(?:and{_S})?)?"
_TO_UNIT = rf"(?:\s?-?ish)?(?:\s{{0,3}}|-)(?:more{_S})?"
_ROUGHLY = r"(?:about|around|roughly|approx(?:imately|\.)?|another|at\sleast|only|just|~)"
_BACK = rf"(?:i'?(?:ll|m){_S})?(?:will{_S})?(?:be{_S})?(?:back|return(?:ing)?)"
_LEAD = rf"""
    (?: (?P<until>
          (?: untill? | '?till? | {_BACK}(?:{_S}(?:(?P<at>at|by|before|@)|on|(?P<after>after)))? )
          (?:{_S}(?:at|{_ROUGHLY}))? )
      | (?P<span>
          (?: for | in | within | (?P<back_in>{_BACK}{_S}(?:in|within)) )(?:{_S}(?:{_ROUGHLY}|the{_S}next))? )
      | (?P<roughly>about|around|roughly|approx(?:imately|\.)?|another|at\sleast)
      | (?P<other>at|from|since|before|after|by|to|of|the(?!{_S}day{_S}after)|last|past|every|over|under
                 |than|@)
    )(?:{_S}|(?<=[@~]))
  | (?P<tilde>~)\s?"""
_LENGTH = rf"""
    (?P<sign>[+-])?(?:(?P<least>\d{{1,3}})(?:\s?[-–—]\s?|{_S}(?:to|or){_S}))?(?![\s,])
    (?:(?P<weeks>{_NUMBER})(?:{_TO_UNIT}(?:weeks?|wks?)|w)|(?P<a_week>a{_S}week))?
    (?:{_JOIN}(?:(?P<days>{_NUMBER})(?:{_TO_UNIT}days?|d)|(?P<a_day>a{_S}day)))?
    (?:{_JOIN}(?:(?P<hours>{_NUMBER})(?P<half_more>{_S}and{_S}a{_S}half)?
                 {_TO_UNIT}(?P<hour_unit>hours?|hrs?|h)
               |(?P<an_hour>(?:an|another|(?:the{_S})?next){_S}(?:hour|hr)))
       (?:(?P<and_half>{_S}and{_S}a{_S}half)|\s?(?P<rest>(?<=h)\d\d|\d\d(?=\s*$)))?)?
    (?:{_JOIN}(?:(?P<minutes>{_NUMBER}){_TO_UNIT}(?:min(?:ute|uet|tue|te|ut)?s?|mn|m|(?<=\d)')
               |(?P<a_minute>a{_S}min(?:ute)?)))?
    (?:{_JOIN}(?:(?P<seconds>{_NUMBER})(?:{_TO_UNIT}(?:seconds?|secs?)|(?<=\d)s)
               |(?P<a_second>a{_S}sec(?:ond)?)))?
  | (?P<fraction>(?:a{_S})?(?P<share>half|quarter|three[\s-]quarters)(?:{_S}of)?(?:{_S}an?)?[\s-]{{1,3}}hour)
  | (?P<few>(?:a{_S})?(?:few|couple(?:{_S}of)?|several|some){_S}(?:more{_S})?
            (?:minutes?|mins?|hours?|hrs?|days?|weeks?))"""
_AND_MORE = rf"""(?P<and_more>
    ,?{_S}(?:and|or|plus){_S}(?:an?{_S})?(?:half|quarter|few|bit|{_NUMBER})
  | [-–—+/&]\d{{1,3}}\s?(?:hours?|hrs?|h|min(?:ute)?s?|m) | \+ )(?!\w)"""
_DAY = (
    rf"(?:(?:the{_S})?day{_S}after{_S}tomorrow|today|tomm?orr?ow|tmrw|tmr|tmw|mon(?:day)?|tue(?:s(?:day)?)?"
    r"|weds?|wednesday|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
)
_PART = r"(?:morning|afternoon|evening|night|lunchtime|[ap]m(?!\w))"
_NEXT_WEEK = rf"{_S}(?:next{_S})?week(?!\w)"
_CLOCK = rf"""
    (?P<word>(?P<twelve>12{_S})?(?:noon|midday)|midnight|eod|eob|cob
            |(?:the{_S})?end{_S}of{_S}(?:the{_S})?(?:day|business)|close{_S}of{_S}business)
  | (?P<spoken>(?:half|(?:a{_S})?quarter|five|ten|twenty){_S}(?:past|to){_S})?
    (?P<hour>\d{{1,3}}(?!\d)|{_WORD})(?:(?P<sep>[:.])(?P<minute>\d\d)(?P<to_second>(?<=:\d\d):\d\d)?(?P<dot>\.(?!\w))?)?
      (?P<meridiem>\s?[ap]\.?m(?!\w)|[ap](?![\w.]))?(?P<oclock>\s?o'?clock|\s?uhr)?
      (?P<h_unit>(?<=\d)\s?(?:hours?|hrs?|h)(?!\w))?(?P<ish>\s?-?ish)?
  | (?P<digits>\d{{4}})(?!\d)"""
_ZONES = (
    r"(?:utc|gmt)(?:\s?[+-]\d\d?(?::?\d\d)?)?|[+-]\d\d:?\d\d|(?<=\d)z|e[sd]?t|c[sd]?t|m[sd]t|p[sd]?t|ces?t|bst|ist|jst|kst|sgt|hkt|aes?t|aedt"
    r"|ees?t|msk|brt"
)
_PLACES = (
    r"austin|berlin|boston|chicago|denver|dubai|dublin|europe(?:an)?|german(?:y)?|india(?:n)?|japan(?:ese)?|la|lisbon"
    r"|london|madrid|manila|melbourne|new\syork|nyc|paris|seattle|sf|singapore|sydney|tokyo|toronto|uk|us|warsaw"
)
"""Places whose time people name; whatever else stands before "time" is a reason, such as focus time."""
_ZONE = rf"""
    \s?(?:{_ZONES})(?!\w) | \s?\((?:{_ZONES})\)
  | {_S}(?:eastern|central|mountain|pacific)(?:{_S}time(?!\w)|(?=\W*$))
  | {_S}(?:{_PLACES}){_S}time(?!\w)"""
"""Whose clocks a clock time is read by: `UTC`, `(CET)`, `Eastern`, `New York time`."""
_BEHIND = rf"""
    (?P<range>\s?(?:[-–—]|to\s)\s?\d\d?(?:[:.]\d\d(?:\s?[ap]m)?|\s?[ap]m
        |(?(until)(?<=\d)|(?!))(?![\w:.])))?
    (?P<zone>{_ZONE})?(?!\w)
    (?: ,?{_S}(?:(?:on|this|(?P<next_behind>next)){_S})?(?P<day_behind>{_DAY})(?!\w)(?!{_S}(?:at{_S})?\d)
        (?P<next_week_behind>{_NEXT_WEEK})?(?:{_S}(?P<part_behind>{_PART}))?(?P<zone_behind>{_ZONE})?
      | {_S}(?:in{_S}the|at|this){_S}(?P<part_today>{_PART}) )?"""
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?!\w)"
)
_DATE = rf"""(?:
    \d\d?[./]\d\d?[./]\d\d(?:\d\d)?|\d\d?/\d\d?(?:\s?[ap]m)?|\d{{4}}-\d\d-\d\d
  | (?:the{_S})?\d\d?(?:st|nd|rd|th)(?:{_S}(?:of{_S})?{_MONTH})?
  | \d\d?\.?{_S}{_MONTH}|{_MONTH}{_S}\d\d?(?:st|nd|rd|th)? )(?!\w)"""
_VAGUE = rf"""
    tonight|this{_S}{_PART}|(?:the{_S})?(?:morning|afternoon|evening)|[ap]m|eow|eom|next{_S}(?:week|month)
  | half{_S}(?:a{_S})?(?:day|week)|half{_S}(?:\d\d?|{_WORD})
  | end{_S}of{_S}(?:the{_S}|my{_S})?(?:week|month|shift)|(?:the{_S})?rest{_S}of{_S}(?:the{_S}|my{_S})?day
  | (?:after{_S})?the{_S}weekend
  | (?P<date>(?:{_DAY},?{_S})?{_DATE}(?:,?{_S}(?:at{_S})?\d\d?(?:[:.]\d\d)?(?:\s?[ap]m)?)?)"""
PHRASE = re.compile(
    rf"""
    (?<![^\s,])(?<!\d,) (?P<open>\()? (?:{_LEAD})?
    (?:
      (?P<length>{_LENGTH})(?<=[\w'])(?!\w)(?:{_AND_MORE})?
    | (?P<vague>{_VAGUE})(?!\w)
    | (?:(?:(?:on|this|(?P<next>next)){_S})?(?P<day>{_DAY})(?!\w)
         (?P<next_week>{_NEXT_WEEK})?(?:{_S}(?P<part>{_PART}))?
         (?:{_JOIN}(?:(?:(?:at|until|till|by|around|about|@){_S})|~\s?)?(?=[a-z\d]))?)?
      (?:(?:{_CLOCK}){_BEHIND})?
    )
    (?:\s?-?ish|{_S}or{_S}so)?
    (?(open)\))(?=[,;:.!?]*(?:\s|$))
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
PAUSE = (
    r"(?:lunch|break|breakfast|dinner|tea|coffee|snack|walk|nap|pause|gym|brb|afk|back|away|quick"
    r"|tak(?:e|ing))"
)
"""What one does for some minutes: a bare number beside it is meant as a time."""
COUNT = re.compile(
    rf"(?:(?:{PAUSE}|just|only|be|right|on|an?){_S})*"
    rf"(?:from{_S})?(?P<given>\d{{1,4}}(?:[.,]\d)?(?:(?:\s?[-–—]\s?|{_S}(?:to|or|til){_S})\d{{1,3}})?(?:\s?-?ish)?)"
    rf"(?:{_S}{PAUSE})*",
    re.IGNORECASE | re.ASCII,
)
"""A text that is a number without a unit, alone or beside such words."""


def amount(typed: str) -> float:
    """A number as people write it: `1.5`, `1,5`, `1½`, `1 1/2`, `two`."""
    word = re.sub(r"[\s-]", "", typed.lower())
    if word in NUMBER_WORDS:
        return NUMBER_WORDS[word]
    whole = re.sub(r"\s?(?:½|1/2)$", "", typed)
    return float(whole.replace(",", ".") or 0) + 0.5 * (whole != typed)
