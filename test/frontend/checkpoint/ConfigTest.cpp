//===- ConfigTest.cpp - Tests of typed access to config.json --------------===//
#include "frontend/checkpoint/Config.h"

#include <gtest/gtest.h>

using namespace vlmc;

TEST(Config, GivesValuesAndDefaults) {
  Json json = {{"i", 3},     {"d", 1},          {"s", "x"},
               {"l", {"a"}}, {"o", {{"k", 1}}}, {"n", nullptr}};
  ConfigLog log;
  ConfigSection section(json, "config.json", "", log);
  EXPECT_EQ(section.integer("i", 7, 0, 9), 3);
  EXPECT_EQ(section.integer("absent", 7, 0, 9), 7);
  EXPECT_EQ(section.optionalInteger("i", 0, 9), 3);
  EXPECT_EQ(section.optionalInteger("n", 0, 9), std::nullopt);
  EXPECT_EQ(section.number("d", 0.5, 0, 2), 1.0);
  EXPECT_EQ(section.number("absent", 0.5, 0, 2), 0.5);
  EXPECT_EQ(section.string("s", "y"), "x");
  EXPECT_EQ(section.string("absent", "y"), "y");
  EXPECT_EQ(section.strings("l"), std::vector<std::string>{"a"});
  EXPECT_TRUE(section.strings("n").empty());
  ASSERT_NE(section.object("o"), nullptr);
  EXPECT_EQ(section.object("n"), nullptr);
  section.finish();
  EXPECT_TRUE(log.errors.empty());
  EXPECT_TRUE(log.warnings.empty());
}

TEST(Config, TellsWrongTypesAndRanges) {
  Json json = {{"a", "3"},        {"b", 3.0},     {"c", true}, {"d", 10},
               {"e", UINT64_MAX}, {"f", nullptr}, {"g", "0"},  {"h", -1},
               {"i", 5},          {"j", {1}},     {"k", "x"}};
  ConfigLog log;
  ConfigSection section(json, "config.json", "text_config", log);
  for (const char *key : {"a", "b", "c", "d", "e", "f"})
    EXPECT_EQ(section.integer(key, 7, 0, 9), 7);
  section.number("g", 0, 0, 1);
  section.number("h", 0, 0, 1);
  section.string("i", "");
  section.strings("j");
  section.object("k");
  auto expected = [](const std::string &key, const std::string &what,
                     const std::string &found) {
    return "config.json: text_config." + key + ": expected " + what +
           ", found " + found + "; mend the file";
  };
  const std::string digit = "an integer from 0 to 9";
  EXPECT_EQ(log.errors,
            (std::vector<std::string>{
                expected("a", digit, "\"3\""), expected("b", digit, "3.0"),
                expected("c", digit, "true"), expected("d", digit, "10"),
                expected("e", digit, "18446744073709551615"),
                expected("f", digit, "null"),
                expected("g", "a number from 0 to 1", "\"0\""),
                expected("h", "a number from 0 to 1", "-1"),
                expected("i", "a string", "5"),
                expected("j", "a list of strings", "[1]"),
                expected("k", "an object", "\"x\"")}));
  EXPECT_EQ(log.failure().message.substr(0, 60),
            (log.errors[0] + "\n" + log.errors[1]).substr(0, 60));
}

TEST(Config, TellsUnknownKeys) {
  Json json = {{"known", 1},          {"ignored", 2},
               {"torchscript", true}, {"pruned_heads", Json::object()},
               {"use_rope", true},    {"use_bias", false},
               {"note", ""},          {"quantization_config", {{"bits", 4}}}};
  ConfigLog log;
  ConfigSection section(json, "config.json", "", log);
  section.integer("known", 0, 0, 9);
  section.ignore("ignored");
  section.finish();
  EXPECT_EQ(log.errors,
            (std::vector<std::string>{
                "config.json: quantization_config: unknown key with the value "
                "{\"bits\":4}, which may change the result; remove it if it "
                "does not",
                "config.json: use_rope: unknown key with the value true, which "
                "may change the result; remove it if it does not"}));
  EXPECT_EQ(log.warnings,
            (std::vector<std::string>{
                "config.json: note: unknown key with the value \"\", ignored",
                "config.json: use_bias: unknown key with the value false, "
                "ignored"}));
}
