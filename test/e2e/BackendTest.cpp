//===- BackendTest.cpp - The two ways of preprocessing pictures -----------===//
//
// `goldens/clip/pixels/backends.tsv`: what `vlmc run` makes of the pictures of
// some checkpoints' requests is, bit for bit, what transformers makes of them
// with the backend that was asked for, or, if none was, with that which the
// checkpoint's image_processor_type names.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/Sha256.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

using namespace vlmc;
using namespace vlmc::e2e;

namespace {
struct Row {
  std::string checkpoint, request, byDefault, pil, torchvision;

  const std::string &digest(const std::string &backend) const {
    return (backend.empty() ? byDefault : backend) == "pil" ? pil : torchvision;
  }
};
} // namespace

static std::vector<Row> readRows() {
  std::istringstream lines(
      readFile(goldensFolder() + "/clip/pixels/backends.tsv"));
  std::vector<Row> rows;
  for (Row row; lines >> row.checkpoint >> row.request >> row.byDefault >>
                row.pil >> row.torchvision;)
    rows.push_back(row);
  return rows;
}

/// The requests of a checkpoint, with a backend or without one told.
static Tensors run(const std::string &package, const std::string &checkpoint,
                   const std::string &backend) {
  std::string output = freshPath("out.safetensors");
  std::vector<std::string> arguments{"run",
                                     "--model",
                                     package,
                                     "--inputs",
                                     goldensFolder() + "/clip/" + checkpoint +
                                         "/requests-files.json",
                                     "--outputs",
                                     output};
  if (!backend.empty())
    arguments.insert(arguments.end(), {"--image-backend", backend});
  Ended ended = runVlmc(arguments);
  EXPECT_EQ(ended.code, 0) << ended;
  return Tensors(output);
}

TEST(BackendTest, PixelsAreThoseOfTheBackend) {
  std::vector<Row> rows = readRows();
  EXPECT_GE(rows.size(), 9U);
  std::set<std::string> names;
  for (const Row &row : rows)
    names.insert(row.checkpoint);
  int checked = 0;
  for (const Checkpoint &checkpoint : findCheckpoints()) {
    if (checkpoint.family != "clip" || !names.contains(checkpoint.name))
      continue;
    std::string package = compile(checkpoint, {});
    ASSERT_FALSE(package.empty());
    for (const char *backend : {"", "pil", "torchvision"}) {
      SCOPED_TRACE(checkpoint.name + " " + backend);
      Tensors out = run(package, checkpoint.name, backend);
      for (const Row &row : rows) {
        if (row.checkpoint != checkpoint.name)
          continue;
        EXPECT_NE(row.pil, row.torchvision) << row.request;
        const SafetensorsEntry *entry = out.find(row.request + ".pixel_values");
        ASSERT_TRUE(entry) << row.request;
        std::span<const uint8_t> bytes = out.bytesOf(*entry);
        EXPECT_EQ(rt::toHex(rt::sha256(bytes.data(), bytes.size())),
                  row.digest(backend))
            << row.request;
        ++checked;
      }
    }
  }
  EXPECT_EQ(checked, 3 * static_cast<int>(rows.size()));
}

TEST(BackendTest, TellsWhichThereAre) {
  Ended ended = runVlmc({"run", "--model", "x", "--inputs", "x", "--outputs",
                         "x", "--image-backend", "cv2"});
  EXPECT_EQ(ended.code, 2) << ended;
  EXPECT_NE(ended.err.find("--image-backend: cv2 not in {pil,torchvision}"),
            std::string::npos)
      << ended;
}
