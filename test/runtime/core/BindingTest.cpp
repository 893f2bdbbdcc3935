// What an entry point refuses, and how it says so.
#include "test/runtime/core/CoreFixture.h"

using namespace fake;

namespace {

/// A good request to `score`, which each test spoils in one way.
class BindingTest : public FakeTest {
protected:
  void expectRefused(const std::string &message) {
    std::vector<float> before = sum;
    EXPECT_FAILS(vlm_entry_run(entry(model, "score"), inputs.data(),
                               inputs.size(), &output, 1),
                 VLM_INVALID_ARGUMENT,
                 "model 'fake', entry point 'score': " + message);
    EXPECT_EQ(sum, before);
  }

  Model model = load();
  std::vector<float> x = std::vector<float>(2 * kWidth + 1, 1),
                     sum{9, 9, 9, 9, 9, 9, 9, 9};
  std::vector<int64_t> ids{0, 1, 2, 3, 4, 5}, mask{1, 1, 1, 1, 1, 1};
  std::vector<vlm_tensor_t> inputs{tensor("x", x, {2, kWidth}),
                                   tensor("ids", ids, {2, 3}),
                                   tensor("mask", mask, {2, 3})};
  vlm_tensor_t output = tensor("sum", sum, {});
};

} // namespace

TEST_F(BindingTest, TakesTheGoodRequest) {
  EXPECT_OK(vlm_entry_run(entry(model, "score"), inputs.data(), 3, &output, 1));
}

TEST_F(BindingTest, RefusesUnknownInput) {
  inputs[1].name = "idx";
  expectRefused("no input 'idx'; there are 'x', 'ids', 'mask'");
  inputs[1].name = nullptr;
  expectRefused("no input without a name; there are 'x', 'ids', 'mask'");
}

TEST_F(BindingTest, RefusesMissingAndSurplusInput) {
  inputs.erase(inputs.begin());
  expectRefused("input 'x' is missing; give f32 [batch, 8]");
  inputs[1].name = "ids";
  expectRefused("input 'ids': given twice");
}

TEST_F(BindingTest, RefusesWrongType) {
  inputs[0].dtype = VLM_I32;
  expectRefused("input 'x': expected f32 [batch, 8], found i32 [2, 8]");
  inputs[0].dtype = static_cast<vlm_dtype_t>(17);
  expectRefused(
      "input 'x': expected f32 [batch, 8], found an unknown dtype [2, 8]");
}

TEST_F(BindingTest, RefusesWrongRank) {
  inputs[0].rank = 1;
  expectRefused("input 'x': expected f32 [batch, 8], found f32 [2]: the rank "
                "differs");
  inputs[0].rank = 7;
  expectRefused("input 'x': expected f32 [batch, 8], found rank 7");
  inputs[0].rank = -1;
  expectRefused("input 'x': expected f32 [batch, 8], found rank -1");
}

TEST_F(BindingTest, RefusesWrongSizes) {
  inputs[0].dims[1] = 9;
  expectRefused("input 'x': expected f32 [batch, 8], found f32 [2, 9]: size 1 "
                "must be 8");
  inputs[0].dims[1] = kWidth;
  for (int64_t batch : {int64_t(0), int64_t(-1), int64_t(65), INT64_MAX}) {
    inputs[0].dims[0] = batch;
    expectRefused("input 'x': size 0 ('batch') must be 1 to 64, found " +
                  std::to_string(batch));
  }
  inputs[0].dims[0] = 1;
  expectRefused("input 'ids': size 0 ('batch') is 2, but input 'x' makes it 1; "
                "give all inputs the same 'batch'");
}

TEST_F(BindingTest, RefusesBadMemory) {
  inputs[0].bytes = 63;
  expectRefused("input 'x': expected at least 64 bytes of data, found 63");
  inputs[0].bytes = 64;
  inputs[0].data = nullptr;
  expectRefused("input 'x': 'data' must not be NULL");
  inputs[0].data = reinterpret_cast<char *>(x.data()) + 2;
  expectRefused("input 'x': 'data' must be aligned to 4 bytes");
  inputs[0].data = x.data() + 1; // not aligned to more than a float
  EXPECT_OK(vlm_entry_run(entry(model, "score"), inputs.data(), 3, &output, 1));
}

TEST_F(BindingTest, RefusesIntegersOutOfRange) {
  ids[4] = 16;
  expectRefused("input 'ids': element [1, 1] must be 0 to 15, found 16");
  ids[4] = INT64_MIN;
  expectRefused("input 'ids': element [1, 1] must be 0 to 15, found " +
                std::to_string(INT64_MIN));
  ids[4] = 0;
  mask[0] = 2;
  expectRefused("input 'mask': element [0, 0] must be 0 to 1, found 2");
}

TEST_F(BindingTest, RefusesBadOutputs) {
  output.name = "total";
  expectRefused("no output 'total'; there are 'sum', 'count'");
  output.name = "sum";
  output.bytes = 31;
  expectRefused("output 'sum': expected at least 32 bytes of data, found 31");
  output.data = nullptr;
  expectRefused("output 'sum': 'data' must not be NULL");
  vlm_tensor_t twice[] = {tensor("sum", sum, {}), tensor("sum", sum, {})};
  EXPECT_FAILS(
      vlm_entry_run(entry(model, "score"), inputs.data(), 3, twice, 2),
      VLM_INVALID_ARGUMENT,
      "model 'fake', entry point 'score': output 'sum': asked for twice");
  EXPECT_FAILS(
      vlm_entry_run(entry(model, "score"), inputs.data(), 3, nullptr, 1),
      VLM_INVALID_ARGUMENT,
      "model 'fake', entry point 'score': 'outputs' must not be NULL");
  EXPECT_FAILS(vlm_entry_run(entry(model, "score"), nullptr, 3, &output, 1),
               VLM_INVALID_ARGUMENT,
               "model 'fake', entry point 'score': 'inputs' must not be NULL");
}

TEST_F(BindingTest, RefusesAbsentInputOfUnknownSize) {
  std::vector<int32_t> size{1};
  vlm_tensor_t input = tensor("size", size, {1});
  EXPECT_FAILS(vlm_entry_run(entry(model, "fill"), &input, 1, nullptr, 0),
               VLM_INVALID_ARGUMENT,
               "model 'fake', entry point 'fill': input 'lone': may be left "
               "out only where another input tells 'tokens'; give i64 "
               "[tokens]");
}
