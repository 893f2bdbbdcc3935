//===- DecodeTest.cpp - Every picture of the goldens, decoded -------------===//
//
// `goldens/FAMILY/pixels/requests-decode.json`: the RGB bytes are Pillow's.
// Preprocessing with the settings of `pixels.tsv` is tested where it can be
// given settings without a model, in test/runtime/image/PreprocessTest.cpp.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "runtime/core/Sha256.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

using namespace vlmc;
using namespace vlmc::e2e;

/// The rows of a table, "WIDTH HEIGHT SHA256" by picture.
static std::map<std::string, std::string> readTable(const std::string &path) {
  std::istringstream lines(readFile(path));
  std::map<std::string, std::string> rows;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    std::string picture, width, height, digest;
    cells >> picture >> width >> height >> digest;
    rows[picture] = width + " " + height + " " + digest;
  }
  return rows;
}

static std::string describeRgb(const Tensors &out, const std::string &name) {
  const SafetensorsEntry *entry = out.find(name);
  if (!entry || entry->dtype != "U8" || entry->shape.size() != 3 ||
      entry->shape[2] != 3)
    return "no picture " + name;
  std::span<const uint8_t> bytes = out.bytesOf(*entry);
  return std::to_string(entry->shape[1]) + " " +
         std::to_string(entry->shape[0]) + " " +
         rt::toHex(rt::sha256(bytes.data(), bytes.size()));
}

/// Decodes the pictures of a family; returns how many.
static size_t checkPictures(const std::string &folder) {
  std::string path = folder + "/requests-decode.json";
  std::map<std::string, std::string> table = readTable(folder + "/decode.tsv");
  Result<Json> requests = readJsonFile(path);
  EXPECT_TRUE(requests) << requests.message();
  if (!requests)
    return 0;
  Tensors out = runRequests(folder, path);
  EXPECT_EQ((*requests)["cases"].size(), table.size());
  for (const Json &request : (*requests)["cases"]) {
    std::string image = request["images"][0].get<std::string>();
    std::string picture = std::filesystem::path(image).filename().string();
    std::string name = request["name"].get<std::string>() + ".rgb";
    EXPECT_EQ(describeRgb(out, name), table[picture]) << picture;
  }
  return table.size();
}

TEST(DecodeTest, EqualsPillow) {
  size_t pictures = 0;
  for (const std::string &family : findFamilies()) {
    std::string folder = family + "/pixels";
    SCOPED_TRACE(folder);
    if (std::filesystem::exists(folder + "/requests-decode.json"))
      pictures += checkPictures(folder);
  }
  EXPECT_GT(pictures, 0U);
}
