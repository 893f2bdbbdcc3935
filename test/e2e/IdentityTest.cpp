//===- IdentityTest.cpp - The same bits however it is run -----------------===//
//
// What a request gives depends neither on the number of threads nor on what
// else is in the batch nor on the taps the model was compiled with.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"
#include "test/e2e/Golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>

using namespace vlmc;
using namespace vlmc::e2e;

using IdentityTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, IdentityTest,
                         testing::ValuesIn(findCheckpoints()), testName);

static void expectBits(const Tensors &got, const Tensors &want) {
  for (const std::string &fault : compareBits(got, want).faults)
    ADD_FAILURE() << fault;
}

static void checkThreads(const Checkpoint &checkpoint,
                         const std::string &model) {
  for (const Requests &requests : checkpoint.requests) {
    Tensors alone = runRequests(model, requests.path, {"--threads", "1"});
    for (const char *threads : {"2", "3", "7"}) {
      SCOPED_TRACE(requests.path + ", threads: " + threads);
      Tensors out = runRequests(model, requests.path, {"--threads", threads});
      EXPECT_EQ(out.entries().size(), alone.entries().size());
      expectBits(out, alone);
    }
  }
}

static void checkTaps(const Checkpoint &checkpoint, const std::string &tapped,
                      const std::string &plain) {
  for (const Requests &requests : checkpoint.requests) {
    SCOPED_TRACE(requests.path + ", with taps and without");
    Tensors want = runRequests(plain, requests.path);
    Tensors got = runRequests(tapped, requests.path);
    // Taps are more, unless an entry point gives them without; GoldenTest
    // misses those that are absent.
    EXPECT_GE(got.entries().size(), want.entries().size());
    expectBits(got, want);
  }
}

//===----------------------------------------------------------------------===//
// Batches
//===----------------------------------------------------------------------===//

namespace {
/// The pictures and texts of all requests of a checkpoint, without repetition.
struct Material {
  std::vector<std::string> images, texts;
  /// How many pairs there are, where both go round.
  size_t period() const {
    return std::lcm(std::max<size_t>(images.size(), 1),
                    std::max<size_t>(texts.size(), 1));
  }
};
/// More rows than the command line passes on at once are among them.
const size_t batchSizes[] = {2, 3, 5, 33};
} // namespace

static void collect(const Json &request, const char *field,
                    const std::filesystem::path &folder,
                    std::vector<std::string> &into) {
  if (!request.contains(field))
    return;
  for (const Json &element : request[field]) {
    std::string value = element.get<std::string>();
    if (!folder.empty())
      value = (folder / value).string();
    if (std::ranges::find(into, value) == into.end())
      into.push_back(value);
  }
}

static Material collectMaterial(const Checkpoint &checkpoint) {
  Material material;
  for (const Requests &requests : checkpoint.requests) {
    Result<Json> json = readJsonFile(requests.path);
    EXPECT_TRUE(json) << json.message();
    if (!json || (*json)["mode"] != "files")
      continue;
    for (const Json &request : (*json)["cases"]) {
      collect(request, "images", checkpoint.folder, material.images);
      collect(request, "texts", "", material.texts);
    }
  }
  return material;
}

/// A request with pictures and texts `first`, `first + 1` and so on, `count` of
/// each; after the last one comes the first again.
static Json makeRequest(const std::string &name, const Material &material,
                        size_t first, size_t count) {
  Json request{{"name", name}, {"task", "embed"}};
  for (size_t i = first; i < first + count; ++i) {
    if (size_t images = material.images.size())
      request["images"].push_back(material.images[i % images]);
    if (size_t texts = material.texts.size())
      request["texts"].push_back(material.texts[i % texts]);
  }
  return request;
}

static std::string batchName(size_t size) {
  return "batch" + std::to_string(size);
}
static std::string aloneName(size_t index) {
  return "alone" + std::to_string(index);
}

/// Each pair of a picture and a text alone, and all of them in batches.
static std::string writeRequests(const Material &material) {
  Json cases = Json::array();
  for (size_t i = 0; i < material.period(); ++i)
    cases.push_back(makeRequest(aloneName(i), material, i, 1));
  for (size_t size : batchSizes)
    cases.push_back(makeRequest(batchName(size), material, 0, size));
  std::string path = freshPath("requests.json");
  std::ofstream(path) << Json{{"mode", "files"}, {"cases", cases}};
  return path;
}

/// That row `row` of a batch's value begins with the bytes of `alone`, which is
/// shorter where a text is padded in the batch. Logits have a column for each
/// text.
static void expectRow(const Tensors &out, const std::string &batch, size_t row,
                      const SafetensorsEntry &alone) {
  std::string value = alone.name.substr(alone.name.find('.'));
  const SafetensorsEntry *whole = out.find(batch + value);
  ASSERT_TRUE(whole) << batch + value << " is absent";
  std::span<const uint8_t> all = out.bytesOf(*whole);
  std::span<const uint8_t> want = out.bytesOf(alone);
  size_t rowBytes = all.size() / size_t(whole->shape[0]);
  size_t skip =
      value.starts_with(".logits") ? row * elementBytes(alone.dtype) : 0;
  ASSERT_FALSE(want.empty()) << alone.name;
  ASSERT_LE(skip + want.size(), rowBytes) << whole->name;
  auto got = all.subspan(row * rowBytes + skip, want.size());
  auto differs = std::ranges::mismatch(got, want);
  if (differs.in1 == got.end())
    return;
  size_t at = size_t(differs.in1 - got.begin()) / elementBytes(alone.dtype);
  ADD_FAILURE() << whole->name << ", row " << row << ": first bad at "
                << describeIndex(at, alone.shape) << " of " << alone.name
                << ": got " << elementOf(got, alone.dtype, at) << ", want "
                << elementOf(want, alone.dtype, at);
}

/// Whether the requests are for embeddings.
static bool isEmbedding(const Checkpoint &checkpoint) {
  return std::ranges::any_of(checkpoint.requests, [](const Requests &requests) {
    Result<Json> json = readJsonFile(requests.path);
    EXPECT_TRUE(json) << json.message();
    return json && (*json)["cases"][0].value("task", "") == "embed";
  });
}

static void checkBatches(const Checkpoint &checkpoint,
                         const std::string &model) {
  Material material = collectMaterial(checkpoint);
  ASSERT_FALSE(material.images.empty() && material.texts.empty());
  Tensors out = runRequests(model, writeRequests(material));
  size_t compared = 0;
  for (size_t size : batchSizes)
    for (size_t row = 0; row < size && !testing::Test::HasFailure(); ++row)
      for (const SafetensorsEntry &entry : out.entries())
        if (entry.name.starts_with(aloneName(row % material.period()) + ".")) {
          expectRow(out, batchName(size), row, entry);
          ++compared;
        }
  EXPECT_GT(compared, 0U);
}

//===----------------------------------------------------------------------===//

TEST_P(IdentityTest, HoldsHoweverItIsRun) {
  const Checkpoint &checkpoint = GetParam();
  std::string taps = tapsOf(checkpoint);
  std::string tapped = compile(checkpoint, {.taps = taps});
  std::string plain = compile(checkpoint, {});
  ASSERT_FALSE(tapped.empty() || plain.empty());
  checkThreads(checkpoint, tapped);
  checkTaps(checkpoint, tapped, plain);
  // Sequences of language models have a test of their own.
  if (isEmbedding(checkpoint))
    checkBatches(checkpoint, tapped);
}
