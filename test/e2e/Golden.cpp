//===- Golden.cpp - Comparing with goldens --------------------------------===//
#include "test/e2e/Golden.h"

#include "runtime/core/Sha256.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <limits>
#include <sstream>

namespace vlmc::e2e {

const Tolerances &exactTolerances() {
  static const Tolerances exact = {{"logits", logitTolerance},
                                   {"", embeddingTolerance}};
  return exact;
}

static double toleranceOf(const std::string &value,
                          const Tolerances &tolerances) {
  for (const std::string &name :
       {value, std::string(value.find("logits") != value.npos ? "logits" : "")})
    if (auto found = tolerances.find(name); found != tolerances.end())
      return found->second;
  return tolerances.at("");
}

namespace {
/// One tensor of each file, which have one dtype and shape.
struct Pair {
  const SafetensorsEntry &entry;
  std::span<const uint8_t> got, want;
};
} // namespace

/// "both.vision_features" is the value "vision_features" of request "both".
static std::string valueName(const std::string &tensor) {
  return tensor.substr(tensor.rfind('.') + 1);
}

static std::string requestOf(const std::string &tensor) {
  return tensor.substr(0, tensor.rfind('.') + 1);
}

static std::string describeAt(const Pair &pair, size_t index) {
  std::ostringstream text;
  text.precision(9);
  text << "first bad at " << describeIndex(index, pair.entry.shape) << ": got "
       << elementOf(pair.got, pair.entry.dtype, index) << ", want "
       << elementOf(pair.want, pair.entry.dtype, index);
  return text.str();
}

//===----------------------------------------------------------------------===//
// Exact
//===----------------------------------------------------------------------===//

static void compareExact(const Pair &pair, Comparison &result) {
  if (pair.want.empty())
    result.faults.push_back(pair.entry.name + ": no element is compared");
  auto differs = std::ranges::mismatch(pair.got, pair.want);
  if (differs.in1 == pair.got.end())
    return;
  size_t byte = size_t(differs.in1 - pair.got.begin());
  result.faults.push_back(
      pair.entry.name + ": other bytes: " +
      describeAt(pair, byte / elementBytes(pair.entry.dtype)));
}

static void compareDigest(std::span<const uint8_t> got, const Tensors &golden,
                          const SafetensorsEntry &want, Comparison &result) {
  rt::Digest digest = rt::sha256(got.data(), got.size());
  std::span<const uint8_t> expected = golden.bytesOf(want);
  rt::Digest wanted{};
  if (expected.size() == wanted.size())
    std::ranges::copy(expected, wanted.begin());
  if (digest != wanted)
    result.faults.push_back(want.name + ": got " + rt::toHex(digest) +
                            ", want " + rt::toHex(wanted));
}

//===----------------------------------------------------------------------===//
// Within a tolerance
//===----------------------------------------------------------------------===//

/// For each element whether it counts; empty where all do. A mask that does not
/// fit the tensor is a fault.
static std::vector<bool> keptElements(const Pair &pair, const Tensors &golden,
                                      const Tensors *inputs,
                                      Comparison &result) {
  // Values at padded positions are unspecified.
  static const std::set<std::string> perToken = {
      "encoder_features", "hidden_states", "inputs_embeds", "logits",
      "text_features"};
  if (!perToken.count(valueName(pair.entry.name)))
    return {};
  // Those of a decoder behind an encoder are of what an answer begins with.
  if (valueName(pair.entry.name) == "logits" &&
      golden.find(requestOf(pair.entry.name) + "encoder_features"))
    return {};
  std::string name = requestOf(pair.entry.name) + "attention_mask";
  const Tensors *file = golden.find(name) ? &golden : inputs;
  const SafetensorsEntry *entry = file ? file->find(name) : nullptr;
  std::vector<int64_t> rows(pair.entry.shape.begin(),
                            pair.entry.shape.end() - 1);
  if (!entry || entry->shape != rows) {
    result.faults.push_back(pair.entry.name + ": no " + name + " of shape " +
                            describeShape(rows));
    return {};
  }
  std::vector<bool> kept;
  size_t width = size_t(pair.entry.shape.back());
  for (size_t i = 0; i * width < pair.want.size() / sizeof(float); ++i)
    kept.insert(kept.end(), width,
                elementOf(file->bytesOf(*entry), entry->dtype, i) != 0);
  return kept;
}

/// The lowest number, which stands in the place of logits that are hidden: it
/// must be met, and counts neither as spread nor as an error.
static bool isHidden(double value) {
  return value == -double(std::numeric_limits<float>::max());
}

/// The standard deviation; of values that do not vary, the largest magnitude.
static double spreadOf(const std::vector<double> &values) {
  double sum = 0, squares = 0, largest = 0;
  for (double value : values)
    sum += value;
  double mean = sum / double(values.size());
  for (double value : values) {
    squares += (value - mean) * (value - mean);
    largest = std::max(largest, std::abs(value));
  }
  double deviation = std::sqrt(squares / double(values.size()));
  if (deviation != 0)
    return deviation;
  return largest != 0 ? largest : 1;
}

static void compareFloats(const Pair &pair, const std::vector<bool> &kept,
                          double tolerance, Comparison &result) {
  auto want = [&](size_t i) { return elementOf(pair.want, "F32", i); };
  auto counts = [&](size_t i) { return kept.empty() || kept[i]; };
  size_t count = pair.want.size() / sizeof(float);
  std::vector<double> reference;
  for (size_t i = 0; i < count; ++i)
    if (counts(i) && !isHidden(want(i)))
      reference.push_back(want(i));
  if (reference.empty()) {
    result.faults.push_back(pair.entry.name + ": no element is compared");
    return;
  }
  double spread = spreadOf(reference), worst = 0;
  std::string where;
  for (size_t i = 0; i < count; ++i) {
    const double got = elementOf(pair.got, "F32", i);
    if (!counts(i) || (isHidden(want(i)) && isHidden(got)))
      continue;
    double error = std::abs(got - want(i)) / spread;
    // A NaN is no small error.
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    if (!(error <= tolerance) && where.empty())
      where = describeAt(pair, i);
  }
  double &largest = result.errors[valueName(pair.entry.name)];
  largest = std::max(largest, worst);
  if (worst / tolerance > result.worst) {
    result.worst = worst / tolerance;
    result.worstName = pair.entry.name;
  }
  if (where.empty())
    return;
  std::ostringstream text;
  text << pair.entry.name << ": err " << worst << ", tolerance " << tolerance
       << ", " << where;
  result.faults.push_back(text.str());
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

/// The tensor of `got` for one of `want`; a fault if it is absent or other.
static std::optional<Pair> pairUp(const Tensors &got, const Tensors &want,
                                  const SafetensorsEntry &entry,
                                  Comparison &result) {
  const SafetensorsEntry *found = got.find(entry.name);
  if (!found) {
    result.faults.push_back(entry.name + ": absent");
    return std::nullopt;
  }
  if (found->dtype != entry.dtype || found->shape != entry.shape) {
    result.faults.push_back(entry.name + ": got " + found->dtype + " " +
                            describeShape(found->shape) + ", want " +
                            entry.dtype + " " + describeShape(entry.shape));
    return std::nullopt;
  }
  return Pair{*found, got.bytesOf(*found), want.bytesOf(entry)};
}

static void compareOne(const Tensors &got, const Tensors &golden,
                       const Tensors *inputs, const SafetensorsEntry &entry,
                       const Tolerances &tolerances, Comparison &result) {
  const std::string suffix = ".sha256";
  if (entry.name.ends_with(suffix)) {
    std::string name = entry.name.substr(0, entry.name.size() - suffix.size());
    if (const SafetensorsEntry *found = got.find(name))
      compareDigest(got.bytesOf(*found), golden, entry, result);
    else
      result.faults.push_back(name + ": absent");
    return;
  }
  std::optional<Pair> pair = pairUp(got, golden, entry, result);
  if (!pair)
    return;
  std::string value = valueName(entry.name);
  if (entry.dtype != "F32" || value == "pixel_values")
    return compareExact(*pair, result);
  compareFloats(*pair, keptElements(*pair, golden, inputs, result),
                toleranceOf(value, tolerances), result);
}

Comparison compareWithGolden(const Tensors &got, const Tensors &golden,
                             const Tensors *inputs,
                             const Tolerances &tolerances) {
  Comparison result;
  for (const SafetensorsEntry &entry : golden.entries()) {
    compareOne(got, golden, inputs, entry, tolerances, result);
    ++result.tensors;
  }
  if (result.tensors == 0)
    result.faults.push_back(golden.name() + ": holds nothing to compare");
  return result;
}

Comparison compareBits(const Tensors &got, const Tensors &want) {
  Comparison result;
  for (const SafetensorsEntry &entry : want.entries()) {
    if (std::optional<Pair> pair = pairUp(got, want, entry, result))
      compareExact(*pair, result);
    ++result.tensors;
  }
  if (result.tensors == 0)
    result.faults.push_back(want.name() + ": holds nothing to compare");
  return result;
}

} // namespace vlmc::e2e
