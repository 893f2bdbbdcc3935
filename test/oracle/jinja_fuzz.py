"""Random templates from a grammar, and what jinja2 makes of them.

python3 jinja_fuzz.py --seed 1 --count 20000 cases.json, then
VLMC_JINJA_CASES=cases.json vlm_jinja_test --gtest_filter='*Oracle*'
"""

import argparse
import json
import random
import signal
import warnings

import jinja_oracle

NAMES = ["messages", "message", "tools", "a", "b", "s", "n", "f", "flag", "nothing"]
NAMES += ["empty", "nested", "words", "missing", "x", "y", "ns", "pairs"]
KEYS = ["role", "content", "name", "type", "k", "missing", "items", "first"]
WORDS = ["user", "assistant", "system", "Hello, World", "a b  c", "", "  pad ", "é", "Ünïcode ß"]
WORDS += ["a well-known --long-- dash--word, x-ray - and-so-on", "<b>x &amp; y</b> &lt;&#65;&#x41"]
WORDS += [
    "<!-- a > b --> c  d <e",
    "&copy &notit; &no; &#150; &#0; &",
    "Ein-Wort_das 1-2-3 a--b c-'d",
]
WORDS += ["<s>", "[INST]", "x,y,,z", "line\\nline", "12", "3.5", "-7", "日本語", "'q'", "😀x", "ab"]
FILTERS = ["upper", "lower", "trim", "length", "first", "last", "list", "join", "string", "int"]
FILTERS += ["float", "capitalize", "title", "tojson", "reverse|list", "sort", "unique|list"]
FILTERS += ["sum", "min", "max", "abs", "round", "count", "items|list", "dictsort", "wordcount"]
FILTERS += ["urlencode", "escape", "safe", "default('d')", "d('e', true)", "join(', ')", "indent"]
FILTERS += ["tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(sort_keys=true)", "int(5)"]
FILTERS += [
    "tojson(separators=(',', ':'))",
    "replace('a', 'bb')",
    "replace('l', '', 1)",
    "center(9)",
]
FILTERS += [
    "map('upper')|list",
    "map(attribute='role')|join",
    "map(attribute='role', default='?')|list",
]
FILTERS += ["select|list", "reject('none')|list", "selectattr('role', 'equalto', 'user')|list"]
FILTERS += ["rejectattr('name')|list", "selectattr('role')|map(attribute='content')|list"]
FILTERS += ["batch(2)|list", "batch(2, 'z')|list", "slice(2)|list", "slice(3, 'z')|list"]
FILTERS += ["groupby('role')|list", "truncate(5)", "truncate(6, true, '..', 0)", "trim('a ')"]
FILTERS += [
    "indent(2, true)",
    "indent(width='> ')",
    "round(1)",
    "round(0, 'floor')",
    "attr('role')",
]
FILTERS += ["sort(reverse=true)", "sort(attribute='role')|map(attribute='role')|list", "float(1.5)"]
FILTERS += ["max(attribute='role')", "format(1, 'x')", "sum(start=1)", "sum(attribute='n')"]
FILTERS += ["wordwrap(7)", "wordwrap(5, false)", "wordwrap(9, wrapstring='|')", "pprint"]
FILTERS += ["wordwrap(4, break_on_hyphens=false)", "wordwrap(1)", "wordwrap(0)", "wordwrap"]
FILTERS += ["striptags", "filesizeformat", "filesizeformat(true)", "xmlattr", "xmlattr(false)"]
FILTERS += ["select('string')|list", "select('in', [1, 2, 'a'])|list", "map('length')|list"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true"]
TESTS += ["false", "mapping", "iterable", "sequence", "odd", "even", "lower", "upper", "callable"]
TESTS += ["divisibleby(2)", "divisibleby 3", "in ['user', 1]", "eq 1", "ne('a')", "gt 0", "lt 2"]
TESTS += [
    "equalto 'user'",
    "ge(1)",
    "le(1)",
    "sameas true",
    "sameas none",
    "filter",
    "test",
    "escaped",
]
METHODS = [
    "strip()",
    "lstrip()",
    "rstrip('a')",
    "split()",
    "split(',')",
    "split(',', 1)",
    "upper()",
]
METHODS += ["rsplit(' ', 1)", "splitlines()", "startswith('a')", "endswith(('d', 'b'))", "lower()"]
METHODS += ["title()", "capitalize()", "replace('a', 'b')", "find('l')", "rfind('l')", "count('l')"]
METHODS += [
    "join(['a', 'b'])",
    "format(1, x='y')",
    "index('a')",
    "isdigit()",
    "isalpha()",
    "isupper()",
]
METHODS += [
    "removeprefix('a')",
    "removesuffix('d')",
    "zfill(6)",
    "center(8, '*')",
    "ljust(5)",
    "rjust(5)",
]
METHODS += [
    "partition(',')",
    "rpartition(' ')",
    "swapcase()",
    "isalnum()",
    "isspace()",
    "islower()",
]
METHODS += [
    "items()|list",
    "keys()|list",
    "values()|list",
    "get('role')",
    "get('zz', 3)",
    "append(1)",
]
METHODS += [
    "pop()",
    "update({})",
    "get('role', 'r')",
    "index(1)",
    "count(1)",
    "istitle()",
    "casefold()",
]
METHODS += [
    "split('l', maxsplit=1)",
    "splitlines(true)",
    "strip('a' ~ 'b')",
    "expand()",
    "isnumeric()",
]
FORMATS = [
    "'%s'",
    "'%d'",
    "'%5.2f'",
    "'%r'",
    "'%-5s|'",
    "'%05d'",
    "'%x'",
    "'%+d'",
    "'%e'",
    "'%g'",
    "'%%'",
]
BRACES = [
    "'{}'",
    "'{0}'",
    "'{:>5}'",
    "'{:.2f}'",
    "'{!r}'",
    "'{:05d}'",
    "'{:,}'",
    "'{:<4}|'",
    "'{:^7}'",
    "'{{}}'",
]


class Grammar:
    def __init__(self, rng):
        self.rng = rng
        self.loops = 0

    def pick(self, options):
        return self.rng.choice(options)

    def literal(self):
        kind = self.rng.randrange(9)
        if kind < 4:
            return self.pick(["'%s'", '"%s"']) % self.pick([w for w in WORDS if "'" not in w])
        if kind < 6:
            return str(self.pick([0, 1, 2, 3, -1, 7, 10, 42, 100]))
        if kind == 6:
            return self.pick(
                ["1.5", "0.1", "2.0", "1e3", "1_000", "0x1f", "3.14159", "1e-7", "1e22"]
            )
        return self.pick(["true", "false", "none", "True", "None"])

    def atom(self, depth):
        kind = self.rng.randrange(12)
        if depth <= 0 or kind < 3:
            return self.literal()
        if kind < 7:
            return self.pick(NAMES)
        if kind == 7:
            return "[" + ", ".join(self.expr(depth - 2) for _ in range(self.rng.randrange(4))) + "]"
        if kind == 8:
            pairs = [
                f"'{self.pick(KEYS)}': {self.expr(depth - 2)}" for _ in range(self.rng.randrange(3))
            ]
            return "{" + ", ".join(pairs) + "}"
        if kind == 9:
            return "(" + self.expr(depth - 1) + ")"
        if kind == 10:
            return f"({self.expr(depth - 2)}, {self.expr(depth - 2)})"
        return (
            self.pick(
                [
                    "loop.index",
                    "loop.first",
                    "loop.last",
                    "loop.length",
                    "loop.index0",
                    "loop.previtem",
                ]
            )
            if self.loops
            else f"range({self.rng.randrange(5)})|list"
        )

    def slice(self):
        def part():
            return self.pick(["", "0", "1", "-1", "2", "-2", "9"])

        return (
            f"[{part()}:{part()}]"
            if self.rng.random() < 0.7
            else f"[{part()}:{part()}:{self.pick(['', '2', '-1', '-2'])}]"
        )

    def postfix(self, depth):
        text = self.atom(depth)
        # Jinja2 folds constants, and then forgives a slice of a number.
        name = text in NAMES
        if text[0] in "-0123456789":
            text = f"({text})"
        for _ in range(self.rng.randrange(3)):
            kind = self.rng.randrange(8)
            if kind < 2:
                text += "." + self.pick(KEYS)
            elif kind < 3:
                text += f"['{self.pick(KEYS)}']"
            elif kind < 4:
                text += f"[{self.pick(['0', '1', '-1', '5', 'n'])}]"
            elif kind < 5 and name:
                text += self.slice()
            else:
                text += "." + self.pick(METHODS)
        return text

    def expr(self, depth):
        kind = self.rng.randrange(20)
        if depth <= 0 or kind < 5:
            return self.postfix(depth)

        def sub():
            return self.expr(depth - 1)

        if kind < 9:
            return self.postfix(depth - 1) + "|" + self.pick(FILTERS)
        if kind < 11:
            return f"{self.postfix(depth - 1)} is {self.pick(['', 'not '])}{self.pick(TESTS)}"
        if kind < 13:
            return f"{sub()} {self.pick(['+', '-', '*', '/', '//', '%', '~', '~', '+'])} {sub()}"
        if kind < 15:
            return (
                f"{sub()} {self.pick(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {sub()}"
            )
        if kind < 17:
            return f"{sub()} {self.pick(['and', 'or'])} {sub()}"
        if kind == 17:
            return self.pick(["not ", "-", "not "]) + sub()
        if kind == 18:
            tail = f" else {sub()}" if self.rng.random() < 0.7 else ""
            return f"({sub()} if {sub()}{tail})"
        if self.rng.random() < 0.5:
            return f"{self.pick(FORMATS)} % {self.pick([sub(), '(' + sub() + ',)'])}"
        return f"{self.pick(BRACES)}.format({sub()})"

    def data(self):
        return self.pick(
            ["text", " ", "\n", "\n  ", "  \n\n", " a\n", "\t", "<|x|>", "{ }", "% }", "é\n", "-"]
        )

    def tag(self, inner):
        left, right = self.pick(["", "", "-", "+"]), self.pick(["", "", "-", "+"])
        return "{%" + left + " " + inner + " " + right + "%}"

    def out(self, depth):
        left, right = self.pick(["", "", "-"]), self.pick(["", "", "-"])
        return "{{" + left + " " + self.expr(depth) + " " + right + "}}"

    def statement(self, depth):
        kind = self.rng.randrange(24)
        if depth <= 0 or kind < 6:
            return self.out(min(depth, 3))
        if kind < 9:
            text = self.tag("if " + self.expr(2)) + self.body(depth - 1)
            if self.rng.random() < 0.3:
                text += self.tag("elif " + self.expr(2)) + self.body(depth - 1)
            if self.rng.random() < 0.4:
                text += self.tag("else") + self.body(depth - 1)
            return text + self.tag("endif")
        if kind < 13:
            target = self.pick(["x", "message", "x, y", "a"])
            over = self.pick(
                [
                    "messages",
                    "[1, 2, 3]",
                    "words",
                    "range(3)",
                    "pairs",
                    "nested.items()",
                    "tools",
                    self.expr(2),
                ]
            )
            tail = f" if {self.expr(1)}" if self.rng.random() < 0.2 else ""
            self.loops += 1
            text = self.tag(f"for {target} in {over}{tail}") + self.body(depth - 1)
            self.loops -= 1
            if self.rng.random() < 0.2:
                text += self.tag("else") + self.body(depth - 1)
            return text + self.tag("endfor")
        if kind < 16:
            return self.tag(
                f"set {self.pick(['x', 'y', 'a', 's', 'ns.k', 'x, y'])} = {self.expr(2)}"
            )
        if kind == 16:
            return (
                self.tag("set x" + self.pick(["", " | upper"]))
                + self.body(depth - 1)
                + self.tag("endset")
            )
        if kind == 17:
            return (
                self.tag(f"with {self.pick(['x', 'a'])} = {self.expr(2)}")
                + self.body(depth - 1)
                + self.tag("endwith")
            )
        if kind == 18:
            return (
                self.tag(
                    "filter " + self.pick(["upper", "trim", "replace('a', 'b')|lower", "indent(2)"])
                )
                + self.body(depth - 1)
                + self.tag("endfilter")
            )
        if kind == 19:
            loops, self.loops = self.loops, 0
            body = self.body(depth - 1)
            self.loops = loops
            args = self.pick(["", "x", "x, y='d'", "x=1"])
            use = self.pick(
                ["{{ m() }}", "{{ m(1) }}", "{{ m(a, y=2) }}", "{{ m(x='q') }}", "{{ m(1, 2) }}"]
            )
            return (
                self.tag(f"macro m({args})")
                + body
                + self.pick(["", "{{ caller() }}", "{{ varargs }}", "{{ kwargs }}"])
                + self.tag("endmacro")
                + use
            )
        if kind == 20:
            return (
                self.tag("call m(" + self.pick(["", "1"]) + ")")
                + self.body(depth - 1)
                + self.tag("endcall")
            )
        if kind == 21:
            return self.tag("generation") + self.body(depth - 1) + self.tag("endgeneration")
        if kind == 22:
            return self.pick(
                [
                    "{# c #}",
                    "{#- c -#}",
                    "{# c\n #}\n",
                    "{%raw%} {{ x }} {% if %}\n{%endraw%}",
                    "{%- raw -%} {% x {%+ endraw -%}",
                ]
            )
        return self.tag(self.pick(["break", "continue"])) if self.loops else self.out(2)

    def body(self, depth):
        parts = []
        for _ in range(self.rng.randrange(1, 5)):
            parts.append(self.data() if self.rng.random() < 0.4 else self.statement(depth))
        return "".join(parts)

    def value(self, depth):
        kind = self.rng.randrange(10)
        if depth <= 0 or kind < 4:
            return self.pick(WORDS)
        if kind < 6:
            return self.pick([0, 1, 2, -3, 10, 1234567])
        if kind == 6:
            return self.pick([0.5, 1.0, -2.25, 1e16, 1e-5, 123456.789])
        if kind == 7:
            return self.pick([True, False, None])
        if kind == 8:
            return [self.value(depth - 1) for _ in range(self.rng.randrange(4))]
        return {self.pick(KEYS): self.value(depth - 1) for _ in range(self.rng.randrange(3))}

    def variables(self):
        def message(role):
            return {"role": role, "content": self.value(1), "n": self.rng.randrange(3)}

        return {
            "messages": [
                message(self.pick(["user", "assistant", "system"]))
                for _ in range(self.rng.randrange(4))
            ],
            "message": message("user"),
            "tools": self.pick(
                [None, [], [{"type": "function", "name": "f", "k": [1, {"b": None}]}]]
            ),
            "a": self.value(2),
            "b": self.value(2),
            "s": self.pick(WORDS),
            "n": self.rng.randrange(-1, 4),
            "f": self.pick([0.5, 1.25, 2.0, -1.5]),
            "flag": self.pick([True, False]),
            "nothing": None,
            "empty": self.pick(["", [], {}]),
            "nested": {"role": {"k": [1, 2]}, "items": 3, "b": self.value(2)},
            "words": [self.pick(WORDS) for _ in range(3)],
            "pairs": [[self.pick(WORDS), self.rng.randrange(5)] for _ in range(2)],
        }


def make(seed, count):
    # Python warns of constants that are called or subscripted.
    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    cases = []
    while len(cases) < count:
        grammar = Grammar(rng)
        source = "{%- set ns = namespace(k=1) -%}" + grammar.body(3)
        variables = grammar.variables()
        signal.setitimer(signal.ITIMER_VIRTUAL, 10)  # an endless one ends the program
        result = jinja_oracle.render(source, variables)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        text = result.get("text", "")
        # Addresses in memory are no result.
        if " object at 0x" in text or " at 0x" in text or len(text) > 20000:
            continue
        cases.append({"template": source, "variables": variables, **result})
    return cases


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("file")
    options = parser.parse_args()
    with open(options.file, "w") as out:
        json.dump(make(options.seed, options.count), out, ensure_ascii=False)
