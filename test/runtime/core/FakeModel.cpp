// FakeModel.cpp: see FakeModel.h. Compiled into the tests and, as a library of
// its own, into a package folder.
#include "test/runtime/core/FakeModel.h"

#include "runtime/core/Sha256.h"

#include <cstring>
#include <span>

// The tests build this file again with one of these changed, for a library that
// the runtime must refuse.
#ifndef FAKE_ABI_VERSION
#define FAKE_ABI_VERSION VLM_ABI_VERSION
#endif
#ifndef FAKE_STRUCT_BYTES
#define FAKE_STRUCT_BYTES sizeof(vlm_abi_model)
#endif
#ifndef FAKE_ISA
#if defined(__aarch64__)
#define FAKE_ISA "aarch64"
#else
#define FAKE_ISA "x86-64-v3"
#endif
#endif
#ifndef FAKE_KERNEL
#define FAKE_KERNEL 0
#endif

namespace fake {

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

std::vector<float> projection() {
  std::vector<float> w(kWidth * kOut);
  for (size_t i = 0; i < w.size(); ++i)
    w[i] = float(int(i * 7 % 11) - 5);
  return w;
}

std::vector<float> table() {
  std::vector<float> t(kVocabulary * kOut);
  for (size_t i = 0; i < t.size(); ++i)
    t[i] = float(i);
  return t;
}

static constexpr uint64_t kHeaderBytes = 576, kProjectionAt = kHeaderBytes,
                          kTableAt = kHeaderBytes + 128,
                          kWeightsBytes = kTableAt + 256;

template <typename T> static std::string bytesOf(const std::vector<T> &v) {
  return std::string(reinterpret_cast<const char *>(v.data()),
                     v.size() * sizeof(T));
}

static std::string digest(const std::string &bytes) {
  return vlmc::rt::toHex(vlmc::rt::sha256(bytes.data(), bytes.size()));
}

std::string weightsFile() {
  std::string w = bytesOf(projection()), t = bytesOf(table());
  std::string json =
      R"({"__metadata__":{"sha256.W":")" + digest(w) + R"(","sha256.table":")" +
      digest(t) +
      R"("},"W":{"dtype":"F32","shape":[8,4],"data_offsets":[0,128]},"table":{"dtype":"F32","shape":[16,4],"data_offsets":[128,384]}})";
  json.resize(kHeaderBytes - 8, ' ');
  uint64_t length = json.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + json + w + t;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

using Args = vlm_kernel_args;
template <typename T> static T *buffer(const Args *args, int i) {
  return static_cast<T *>(args->buffers[i]);
}
static int64_t firstDim(const int64_t *dims) { return dims[0]; }

// project(x, W, out, doubled), dims B: phase 0 doubles each row, phase 1 takes
// one element of the product per task.
static void doubleRows(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin * kWidth; i < end * kWidth; ++i)
    buffer<float>(args, 3)[i] = 2 * buffer<const float>(args, 0)[i];
}
static void projectElements(const Args *args, int64_t begin, int64_t end) {
  for (int64_t task = begin; task < end; ++task) {
    float sum = 0;
    for (int k = 0; k < kWidth; ++k)
      sum += buffer<const float>(args, 3)[task / kOut * kWidth + k] *
             buffer<const float>(args, 1)[k * kOut + task % kOut];
    buffer<float>(args, 2)[task] = sum;
  }
}
static int64_t projectTasks(const int64_t *dims) { return dims[0] * kOut; }

// gather(ids, mask, table, out), dims B, T: sums in scratch.
static void gatherRows(const Args *args, int64_t begin, int64_t end) {
  int64_t tokens = args->dims[1];
  for (int64_t row = begin; row < end; ++row) {
    auto *sum = static_cast<float *>(args->scratch);
    std::memset(sum, 0, kOut * sizeof(float));
    for (int64_t t = row * tokens; t < (row + 1) * tokens; ++t)
      for (int j = 0; j < kOut && buffer<const int64_t>(args, 1)[t]; ++j)
        sum[j] += buffer<const float>(
            args, 2)[buffer<const int64_t>(args, 0)[t] * kOut + j];
    std::memcpy(buffer<float>(args, 3) + row * kOut, sum, kOut * sizeof(float));
  }
}

// add(a, b, out), dims B.
static void addRows(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin * kOut; i < end * kOut; ++i)
    buffer<float>(args, 2)[i] =
        buffer<const float>(args, 0)[i] + buffer<const float>(args, 1)[i];
}

// count(mask, out), dims B, T: one task.
static void countAll(const Args *args, int64_t, int64_t) {
  for (int64_t row = 0; row < args->dims[0]; ++row) {
    int64_t sum = 0;
    for (int64_t t = 0; t < args->dims[1]; ++t)
      sum += buffer<const int64_t>(args, 0)[row * args->dims[1] + t];
    buffer<int64_t>(args, 1)[row] = sum;
  }
}
static int64_t oneTask(const int64_t *) { return 1; }
static int64_t noTasks(const int64_t *) { return 0; }
static void never(const Args *args, int64_t, int64_t) {
  buffer<float>(args, 1)[0] = -1;
}

// blend(in, out, half), dims B: phase 0 halves, an empty phase, phase 1 adds
// the halves of both neighbours (around the end).
static void halveRows(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin * kWidth; i < end * kWidth; ++i)
    buffer<float>(args, 2)[i] = buffer<const float>(args, 0)[i] * 0.5f;
}
static void addNeighbours(const Args *args, int64_t begin, int64_t end) {
  int64_t rows = args->dims[0];
  for (int64_t row = begin; row < end; ++row)
    for (int j = 0; j < kWidth; ++j)
      buffer<float>(args, 1)[row * kWidth + j] =
          buffer<const float>(args, 2)[(row + 1) % rows * kWidth + j] +
          buffer<const float>(
              args, 2)[(row + rows - 1) % rows * kWidth + (j + 1) % kWidth];
}

// flags(size, flag, out), dims B; copy(in, out), dims T.
static void addFlags(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    buffer<int32_t>(args, 2)[i] =
        buffer<const int32_t>(args, 0)[i] + buffer<const uint8_t>(args, 1)[i];
}
static void copyLongs(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    buffer<int64_t>(args, 1)[i] = buffer<const int64_t>(args, 0)[i];
}

static const vlm_abi_phase kProject[] = {{doubleRows, firstDim},
                                         {projectElements, projectTasks}};
static const vlm_abi_phase kGather[] = {{gatherRows, firstDim}},
                           kAdd[] = {{addRows, firstDim}},
                           kCount[] = {{countAll, oneTask}};
static const vlm_abi_phase kBlend[] = {
    {halveRows, firstDim}, {never, noTasks}, {addNeighbours, firstDim}};
static const vlm_abi_phase kFlags[] = {{addFlags, firstDim}},
                           kCopy[] = {{copyLongs, firstDim}};
enum { Project, Gather, Add, Count, Blend, Flags, Copy };
static const vlm_abi_kernel kKernels[] = {
    {"project", "rows", 4, 1, 2, 0, kProject},
    {"gather", "rows", 4, 2, 1, 0, kGather},
    {"add", "rows", 3, 1, 1, 0, kAdd},
    {"count", "rows", 2, 2, 1, 0, kCount},
    {"blend", "rows", 3, 1, 3, 0, kBlend},
    {"flags", "rows", 3, 1, 1, 0, kFlags},
    {"copy", "rows", 2, 1, 1, 0, kCopy}};

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static const vlm_abi_symbol kSymbols[] = {{"batch", 1, 1, 64},
                                          {"tokens", 1, 8, 16}};
static const vlm_abi_term kBatch[] = {{1, {1}, 0}},
                          kTokens[] = {{1, {0, 1}, 0}};
static const vlm_abi_size kBatchDim[] = {{kBatch, 1}},
                          kTokensDim[] = {{kTokens, 1}},
                          kBothDims[] = {{kBatch, 1}, {kTokens, 1}};
static const vlm_abi_term kOutTerm[] = {{kOut * 4, {1}, 0}},
                          kRowTerm[] = {{kWidth * 4, {1}, 0}},
                          kScratchTerm[] = {{kOut * 4, {}, 0}};
static const vlm_abi_size kOutSizes[] = {{kOutTerm, 1}, {kScratchTerm, 1}},
                          kRowSizes[] = {{kRowTerm, 1}},
                          kScratchSizes[] = {{kScratchTerm, 1}};

enum {
  In = VLM_ABI_INPUT,
  Out = VLM_ABI_OUTPUT,
  Slot = VLM_ABI_SLOT,
  Weight = VLM_ABI_WEIGHT
};

static const vlm_abi_tensor kScoreInputs[] = {
    {"x", VLM_ABI_F32, 2, {0, kWidth}, {0, -1}, 0, 0, 0, 0, 0},
    {"ids", VLM_ABI_I64, 2, {}, {0, 1}, 0, 1, 0, kVocabulary - 1, 0},
    {"mask", VLM_ABI_I64, 2, {}, {0, 1}, 1, 1, 0, 1, 1}};
static const vlm_abi_tensor kScoreOutputs[] = {
    {"sum", VLM_ABI_F32, 2, {0, kOut}, {0, -1}, 0, 0, 0, 0, 0},
    {"count", VLM_ABI_I64, 1, {}, {0}, 0, 0, 0, 0, 0}};
static const vlm_abi_max_size kScoreSlots[] = {
    {kOutSizes, 2}, {kOutSizes, 2}, {kRowSizes, 1}};
static const vlm_abi_buffer kScore0[] = {
    {In, 0, 0}, {Weight, 0, kProjectionAt}, {Slot, 0, 0}, {Slot, 2, 0}};
static const vlm_abi_buffer kScore1[] = {
    {In, 1, 0}, {In, 2, 0}, {Weight, 0, kTableAt}, {Slot, 1, 0}};
static const vlm_abi_buffer kScore2[] = {{Slot, 0, 0},
                                         {Slot, 1, 0},
                                         {Out, 0, 0}},
                            kScore3[] = {{In, 2, 0}, {Out, 1, 0}};
static const vlm_abi_step kScoreSteps[] = {
    {"project", kScore0, kBatchDim, Project + FAKE_KERNEL, 0},
    {"gather", kScore1, kBothDims, Gather, 0},
    {"add", kScore2, kBatchDim, Add, 0},
    {"count", kScore3, kBothDims, Count, 0}};

static const vlm_abi_tensor kChainInputs[] = {
    {"x", VLM_ABI_F32, 2, {0, kWidth}, {0, -1}, 0, 0, 0, 0, 0}};
static const vlm_abi_tensor kChainOutputs[] = {
    {"y", VLM_ABI_F32, 2, {0, kWidth}, {0, -1}, 0, 0, 0, 0, 0}};
static const vlm_abi_max_size kChainSlots[] = {
    {kRowSizes, 1}, {kRowSizes, 1}, {kRowSizes, 1}};
static const vlm_abi_buffer kFirst[] = {{In, 0, 0}, {Slot, 0, 0}, {Slot, 2, 0}},
                            kLast[] = {{Slot, 0, 0}, {Out, 0, 0}, {Slot, 2, 0}};
static const vlm_abi_buffer kEven[] = {{Slot, 1, 0},
                                       {Slot, 0, 0},
                                       {Slot, 2, 0}},
                            kOdd[] = {{Slot, 0, 0}, {Slot, 1, 0}, {Slot, 2, 0}};
static vlm_abi_step chainSteps[kChain];

static const vlm_abi_tensor kFillInputs[] = {
    {"size", VLM_ABI_I32, 1, {}, {0}, 0, 1, -5, 5, 0},
    {"flag", VLM_ABI_U8, 1, {}, {0}, 1, 0, 0, 0, 7},
    {"lone", VLM_ABI_I64, 1, {}, {1}, 1, 0, 0, 0, -3}};
static const vlm_abi_tensor kFillOutputs[] = {
    {"flags", VLM_ABI_I32, 1, {}, {0}, 0, 0, 0, 0, 0},
    {"lones", VLM_ABI_I64, 1, {}, {1}, 0, 0, 0, 0, 0}};
static const vlm_abi_buffer kFill0[] = {{In, 0, 0}, {In, 1, 0}, {Out, 0, 0}},
                            kFill1[] = {{In, 2, 0}, {Out, 1, 0}};
static const vlm_abi_step kFillSteps[] = {
    {"flags", kFill0, kBatchDim, Flags, 0},
    {"copy", kFill1, kTokensDim, Copy, 0}};

// The sum of the tokens up to the picked one.
static const vlm_abi_tensor kPickOutputs[] = {
    {"sum", VLM_ABI_F32, 2, {0, kOut}, {0, -1}, 0, 0, 0, 0, 0}};
static const vlm_abi_buffer kPick0[] = {
    {In, 0, 0}, {In, 1, 0}, {Weight, 0, kTableAt}, {Out, 0, 0}};
static const vlm_abi_step kPickSteps[] = {
    {"gather", kPick0, kBothDims, Gather, 0}};
static const vlm_abi_trim kPickLargest = {VLM_ABI_TRIM_ARGMAX, 0, 1, 0, 0},
                          kPickFive = {VLM_ABI_TRIM_FIRST_EQUAL, 0, 1, 0, 5};

/// An entry point over both symbols, by its parts.
struct EntryParts {
  const char *name;
  std::span<const vlm_abi_tensor> inputs, outputs;
  std::span<const vlm_abi_max_size> slots;
  std::span<const vlm_abi_step> steps;
  vlm_abi_max_size scratch;
  const vlm_abi_trim *trim = nullptr;
};
static vlm_abi_entry makeEntry(const EntryParts &parts) {
  return {.name = parts.name,
          .symbols = kSymbols,
          .inputs = parts.inputs.data(),
          .outputs = parts.outputs.data(),
          .slots = parts.slots.data(),
          .steps = parts.steps.data(),
          .scratch = parts.scratch,
          .n_symbols = 2,
          .n_inputs = uint32_t(parts.inputs.size()),
          .n_outputs = uint32_t(parts.outputs.size()),
          .n_slots = uint32_t(parts.slots.size()),
          .n_steps = uint32_t(parts.steps.size()),
          .reserved = 0,
          .trim = parts.trim};
}

static const vlm_abi_max_size kScratch = {kScratchSizes, 1};
static const std::span<const vlm_abi_tensor> kPickInputs{kScoreInputs + 1, 2};
static const vlm_abi_entry kEntries[] = {
    makeEntry({"score", kScoreInputs, kScoreOutputs, kScoreSlots, kScoreSteps,
               kScratch}),
    makeEntry(
        {"chain", kChainInputs, kChainOutputs, kChainSlots, chainSteps, {}}),
    makeEntry({"fill", kFillInputs, kFillOutputs, {}, kFillSteps, {}}),
    makeEntry({"pick_largest",
               kPickInputs,
               kPickOutputs,
               {},
               kPickSteps,
               kScratch,
               &kPickLargest}),
    makeEntry({"pick_five",
               kPickInputs,
               kPickOutputs,
               {},
               kPickSteps,
               kScratch,
               &kPickFive})};
static const vlm_abi_level kLevels[] = {{"x86-64-v9", nullptr, nullptr, 0, 0},
                                        {FAKE_ISA, kKernels, kEntries, 7, 5}};

} // namespace fake

extern "C" {
__attribute__((visibility("default"))) extern vlm_abi_model fake_vlm_model;
vlm_abi_model fake_vlm_model = {.abi_version = FAKE_ABI_VERSION,
                                .struct_bytes = uint32_t(FAKE_STRUCT_BYTES),
                                .name = "fake",
                                .family = "fake",
                                .vlmc_version = "0.1.0",
                                .levels = fake::kLevels,
                                .n_levels = 2,
                                .reference = 0,
                                .weights_bytes = fake::kWeightsBytes,
                                .weights_header_bytes = fake::kHeaderBytes,
                                .weights_header_sha256 = {},
                                .tokenizer = {0, 0},
                                .image = nullptr,
                                .head = VLM_ABI_HEAD_SOFTMAX,
                                .text_max_tokens = 0,
                                .pad_token_id = 0};
}

namespace fake {

/// What codegen knows when it writes the library, and a compiler of C++ does
/// not.
static const bool kReady = [] {
  for (int i = 0; i < kChain; ++i)
    chainSteps[i] = {"chain",
                     i == 0            ? kFirst
                     : i == kChain - 1 ? kLast
                     : i % 2           ? kOdd
                                       : kEven,
                     kBatchDim, Blend, 0};
  vlmc::rt::Digest digest =
      vlmc::rt::sha256(weightsFile().data(), kHeaderBytes);
  std::memcpy(fake_vlm_model.weights_header_sha256, digest.data(),
              digest.size());
  return true;
}();

const vlm_abi_model *model() { return kReady ? &fake_vlm_model : nullptr; }

} // namespace fake
