"""The tools of the training text: families of functions with many names, schemas and ways to ask.

A Family says what a function means; `make_tool` draws one instance of it (name, description, parameter
names and order), `ask` a user's sentence with the arguments it implies. Tool names are split between
training and evaluation like names of people.
"""
import words as w


class Param:
    """One parameter: its possible names, JSON type, descriptions and how a value is drawn."""

    def __init__(self, key, names, describe, draw, kind="string", choices=None):
        self.key, self.names, self.describe, self.draw = key, names.split(), describe, draw
        self.kind, self.choices = kind, choices


class Family:
    """verbs and nouns make names; asks are sentences whose {key}s are the arguments; result draws what the
    tool answers: (dict, sentence), or None when it answers only that it is done."""

    def __init__(self, key, verbs, nouns, describe, params, asks, result=None):
        self.key, self.verbs, self.nouns, self.describe = key, verbs.split(), nouns.split(), describe
        self.params, self.asks, self.result = params, asks, result


PLACE = lambda s: s.place()
PERSON = lambda s: s.person()


def _weather(s, a):
    sky, degrees = s.pick(w.SKIES), s.number(-15, 38)
    return {"sky": sky, "degrees": degrees}, f"It is {sky} in {a['city']} with {degrees} degrees."


def _price(s, a):
    price = s.number(1, 500)
    return {"price": price}, f"The price of {a['item']} is {price} euros."


def _contact(s, a):
    phone = str(s.number(100000, 9999999))
    return {"phone": phone}, f"The phone number of {a['person']} is {phone}."


def _convert(s, a):
    result = s.number(2, 9999)
    return {"result": result}, f"{a['amount']} {a['source']} are {result} {a['target']}."


def _parcel(s, a):
    place, day = s.place(), s.pick(w.DAYS[2:])
    return {"place": place, "arrives": day}, f"Parcel {a['code']} is in {place} and arrives on {day}."


def _file(s, a):
    content = s.message()
    return {"content": content}, f"The file says: {content}"


def _folder(s, a):
    files = ", ".join(f"{s.invented()}.{s.pick(w.ENDINGS)}" for _ in range(s.number(1, 4)))
    return {"files": files}, f"The folder has {files}."


def _output(s, a):
    output = s.message()
    return {"output": output}, f"The output is: {output}"


def _command(s):
    name = f"{s.invented()}.{s.pick(w.ENDINGS)}"
    return s.pick(["ls", "date", "pwd", "whoami", "uname", "uptime", "ls -l", f"cat {name}", f"echo {s.word()}", f"wc -l {name}",
                   f"touch {name}", f"head {name}", f"sort {name}", f"rm {name}", f"mkdir {s.word()}", f"touch ../{name}",
                   f"cat ../{name}", f"cp {name} {s.word()}", f"echo {s.word()} {s.word()}", f"touch /{s.word()}/{name}"])


def _stock(s, a):
    n = s.number(0, 500)
    return {"in_stock": n}, f"There are {n} {a['item']} in stock."


FAMILIES = [
    Family("weather", "get fetch check read show", "weather forecast climate weather_report", ["{Gets|Returns|Shows} the {weather|forecast} {for|of|in} a {city|place}"], [
        Param("city", "city place location town where", "{City|Place|Name of the city}", PLACE),
        Param("day", "day date when weekday", "{Day|Which day|Day of the forecast}", lambda s: s.pick(w.DAYS))],
        ["{What is|What's|How is} the weather in {city}?", "{Will it rain|Is it sunny|Do I need an umbrella} in {city} {on |}{day}?", "{Weather|Forecast} for {city}{|, please}.",
         "{What is|Show me} the {weather|forecast} for {city} on {day}{.|?}", "How {warm|cold} is it in {city}?"], _weather),
    Family("message", "send write post deliver", "message text sms note_to chat_message", ["{Sends|Writes|Delivers} a message to {a person|someone}"], [
        Param("person", "person to recipient receiver contact", "{Who gets it|Recipient|Name of the person}", PERSON),
        Param("text", "text message body content words", "{Text|What to say|The message}", lambda s: s.message())],
        ["Send {person} {a|the} message{:| saying} {text}", "{Tell|Let} {person} {that|know that|know:} {text}", "{Write|Text} {to |}{person}: {text}", 'Message {person} "{text}"', 'Send "{text}" to {person}.']),
    Family("timer", "set start begin create", "timer countdown kitchen_timer stopwatch", ["{Starts|Sets} a {timer|countdown}"], [
        Param("minutes", "minutes duration length mins", "{Minutes|How many minutes|Length in minutes}", lambda s: s.number(1, 120), "integer"),
        Param("label", "label name title purpose", "{Label|What it is for|Name of the timer}", lambda s: s.word())],
        ["{Set|Start} a timer {for|of} {minutes} minutes{.|}", "{Set|Start} a {minutes} minute timer{.|}", "{Set|Start} a timer for {minutes} minutes called {label}.", "{Remind me|Count down} in {minutes} minutes.",
         "Timer of {minutes} minutes for {label}, please."]),
    Family("light", "set change turn switch", "light lamp lights brightness", ["{Sets|Changes} the {light|lamp} of a room"], [
        Param("room", "room where place area", "{Room|Which room|Name of the room}", lambda s: s.pick(w.ROOMS)),
        Param("colour", "colour color tint hue", "{Colour|Colour of the light}", lambda s: s.pick(w.COLOURS), choices=w.COLOURS),
        Param("level", "level brightness percent dim", "{Brightness|Percent|Brightness in percent}", lambda s: s.number(0, 100), "integer")],
        ["{Make|Turn} the light in the {room} {colour}.", "{Set|Dim} the {room} light to {level} percent.", "{I want|Give me} {colour} light in the {room}.", "Light in the {room}: {colour}, {level} percent.",
         "Set the lamp in the {room} to {level} percent and {colour}."]),
    Family("shopping", "add put append insert", "shopping_list item groceries cart basket", ["{Adds|Puts} something {to|on} the shopping list"], [
        Param("item", "item product thing what", "{Item|What to buy|Product}", lambda s: s.pick(w.ITEMS)),
        Param("quantity", "quantity count amount number", "{Quantity|How many|Number of pieces}", lambda s: s.number(2, 60), "integer")],
        ["{Add|Put} {quantity} {item} {to|on} {the|my} {shopping|} list.", "{Put|Add} {item} on {the|my} shopping list.", "{We need|I need|Buy} {quantity} {item}.", "Shopping list: {quantity} {item}."]),
    Family("convert", "convert exchange change compute", "currency money exchange_rate amount", ["{Converts|Exchanges} {money|an amount} {between currencies|from one currency to another}"], [
        Param("amount", "amount value sum money", "{Amount|How much}", lambda s: s.number(1, 5000), "integer"),
        Param("source", "from source from_currency have", "{Currency to convert from|Source currency|Currency you have}", lambda s: s.pick(w.CURRENCIES)),
        Param("target", "to target to_currency want", "{Currency to convert to|Target currency|Currency you want}", lambda s: s.pick(w.CURRENCIES))],
        ["{Convert|Change|Exchange} {amount} {source} {to|into} {target}.", "{How much is|How many {target} are|What is} {amount} {source} in {target}?", "{amount} {source} in {target}, please."], _convert),
    Family("table", "book reserve request order", "table restaurant seats dinner_table", ["{Books|Reserves} a table in a restaurant"], [
        Param("restaurant", "restaurant place where venue", "{Restaurant|Name of the restaurant}", PLACE),
        Param("people", "people guests seats party_size", "{People|How many people|Number of guests}", lambda s: s.number(2, 20), "integer"),
        Param("time", "time hour at when", "{Time|At what time}", lambda s: s.clock())],
        ["{Book|Reserve} a table for {people} {|people }at {restaurant} {at|for} {time}.", "{Book|Reserve} a table at {restaurant} for {people}.", "At {time} we want a table for {people} at {restaurant}."]),
    Family("music", "play start stream queue", "music song track audio", ["{Plays|Starts} a {song|piece of music}"], [
        Param("title", "title song track name", "{Title|Title of the song|Which song}", lambda s: s.phrase(1, 3)),
        Param("artist", "artist singer by band", "{Artist|Who sings it|Name of the band}", PERSON)],
        ["Play {title} by {artist}.", "Play the song {title}.", "{I want to hear|Put on} {title} by {artist}.", 'Play "{title}".']),
    Family("translate", "translate convert render turn", "text sentence phrase language", ["{Translates|Turns} a text into another language"], [
        Param("text", "text sentence phrase source_text", "{Text|What to translate}", lambda s: s.message()),
        Param("language", "language target_language to lang", "{Language|Target language|Language to translate into}", lambda s: s.pick(w.LANGUAGES))],
        ['Translate "{text}" {to|into} {language}.', "Translate {to|into} {language}: {text}", 'How do I say "{text}" in {language}?', "{What is|Say} \"{text}\" in {language}{.|?}"]),
    Family("event", "create add schedule plan", "event meeting appointment calendar_entry", ["{Creates|Adds} an event in the calendar"], [
        Param("title", "title subject name topic", "{Title|What it is about|Subject}", lambda s: s.phrase(1, 3)),
        Param("day", "day date when weekday", "{Day|On which day}", lambda s: s.pick(w.DAYS)),
        Param("time", "time hour start at", "{Time|Start|At what time}", lambda s: s.clock())],
        ["{Create|Schedule|Plan|Add} {a meeting|an event|an appointment} about {title} on {day} at {time}.", "On {day} at {time} there is {title}, put it in my calendar.", "{Plan|Schedule} {title} for {day}."]),
    Family("search", "search find look_up query", "web internet pages online", ["{Searches|Looks on} the {web|internet}"], [
        Param("query", "query text terms search_text keywords", "{Query|What to search for|Search words}", lambda s: s.phrase(1, 5))],
        ["Search the {web|internet} for {query}", "{Google|Look up} {query}", "Find pages about {query}", 'Search for "{query}".']),
    Family("read_file", "read open load show", "file document text_file", ["{Reads|Opens} a file"], [
        Param("path", "path file filename name", "{Path|Path of the file|Which file}", lambda s: f"{s.invented()}/{s.invented()}.{s.pick(w.ENDINGS)}" if s.chance(0.5) else f"{s.invented()}.{s.pick(w.ENDINGS)}")],
        ["{Read|Open|Show me} {the file |}{path}", "What is in {the file |}{path}?", "{Load|Open} {path}, please."], _file),
    Family("list_folder", "list show read get", "folder directory files folder_files", ["{Lists|Shows} the files in a folder"], [
        Param("path", "path folder directory name", "{Path|Path of the folder|Which folder}", lambda s: s.pick([".", "..", s.invented(), s.word(), f"{s.invented()}/{s.word()}"]))],
        ["{What is|Which files are} in the {folder|directory} {path}?", "{List|Show} {the folder |the files in |}{path}", "{Look into|Open} the folder {path}{.|, please.}"], _folder),
    Family("run_command", "run execute start do", "command shell_command program shell", ["{Runs|Executes} a {command|shell command}"], [
        Param("command", "command cmd command_line line", "{Command|Command line|What to run}", _command)],
        ["{Run|Execute} {the command |}{command}", 'Run "{command}".', "{Run|Execute}: {command}", "What does {command} print?"], _output),
    Family("heating", "set change adjust", "heating thermostat temperature heater", ["{Sets|Changes} the {heating|temperature} of a room"], [
        Param("room", "room where place area", "{Room|Which room}", lambda s: s.pick(w.ROOMS)),
        Param("degrees", "degrees temperature celsius target", "{Degrees|Temperature|How warm}", lambda s: s.number(10, 30), "integer")],
        ["{Set|Heat} the {room} to {degrees} degrees.", "{Make|I want} {it |}{degrees} degrees in the {room}.", "Heating in the {room}: {degrees} degrees."]),
    Family("taxi", "order call book request", "taxi cab ride car", ["{Orders|Calls} a {taxi|ride}"], [
        Param("start", "from start pickup origin", "{From where|Pickup place|Start}", PLACE),
        Param("goal", "to goal destination target", "{To where|Destination|Goal}", PLACE)],
        ["{Order|Call|Get me} a taxi from {start} to {goal}.", "I need a {taxi|ride} to {goal}.", "Taxi from {start} to {goal}, please."]),
    Family("contact", "find get look_up show", "contact phone_number phone address_book", ["{Finds|Returns} the phone number of a person"], [
        Param("person", "person name contact who", "{Name|Name of the person|Who}", PERSON)],
        ["{What is|What's} the {phone |}number of {person}?", "{Find|Give me} the {phone |}number of {person}.", "How can I {call|phone} {person}?"], _contact),
    Family("rename", "rename move change", "file filename document_name", ["{Renames|Moves} a file"], [
        Param("old", "old old_name from source", "{Old name|Present name|Name now}", lambda s: f"{s.invented()}.{s.pick(w.ENDINGS)}"),
        Param("new", "new new_name to target", "{New name|Name it gets}", lambda s: f"{s.invented()}.{s.pick(w.ENDINGS)}")],
        ["Rename {|the file }{old} to {new}.", "{Give|Change} {old} {the name|to} {new}.", "{old} should be called {new}."]),
    Family("price", "get check find show", "price cost item_price", ["{Gets|Finds} the price of {something|an item}"], [
        Param("item", "item product thing article", "{Item|Product|What}", lambda s: s.pick(w.ITEMS)),
        Param("shop", "shop store market seller", "{Shop|Name of the shop|Where}", PLACE)],
        ["{What do|How much do} {item} cost{| at {shop}}?", "{What is|Tell me} the price of {item} at {shop}{.|?}", "Price of {item}?"], _price),
    Family("note", "save write store keep", "note memo reminder_note", ["{Saves|Stores} a note"], [
        Param("text", "text note content body", "{Text|What to note|The note}", lambda s: s.message())],
        ["{Make|Take|Save} a note: {text}", "Note that {text}", 'Write down "{text}".', "{Remember|Note}: {text}"]),
    Family("email", "send write compose", "email mail e_mail", ["{Sends|Writes} an {email|e-mail}"], [
        Param("address", "address to email_address recipient", "{Address|E-mail address|Who gets it}", lambda s: f"{s.invented()}@{s.invented()}.{s.pick(['com', 'org', 'net'])}"),
        Param("subject", "subject title about topic", "{Subject|What it is about}", lambda s: s.phrase(1, 3))],
        ["{Send|Write} an {email|e-mail} to {address} about {subject}.", "{Email|Mail} {address} with the subject {subject}.", "Write to {address} about {subject}."]),
    Family("alarm", "set create add", "alarm alarm_clock wake_up", ["{Sets|Creates} an alarm"], [
        Param("time", "time hour at when", "{Time|At what time|When to ring}", lambda s: s.clock())],
        ["Wake me {up |}at {time}.", "Set {an|the} alarm {for|at} {time}.", "Alarm at {time}, please."]),
    Family("flight", "find search book list", "flights flight plane_tickets", ["{Finds|Searches} flights"], [
        Param("start", "from origin departure start", "{From where|City of departure}", PLACE),
        Param("goal", "to destination arrival goal", "{To where|City of arrival}", PLACE),
        Param("day", "day date when travel_day", "{Day|Day of travel}", lambda s: s.pick(w.DAYS))],
        ["{Find|Search} {a flight|flights} from {start} to {goal} on {day}.", "I want to fly from {start} to {goal}.", "Flights to {goal} from {start} {on |}{day}."]),
    Family("parcel", "track trace follow check", "parcel package shipment delivery", ["{Tracks|Finds} a parcel"], [
        Param("code", "code number tracking_number parcel_id", "{Code|Number of the parcel}", lambda s: s.code())],
        ["Where is {my |the |}{parcel|package} {code}?", "Track {parcel|package} {code}.", "Has {parcel|package} {code} arrived?"], _parcel),
    Family("stock", "count check get", "stock inventory warehouse", ["{Counts|Returns} how many pieces of an item are in {stock|the warehouse}"], [
        Param("item", "item product article sku", "{Item|Which item}", lambda s: s.pick(w.ITEMS))],
        ["How many {item} are in {stock|the warehouse}?", "Check the stock of {item}.", "{Are there|Do we have} {item} in stock?"], _stock),
    Family("store", "set store put save", "value key variable setting", ["{Stores|Sets} a value under a key"], [
        Param("key", "key name variable field", "{Key|Name of the key}", lambda s: s.invented()),
        Param("value", "value number data content", "{Value|Number to store}", lambda s: s.number(0, 9999), "integer")],
        ["{Store|Save|Put} {value} under {key}.", "Set {key} to {value}.", "{key} should be {value}."]),
]
PREFIXES = "home my app smart easy api quick local office user main city new auto fast pro".split()


def invented_family(s):
    """A function that nothing but its schema explains: what it does is a made-up verb."""
    verb = s.invented()
    params = [Param("object", "object thing target what", "{Thing|What to " + verb + "}", lambda s: s.word()),
              Param("times", "times count level strength", "{How often|Number of times}", lambda s: s.number(2, 99), "integer")]
    asks = [f"{{Please |}}{verb} the {{object}} {{times}} times.", f"{{Can you |Now |}}{verb} the {{object}}.", f"I want to {verb} the {{object}}."]
    return Family("invented", verb, s.pick(["thing", "object", "it", "target"]), [f"{{Does a {verb}|Can {verb} something}}"], params, asks)


def tool_name(s, family):
    verb, noun = s.pick(family.verbs), s.pick(family.nouns)
    extra = s.pick(PREFIXES) if s.chance(0.5) else s.syllables(1, 2)
    forms = [f"{verb}_{noun}", f"{noun}_{verb}", f"{extra}_{verb}_{noun}", f"{verb}_{noun}_{extra}", f"{verb}_{extra}_{noun}", f"{extra}.{noun}.{verb}", f"{noun}_{extra}",
             verb + "".join(p.capitalize() for p in noun.split("_")), f"{verb}-{noun}", f"{verb}_{noun}_v{s.number(1, 9)}", f"{extra}{noun.capitalize()}"]
    if not s.evaluation and s.chance(0.3):  # words with capitals are the hardest to tell apart
        return s.pick([forms[7], forms[10]])
    return s.pick(forms)


def make_tool(s, family):
    """An instance: (schema as in the OpenAI format, {key of Param: name in this schema})."""
    name = s.held("tool", lambda: tool_name(s, family))
    params = s.rng.sample(family.params, len(family.params)) if s.chance(0.5) else list(family.params)
    names, properties = {}, {}
    for p in params:
        made_up = s.chance(0.04)
        if made_up:
            names[p.key] = s.invented()
        else:
            free = [n for n in p.names if n not in names.values()]
            names[p.key] = s.pick(free if s.chance(0.6) else free[:1])
        entry = {"type": p.kind}
        if made_up or s.chance(0.8):
            entry["description"] = s.expand(p.describe)
        if p.choices and s.chance(0.7):
            entry["enum"] = list(p.choices)
        properties[names[p.key]] = entry
    schema = {"type": "object", "properties": properties, "required": [names[family.params[0].key]]}
    about = s.expand(s.pick(family.describe)) + s.pick(["", "."])
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}, names


def ask(s, family):
    """(sentence, {key: value}) for one use of this family."""
    sentence = s.pick(family.asks)
    for p in family.params:
        sentence = sentence.replace("{" + p.key + "}", f"\0{p.key}\0")
    sentence = s.expand(sentence)
    arguments = {}
    for p in family.params:
        if f"\0{p.key}\0" in sentence:
            arguments[p.key] = p.draw(s)
            sentence = sentence.replace(f"\0{p.key}\0", str(arguments[p.key]))
    if s.chance(0.25):
        sentence = s.expand("{Please |Hey, |Could you |Now, |Hi! |OK. }") + sentence
    return sentence, arguments
