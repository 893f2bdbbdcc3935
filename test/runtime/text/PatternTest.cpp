// Patterns and characters, which the library does not export.
#include "runtime/text/Regex.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

using namespace vlmc::rt::text;

/// The matches, each followed by a bar.
static std::string matches(std::string_view pattern, std::string_view text) {
  std::unique_ptr<Regex> regex;
  std::string problem = Regex::create(pattern, regex);
  if (!problem.empty())
    return problem;
  std::vector<Span> found;
  EXPECT_TRUE(regex->findAll(text, found));
  std::string out;
  for (Span span : found)
    out.append(text.substr(span.begin, span.end - span.begin)).append("|");
  return out;
}

TEST(Pattern, FindsWhatOnigurumaFinds) {
  EXPECT_EQ(matches("\\p{L}+|\\p{N}", "ab12 дом\u5317"), "ab|1|2|дом\u5317|");
  EXPECT_EQ(matches("[^\\s\\p{L}\\p{N}]+", "a!? \u3000\u2014\u201c x"),
            "!?|\u2014\u201c|");
  EXPECT_EQ(matches("\\s+(?!\\S)|\\s+", "a  \xC2\xA0 b  "), "  \xC2\xA0| |  |");
  EXPECT_EQ(matches("[\xC3\xA0-\xC3\xBF]x?", "\xC3\xA0x\xC3\xBF\xC4\x80"),
            "\xC3\xA0x|\xC3\xBF|");
  EXPECT_EQ(matches("(?i:'s|k)+", "'S'\xC5\xBFkK\xE2\x84\xAA x"),
            "'S'\xC5\xBFkK\xE2\x84\xAA|");
  EXPECT_EQ(matches("a{2}|b{,2}c|[]-]?", "x"),
            "empty or ']'-first brackets are not supported at byte 12 of the "
            "pattern 'a{2}|b{,2}c|[]-]?'");
  EXPECT_EQ(matches("a{2}|b{1,}c|{", "aabbc{"), "aa|bbc|{|");
  EXPECT_EQ(matches("\\P{L}|\\x{e9}\\u0041|[\\w-]$?", "a"),
            "anchors are not supported at byte 24 of the pattern "
            "'\\P{L}|\\x{e9}\\u0041|[\\w-]$?'");
  EXPECT_EQ(matches("x*", "axb"), "|x||");
  EXPECT_EQ(matches(".", "a\n\xC3\xA9"), "a|\xC3\xA9|");
}

TEST(Pattern, SaysWhatIsNotSupported) {
  auto at = [](const std::string &what, int byte, const std::string &pattern) {
    return what + " at byte " + std::to_string(byte) + " of the pattern '" +
           pattern + "'";
  };
  EXPECT_EQ(matches("a\\bc", ""),
            at("escape \\b is not supported", 1, "a\\bc"));
  EXPECT_EQ(matches("[a[b]]", ""),
            at("sets inside of sets are not supported", 2, "[a[b]]"));
  EXPECT_EQ(matches("(?<n>a)", ""),
            at("this kind of group is not supported", 0, "(?<n>a)"));
  EXPECT_EQ(
      matches("\\p{Han}", ""),
      at("unknown property 'Han' (expected a general category such as L or Nd)",
         0, "\\p{Han}"));
  EXPECT_EQ(matches("[z-a]", ""),
            at("expected a range of characters from low to high", 3, "[z-a]"));
  EXPECT_EQ(matches("a)", ""), at("')' without '('", 1, "a)"));
  EXPECT_EQ(matches("(a", ""), at("expected ')'", 2, "(a"));
  EXPECT_EQ(matches("[a", ""), at("expected ']' for the '['", 0, "[a"));
  EXPECT_EQ(matches("\\", ""),
            at("expected a character after the backslash", 0, "\\"));
  EXPECT_EQ(
      matches("a{1,2}+", ""),
      at("'{n,m}' followed by '?' or '+' is not supported", 1, "a{1,2}+"));
  EXPECT_EQ(matches("*", ""), "the pattern '*' is not a regular expression: "
                              "quantifier does not follow a repeatable item");
  std::string many = "[";
  for (char32_t c = 0x400; c < 0x500; c += 2)
    appendUtf8(many += "]|[", c);
  EXPECT_EQ(matches(many.substr(2) + "]", ""),
            "the pattern '" + many.substr(2) +
                "]' tells more than 128 kinds of characters above ASCII apart");
}

TEST(Pattern, HostileTextEndsInTime) {
  std::unique_ptr<Regex> regex;
  ASSERT_EQ(Regex::create("(a+)+[bc]", regex), "");
  std::vector<Span> found;
  EXPECT_FALSE(regex->findAll(std::string(5000, 'a'), found));
}

TEST(Unicode, LowerCaseIsOfEachCharacter) {
  EXPECT_EQ(lowerCase("A\u00c9\u03a3\u0130\u1e9e\U00010400"),
            "a\u00e9\u03c3i\u0307\u00df\U00010428");
}

TEST(Unicode, PythonMindsWhereASigmaStands) {
  // What Python 3.11 says.
  for (auto [text, lower] :
       {std::pair("ΟΔΟΣ ΣΑΣ", "οδος σας"), std::pair("Σ", "σ"),
        std::pair("ΑΣ.Α", "ασ.α"), std::pair("ΑΣ'Β", "ασ'β"),
        std::pair("Α\u0301Σ", "α\u0301ς"), std::pair("1Σ", "1σ"),
        std::pair("ⅠΣ", "ⅰς"), std::pair("ªΣ!", "ªς!"),
        std::pair("İΣ", "i\u0307ς")})
    EXPECT_EQ(pythonLower(text), lower) << text;
}

TEST(Unicode, CompatibleForms) {
  EXPECT_EQ(normalForm(compatible("ﬁ ½ ①Ａ e\u0301 ﷺ"), true),
            "fi 1\u20442 1A é صلى الله عليه وسلم");
  EXPECT_EQ(normalForm(compatible("ｶﾞ ㎏ é"), false), "カ\u3099 kg e\u0301");
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalForm("e\u0301", true), "\u00e9");
  EXPECT_EQ(normalForm("\u00e9", false), "e\u0301");
  EXPECT_EQ(normalForm("\u212b\u2126", true), "\u00c5\u03a9");
  EXPECT_EQ(normalForm("a\u0323\u0307", true),
            normalForm("a\u0307\u0323", true));
  EXPECT_EQ(normalForm("\u1100\u1161\u11a8", true), "\uac01");
  EXPECT_EQ(normalForm("\uac01", false), "\u1100\u1161\u11a8");
  EXPECT_EQ(normalForm("\u0958", true), "\u0915\u093c"); // never composed
  EXPECT_EQ(normalForm("\u0344", true), "\u0308\u0301");
}
