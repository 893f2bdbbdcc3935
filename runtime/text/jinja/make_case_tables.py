"""Writes CaseTables.inc: upper and title case of characters, as Python has it.

python3 runtime/text/jinja/make_case_tables.py > runtime/text/jinja/CaseTables.inc
"""

import sys
import unicodedata


def cell(text):
    return "{" + ", ".join(hex(ord(c)) for c in text) + "}"


print(f"// Written by make_case_tables.py from Unicode {unicodedata.unidata_version}.")
for code in range(sys.maxunicode + 1):
    c = chr(code)
    if 0xD800 <= code < 0xE000 or (c.upper() == c and c.title() == c):
        continue
    print(f"{{{hex(code)}, {cell(c.upper())}, {cell(c.title())}}},")
