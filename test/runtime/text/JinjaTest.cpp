//===- JinjaTest.cpp - Chat templates against jinja2 ----------------------===//
//
// jinja-cases.json has templates, variables and what jinja2 made of them, set
// up as transformers does: test/oracle/jinja_cases.py writes it. With
// VLMC_JINJA_CASES another such file is taken, of test/oracle/jinja_fuzz.py for
// instance.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/jinja/ChatTemplate.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

using namespace vlmc::rt::jinja;

static std::string messageOf(vlm_status_t *status) {
  std::string message = status ? vlm_status_message(status) : "";
  vlm_status_destroy(status);
  return message;
}

static Value json(std::string_view text) {
  Value value;
  EXPECT_EQ(messageOf(parseJson(text, value)), "") << text;
  return value;
}

/// The text, or "error: " and the message.
static std::string render(std::string_view source,
                          std::string_view variables = "{}",
                          RenderLimits limits = {}) {
  ChatTemplate chat;
  std::string out;
  vlm_status_t *status = chat.parse(source);
  if (!status)
    status = chat.renderVariables(json(variables), out, limits);
  return status ? "error: " + messageOf(status) : out;
}

static RenderLimits fixedTime() {
  RenderLimits limits;
  std::tm now{};
  now.tm_year = 124;
  now.tm_mon = 6;
  now.tm_mday = 26;
  now.tm_wday = 5;
  now.tm_yday = 207;
  limits.now = now;
  return limits;
}

static RenderLimits few(int64_t steps, int64_t bytes) {
  RenderLimits limits;
  limits.steps = steps;
  limits.bytes = bytes;
  return limits;
}

TEST(Jinja, EqualsTheOracle) {
  const char *given = std::getenv("VLMC_JINJA_CASES");
  std::ifstream file(
      given ? given : VLMC_SOURCE_DIR "/test/runtime/text/jinja-cases.json");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  Value cases = json(text);
  ASSERT_GT(cases.items().size(), 100u);
  for (const Value &one : cases.items()) {
    ChatTemplate chat;
    std::string out;
    vlm_status_t *status = chat.parse(one.named("template")->text());
    if (!status)
      status = chat.renderVariables(*one.named("variables"), out, fixedTime());
    bool failed = status;
    std::string message = messageOf(status);
    const Value *error = one.named("error");
    EXPECT_EQ(failed, error != nullptr) << one.named("template")->text() << "\n"
                                        << (error ? error->text() : message);
    if (error && truth(*one.named("raised")))
      EXPECT_TRUE(message.ends_with(error->text())) << message;
    if (!error)
      EXPECT_EQ(out, one.named("text")->text())
          << one.named("template")->text();
  }
}

TEST(Jinja, TellsWhereAndWhat) {
  const char *table[][2] = {
      {"a\n{{ x.y }}", "line 2: UndefinedError: 'x' is undefined"},
      {"{{ 'a'.b.c }}",
       "line 1: UndefinedError: 'str object' has no attribute 'b'"},
      {"\n\n{{ raise_exception('Only user and assistant roles') }}",
       "line 3: Only user and assistant roles"},
      {"{% if x %}", "line 1: Unexpected end of template. Jinja was looking "
                     "for the following tags: 'elif' or 'else' or 'endif'"},
      {"{% foo %}", "line 1: Encountered unknown tag 'foo'."},
      {"{{ 1 + }}", "line 1: unexpected 'end of print statement'"},
      {"{{ 'a'|nosuch }}", "line 1: No filter named 'nosuch'."},
      {"{{ 'a' is nosuch }}", "line 1: No test named 'nosuch'."},
      {"{{ 'a'|nosuch }}{% foo %}", "line 1: Encountered unknown tag 'foo'."},
      {"{{ [1, 2]|random }}",
       "line 1: the filter 'random' is not supported in chat templates"},
      {"{{ 'a'|urlize }}",
       "line 1: the filter 'urlize' is not supported in chat templates"},
      {"{{ lipsum(3) }}",
       "line 1: the function 'lipsum' is not supported in chat templates"},
      {"{{ [] is filter }}", "line 1: TypeError: unhashable type: 'list'"},
      {"{{ 'a'|wordwrap(0) }}",
       "line 1: ValueError: invalid width 0 (must be > 0)"},
      {"{% include 'a' %}",
       "line 1: 'include' is not supported: a chat template is one file"},
      {"{{ [].append(1) }}", "line 1: UndefinedError: access to attribute "
                             "'append' of 'list' object is unsafe."},
      {"{{ 1 + 'a' }}", "line 1: TypeError: unsupported operand type(s) for "
                        "+: 'int' and 'str'"},
      {"{{ 1 // 0 }}", "line 1: ZeroDivisionError: division by zero"},
      {"{{ 9223372036854775807 + 1 }}",
       "line 1: OverflowError: whole numbers have at most 64 bits"},
      {"{# a", "line 1: Missing end of comment tag"},
      {"{% raw %}", "line 1: Missing end of raw directive"},
      {"{% break %}", "line 1: 'break' outside loop"},
      {"{% for a, b in [[1]] %}{% endfor %}",
       "line 1: ValueError: not enough values to unpack (expected 2, got 1)"},
  };
  for (auto &[source, message] : table)
    EXPECT_EQ(render(source), std::string("error: chat template, ") + message);
}

TEST(Jinja, EndsWhatWouldNotEnd) {
  const char *endless[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}"
      "{% endfor %}{% endfor %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{{ 'a' * 99999999999 }}",
      "{{ [1] * 99999999999 }}",
      "{{ 'a'.center(99999999999) }}",
      "{{ '%999999999d' % 1 }}",
      "{{ '{:999999999}'.format(1) }}",
      "{{ 'a'|indent(9999999999) }}",
      "{% set n = namespace(s='aaaa') %}{% for a in range(99) %}"
      "{% set n.s = n.s ~ n.s %}{% endfor %}",
      "{% set n = "
      "namespace(s='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')"
      " %}{% for a in range(9) %}{% set n.s = n.s|replace('', n.s) %}"
      "{% endfor %}",
      "{% set n = namespace(l=[1]) %}{% for a in range(999) %}"
      "{% set n.l = [n.l] %}{% endfor %}",
      "{% set n = namespace(l=[1]) %}{% for a in range(150) %}"
      "{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
      "{% set n = namespace(l=[1]) %}{% for a in range(150) %}"
      "{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l|tojson }}",
      "{% set n = namespace(a=[1], b=[1]) %}{% for a in range(150) %}"
      "{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}"
      "{{ n.a == n.b }}",
      "{{ range(100001) }}",
      "{{ 1|batch(99999999999, 1)|list }}",
      "{{ [1]|slice(99999999999)|list }}",
  };
  for (const char *source : endless)
    EXPECT_TRUE(render(source, "{}", few(1'000'000, 1 << 24))
                    .starts_with("error: chat template, line 1: "))
        << source;
  // Nesting of any depth in the source.
  for (const char *part : {"(", "[", "{% if a %}", "-", "not ", "{{ a[", "a.b",
                           "a+", "a if ", "{'a':", "{% for a in b %}"}) {
    std::string many = "{{ ";
    for (int i = 0; i < 100000; ++i)
      many += part;
    EXPECT_TRUE(render(many).starts_with("error: chat template, line 1: "))
        << part;
  }
  EXPECT_EQ(render("{{ 'ab' * 3 }}", "{}", few(1, 1000)),
            "error: chat template, line 1: expected at most 1 steps; the "
            "template goes through too much");
  EXPECT_EQ(render("{{ 'ab' * 300 }}", "{}", few(1000, 100)),
            "error: chat template, line 1: expected at most 100 bytes of text "
            "and values; the template makes more");
}

TEST(Jinja, FreesWhatHoldsItself) {
  int64_t before = liveBytes;
  EXPECT_EQ(render("{% set n = namespace() %}{% set n.a = [n] %}"
                   "{% macro m() %}{{ m }}{% endmacro %}{% set n.m = m %}"
                   "{% for x in [1] recursive %}{% set n.l = loop %}"
                   "{% endfor %}a"),
            "a");
  EXPECT_EQ(liveBytes, before);
}

TEST(Jinja, ReadsJson) {
  Value value = json(R"({"b": [1, -2.5e1, "\u00e9\ud83d\ude00\n", null, true],
                         "a": {}})");
  std::string out, fault;
  EXPECT_TRUE(toJson(value, {}, out, fault));
  EXPECT_EQ(out, "{\"b\": [1, -25.0, \"\u00e9\U0001F600\\n\", null, true], "
                 "\"a\": {}}");
  const char *table[][2] = {
      {"", "line 1, column 1: expected a value, found the end"},
      {"{\"a\" 1}", "line 1, column 6: expected ':', found '1}'"},
      {"[1\n 2]", "line 2, column 2: expected ',' or ']', found '2]'"},
      {"[1] 2", "line 1, column 5: expected the end of the text, found '2'"},
      {"99999999999999999999",
       "line 1, column 1: expected a value; whole numbers have at most 64 "
       "bits, found '999999999999'"},
  };
  for (auto &[text, message] : table)
    EXPECT_EQ(messageOf(parseJson(text, value)),
              std::string("JSON, ") + message);
  EXPECT_EQ(messageOf(parseJson(std::string(100000, '['), value)),
            "JSON, line 1, column 200: expected at most 199 objects and arrays "
            "inside each other, found '[[[[[[[[[[[['");
}

TEST(Jinja, TakesRequestsAsTransformers) {
  ChatTemplate chat;
  ASSERT_EQ(messageOf(chat.parse(
                "{{ bos_token }}{% for m in messages %}<{{ m.role }}>"
                "{{ m.content }}{{ m.reasoning_content }}"
                "{{ m.name is defined }}{% endfor %}{{ tools }}"
                "{% if add_generation_prompt %}<a>{% endif %}{{ extra }}")),
            "");
  std::string out;
  Value request = json(R"({"messages": [{"role": "user", "content": "hi",
      "name": null, "thinking": "hm"}], "add_generation_prompt": true,
      "extra": 7})");
  EXPECT_EQ(messageOf(chat.render(request, {{"bos_token", "<s>"}}, out)), "");
  EXPECT_EQ(out, "<s><user>hihmFalseNone<a>7");
  const char *table[][2] = {
      {"[]", "request: expected an object with 'messages', found list"},
      {"{}", "request: expected 'messages', a list of objects, found none"},
      {R"({"messages": 1})",
       "request: expected 'messages' to be a list of objects, found int"},
      {R"({"messages": ["a"]})",
       "request: expected messages[0] to be an object, found str"},
      {R"({"messages": [], "tools": [1]})",
       "request: expected tools[0] to be an object, found int"},
  };
  for (auto &[text, message] : table)
    EXPECT_EQ(messageOf(chat.render(json(text), {}, out)), message);
}

TEST(Jinja, RendersInManyThreads) {
  ChatTemplate chat;
  ASSERT_EQ(messageOf(chat.parse("{% for a in range(n) %}{{ a }},{% endfor %}"
                                 "{{ 'x'|upper }}")),
            "");
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (std::string &text : texts)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i)
        EXPECT_EQ(messageOf(chat.renderVariables(json("{\"n\": 3}"), text)),
                  "");
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &text : texts)
    EXPECT_EQ(text, "0,1,2,X");
}
