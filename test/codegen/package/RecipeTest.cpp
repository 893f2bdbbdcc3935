//===-- RecipeTest.cpp - recipes against a straightforward evaluation -----===//
#include "codegen/package/Recipe.h"
#include "codegen/package/Convert.h"
#include "mlir/IR/Builders.h"
#include "test/codegen/package/Support.h"
#include "llvm/ADT/APFloat.h"
#include <bit>
#include <numeric>
#include <random>

using namespace vlmc;
using namespace vlmc::test;
using vlmc::vlm::RecipeAttr;
using vlmc::vlm::RecipeKind;

//===-- Conversions -------------------------------------------------------===//

/// What LLVM's own arithmetic makes of the bits of another format.
static uint32_t convertBits(const llvm::fltSemantics &from, uint64_t bits,
                            const llvm::fltSemantics &to) {
  llvm::APFloat value(from,
                      llvm::APInt(llvm::APFloat::getSizeInBits(from), bits));
  bool lost;
  value.convert(to, llvm::APFloat::rmNearestTiesToEven, &lost);
  return value.bitcastToAPInt().getZExtValue();
}

static bool isNan(uint32_t bits) { return (bits & 0x7fffffff) > 0x7f800000; }

TEST(Convert, EveryHalfAndBfloat) {
  const auto &f32 = llvm::APFloat::IEEEsingle();
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    auto half = std::bit_cast<uint32_t>(halfToFloat(bits));
    auto bfloat = std::bit_cast<uint32_t>(bfloatToFloat(bits));
    uint32_t wantHalf = convertBits(llvm::APFloat::IEEEhalf(), bits, f32);
    uint32_t wantBfloat = convertBits(llvm::APFloat::BFloat(), bits, f32);
    ASSERT_TRUE(half == wantHalf || (isNan(half) && isNan(wantHalf))) << bits;
    ASSERT_TRUE(bfloat == wantBfloat || (isNan(bfloat) && isNan(wantBfloat)))
        << bits;
    if (isNan(half)) {
      EXPECT_TRUE(isNan(std::bit_cast<uint32_t>(
          halfToFloat(floatToHalf(std::bit_cast<float>(half))))));
    } else {
      EXPECT_EQ(floatToHalf(std::bit_cast<float>(half)), bits);
    }
    if (!isNan(bfloat)) {
      EXPECT_EQ(floatToBfloat(std::bit_cast<float>(bfloat)), bits);
    }
  }
}

TEST(Convert, RoundsToNearestEven) {
  // Around every half and bfloat: the value itself, halfway to the next and the
  // neighbours of both.
  auto check = [](uint32_t bits) {
    if (isNan(bits))
      return;
    const auto &f32 = llvm::APFloat::IEEEsingle();
    auto value = std::bit_cast<float>(bits);
    ASSERT_EQ(floatToHalf(value),
              convertBits(f32, bits, llvm::APFloat::IEEEhalf()))
        << bits;
    ASSERT_EQ(floatToBfloat(value),
              convertBits(f32, bits, llvm::APFloat::BFloat()))
        << bits;
  };
  for (uint32_t i = 0; i <= 0xffff; ++i)
    for (uint32_t base : {std::bit_cast<uint32_t>(halfToFloat(i)), i << 16})
      for (uint32_t offset : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x7fffu,
                              0x8000u, 0x8001u, 0xffffffffu})
        check(base + offset);
}

//===-- A straightforward evaluation --------------------------------------===//

namespace {
/// A whole tensor, row by row.
struct Dense {
  std::vector<int64_t> shape;
  std::vector<float> values;

  int64_t offset(const std::vector<int64_t> &index) const {
    int64_t result = 0;
    for (size_t i = 0; i < shape.size(); ++i)
      result = result * shape[i] + index[i];
    return result;
  }
};
} // namespace

template <typename Function>
static void forEachIndex(const std::vector<int64_t> &shape, Function function) {
  std::vector<int64_t> index(shape.size());
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    for (size_t axis = shape.size(); axis-- > 0;) {
      index[axis] = rest % shape[axis];
      rest /= shape[axis];
    }
    function(index, i);
  }
}

static Dense evaluateWhole(RecipeAttr recipe, const WeightSource &source);

static Dense evaluateJoin(RecipeAttr recipe, const WeightSource &source) {
  Dense result{recipe.getType().getShape().vec(), {}};
  result.values.resize(recipe.getType().getNumElements());
  int64_t axis = recipe.getParams()[0];
  int64_t first = 0;
  for (RecipeAttr input : recipe.getInputs()) {
    Dense part = evaluateWhole(input, source);
    forEachIndex(part.shape, [&](std::vector<int64_t> index, int64_t i) {
      index[axis] += first;
      result.values[result.offset(index)] = part.values[i];
    });
    first += part.shape[axis];
  }
  return result;
}

static float readElement(const WeightTensor &tensor, int64_t i) {
  uint64_t bits = 0;
  int64_t size = storedTypeBytes(tensor.type);
  std::memcpy(&bits, tensor.data + i * size, size);
  switch (tensor.type) {
  case StoredType::F32:
    return std::bit_cast<float>(static_cast<uint32_t>(bits));
  case StoredType::F16:
    return std::bit_cast<float>(convertBits(llvm::APFloat::IEEEhalf(), bits,
                                            llvm::APFloat::IEEEsingle()));
  case StoredType::BF16:
    return std::bit_cast<float>(static_cast<uint32_t>(bits << 16));
  case StoredType::F64:
    return static_cast<float>(std::bit_cast<double>(bits));
  case StoredType::U8:
  case StoredType::Bool:
    return static_cast<float>(bits);
  default:
    return static_cast<float>(static_cast<int64_t>(bits << (64 - 8 * size)) >>
                              (64 - 8 * size));
  }
}

static Dense evaluateWhole(RecipeAttr recipe, const WeightSource &source) {
  std::vector<int64_t> shape = recipe.getType().getShape().vec();
  Dense result{shape, std::vector<float>(recipe.getType().getNumElements())};
  if (recipe.getKind() == RecipeKind::Read) {
    const WeightTensor *tensor = source.find(recipe.getName().getValue());
    for (size_t i = 0; i < result.values.size(); ++i)
      result.values[i] = readElement(*tensor, i);
    return result;
  }
  if (recipe.getKind() == RecipeKind::Concat)
    return evaluateJoin(recipe, source);
  if (recipe.getKind() == RecipeKind::Count) {
    for (size_t i = 0; i < result.values.size(); ++i)
      result.values[i] =
          static_cast<float>(recipe.getParams()[0] + static_cast<int64_t>(i));
    return result;
  }
  Dense input = evaluateWhole(recipe.getInputs()[0], source);
  Dense other;
  if (recipe.getKind() == RecipeKind::Add ||
      recipe.getKind() == RecipeKind::ScaleRows ||
      recipe.getKind() == RecipeKind::Linear)
    other = evaluateWhole(recipe.getInputs()[1], source);
  forEachIndex(shape, [&](std::vector<int64_t> index, int64_t i) {
    float &out = result.values[i];
    switch (recipe.getKind()) {
    case RecipeKind::Transpose: {
      std::vector<int64_t> from(index.size());
      for (size_t axis = 0; axis < index.size(); ++axis)
        from[recipe.getParams()[axis]] = index[axis];
      out = input.values[input.offset(from)];
      break;
    }
    case RecipeKind::Slice:
      index[recipe.getParams()[0]] += recipe.getParams()[1];
      out = input.values[input.offset(index)];
      break;
    case RecipeKind::Scale:
      out = input.values[i] *
            static_cast<float>(recipe.getFactor().getValueAsDouble());
      break;
    case RecipeKind::Exp:
      out = static_cast<float>(std::exp(double(input.values[i])));
      break;
    case RecipeKind::Add:
      out = input.values[i] + other.values[i];
      break;
    case RecipeKind::ScaleRows:
      out = input.values[i] * other.values[index[0]];
      break;
    case RecipeKind::InverseRoot:
      out = static_cast<float>(
          1 / std::sqrt(double(input.values[i]) +
                        recipe.getFactor().getValueAsDouble()));
      break;
    case RecipeKind::TakeRows:
      index[0] = recipe.getParams()[size_t(index[0])];
      out = input.values[input.offset(index)];
      break;
    case RecipeKind::RowSquares: {
      double squares = 0;
      for (int64_t j = 0; j < input.shape[1]; ++j)
        squares += std::pow(double(input.values[i * input.shape[1] + j]), 2);
      out = static_cast<float>(squares);
      break;
    }
    case RecipeKind::Linear: {
      int64_t n = index.back(), k = input.shape.back();
      int64_t row = i / shape.back();
      out = 0;
      for (int64_t j = 0; j < k; ++j)
        out = std::fma(input.values[row * k + j], other.values[n * k + j], out);
      if (recipe.getInputs().size() == 3)
        out += evaluateWhole(recipe.getInputs()[2], source).values[n];
      break;
    }
    case RecipeKind::Convert: {
      mlir::Type type = recipe.getType().getElementType();
      out = input.values[i];
      if (type.isF16())
        out = halfToFloat(floatToHalf(out));
      else if (type.isBF16())
        out = bfloatToFloat(floatToBfloat(out));
      break;
    }
    default: // reshape, pack
      out = input.values[i];
    }
  });
  return result;
}

/// The bytes of a value in the stored type.
static void appendStored(std::vector<uint8_t> &bytes, llvm::StringRef dtype,
                         float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  size_t size = 4;
  if (dtype != "F32") {
    bits = dtype == "F16" ? floatToHalf(value) : floatToBfloat(value);
    size = 2;
  }
  for (size_t i = 0; i < size; ++i)
    bytes.push_back(uint8_t(bits >> (8 * i)));
}

/// [N, 3, 3, C] as [ceil(N/16), 16, C, 16], by the matrix G of the paper.
static std::vector<float> transformWindows(const Dense &weight) {
  const double g[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
  int64_t n = weight.shape[0], channels = weight.shape[3];
  std::vector<float> out((n + 15) / 16 * 16 * 16 * channels);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t place = 0; place < 16; ++place) {
        double sum = 0;
        for (int64_t tap = 0; tap < 9; ++tap)
          sum += g[place / 4][tap / 3] * g[place % 4][tap % 3] *
                 double(weight.values[(i * 9 + tap) * channels + c]);
        out[((i / 16 * 16 + place) * channels + c) * 16 + i % 16] = float(sum);
      }
  return out;
}

/// The stored form, element by element.
static std::vector<uint8_t> storeWhole(RecipeAttr recipe,
                                       const WeightSource &source) {
  Dense dense = evaluateWhole(recipe, source);
  StoredForm form = getStoredForm(recipe);
  auto [storage, order] = llvm::StringRef(form.layout).split('.');
  EXPECT_EQ(form.dtype, storage.upper());
  std::vector<float> stored = dense.values;
  if (order == "vector") {
    stored.resize((stored.size() + 15) / 16 * 16, 0.0f);
  } else if (order == "panel16") {
    int64_t n = dense.shape[0];
    int64_t k = dense.values.size() / n;
    int64_t depth = storage == "bf16" ? (k + 1) / 2 * 2 : k;
    stored.assign((n + 15) / 16 * 16 * depth, 0.0f);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < k; ++j) {
        int64_t panel = i / 16 * depth * 16;
        int64_t at = storage == "bf16" ? j / 2 * 32 + i % 16 * 2 + j % 2
                                       : j * 16 + i % 16;
        stored[panel + at] = dense.values[i * k + j];
      }
  }
  if (order == "winograd16")
    stored = transformWindows(dense);
  std::vector<uint8_t> bytes;
  for (float value : stored)
    appendStored(bytes, form.dtype, value);
  return bytes;
}

/// Evaluates by pieces of several sizes and compares bits.
static void expectEqual(RecipeAttr recipe, const WeightSource &source) {
  ASSERT_EQ(messageOf(checkRecipe("w", recipe, source)), "");
  std::vector<uint8_t> want = storeWhole(recipe, source);
  ASSERT_EQ(want.size(), getStoredForm(recipe).bytes);
  for (uint64_t pieceBytes : {1, 100, 4096, 1 << 20}) {
    std::vector<uint8_t> got;
    auto sink = [&](uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
      EXPECT_EQ(offset, got.size());
      got.insert(got.end(), bytes.begin(), bytes.end());
      return llvm::Error::success();
    };
    ASSERT_EQ(messageOf(evaluateRecipe("w", recipe, source, sink, pieceBytes)),
              "");
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_EQ(got[i], want[i])
          << "byte " << i << " with pieces of " << pieceBytes << " bytes";
  }
}

static std::vector<float> randomFloats(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

//===-- Every step --------------------------------------------------------===//

TEST_F(RecipeTest, EveryStoredType) {
  TestSource source;
  mlir::Builder b(&context);
  source.add<double>("f64", StoredType::F64, {3}, {1.0, 1e-40, -1.0 / 3});
  source.add<int64_t>("i64", StoredType::I64, {2}, {-5, (1 << 25) + 1});
  source.add<int32_t>("i32", StoredType::I32, {2}, {-5, 1 << 30});
  source.add<int16_t>("i16", StoredType::I16, {2}, {-5, 300});
  source.add<int8_t>("i8", StoredType::I8, {2}, {-5, 127});
  source.add<uint8_t>("u8", StoredType::U8, {2}, {5, 255});
  source.add<uint8_t>("bool", StoredType::Bool, {2}, {0, 1});
  source.add<uint16_t>("f16", StoredType::F16, {3}, {0x3c01, 1, 0xfbff});
  source.add<uint16_t>("bf16", StoredType::BF16, {3}, {0x3f81, 1, 0xff7f});
  std::vector<RecipeAttr> reads = {
      read("f64", {3}, b.getF64Type()),
      read("i64", {2}, b.getI64Type()),
      read("i32", {2}, b.getI32Type()),
      read("i16", {2}, b.getIntegerType(16)),
      read("i8", {2}, b.getIntegerType(8)),
      read("u8", {2}, b.getIntegerType(8, /*isSigned=*/false)),
      read("bool", {2}, b.getI1Type()),
      read("f16", {3}, f16()),
      read("bf16", {3}, bf16())};
  for (RecipeAttr recipe : reads)
    expectEqual(RecipeAttr::convert(f32(), recipe), source);
}

TEST_F(RecipeTest, EveryStep) {
  TestSource source;
  source.add("a", StoredType::F32, {5, 7}, randomFloats(35, 1));
  source.add("b", StoredType::F32, {2, 7}, randomFloats(14, 2));
  source.add("c", StoredType::F32, {5, 3}, randomFloats(15, 3));
  source.add("s", StoredType::F32, {}, randomFloats(1, 4));
  RecipeAttr a = read("a", {5, 7}), b = read("b", {2, 7}),
             c = read("c", {5, 3});
  expectEqual(a, source);
  expectEqual(RecipeAttr::concat(0, {a, b, a}), source);
  expectEqual(RecipeAttr::concat(1, {c, a}), source);
  expectEqual(RecipeAttr::transpose({1, 0}, a), source);
  expectEqual(RecipeAttr::slice(0, 1, 4, a), source);
  expectEqual(RecipeAttr::slice(1, 2, 3, a), source);
  expectEqual(RecipeAttr::scale(0.1, a), source);
  expectEqual(RecipeAttr::exp(a), source);
  expectEqual(RecipeAttr::reshape({7, 5}, a), source);
  expectEqual(RecipeAttr::reshape({1}, read("s", {})), source);
  expectEqual(read("s", {}), source);
  expectEqual(RecipeAttr::add(a, RecipeAttr::reshape({5, 7}, a)), source);
  source.add("d", StoredType::F32, {5}, randomFloats(5, 5));
  source.add("e", StoredType::F16, {1, 2, 7},
             std::vector<uint16_t>(14, 0x3555));
  RecipeAttr e = RecipeAttr::convert(f32(), read("e", {1, 2, 7}, f16()));
  expectEqual(RecipeAttr::scaleRows(a, read("d", {5})), source);
  expectEqual(RecipeAttr::scaleRows(read("d", {5}), read("d", {5})), source);
  expectEqual(
      RecipeAttr::transpose({1, 0}, RecipeAttr::scaleRows(a, read("d", {5}))),
      source);
  source.add("v", StoredType::F32, {5},
             std::vector<float>{0.25F, 1, 0, 3.5F, 100});
  expectEqual(RecipeAttr::inverseRoot(1e-3, read("v", {5})), source);
  expectEqual(RecipeAttr::rowSquares(a), source);
  expectEqual(RecipeAttr::slice(0, 1, 4, RecipeAttr::rowSquares(a)), source);
  expectEqual(RecipeAttr::takeRows({4, 0, 0, 2, 1, 4}, a), source);
  expectEqual(
      RecipeAttr::transpose({1, 0}, RecipeAttr::takeRows({1, 3, 3}, a)), source);
  expectEqual(RecipeAttr::slice(0, 1, 3, RecipeAttr::takeRows({0, 4, 2, 1}, a)),
              source);
  RecipeAttr count = RecipeAttr::count(-3, 7, a.getContext());
  expectEqual(count, source);
  expectEqual(RecipeAttr::slice(1, 2, 6, count), source);
  expectEqual(RecipeAttr::concat(0, {RecipeAttr::scale(-0.25, count),
                                     RecipeAttr::scale(0, count)}),
              source);
  expectEqual(RecipeAttr::transpose({1, 0}, count), source);
  expectEqual(RecipeAttr::reshape({7}, count), source);
  expectEqual(RecipeAttr::linear({b, a}), source);
  expectEqual(RecipeAttr::linear({e, a, read("d", {5})}), source);
  expectEqual(RecipeAttr::slice(2, 1, 4, RecipeAttr::linear({e, a})), source);
  expectEqual(RecipeAttr::convert(f32(), RecipeAttr::convert(f16(), a)),
              source);
  expectEqual(RecipeAttr::convert(f32(), RecipeAttr::convert(bf16(), a)),
              source);
}

TEST_F(RecipeTest, EveryLayout) {
  TestSource source;
  for (int64_t n : {1, 15, 16, 17, 32, 50})
    for (int64_t k : {1, 3, 64}) {
      std::string name = std::to_string(n) + "x" + std::to_string(k);
      source.add(name, StoredType::F32, {n, k}, randomFloats(n * k, n + k));
      RecipeAttr w = read(name, {n, k});
      for (const char *storage : {"f32", "bf16", "f16"})
        for (const char *order : {".panel16", ".rows"})
          expectEqual(RecipeAttr::pack(std::string(storage) + order, w),
                      source);
      expectEqual(
          RecipeAttr::pack("f32.vector", RecipeAttr::reshape({n * k}, w)),
          source);
    }
  source.add("patch", StoredType::F32, {18, 3, 7, 7}, randomFloats(2646, 9));
  RecipeAttr patch = read("patch", {18, 3, 7, 7});
  RecipeAttr packed = RecipeAttr::pack("f32.panel16", patch);
  expectEqual(packed, source);
  EXPECT_EQ(getStoredForm(packed).shape, (std::vector<int64_t>{2, 147, 16}));
  expectEqual(
      RecipeAttr::pack("f32.panel16", RecipeAttr::reshape({18, 147}, patch)),
      source);
  // Halves and quarters of sums of small integers are exact in any order.
  std::vector<float> small(18 * 9 * 5);
  for (size_t i = 0; i < small.size(); ++i)
    small[i] = float(i * 37 % 101) - 50;
  source.add("conv", StoredType::F32, {18, 3, 3, 5}, small);
  packed = RecipeAttr::pack("f32.winograd16", read("conv", {18, 3, 3, 5}));
  expectEqual(packed, source);
  EXPECT_EQ(getStoredForm(packed).shape, (std::vector<int64_t>{2, 16, 5, 16}));
}

/// What is stored in 16 bits keeps its bits, and is half as large.
TEST_F(RecipeTest, NarrowLayoutsKeepBits) {
  TestSource source;
  std::vector<uint16_t> bits(32 * 64);
  for (size_t i = 0; i < bits.size(); ++i) {
    bits[i] = uint16_t(i * 31);
    if ((bits[i] & 0x7fff) > 0x7f80)
      bits[i] |= 0x40; // NaNs become quiet
  }
  source.add("b", StoredType::BF16, {32, 64}, bits);
  source.add("h", StoredType::F16, {32, 64}, bits);
  auto convert = [&](const char *name, mlir::Type type) {
    return RecipeAttr::convert(f32(), read(name, {32, 64}, type));
  };
  for (auto [weight, storage] : {std::pair(convert("b", bf16()), "bf16"),
                                 std::pair(convert("h", f16()), "f16")})
    for (const char *order : {".panel16", ".rows"}) {
      RecipeAttr packed =
          RecipeAttr::pack(std::string(storage) + order, weight);
      expectEqual(packed, source);
      EXPECT_EQ(getStoredForm(packed).bytes, bits.size() * 2);
    }
  std::vector<uint8_t> got;
  ASSERT_EQ(
      messageOf(evaluateRecipe(
          "w", RecipeAttr::pack("bf16.rows", convert("b", bf16())), source,
          [&](uint64_t, llvm::ArrayRef<uint8_t> bytes) {
            got.insert(got.end(), bytes.begin(), bytes.end());
            return llvm::Error::success();
          })),
      "");
  EXPECT_EQ(std::memcmp(got.data(), bits.data(), got.size()), 0);
}

TEST_F(RecipeTest, TooLargeForHalf) {
  TestSource source;
  source.add<float>("w", StoredType::F32, {2, 2}, {1, 65504, -65519, 65520});
  auto drop = [](uint64_t, llvm::ArrayRef<uint8_t>) {
    return llvm::Error::success();
  };
  for (const char *layout : {"f16.panel16", "f16.rows"})
    EXPECT_EQ(
        messageOf(evaluateRecipe("text.up",
                                 RecipeAttr::pack(layout, read("w", {2, 2})),
                                 source, drop)),
        "weight 'text.up' holds 65520.000000, which is beyond the range of f16 "
        "(65504); store the weights with --weights bf16 or f32");
}

TEST_F(RecipeTest, RandomTrees) {
  TestSource source;
  source.add("x", StoredType::F32, {4, 6, 10}, randomFloats(240, 5));
  std::vector<uint16_t> halves;
  for (float value : randomFloats(240, 6))
    halves.push_back(floatToHalf(value));
  source.add("h", StoredType::F16, {4, 6, 10}, halves);
  RecipeAttr x = read("x", {4, 6, 10});
  RecipeAttr h = RecipeAttr::convert(f32(), read("h", {4, 6, 10}, f16()));
  std::mt19937 random(7);
  auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  for (int tree = 0; tree < 300; ++tree) {
    RecipeAttr recipe = below(2) ? x : h;
    for (int step = 0; step < 6; ++step) {
      llvm::ArrayRef<int64_t> shape = recipe.getType().getShape();
      int64_t axis = below(shape.size());
      switch (below(7)) {
      case 0:
        if (recipe.getType().getNumElements() < 2000)
          recipe = RecipeAttr::concat(axis, {recipe, recipe});
        break;
      case 1: {
        std::vector<int64_t> order(shape.size());
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random);
        recipe = RecipeAttr::transpose(order, recipe);
        break;
      }
      case 2: {
        int64_t begin = below(shape[axis]);
        recipe = RecipeAttr::slice(
            axis, begin, begin + 1 + below(shape[axis] - begin), recipe);
        break;
      }
      case 3:
        recipe = RecipeAttr::scale(0.5 + tree, recipe);
        break;
      case 4: {
        // Merge the first two axes, or split one off.
        std::vector<int64_t> to(shape.begin(), shape.end());
        if (to.size() > 1 && below(2)) {
          to[1] *= to[0];
          to.erase(to.begin());
        } else if (to.back() % 2 == 0) {
          to.back() /= 2;
          to.push_back(2);
        }
        recipe = RecipeAttr::reshape(to, recipe);
        break;
      }
      case 5:
        recipe = RecipeAttr::add(recipe, RecipeAttr::scale(-2, recipe));
        break;
      default:
        recipe = RecipeAttr::convert(f32(), RecipeAttr::convert(f16(), recipe));
      }
    }
    const char *layouts[] = {"f32.rows", "f32.vector", "f32.panel16"};
    recipe = RecipeAttr::pack(
        layouts[recipe.getType().getRank() < 2 ? below(2) : below(3)], recipe);
    ASSERT_NO_FATAL_FAILURE(expectEqual(recipe, source)) << "tree " << tree;
  }
}

//===-- Messages ----------------------------------------------------------===//

TEST_F(RecipeTest, TellsOfMissingAndWrongTensors) {
  TestSource source;
  source.add("w", StoredType::F16, {4, 3}, std::vector<uint16_t>(12));
  EXPECT_EQ(messageOf(checkRecipe("vision.proj", read("v", {4, 3}), source)),
            "the checkpoint has no tensor 'v', which weight 'vision.proj' is "
            "made of (expected F32 [4, 3])");
  EXPECT_EQ(messageOf(checkRecipe("vision.proj", read("w", {4, 3}), source)),
            "model.safetensors: tensor 'w' of weight 'vision.proj': expected "
            "F32 [4, 3], found F16 [4, 3]");
  RecipeAttr shape = RecipeAttr::convert(f32(), read("w", {3, 4}, f16()));
  EXPECT_EQ(messageOf(checkRecipe("vision.proj", shape, source)),
            "model.safetensors: tensor 'w' of weight 'vision.proj': expected "
            "F16 [3, 4], found F16 [4, 3]");
  source.get("w").bytes = 23;
  RecipeAttr right = RecipeAttr::convert(f32(), read("w", {4, 3}, f16()));
  EXPECT_EQ(messageOf(checkRecipe("vision.proj", right, source)),
            "model.safetensors: tensor 'w': expected 24 bytes, found 23");
}

TEST_F(RecipeTest, RejectsRecipesThatCannotBeStored) {
  TestSource source;
  source.add("w", StoredType::F16, {4}, std::vector<uint16_t>(4));
  RecipeAttr half = read("w", {4}, f16());
  EXPECT_EQ(messageOf(checkRecipe("w", half, source)),
            "weight 'w' ends in F16 [4]: expected F32 (a recipe ends in a "
            "'convert')");
  RecipeAttr single = RecipeAttr::convert(f32(), half);
  EXPECT_EQ(messageOf(checkRecipe("w", RecipeAttr::pack("f32.panel16", single),
                                  source)),
            "weight 'w': layout f32.panel16 needs [N, K], found F32 [4]");
  RecipeAttr nested =
      RecipeAttr::pack("f32.rows", RecipeAttr::pack("f32.vector", single));
  EXPECT_EQ(messageOf(checkRecipe("w", nested, source)),
            "weight 'w': 'pack' must be the last step of its recipe");
}
