"""What the demo model knows about Larder: one answer per fact, many ways to ask.

Questions are patterns: {a|b} is a choice, also nested. A question belongs to evaluation when the
checksum of its expanded text says so (words.is_eval), so no phrasing asked there was trained on.
"""

OPENERS = ["", "", "", "", "{Hi|Hello|Hey}, ", "{Please tell me|Tell me|Can you tell me|Explain|I want to know}: ",
           "{Quick|Short|One} question: ", "{About Larder|A question}: "]
CLOSERS = ["", "", "", "", " {Thanks.|Thank you.|Please be brief.|Briefly, please.|In one sentence, please.}"]

WHAT = "{What is|What's|What does it mean to have|Explain|Define|Describe|Tell me about|What do you mean by}"
HOWTO = "{How do I|How can I|How would I|How does one|What command do I use to|Which command lets me|What do I run to}"
IN_LARDER = "{| in Larder|, in Larder's terms}"

FACTS = [
    ("Larder is a program that runs Mixture-of-Experts language models larger than memory, streaming their experts from the SSD.", [
        "{What is|What's|What exactly is|Explain|Describe} {Larder|the Larder program|this program}?",
        "{What does|What can} {Larder|this program} do?", "{What is|What's} {Larder|this program} {for|good for|used for}?",
        "{Tell me about|Introduce|Say something about} {Larder|the Larder program}.", "{Who or what is|What kind of program is} Larder?",
        "{What is the purpose of|Why would I use} Larder?"]),
    ("RAM is the fridge and the SSD is the larder: experts are kept on the SSD and fetched when needed.", [
        "{Why is it called|Where does the name come from,|Why the name|What does the name mean,} {Larder|\"Larder\"}?",
        "{What does|What should} the name {Larder|of Larder|of this program} {mean|stand for|tell me}?",
        "{How did Larder get|Who gave Larder} its name?"]),
    ("A budget is the memory that the whole process may use: dense weights, state, scratch and expert slots.", [
        WHAT + " {a|the} {memory |}budget" + IN_LARDER + "?", "{What counts towards|What is included in|What does} the {memory |}budget{| include| cover}?",
        "{What does|What is meant by} {--memory|the memory option|the budget} {limit|mean|set}?"]),
    ("If the budget is too small, Larder refuses it and prints the smallest budget that works.", [
        "{What happens|What will Larder do} {if|when} {the|my} {memory |}budget is too {small|low|tight}?",
        "{What if|Does it fail when} I give {it |Larder |}too little memory?", "{Can|May} {the|a} budget be too small?"]),
    ("Use --memory SIZE, for example --memory 8G.", [
        "{How do I|How can I|How to} {set|choose|change|limit|give} the {memory |}{budget|limit}?",
        "{Which|What} {option|flag} {sets|limits} the memory?", "{How do I|How can I} {limit|cap} {how much memory|the RAM} {Larder uses|is used}?"]),
    ("An expert is one of many small feed-forward networks in a layer; the router picks a few of them for each token.", [
        WHAT + " an expert" + IN_LARDER + "?", "{What are|Explain|Describe} {the |}experts" + IN_LARDER + "?",
        "{What do|How do} {the |}experts {do|work}?"]),
    ("The router scores all experts of a layer for each token and picks the best few.", [
        WHAT + " {the|a} router" + IN_LARDER + "?", "{What does|How does} the router {do|work|choose|decide}?",
        "{Who|What|Which part} {chooses|picks|selects} {the experts|which experts run|which experts are used|a token's experts}?",
        "{How|By what} are {the |a token's |}experts {chosen|picked|selected}?", "{Who|What} decides which experts {run|are used|a token gets|come next}?"]),
    ("The hit rate is the share of requested experts that were already in memory.", [
        WHAT + " {the|a} hit rate" + IN_LARDER + "?", "{What does|What would} {the |a }hit rate {mean|measure|tell me|say}?",
        "{How is|How do you define} the hit rate {defined|computed|}?"]),
    ("A miss is a requested expert that is not in memory and must be read from the disk.", [
        WHAT + " a {miss|cache miss|missed expert}" + IN_LARDER + "?", "{What happens|What does Larder do} {on|at} a {miss|cache miss}?",
        "{When|Why} {does|is} {a miss happen|there a miss}?"]),
    ("A slot is a fixed place in memory that holds one expert.", [
        WHAT + " {a|an expert} slot" + IN_LARDER + "?", "{What are|Explain} {the |expert |}slots" + IN_LARDER + "?",
        "{What does|What is kept in} a slot{| hold}?"]),
    ("The ExpertStore is the cache of expert slots: it keeps experts in memory and reads the missing ones.", [
        WHAT + " {the|an} {ExpertStore|expert store|expert cache}" + IN_LARDER + "?",
        "{What does|How does} the {ExpertStore|expert store|expert cache} {do|work}?"]),
    ("Mixture-of-Experts means that each layer has many experts and uses only a few of them per token.", [
        WHAT + " {Mixture-of-Experts|a Mixture-of-Experts model|a mixture of experts|MoE|an MoE model}?",
        "{What does|What is meant by} {MoE|Mixture-of-Experts|mixture of experts}{| mean| stand for}?",
        "{How does|How do} {MoE|Mixture-of-Experts|a mixture of experts} {work|models work}?"]),
    ("Dense weights are the weights that every token needs; they stay in memory.", [
        WHAT + " {dense weights|the dense weights|the dense part|a dense weight}" + IN_LARDER + "?",
        "{Which|What} weights {stay|remain|are kept} in {RAM|memory}?", "{What stays|What is always} in {memory|RAM}?"]),
    ("Only the experts stream from the SSD; everything else stays in memory.", [
        "{What|Which part} {streams|is streamed|gets streamed|comes} from {the |}{SSD|disk}?", "{What|Which weights} {are|get} {streamed|read from disk while running}?",
        "{What does|What is meant by} streaming{| mean}" + IN_LARDER + "?"]),
    ("No. The logits are bit-identical for every memory budget.", [
        "{Does|Will|Can} {streaming|a smaller budget|less memory|the budget|the memory budget} change the {answer|answers|output|result|logits|text}?",
        "{Do|Will} {answers|results|the logits} {depend on|differ with} the {memory |}budget?", "{Is the {output|text|result}|Are the {answers|results|logits}} {worse|different|less exact|poorer} with {less memory|a small budget|a smaller budget|little memory|a low budget}?",
        "{Does|Will|Would} {a small budget|a smaller budget|less memory|little memory} {make|give} {the answers worse|worse answers|worse text|other answers}?",
        "{Is there a loss of quality|Are there worse answers|Are there other answers} with {a small budget|less memory|little memory}?"]),
    ("Larder reads GGUF files.", [
        "{What|Which} {file format|format|files|model files|kind of files} {does|can} Larder {read|load|use|open|accept}?", "{Can|Does} Larder {read|load|open} GGUF{| files}?",
        "{In what|In which} format {must|should|do} {models|the model} {be|come}?"]),
    ("larder run loads a model and answers a prompt.", [
        "{What does|What is|Explain} {larder run|the run command|the command run}{| do| for}?", HOWTO + " {run a model|ask a model something|get an answer|generate text|chat with a model}?"]),
    ("larder logits prints the model's logits for a list of tokens.", [
        "{What does|What is|Explain} {larder logits|the logits command|the command logits}{| do| for}?", HOWTO + " {see|print|get|dump} {the |}logits?"]),
    ("larder inspect shows a file's architecture, shapes, types and the smallest budget.", [
        "{What does|What is|Explain} {larder inspect|the inspect command|the command inspect}{| do| for}?",
        HOWTO + " {look into|look at|inspect|examine} a {model |GGUF |}file?", HOWTO + " {find|see|learn} the smallest budget?"]),
    ("larder tokenize prints the token ids of a text.", [
        "{What does|What is|Explain} {larder tokenize|the tokenize command|the command tokenize}{| do| for}?", HOWTO + " {tokenize|get the tokens of|see the token ids of} {a text|some text}?"]),
    ("larder detokenize turns token ids back into text.", [
        "{What does|What is|Explain} {larder detokenize|the detokenize command|the command detokenize}{| do| for}?",
        HOWTO + " {turn|convert} {token ids|tokens|ids} {back |}into text?"]),
    ("larder synth writes a random model of a real shape, so that speed can be measured without the weights.", [
        "{What does|What is|Explain} {larder synth|the synth command|the command synth}{| do| for}?",
        HOWTO + " {make|create|write|generate} a {random|synthetic} model?"]),
    ("larder bench measures speed, hit rate and bytes read, and prints the limits beside them.", [
        "{What does|What is|Explain} {larder bench|the bench command|the command bench}{| do| for}?", HOWTO + " {measure|benchmark|test} {the |}{speed|performance}?"]),
    ("larder quantize writes a smaller copy of a model: one type for the experts, one for the dense weights.", [
        "{What does|What is|Explain} {larder quantize|the quantize command|the command quantize}{| do| for}?", HOWTO + " {quantize|shrink|compress} a model{| file}?"]),
    ("Quantization stores weights in fewer bits, so that the file gets smaller and less is read.", [
        WHAT + " {quantization|quantisation|a quantized model}?", "{Why|What for} {do we |}quantize{| a model| weights}?", "{What does|What is the use of} quantization{| do}?"]),
    ("Q4_K is a type that stores each weight in about 4.5 bits.", [
        WHAT + " {Q4_K|the Q4_K type|Q4_K quantization}?", "{How many bits|How much space} {does|has|per weight has} Q4_K{| use| need| take}?"]),
    ("Q8_0 is a type that stores each weight in about 8.5 bits.", [
        WHAT + " {Q8_0|the Q8_0 type|Q8_0 quantization}?", "{How many bits|How much space} {does|has|per weight has} Q8_0{| use| need| take}?"]),
    ("Larder is written in C++20.", [
        "{What|Which} {language|programming language} {is Larder written in|is Larder made in|does Larder use|was used for Larder}?", "{Is Larder|Was Larder} {written|made} in {C++|Rust|Python|Go|C}?"]),
    ("Larder runs on Linux.", [
        "{What|Which} {operating system|operating systems|system|platform|OS} {does Larder run on|does Larder need|does Larder support|do I need for Larder}?",
        "{Does|Can|Will} Larder {run|work} on {Linux|Windows|a Mac|macOS}?"]),
    ("Larder is under the Apache-2.0 licence.", [
        "{What|Which} {licence|license} {does Larder have|is Larder under|has Larder|covers Larder}?", "{Is Larder|Is this} {free|open source|open|free software}?", "{Under what|Under which} {licence|license} is Larder?"]),
    ("io_uring is a Linux interface for many reads in flight; Larder uses it to read experts.", [
        WHAT + " {io_uring|the io_uring reader}?", "{Why|How} does Larder use io_uring?"]),
    ("O_DIRECT reads go past the page cache; Larder uses them when the experts do not fit the budget.", [
        WHAT + " {O_DIRECT|an O_DIRECT read|direct reading|direct I/O}" + IN_LARDER + "?", "{Why|When} does Larder use {O_DIRECT|direct I/O|direct reads}?"]),
    ("Larder then reads with a pool of threads that call pread.", [
        "{What if|What happens if|What happens when} io_uring is {refused|missing|not available|forbidden}?", "{Does|Can} Larder {work|run} without io_uring?"]),
    ("A token is a piece of text, often part of a word, that the model reads or writes in one step.", [
        WHAT + " a token?", "{What are|Explain} tokens?", "{What does|What is meant by} {the word |}token{| mean}?"]),
    ("Logits are the scores that a model gives to every token of its vocabulary.", [
        WHAT + " {logits|the logits|a logit}?", "{What are|What do} {the |}logits{| mean| tell me}?"]),
    ("The KV cache holds the keys and values of earlier tokens, so that attention need not compute them again.", [
        WHAT + " {the|a} KV cache?", "{What does|What is in|Why is there} {the|a} KV cache{| do| hold| for}?"]),
    ("Prefill is the work on the prompt before the first new token.", [
        WHAT + " {prefill|the prefill|prefilling}?", "{What happens|What is done} {during|in} {the |}prefill?"]),
    ("Decode is the making of new tokens, one after the other.", [
        WHAT + " {decode|decoding|the decode phase}?", "{What happens|What is done} {during|in} {decode|decoding}?"]),
    ("Prefetch reads experts that are likely to be needed next, while the disk is idle.", [
        WHAT + " {prefetch|prefetching|the prefetch|lookahead}" + IN_LARDER + "?", "{How does|Why does} {prefetch|prefetching|lookahead} {work|help}?"]),
    ("The disk's bandwidth and the share of experts that miss; larder bench prints both limits.", [
        "{What|Which things} {limits|limit|bounds|determines} {the |its |Larder's |}speed?", "{Why is|What makes} {it|Larder} {slow|slow with little memory|not faster}?"]),
    ("Use a bigger budget or a faster SSD: fewer bytes are then missed, or they arrive sooner.", [
        "{How do I|How can I|What can I do to} {make it|make Larder|get it} {faster|run faster|quicker}?", "{What|Which change} {helps|would help} {speed|Larder's speed}?"]),
    ("I am a small Mixture-of-Experts model that ships with Larder: four layers with sixteen experts each.", [
        "{What|Which} model are you?", "{How big|How large|How small} are you?", "{What kind of|What sort of} model {are you|is this|am I talking to}?", "How many {experts|layers} {do|did} you {have|use|consist of|contain}?", "How many {experts|layers} {are there in|are in|has|are inside} {you|this model|the demo model}?",
        "{Tell me|Can you say} how many {experts|layers} you have{.|, please.}",
        "{Describe|What is} the demo model?"]),
    ("Only on text that Larder's own scripts generated.", [
        "{What|On what} were you trained{| on}?", "{Where does|What is} your training {data|text}{| come from}?", "{Who wrote|Where did you get} {your training text|what you know}?"]),
    ("Run make run: it builds Larder and asks the demo model three questions.", [
        "{How do I|How can I} {try|start with|try out|get started with} Larder?", "{What does|What is} make run{| do| for}?"]),
    ("--raw takes the prompt as it is, without the chat format around it.", [
        "{What does|What is|Explain} {--raw|the raw option|the --raw option}{| do| for}?", "{How do I|How can I} {give|pass} a raw prompt?"]),
    ("--temp sets the temperature of sampling; 0 always takes the most likely token.", [
        "{What does|What is|Explain} {--temp|the temp option|the --temp option|the temperature|temperature}{| do| for}?", "{How do I|How can I} {set|change} the temperature?"]),
    ("--timing prints the time per phase, the hit rate, the bytes read and the disk rate.", [
        "{What does|What is|Explain} {--timing|the timing option|the --timing option}{| do| for| print}?", "{How do I|How can I} see {the hit rate|how many bytes were read|the timing}?"]),
    ("The experts stay on the SSD; the ones a token needs are read into slots of a cache of fixed size.", [
        "{How does|How can} Larder {work|run models larger than memory|run such large models}?", "{How can|How does} a model {larger|bigger} than memory run?",
        "{How does|How do} {the streaming|expert streaming} work?"]),
    ("The expert that is least useful by the cache policy makes room for the new one.", [
        "{What happens|What does Larder do} {when|if|as soon as} {the cache is full|all slots are full|all slots are taken|there is no free slot|no slot is free|there is no slot left|the slots run out}?",
        "{How does Larder|How do you} make room {for|when it needs} a new expert?", "{Where does|How does} a new expert {go|get in} when {the cache is full|no slot is free|all slots are taken}?", "{Which|What} expert {is evicted|leaves the cache|gets evicted}?", WHAT + " {eviction|the cache policy}" + IN_LARDER + "?"]),
    ("Gated delta rule layers keep a small state of fixed size instead of all earlier keys and values.", [
        WHAT + " {the gated delta rule|linear attention|a linear attention layer|the delta rule}?", "{What do|How do} {linear attention layers|gated delta rule layers} {do|work}?"]),
    ("The shared expert is an expert that every token uses; it stays in memory.", [
        WHAT + " {the|a} shared expert" + IN_LARDER + "?", "{What does|Why is there} {the|a} shared expert{| do}?"]),
]
