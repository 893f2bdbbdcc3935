// The oracle's picture goldens, read from their tables.
//
//   for (const std::vector<std::string> &row : readTable("decode.tsv")) ...
#ifndef VLMC_TEST_RUNTIME_IMAGE_GOLDENS_H
#define VLMC_TEST_RUNTIME_IMAGE_GOLDENS_H

#include "runtime/vlm.h"

#include <memory>
#include <string>
#include <vector>

/// The folder of the goldens, and a file's whole content ("" if it is absent).
std::string goldenFolder();
std::string readWhole(const std::string &path);

/// The rows of a table in `pixels/`, split at tabs.
std::vector<std::vector<std::string>> readTable(const std::string &name);

struct DestroyImage {
  void operator()(vlm_image_t *image) const { vlm_image_destroy(image); }
};
using ImagePtr = std::unique_ptr<vlm_image_t, DestroyImage>;

/// "CODE: MESSAGE" of a status, which is destroyed; "" for NULL.
std::string take(vlm_status_t *status);

/// Decodes a picture of the goldens; a failed expectation if that fails.
ImagePtr decodeGolden(const std::string &picture);

#endif // VLMC_TEST_RUNTIME_IMAGE_GOLDENS_H
