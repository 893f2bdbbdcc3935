"""Writes test/runtime/text/jinja-cases.json: templates and what jinja2 makes of them.

~/.cache/vlmc/oracle/bin/python test/oracle/jinja_cases.py

Three kinds: chat templates with the constructs of published ones, small
templates for one thing each, and a sample of jinja_fuzz.py.
"""

import json
import pathlib

import jinja_fuzz
import jinja_oracle

LLAVA = """{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}{# pictures first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}{% if message['role'] != 'assistant' %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}{{ content['text'] + ' ' }}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

LLAVA_MISTRAL = """{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}{% endfor %}{{ ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""

VIP = """{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ message.content[0].text }}{%- else -%}
###{{ 'Human' if message.role == 'user' else 'Assistant' }}: {% for item in message.content %}
{%- if item.type == 'image' -%}<image>
{% elif item.type == 'text' -%}{{ item.text }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}###Assistant:{%- endif -%}"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

LLAMA3 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if tools is not none and messages | length != 0 %}
    {%- set first_user_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>" }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" + "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}
                    {%- else %}{{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {%- set content = message.content.content if message.content is mapping else message.content %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
"""

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

QWEN3 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""

QWEN_VL = """{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or 'video' in content %}{% set video_count.value = video_count.value + 1 %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"""

PALIGEMMA = """{%- for m in messages -%}{%- if m.content is string -%}{{ m.content }}{%- else -%}{%- for c in m.content -%}{%- if c.type == "image" -%}<image>{%- else -%}{{ c.text }}{%- endif -%}{%- endfor -%}{%- endif -%}{{ "\\n" if loop.last else bos_token }}{%- endfor -%}"""

PHI3 = """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"""

ZEPHYR = """{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"""

DEEPSEEK = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, system_prompt='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜>'}}{% endif %}"""

COMMAND_R = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% elif false == true %}{% set loop_messages = messages %}{% set system_message = 'x' %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{%- macro json_to_python_type(json_spec) %}{%- set basic_type_map = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} %}{%- if basic_type_map[json_spec.type] is defined %}{{- basic_type_map[json_spec.type] }}{%- elif json_spec.type == "array" %}{{- "List[" + json_to_python_type(json_spec.items) + "]"}}{%- elif json_spec.type == "object" %}{{- "Dict" }}{%- elif json_spec.type is iterable %}{{- "Union[" }}{%- for t in json_spec.type %}{{- json_to_python_type({"type": t}) }}{%- if not loop.last %}{{- "," }}{%- endif %}{%- endfor %}{{- "]" }}{%- else %}{{- "Any" }}{%- endif %}{%- endmacro %}{% for tool in tools or [] %}{{ tool.function.name }}({% for name, spec in tool.function.parameters.properties.items() %}{{ name }}: {{ json_to_python_type(spec) }}{% if name not in tool.function.parameters.required %} = None{% endif %}{% if not loop.last %}, {% endif %}{% endfor %})
{% endfor %}{% if system_message != false %}{{ '<|START|>' + system_message + '<|END|>' }}{% endif %}{% for message in loop_messages %}{% set content = message['content'] %}{{ '<|' ~ message.role|upper ~ '|>' ~ (content|string).strip() }}{% endfor %}"""

IDEFICS = """{% for message in messages %}{{message['role'].capitalize()}}{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

MLLAMA = """{{- bos_token }}
{#- Pictures are written before text. #}
{%- set image_ns = namespace(has_images=false) %}
{%- for message in messages %}
    {%- for content in message['content'] %}
        {%- if content['type'] == 'image' %}
            {%- set image_ns.has_images = true %}
        {%- endif %}
    {%- endfor %}
{%- endfor %}
{%- if image_ns.has_images and messages[0].role == 'system' %}
    {{- raise_exception("Prompting with images is incompatible with system messages.") }}
{%- endif %}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {%- if message['content'] is string %}
        {{- message['content'] }}
    {%- else %}
        {%- for content in message['content'] %}
            {%- if content['type'] == 'image' %}
                {{- '<|image|>' }}
            {%- elif content['type'] == 'text' %}
                {{- content['text'] }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

PLAIN_CHATS = [LLAMA2, LLAMA3, MISTRAL, CHATML, QWEN3, QWEN_VL, GEMMA, PALIGEMMA, PHI3, ZEPHYR]
PLAIN_CHATS += [DEEPSEEK, COMMAND_R, MLLAMA]
PART_CHATS = [LLAVA, LLAVA_MISTRAL, VIP, QWEN_VL, PALIGEMMA, IDEFICS, MLLAMA]

SMALL = [
    "{{ 'The quick brown-fox jumped --over-- the lazy dog\n\nand so on'|wordwrap(11) }}|{{ 'abcdefghij klm'|wordwrap(4, false) }}|{{ 'a-b-c-d'|wordwrap(3, break_on_hyphens=false) }}",
    "{{ '<p>a  <b>b</b>\n&amp; &lt;c&gt; &eacute;&#233;&#xe9;&notit;&nope; <!-- <i> --> d <e'|striptags }}",
    "{{ [1, 2.5, 'x', none, true, (1,), {}]|pprint }}{{ 'a'|pprint }}{{ {'b': 1, 'a': [1, 2]}|pprint }}",
    "{{ ['some longer words ' * 3, {'key': 'another text that is far too long for the rest of a line, so that it is cut', 'a': [1] * 40}]|pprint }}",
    "{{ ('word ' * 40)|pprint }}\n{{ ('one\ntwo ' * 12)|pprint }}\n{{ (('x' * 30, 'y' * 60),)|pprint }}",
    "{{ 0|filesizeformat }} {{ 1|filesizeformat }} {{ 999.9|filesizeformat }} {{ 13000|filesizeformat }} {{ '4100000'|filesizeformat(true) }} {{ 1e30|filesizeformat }}",
    "{{ {'class': 'a b', 'id': none, 'x': '<1>', 'n': 3}|xmlattr }}|{{ {'a': 1}|xmlattr(false) }}|{{ {}|xmlattr }}",
    "{{ {'a b': 1}|xmlattr }}", "{{ 3|xmlattr }}", "{{ 'a'|wordwrap(0) }}", "{{ 'x'|filesizeformat }}", "{{ [1]|filesizeformat }}",
    "{{ [1] is filter }}", "{{ {} is test }}", "{{ 'wordwrap' is filter }}{{ 'random' is filter }}{{ 3 is filter }}{{ 'in' is test }}",
    "{% macro m(x) %}{{ kwargs }}{{ caller }}{% endmacro %}{{ m }}{{ m.name }}{% call m(1) %}{% endcall %}", "{{ ('a'|nofilter if false else 'b') }}", "{{ 'a'|nofilter }}{{", "{{ 'x' % missing }}{{ '%%' % missing }}",

    "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7 / 2 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}",
    "{{ 1e16 }} {{ 1e15 }} {{ 1e-4 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 1.0 }} {{ 100000000000000000000.0 }} {{ 5e-324 }} {{ -0.0 }}",
    "{{ [1, 'a', none, true, 1.5, {'k': (1,)}, ()] }} {{ 'it\\'s' }} {{ [\"it's\", 'a\"b', 'tab\\t\\n\\x00é\\u200b'] }}",
    "{{ 'a' 'b' }}{{ \"\\u00e9\\x41\\101\\q\" }}{{ '\\n'|length }}",
    "{% for a in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('x', 'y') }}{{ loop.changed(a // 2) }}{{ loop.depth }}{% endfor %}",
    "{% for a in [{'n': 1, 'c': [{'n': 2, 'c': [{'n': 3}]}]}] recursive %}{{ a.n }}@{{ loop.depth }}{% if a.c %}({{ loop(a.c) }}){% endif %}{% endfor %}",
    "{% set x = 1 %}{% for a in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "{% for a in [] %}x{% else %}none{% endfor %}{% for a in [1, 2] %}{% if a == 1 %}{% continue %}{% endif %}{{ a }}{% break %}{% else %}else{% endfor %}",
    "{% macro m(a, b='d', *c) %}{% endmacro %}",
    "{% macro m(a, b='d') %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3, k=4) }}{{ m() }}",
    "{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}{% call(x) m(3) %}[{{ x }}]{% endcall %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = 1, %}{{ t }}{% set (c, d) = 'xy' %}{{ c }}{{ d }}",
    "{% set x | upper | replace('B', '-') %}abc{% endset %}{{ x }}{% filter indent(2) %}a\nb{% endfilter %}{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}",
    "{{ 'a\\nb\\r\\nc\\x0bd'.splitlines() }}{{ ' a  b '.split(' ') }}{{ ' a  b '.split() }}{{ 'a,b,c'.rsplit(',', 1) }}{{ 'abc'.partition('b') }}",
    "{{ 'ß'.upper() }}{{ 'ǆ'.title() }}{{ 'İ'.lower()|length }}{{ 'ΑΣ'.lower() }}{{ 'o’neill x-ray'.title() }}{{ 'o’neill x-ray'|title }}{{ 'hELLO wORLD'|capitalize }}",
    "{{ '%s %r %05.1f %x %5s|%-5s|%+d %%' % ('a', 'b', 3.14159, 255, 'c', 'd', 7) }}{{ '%(k)s' % {'k': 1} }}{{ '{:>5}|{:<5}|{:^5}|{:05d}|{:,}|{:.3}|{!r}'.format(1, 2, 3, 4, 12345, 'abcdef', 'q') }}",
    "{{ {'a': [1, 2.0, none, true, 'é<>&\"']}|tojson }}{{ {'b': 1, 'a': {}}|tojson(indent=2, sort_keys=true) }}{{ 'é😀'|tojson(ensure_ascii=true) }}{{ [1, 2]|tojson(separators=(',', ':')) }}{{ [[], [1]]|tojson(indent='\\t') }}",
    "{{ [3, 1, 2]|sort }}{{ ['b', 'A', 'c']|sort }}{{ ['b', 'A', 'c']|sort(case_sensitive=true, reverse=true) }}{{ {'b': 1, 'A': 2}|dictsort }}{{ [1, 'a']|sort }}",
    "{{ [1, 2, 3, 4, 5]|batch(2, 0)|list }}{{ [1, 2, 3, 4, 5]|slice(3)|list }}{{ ['a', 'A', 'b']|unique|list }}{{ [1.5, 2.5]|map('round')|list }}{{ 2.675|round(2) }}{{ 2.5|round }}{{ 7|round }}{{ 42.55|round(1, 'floor') }}",
    "{{ undefinedthing }}{{ undefinedthing|default('d') }}{{ undefinedthing|length }}{{ undefinedthing|list }}{{ undefinedthing == anotherone }}{{ undefinedthing ~ 'x' }}{{ 'a' in undefinedthing }}{{ not undefinedthing }}",
    "{{ undefinedthing.x }}", "{{ undefinedthing + 1 }}", "{{ undefinedthing() }}", "{{ none.x.y }}", "{{ {}.x }}{{ {}['x'] }}{{ [][0] }}{{ ''[0] }}",
    "{{ [1, 2, 3][::-1] }}{{ 'abcdef'[1:-1:2] }}{{ 'abc'[-1] }}{{ (1, 2, 3)[:2] }}{{ range(5)[1:3]|list }}{{ range(3) }}{{ range(5, 0, -2)|list }}",
    "{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 1 == 1.0 }}{{ true == 1 }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 'b' in 'abc' }}{{ 2 not in [1, 2] }}{{ not 1 == 2 }}",
    "{{ 'x' if false }}|{{ 'x' if false else 'y' }}|{{ 'a' or 'b' }}|{{ '' or 'b' }}|{{ 0 and 1 }}|{{ 1 is odd and 2 is even }}|{{ 4 is divisibleby 2 }}|{{ 'A' is upper }}|{{ 1 is not string }}",
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "  {%+ if true %} x {%+ endif %}\n y", "{% if true -%}\n  a  \n{%- endif %}\n\n", "{{ 'a' }}\n{# c #}\nb  {#- c -#}  d", "{%- raw %} {{ x }} {% endraw %}\nz", "x\r\ny\rz\r\n", "{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('-') %}{{ j() }}{{ j() }}{{ dict(a=1, **{'b': 2}) }}{{ dict([('x', 1)]) }}",
    "{% set ns = namespace(a=1, b=[]) %}{% set ns.a = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns['a'] }}", "{% set ns = namespace(_a=1) %}", "{% set d = {} %}{% set d.a = 1 %}",
    "{{ strftime_now('%d %b %Y %H:%M %A %j') }}", "{{ raise_exception('no ' ~ 1) }}", "{{ [].append(1) }}", "{{ {}.update({'a': 1}) }}", "{{ ''.__class__ }}", "{{ [1, 2].index(2) }}{{ [1, 1].count(1) }}{{ {'a': 1}.copy() }}",
    "{{ {'items': 1}.items is callable }}", "{{ {'items': 1}['items'] }}{{ {'get': 2}.get('get') }}{{ {'a': 1}.keys()|list }}{{ {'a': 1}.items() }}{{ {'a': 1}.values()|first }}",
    "{{ [{'r': 'b', 'v': 1}, {'r': 'a', 'v': 2}, {'r': 'b', 'v': 3}]|groupby('r') }}{% for g, l in [{'r': 'b', 'v': 1}]|groupby('r') %}{{ g }}{{ l|length }}{% endfor %}",
    "{{ '<a>'|e }}{{ '<a>'|safe ~ '<' }}{{ '<a>'|safe + '<' }}{{ 'a b/é&'|urlencode }}{{ {'a b': 'é/'}|urlencode }}{{ 'a b, c'|wordcount }}", "{{ '12'|int + '3.7'|int + 'x'|int(5) }}{{ '0x1F'|int(0, 16) }}{{ '1_0'|int }}{{ ' 7 '|float }}{{ 'nan'|float }}{{ 'x'|float }}",
    "{{ 'foo bar baz'|truncate(7) }}{{ 'foo bar baz qux'|truncate(9) }}{{ 'foo bar baz qux'|truncate(9, true) }}{{ 'ab'|center(6) }}|{{ ' x '|trim }}|{{ 'aXa'|trim('a') }}", "{{ 'a.b'|attr('upper')() }}{{ {'a': 1}|attr('a') is defined }}{{ [1, 2, 3]|sum }}{{ [{'a': 1}, {'a': 2}]|sum('a') }}{{ [[1], [2]]|sum(start=[]) }}",
    "{% if a is defined %}{% elif b %}{% else %}{% endif %}{% if x %}{{ 'a'|nosuchfilter }}{% endif %}", "{{ 'a'|nosuchfilter }}", "{% for x in 5 %}{% endfor %}", "{% for a, b in {'k': 1}.items() %}{{ a }}{{ b }}{% endfor %}{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}", "{{ (1, 2, 3)|last }}{{ 'abc'|reverse }}{{ [1, 2]|reverse|list }}{{ 'abc'|first }}{{ {'a': 1}|list }}", "{% autoescape false %}{{ '<' }}{% endautoescape %}{% block a %}x{% endblock %}",
]  # fmt: skip


def text(role, content, **more):
    return {"role": role, "content": content, **more}


def parts(role, *items):
    made = [{"type": "image"} if item is None else {"type": "text", "text": item} for item in items]
    return {"role": role, "content": made}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'Tells the weather of a "place" & more',
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "Größe"},
                    "days": {"type": "array", "items": {"type": "integer"}},
                    "unit": {"type": ["string", "number"]},
                },
                "required": ["place"],
            },
        },
    }
]
CALL = {
    "id": "call12345",
    "type": "function",
    "function": {"name": "weather", "arguments": {"place": "Zürich", "n": 1.5}},
}
PLAIN = [
    [text("user", "Hello, how are you?")],
    [
        text("system", " Be brief. "),
        text("user", " Hi\n"),
        text("assistant", "Hello!"),
        text("user", "日本 <s> 😀"),
    ],
    [text("user", "a"), text("user", "b")],
    [
        text("user", "a"),
        text("assistant", "<think>\nhm\n</think>\n\nb"),
        text("user", "c"),
        text("assistant", "d", reasoning_content="r"),
    ],
    [
        text("user", "Weather?"),
        {"role": "assistant", "tool_calls": [CALL]},
        text("tool", "12 degrees"),
        text("assistant", "12"),
    ],
    [text("narrator", "x")],
    [],
]
PARTS = [
    [parts("user", None, "What is in the picture?")],
    [
        parts("system", "Be brief."),
        parts("user", "One", None, None, "two"),
        parts("assistant", "A cat."),
        parts("user", "Sure?"),
    ],
    [parts("user", "No picture")],
    [parts("assistant", "hi"), parts("user", None)],
]


def chat_cases():
    for chats, conversations in ((PLAIN_CHATS, PLAIN), (PART_CHATS, PARTS)):
        for source in chats:
            for number, messages in enumerate(conversations):
                yield (
                    source,
                    {
                        "messages": messages,
                        "tools": TOOLS if number in (1, 4) else None,
                        "documents": None,
                        "add_generation_prompt": number % 2 == 0,
                        "bos_token": "<s>",
                        "eos_token": "</s>",
                    },
                )


def main():
    cases = []
    for source, variables in [*chat_cases(), *((source, {}) for source in SMALL)]:
        result = jinja_oracle.render(source, variables)
        cases.append({"template": source, "variables": variables, **result})
    fuzz = [case for case in jinja_fuzz.make(6, 3000) if len(case["template"]) < 250]
    cases += [case for case in fuzz if "text" in case][:250]
    cases += [case for case in fuzz if "error" in case][:100]
    root = pathlib.Path(__file__).resolve().parents[2]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (root / "test/runtime/text/jinja-cases.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
