//===- JsonTest.cpp - Tests of strict JSON --------------------------------===//
#include "frontend/support/Json.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

using namespace vlmc;

static std::string messageOf(std::string_view text) {
  Result<Json> json = parseJson(text, "f.json");
  return json ? "" : json.message();
}

TEST(Json, KeepsValues) {
  auto json = parseJson(
      R"({"a": [1, {"b": [true, null]}, -2.5], "c": {"d": {"e": "x"}, "f": 7}})",
      "f.json");
  ASSERT_TRUE(json) << json.message();
  EXPECT_EQ((*json)["a"][1]["b"][0], true);
  EXPECT_EQ((*json)["a"][2], -2.5);
  EXPECT_EQ((*json)["c"]["d"]["e"], "x");
  EXPECT_EQ((*json)["c"]["f"], 7);
}

TEST(Json, KeepsScalars) {
  auto json = parseJson("18446744073709551615", "f.json");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->get<uint64_t>(), UINT64_MAX);
}

TEST(Json, TellsLineAndColumnOfAFault) {
  std::string message = messageOf("{\n  \"a\": 1,\n  \"b\": }\n");
  EXPECT_TRUE(message.starts_with("f.json:3:8: expected JSON, found a fault: "
                                  "syntax error while parsing value"))
      << message;
}

TEST(Json, RefusesWhatEndsEarly) {
  for (const char *text : {"", "{", "[1,", "{\"a\"", "\"abc"})
    EXPECT_NE(messageOf(text).find("expected JSON, found a fault: "),
              std::string::npos)
        << text;
}

TEST(Json, RefusesMoreBehindTheValue) {
  EXPECT_TRUE(messageOf("{} x").starts_with("f.json:1:4: "))
      << messageOf("{} x");
}

TEST(Json, RefusesBadText) {
  EXPECT_NE(messageOf("\"\xff\""), "");
  EXPECT_NE(messageOf("1e999"), "");
}

TEST(Json, RefusesANameThatStandsTwice) {
  EXPECT_EQ(messageOf(R"({"a": {"x": 1, "x": 1}})"),
            "f.json: expected JSON, found a fault: the name \"x\" stands twice "
            "in one object; mend the file or fetch it again");
}

TEST(Json, RefusesAbsurdDepth) {
  EXPECT_EQ(messageOf(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(messageOf(std::string(1000000, '[')),
            "f.json: expected JSON, found a fault: more than 64 objects and "
            "arrays inside each other; mend the file or fetch it again");
}

TEST(Json, ReadsFiles) {
  TestFolder folder;
  EXPECT_EQ((*readJsonFile(folder.write("a.json", "[3]")))[0], 3);
  EXPECT_EQ(folder.relative(readJsonFile(folder.path("b.json")).message()),
            "DIR/b.json: cannot be opened: No such file or directory; check "
            "the path and its permissions");
  EXPECT_TRUE(
      folder.relative(readJsonFile(folder.write("c.json", "")).message())
          .starts_with("DIR/c.json:1:1: expected JSON, found a fault"));
}

TEST(Json, DescribesValuesOnOneLine) {
  EXPECT_EQ(describe(Json({{"a", {1, 2}}, {"b", nullptr}})),
            R"({"a":[1,2],"b":null})");
  EXPECT_EQ(describe(Json("\xff")), "\"\\ufffd\"");
  EXPECT_EQ(describe(Json(std::string(100, 'x'))),
            "\"" + std::string(56, 'x') + "...");
}
