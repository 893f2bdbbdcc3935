// Running entry points: results, thread counts, concurrency, memory.
#include "test/runtime/core/CoreFixture.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <thread>

using namespace fake;

namespace {

struct Score {
  std::vector<float> x;
  std::vector<int64_t> ids, mask;
  int64_t batch, tokens;

  Score(int64_t batch, int64_t tokens)
      : x(batch * kWidth), ids(batch * tokens), mask(batch * tokens),
        batch(batch), tokens(tokens) {
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = float(int(i * 5 % 17) - 8);
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = int64_t(i * 3 % kVocabulary);
      mask[i] = i % 3 != 1;
    }
  }
  std::vector<vlm_tensor_t> inputs() {
    return {tensor("x", x, {batch, kWidth}),
            tensor("ids", ids, {batch, tokens}),
            tensor("mask", mask, {batch, tokens})};
  }
  std::vector<float> expectedSum() const {
    std::vector<float> w = projection(), t = table(), sum(batch * kOut);
    for (int64_t b = 0; b < batch; ++b)
      for (int j = 0; j < kOut; ++j) {
        for (int k = 0; k < kWidth; ++k)
          sum[b * kOut + j] += 2 * x[b * kWidth + k] * w[k * kOut + j];
        for (int64_t i = b * tokens; i < (b + 1) * tokens; ++i)
          sum[b * kOut + j] += mask[i] ? t[ids[i] * kOut + j] : 0;
      }
    return sum;
  }
  std::vector<int64_t> expectedCount() const {
    std::vector<int64_t> count(batch);
    for (size_t i = 0; i < mask.size(); ++i)
      count[i / tokens] += mask[i];
    return count;
  }
};

std::vector<float> runChain(const vlm_entry_t *chain, int64_t batch) {
  std::vector<float> x(batch * kWidth), y(batch * kWidth, -1);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = 1.0f / float(i + 3);
  vlm_tensor_t input = tensor("x", x, {batch, kWidth});
  vlm_tensor_t output = tensor("y", y, {});
  EXPECT_OK(vlm_entry_run(chain, &input, 1, &output, 1));
  return y;
}

std::vector<float> expectedChain(int64_t batch) {
  std::vector<float> now(batch * kWidth), next(batch * kWidth);
  for (size_t i = 0; i < now.size(); ++i)
    now[i] = 1.0f / float(i + 3);
  for (int step = 0; step < kChain; ++step, now.swap(next))
    for (int64_t row = 0; row < batch; ++row)
      for (int j = 0; j < kWidth; ++j)
        next[row * kWidth + j] =
            now[(row + 1) % batch * kWidth + j] * 0.5f +
            now[(row + batch - 1) % batch * kWidth + (j + 1) % kWidth] * 0.5f;
  return now;
}

using RunTest = FakeTest;

} // namespace

TEST_F(RunTest, ComputesAllOutputs) {
  Model model = load();
  for (int64_t batch : {1, 2, 64}) {
    Score score(batch, 5);
    std::vector<vlm_tensor_t> inputs = score.inputs();
    std::vector<float> sum(batch * kOut);
    std::vector<int64_t> count(batch);
    vlm_tensor_t outputs[] = {tensor("count", count, {}),
                              tensor("sum", sum, {})};
    outputs[1].dtype = VLM_U8; // is written
    ASSERT_OK(
        vlm_entry_run(entry(model, "score"), inputs.data(), 3, outputs, 2));
    EXPECT_EQ(sum, score.expectedSum());
    EXPECT_EQ(count, score.expectedCount());
    EXPECT_EQ(outputs[0].rank, 1);
    EXPECT_EQ(outputs[0].dims[0], batch);
    EXPECT_EQ(outputs[0].dtype, VLM_I64);
    EXPECT_EQ(outputs[1].dtype, VLM_F32);
    EXPECT_EQ(outputs[1].dims[1], kOut);
  }
}

TEST_F(RunTest, ComputesAnySubsetOfOutputs) {
  Model model = load();
  Score score(3, 16);
  std::vector<vlm_tensor_t> inputs = score.inputs();
  std::vector<int64_t> count(3);
  vlm_tensor_t output = tensor("count", count, {});
  EXPECT_OK(vlm_entry_run(entry(model, "score"), inputs.data(), 3, nullptr, 0));
  EXPECT_OK(vlm_entry_run(entry(model, "score"), inputs.data(), 3, &output, 1));
  EXPECT_EQ(count, score.expectedCount());
}

TEST_F(RunTest, FillsAbsentOptionalInputs) {
  Model model = load();
  Score score(2, 4);
  score.mask.assign(8, 1);
  std::vector<vlm_tensor_t> inputs = score.inputs();
  std::vector<float> sum(2 * kOut);
  vlm_tensor_t output = tensor("sum", sum, {});
  ASSERT_OK(vlm_entry_run(entry(model, "score"), inputs.data(), 2, &output, 1));
  EXPECT_EQ(sum, score.expectedSum());

  std::vector<int32_t> size{-5, 0, 5}, flags(3);
  std::vector<int64_t> lone{1, 2}, lones(2);
  std::vector<vlm_tensor_t> fillInputs{tensor("size", size, {3}),
                                       tensor("lone", lone, {2})};
  vlm_tensor_t outputs[] = {tensor("flags", flags, {}),
                            tensor("lones", lones, {})};
  ASSERT_OK(
      vlm_entry_run(entry(model, "fill"), fillInputs.data(), 2, outputs, 2));
  EXPECT_EQ(flags, (std::vector<int32_t>{2, 7, 12}));
  EXPECT_EQ(lones, lone);
}

TEST_F(RunTest, WidensNarrowIntegers) {
  Model model = load();
  Score score(2, 4);
  std::vector<int32_t> ids(score.ids.begin(), score.ids.end());
  std::vector<int32_t> mask(score.mask.begin(), score.mask.end());
  vlm_tensor_t inputs[] = {tensor("mask", mask, {2, 4}),
                           tensor("ids", ids, {2, 4}),
                           tensor("x", score.x, {2, kWidth})};
  std::vector<float> sum(2 * kOut);
  vlm_tensor_t output = tensor("sum", sum, {});
  ASSERT_OK(vlm_entry_run(entry(model, "score"), inputs, 3, &output, 1));
  EXPECT_EQ(sum, score.expectedSum());
  ids[5] = -1;
  EXPECT_FAILS(
      vlm_entry_run(entry(model, "score"), inputs, 3, &output, 1),
      VLM_INVALID_ARGUMENT,
      "model 'fake', entry point 'score': input 'ids': element [1, 1] must be "
      "0 to 15, found -1");
}

TEST_F(RunTest, ResultsDoNotDependOnThreadsOrBatch) {
  for (int threads : {1, 2, 3, 7}) {
    Pool pool = makePool(threads);
    EXPECT_EQ(vlm_pool_threads(pool.get()), threads);
    Model model = load(pool.get());
    EXPECT_EQ(vlm_model_pool(model.get()), pool.get());
    for (int64_t batch : {1, 2, 7, 64})
      for (int repeat = 0; repeat < 5; ++repeat) {
        std::vector<float> want = expectedChain(batch);
        std::vector<float> got = runChain(entry(model, "chain"), batch);
        ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * 4), 0)
            << threads << " threads, batch " << batch;
      }
  }
}

TEST_F(RunTest, WakesSleepingThreads) {
  Pool pool = makePool(3);
  Model model = load(pool.get());
  for (int repeat = 0; repeat < 20; ++repeat) {
    usleep(repeat % 2 ? 1000 : 150); // about the time the workers spin
    ASSERT_EQ(runChain(entry(model, "chain"), 9), expectedChain(9));
  }
}

TEST_F(RunTest, RunsRequestsAtOnce) {
  Pool pool = makePool(2);
  Model first = load(pool.get()), second = load(pool.get());
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 5; ++caller)
    callers.emplace_back([&, caller] {
      Model &model = caller % 2 ? first : second;
      for (int64_t batch = 1; batch < 30; ++batch)
        wrong += runChain(entry(model, "chain"), batch) != expectedChain(batch);
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST_F(RunTest, TellsShapesAndMemory) {
  Model model = load();
  Score score(3, 5);
  std::vector<vlm_tensor_t> inputs = score.inputs();
  for (vlm_tensor_t &input : inputs)
    input.data = nullptr, input.bytes = 0;
  vlm_tensor_t outputs[2];
  const vlm_entry_t *e = entry(model, "score");
  ASSERT_OK(vlm_entry_output_shapes(e, inputs.data(), 3, outputs));
  EXPECT_STREQ(outputs[0].name, "sum");
  EXPECT_EQ(outputs[0].rank, 2);
  EXPECT_EQ(outputs[0].dims[0], 3);
  EXPECT_EQ(outputs[0].dims[1], kOut);
  EXPECT_EQ(outputs[0].bytes, 3u * kOut * 4);
  EXPECT_EQ(outputs[1].bytes, 3u * 8);

  size_t one, two, without;
  ASSERT_OK(vlm_entry_memory(e, inputs.data(), 3, 1, &one));
  ASSERT_OK(vlm_entry_memory(e, inputs.data(), 3, 2, &two));
  ASSERT_OK(vlm_entry_memory(e, inputs.data(), 2, 1, &without));
  EXPECT_GE(one, 64u + 64 + 128 + 16); // slots, scratch
  EXPECT_LT(one, 1024u);
  EXPECT_GT(two, one);
  EXPECT_EQ(without, one + 128); // the mask of 120 bytes
  EXPECT_FAILS(vlm_entry_memory(e, inputs.data(), 3, -1, &one),
               VLM_INVALID_ARGUMENT,
               "model 'fake', entry point 'score': expected 0 to 1024 threads, "
               "found -1");
}

TEST_F(RunTest, DescribesEntries) {
  Model model = load();
  EXPECT_EQ(vlm_model_entry_count(model.get()), 5u);
  EXPECT_STREQ(vlm_entry_name(vlm_model_entry_at(model.get(), 1)), "chain");
  EXPECT_EQ(vlm_model_entry_at(model.get(), 5), nullptr);
  const vlm_entry_t *e = entry(model, "score");
  EXPECT_EQ(vlm_entry_input_count(e), 3u);
  EXPECT_EQ(vlm_entry_output_count(e), 2u);
  vlm_tensor_t t;
  ASSERT_OK(vlm_entry_input(e, 0, &t));
  EXPECT_STREQ(t.name, "x");
  EXPECT_EQ(t.dims[0], -1);
  EXPECT_EQ(t.dims[1], kWidth);
  EXPECT_EQ(t.data, nullptr);
  ASSERT_OK(vlm_entry_output(e, 1, &t));
  EXPECT_EQ(t.dtype, VLM_I64);
  EXPECT_EQ(t.rank, 1);
  EXPECT_FAILS(vlm_entry_output(e, 2, &t), VLM_INVALID_ARGUMENT,
               "entry point 'score': output index must be below 2, found 2");
  const vlm_entry_t *missing = nullptr;
  EXPECT_FAILS(vlm_model_entry(model.get(), "scor", &missing), VLM_NOT_FOUND,
               "model 'fake': no entry point 'scor'; there are 'score', "
               "'chain', 'fill', 'pick_largest', 'pick_five'");
  EXPECT_EQ(missing, nullptr);
}

//===----------------------------------------------------------------------===//
// Profiles
//===----------------------------------------------------------------------===//

TEST_F(RunTest, TellsWhatWasWorkedOnWhen) {
  for (int threads : {1, 3}) {
    Pool pool = makePool(threads);
    Model model = load(pool.get());
    Score score(5, 7);
    std::vector<vlm_tensor_t> inputs = score.inputs();
    std::vector<float> sum(5 * kOut);
    vlm_tensor_t output = tensor("sum", sum, {});
    vlm_profile_t *profile = nullptr;
    ASSERT_OK(vlm_entry_profile(entry(model, "score"), inputs.data(), 3,
                                &output, 1, &profile));
    EXPECT_EQ(sum, score.expectedSum());
    EXPECT_EQ(vlm_profile_threads(profile), threads);
    EXPECT_EQ(vlm_profile_sizes(profile)[0], 5);
    EXPECT_EQ(vlm_profile_sizes(profile)[1], 7);
    // All tasks of all phases, each phase after the one before.
    std::map<std::pair<uint32_t, uint32_t>, int64_t> tasks;
    std::pair<uint32_t, uint32_t> last{0, 0};
    int64_t lastEnd = 0, end = 0;
    for (size_t i = 0; i < vlm_profile_span_count(profile); ++i) {
      const vlm_span_t &span = vlm_profile_spans(profile)[i];
      std::pair<uint32_t, uint32_t> now{span.step, span.phase};
      EXPECT_GE(now, last);
      if (now != last)
        lastEnd = end;
      last = now;
      tasks[now] += span.tasks;
      EXPECT_GE(span.begin_ns, lastEnd);
      EXPECT_GE(span.end_ns, span.begin_ns);
      EXPECT_LT(span.thread, threads);
      end = std::max(end, span.end_ns);
    }
    EXPECT_EQ(tasks, (std::map<std::pair<uint32_t, uint32_t>, int64_t>{
                         {{0, 0}, 5},
                         {{0, 1}, 5 * kOut},
                         {{1, 0}, 5},
                         {{2, 0}, 5},
                         {{3, 0}, 1}}));
    vlm_profile_destroy(profile);
  }
  vlm_profile_destroy(nullptr);
}

//===----------------------------------------------------------------------===//
// Tokens that no result depends on
//===----------------------------------------------------------------------===//

/// The sums of an entry point that sums what was not cut off, each of one
/// token t being t * kOut and up.
template <typename Id>
std::vector<float> sumPicked(const vlm_entry_t *entry, std::vector<Id> ids,
                             std::vector<int64_t> mask, int64_t batch) {
  auto tokens = int64_t(ids.size()) / batch;
  std::vector<float> sums(size_t(batch) * kOut), first;
  std::vector<vlm_tensor_t> inputs = {tensor("ids", ids, {batch, tokens})};
  if (!mask.empty())
    inputs.push_back(tensor("mask", mask, {batch, tokens}));
  vlm_tensor_t output = tensor("sum", sums, {});
  EXPECT_OK(vlm_entry_run(entry, inputs.data(), inputs.size(), &output, 1));
  for (int64_t row = 0; row < batch; ++row)
    first.push_back(sums[size_t(row * kOut)] / kOut);
  return first;
}

TEST_F(RunTest, CutsTokensBehindTheLastPickedOne) {
  using Sums = std::vector<float>;
  using Ids = std::vector<int64_t>;
  Model model = load();
  const vlm_entry_t *largest = entry(model, "pick_largest");
  // The first of the largest: 1 + 9; 7 behind it is padding.
  EXPECT_EQ(sumPicked<int64_t>(largest, {1, 9, 7, 9}, {}, 1), (Sums{10}));
  EXPECT_EQ(sumPicked<int32_t>(largest, {1, 9, 7, 9}, {}, 1), (Sums{10}));
  EXPECT_EQ(sumPicked<int64_t>(largest, {1, 2, 3, 4}, {}, 1), (Sums{10}));
  // As many tokens of each row as the longest needs.
  EXPECT_EQ(sumPicked<int64_t>(largest, {9, 1, 1, 7, 1, 2, 9, 7}, {}, 2),
            (Sums{11, 12}));
  // A mask is cut as the ids are.
  EXPECT_EQ(sumPicked<int64_t>(largest, {1, 2, 9, 7, 9, 1, 1, 7},
                               {1, 0, 1, 1, 1, 1, 0, 1}, 2),
            (Sums{10, 10}));
  // A first token that is masked: nothing is cut.
  EXPECT_EQ(sumPicked<int64_t>(largest, {1, 2, 9, 7, 9, 1, 1, 7},
                               {1, 0, 1, 1, 0, 1, 0, 1}, 2),
            (Sums{17, 8}));

  const vlm_entry_t *five = entry(model, "pick_five");
  EXPECT_EQ(sumPicked<int64_t>(five, {1, 5, 9, 5}, {}, 1), (Sums{6}));
  EXPECT_EQ(sumPicked<int64_t>(five, {1, 2, 9, 3}, {}, 1), (Sums{1}));
  // Ids are looked at before anything is cut.
  Ids wrong = {1, 5, 99, 5};
  std::vector<float> sums(kOut);
  vlm_tensor_t input = tensor("ids", wrong, {1, 4}),
               output = tensor("sum", sums, {});
  EXPECT_FAILS(vlm_entry_run(five, &input, 1, &output, 1), VLM_INVALID_ARGUMENT,
               "model 'fake', entry point 'pick_five': input 'ids': element "
               "[0, 2] must be 0 "
               "to 15, found 99");
}
