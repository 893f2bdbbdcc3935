#include "test/runtime/image/Goldens.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

std::string goldenFolder() { return VLMC_SOURCE_DIR "/test/e2e/goldens/clip/"; }

std::string readWhole(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<std::vector<std::string>> readTable(const std::string &name) {
  std::istringstream lines(readWhole(goldenFolder() + "pixels/" + name));
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');)
      rows.back().push_back(cell);
  }
  return rows;
}

std::string take(vlm_status_t *status) {
  if (!status)
    return "";
  std::string text = std::to_string(vlm_status_code(status)) + ": " +
                     vlm_status_message(status);
  vlm_status_destroy(status);
  return text;
}

ImagePtr decodeGolden(const std::string &picture) {
  vlm_image_t *image = nullptr;
  std::string path = goldenFolder() + "pictures/" + picture;
  EXPECT_EQ(take(vlm_image_decode_file(path.c_str(), nullptr, &image)), "");
  return ImagePtr(image);
}
