#!/usr/bin/env python3
"""Writes runtime/tokenizer/unicode_ranges.inc: the Unicode 16 properties that patterns can name.

Every property is asked of tiktoken's regex engine, code point by code point, because ids must be
those of the reference libraries and not those of whichever Unicode version a distribution's
libraries happen to carry. Needs the packages of tests/oracle/requirements.txt.

usage: make_unicode_ranges.py OUTPUT
"""

import sys

import tiktoken

CATEGORIES = ("Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp "
              "Cc Cf Co Cs").split()
FLAGS = ["Alphabetic", "Uppercase", "Lowercase"]
SCRIPTS = ("Unknown Common Inherited Latin Greek Cyrillic Armenian Hebrew Arabic Syriac Thaana "
           "Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala Thai "
           "Lao Tibetan Myanmar Georgian Hangul Ethiopic Cherokee Khmer Mongolian Hiragana Katakana "
           "Bopomofo Han Yi Coptic Nko Runic Ogham Gothic Javanese Balinese Tifinagh").split()
LAST = 0x110000


def members(property_name):
    """Code points with a property; surrogates, which no text holds, are left out."""
    encoding = tiktoken.Encoding(
        "ask", pat_str=r"\p{%s}" % property_name,
        mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={})
    return [c for c in range(LAST)
            if not 0xD800 <= c < 0xE000 and encoding.encode_ordinary(chr(c))]


def main():
    value = [0] * LAST
    for c in range(0xD800, 0xE000):
        value[c] = CATEGORIES.index("Cs")
    for index, name in enumerate(CATEGORIES[:-1]):
        for c in members("gc=" + name):
            value[c] |= index
    for bit, name in enumerate(FLAGS):
        for c in members(name):
            value[c] |= 1 << (5 + bit)
    for index, name in enumerate(SCRIPTS[1:], 1):
        for c in members("sc=" + name):
            value[c] |= index << 8
    for name in "9.0", "8.0":
        for c in members("age=" + name):
            value[c] += 1 << 14
    ranges = [(c, value[c]) for c in range(LAST) if c == 0 or value[c] != value[c - 1]]
    with open(sys.argv[1], "w") as out:
        out.write("// Written by tests/tokenizer/make_unicode_ranges.py; Unicode 16.0.\n"
                  "// {first code point, category | flags << 5 | script << 8 | old << 14}, up to the next one.\n")
        line = ""
        for first, bits in ranges:
            item = "{%#x,%d}," % (first, bits)
            if len(line) + len(item) > 100:
                out.write(line + "\n")
                line = ""
            line += item
        out.write(line + "\n")


if __name__ == "__main__":
    main()
