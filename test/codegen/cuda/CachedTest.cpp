//===-- CachedTest.cpp - attention over a cache, of sizes by chance -------===//
//
// A call writes the keys and values of several sequences' tokens and attends
// to them; what a query sees is told anew here, over plain lists.
//
//===----------------------------------------------------------------------===//
#include "runtime/abi/vlm_abi.h"
#include "test/codegen/cuda/KernelFixture.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <list>
#include <map>
#include <random>

using namespace vlmc;
using namespace vlmc::test;

namespace {

/// What a kernel is told, and the sequences of its calls.
struct Cached {
  int64_t kvHeads = 1, group = 1, size = 16, window = 0;
  double softcap = 0;
  bool hasBias = false;    ///< by distance
  bool hasRanges = false;  ///< `first` and `last`
  bool ownQueries = false; ///< of other tokens: `query_sequence`
  bool hasTokens = false;  ///< `query_token`: some tokens' queries only
  int64_t biases = 17;
  std::vector<int64_t> lengths = {70, 3, 131};

  int64_t heads() const { return kvHeads * group; }
};

/// Pages for all sequences, in the order that no kernel may count on, and the
/// table that finds them.
class Cache {
public:
  Cache(const Cached &c, int64_t longest)
      : perSequence((longest + VLM_ABI_PAGE_TOKENS - 1) / VLM_ABI_PAGE_TOKENS) {
    int64_t padded = (c.size + 15) / 16 * 16;
    size_t floats = size_t(c.kvHeads * (c.size + padded) * VLM_ABI_PAGE_TOKENS);
    int64_t pages = perSequence * int64_t(c.lengths.size());
    // A layer lies behind another one in each page.
    for (int64_t i = 0; i < pages; ++i)
      memory.emplace_back(2 * floats);
    for (auto page = memory.rbegin(); page != memory.rend(); ++page) {
      emulator::Buffers::add(page->data(), page->size() * 4);
      table.push_back(page->data());
    }
    layer = {table.data(), perSequence, int64_t(floats * 4)};
    emulator::Buffers::add(table.data(), table.size() * sizeof(void *));
    emulator::Buffers::add(&layer, sizeof layer);
  }
  ~Cache() {
    for (std::vector<float> &page : memory)
      emulator::Buffers::remove(page.data());
    emulator::Buffers::remove(table.data());
    emulator::Buffers::remove(&layer);
  }
  Cache(const Cache &) = delete;
  Cache &operator=(const Cache &) = delete;

  vlm_abi_cache_layer layer{};

private:
  int64_t perSequence;
  std::vector<std::vector<float>> memory;
  std::vector<void *> table;
};

std::string textOf(const Cached &c) {
  std::string q = type({1, 0, c.heads() * c.size}),
              k = type({1, 0, c.kvHeads * c.size}), i = type({1, 0}, "i32"),
              cache = "tensor<2x" + std::to_string(c.kvHeads) + "x" +
                      std::to_string(c.size) + "xf32, #vlm.cache>",
              b = type({c.heads(), c.biases}, vectorForm);
  std::string arguments = "%q: " + q + ", %k: " + k + ", %v: " + k +
                          ", %c: " + cache + ", %s: " + i + ", %p: " + i,
              operands = "%q, %k, %v, %c sequence %s position %p",
              types =
                  q + ", " + k + ", " + k + ", " + cache + ", " + i + ", " + i;
  auto add = [&](bool isThere, const std::string &word, const std::string &name,
                 const std::string &type) {
    if (!isThere)
      return;
    arguments += ", " + name + ": " + type;
    operands += " " + word + " " + name;
    types += ", " + type;
  };
  add(c.hasTokens, "query_token", "%t", i);
  add(c.ownQueries, "query_sequence", "%o", i);
  add(c.hasRanges, "first", "%f", i);
  add(c.hasRanges, "last", "%l", i);
  add(c.hasBias, "distance_bias", "%b", b);
  std::string numbers =
      "{num_heads = " + std::to_string(c.heads()) +
      " : i64, scale = 0.3 : f64, window = " + std::to_string(c.window) +
      " : i64, softcap = " + std::to_string(c.softcap) + " : f64}";
  return kernelText("cached_attention", arguments, q,
                    "%y = vlm.cached_attention " + operands + " " + numbers +
                        " : (" + types + ") -> " + q);
}

/// Keys and values that are in the cache, by sequence and place.
using Held = std::map<std::pair<int64_t, int64_t>, const double *>;

/// One head of a query over the places that it sees.
std::vector<double> attend(const Cached &c, const double *query, int64_t head,
                           int64_t sequence, int64_t position,
                           const std::vector<int64_t> &places, const Held &keys,
                           const Held &values, const Tensor *bias) {
  int64_t first = head / c.group * c.size;
  std::vector<double> scores, result(size_t(c.size));
  double most = -INFINITY, total = 0;
  for (int64_t place : places) {
    const double *key = keys.at({sequence, place}) + first;
    double score = 0;
    for (int64_t d = 0; d < c.size; ++d)
      score += query[head * c.size + d] * key[d];
    score *= 0.3;
    if (c.softcap != 0)
      score = c.softcap * std::tanh(score / c.softcap);
    if (bias) {
      int64_t at = place - position + c.biases / 2;
      score += bias->at(head, std::clamp<int64_t>(at, 0, c.biases - 1));
    }
    scores.push_back(score);
    most = std::max(most, score);
  }
  for (size_t i = 0; i < places.size(); ++i) {
    double weight = std::exp(scores[i] - most);
    total += weight;
    const double *value = values.at({sequence, places[i]}) + first;
    for (int64_t d = 0; d < c.size; ++d)
      result[size_t(d)] += weight * value[d];
  }
  for (double &x : result)
    x /= places.empty() ? 1 : total;
  return result;
}

/// One call: so many new tokens of each sequence, and what it is told of them.
struct Call {
  Tensor query, key, value, sequence, position, token, owner, first, last, bias;
};

class CachedRun {
public:
  CachedRun(const Cached &c, unsigned seed) : c(c), generator(seed) {}
  Call makeCall(const std::vector<int64_t> &from,
                const std::vector<int64_t> &to);
  std::vector<double> expect(const Call &call);

private:
  int64_t any(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  }
  Tensor values(int64_t rows, int64_t width) {
    return random({1, rows, width}, unsigned(any(1, 1 << 20)));
  }
  std::vector<int64_t> placesOf(const Call &call, size_t token);

  const Cached &c;
  std::mt19937 generator;
  std::list<Call> calls; ///< whose keys are held
  Held heldKeys, heldValues;
};

Tensor column(std::vector<double> data) {
  return {{1, int64_t(data.size())}, std::move(data)};
}

Call CachedRun::makeCall(const std::vector<int64_t> &from,
                         const std::vector<int64_t> &to) {
  std::vector<double> sequence, position, token, owner, first, last;
  for (size_t s = 0; s < to.size(); ++s)
    for (int64_t place = from[s]; place < to[s]; ++place) {
      sequence.push_back(double(s));
      position.push_back(double(place));
    }
  size_t tokens = sequence.size();
  size_t told = tokens;
  if (c.ownQueries) {
    told = 9;
    for (size_t i = 0; i < told; ++i)
      owner.push_back(double(any(0, int64_t(to.size()) - 1)));
  }
  for (size_t i = 0; i < told; ++i) {
    int64_t held = to[size_t(c.ownQueries ? owner[i] : sequence[i])];
    int64_t a = any(0, held), b = any(0, held);
    first.push_back(double(a)); // some of them are empty
    last.push_back(double(b));
  }
  size_t queries = told;
  if (c.hasTokens) {
    queries = 5;
    for (size_t i = 0; i < queries; ++i)
      token.push_back(double(any(0, int64_t(told) - 1)));
  }
  auto rows = int64_t(tokens);
  return {values(int64_t(queries), c.heads() * c.size),
          values(rows, c.kvHeads * c.size),
          values(rows, c.kvHeads * c.size),
          column(sequence),
          column(position),
          column(token),
          column(owner),
          column(first),
          column(last),
          random({c.heads(), c.biases}, unsigned(any(1, 1 << 20)), -2, 2)};
}

/// The places that a token's query sees.
std::vector<int64_t> CachedRun::placesOf(const Call &call, size_t token) {
  std::vector<int64_t> places;
  int64_t begin = 0, end = 0;
  if (!c.ownQueries) {
    end = int64_t(call.position.data[token]) + 1;
    begin = c.window ? std::max<int64_t>(0, end - c.window) : 0;
  }
  if (c.hasRanges) {
    auto first = int64_t(call.first.data[token]),
         last = int64_t(call.last.data[token]);
    if (c.ownQueries) {
      begin = first;
      end = last;
    } else if (first < last) {
      begin = std::min(begin, first);
      end = std::max(end, last);
    }
  }
  for (int64_t place = begin; place < end; ++place)
    places.push_back(place);
  return places;
}

std::vector<double> CachedRun::expect(const Call &given) {
  calls.push_back(given);
  const Call &call = calls.back();
  int64_t width = c.kvHeads * c.size;
  for (size_t i = 0; i < call.sequence.data.size(); ++i) {
    std::pair<int64_t, int64_t> at = {int64_t(call.sequence.data[i]),
                                      int64_t(call.position.data[i])};
    heldKeys[at] = call.key.data.data() + int64_t(i) * width;
    heldValues[at] = call.value.data.data() + int64_t(i) * width;
  }
  std::vector<double> result;
  for (int64_t r = 0; r < call.query.rows(); ++r) {
    auto token = size_t(c.hasTokens ? call.token.data[size_t(r)] : double(r));
    auto sequence = int64_t(c.ownQueries ? call.owner.data[token]
                                         : call.sequence.data[token]);
    int64_t position = c.ownQueries ? 0 : int64_t(call.position.data[token]);
    std::vector<int64_t> places = placesOf(call, token);
    for (int64_t head = 0; head < c.heads(); ++head) {
      std::vector<double> one =
          attend(c, call.query.data.data() + r * call.query.width(), head,
                 sequence, position, places, heldKeys, heldValues,
                 c.hasBias ? &call.bias : nullptr);
      result.insert(result.end(), one.begin(), one.end());
    }
  }
  return result;
}

/// The call's buffers in the order of the kernel's operands.
void checkCall(Kernel &kernel, const Cached &c, Cache &cache, const Call &call,
               const std::vector<double> &expected) {
  std::vector<const Tensor *> operands = {&call.query,    &call.key,
                                          &call.value,    nullptr,
                                          &call.sequence, &call.position};
  auto add = [&](bool isThere, const Tensor &tensor) {
    if (isThere)
      operands.push_back(&tensor);
  };
  add(c.hasTokens, call.token);
  add(c.ownQueries, call.owner);
  add(c.hasRanges, call.first);
  add(c.hasRanges, call.last);
  add(c.hasBias, call.bias);
  std::vector<std::vector<uint8_t>> memory;
  std::vector<std::vector<int64_t>> shapes;
  for (size_t i = 0; i < operands.size(); ++i) {
    memory.push_back(operands[i] ? kernel.bytesOf(i, *operands[i])
                                 : std::vector<uint8_t>());
    shapes.push_back(operands[i] ? operands[i]->shape
                                 : std::vector<int64_t>{2, c.kvHeads, c.size});
  }
  memory.emplace_back(kernel.bytesOf(operands.size(), call.query).size(), 0xff);
  shapes.push_back(call.query.shape);
  std::vector<void *> buffers;
  for (size_t i = 0; i < memory.size(); ++i) {
    if (i == 3) {
      buffers.push_back(&cache.layer);
      continue;
    }
    emulator::Buffers::add(memory[i].data(), memory[i].size());
    buffers.push_back(memory[i].data());
  }
  kernel.launch(buffers, shapes);
  Tensor got =
      kernel.valuesOf(operands.size(), memory.back(), call.query.shape);
  for (size_t i = 0; i < memory.size(); ++i)
    if (i != 3)
      emulator::Buffers::remove(memory[i].data());
  ASSERT_EQ(got.data.size(), expected.size());
  double squares = 0;
  for (double x : expected)
    squares += x * x / double(expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(got.data[i], expected[i], 4e-3 * std::sqrt(squares) + 1e-6)
        << "element " << i << " of " << expected.size();
}

/// A long call, one of a few tokens, and one of single ones.
void checkCached(const Cached &c, unsigned seed) {
  std::string text = textOf(c);
  SCOPED_TRACE(text);
  Kernel kernel(text);
  ASSERT_TRUE(kernel.machine) << kernel.error;
  Cache cache(c, 200);
  CachedRun run(c, seed);
  std::vector<int64_t> from(c.lengths.size(), 0), to = c.lengths;
  for (int step = 0; step < 3; ++step) {
    Call call = run.makeCall(from, to);
    for (auto [i, tensor] : {std::pair<size_t, Tensor *>{0, &call.query},
                             {1, &call.key},
                             {2, &call.value}})
      *tensor = kernel.rounded(i, *tensor);
    checkCall(kernel, c, cache, call, run.expect(call));
    from = to;
    for (int64_t &end : to)
      end += step == 0 ? 4 : 1;
  }
}

TEST(CudaCached, HeadsOfEverySize) {
  for (auto [kvHeads, group, size] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 7}, {2, 3, 16}, {1, 4, 64}, {2, 1, 80}, {1, 1, 288}}) {
    Cached c;
    c.kvHeads = kvHeads;
    c.group = group;
    c.size = size;
    checkCached(c, unsigned(size));
  }
}

TEST(CudaCached, WindowsCapsAndBiases) {
  for (int kind = 0; kind < 8; ++kind) {
    Cached c;
    c.group = 2;
    c.size = 24;
    c.window = kind & 1 ? 37 : 0;
    c.softcap = kind & 2 ? 1.5 : 0;
    c.hasBias = kind & 4;
    checkCached(c, 50 + unsigned(kind));
  }
}

TEST(CudaCached, RangesAndTakenQueries) {
  for (int kind = 0; kind < 4; ++kind) {
    Cached c;
    c.kvHeads = 2;
    c.hasRanges = true;
    c.window = kind == 1 ? 20 : 0;
    c.hasTokens = kind == 2;
    c.softcap = kind == 3 ? 2 : 0;
    checkCached(c, 70 + unsigned(kind));
  }
}

TEST(CudaCached, QueriesOfOtherTokens) {
  for (bool hasTokens : {false, true}) {
    Cached c;
    c.group = 2;
    c.ownQueries = c.hasRanges = true;
    c.hasTokens = hasTokens;
    checkCached(c, 80 + unsigned(hasTokens));
  }
}

} // namespace
