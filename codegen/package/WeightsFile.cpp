//===-- WeightsFile.cpp - writes NAME.weights -----------------------------===//
#include "codegen/package/WeightsFile.h"
#include "codegen/package/Error.h"
#include "codegen/package/Files.h"
#include "codegen/package/Sha256.h"
#include "codegen/package/Version.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/ThreadPool.h"
#include <mutex>

using namespace llvm;

namespace vlmc {

/// VLM_ABI_ALIGNMENT: packed weights are read with aligned loads.
static constexpr uint64_t alignment = 64;

/// How much of a mapped checkpoint all threads together keep in memory behind
/// them; more would only make a machine with little memory swap.
static constexpr uint64_t keptBytes = uint64_t(128) << 20;

//===-- Places ------------------------------------------------------------===//

Expected<WeightsPlan> WeightsPlan::create(ArrayRef<NamedRecipe> weights,
                                          ArrayRef<NamedBlob> blobs,
                                          const WeightSource &source) {
  WeightsPlan plan(source);
  for (const NamedRecipe &weight : weights)
    if (Error error = plan.addWeight(weight))
      return std::move(error);
  for (const NamedBlob &blob : blobs)
    if (Error error = plan.addBlob(blob))
      return std::move(error);
  // Digests have one length, so the header's size is known before they are.
  std::vector<Digest> digests(plan.tensors.size());
  plan.headerBytes = 8 + plan.header(digests).size();
  for (auto &entry : plan.ranges)
    entry.second.offset += plan.headerBytes;
  return plan;
}

Error WeightsPlan::addName(StringRef name, const FileRange &range) {
  if (name.starts_with("__") || !ranges.try_emplace(name, range).second)
    return internalError("weight '" + name +
                         "' is stored twice or has a reserved name");
  return Error::success();
}

Error WeightsPlan::addWeight(const NamedRecipe &weight) {
  if (auto it = stored.find(weight.recipe); it != stored.end())
    return addName(weight.name, it->second);
  if (Error error = checkRecipe(weight.name, weight.recipe, *source))
    return error;
  StoredForm form = getStoredForm(weight.recipe);
  Tensor tensor{weight.name,
                form.dtype,
                form.layout,
                form.shape,
                {dataBytes, form.bytes},
                weight.recipe,
                {}};
  stored[weight.recipe] = tensor.range;
  if (Error error = addName(weight.name, tensor.range))
    return error;
  addTensor(std::move(tensor));
  return Error::success();
}

Error WeightsPlan::addBlob(const NamedBlob &blob) {
  Tensor tensor{blob.name,
                "U8",
                "",
                {static_cast<int64_t>(blob.bytes.size())},
                {dataBytes, blob.bytes.size()},
                {},
                blob.bytes};
  if (Error error = addName(blob.name, tensor.range))
    return error;
  addTensor(std::move(tensor));
  return Error::success();
}

void WeightsPlan::addTensor(Tensor tensor) {
  dataBytes += tensor.range.bytes;
  tensors.push_back(std::move(tensor));
  uint64_t gap = offsetToAlignment(dataBytes, Align(alignment));
  if (!gap)
    return;
  tensors.push_back({"__pad." + std::to_string(paddings++),
                     "U8",
                     "",
                     {static_cast<int64_t>(gap)},
                     {dataBytes, gap},
                     {},
                     {}});
  dataBytes += gap;
}

const FileRange *WeightsPlan::find(StringRef name) const {
  auto it = ranges.find(name);
  return it == ranges.end() ? nullptr : &it->second;
}

//===-- Header ------------------------------------------------------------===//

std::string WeightsPlan::header(ArrayRef<Digest> digests) const {
  std::string text;
  raw_string_ostream os(text);
  json::OStream json(os);
  json.object([&] {
    json.attributeObject("__metadata__", [&] {
      json.attribute("vlmc.version", getVersion());
      for (const Tensor &tensor : tensors)
        if (!tensor.layout.empty())
          json.attribute("layout." + tensor.name, tensor.layout);
      for (auto [tensor, digest] : zip_equal(tensors, digests))
        json.attribute("sha256." + tensor.name,
                       toHex(digest, /*LowerCase=*/true));
    });
    for (const Tensor &tensor : tensors)
      json.attributeObject(tensor.name, [&] {
        json.attribute("dtype", tensor.dtype);
        json.attribute("shape", json::Array(tensor.shape));
        json.attribute("data_offsets",
                       json::Array{tensor.range.offset,
                                   tensor.range.offset + tensor.range.bytes});
      });
  });
  // The data start at a multiple of the alignment; spaces may end a header.
  text.append(offsetToAlignment(8 + text.size(), Align(alignment)), ' ');
  return text;
}

//===-- Data --------------------------------------------------------------===//

/// Gives back the memory of what a recipe reads.
static void releaseInputs(vlm::RecipeAttr recipe, const WeightSource &source) {
  if (recipe.getKind() == vlm::RecipeKind::Read)
    if (const WeightTensor *tensor = source.find(recipe.getName().getValue()))
      source.release(*tensor);
  for (vlm::RecipeAttr input : recipe.getInputs())
    releaseInputs(input, source);
}

Expected<WeightsPlan::Digest>
WeightsPlan::writeTensor(const Tensor &tensor, OutputFile &file,
                         uint64_t releaseBytes,
                         function_ref<void(uint64_t)> advance) const {
  Sha256 sha;
  uint64_t unreleased = 0;
  auto sink = [&](uint64_t offset, ArrayRef<uint8_t> bytes) -> Error {
    sha.update(bytes);
    if (Error error =
            file.write(headerBytes + tensor.range.offset + offset, bytes))
      return error;
    advance(bytes.size());
    unreleased += bytes.size();
    if (tensor.recipe && unreleased >= releaseBytes) {
      releaseInputs(tensor.recipe, *source);
      unreleased = 0;
    }
    return Error::success();
  };
  std::vector<uint8_t> zeros;
  ArrayRef<uint8_t> blob = tensor.blob;
  if (!tensor.recipe && blob.empty()) {
    zeros.resize(tensor.range.bytes);
    blob = zeros;
  }
  if (Error error = tensor.recipe ? evaluateRecipe(tensor.name, tensor.recipe,
                                                   *source, sink)
                                  : sink(0, blob))
    return std::move(error);
  if (tensor.recipe)
    releaseInputs(tensor.recipe, *source);
  return sha.final();
}

namespace {
/// What the threads that write tensors share.
struct WriteState {
  std::mutex mutex;
  Error error = Error::success();
  uint64_t done = 0;
  bool failed = false;
};
} // namespace

Expected<WeightsIdentity>
WeightsPlan::write(const std::string &path, unsigned jobs,
                   const WriteProgress &progress) const {
  Expected<OutputFile> file = OutputFile::create(path, fileBytes());
  if (!file)
    return file.takeError();
  std::vector<Digest> digests(tensors.size());
  WriteState state;
  ThreadPoolStrategy strategy = hardware_concurrency(jobs);
  uint64_t releaseBytes = keptBytes / strategy.compute_thread_count();
  auto advance = [&](uint64_t bytes) {
    std::lock_guard lock(state.mutex);
    state.done += bytes;
    if (progress)
      progress(state.done, dataBytes);
  };
  auto writeOne = [&](size_t index) {
    {
      std::lock_guard lock(state.mutex);
      if (state.failed)
        return;
    }
    Expected<Digest> digest =
        writeTensor(tensors[index], *file, releaseBytes, advance);
    std::lock_guard lock(state.mutex);
    if (digest)
      digests[index] = *digest;
    else if (std::exchange(state.failed, true))
      consumeError(digest.takeError());
    else
      state.error = digest.takeError();
  };
  {
    DefaultThreadPool pool(strategy);
    for (size_t index = 0; index < tensors.size(); ++index)
      pool.async([&, index] { writeOne(index); });
    pool.wait();
  }
  if (state.error)
    return std::move(state.error);

  std::string text = header(digests);
  std::vector<uint8_t> bytes(8);
  support::endian::write64le(bytes.data(), text.size());
  bytes.insert(bytes.end(), text.begin(), text.end());
  if (Error error = file->write(0, bytes))
    return std::move(error);
  if (Error error = file->close())
    return std::move(error);
  return WeightsIdentity{fileBytes(), headerBytes, SHA256::hash(bytes)};
}

} // namespace vlmc
