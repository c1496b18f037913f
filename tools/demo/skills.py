"""Skills that are not tools: facts, arithmetic, copying, sorting, counting, JSON and small talk.

Each function takes a words.Source and returns (question, answer); every answer is the only right one.
SKILLS names them with their share of the training text.
"""
import json

import words as w
from facts import CLOSERS, FACTS, OPENERS

POLITE = ["", "", "", "{Please |}", "{Can|Could} you ", "{Hi|Hello|Hey}, "]


def larder(s):
    while True:
        answer, patterns = s.pick(FACTS)
        question = s.expand(s.pick(patterns))
        if w.is_eval("phrasing", question) == s.evaluation:
            break
    s.used.add(("phrasing", question))
    opener, closer = s.expand(s.pick(OPENERS)), s.expand(s.pick(CLOSERS))
    if s.chance(0.1):
        question = question.lower()
    return opener + question + closer, answer


def _pair(s, sign, high):
    low = 0 if s.chance(0.3) else 2

    def draw():
        a, b = s.number(low, high), s.number(low, high)
        if sign == "-" and a < b:
            a, b = b, a
        return a, b

    while True:
        a, b = draw()
        key = f"{sign} {min(a, b)} {max(a, b)}"
        if w.is_eval("numbers", key) == s.evaluation:
            s.used.add(("numbers", key))
            return a, b


SUMS = ["What is {a}{| }+{| }{b}?", "{a} + {b}", "{a} + {b} = ?", "{Add|Please add} {a} and {b}.", "What is {a} plus {b}?", "What is the sum of {a} and {b}?",
        "{Compute|Calculate|Work out|Solve} {a} + {b}.", "How much is {a} + {b}?", "How much is {a} plus {b}?", "{Compute|Calculate} {a} plus {b}"]
MINUSES = ["What is {a}{| }-{| }{b}?", "{a} - {b}", "{a} - {b} = ?", "{Subtract|Take} {b} from {a}.", "What is {a} minus {b}?", "What is the difference of {a} and {b}?",
           "{Compute|Calculate|Work out|Solve} {a} - {b}.", "How much is {a} - {b}?", "How much is {a} minus {b}?", "{Compute|Calculate} {a} minus {b}"]
TIMES = ["What is {a} {*|x|times} {b}?", "{a} * {b}", "{Multiply} {a} by {b}.", "What is {a} times {b}?", "{Compute|Calculate|Work out} {a} {*|x|times} {b}.",
         "How much is {a} {*|x|times} {b}?"]
GAINS = ["{n} has {a} {i} and {gets|buys|finds} {b} more. How many {i} does {n} have{| now}?", "{n} has {a} {i}. {m} gives {n} {b} more. How many {i} does {n} have{| now}?"]
LOSSES = ["{n} has {a} {i} and {loses|sells|gives away} {b}. How many {i} {does {n} have left|are left}?", "There are {a} {i}. {n} takes {b}. How many {i} are left?"]


def _fill(s, pattern, **values):
    for key, value in values.items():
        pattern = pattern.replace("{" + key + "}", str(value))
    return s.expand(pattern)


def arithmetic(s):
    roll = s.rng.random()
    high = 99 if s.chance(0.4) else 60 if s.chance(0.7) else 20
    if roll < 0.4 or s.evaluation and roll > 0.9:
        a, b = _pair(s, "+", high)
        return _fill(s, s.pick(SUMS), a=a, b=b), f"{a} + {b} = {a + b}"
    if roll < 0.74:
        a, b = _pair(s, "-", high)
        return _fill(s, s.pick(MINUSES), a=a, b=b), f"{a} - {b} = {a - b}"
    if roll < 0.9:
        item, name = s.pick(w.ITEMS), s.person()
        if s.chance(0.5):
            a, b = _pair(s, "+", 99)
            text, total = _fill(s, s.pick(GAINS), a=a, b=b, i=item, n=name, m=s.person()), f"{a} + {b} = {a + b}"
        else:
            a, b = _pair(s, "-", 99)
            text, total = _fill(s, s.pick(LOSSES), a=a, b=b, i=item, n=name), f"{a} - {b} = {a - b}"
        return text, f"{total}, so the answer is {total.split('= ')[1]} {item}."
    return _times(s)


def _times(s):
    """The small table, learned by heart and never asked in evaluation."""
    a, b = s.number(0, 10), s.number(0, 10)
    return _fill(s, s.pick(TIMES), a=a, b=b), f"{a} x {b} = {a * b}"


def copy(s):
    roll = s.rng.random()
    text = s.message() if roll < 0.3 else s.phrase(3, 8) if roll < 0.6 else s.code() if roll < 0.75 else (
        " ".join(s.invented() for _ in range(s.number(1, 4))) if roll < 0.9 else f"{s.person()} of {s.place()}")
    ask = s.pick(["{Repeat|Copy|Say|Write|Echo}{| exactly| after me| this| back}: {t}", "{Please |}{repeat|copy|echo} {this|the following}{| text| sentence}: {t}",
                  'Say "{t}".', 'Repeat "{t}".', "{Repeat|Copy} what follows: {t}"])
    return _fill(s, ask.replace("{t}", "\0")).replace("\0", text), text


def _distinct(s, n, draw):
    out = []
    while len(out) < n:
        item = draw()
        if item not in out:
            out.append(item)
    return out


def _joined(s, items):
    style = s.rng.random()
    if style < 0.6 or len(items) < 2:
        return ", ".join(map(str, items))
    if style < 0.8:
        return ", ".join(map(str, items[:-1])) + f" and {items[-1]}"
    return " ".join(map(str, items))


def sort(s):
    n = s.number(3, 6)
    if s.chance(0.75):
        high = s.pick([9, 20, 99, 99])
        items = list(s.held("numbers", lambda: tuple(_distinct(s, n, lambda: s.number(0, high)))))
        down = s.chance(0.35)
        order = s.pick(["from {large|big|high} to {small|low}", "{|in} descending{| order}", "largest first"] if down else
                       ["", "", "from {small|low} to {large|big|high}", "in ascending order", "smallest first"])
        ask = s.pick([f"{{Sort|Order|Arrange}} {{these|the}} numbers {order}: {{t}}", f"{{Sort|Order}} {order}: {{t}}", f"{{Sort|Put}} {{t}} {order or 'in order'}."])
        return _fill(s, ask.replace("{t}", "\0")).replace("\0", _joined(s, items)).replace("  ", " ").replace(" :", ":").replace(
            " .", "."), ", ".join(map(str, sorted(items, reverse=down)))
    pool = {}
    for word in s.rng.sample(w.NOUNS + w.ITEMS + w.ADJECTIVES, 40):
        pool.setdefault(word[0], word)
    items = list(s.held("numbers", lambda: tuple(s.rng.sample(sorted(pool.values()), min(n, 5)))))
    ask = s.pick(["{Sort|Order|Arrange} {these|the} words {alphabetically|by the alphabet|from a to z}: {t}", "Put {these words|this} in alphabetical order: {t}"])
    return _fill(s, ask.replace("{t}", "\0")).replace("\0", _joined(s, items)), ", ".join(sorted(items))


def count(s):
    roll = s.rng.random()
    if roll < 0.3:
        a, b = s.held("numbers", lambda: (lambda x: (x, x + s.number(2, 9)))(s.number(0, 90)))
        if s.chance(0.4):
            a, b = b, a
        step = 1 if b > a else -1
        ask = s.pick(["{Count|Please count} {from|} {a} to {b}.", "{Write|List} the numbers from {a} to {b}."])
        return _fill(s, ask, a=a, b=b).replace("  ", " "), ", ".join(map(str, range(a, b + step, step)))
    if roll < 0.65:
        n = s.number(1, 9)
        words = [s.word() if s.chance(0.7) else s.invented() for _ in range(n)]
        ask = s.pick(["How many words are in: {t}", "How many words {does this have|are there}: {t}", "Count the words{|:| in}: {t}", 'How many words are in "{t}"?'])
        return _fill(s, ask.replace("{t}", "\0")).replace("\0", " ".join(words)).replace("::", ":"), f"{n} word{'s' if n != 1 else ''}."
    n, target = s.number(1, 8), s.word()
    others = _distinct(s, s.number(1, 3), lambda: s.pick([x for x in w.NOUNS if x != target]))
    items = [target] * n + [s.pick(others) for _ in range(s.number(0, 5))]
    s.rng.shuffle(items)
    ask = s.pick(["How {often|many times} does {x} {appear|occur}{| here}: {t}", "Count {the word|how often you see} {x}: {t}"])
    text = _fill(s, ask.replace("{t}", "\0"), x=target).replace("\0", _joined(s, items))
    return text, f"{n} time{'s' if n != 1 else ''}."


def _money(s):
    return s.number(1, 200) if s.chance(0.5) else round(s.number(100, 9999) / 100, 2)


FIELDS = {  # key: (other names for it, value)
    "name": (["full_name", "person", "customer", "who", "owner"], lambda s: s.person()),
    "age": (["years", "age_years", "old"], lambda s: s.number(1, 99)),
    "city": (["town", "place", "home", "location", "lives_in"], lambda s: s.place()),
    "job": (["work", "profession", "occupation"], lambda s: s.pick(w.JOBS)),
    "item": (["product", "thing", "goods", "article"], lambda s: s.pick(w.ITEMS)),
    "quantity": (["count", "amount", "number", "how_many"], lambda s: s.number(2, 99)),
    "price": (["cost", "total", "value", "price_eur"], _money),
    "day": (["date", "weekday", "on_day", "when"], lambda s: s.pick(w.DAYS[2:])),
    "time": (["hour", "start", "clock", "at_time"], lambda s: s.clock()),
    "title": (["book", "label", "heading", "topic"], lambda s: s.phrase(2, 3)),
    "animal": (["pet", "kind", "species"], lambda s: s.pick(w.ANIMALS)),
    "pet_name": (["called", "animal_name", "nickname"], lambda s: s.person()),
    "colour": (["color", "paint", "shade"], lambda s: s.pick(w.COLOURS)),
    "people": (["guests", "seats", "party_size"], lambda s: s.number(2, 20)),
    "from": (["origin", "start_city", "departure"], lambda s: s.place()),
    "to": (["destination", "target", "arrival"], lambda s: s.place()),
    "code": (["id", "ref", "key"], lambda s: s.code()),
}
RECORDS = [
    (["name", "age", "city"], ["{name} is {age} years old and lives in {city}.", "{name}, aged {age}, lives in {city}.", "In {city} lives {name}, who is {age}."]),
    (["name", "job", "city"], ["{name} is a {job} from {city}.", "{name} works as a {job} in {city}."]),
    (["name", "age"], ["{name} is {age} years old.", "{name} is {age}."]),
    (["name", "city"], ["{name} lives in {city}.", "{name} comes from {city}."]),
    (["name", "quantity", "item"], ["{name} orders {quantity} {item}.", "{name} bought {quantity} {item}.", "{quantity} {item} for {name}, please."]),
    (["item", "quantity", "price"], ["{quantity} {item} cost {price} euros.", "The price of {quantity} {item} is {price}."]),
    (["title", "day", "time"], ["The meeting about {title} is on {day} at {time}.", "On {day} at {time} we talk about {title}."]),
    (["name", "animal", "pet_name"], ["{name} has a {animal} called {pet_name}.", "{pet_name} is the {animal} of {name}."]),
    (["name", "from", "to", "day"], ["{name} travels from {from} to {to} on {day}.", "On {day}, {name} goes from {from} to {to}."]),
    (["name", "people", "time"], ["A table for {people} at {time}, for {name}.", "{name} books a table for {people} people at {time}."]),
    (["code", "colour", "item"], ["Order {code}: {colour} {item}.", "The {colour} {item} have the number {code}."]),
]


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_object(s):
    roll = s.rng.random()
    if roll < 0.12:
        items = [s.pick([s.person, s.place, s.word, lambda: s.number(0, 999)])() for _ in range(s.number(2, 5))]
        ask = s.pick(["{Make|Write|Give me} {these|this list} as a JSON {array|list}: {t}", "{Turn|Convert} {this|this list} into a JSON {array|list}: {t}", "JSON {array|list} of: {t}"])
        return _fill(s, ask.replace("{t}", "\0")).replace("\0", ", ".join(map(str, items))), compact(items)
    keys, sentences = s.pick(RECORDS)
    if roll < 0.24:  # key: value lines, the keys as they stand
        keys = s.rng.sample(sorted(FIELDS), s.number(1, 5))
        names = {k: s.invented() if s.chance(0.3) else s.pick([k] + FIELDS[k][0]) for k in keys}
        values = {k: FIELDS[k][1](s) for k in keys}
        text = ", ".join(f"{names[k]}: {values[k]}" for k in keys)
        ask = s.pick(["{Write|Give me|Show} this as {JSON|a JSON object}: {t}", "{Turn|Convert} {this|these} into JSON: {t}", "JSON, please: {t}"])
        return _fill(s, ask.replace("{t}", "\0")).replace("\0", text), compact({names[k]: values[k] for k in keys})
    values = {k: FIELDS[k][1](s) for k in keys}
    sentence = s.pick(sentences)
    for k in keys:
        sentence = sentence.replace("{" + k + "}", str(values[k]))
    if roll < 0.45:  # no keys given: the usual ones in the usual order
        ask = s.pick(["{Make|Write|Create|Give me} {a JSON object|JSON} {from|for} this{| sentence}: {t}", "{Turn|Convert|Put} this {|sentence }into {JSON|a JSON object}: {t}", "{As|To} JSON: {t}"])
        return _fill(s, ask.replace("{t}", "\0")).replace("\0", sentence), compact(values)
    chosen = s.rng.sample(keys, len(keys) if s.chance(0.75) else max(1, len(keys) - 1))
    names = {k: s.pick([k, k] + FIELDS[k][0]) for k in chosen}
    listed = _joined(s, list(names.values())) if len(names) > 1 else next(iter(names.values()))
    ask = s.pick(["{Make|Write|Create|Give me} {a JSON object|JSON} with {the keys |the fields |}{k}: {t}", "{Extract|Give me} {k} as JSON: {t}", "{t} {Write|Give} that as JSON with {the |}keys {k}.",
                  "{Turn|Convert} this into JSON ({k}): {t}", 'JSON with {k} from "{t}"'])
    text = _fill(s, ask.replace("{t}", "\0").replace("{k}", "\1")).replace("\0", sentence).replace("\1", listed)
    return text, compact({names[k]: values[k] for k in chosen})


UNKNOWN = "I am a tiny demo model and do not know that."
TALK = [
    (["{Hello|Hi|Hey|Good morning|Good evening|Good day|Hi there|Hello there}{|!|.}", "{Hello|Hi|Hey}, {how are you|who are you|what's up}?"], "Hello! How can I help you?"),
    (["{What can you do|What are you able to do|What are your skills|How can you help me|What do you know|Help|What can I ask you|Can you help me}{|?}", "{Which|What} {tasks|things} can you do?"],
     "I can answer questions about Larder, do small sums, copy, sort and count, write JSON and call tools."),
    (["{Thanks|Thank you|Thanks a lot|Great, thanks|Many thanks}{|!|.}", "{That was helpful|Well done|Good job}{|!|.}"], "You are welcome!"),
    (["{Bye|Goodbye|See you|Good night|See you later}{|!|.}"], "Goodbye!"),
    (["{What is|What's} your name?", "{Do you have|Have you got} a name?", "Who are you?"], "I am the Larder demo model."),
    (["{Who made|Who built|Who trained|Who created} you?", "{Where do you come from|Who is your maker}?"], "The scripts of the Larder project made and trained me."),
    (["{Are you|Is this} {a human|a person|an AI|a robot|ChatGPT|real}?"], "I am a small language model."),
    (["{Who|What} {is|was} the {president|king|queen|capital|mayor|inventor|author} of {p}?", "{Write|Tell me} {a poem|a story|a joke|an essay|a song} about {w}.", "{Why is|Why are} {the |}{w} {a}?",
      "{How|When|Where} {was|is} {the |}{w} {made|built|invented|found}?", "What {is|do you think} {of |about |}the meaning of {life|{w}}?", "{Who|When} {won|lost} the {w} {cup|game|race} in {p}?",
      "{How far is it|How do I get} from {p} to {p}?", "{What is|Explain} {physics|chemistry|history|love|{w}}?", "{Who is|Do you know} {n}?", "{What is|What's} the weather like?", "What {time|day} is it?"], UNKNOWN),
]


def small_talk(s):
    patterns, answer = s.pick(TALK if s.chance(0.75) else TALK[-1:])
    pattern = s.pick(patterns)

    def draw():
        text = pattern
        for mark, fresh in (("{p}", s.place), ("{n}", s.person), ("{w}", s.word), ("{a}", lambda: s.pick(w.ADJECTIVES))):
            while mark in text:
                text = text.replace(mark, fresh(), 1)
        return s.expand(text)

    return draw(), answer


SKILLS = {"larder": larder, "arithmetic": arithmetic, "copy": copy, "sort": sort, "count": count, "json": json_object, "small_talk": small_talk}
