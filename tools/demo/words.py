"""Word pools and the split between training and evaluation.

Owns: every list of words that the generator draws from, and `Source`, one document's random source,
which records the names, number combinations and tool names a document uses. A word belongs to the
evaluation split when the checksum of its kind and text says so, so that both splits can be drawn
without a list of either. Each worker process owns its own Source; nothing here is shared.
"""
import random
import zlib

ONSETS = ("b c d f g h j k l m n p r s t v w z br dr gr kr tr st sh ch th fl pl gl sk").split()
VOWELS = "a e i o u a e i o ai ea ou ia".split()
CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "k", "nd", "x"]
PLACE_ENDINGS = ["", "", "ville", "burg", "ton", "stad", "haven", "field", "by", " Bay", " Hill"]

FIRST_NAMES = """Anna Ben Clara David Elena Felix Grace Hugo Ida Jonas Karl Laura Marta Nina Oscar Paula Rosa
Sam Tom Vera Walter Yusuf Zoe Amir Aisha Chen Diego Emma Fatima George Hana Ivan Julia Kenji Lena Mira Noah Olga
Peter Quinn Rahul Sara Theo Uma Victor Wanda Alice Bob Carol Dan Eve Frank Greta Henry Irene Jack Kate Leo Mia
Nora Omar Priya Ruth Simon Tara""".split()
CITIES = """Paris Berlin London Madrid Rome Vienna Oslo Dublin Lisbon Prague Warsaw Athens Cairo Tokyo Delhi Lima
Boston Chicago Denver Seattle Austin Toronto Sydney Zurich Hamburg Munich Milan Lyon Porto Geneva Helsinki Kyoto
Nairobi Bergen Ghent Basel Leeds Turin Seville Krakow""".split()
ITEMS = """apples bread milk eggs pens books chairs lamps candles cups plates shirts socks stamps batteries carrots
onions lemons pears plums nails screws ropes buckets towels pillows keys coins boxes bags bottles spoons forks hats
gloves boots maps tickets flowers stones ribbons balls kites brushes notebooks pencils tomatoes potatoes bananas""".split()
NOUNS = """river garden window table engine mountain letter bridge market station forest island kitchen ladder
mirror blanket camera hammer basket candle pocket shadow summer winter morning evening dragon rabbit falcon tiger
panda otter badger lion horse sheep whale spider copper silver golden purple orange velvet paper cotton marble
ocean desert valley meadow castle village tower harbor school museum library theater hospital factory office""".split()
ADJECTIVES = """red blue green small big quiet loud bright dark warm cold fresh old new soft hard quick slow round
happy sleepy clever gentle brave tiny heavy""".split()
COLOURS = "red blue green yellow white orange purple pink".split()
ROOMS = "kitchen bedroom bathroom hallway garage office cellar attic balcony garden nursery study".split() + [
    "living room", "dining room", "guest room"]
DAYS = "today tomorrow Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
LANGUAGES = """French German Spanish Italian Polish Greek Turkish Hindi Arabic Dutch Swedish Danish Korean
Japanese""".split()
CURRENCIES = "EUR USD GBP CHF JPY SEK NOK INR CAD AUD PLN".split()
ANIMALS = "dog cat horse rabbit parrot hamster turtle goat pony ferret".split()
SKIES = "sunny cloudy rainy foggy windy snowy stormy clear".split()
JOBS = "baker teacher nurse pilot farmer painter doctor singer lawyer gardener plumber writer".split()
ENDINGS = "txt md csv json log pdf".split()


def is_eval(kind, value):
    """True when `value` of this kind belongs to evaluation: about one in eight."""
    return zlib.crc32(f"{kind}:{value}".encode()) % 8 == 0


class Source:
    """One document's randomness. `evaluation` chooses the split; `used` holds (kind, value) pairs."""

    def __init__(self, seed, evaluation=False):
        self.rng = random.Random(seed)
        self.evaluation = evaluation
        self.used = set()

    def held(self, kind, draw):
        """Draws until the value falls into this source's split, and records it."""
        while True:
            value = draw()
            if is_eval(kind, value) == self.evaluation:
                self.used.add((kind, str(value)))
                return value

    def pick(self, items):
        return self.rng.choice(items)

    def chance(self, p):
        return self.rng.random() < p

    def number(self, low, high):
        return self.rng.randint(low, high)

    def syllables(self, low=2, high=3):
        n = self.number(low, high)
        text = "".join(self.pick(ONSETS) + self.pick(VOWELS) for _ in range(n))
        return text + self.pick(CODAS)

    def _letters(self):
        return "".join(self.pick("abcdefghijklmnopqrstuvwxyz") for _ in range(self.number(3, 7)))

    def person(self):
        def draw():
            roll = self.rng.random()
            if roll < 0.3:
                return self.pick(FIRST_NAMES)
            word = self.syllables(1, 3) if roll < 0.9 else self._letters()
            return word.capitalize()
        return self.held("name", draw)

    def place(self):
        def draw():
            if self.chance(0.3):
                return self.pick(CITIES)
            word = self.syllables(1, 2) if self.chance(0.9) else self._letters()
            return word.capitalize() + self.pick(PLACE_ENDINGS)
        return self.held("name", draw)

    def invented(self):
        """A lower-case word that is in no list."""
        return self.held("name", lambda: self.syllables(2, 3) if self.chance(0.8) else self._letters())

    def code(self):
        letters = "".join(self.pick("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(self.number(1, 3)))
        return self.held("name", lambda: f"{letters}{self.pick(['-', '', '-'])}{self.number(10, 99999)}")

    def word(self):
        return self.pick(NOUNS if self.chance(0.6) else ITEMS)

    def phrase(self, low=2, high=4):
        """A few words in a row, some of them invented."""
        words = []
        for _ in range(self.number(low, high)):
            roll = self.rng.random()
            words.append(self.invented() if roll < 0.2 else self.word() if roll < 0.7 else self.pick(ADJECTIVES))
        return " ".join(words)

    def message(self):
        """A short clause that someone might want to tell someone."""
        forms = [
            lambda: f"the {self.word()} is {self.pick(ADJECTIVES)}",
            lambda: f"the train to {self.place()} is late",
            lambda: f"dinner is at {self.clock()}",
            lambda: f"I bought {self.number(2, 40)} {self.pick(ITEMS)}",
            lambda: f"we meet at the {self.pick(NOUNS)} on {self.pick(DAYS[2:])}",
            lambda: f"{self.person()} is here",
            lambda: f"I will be {self.number(5, 55)} minutes late",
            lambda: f"please bring the {self.pick(ADJECTIVES)} {self.word()}",
            lambda: self.phrase(2, 5),
        ]
        return self.pick(forms)()

    def clock(self):
        return f"{self.number(0, 23):02d}:{self.pick([0, 15, 30, 45, self.number(0, 59)]):02d}"

    def expand(self, text):
        """Replaces every {a|b|c} by one of its choices; choices may nest."""
        while "{" in text:
            close = text.index("}")
            start = text.rindex("{", 0, close)
            text = text[:start] + self.pick(text[start + 1:close].split("|")) + text[close + 1:]
        return text
