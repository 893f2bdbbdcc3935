"""Renders templates with jinja2, set up as transformers does for chats."""

import datetime

import jinja2
from transformers.utils import chat_template_utils

# What strftime_now tells in cases; the tests give the same time.
NOW = datetime.datetime(2024, 7, 26)


def render(source, variables):
    """The text, or what went wrong: {"text": ...} or {"error": ..., "raised": ...}."""
    try:
        template = chat_template_utils._cached_compile_jinja_template(source)
        template.globals["strftime_now"] = NOW.strftime
        return {"text": template.render(**variables)}
    except jinja2.exceptions.TemplateError as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error.message), "raised": raised}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "raised": False}
