//===-- Matrix.cpp - mma.sync, ldmatrix and stmatrix ----------------------===//
//
// The layouts of fragments are those of the PTX manual, "Matrix fragments for
// mma.m16n8k16" and the like: g = lane / 4 is a row of A and D and a column of
// B, t = lane % 4 a pair of columns. Products are summed in f32.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Calls.h"
#include "test/emulator/Half.h"
#include <cstring>

using namespace vlmc::emulator;

//===-- Products ----------------------------------------------------------===//

static constexpr int rows = 16, columns = 8;

enum class Element : uint8_t { Half, Brain, Tf32 };

template <Element element> static float widen(uint32_t word, int part) {
  if (element == Element::Tf32)
    return std::bit_cast<float>(word & 0xffffe000U);
  auto bits = static_cast<uint16_t>(word >> (16 * part));
  return element == Element::Half ? halfToFloat(bits) : brainToFloat(bits);
}

/// Words of a lane: `depth` elements a row in registers of 32 bits.
template <Element element, int depth> struct Fragments {
  static constexpr int perWord = element == Element::Tf32 ? 1 : 2;
  static constexpr int span = 4 * perWord; ///< columns that one word covers
  static constexpr int steps = depth / span;
  static constexpr int aWords = 2 * steps, bWords = steps;

  float a[rows][depth], b[depth][columns], sums[rows][columns];

  void readOperands(const uint32_t *in, int lane) {
    int g = lane / 4, t = lane % 4 * perWord;
    for (int step = 0; step < steps; ++step)
      for (int part = 0; part < perWord; ++part) {
        int k = step * span + t + part;
        a[g][k] = widen<element>(in[2 * step], part);
        a[g + 8][k] = widen<element>(in[2 * step + 1], part);
        b[k][g] = widen<element>(in[aWords + step], part);
      }
  }
  /// Calls `body(sum, index)` for the four sums of a lane.
  template <typename Body> void forSums(int lane, Body body) {
    int g = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < 4; ++i)
      body(sums[g + i / 2 * 8][t + i % 2], i);
  }
  void multiply() {
    for (int i = 0; i < rows; ++i)
      for (int k = 0; k < depth; ++k)
        for (int j = 0; j < columns; ++j)
          sums[i][j] += a[i][k] * b[k][j];
  }
};

template <Element element, int depth, bool halfSums>
static void multiplyWarp(Warp &warp) {
  Fragments<element, depth> all;
  constexpr int before = all.aWords + all.bWords;
  for (int lane = 0; lane < 32; ++lane) {
    const auto *in = static_cast<const uint32_t *>(warp.lanes[lane].in);
    all.readOperands(in, lane);
    all.forSums(lane, [&](float &sum, int i) {
      sum = halfSums ? widen<Element::Half>(in[before + i / 2], i % 2)
                     : std::bit_cast<float>(in[before + i]);
    });
  }
  all.multiply();
  for (int lane = 0; lane < 32; ++lane) {
    auto *out = static_cast<char *>(warp.lanes[lane].out);
    all.forSums(lane, [&](float sum, int i) {
      uint16_t narrow = floatToHalf(sum);
      halfSums ? memcpy(out + 2 * i, &narrow, 2) : memcpy(out + 4 * i, &sum, 4);
    });
  }
}

/// All lanes of the warp have to take part.
static void meetAll(Thread &thread, const Site &site, void *out, const void *in,
                    WarpAction action) {
  thread.block->meetWarp(thread, site, allLanes, out, in, action);
}

static void needWhole(Warp &warp) {
  if (warp.mask != allLanes)
    warp.block.fault(*currentThread(), FaultKind::Other,
                     "divergence: " + warp.site.op + " of a warp of which " +
                         std::to_string(32 - __builtin_popcount(warp.mask)) +
                         " lanes are not there",
                     &warp.site);
}

template <Element element, int depth, bool halfSums>
static void multiply(Thread &thread, const Site &site, void *out,
                     const void *in) {
  meetAll(thread, site, out, in, [](Warp &warp) {
    needWhole(warp);
    multiplyWarp<element, depth, halfSums>(warp);
  });
}

/// m16n8k32 and k16 of bytes: a word holds four of a row.
template <int depth, bool isSignedA, bool isSignedB>
static void multiplyBytesWarp(Warp &warp) {
  needWhole(warp);
  static thread_local int32_t a[rows][depth], b[depth][columns];
  constexpr int steps = depth / 16;
  auto byte = [](uint32_t word, int i, bool isSigned) -> int32_t {
    auto bits = static_cast<uint8_t>(word >> (8 * i));
    return isSigned ? static_cast<int8_t>(bits) : bits;
  };
  for (int lane = 0; lane < 32; ++lane) {
    const auto *in = static_cast<const uint32_t *>(warp.lanes[lane].in);
    int g = lane / 4, t = lane % 4 * 4;
    for (int step = 0; step < steps; ++step)
      for (int i = 0; i < 4; ++i) {
        int k = step * 16 + t + i;
        a[g][k] = byte(in[2 * step], i, isSignedA);
        a[g + 8][k] = byte(in[2 * step + 1], i, isSignedA);
        b[k][g] = byte(in[2 * steps + step], i, isSignedB);
      }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const auto *in = static_cast<const int32_t *>(warp.lanes[lane].in);
    auto *out = static_cast<int32_t *>(warp.lanes[lane].out);
    for (int i = 0; i < 4; ++i) {
      int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      int32_t sum = in[3 * steps + i];
      for (int k = 0; k < depth; ++k)
        sum += a[row][k] * b[k][column];
      out[i] = sum;
    }
  }
}

template <int depth, bool isSignedA, bool isSignedB>
static void multiplyBytes(Thread &thread, const Site &site, void *out,
                          const void *in) {
  meetAll(thread, site, out, in,
          multiplyBytesWarp<depth, isSignedA, isSignedB>);
}

//===-- Matrices of 8 x 8 in shared memory --------------------------------===//

/// The address that lane `matrix * 8 + row` gives.
static char *rowAddress(Warp &warp, int matrix, int row, bool isWrite) {
  Thread &thread = warp.lanes[matrix * 8 + row];
  char *address = operands<char *>(thread.in);
  if (warp.block.isChecking())
    warp.block.access(thread, address, 16, 16, isWrite, warp.site);
  return address;
}

template <int count, bool isTransposed> static void loadWarp(Warp &warp) {
  needWhole(warp);
  for (int matrix = 0; matrix < count; ++matrix) {
    uint16_t values[8][8];
    for (int row = 0; row < 8; ++row)
      memcpy(values[row], rowAddress(warp, matrix, row, false), 16);
    for (int lane = 0; lane < 32; ++lane) {
      int row = lane / 4, pair = lane % 4 * 2;
      uint32_t low = isTransposed ? values[pair][row] : values[row][pair];
      uint32_t high =
          isTransposed ? values[pair + 1][row] : values[row][pair + 1];
      static_cast<uint32_t *>(warp.lanes[lane].out)[matrix] = low | high << 16;
    }
  }
}

template <int count, bool isTransposed> static void storeWarp(Warp &warp) {
  needWhole(warp);
  for (int matrix = 0; matrix < count; ++matrix) {
    uint16_t values[8][8];
    for (int lane = 0; lane < 32; ++lane) {
      const char *words =
          static_cast<const char *>(warp.lanes[lane].in) + sizeof(char *);
      int row = lane / 4, pair = lane % 4 * 2;
      for (int i = 0; i < 2; ++i) {
        uint16_t &value =
            isTransposed ? values[pair + i][row] : values[row][pair + i];
        memcpy(&value, words + 4 * matrix + 2 * i, 2);
      }
    }
    for (int row = 0; row < 8; ++row)
      memcpy(rowAddress(warp, matrix, row, true), values[row], 16);
  }
}

template <int count, bool isTransposed>
static void loadMatrices(Thread &thread, const Site &site, void *out,
                         const void *in) {
  meetAll(thread, site, out, in, loadWarp<count, isTransposed>);
}

template <int count, bool isTransposed>
static void storeMatrices(Thread &thread, const Site &site, void *out,
                          const void *in) {
  meetAll(thread, site, out, in, storeWarp<count, isTransposed>);
}

#define VLMC_MMA "mma.m16n8k"
#define VLMC_LOAD "ldmatrix.sync.aligned.m8n8."
#define VLMC_STORE "stmatrix.sync.aligned.m8n8."

std::span<const Call> vlmc::emulator::matrixCalls() {
  static const Call calls[] = {
      {VLMC_MMA "16.row.col.bf16", multiply<Element::Brain, 16, false>, true},
      {VLMC_MMA "16.row.col.f16.f16", multiply<Element::Half, 16, true>, true},
      {VLMC_MMA "16.row.col.f32.f32", multiply<Element::Half, 16, false>, true},
      {VLMC_MMA "16.row.col.s8", multiplyBytes<16, true, true>, true},
      {VLMC_MMA "16.row.col.u8.s8", multiplyBytes<16, false, true>, true},
      {VLMC_MMA "32.row.col.s8", multiplyBytes<32, true, true>, true},
      {VLMC_MMA "32.row.col.u8.s8", multiplyBytes<32, false, true>, true},
      {VLMC_MMA "4.row.col.tf32", multiply<Element::Tf32, 4, false>, true},
      {VLMC_MMA "8.row.col.bf16", multiply<Element::Brain, 8, false>, true},
      {VLMC_MMA "8.row.col.f16.f16", multiply<Element::Half, 8, true>, true},
      {VLMC_MMA "8.row.col.f32.f32", multiply<Element::Half, 8, false>, true},
      {VLMC_MMA "8.row.col.tf32", multiply<Element::Tf32, 8, false>, true},
      {VLMC_LOAD "x1.b16", loadMatrices<1, false>, true},
      {VLMC_LOAD "x1.trans.b16", loadMatrices<1, true>, true},
      {VLMC_LOAD "x2.b16", loadMatrices<2, false>, true},
      {VLMC_LOAD "x2.trans.b16", loadMatrices<2, true>, true},
      {VLMC_LOAD "x4.b16", loadMatrices<4, false>, true},
      {VLMC_LOAD "x4.trans.b16", loadMatrices<4, true>, true},
      {VLMC_STORE "x1.b16", storeMatrices<1, false>, true},
      {VLMC_STORE "x1.trans.b16", storeMatrices<1, true>, true},
      {VLMC_STORE "x2.b16", storeMatrices<2, false>, true},
      {VLMC_STORE "x2.trans.b16", storeMatrices<2, true>, true},
      {VLMC_STORE "x4.b16", storeMatrices<4, false>, true},
      {VLMC_STORE "x4.trans.b16", storeMatrices<4, true>, true},
  };
  return calls;
}
