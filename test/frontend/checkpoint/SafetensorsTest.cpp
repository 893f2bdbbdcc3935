//===- SafetensorsTest.cpp - Tests of the safetensors reader --------------===//
//
// Every field of the header lies once, and the message says so.
//
//===----------------------------------------------------------------------===//
#include "frontend/checkpoint/Safetensors.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

using namespace vlmc;

static const std::string damaged =
    "; the file is damaged, fetch or save it again";

/// The message about a file with these bytes, "" if there is none.
static std::string messageOf(std::string_view bytes) {
  TestFolder folder;
  auto file = SafetensorsFile::open(folder.write("m.safetensors", bytes));
  return file ? "" : folder.relative(file.message());
}

/// The message about one tensor 'x' with these fields and so much data.
static std::string messageOfTensor(const std::string &fields,
                                   size_t dataBytes) {
  std::string message =
      messageOf(safetensors("{\"x\":{" + fields + "}}", dataBytes));
  std::string begin = "DIR/m.safetensors: tensor 'x': ";
  return message.starts_with(begin) ? message.substr(begin.size()) : message;
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheData) {
  TestFolder folder;
  std::string bytes = safetensors(
      R"({"__metadata__":{"format":"pt"},)"
      R"("b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},)"
      R"("a":{"dtype":"F16","shape":[],"data_offsets":[0,2]},)"
      R"("e":{"dtype":"I64","shape":[3,0],"data_offsets":[10,10]}}  )",
      10);
  bytes.back() = 7;
  auto file = SafetensorsFile::open(folder.write("m.safetensors", bytes));
  ASSERT_TRUE(file) << file.message();
  ASSERT_EQ(file->entries().size(), 3u);
  const SafetensorsEntry &half = file->entries()[0];
  EXPECT_EQ(half.name, "a");
  EXPECT_EQ(half.storedType(), StoredType::F16);
  EXPECT_TRUE(half.shape.empty());
  const SafetensorsEntry &full = file->entries()[1];
  EXPECT_EQ(full.name, "b");
  EXPECT_EQ(full.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(full.end - full.begin, 8u);
  EXPECT_EQ(file->bytesOf(full).back(), 7);
  EXPECT_EQ(file->entries()[2].name, "e");
}

TEST(Safetensors, TakesAFileWithoutTensors) {
  EXPECT_EQ(messageOf(safetensors("{}", 0)), "");
}

TEST(Safetensors, KnowsAllDtypesOfTheFormat) {
  const std::pair<const char *, int> sizes[] = {
      {"BOOL", 8}, {"U8", 8},      {"I8", 8},      {"F8_E5M2", 8},
      {"I16", 16}, {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32}, {"U32", 32},    {"F32", 32},    {"F64", 64},
      {"I64", 64}, {"U64", 64},    {"F8_E4M3", 8}, {"F8_E8M0", 8},
      {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"C64", 64}};
  for (auto [name, bits] : sizes)
    EXPECT_EQ(messageOfTensor("\"dtype\":\"" + std::string(name) +
                                  "\",\"shape\":[8],\"data_offsets\":[0," +
                                  std::to_string(bits) + "]",
                              bits),
              "")
        << name;
}

TEST(Safetensors, RefusesFilesThatEndEarly) {
  EXPECT_EQ(messageOf(""), "DIR/m.safetensors: expected a safetensors file of "
                           "at least 8 bytes, found 0" +
                               damaged);
  EXPECT_EQ(messageOf("1234567"), "DIR/m.safetensors: expected a safetensors "
                                  "file of at least 8 bytes, found 7" +
                                      damaged);
  EXPECT_EQ(messageOf(safetensors("{}        ", 0).substr(0, 12)),
            "DIR/m.safetensors: expected a header of 10 bytes, found 4 bytes "
            "behind its length: the file is truncated; fetch or save it again");
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])", 7),
      "data_offsets: expected an end within the 7 bytes of data in the "
      "file, found [0,8]" +
          damaged);
}

TEST(Safetensors, RefusesAHeaderOverTheLimit) {
  // 100,000,001, and the largest number there is.
  EXPECT_EQ(messageOf(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)),
            "DIR/m.safetensors: expected a header of at most 100000000 bytes, "
            "found 100000001; the file is damaged or no safetensors file");
  EXPECT_EQ(messageOf(std::string(16, '\xff')),
            "DIR/m.safetensors: expected a header of at most 100000000 bytes, "
            "found 18446744073709551615; the file is damaged or no safetensors "
            "file");
}

TEST(Safetensors, RefusesAHeaderThatIsNoObject) {
  EXPECT_TRUE(messageOf(safetensors("{\"x\":", 0))
                  .starts_with("DIR/m.safetensors: header:1:6: expected JSON, "
                               "found a fault: "));
  EXPECT_EQ(messageOf(safetensors("[1]", 0)),
            "DIR/m.safetensors: header: expected an object, found [1]" +
                damaged);
  std::string x = R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(messageOf(safetensors("{" + x + "," + x + "}", 1)),
            "DIR/m.safetensors: header: expected JSON, found a fault: the name "
            "\"x\" stands twice in one object; mend the file or fetch it "
            "again");
}

TEST(Safetensors, RefusesMetadataThatIsNoStrings) {
  EXPECT_EQ(messageOf(safetensors(R"({"__metadata__":3})", 0)),
            "DIR/m.safetensors: __metadata__: expected an object of strings, "
            "found 3" +
                damaged);
  EXPECT_EQ(messageOf(safetensors(R"({"__metadata__":{"a":1}})", 0)),
            "DIR/m.safetensors: __metadata__.a: expected a string, found 1" +
                damaged);
}

TEST(Safetensors, RefusesFieldsThatAreMissingOrUnknown) {
  EXPECT_EQ(messageOf(safetensors(R"({"x":[1]})", 0)),
            "DIR/m.safetensors: tensor 'x': expected an object, found [1]" +
                damaged);
  EXPECT_EQ(messageOfTensor(R"("shape":[],"data_offsets":[0,0])", 0),
            "dtype: expected a string, found nothing" + damaged);
  EXPECT_EQ(messageOfTensor(R"("dtype":"U8","data_offsets":[0,0])", 0),
            "shape: expected a list of integers, found nothing" + damaged);
  EXPECT_EQ(messageOfTensor(R"("dtype":"U8","shape":[0])", 0),
            "data_offsets: expected two integers of at least 0, found nothing" +
                damaged);
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"U8","shape":[0],"data_offsets":[0,0],"y":1)",
                      0),
      "expected dtype, shape and data_offsets, found the field 'y'" + damaged);
}

TEST(Safetensors, RefusesDtypesItDoesNotKnow) {
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"F31","shape":[0],"data_offsets":[0,0])", 0),
      "dtype: expected one of BF16, BOOL, C64, F16, F32, F4, F64, F6_E2M3, "
      "F6_E3M2, F8_E4M3, F8_E4M3FNUZ, F8_E5M2, F8_E5M2FNUZ, F8_E8M0, I16, "
      "I32, I64, I8, U16, U32, U64, U8, found \"F31\"" +
          damaged);
  EXPECT_EQ(messageOfTensor(R"("dtype":7,"shape":[0],"data_offsets":[0,0])", 0),
            "dtype: expected a string, found 7" + damaged);
}

TEST(Safetensors, RefusesShapesThatAreNoSizes) {
  for (const char *shape : {"[-1]", "[1.5]", "[\"1\"]", "[null]", "[[1]]",
                            "[18446744073709551615]"})
    EXPECT_EQ(messageOfTensor(std::string(R"("dtype":"U8","shape":)") + shape +
                                  R"(,"data_offsets":[0,1])",
                              1),
              std::string("shape: expected integers of at least 0, found ") +
                  shape + damaged);
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"U8","shape":1,"data_offsets":[0,1])", 1),
      "shape: expected a list of integers, found 1" + damaged);
}

TEST(Safetensors, RefusesShapesThatOverflow) {
  // 2^32 * 2^32 elements are 0 in 64 bits.
  EXPECT_EQ(
      messageOfTensor(
          R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])",
          0),
      "shape: expected a size below 2^61 bytes, found [4294967296, "
      "4294967296]" +
          damaged);
  EXPECT_EQ(
      messageOfTensor(
          R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])",
          0),
      "shape: expected a size below 2^61 bytes, found [4611686018427387904, "
      "4]" +
          damaged);
  EXPECT_EQ(
      messageOfTensor(
          R"("dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0])",
          0),
      "");
}

TEST(Safetensors, RefusesOffsetsThatLie) {
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4),
      "data_offsets: expected 8 bytes for F32 [2], found 4" + damaged);
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"U8","shape":[2],"data_offsets":[4,2])", 4),
      "data_offsets: expected the begin before the end, found [4,2]" + damaged);
  EXPECT_EQ(
      messageOfTensor(
          R"("dtype":"U8","shape":[2],"data_offsets":[18446744073709551614,18446744073709551615])",
          4),
      "data_offsets: expected an end within the 4 bytes of data in the file, "
      "found [18446744073709551614,18446744073709551615]" +
          damaged);
  for (const char *offsets : {"[0]", "[0,1,2]", "[-1,1]", "[0,1.0]", "\"0\""})
    EXPECT_EQ(messageOfTensor(
                  std::string(R"("dtype":"U8","shape":[1],"data_offsets":)") +
                      offsets,
                  1),
              std::string("data_offsets: expected two integers of at least 0, "
                          "found ") +
                  offsets + damaged);
  EXPECT_EQ(
      messageOfTensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])", 2),
      "expected a whole number of bytes, found 12 bits of F4 [3]" + damaged);
}

TEST(Safetensors, RefusesHolesAndOverlaps) {
  auto two = [](const std::string &a, const std::string &b, size_t bytes) {
    return messageOf(safetensors(
        R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
            R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
        bytes));
  };
  EXPECT_EQ(two("[0,4]", "[4,8]", 8), "");
  EXPECT_EQ(two("[0,4]", "[2,6]", 6),
            "DIR/m.safetensors: tensor 'b': data_offsets: expected to begin at "
            "4, where tensor 'a' ends, found 2 (an overlap)" +
                damaged);
  EXPECT_EQ(two("[5,9]", "[0,4]", 9),
            "DIR/m.safetensors: tensor 'a': data_offsets: expected to begin at "
            "4, where tensor 'b' ends, found 5 (a hole)" +
                damaged);
  EXPECT_EQ(two("[1,5]", "[5,9]", 9),
            "DIR/m.safetensors: tensor 'a': data_offsets: expected to begin at "
            "0, found 1 (a hole)" +
                damaged);
  EXPECT_EQ(two("[0,4]", "[4,8]", 9),
            "DIR/m.safetensors: expected 8 bytes of data, as its tensors need, "
            "found 9" +
                damaged);
}

TEST(Safetensors, RefusesWhatIsNoFile) {
  TestFolder folder;
  EXPECT_EQ(folder.relative(SafetensorsFile::open(folder.path()).message()),
            "DIR: expected a regular file, found a folder; check the path");
  EXPECT_EQ(folder.relative(SafetensorsFile::open(folder.path("x")).message()),
            "DIR/x: cannot be opened: No such file or directory; check the "
            "path and its permissions");
}
