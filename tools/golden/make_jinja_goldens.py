#!/usr/bin/env python3
"""Writes tests/golden/templates/expressions.jsonl: small templates, and what Python's jinja2 makes
of them when transformers sets it up; null stands for a refusal. Each line is [template, text].

Operators, filters, tests and methods are tried on values of every kind, from a fixed seed; the
statements are written by hand. What depends on addresses or on integers beyond 64 bits is left out.
"""
import itertools
import json
import pathlib
import random
import re
import warnings

from transformers.utils.chat_template_utils import _compile_jinja_template

warnings.filterwarnings("ignore")
OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/templates/expressions.jsonl"

VALUES = ["0", "1", "-3", "7", "true", "false", "none", "2.5", "-0.0", "1e16", "1e-5", "''", "'abc'", "'Hello World'",
          "'  pad '", "'äÖß日本'", "'a,b,,c'", "'line1\\nline2\\n'", "'42'", "'3.75'", "'<b>&\"'", "[]", "[1, 2, 3]",
          "['b', 'A', 'c']", "[3, 1, 2, 1]", "[[1, 2], [3]]", "[{'a': 1, 'n': 'x'}, {'a': 2}, {'a': 1, 'n': 'Y'}]", "()",
          "(1,)", "('x', 2)", "{}", "{'a': 1, 'b': [1, 2]}", "{'B': 2, 'a': 3, 'C': 1}", "{1: 'one', none: 0, true: 'T'}",
          "undef", "range(4)", "range(5, 0, -2)", "'x'|safe", "{'k': 'v'}.items()", "namespace(a=1)"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
FILTERS = """abs attr('a') attr('upper') batch(2)|list batch(2,'-')|list capitalize center(12) count default('d')
default('d',true) d dictsort dictsort(true) dictsort(false,'value') dictsort(reverse=true) e escape first float float(9)
forceescape groupby('a')|list groupby(0)|list indent indent(2,true) indent('> ',blank=true) int int(5) int(0,16) join
join('-') join('-','a') last length list lower items|list map('upper')|list map(attribute='a')|list
map(attribute='n',default='D')|list map('string')|join(';') max min max(attribute='a') reject|list reject('odd')|list
rejectattr('a')|list rejectattr('n','defined')|list replace('a','X') replace('','.',2) replace(1,2) reverse|list reverse
round round(1) round(-1) round(1,'floor') round(0,'ceil') safe select|list select('string')|list selectattr('a')|list
selectattr('a','equalto',1)|list slice(2)|list slice(3,'f')|list sort sort(true) sort(attribute='a')|list
sort(case_sensitive=true) string string|length sum sum('a') sum(start=10) title tojson tojson(indent=2)
tojson(ensure_ascii=true) tojson(separators=(',',':')) tojson(sort_keys=true,indent=1) trim trim('a ') truncate(6)
truncate(6,true,'!') unique|list upper wordcount filesizeformat filesizeformat(true) string|list|tojson
format(1) nosuchfilter""".split()
TESTS = """defined undefined none boolean true false integer float number string mapping sequence iterable callable
escaped odd even lower upper filter test nosuchtest""".split()
TESTS += ["divisibleby(3)", "divisibleby 2", "sameas none", "sameas(true)", "in [1,'abc']", "eq 1", "equalto('abc')",
          "ne 1", "lt 2", "gt(1)", "le 1", "ge 1", "== 1", "in 'abcdef'"]
METHODS = """upper() lower() strip() strip('a') lstrip() rstrip() lstrip('\\n') split() split(',') split(',',1)
split(maxsplit=1) rsplit(None,1) rsplit(',',1) rsplit('l') splitlines() splitlines(true) partition(',') rpartition(',')
partition('zz') startswith('a') startswith(('x','H')) endswith('c') endswith('') startswith('l',2) find('l') find('l',4)
find('zz') rfind('l') index('a') rindex('l') count('l') count('') replace('l','L') replace('l','L',1) replace('','-')
title() capitalize() swapcase() isdigit() isalpha() isalnum() isspace() isupper() islower() istitle() isnumeric()
isdecimal() isascii() zfill(6) ljust(8)~'|' rjust(8,'*') center(9,'.') expandtabs(4) removeprefix('a') removesuffix('c')
join(['x','y']) join('ab') join([1]) format(1,2) encode() keys()|list values()|list items()|list get('a') get('z')
get('z',5) get(1) copy() index(2) count(1) append(1) pop() update({}) clear() a A.b upper lower.x items
__class__ __len__ _x real imag is_integer() fromkeys('ab') setdefault('q',1)""".split()
SUBSCRIPTS = ["[0]", "[-1]", "[99]", "['a']", "['items']|string|length", "[none]", "[1.0]", "[true]", "[1:]", "[:-1]", "[::-1]", "[::2]",
              "[-2:]", "[5:1]", "[1:3:2]", "[::0]", "[none:2]", "['x':]", ".0", "['__class__']", "[[1]]", "[3:0:-1]", "[-100:100]"]
FORMATS = ["'%s'", "'%d'", "'%5.1f|'", "'%-6s|'", "'%05d'", "'%x'", "'%X'", "'%o'", "'%e'", "'%g'", "'%r'", "'%c'", "'%%'", "'%+d'",
           "'%#x'", "'% d'", "'%.2s'", "'%(a)s'", "'%i %i'", "'%.3d'", "'%08.3f'"]
BRACES = ["'{}'", "'{0}{0}'", "'{:>6}|'", "'{:<6}|'", "'{:^7}|'", "'{:*^7}|'", "'{:05}'", "'{:.1f}'", "'{:,}'", "'{:x}'", "'{:#b}'",
          "'{:+}'", "'{!r}'", "'{!s:>5}'", "'{:e}'", "'{:g}'", "'{:%}'", "'{0[0]}'", "'{0.a}'", "'{{}}'", "'{a}'", "'{'", "'}'", "'{:.2}'",
          "'{:d}'", "'{:s}'", "'{:10.3f}|'", "'{:_}'", "'{:c}'", "'{1}'"]
LITERALS = r"""'a\nb' 'a\tb' 'a\\b' 'a\'b' "a\"b" '\x41' '\u00e9' '\U0001f600' '\101' '\q' '\é' '\
' 'a' 'b' "it's" 0x1F 0b101 0o17 1_000 1_0.5 1e3 1E-2 00 007 1.5.real 5.x 1. .5 1__0 0x 9223372036854775807 'unterminated
1if 1else 2 -1 +1 --1 -'a' not not 1 [1,] (1,) () {1:2,} {1} [,] (,) 1,2 'a''b' 2**-1 -2**2 2**3**2 1<2<3 1<3<2 1==1.0==true
1in[1] not 1 in [1] 1 not in [2] 'a'in'abc' 1 if 0 1 if 0 else 2 1 if 1 else 2 if 0 else 3 a.b a[0 (1 1) {{1}} {%1%}
true and 0 0 or 'x' none or none 1 and 2 or 3 1+1~1*2 'a'~1~none 10//3 -7//2 -7%3 7%-3 7.5//2 -7.5%2 1/3 2/1 1e308*10
0.1+0.2 1e22 123456789012345680.0 1e-7 5e-324 3.0 100000.0*10 1.0e15 0.0001 0.00001 'x'*3 3*'ab' [0]*2 -1*'a' 'a'+1 1+'a'
[1]+[2] (1,)+(2,) [1]+(2,) 9223372036854775807+1 true+true 'a'<'b' 'Z'<'a' [1,2]<[1,3] (1,)<(1,2) 1<'a' none<1 {}<{} 'é'>'z'""".split("\n")


def statements():
    return r"""{% for i in [1,2,3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}
{% for i in [] %}x{% else %}empty{% endfor %}
{% for i in [1,2,3] %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %}
{% for i in [1,2,3,4] %}{{ loop.cycle('a','b') }}{% endfor %}
{% for i in [1,1,2,2,1] %}{{ loop.changed(i) }} {% endfor %}
{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i > 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in [1,2] %}{% continue %}{% else %}e{% endfor %}
{% for i in [1,2] %}{% break %}{% else %}e{% endfor %}
{% for i in [1,2,3,4] if i is odd %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% endfor %}
{% for i in [1,2] if i > 5 %}x{% else %}none{% endfor %}
{% for k, v in {'a':1,'b':2}.items() %}{{ k }}={{ v }};{% endfor %}
{% for a, b in [[1,2],[3]] %}{{ a }}{% endfor %}
{% for a in 5 %}{% endfor %}
{% for c in 'añ' %}{{ c }}.{% endfor %}
{% for x in {'b':1,'a':2} %}{{ x }}{% endfor %}
{% for x in undef %}{{ x }}{% else %}E{% endfor %}
{% for x in none %}{% endfor %}
{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = i + 5 %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.z is defined }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = 1, 2, 3 %}{{ a }}
{% set x %}block {{ 1 + 1 }}{% endset %}[{{ x }}]
{% set x | upper | trim %} text {% endset %}[{{ x }}]
{% set ns = {} %}{% set ns.a = 1 %}
{% set true = 1 %}
{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}
{% if undef %}a{% elif [] %}b{% else %}c{% endif %}
{% if false %}{% set z = 1 %}{% endif %}{{ z is defined }}{% if true %}{% set z = 2 %}{% endif %}{{ z }}
{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ m(b=1, a=0) }}
{% macro m(a) %}[{{ a }}{{ a is defined }}]{% endmacro %}{{ m() }}{{ m(1) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}
{% macro m(a, a) %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}
{% macro m() %}{% for i in [1,2] %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) m() %}({{ x }}){% endcall %}
{% macro m() %}{{ caller is defined }}{{ caller }}{% endmacro %}{{ m() }}
{% macro m(x) %}{{ x }}{% endmacro %}{% call m(1) %}y{% endcall %}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro m() %}{{ late }}{% endmacro %}{% set late = 'L' %}{{ m() }}
{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% macro m() %}{{ loop }}{% endmacro %}{% for i in [1] %}[{{ m() }}]{% endfor %}
{% macro m() %}{% set v = 5 %}{{ v }}{% endmacro %}{{ m() }}{{ v }}
{{ m.name }}{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.caller }}
{% filter upper %}abc {{ 'd' }}{% endfilter %}
{% filter replace('a', 'b') | trim %} aaa {% endfilter %}
{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}
{% generation %}gen {{ 1 }}{% set g = 2 %}{% endgeneration %}{{ g }}
{% for i in [1,2] %}{% generation %}{{ loop.index }}{% endgeneration %}{% endfor %}
{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{% break %}
{% raw %}{{ x }} {% if %}{% endraw %}
  {%- raw -%}   a {{ b }}  {%- endraw -%}  z
{% raw %}unclosed
{# comment {{ x }} #}a{#- b -#}  c {# unclosed
a {#- x -#} b {#+ y +#} c
{% block b %}{{ 1 }}{% endblock %}{% block b %}{% endblock %}
{% set x = 1 %}{% block b %}{{ x }}{% endblock b %}
{% include 'x' %}
{% if false %}{% include 'x' %}{% endif %}ok
{% extends 'x' %}
{% print 1, 2 %}
{% unknown %}
{% if 1 %}open
{% endif %}
{% for i in [1] %}{% endfor %}{% endfor %}
{{ 1 }
{{ 1
{% if 1 %}{{ 'a'|nosuch if false else 'b' }}{% endif %}
{% if false %}{{ 1|nosuch }}{% endif %}ok
{% if true %}{% for x in [1] %}{{ 1|nosuch }}{% endfor %}{% endif %}
{% for x in [[1,[2]],[3]] recursive %}{{ loop.depth }}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}
{% for x in [1] %}{{ loop(x) }}{% endfor %}
{% for loop in [1] %}{% endfor %}
{% for x in [1] %}{% set loop = 2 %}{% endfor %}
{% set loop = 2 %}{{ loop }}
{{ loop is defined }}
{{ raise_exception('no way') }}
{{ strftime_now('%Y')|length }}
{{ strftime_now('a%%b') }}
{{ namespace(a=1, b='x').b }}
{{ namespace({'a': 1}).a }}
{{ namespace(_a=1) }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set ns = namespace(x=[]) %}{{ ns.x.append(1) }}
{{ dict(a=1, b=2) }}{{ dict([('x', 1)]) }}{{ dict({'a': 0}, a=5) }}
{{ [1,2].append(3) }}
{% set j = joiner('-') %}{% for i in [1,2,3] %}{{ j() }}{{ i }}{% endfor %}
{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}
{% set c = cycler(1,2) %}{{ c.current }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}{{ c.current }}
{{ ''.__class__.__mro__ }}
{{ undef.__class__ }}|{{ undef.__class__ is defined }}
{{ undef.__foo__ }}
{{ ''.__foo__ }}|{{ ''.__foo__ is defined }}
{{ ''.__foo__.x }}
{{ undef.__class__.__mro__ is defined }}
{{ range(3)|list }}{{ range(1,4)|list }}{{ range(5,0,-2)|list }}{{ range(3) }}{{ range(0,6,2) }}
{{ range(100001)|length }}
{{ range(1, 2, 0) }}
{{ range('a') }}
{{ undef.x }}
{{ undef['x'] }}
{{ undef() }}
{{ undef + 1 }}
{{ undef == undef2 }}{{ undef == none }}{{ undef ~ 'x' }}{{ undef|length }}{{ undef|list }}{{ not undef }}
{{ undef|tojson }}
{{ {'a': undef}|tojson }}
{{ {}.x }}{{ {}.x.y }}
{{ 'abc'.nope }}|{{ 'abc'.nope() }}
{{ none.x }}|{{ 5 .x }}
{{ messages|length }}{{ tools }}{{ add_generation_prompt }}
{{ [1,2,3]|map('nosuch')|list }}
{{ [1,2,3]|map|list }}
{{ []|map('nosuch')|list }}
{{ [1,2,3]|select('nosuch')|list }}
{{ [1]|map('tojson', indent=2)|join }}
{{ ['a','b']|map('replace', 'a', 'z')|list }}
{{ [{'x':{'y':1}}]|map(attribute='x.y')|list }}
{{ [[1,2],[3,4]]|map(attribute=1)|list }}{{ [[1,2],[3,4]]|map(attribute='0')|list }}
{% set g = [1,2]|map('string') %}{{ g|list }}{{ g|list }}
{% set g = [1,2]|select %}{{ g is iterable }}{{ g is sequence }}{{ g|first }}{{ g|list }}
{{ ([1,2]|map('string'))[0] }}
{{ ([1,2]|map('string'))|length }}
{{ [1,2]|map('string') is defined }}{% if []|map('x') %}T{% endif %}
{{ '%s and %s'|format('a', 'b') }}{{ '%(x)s'|format(x=1) }}
{{ '%s' % (1,) }}{{ '%s %s' % ('a', 2) }}{{ '%s' % [1] }}{{ '%s' % {'a': 1} }}{{ '%(a)s' % {'a': 1} }}
{{ 'a' 'b' }}{{ 'a' ~ 'b' 'c' }}
{{ {'a': 1}['a'] }}{{ {'a': {'b': 2}}.a.b }}{{ {'items': 5}['items'] }}{{ {'keys': 5}.keys is callable }}
{{ {1: 2}[1] }}{{ {1: 2}[1.0] }}{{ {1: 2}[true] }}{{ {'a': 1, 'a': 2} }}{{ {1: 'a', 1.0: 'b', true: 'c'} }}
{{ {[1]: 2} }}
{{ [1,2,3][1] }}{{ [1,2,3].1 }}{{ 'äbc'[0] }}{{ 'äbc'[-1] }}{{ '日本語'[::-1] }}{{ '日本語'[1:] }}{{ (1,2)[5] }}
{{ 'a\u2028b'.splitlines() }}{{ 'ǆ'|title }}{{ 'ß'|upper }}{{ 'ΑΣ'|lower }}{{ 'İ'|lower|length }}{{ 'ﬁx'|capitalize }}
{{ ['é', '\x00', '\u200b', '😀', "it's", 'q"', 'b\'"', '\xad', '\t'] }}
{{ 'a\xa0b\u3000c'.split() }}{{ '\x1f x '|trim }}{{ '٣'|int }}
{{ "<"|e }}{{ ("<"|safe) + ">" }}{{ "<"|safe ~ ">" }}{{ ("<"|safe).join(['>']) }}{{ ("<"|safe)|upper is escaped }}
{{ '1_000'|int }}{{ ' 12 '|int }}{{ '0x1f'|int(0, 16) }}{{ '0b11'|int(0, 0) }}{{ '-5'|int }}{{ 'z'|int(-1) }}{{ '1e3'|int }}{{ '1.9'|int }}{{ 1e3|int }}{{ true|int }}{{ none|int }}
{{ '1e400'|float }}{{ 'nan'|float }}{{ '-inf'|float }}{{ '1_0.5'|float }}{{ '0x1'|float }}{{ '.5'|float }}{{ '5.'|float }}
{{ 2.5|round }}{{ 3.5|round }}{{ 2.675|round(2) }}{{ 1e20|round }}{{ 5|round(-1) }}{{ 15|round(-1) }}{{ 25|round(-1) }}{{ 1234.5|round(-2) }}
{{ 0.1|tojson }}{{ 1e16|tojson }}{{ 1.0|tojson }}{{ -0.0|tojson }}{{ 1e400|tojson }}{{ 'a/b<>&\u2028\x7f'|tojson }}{{ 'é😀'|tojson(ensure_ascii=true) }}
{{ {'b': [1, {'c': none}], 'a': (1, 2)}|tojson(indent=2) }}{{ [[], {}]|tojson(indent=1) }}{{ [1]|tojson(indent='\t') }}{{ [1,[2]]|tojson(indent=0) }}
{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}{{ {(1,2): 3}|tojson }}
{{ {'b': 1, 'a': 2}|tojson(sort_keys=true, separators=(';', '=')) }}
{{ [1,2]|tojson(nope=1) }}
{{ ['b','A','a','B']|sort }}{{ ['b','A','a','B']|sort(case_sensitive=true) }}{{ ['b','A','a','B']|unique|list }}{{ ['b','A']|min }}{{ []|max }}
{{ [1,'a']|sort }}
{{ [{'n':2,'m':1},{'n':1,'m':2},{'n':1,'m':1}]|sort(attribute='n,m') }}
{% for g, l in [{'k':'A','v':1},{'k':'a','v':2},{'k':'b','v':3}]|groupby('k') %}{{ g }}:{{ l|map(attribute='v')|list }};{% endfor %}
{% for g in [{'k':1}]|groupby('k') %}{{ g.grouper }}{{ g.list }}{{ g }}{% endfor %}
{{ 'hello world foo'|truncate(11) }}{{ 'hello world foo'|truncate(9) }}{{ 'hello world'|truncate(5, leeway=0) }}{{ 'x'|truncate(1) }}
{{ 'a\n\nb'|indent }}|{{ 'a\n\nb'|indent(blank=true) }}|{{ 'a\nb'|indent(2, true) }}|{{ ''|indent }}
{{ 5|indent }}
{{ 'foo bar-baz (qux) [x'|title }}{{ "it's"|title }}{{ "it's".title() }}
{{ 1 is odd }}{{ 2 is even }}{{ 'a' is odd }}
{{ 5 is divisibleby(0) }}
{{ 1 is eq 1 }}{{ 1 is not eq 2 }}{{ not 1 is eq 2 }}{{ 'upper' is filter }}{{ 'zz' is filter }}{{ 'odd' is test }}{{ [] is filter }}
{{ 1 is defined is none }}
{{ 1 is string or 'a' is string and not none is defined }}
{{ x is defined and x or 'd' }}{{ (x or 'd')|upper }}
{{ 1 if true }}|{{ 1 if false }}|{{ (1 if false) is defined }}
{{ (1 if false).x }}
{{ f(*[1,2], **{'a': 3}) }}{% macro g() %}{{ varargs }}{{ kwargs }}{% endmacro %}
{% macro g() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ g(*[1,2], **{'a': 3}) }}{{ g(1, *(2,), b=3) }}
{{ dict(a=1, a=2) }}
{{ dict(**{'a': 1}) }}{{ dict(**[1]) }}
{{ [1, 2, 3]|sum }}{{ [[1],[2]]|sum(start=[]) }}{{ ['a']|sum }}
{{ ''.join(['a', 1]) }}
{{ [1,2,3]|join(',') }}{{ 'abc'|join('-') }}{{ {'a':1}|join }}{{ 5|join }}
{{ 'x'.format }}
{{ 3.7 // 1 }}{{ -3.7 // 1 }}{{ 5 % 3.5 }}{{ 1 // 0 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 0.0 ** -1 }}
{{ (-8) ** 0.5 }}
{{ 2 ** 0.5 }}{{ 2 ** 10 }}{{ 2 ** -1 }}{{ 2.0 ** 3 }}
   {% if true %}  x  {% endif %}  
a
   {%- if true -%}
  b
   {%+ if true +%}
  c
{% endif %}{% endif %}
  {{ 1 }}  
  {{- 2 -}}  
x {%- set a = 1 -%} y
{% set a = 1 %}
{% set b = 2 %}

z
{% for i in [1,2] -%}
  {{ i }},
{%- endfor %}
  {# c #}
d
text {# c #} more
	{% if 1 %}tab{% endif %}
{%- if 1 %} a {%- endif -%} b
{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}} }}
{{ "a
b" }}
{%if 1%}a{%endif%}{{1}}{#x#}
{{ 1 -}} {{- 2 }}
{% if 1 -%} {{- '' -}} {%- endif %} end
caf\u00e9 é {{ 'é'|length }} {{ é }}{% set é = 5 %}{{ é }}
{{ a.b.c.d }}
{{ a|default('x')|upper|lower|length }}
{{ (1, 2)|first }}{{ (1,)|last }}{{ []|first }}{{ []|last }}{{ 'abc'|last }}{{ {'a':1,'b':2}|last }}
{{ {'a':1}.items()|first }}{{ {'a':1}.keys() }}{{ {'a':1}.values() }}{{ {'a':1}.items() }}{{ {'a':1}.items()[0] }}
{{ 'abc' is sequence }}{{ {} is sequence }}{{ 1 is sequence }}{{ undef is sequence }}{{ {}.keys() is sequence }}
{{ [1,2] == (1,2) }}{{ [1,2] == [1.0,2] }}{{ {'a':1} == {'a':1.0} }}{{ 'a' == 1 }}{{ none == none }}{{ 1 == true }}{{ range(2) == range(2) }}""".split("\n")


def expressions(rng):
    for a, op, b in itertools.product(VALUES, BINARY, VALUES):
        if rng.random() < 0.055:
            yield f"{a} {op} {b}"
    for value, name in itertools.product(VALUES, FILTERS):
        if rng.random() < 0.32:
            yield f"{value}|{name}" if not value.startswith("-") else f"({value})|{name}"
    for value, name in itertools.product(VALUES, TESTS):
        if rng.random() < 0.3:
            yield f"{value} is {name}"
    for value, name in itertools.product(VALUES, METHODS):
        if rng.random() < (0.5 if value[0] == "'" else 0.12):
            yield f"({value}).{name}"
    for fmt, value in itertools.product(FORMATS, VALUES):
        if rng.random() < 0.35:
            yield f"{fmt} % {value}"
    for fmt, value in itertools.product(BRACES, VALUES):
        if rng.random() < 0.3:
            yield f"{fmt}.format({value})"


def subscripts(rng):
    # Through a variable: subscripts of constants are folded by jinja2's compiler, which takes a
    # failing slice for undefined.
    for value, sub in itertools.product(VALUES, SUBSCRIPTS):
        if rng.random() < 0.5:
            yield "{% set v = " + value + " %}{{ v" + sub + " }}"


def literals():
    for line in LITERALS:
        for part in re.findall(r"""'(?:\\.|[^'\\])*'\S*|"(?:\\.|[^"\\])*"\S*|\S+""", line):
            yield part
        yield line
        for cut in line.split(" ")[:-1]:
            yield cut
    words = " ".join(LITERALS).split(" ")
    for a, b, c in zip(words, words[1:], words[2:]):
        yield f"{a} {b} {c}"


def left_out(source, text):
    wide = any(abs(int(n)) >= 2**63 for n in re.findall(r"(?<![\w.])-?\d{19,}(?![\w.]*[.e])", text or ""))
    return wide or (text is not None and re.search(r" at 0x[0-9a-f]{6}|<Namespace|<TemplateNamespace|<generator|j\)", text))


def main():
    rng = random.Random(20260309)
    sources = ["{{ " + e + " }}" for e in itertools.chain(expressions(rng), literals())]
    sources += list(subscripts(rng)) + statements()
    rows, seen, n_refused, n_left_out = [], set(), 0, 0
    for source in sources:
        if source in seen:
            continue
        seen.add(source)
        try:
            # The variables that the library always passes.
            text = _compile_jinja_template(source).render(messages=[], tools=None, documents=None,
                                                          add_generation_prompt=False)
            text.encode("utf-8")
        except Exception:  # whatever Python fails with, it is a refusal
            text = None
            n_refused += 1
        if left_out(source, text):
            n_left_out += 1
            continue
        rows.append(json.dumps([source, text], ensure_ascii=False))
    OUT.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(rows)} templates, {n_refused} refused, {n_left_out} left out")


if __name__ == "__main__":
    main()
