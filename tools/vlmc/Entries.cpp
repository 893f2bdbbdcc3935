//===- Entries.cpp - Entry points on tensors in memory --------------------===//
#include "tools/vlmc/Entries.h"

#include <algorithm>
#include <cstring>

namespace vlmc::tool {

/// Rows that go through an entry point at once: more gain no speed.
static constexpr int64_t maxRows = 32;

const vlm_abi_level &levelOf(const vlm_model_t *model) {
  const vlm_abi_model &abi = *vlm_model_abi(model);
  for (uint32_t i = 0; i < abi.n_levels; ++i)
    if (std::strcmp(abi.levels[i].isa, vlm_model_isa(model)) == 0)
      return abi.levels[i];
  return abi.levels[0];
}

bool hasEntry(const vlm_model_t *model, const std::string &name) {
  for (size_t i = 0; i < vlm_model_entry_count(model); ++i)
    if (name == vlm_entry_name(vlm_model_entry_at(model, i)))
      return true;
  return false;
}

bool hasInput(const vlm_entry_t *entry, const std::string &name) {
  vlm_tensor_t tensor;
  for (size_t i = 0; i < vlm_entry_input_count(entry); ++i)
    if (!check(vlm_entry_input(entry, i, &tensor)) && name == tensor.name)
      return true;
  return false;
}

vlm_tensor_t viewOf(const std::string &name, HostTensor &tensor) {
  vlm_tensor_t view{};
  view.name = name.c_str();
  view.dtype = tensor.dtype;
  view.rank = int(tensor.shape.size());
  std::copy_n(tensor.shape.begin(),
              std::min<size_t>(tensor.shape.size(), VLM_MAX_RANK), view.dims);
  view.data = tensor.bytes.data();
  view.bytes = tensor.bytes.size();
  return view;
}

std::optional<Fault> readInputs(const std::string &path,
                                const vlm_entry_t *entry, TensorMap &tensors) {
  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file)
    return Fault(file.takeFailure());
  for (const SafetensorsEntry &stored : file->entries()) {
    vlm_dtype_t wanted = VLM_F32;
    for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
      vlm_tensor_t input;
      if (!check(vlm_entry_input(entry, i, &input)) &&
          stored.name == input.name)
        wanted = input.dtype;
    }
    if (!hasInput(entry, stored.name))
      return Fault(path + ": tensor '" + stored.name +
                   "' is no input of entry point '" + vlm_entry_name(entry) +
                   "'; 'vlmc inspect' lists its inputs");
    Outcome<HostTensor> tensor = readTensor(*file, stored, wanted);
    if (!tensor)
      return tensor.takeFault();
    tensors[stored.name] = std::move(*tensor);
  }
  return std::nullopt;
}

std::optional<Fault> makeOutputs(const vlm_entry_t *entry,
                                 const std::vector<vlm_tensor_t> &inputs,
                                 TensorMap &outputs) {
  std::vector<vlm_tensor_t> shapes(vlm_entry_output_count(entry));
  if (std::optional<Fault> fault = check(vlm_entry_output_shapes(
          entry, inputs.data(), inputs.size(), shapes.data())))
    return fault;
  for (const vlm_tensor_t &shape : shapes)
    outputs[shape.name] = HostTensor::zeros(
        shape.dtype, std::vector<int64_t>(shape.dims, shape.dims + shape.rank));
  return std::nullopt;
}

static std::vector<vlm_tensor_t> viewsOf(TensorMap &tensors) {
  std::vector<vlm_tensor_t> views;
  for (auto &[name, tensor] : tensors)
    views.push_back(viewOf(name, tensor));
  return views;
}

std::optional<Fault> runEntry(const vlm_entry_t *entry,
                              const std::vector<vlm_tensor_t> &inputs,
                              TensorMap &outputs) {
  if (std::optional<Fault> fault = makeOutputs(entry, inputs, outputs))
    return fault;
  std::vector<vlm_tensor_t> out = viewsOf(outputs);
  return check(vlm_entry_run(entry, inputs.data(), inputs.size(), out.data(),
                             out.size()));
}

std::optional<Fault> runOnce(const vlm_model_t *model, const std::string &name,
                             TensorMap &inputs, TensorMap &outputs) {
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, name.c_str(), &entry)))
    return fault;
  TensorMap made;
  if (std::optional<Fault> fault = runEntry(entry, viewsOf(inputs), made))
    return fault;
  outputs.merge(made);
  return std::nullopt;
}

/// Rows [begin, begin + count) of each tensor.
static TensorMap slice(const TensorMap &tensors, int64_t begin, int64_t count) {
  TensorMap result;
  for (const auto &[name, tensor] : tensors) {
    std::vector<int64_t> shape = tensor.shape;
    shape.front() = count;
    result[name] =
        HostTensor::of(tensor.dtype, std::move(shape),
                       tensor.bytes.data() + size_t(begin) * tensor.rowBytes());
  }
  return result;
}

/// Adds the rows of `pieces` behind those of `tensors`.
static void append(TensorMap &tensors, TensorMap pieces) {
  for (auto &[name, piece] : pieces) {
    auto [it, isNew] = tensors.try_emplace(name, std::move(piece));
    if (isNew)
      continue;
    it->second.shape.front() += piece.rows();
    it->second.bytes.insert(it->second.bytes.end(), piece.bytes.begin(),
                            piece.bytes.end());
  }
}

std::optional<Fault> runRows(const vlm_model_t *model, const std::string &entry,
                             const TensorMap &inputs, TensorMap &outputs) {
  // The entry point itself tells what is wrong with shapes that cannot be cut.
  int64_t rows = inputs.empty() ? 0 : inputs.begin()->second.rows();
  bool canCut = std::ranges::all_of(inputs, [&](const auto &input) {
    return !input.second.shape.empty() && input.second.rows() == rows;
  });
  if (!canCut || rows <= maxRows) {
    TensorMap copy = inputs;
    return runOnce(model, entry, copy, outputs);
  }
  TensorMap all;
  for (int64_t begin = 0; begin < rows; begin += maxRows) {
    TensorMap piece = slice(inputs, begin, std::min(maxRows, rows - begin));
    TensorMap results;
    if (std::optional<Fault> fault = runOnce(model, entry, piece, results))
      return fault;
    append(all, std::move(results));
  }
  outputs.merge(all);
  return std::nullopt;
}

} // namespace vlmc::tool
