//===- RunEntry.cpp - One entry point, for another architecture -----------===//
//
// RunEntry MODEL ENTRY INPUTS OUTPUTS: runs an entry point through the core
// runtime. It is compiled for AArch64 and run by qemu-user; LevelsTest.cpp
// writes INPUTS and reads OUTPUTS. A tensor is a line "NAME DTYPE RANK DIM..."
// (DTYPE by its number in vlm.h) and its bytes. In INPUTS, tensors whose line
// begins with '>' have no bytes: they are outputs to be computed.
//
//===----------------------------------------------------------------------===//
#include "runtime/vlm.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <list>
#include <sstream>
#include <string>
#include <vector>

namespace {
struct Tensor {
  std::string line, name;
  bool isOutput = false;
  std::vector<char> bytes;
  vlm_tensor_t view{};
};
} // namespace

static void check(vlm_status_t *status) {
  if (!status)
    return;
  std::fprintf(stderr, "%s\n", vlm_status_message(status));
  std::exit(1);
}

static std::list<Tensor> readTensors(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::list<Tensor> tensors;
  for (std::string line; std::getline(file, line);) {
    Tensor &tensor = tensors.emplace_back();
    tensor.line = line;
    tensor.isOutput = line.front() == '>';
    std::istringstream words(line.substr(tensor.isOutput));
    int dtype = 0;
    words >> tensor.name >> dtype >> tensor.view.rank;
    size_t bytes = dtype == VLM_I64 ? 8 : 4;
    for (int i = 0; i < tensor.view.rank; ++i) {
      words >> tensor.view.dims[i];
      bytes *= size_t(tensor.view.dims[i]);
    }
    tensor.bytes.resize(bytes);
    if (!tensor.isOutput)
      file.read(tensor.bytes.data(), std::streamsize(bytes));
    if (!words || !file) {
      std::fprintf(stderr, "%s: bad tensor '%s'\n", path, line.c_str());
      std::exit(1);
    }
    tensor.view.name = tensor.name.c_str();
    tensor.view.dtype = vlm_dtype_t(dtype);
    tensor.view.data = tensor.bytes.data();
    tensor.view.bytes = bytes;
  }
  return tensors;
}

int main(int argc, char **argv) {
  if (argc != 5)
    return 2;
  vlm_model_t *model = nullptr;
  check(vlm_model_load(argv[1], nullptr, &model));
  const vlm_entry_t *entry = nullptr;
  check(vlm_model_entry(model, argv[2], &entry));
  std::list<Tensor> tensors = readTensors(argv[3]);
  std::vector<vlm_tensor_t> inputs, outputs;
  for (const Tensor &tensor : tensors)
    (tensor.isOutput ? outputs : inputs).push_back(tensor.view);
  check(vlm_entry_run(entry, inputs.data(), inputs.size(), outputs.data(),
                      outputs.size()));
  std::ofstream file(argv[4], std::ios::binary);
  for (const Tensor &tensor : tensors)
    if (tensor.isOutput) {
      file << tensor.line.substr(1) << "\n";
      file.write(tensor.bytes.data(), std::streamsize(tensor.bytes.size()));
    }
  vlm_model_destroy(model);
  return file.flush() ? 0 : 1;
}
