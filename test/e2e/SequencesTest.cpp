//===- SequencesTest.cpp - However sequences are cut and mixed ------------===//
//
// A language model's logits of a token depend on its own sequence alone: not on
// the runs that it came in, nor on other sequences, nor on threads.
//
//===----------------------------------------------------------------------===//
#include "runtime/vlm.h"
#include "test/e2e/Checkpoints.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

using namespace vlmc::e2e;

namespace {

/// Tokens of one sequence, in a call that may hold several.
struct Run {
  int32_t sequence;
  int32_t first; ///< the place of the first token
  std::vector<int64_t> ids;
};

/// A compiled language model with a cache of four sequences.
class Decoder {
public:
  Decoder(const std::string &package, int threads) {
    take(vlm_pool_create(threads, &pool));
    vlm_load_options_t options{sizeof(vlm_load_options_t), pool};
    take(vlm_model_load(package.c_str(), &options, &model));
    take(vlm_cache_create(model, 4, 400, &cache));
    take(vlm_model_entry(model, "decode", &entry));
    vlm_tensor_t tensor;
    take(vlm_entry_output(entry, 0, &tensor));
    width = tensor.dims[2];
    for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
      take(vlm_entry_input(entry, i, &tensor));
      if (tensor.dtype == VLM_CACHE)
        cacheInput = tensor;
      if (std::strcmp(tensor.name, "features") == 0)
        features.resize(size_t(tensor.dims[1]));
      if (std::strcmp(tensor.name, "rotary") == 0)
        rotaryWidth = tensor.dims[1];
    }
    cacheInput.data = cache;
  }
  Decoder(const Decoder &) = delete;
  Decoder &operator=(const Decoder &) = delete;
  ~Decoder() {
    vlm_cache_destroy(cache);
    vlm_model_destroy(model);
    vlm_pool_destroy(pool);
  }

  /// The logits of all tokens of a call, row by row.
  std::vector<float> run(const std::vector<Run> &runs);
  /// The same, cut into runs of the given lengths in sequence `sequence`.
  std::vector<float> runInPieces(const std::vector<int64_t> &ids,
                                 const std::vector<size_t> &lengths,
                                 int32_t sequence);
  int64_t words() const { return width; }
  void fork(int64_t from, int64_t to, int64_t tokens) {
    take(vlm_cache_fork(cache, from, to, tokens));
  }
  /// The message of the next call's failure, "" if there is none.
  std::string failure(const Run &run);

private:
  static void take(vlm_status_t *status) {
    EXPECT_EQ(status, nullptr) << vlm_status_message(status);
    vlm_status_destroy(status);
  }
  vlm_status_t *call(const std::vector<Run> &runs, std::vector<float> &logits);

  vlm_pool_t *pool = nullptr;
  vlm_model_t *model = nullptr;
  vlm_cache_t *cache = nullptr;
  const vlm_entry_t *entry = nullptr;
  vlm_tensor_t cacheInput{};
  std::vector<float> features;
  int64_t width = 0;
  int64_t rotaryWidth = 0; ///< 0: positions do not depend on lengths
};

} // namespace

static vlm_tensor_t view(const char *name, vlm_dtype_t dtype, int64_t rows,
                         int64_t columns, void *data, size_t element) {
  vlm_tensor_t tensor{};
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.rank = 2;
  tensor.dims[0] = rows;
  tensor.dims[1] = columns;
  tensor.data = data;
  tensor.bytes = size_t(rows * columns) * element;
  return tensor;
}

vlm_status_t *Decoder::call(const std::vector<Run> &runs,
                            std::vector<float> &logits) {
  std::vector<int64_t> ids;
  std::vector<int32_t> sequence, position;
  for (const Run &run : runs)
    for (size_t i = 0; i < run.ids.size(); ++i) {
      position.push_back(run.first + int32_t(i));
      ids.push_back(run.ids[i]);
      sequence.push_back(run.sequence);
    }
  std::vector<int32_t> rows(ids.size());
  std::iota(rows.begin(), rows.end(), 0);
  auto n = int64_t(ids.size());
  std::vector<vlm_tensor_t> inputs = {
      view("input_ids", VLM_I64, 1, n, ids.data(), sizeof(int64_t)),
      view("sequence", VLM_I32, 1, n, sequence.data(), sizeof(int32_t)),
      view("position", VLM_I32, 1, n, position.data(), sizeof(int32_t)),
      view("rows", VLM_I32, 1, n, rows.data(), sizeof(int32_t)),
      view("features", VLM_F32, 1, int64_t(features.size()), features.data(),
           sizeof(float)),
      cacheInput};
  // Where tokens of long sequences bring cosines and sines: every other does.
  std::vector<float> rotary(size_t(n * rotaryWidth));
  std::vector<int32_t> rotaryRow(size_t(n), -1);
  for (int64_t i = 0; rotaryWidth && i < n; ++i) {
    if (position[size_t(i)] % 2)
      rotaryRow[size_t(i)] = int32_t(i);
    for (int64_t k = 0; k < rotaryWidth / 2; ++k) {
      double angle = double(position[size_t(i)]) / double(3 + 2 * k);
      rotary[size_t(i * rotaryWidth + k)] = float(std::cos(angle));
      rotary[size_t(i * rotaryWidth + rotaryWidth / 2 + k)] =
          float(std::sin(angle));
    }
  }
  if (rotaryWidth) {
    inputs.push_back(
        view("rotary", VLM_F32, n, rotaryWidth, rotary.data(), sizeof(float)));
    inputs.push_back(
        view("rotary_row", VLM_I32, 1, n, rotaryRow.data(), sizeof(int32_t)));
  }
  logits.assign(size_t(n * width), 0);
  vlm_tensor_t output{};
  output.name = "logits";
  output.data = logits.data();
  output.bytes = logits.size() * sizeof(float);
  return vlm_entry_run(entry, inputs.data(), inputs.size(), &output, 1);
}

std::vector<float> Decoder::run(const std::vector<Run> &runs) {
  for (const Run &run : runs) {
    take(vlm_cache_resize(cache, run.sequence, run.first));
    take(vlm_cache_resize(cache, run.sequence,
                          run.first + int64_t(run.ids.size())));
  }
  std::vector<float> logits;
  take(call(runs, logits));
  return logits;
}

std::vector<float> Decoder::runInPieces(const std::vector<int64_t> &ids,
                                        const std::vector<size_t> &lengths,
                                        int32_t sequence) {
  std::vector<float> all;
  size_t at = 0;
  for (size_t length : lengths) {
    auto begin = ids.begin() + std::ptrdiff_t(at);
    std::vector<int64_t> piece(begin, begin + std::ptrdiff_t(length));
    std::vector<float> logits = run({{sequence, int32_t(at), piece}});
    all.insert(all.end(), logits.begin(), logits.end());
    at += length;
  }
  EXPECT_EQ(at, ids.size());
  return all;
}

std::string Decoder::failure(const Run &run) {
  std::vector<float> logits;
  vlm_status_t *status = call({run}, logits);
  std::string message = vlm_status_message(status);
  vlm_status_destroy(status);
  return message;
}

static std::vector<int64_t> randomIds(size_t count, int64_t words,
                                      unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<int64_t> ids;
  for (size_t i = 0; i < count; ++i)
    ids.push_back(int64_t(generator() % uint64_t(words - 1)));
  return ids;
}

static void expectSame(const std::vector<float> &got,
                       const std::vector<float> &want, const char *what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(std::memcmp(&got[i], &want[i], sizeof(float)), 0)
        << what << ": element " << i << ": got " << got[i] << ", want "
        << want[i];
}

/// The language models among the checkpoints.
static std::vector<Checkpoint> findDecoders() {
  std::vector<Checkpoint> found;
  for (const Checkpoint &checkpoint : findCheckpoints())
    if (checkpoint.family == "llava")
      found.push_back(checkpoint);
  return found;
}

using SequencesTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, SequencesTest, testing::ValuesIn(findDecoders()),
                         testName);

static void checkBits(Decoder &decoder, const std::string &package) {
  Decoder alone(package, 1), many(package, 5);
  std::vector<int64_t> first = randomIds(150, decoder.words(), 1);
  std::vector<int64_t> second = randomIds(71, decoder.words(), 2);
  std::vector<float> whole = decoder.run({{0, 0, first}});
  std::vector<float> other = decoder.run({{1, 0, second}});
  expectSame(decoder.runInPieces(first, {1, 7, 64, 3, 74, 1}, 2), whole,
             "in pieces");
  expectSame(alone.run({{3, 0, first}}), whole, "one thread");
  expectSame(many.run({{0, 0, first}}), whole, "five threads");
  std::vector<float> both = whole;
  both.insert(both.end(), other.begin(), other.end());
  expectSame(many.run({{2, 0, first}, {1, 0, second}}), both, "two at once");
  // A sequence that begins as another one did, and goes another way.
  std::vector<int64_t> forked(first.begin(), first.begin() + 100);
  forked.insert(forked.end(), second.begin(), second.end());
  std::vector<float> tail = decoder.run({{2, 0, forked}});
  decoder.run({{0, 0, first}});
  decoder.fork(0, 1, 100);
  std::vector<float> got = decoder.run({{1, 100, second}});
  tail.erase(tail.begin(), tail.begin() + 100 * decoder.words());
  expectSame(got, tail, "forked");
  // A sequence that is used again starts anew.
  expectSame(decoder.run({{2, 0, second}}), other, "used again");
}

/// What has no room, or is out of range, is refused before anything runs.
static void checkRefusals(Decoder &decoder) {
  std::string message = decoder.failure({3, 0, {5}});
  EXPECT_NE(message.find("input 'cache': token 0 is at place 0 of sequence 3, "
                         "for which no room was made; call vlm_cache_resize "
                         "before"),
            message.npos)
      << message;
  decoder.run({{3, 0, randomIds(64, decoder.words(), 3)}});
  EXPECT_EQ(decoder.failure({3, 63, {5}}), "");
  decoder.fork(3, 2, 64);
  message = decoder.failure({2, 63, {5}});
  EXPECT_NE(
      message.find("token 0 is at place 63 of sequence 2, which it shares "
                   "with another sequence; shrink it by vlm_cache_resize "
                   "before it goes another way"),
      message.npos)
      << message;
  EXPECT_NE(decoder.failure({3, 64, {5}}).find("place 64 of sequence 3"),
            message.npos);
  EXPECT_NE(decoder.failure({4, 0, {5}}).find("sequence 4"), message.npos);
  EXPECT_NE(decoder.failure({0, 0, {decoder.words()}}).find("'input_ids'"),
            message.npos);
}

TEST_P(SequencesTest, DependOnThemselvesAlone) {
  std::string package = compile(GetParam(), {});
  ASSERT_FALSE(package.empty());
  Decoder decoder(package, 2);
  checkBits(decoder, package);
  checkRefusals(decoder);
}
