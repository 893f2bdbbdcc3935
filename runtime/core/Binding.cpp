//===- Binding.cpp - Fits a request's tensors to an entry point -----------===//

#include "runtime/core/Binding.h"

#include "runtime/core/Cache.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <numeric>

namespace vlmc::rt {

size_t elementBytes(uint32_t dtype) {
  // A cache is no memory of the caller's.
  static constexpr size_t bytes[] = {4, 8, 4, 1, 2, 2, 0};
  return dtype < std::size(bytes) ? bytes[dtype] : 0;
}

const char *dtypeName(uint32_t dtype) {
  static constexpr const char *names[] = {"f32", "i64",  "i32",  "u8",
                                          "f16", "bf16", "cache"};
  return dtype < std::size(names) ? names[dtype] : "an unknown dtype";
}

/// The dtype of a caller's tensor, which may be any number: in C++ it must not
/// be read as the enumeration before it is known to be one of its values.
static uint32_t givenDtype(const vlm_tensor_t &tensor) {
  uint32_t dtype;
  static_assert(sizeof dtype == sizeof tensor.dtype);
  std::memcpy(&dtype, &tensor.dtype, sizeof dtype);
  return dtype;
}

/// "f32 [1, 3, 224, 224]"
static std::string shape(const vlm_tensor_t &tensor) {
  std::string text = std::string(dtypeName(givenDtype(tensor))) + " [";
  for (int i = 0; i < tensor.rank; ++i)
    text += (i ? ", " : "") + std::to_string(tensor.dims[i]);
  return text + "]";
}

/// "f32 [batch, 3, 224, 224]"
std::string Binding::shape(const vlm_abi_tensor &tensor) const {
  std::string text = std::string(dtypeName(tensor.dtype)) + " [";
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    text += i ? ", " : "";
    text += tensor.symbols[i] < 0 ? std::to_string(tensor.dims[i])
                                  : abi.symbols[tensor.symbols[i]].name;
  }
  return text + "]";
}

vlm_status_t *Binding::fail(const std::string &what) const {
  return makeStatus(VLM_INVALID_ARGUMENT,
                    std::string("model '") + entry.model->abi->name +
                        "', entry point '" + abi.name + "': " + what);
}

vlm_status_t *Binding::failTensor(const char *kind,
                                  const vlm_abi_tensor &tensor,
                                  const std::string &what) const {
  return fail(std::string(kind) + " '" + tensor.name + "': " + what);
}

vlm_status_t *Binding::tooLarge() const {
  return fail("the request is too large to count its bytes; send less at once");
}

bool Binding::elements(const vlm_abi_tensor &tensor, int64_t &out) const {
  out = 1;
  for (uint32_t i = 0; i < tensor.rank; ++i)
    if (__builtin_mul_overflow(out, dim(tensor, i), &out))
      return false;
  return true;
}

bool Binding::bytes(const vlm_abi_tensor &tensor, int64_t &out) const {
  return elements(tensor, out) &&
         !__builtin_mul_overflow(out, int64_t(elementBytes(tensor.dtype)),
                                 &out);
}

void Binding::describe(const vlm_abi_tensor &tensor, vlm_tensor_t &out) const {
  out.name = tensor.name;
  out.dtype = static_cast<vlm_dtype_t>(tensor.dtype);
  out.rank = int(tensor.rank);
  for (uint32_t i = 0; i < tensor.rank; ++i)
    out.dims[i] = dim(tensor, i);
}

vlm_status_t *Binding::match(const char *kind, const vlm_abi_tensor *tensors,
                             uint32_t n, const char *name,
                             uint32_t &index) const {
  std::string names;
  for (index = 0; index < n; ++index)
    if (name && std::strcmp(tensors[index].name, name) == 0)
      return nullptr;
  for (uint32_t i = 0; i < n; ++i)
    names += std::string(i ? ", '" : "'") + tensors[i].name + "'";
  return fail("no " + std::string(kind) + " " +
              (name ? "'" + std::string(name) + "'" : "without a name") +
              "; there are " + names);
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

vlm_status_t *Binding::bindSymbol(const vlm_abi_tensor &expected,
                                  const vlm_tensor_t &given, uint32_t axis) {
  int32_t index = expected.symbols[axis];
  const vlm_abi_symbol &symbol = abi.symbols[index];
  int64_t value = given.dims[axis], min = std::max<int64_t>(symbol.min, 0);
  if (!givenBy[index]) {
    symbols[index] = value;
    givenBy[index] = expected.name;
  }
  bool inRange = value >= min && value <= symbol.max;
  if (inRange && value == symbols[index])
    return nullptr;
  std::string where =
      "size " + std::to_string(axis) + " ('" + symbol.name + "') ";
  if (!inRange)
    return failTensor("input", expected,
                      where + "must be " + std::to_string(min) + " to " +
                          std::to_string(symbol.max) + ", found " +
                          std::to_string(value));
  return failTensor("input", expected,
                    where + "is " + std::to_string(value) + ", but input '" +
                        givenBy[index] + "' makes it " +
                        std::to_string(symbols[index]) +
                        "; give all inputs the same '" + symbol.name + "'");
}

vlm_status_t *Binding::bindShape(const vlm_abi_tensor &expected,
                                 const vlm_tensor_t &given) {
  if (given.rank < 0 || given.rank > VLM_MAX_RANK)
    return failTensor("input", expected,
                      "expected " + shape(expected) + ", found rank " +
                          std::to_string(given.rank));
  uint32_t dtype = givenDtype(given);
  bool widened = expected.dtype == VLM_ABI_I64 && dtype == VLM_I32;
  if (dtype != expected.dtype && !widened)
    return failTensor("input", expected,
                      "expected " + shape(expected) + ", found " +
                          rt::shape(given));
  if (uint32_t(given.rank) != expected.rank)
    return failTensor("input", expected,
                      "expected " + shape(expected) + ", found " +
                          rt::shape(given) + ": the rank differs");
  for (uint32_t axis = 0; axis < expected.rank; ++axis) {
    if (expected.symbols[axis] >= 0) {
      if (vlm_status_t *status = bindSymbol(expected, given, axis))
        return status;
    } else if (given.dims[axis] != expected.dims[axis]) {
      return failTensor("input", expected,
                        "expected " + shape(expected) + ", found " +
                            rt::shape(given) + ": size " +
                            std::to_string(axis) + " must be " +
                            std::to_string(expected.dims[axis]));
    }
  }
  return nullptr;
}

/// After all given inputs: is there a value for each symbol? One may lack if
/// only inputs that were left out have it.
vlm_status_t *Binding::checkKnown() const {
  for (uint32_t i = 0; i < abi.n_inputs; ++i) {
    const vlm_abi_tensor &input = abi.inputs[i];
    if (workspace.givenInputs[i])
      continue;
    if (!input.optional)
      return fail(std::string("input '") + input.name + "' is missing; give " +
                  shape(input));
    for (uint32_t axis = 0; axis < input.rank; ++axis)
      if (int32_t s = input.symbols[axis]; s >= 0 && !givenBy[s])
        return failTensor("input", input,
                          std::string("may be left out only where another "
                                      "input tells '") +
                              abi.symbols[s].name + "'; give " + shape(input));
  }
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Memory and values
//===----------------------------------------------------------------------===//

vlm_status_t *Binding::checkMemory(const char *kind,
                                   const vlm_abi_tensor &expected,
                                   const vlm_tensor_t &given) const {
  // Inputs may be narrower than what the model computes with.
  size_t element = elementBytes(givenDtype(given) == VLM_I32 &&
                                        expected.dtype == VLM_ABI_I64 &&
                                        std::strcmp(kind, "input") == 0
                                    ? uint32_t(VLM_ABI_I32)
                                    : expected.dtype);
  int64_t needed;
  if (!elements(expected, needed) ||
      __builtin_mul_overflow(needed, int64_t(element), &needed))
    return tooLarge();
  if (!given.data && needed)
    return failTensor(kind, expected, "'data' must not be NULL");
  if (given.bytes < uint64_t(needed))
    return failTensor(kind, expected,
                      "expected at least " + std::to_string(needed) +
                          " bytes of data, found " +
                          std::to_string(given.bytes));
  if (reinterpret_cast<uintptr_t>(given.data) % std::min<size_t>(element, 4))
    return failTensor(kind, expected,
                      "'data' must be aligned to " +
                          std::to_string(std::min<size_t>(element, 4)) +
                          " bytes");
  return nullptr;
}

/// Element `index` of an integer tensor.
static int64_t integerAt(const vlm_tensor_t &tensor, int64_t index) {
  const char *at = static_cast<const char *>(tensor.data) +
                   index * int64_t(elementBytes(tensor.dtype));
  int64_t wide = 0;
  int32_t narrow = 0;
  switch (tensor.dtype) {
  case VLM_I64:
    std::memcpy(&wide, at, sizeof wide);
    return wide;
  case VLM_I32:
    std::memcpy(&narrow, at, sizeof narrow);
    return narrow;
  default:
    return static_cast<unsigned char>(*at);
  }
}

vlm_status_t *Binding::checkRange(const vlm_abi_tensor &expected,
                                  const vlm_tensor_t &given) const {
  int64_t count, max = expected.max;
  if (!expected.has_range || !elements(expected, count))
    return nullptr;
  if (expected.below)
    max = std::min(max, symbols[expected.below - 1] - 1);
  for (int64_t i = 0; i < count; ++i) {
    int64_t value = integerAt(given, i);
    if (value >= expected.min && value <= max)
      continue;
    std::string at;
    int64_t rest = i;
    for (uint32_t axis = expected.rank; axis-- > 0; rest /= given.dims[axis]) {
      at.insert(0,
                (axis ? ", " : "") + std::to_string(rest % given.dims[axis]));
    }
    return failTensor(
        "input", expected,
        "element [" + at + "] must be " + std::to_string(expected.min) +
            " to " + std::to_string(max) + ", found " + std::to_string(value));
  }
  return nullptr;
}

/// How many elements a tensor has; its shape is right.
static int64_t countOf(const vlm_tensor_t &tensor) {
  return std::accumulate(tensor.dims, tensor.dims + tensor.rank, int64_t(1),
                         std::multiplies<>());
}

/// That a cache was made for such a model and has room for the tokens.
vlm_status_t *Binding::checkCache(const vlm_abi_tensor &expected,
                                  const vlm_tensor_t &given) const {
  auto *cache = static_cast<const vlm_cache_t *>(given.data);
  if (!cache)
    return failTensor("input", expected, "'data' must be a vlm_cache_t");
  if (cache->device != entry.model->device)
    return failTensor("input", expected,
                      "the cache was made for another device; make one with "
                      "vlm_cache_create for this model");
  if (!cache->fits(expected.dims))
    return failTensor("input", expected,
                      "the cache was made for another model; make one with "
                      "vlm_cache_create for this model");
  std::string_view name = expected.name;
  std::string kind(name.ends_with("_cache") ? name.substr(0, name.size() - 5)
                                            : "");
  const vlm_tensor_t *sequence = givenInput(kind + "sequence");
  const vlm_tensor_t *position = givenInput(kind + "position");
  if (!sequence || !position)
    return fail("inputs '" + kind + "sequence' and '" + kind +
                "position' must be given beside a cache");
  int64_t count = std::min(countOf(*sequence), countOf(*position));
  for (int64_t i = 0; i < count; ++i) {
    int64_t row = integerAt(*sequence, i), place = integerAt(*position, i);
    bool isHeld = cache->holds(row, place);
    if (isHeld && !cache->isShared(row, place))
      continue;
    std::string where = "token " + std::to_string(i) + " is at place " +
                        std::to_string(place) + " of sequence " +
                        std::to_string(row);
    return failTensor(
        "input", expected,
        where + (isHeld ? ", which it shares with another sequence; shrink it "
                          "by vlm_cache_resize before it goes another way"
                        : ", for which no room was made; call "
                          "vlm_cache_resize before"));
  }
  if (kind.empty())
    return givenInput("last_seen") ? checkRanges(expected, *cache, "seen_")
                                   : nullptr;
  return checkRanges(expected, *cache, kind);
}

const vlm_tensor_t *Binding::givenInput(const std::string &name) const {
  for (uint32_t i = 0; i < abi.n_inputs; ++i)
    if (name == abi.inputs[i].name)
      return workspace.givenInputs[i];
  return nullptr;
}

/// That tokens read only places of a cache that there are.
vlm_status_t *Binding::checkRanges(const vlm_abi_tensor &expected,
                                   const vlm_cache_t &cache,
                                   std::string kind) const {
  kind.pop_back(); // the '_'
  const vlm_tensor_t *sequence = givenInput("sequence");
  const vlm_tensor_t *first = givenInput("first_" + kind);
  const vlm_tensor_t *last = givenInput("last_" + kind);
  if (!sequence || !first || !last)
    return fail("inputs 'sequence', 'first_" + kind + "' and 'last_" + kind +
                "' must be given beside '" + expected.name + "'");
  int64_t count =
      std::min({countOf(*sequence), countOf(*first), countOf(*last)});
  for (int64_t i = 0; i < count; ++i) {
    int64_t row = integerAt(*sequence, i), end = integerAt(*last, i);
    if (integerAt(*first, i) >= end || cache.holds(row, end - 1))
      continue;
    return failTensor("input", expected,
                      "token " + std::to_string(i) + " reads place " +
                          std::to_string(end - 1) + " of sequence " +
                          std::to_string(row) +
                          ", for which no room was made; call "
                          "vlm_cache_resize before");
  }
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Tokens that no result depends on
//===----------------------------------------------------------------------===//

/// The place of the token that is picked among `count` ones from `first` on.
static int64_t pickToken(const vlm_abi_trim &trim, const vlm_tensor_t &ids,
                         int64_t first, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t id = integerAt(ids, first + i);
    if (trim.kind == VLM_ABI_TRIM_FIRST_EQUAL && id == trim.id)
      return i;
    if (trim.kind == VLM_ABI_TRIM_ARGMAX && id > integerAt(ids, first + best))
      best = i;
  }
  return best;
}

/// How many tokens count where `mask` shows them; all where it shows none of a
/// row: then all are seen alike.
static int64_t countShown(const vlm_tensor_t &mask, int64_t columns) {
  int64_t tokens = 0;
  for (int64_t row = 0; row < mask.dims[0]; ++row) {
    int64_t shown = columns;
    while (shown > 0 && integerAt(mask, row * columns + shown - 1) == 0)
      --shown;
    if (shown == 0)
      return columns;
    tokens = std::max(tokens, shown);
  }
  return tokens;
}

/// How many tokens of each sequence count.
int64_t Binding::countTokens() const {
  const vlm_abi_trim &trim = *abi.trim;
  int64_t columns = symbols[trim.symbol];
  const vlm_tensor_t &ids = *workspace.givenInputs[trim.input];
  int64_t rows = ids.dims[0], tokens = abi.symbols[trim.symbol].min;
  if (trim.kind == VLM_ABI_TRIM_MASK)
    return std::max(tokens, countShown(ids, columns));
  for (uint32_t i = 0; i < abi.n_inputs; ++i) {
    const vlm_tensor_t *mask = workspace.givenInputs[i];
    if (i == trim.input || !mask || abi.inputs[i].rank != 2 ||
        abi.inputs[i].symbols[1] != int32_t(trim.symbol))
      continue;
    for (int64_t row = 0; row < rows; ++row)
      if (integerAt(*mask, row * columns) == 0)
        return columns;
  }
  for (int64_t row = 0; row < rows; ++row)
    tokens = std::max(tokens, 1 + pickToken(trim, ids, row * columns, columns));
  return tokens;
}

void Binding::trimTokens() {
  if (!abi.trim || !workspace.givenInputs[abi.trim->input])
    return;
  int64_t tokens = countTokens();
  trimmed = tokens < symbols[abi.trim->symbol];
  symbols[abi.trim->symbol] = tokens;
}

bool Binding::isTrimmed(const vlm_abi_tensor &tensor) const {
  return trimmed && tensor.rank >= 2 &&
         tensor.symbols[1] == int32_t(abi.trim->symbol);
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

vlm_status_t *Binding::bindInputs(const vlm_tensor_t *inputs, size_t count,
                                  Data data) {
  if (count && !inputs)
    return fail("'inputs' must not be NULL");
  workspace.givenInputs.assign(abi.n_inputs, nullptr);
  for (size_t i = 0; i < count; ++i) {
    uint32_t index;
    if (vlm_status_t *status =
            match("input", abi.inputs, abi.n_inputs, inputs[i].name, index))
      return status;
    if (workspace.givenInputs[index])
      return failTensor("input", abi.inputs[index], "given twice");
    workspace.givenInputs[index] = &inputs[i];
  }
  for (uint32_t i = 0; i < abi.n_inputs; ++i)
    if (const vlm_tensor_t *given = workspace.givenInputs[i])
      if (vlm_status_t *status = bindShape(abi.inputs[i], *given))
        return status;
  if (vlm_status_t *status = checkKnown())
    return status;
  if (data == Data::Ignored)
    return nullptr;
  for (uint32_t i = 0; i < abi.n_inputs; ++i) {
    const vlm_tensor_t *given = workspace.givenInputs[i];
    if (!given || abi.inputs[i].dtype == VLM_ABI_CACHE)
      continue;
    if (vlm_status_t *status = checkMemory("input", abi.inputs[i], *given))
      return status;
    if (vlm_status_t *status = checkRange(abi.inputs[i], *given))
      return status;
  }
  // Last: it looks at the values of other inputs.
  for (uint32_t i = 0; i < abi.n_inputs; ++i)
    if (abi.inputs[i].dtype == VLM_ABI_CACHE)
      if (vlm_status_t *status =
              checkCache(abi.inputs[i], *workspace.givenInputs[i]))
        return status;
  return nullptr;
}

vlm_status_t *Binding::bindOutputs(vlm_tensor_t *outputs, size_t count) {
  if (count && !outputs)
    return fail("'outputs' must not be NULL");
  workspace.givenOutputs.assign(abi.n_outputs, nullptr);
  for (size_t i = 0; i < count; ++i) {
    uint32_t index;
    if (vlm_status_t *status =
            match("output", abi.outputs, abi.n_outputs, outputs[i].name, index))
      return status;
    const vlm_abi_tensor &output = abi.outputs[index];
    if (workspace.givenOutputs[index])
      return failTensor("output", output, "asked for twice");
    if (vlm_status_t *status = checkMemory("output", output, outputs[i]))
      return status;
    workspace.givenOutputs[index] = &outputs[i];
  }
  return nullptr;
}

} // namespace vlmc::rt
