//===-- ShapesTest.cpp - kernels of every kind, of sizes by chance --------===//
//
// Sizes come from a generator with a fixed seed: ragged ones, single rows, long
// sequences; and whatever an op can be told is told by chance too. The emulator
// looks for accesses outside of buffers, for races and for misalignment.
//
//===----------------------------------------------------------------------===//
#include "test/codegen/cuda/KernelFixture.h"
#include <array>
#include <gtest/gtest.h>
#include <random>

using namespace vlmc::test;

namespace {

class Chance {
public:
  explicit Chance(unsigned seed) : generator(seed) {}
  int64_t from(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  }
  bool coin() { return from(0, 1) == 1; }
  template <typename T> T of(std::vector<T> values) {
    return values[static_cast<size_t>(
        from(0, static_cast<int64_t>(values.size()) - 1))];
  }
  unsigned seed() { return static_cast<unsigned>(from(1, 1 << 20)); }

private:
  std::mt19937 generator;
};

std::string attribute(const std::string &name, int64_t value) {
  return name + " = " + std::to_string(value) + " : i64";
}

const std::vector<std::string> activations = {
    "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "silu", "tanh"};

std::string rowsOf(const std::string &half) {
  return "f32, #vlm.layout<\"" + half + ".rows\">";
}

/// bf16 has 8 binary digits.
Nearness nearnessOf(const std::string &half, std::set<size_t> wide) {
  return {half == "bf16" ? 3e-2 : 4e-3, {half, std::move(wide)}};
}

//===-- Products ----------------------------------------------------------===//

/// With bias, activation, a residual or a gated one, from memory of either kind
/// to memory of either kind.
TEST(CudaShapes, Products) {
  Chance chance(11);
  for (int round = 0; round < 14; ++round) {
    int64_t n = chance.coin() ? chance.from(1, 200) : 8 * chance.from(1, 24);
    int64_t k = chance.coin() ? chance.from(1, 150) : 8 * chance.from(1, 20);
    std::string half = chance.of<std::string>({"f16", "bf16"});
    std::string x = type({1, 0, k}), w = type({n, k}, rowsOf(half)),
                b = type({n}, vectorForm), y = type({1, 0, n});
    std::string arguments = "%x: " + x + ", %w: " + w, operands = "%x, %w",
                types = x + ", " + w, body;
    bool hasBias = chance.coin();
    if (hasBias) {
      arguments += ", %b: " + b;
      operands += " bias %b";
      types += ", " + b;
    }
    body = "%0 = vlm.linear " + operands + " : (" + types + ") -> " + y + "\n";
    body += "%1 = vlm.activation " + chance.of(activations) + " %0 : " + y +
            "\n%2 = vlm.scale %1 {factor = 0.75 : f64} : " + y + "\n";
    int64_t kind = chance.from(0, 2);
    if (kind == 0)
      body += "%y = vlm.activation identity %2 : " + y;
    else
      arguments += ", %r: " + y;
    if (kind == 1)
      body += "%y = vlm.add %2, %r : " + y + ", " + y;
    if (kind == 2) {
      arguments += ", %g: " + type({1});
      body += "%y = vlm.gated_add %r, %2, %g : " + y + ", " + type({1});
    }
    std::vector<std::vector<Tensor>> cases;
    for (int64_t m : {int64_t(1), chance.from(2, 16), chance.from(17, 300)}) {
      std::vector<Tensor> one = {random({1, m, k}, chance.seed()),
                                 random({n, k}, chance.seed())};
      if (hasBias)
        one.push_back(random({n}, chance.seed()));
      if (kind)
        one.push_back(random({1, m, n}, chance.seed()));
      if (kind == 2)
        one.push_back(random({1}, chance.seed()));
      cases.push_back(one);
    }
    std::set<size_t> wide;
    for (size_t i = 0; i <= cases[0].size(); ++i)
      if (chance.coin())
        wide.insert(i);
    check(kernelText("gemm", arguments, y, body), cases,
          nearnessOf(half, wide));
  }
}

/// Patches, and windows of pictures by planes or by pixels.
TEST(CudaShapes, ProductsOfPictures) {
  Chance chance(12);
  for (int round = 0; round < 4; ++round) {
    int64_t side = chance.from(2, 7), across = chance.from(1, 4),
            down = chance.from(1, 4), channels = chance.from(1, 4),
            d = chance.from(1, 90);
    std::string x = type({0, channels, down * side, across * side}),
                w = type({d, channels, side, side}, halfRows),
                y = type({0, down * across, d});
    check(kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                     "%y = vlm.patch_embed %x, %w : (" + x + ", " + w +
                         ") -> " + y),
          {{random({chance.from(1, 3), channels, down * side, across * side},
                   chance.seed()),
            random({d, channels, side, side}, chance.seed())}});
  }
  for (int round = 0; round < 6; ++round) {
    int64_t height = chance.from(3, 9), width = chance.from(3, 9),
            channels = chance.from(1, 12), d = chance.from(1, 80),
            window = chance.from(1, 3), stride = chance.from(1, 3),
            padding = chance.from(0, window - 1);
    bool planes = chance.coin();
    int64_t down = (height + 2 * padding - window) / stride + 1;
    int64_t across = (width + 2 * padding - window) / stride + 1;
    auto shape = [&](int64_t batch) {
      return planes ? std::vector<int64_t>{batch, channels, height, width}
                    : std::vector<int64_t>{batch, height * width, channels};
    };
    std::string x = type(shape(0)),
                w = type({d, window, window, channels}, halfRows),
                b = type({d}, vectorForm), y = type({0, down * across, d});
    std::string sides = std::to_string(padding);
    check(kernelText(
              "gemm", "%x: " + x + ", %w: " + w + ", %b: " + b, y,
              "%0 = vlm.conv2d %x, %w bias %b {" + attribute("height", height) +
                  ", " + attribute("width", width) + ", " +
                  attribute("stride", stride) +
                  ", padding = array<i64: " + sides + ", " + sides + ", " +
                  sides + ", " + sides + ">} : (" + x + ", " + w + ", " + b +
                  ") -> " + y + "\n%y = vlm.activation relu %0 : " + y),
          {{random(shape(chance.from(1, 3)), chance.seed()),
            random({d, window, window, channels}, chance.seed()),
            random({d}, chance.seed())}});
  }
}

//===-- Attention ---------------------------------------------------------===//

/// What a test of attention asks for.
struct AttentionCase {
  int64_t kvHeads, group, size;
  bool causal = false, hasFlags = false, amongInvalid = false,
       hasPositions = false, hasBias = false, isShared = false;
  int64_t heads() const { return kvHeads * group; }
};

void checkAttention(const AttentionCase &c, Chance &chance,
                    const std::vector<std::array<int64_t, 3>> &sizes) {
  int64_t d = c.heads() * c.size, kv = c.kvHeads * c.size, elements = 33;
  std::string q = type({c.isShared ? 1 : 0, 0, d}), k = type({0, 0, kv}),
              p = type({0, 0}, "i32"), f = type({0, 0}, "i64"),
              b = type({c.heads(), elements}), y = type({0, 0, d});
  std::string arguments = "%q: " + q + ", %k: " + k + ", %v: " + k,
              operands = "%q, %k, %v", types = q + ", " + k + ", " + k;
  auto add = [&](bool isThere, const std::string &word, const std::string &name,
                 const std::string &type) {
    if (!isThere)
      return;
    arguments += ", " + name + ": " + type;
    operands += " " + word + " " + name;
    types += ", " + type;
  };
  add(c.hasPositions, "query_position", "%p", p);
  add(c.hasFlags, "key_valid", "%f", f);
  add(c.hasBias, "distance_bias", "%b", b);
  std::string text =
      kernelText("attention", arguments, y,
                 "%y = vlm.attention " + operands + " {" +
                     attribute("num_heads", c.heads()) + ", " +
                     attribute("num_kv_heads", c.kvHeads) +
                     ", scale = 0.3 : f64" + (c.causal ? ", causal" : "") +
                     (c.amongInvalid ? ", among_invalid" : "") + "} : (" +
                     types + ") -> " + y);
  std::vector<std::vector<Tensor>> cases;
  for (auto [batch, queries, keys] : sizes) {
    std::vector<Tensor> one = {
        random({c.isShared ? 1 : batch, queries, d}, chance.seed(), -2, 2),
        random({batch, keys, kv}, chance.seed(), -2, 2),
        random({batch, keys, kv}, chance.seed())};
    if (c.hasPositions)
      one.push_back(integers({batch, queries}, chance.seed(), 0, keys - 1));
    if (c.hasFlags)
      one.push_back(flags({batch, keys}, chance.seed()));
    if (c.hasBias)
      one.push_back(random({c.heads(), elements}, chance.seed(), -3, 3));
    cases.push_back(one);
  }
  check(text, cases);
}

std::vector<std::array<int64_t, 3>> square(Chance &chance) {
  std::vector<std::array<int64_t, 3>> sizes;
  for (int64_t tokens : {int64_t(1), chance.from(2, 63), chance.from(64, 200)})
    sizes.push_back({chance.from(1, 2), tokens, tokens});
  return sizes;
}

TEST(CudaShapes, AttentionOfEveryMask) {
  Chance chance(21);
  for (int mask = 0; mask < 8; ++mask) {
    AttentionCase c{chance.from(1, 2), chance.from(1, 3),
                    chance.of<int64_t>({5, 16, 24, 40, 64})};
    c.causal = mask & 1;
    c.hasFlags = mask & 2;
    c.hasBias = mask & 4;
    c.amongInvalid = mask == 2;
    SCOPED_TRACE("mask " + std::to_string(mask));
    checkAttention(c, chance, square(chance));
  }
  AttentionCase among{2, 1, 24};
  among.hasFlags = among.amongInvalid = true;
  checkAttention(among, chance, square(chance));
}

/// Queries of other tokens than the keys: at places of their own, or one for
/// all sequences.
TEST(CudaShapes, AttentionOfOtherQueries) {
  Chance chance(22);
  AttentionCase placed{2, 2, 20};
  placed.hasPositions = placed.causal = true;
  checkAttention(placed, chance, {{3, 1, 29}, {2, 5, 130}, {1, 70, 77}});
  placed.hasBias = placed.hasFlags = true;
  checkAttention(placed, chance, {{3, 1, 29}, {2, 5, 130}});
  AttentionCase shared{3, 1, 16};
  shared.isShared = true;
  checkAttention(shared, chance, {{3, 1, 50}, {2, 66, 17}});
  shared.hasFlags = true;
  checkAttention(shared, chance, {{3, 1, 50}});
}

/// One head of many features, and sequences of several blocks of keys.
TEST(CudaShapes, AttentionOfWideHeadsAndLongSequences) {
  Chance chance(23);
  for (int64_t size : {96, 130, 200, 256, 264, 288, 416, 512}) {
    AttentionCase c{1, 1, size};
    c.causal = chance.coin();
    checkAttention(c, chance, {{1, 19, 19}, {1, 1, 1}});
  }
  AttentionCase c{1, 2, 32};
  c.causal = c.hasFlags = true;
  checkAttention(c, chance, {{1, 700, 700}});
}

//===-- Rows --------------------------------------------------------------===//

/// Every row-wise op, with memory of either kind around.
TEST(CudaShapes, Rows) {
  Chance chance(31);
  for (int round = 0; round < 10; ++round) {
    int64_t group = chance.from(1, 40), heads = chance.from(1, 4),
            features = group * heads, tokens = chance.from(1, 40);
    bool ofHeads = chance.coin();
    int64_t size = ofHeads ? group : features;
    std::string x = type({1, 0, features}), w = type({size}),
                g = type({chance.coin() ? int64_t(1) : features});
    int64_t gates = g == type({1}) ? 1 : features;
    std::string norm = chance.of<std::string>({"layer", "rms", "l2"});
    std::string body =
        norm == "layer"
            ? "%0 = vlm.layer_norm %x, %w, %b {epsilon = 1.0e-3 : f64} : " + x +
                  ", " + w + ", " + w
        : norm == "rms" ? "%0 = vlm.rms_norm %x, %w {epsilon = 1.0e-3 : f64, "
                          "offset = 1.0 : f64} : " +
                              x + ", " + w
                        : "%0 = vlm.l2_normalize %x : " + x;
    body += "\n%1 = vlm.activation " + chance.of(activations) + " %0 : " + x +
            "\n%2 = vlm.multiply %1, %u : " + x +
            "\n%3 = vlm.scale %2 {factor = 1.5 : f64} : " + x +
            "\n%4 = vlm.add %3, %x : " + x + ", " + x +
            "\n%y = vlm.gated_add %4, %u, %g : " + x + ", " + g;
    std::set<size_t> wide;
    for (size_t i = 0; i <= 5; ++i)
      if (chance.coin())
        wide.insert(i);
    check(kernelText("rows",
                     "%x: " + x + ", %u: " + x + ", %w: " + w + ", %b: " + w +
                         ", %g: " + g,
                     x, body),
          {{random({1, tokens, features}, chance.seed(), -3, 3),
            random({1, tokens, features}, chance.seed()),
            random({size}, chance.seed()), random({size}, chance.seed()),
            random({gates}, chance.seed(), -2, 2)}},
          nearnessOf(chance.of<std::string>({"f16", "bf16"}), wide));
  }
}

/// Tokens that come from tables, are put before, taken, replaced and merged.
TEST(CudaShapes, RowsOfOtherTokens) {
  Chance chance(32);
  for (int round = 0; round < 4; ++round) {
    int64_t d = chance.from(1, 70), tokens = chance.from(5, 40),
            batch = chance.from(1, 3);
    std::string ids = type({0, 0}, "i64"), table = type({50, d}, halfRows),
                x = type({0, 0, d}), c = type({2, d});
    check(kernelText("rows", "%i: " + ids + ", %t: " + table, x,
                     "%y = vlm.embedding %i, %t : (" + ids + ", " + table +
                         ") -> " + x),
          {{integers({batch, tokens}, chance.seed(), 0, 49),
            random({50, d}, chance.seed())}});
    std::string known = type({0, tokens, d}), more = type({0, tokens + 2, d});
    check(kernelText("rows", "%c: " + c + ", %x: " + known, more,
                     "%y = vlm.prepend_tokens %c, %x : (" + c + ", " + known +
                         ") -> " + more),
          {{random({2, d}, chance.seed()),
            random({batch, tokens, d}, chance.seed())}});
    check(kernelText("rows", "%c: " + c + ", %x: " + x, x,
                     "%y = vlm.replace_tokens %c, %x : " + c + ", " + x),
          {{random({2, d}, chance.seed()),
            random({batch, tokens, d}, chance.seed())}});
    std::string i = type({0, 3}, "i32"), taken = type({0, 3, d}),
                slice = type({0, 4, d});
    check(kernelText("rows", "%x: " + x + ", %i: " + i, taken,
                     "%0 = vlm.take_tokens %x index %i : (" + x + ", " + i +
                         ") -> " + taken +
                         "\n%y = vlm.activation relu %0 : " + taken),
          {{random({batch, tokens, d}, chance.seed()),
            integers({batch, 3}, chance.seed(), 0, tokens - 1)}});
    check(
        kernelText("rows", "%x: " + x, slice,
                   "%y = vlm.slice_tokens %x [1, 5] : (" + x + ") -> " + slice),
        {{random({batch, tokens, d}, chance.seed())}});
    std::string line = type({1, 0, d}), f = type({0, d}),
                r = type({1, 0}, "i32");
    check(
        kernelText("rows", "%x: " + line + ", %f: " + f + ", %r: " + r, line,
                   "%y = vlm.merge_tokens %x, %f, %r : " + line + ", " + f +
                       ", " + r),
        {{random({1, tokens, d}, chance.seed()), random({6, d}, chance.seed()),
          integers({1, tokens}, chance.seed(), -1, 5)}});
    std::string flat = type({0, d});
    check(kernelText("rows", "%x: " + line, flat,
                     "%0 = vlm.squeeze %x : (" + line + ") -> " + flat +
                         "\n%y = vlm.activation silu %0 : " + flat),
          {{random({1, tokens, d}, chance.seed())}});
  }
}

/// Rotations, and the table that they take.
TEST(CudaShapes, RowsRotated) {
  Chance chance(33);
  for (const char *kind : {"", "interleaved, "})
    for (int round = 0; round < 3; ++round) {
      int64_t half = chance.from(1, 20), head = 2 * half + chance.from(0, 9),
              heads = chance.from(1, 4), tokens = chance.from(1, 20);
      std::string x = type({1, 0, heads * head}), t = type({1, 0, 2 * half});
      check(kernelText("rows", "%x: " + x + ", %t: " + t, x,
                       std::string("%y = vlm.rope %x, %t {") + kind +
                           attribute("num_heads", heads) + "} : " + x + ", " +
                           t),
            {{random({1, tokens, heads * head}, chance.seed()),
              random({1, tokens, 2 * half}, chance.seed())}},
            {4e-3, {"f16", {1}}});
    }
  std::string p = type({1, 0}, "i32"), y = type({1, 0, 6});
  check(kernelText("rows", "%p: " + p, y,
                   "%y = vlm.rope_table %p {frequencies = array<f32: 1.0, 0.3, "
                   "0.01>, scale = 1.25 : f64} : (" +
                       p + ") -> " + y),
        {{integers({1, 90}, chance.seed(), 0, 100000)}}, {1e-5, {"f16", {1}}});
}

/// Pictures: pools, moments of groups and what is normalised by them, features
/// that are hidden, pixels side by side.
TEST(CudaShapes, RowsOfPictures) {
  Chance chance(34);
  for (int round = 0; round < 6; ++round) {
    int64_t size = chance.from(1, 3), down = chance.from(1, 4),
            across = chance.from(1, 4), groups = chance.from(1, 6),
            channels = groups * chance.from(1, 9), batch = chance.from(1, 3);
    int64_t pixels = down * across * size * size;
    std::string x = type({0, pixels, channels}), m = type({0, groups, 2}),
                w = type({channels}), p = type({0, down * across, channels});
    std::string sizes = attribute("height", down * size) + ", " +
                        attribute("width", across * size) + ", " +
                        attribute("size", size);
    Tensor picture = random({batch, pixels, channels}, chance.seed(), -1, 5);
    check(kernelText("rows", "%x: " + x, p,
                     "%y = vlm.average_pool %x {" + sizes + "} : (" + x +
                         ") -> " + p),
          {{picture}});
    std::string u = type({0, down * across, size * size * channels});
    for (const char *order : {"", ", transposed"})
      check(kernelText("rows", "%x: " + x, u,
                       "%y = vlm.pixel_unshuffle %x {" + sizes + order +
                           "} : (" + x + ") -> " + u),
            {{picture}});
    check(kernelText("rows", "%x: " + x, m,
                     "%y = vlm.group_moments %x {" +
                         attribute("groups", groups) +
                         ", epsilon = 1.0e-03 : f64} : (" + x + ") -> " + m),
          {{picture}}, {1e-5, {"f16", {1}}});
    check(kernelText("rows",
                     "%x: " + x + ", %m: " + m + ", %w: " + w + ", %b: " + w, x,
                     "%0 = vlm.group_norm %x, %m, %w, %b : " + x + ", " + m +
                         ", " + w + "\n%y = vlm.activation silu %0 : " + x),
          {{picture, random({batch, groups, 2}, chance.seed()),
            random({channels}, chance.seed()),
            random({channels}, chance.seed())}},
          {4e-3, {"f16", {1, 2, 3}}});
    check(kernelText(
              "rows", "%x: " + x, x,
              "%0 = vlm.mask_features %x {ranges = array<i64: 0, 1>} : " + x +
                  "\n%y = vlm.activation sigmoid %0 : " + x),
          {{picture}});
  }
}

/// A group of many elements, far from zero: sums of one thread lose digits.
TEST(CudaShapes, MomentsOfLargeGroups) {
  std::string x = type({0, 4096, 16}), m = type({0, 2, 2});
  check(kernelText("rows", "%x: " + x, m,
                   "%y = vlm.group_moments %x {groups = 2 : i64, epsilon = "
                   "1.0e-06 : f64} : (" +
                       x + ") -> " + m),
        {{random({1, 4096, 16}, 5, 30, 31)}}, {2e-6, {"f16", {1}}});
}

//===-- Elements ----------------------------------------------------------===//

TEST(CudaShapes, Elements) {
  Chance chance(41);
  for (int round = 0; round < 4; ++round) {
    int64_t a = chance.from(1, 40), b = chance.from(1, 40),
            tokens = chance.from(1, 50), batch = chance.from(1, 3);
    std::string x = type({0, 0, a}), z = type({0, 0, b}),
                y = type({0, 0, 2 * a + b}), mean = type({0, a});
    check(kernelText("rows", "%a: " + x + ", %b: " + z, y,
                     "%y = vlm.concat_features %a, %b, %a : (" + x + ", " + z +
                         ", " + x + ") -> " + y),
          {{random({batch, tokens, a}, chance.seed()),
            random({batch, tokens, b}, chance.seed())}});
    check(kernelText("rows", "%x: " + x, mean,
                     "%y = vlm.mean_tokens %x : (" + x + ") -> " + mean),
          {{random({batch, tokens, a}, chance.seed())}});
    std::string ids = type({0, 0}, "i64"), at = type({0, 1}, "i32");
    for (const char *kind : {"first_equal", "argmax"})
      check(kernelText("rows", "%i: " + ids, at,
                       std::string("%y = vlm.token_index ") + kind +
                           " %i {id = 2 : i64} : (" + ids + ") -> " + at),
            {{integers({batch, tokens}, chance.seed(), 0, 9)}});
    std::string l = type({0, 0}, "i32");
    check(kernelText("rows", "%x: " + x, l,
                     "%y = vlm.least_feature %x : (" + x + ") -> " + l),
          {{random({batch, tokens, a}, chance.seed())},
           {integers({batch, tokens, a}, chance.seed(), 0, 3)}},
          {4e-3, {"f16", {0}}});
    std::string i = type({0, a}), s = type({1}), all = type({0, 0});
    check(kernelText("contrast",
                     "%i: " + i + ", %t: " + i + ", %s: " + s + ", %b: " + s,
                     all,
                     "%y = vlm.contrastive_logits %i, %t, %s bias %b : (" + i +
                         ", " + i + ", " + s + ", " + s + ") -> " + all),
          {{random({batch, a}, chance.seed()),
            random({chance.from(1, 20), a}, chance.seed()), Tensor{{1}, {2.65}},
            Tensor{{1}, {-1.5}}}});
  }
}

/// Sums beyond what f16 holds end at its last number, and make no infinity.
TEST(CudaShapes, SumsBeyondF16) {
  std::string x = type({1, 0, 8}), w = type({16, 8}, halfRows),
              y = type({1, 0, 16});
  Kernel kernel(
      kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                 "%y = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + y));
  ASSERT_TRUE(kernel.machine) << kernel.error;
  Tensor left{{1, 2, 8}, std::vector<double>(16, 400)},
      right{{16, 8}, std::vector<double>(128, 200)},
      result{{1, 2, 16}, std::vector<double>(32)};
  right.data[0] = -30000;
  std::vector<double> got = kernel.run({left, right}, result);
  EXPECT_EQ(got[0], -65504);
  for (size_t i = 1; i < 16; ++i)
    EXPECT_EQ(got[i], 65504);
}

} // namespace
