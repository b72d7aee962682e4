"""A large mixed corpus, made the same way every time: what real users type, and what nobody does."""

import os
import random
import unicodedata

PROSE = [
    "The quick brown fox jumps over the lazy dog. It's what we've said; they'll agree, won't they?",
    "Don't PANIC: I'M SURE YOU'LL SEE IT'D WORK, HE'S THERE'VE. 'tis 'Twas rock'n'roll's o'clock",
    "Prices rose 12.5% to $1,234,567.89 in Q3/2024 (see fig. 3b), i.e. about 0.001 of 1e-9.",
    "Die Straße führt über Köln nach Österreich, wo Größe und Maß gelten. „Ja“, sagte er.",
    "L'été à Paris n'est-il pas déjà fini ? Ça coûte 3 €, où êtes-vous, naïve Noëlle ?",
    "El niño comió piñas; ¿cuándo volverá?, ¡mañana! Ærøskøbing smørrebrød på Ångström.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ёлка, подъезд, объявление.",
    "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. Το ὄνομά μου εἶναι Ὀδυσσεύς, ᾳ ῃ ῳ Ϊ ΐ.",
    "敏捷的棕色狐狸跳过懒狗。2024年10月,我们在北京见面,好吗?「是的」他说……",
    "いろはにほへと ちりぬるを。カタカナとひらがなと漢字が混ざった文章です。ﾊﾝｶｸ がぎぐげご",
    "다람쥐 헌 쳇바퀴에 타고파. 한국어는 어렵지만 재미있어요! ㅋㅋㅋ ㅠㅠ 각각",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق. ١٢٣٤٥",
    "עטלף אבק נס דרך מזגן שהתפוצץ כי חם. שָׁלוֹם עֲלֵיכֶם",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले। १२३ क्षत्रिय ज्ञान",
    "আমার সোনার বাংলা, আমি তোমায় ভালোবাসি। தமிழ் மொழி அழகானது. తెలుగు భాష తీయనిది.",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน ๑๒๓ ພາສາລາວ ភាសាខ្មែរ",
    "Tiếng Việt có nhiều dấu: ắằẳẵặ ếềểễệ ốồổỗộ. Người Việt Nam rất thân thiện.",
    "İstanbul'da IĞDIR ılık çığ; ÇEŞME şöförü Ğ. Gƶ ʻokina Hawaiʻi ǆ ǅ Ǆ ﬁ ﬂ ﬀ ſt ß ẞ",
    "ქართული ენა ᲥᲐᲠᲗᲣᲚᲘ Հայերեն լեզու አማርኛ ቋንቋ བོད་སྐད་ ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ ꦗꦮ ⲙⲉⲧⲣⲉⲙ",
]
EMOJI = ["👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷🇩🇪", "❤️", "☺", "🧑🏿‍🚀", "1️⃣", "😀😃", "🤷🏻‍♀️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫨", "🪿"]
CODE = [
    "int main(int argc, char** argv) {\n\tfor (size_t i = 0; i < n; ++i) {\n\t\tsum += a[i] * b[i];"
    "\n\t}\n\treturn sum == 0 ? EXIT_SUCCESS : EXIT_FAILURE;\n}\n",
    "def f(x: int = 0, *args, **kw) -> dict[str, Any]:\n    \"\"\"Doc.\"\"\"\n    if x != 3 and not kw:"
    "\n        return {'a': [1, 2, 3], \"b\": f'{x!r:>10}'}\n    raise ValueError(r'\\d+')\n",
    "<div class=\"a-b\" onclick='go(\"#x\")'>&nbsp;<!-- comment --></div>\r\n<p>\r\n\r\n</p>\r\n",
    "SELECT u.id, COUNT(*) FROM users u WHERE u.name LIKE '%o''b%' GROUP BY 1 HAVING 2>1;--\n",
    "{\"key\": [null, true, -1.5e+10, \"\\u00e9\\n\"], \"nested\": {\"a\":{\"b\":{}}}}",
    "#!/bin/sh\nset -eu; for f in *.txt; do mv -- \"$f\" \"${f%.txt}.md\" || exit 1; done # ok\n",
    "fn main() { let v: Vec<u8> = (0..=255).map(|b| b ^ 0xFF).collect(); println!(\"{:?}\", &v[..]); }",
    "\\begin{equation} \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2} \\end{equation}",
    "https://user:pa%20ss@example.com:8080/a/b.html?q=1&r=%C3%A9#frag foo_bar-baz@mail.co.uk",
]
SPECIALS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "[INST]", "[/INST]",
    "<|begin_of_text|>", "<|eot_id|>", "<｜begin▁of▁sentence｜>", "<｜User｜>", "<think>", "</think>",
    "<|im_start", "im_end|>", "<|", "|>", "<0x0A>", "<|extra_0|>", "<tool_call>", "▁", "Ġ", "Ċ", "▁▁",
    "<repo_name>", "<|image|>", "[TOOL_CALLS]", "<|header_start|>", "[CLS]", "[MASK]", "</w>", "##ing",
]
SPACES = [" ", "  ", "   ", "    ", "\t", "\n", "\r\n", "\n\n", "\r", " \n", "\n ", "\u00a0", "\u3000",
          "\u2003", "\u200b", "\u2028", "\x0b", "\x0c", "\x85", "\ufeff", "\u202f", "\u180e", " \u00a0 "]
MARKS = ["\u0301", "\u0308", "\u0323", "\u20dd", "\u0338", "\u094d", "\u3099", "\u200d", "\ufe0f"]

# BUNDLE_ORACLE_FULL=1 compares everything, which takes the better part of an hour; without it a fixed
# sample is compared, in minutes.
FULL = os.environ.get("BUNDLE_ORACLE_FULL") == "1"



def any_char(r):
    while True:
        plane = r.choice([0, 0, 0, 0, 1, 1, 2, 3, 14, 15, 16])
        c = plane * 0x10000 + r.randrange(0x10000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def noise(r):
    kind = r.randrange(9)
    if kind == 0:
        return "".join(any_char(r) for _ in range(r.randrange(1, 30)))
    if kind == 1:
        return "".join(chr(r.randrange(0x20)) for _ in range(r.randrange(1, 12)))
    if kind == 2:
        return "".join(r.choice(SPACES) for _ in range(r.randrange(1, 12)))
    if kind == 3:
        return "".join(r.choice("0123456789") for _ in range(r.randrange(1, 25)))
    if kind == 4:
        return r.choice("aeiouAEIOUnsçカ") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 5)))
    if kind == 5:
        return r.choice("=-_*#.~/\\ a0\n\t") * r.randrange(1, 90)
    if kind == 6:
        return "".join(chr(r.randrange(0x20, 0x7F)) for _ in range(r.randrange(1, 40)))
    if kind == 7:
        return unicodedata.normalize("NFD", r.choice(PROSE))[: r.randrange(1, 60)]
    return chr(r.randrange(0x80, 0x3000)) * r.randrange(1, 4)


def piece(r):
    kind = r.randrange(10)
    if kind < 3:
        text = r.choice(PROSE)
        start = r.randrange(len(text))
        return text[start: start + r.randrange(1, 80)]
    if kind < 5:
        text = r.choice(CODE)
        start = r.randrange(len(text))
        return text[start: start + r.randrange(1, 80)]
    if kind == 5:
        return r.choice(EMOJI)
    if kind == 6:
        return r.choice(SPECIALS)
    if kind == 7:
        return r.choice(SPACES)
    return noise(r)


def texts(small=12000, long=12, files=()):
    """Every document is a str; lone surrogates do not occur."""
    r = random.Random(20241123)
    yield ""
    yield from PROSE + CODE + EMOJI + SPECIALS + SPACES
    for _ in range(small):
        yield "".join(piece(r) for _ in range(r.randrange(1, 12)))
    for _ in range(long):
        yield "".join(piece(r) for _ in range(3000))
    for run in "a", " ", "\n", "7", "=", "é", "字", "😀", "\u0301", "ab ":
        yield run * 3000
        yield "x" + run * 1001 + " y"
    for path in files:
        try:
            yield open(path, encoding="utf-8", errors="replace", newline="").read()[:200_000]
        except OSError:
            pass


def code_points():
    """Every code point alone, in front of, behind and between letters, digits, spaces and itself."""
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            x = chr(c)
            yield f"{x}a{x} {x}1{x}'{x} .{x}\n{x}{x}A{x}é"


def broken(count=2000):
    """Documents with bytes that are no UTF-8."""
    r = random.Random(7)
    for _ in range(count):
        data = bytearray("".join(piece(r) for _ in range(r.randrange(1, 6))).encode())
        for _ in range(r.randrange(1, 6)):
            at = r.randrange(len(data) + 1)
            if r.randrange(2):
                data[at:at] = bytes(r.randrange(256) for _ in range(r.randrange(1, 5)))
            else:
                del data[at: at + 1]
        yield bytes(data)
