//===- CompareTest.cpp - The comparison finds what it should --------------===//
#include "runtime/core/Sha256.h"
#include "test/e2e/Command.h"
#include "test/e2e/Golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

using namespace vlmc;
using namespace vlmc::e2e;

namespace {
/// A file of tensors of one dtype each, in the making.
class Writer {
public:
  template <class T>
  Writer &add(const std::string &name, const std::string &dtype,
              std::vector<int64_t> shape, const std::vector<T> &values) {
    size_t begin = data.size();
    data.append(reinterpret_cast<const char *>(values.data()),
                values.size() * sizeof(T));
    header += std::string(header.empty() ? "{" : ",") + "\"" + name +
              R"(":{"dtype":")" + dtype + R"(","shape":)" +
              describeShape(shape) + R"(,"data_offsets":[)" +
              std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
    return *this;
  }
  Writer &floats(const std::string &name, const std::vector<float> &values) {
    return add(name, "F32", {int64_t(values.size())}, values);
  }
  Tensors write() const {
    std::string path = freshPath("written.safetensors");
    std::string text = (header.empty() ? "{" : header) + "}";
    uint64_t length = text.size();
    std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char *>(&length), sizeof(length))
        << text << data;
    return Tensors(path);
  }

private:
  std::string header, data;
};
} // namespace

using Faults = std::vector<std::string>;

static Faults faultsOf(const Writer &got, const Writer &golden) {
  return compareWithGolden(got.write(), golden.write()).faults;
}

TEST(CompareTest, TakesWhatIsWithinTheTolerance) {
  // Mean 0, standard deviation 2.
  Writer golden = Writer().floats("a.image_embeds", {-2, 2, -2, 2});
  EXPECT_EQ(faultsOf(golden, golden), Faults());
  EXPECT_EQ(faultsOf(Writer().floats("a.image_embeds", {-2, 2.00018F, -2, 2}),
                     golden),
            Faults());
  EXPECT_EQ(
      faultsOf(Writer().floats("a.image_embeds", {-2, 2, -2.0004F, 3}), golden),
      Faults{"a.image_embeds: err 0.5, tolerance 0.0001, first bad at "
             "[2]: got -2.00040007, want -2"});
}

TEST(CompareTest, LogitsHaveTheirOwnTolerance) {
  EXPECT_EQ(faultsOf(Writer().floats("a.logits_per_image", {-1, 1.00018F}),
                     Writer().floats("a.logits_per_image", {-1, 1})),
            Faults());
  EXPECT_EQ(faultsOf(Writer().floats("a.text_embeds", {-1, 1.00018F}),
                     Writer().floats("a.text_embeds", {-1, 1}))
                .size(),
            1U);
}

TEST(CompareTest, TellsWhatIsAbsentOrOther) {
  Writer golden = Writer().floats("a.image_embeds", {1, 2});
  EXPECT_EQ(faultsOf(Writer(), golden), Faults{"a.image_embeds: absent"});
  EXPECT_EQ(faultsOf(Writer().floats("a.image_embeds", {1, 2, 3}), golden),
            Faults{"a.image_embeds: got F32 [3], want F32 [2]"});
  EXPECT_EQ(faultsOf(Writer().floats("a.image_embeds", {1, NAN}), golden),
            Faults{"a.image_embeds: err inf, tolerance 0.0001, first bad at "
                   "[1]: got nan, want 2"});
}

TEST(CompareTest, EmptyComparisonsAreFaults) {
  EXPECT_EQ(faultsOf(Writer(), Writer()).size(), 1U);
  Writer none = Writer().floats("a.image_embeds", {});
  EXPECT_EQ(faultsOf(none, none),
            Faults{"a.image_embeds: no element is compared"});
  EXPECT_EQ(compareBits(Writer().write(), Writer().write()).faults.size(), 1U);
}

TEST(CompareTest, PixelsAndIdsAreExact) {
  EXPECT_EQ(faultsOf(Writer().floats("a.pixel_values", {1, 2.0000002F}),
                     Writer().floats("a.pixel_values", {1, 2})),
            Faults{"a.pixel_values: other bytes: first bad at [1]: got "
                   "2.00000024, want 2"});
  auto ids = [](std::vector<int64_t> values) {
    return Writer().add("a.input_ids", "I64", {2, 2}, values);
  };
  EXPECT_EQ(
      faultsOf(ids({1, 2, 3, 5}), ids({1, 2, 3, 4})),
      Faults{"a.input_ids: other bytes: first bad at [1, 1]: got 5, want 4"});
}

TEST(CompareTest, DigestsStandForTensors) {
  std::vector<float> pixels{1, 2, 3};
  rt::Digest digest = rt::sha256(pixels.data(), 3 * sizeof(float));
  std::vector<uint8_t> bytes(digest.begin(), digest.end());
  Writer golden = Writer().add("a.pixel_values.sha256", "U8", {32}, bytes);
  EXPECT_EQ(faultsOf(Writer().floats("a.pixel_values", pixels), golden),
            Faults());
  EXPECT_EQ(
      faultsOf(Writer().floats("a.pixel_values", {1, 2, 4}), golden).size(),
      1U);
  EXPECT_EQ(faultsOf(Writer(), golden), Faults{"a.pixel_values: absent"});
}

TEST(CompareTest, PaddedPositionsAreLeftOut) {
  auto features = [](std::vector<float> values) {
    return Writer().add("a.text_features", "F32", {1, 2, 2}, values);
  };
  auto withMask = [](Writer writer, std::vector<uint8_t> mask) {
    return writer.add("a.attention_mask", "U8", {1, 2}, mask);
  };
  Writer got = features({1, 2, 30, 40}), want = features({1, 2, 3, 4});
  EXPECT_EQ(faultsOf(withMask(got, {1, 0}), withMask(want, {1, 0})), Faults());
  EXPECT_EQ(faultsOf(withMask(got, {1, 1}), withMask(want, {1, 1})).size(), 1U);
  EXPECT_EQ(faultsOf(withMask(got, {0, 0}), withMask(want, {0, 0})),
            Faults{"a.text_features: no element is compared"});
  Tensors inputs = withMask(Writer(), {1, 0}).write();
  EXPECT_EQ(compareWithGolden(got.write(), want.write(), &inputs).faults,
            Faults());
  // Without a mask, everything counts, and that is told.
  EXPECT_EQ(faultsOf(got, want).front(),
            "a.text_features: no a.attention_mask of shape [1, 2]");
}

TEST(CompareTest, BitsAreBits) {
  Tensors want = Writer().floats("a.x", {0, 1}).write();
  EXPECT_EQ(compareBits(want, want).faults, Faults());
  Tensors other = Writer().floats("a.x", {-0.0F, 1}).write();
  EXPECT_EQ(compareBits(other, want).faults,
            Faults{"a.x: other bytes: first bad at [0]: got -0, want 0"});
}
