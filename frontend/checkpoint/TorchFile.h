//===- TorchFile.h - One pytorch_model.bin ----------------------*- C++ -*-===//
//
// Maps a file of torch.save and finds the tensors of the state dict in it: a
// zip archive of stored members, `data.pkl` with a pickled dict and `data/KEY`
// with the values. Of pickle only what state dicts are made of is understood;
// nothing is ever called or imported.
//
//   Result<TorchFile> file = TorchFile::open(path);
//   if (!file)
//     return file.takeFailure();
//   for (const SafetensorsEntry &entry : file->entries())
//     use(entry.name, file->bytesOf(entry));
//
// Source: torch.serialization and torch._utils of PyTorch, the zip format
// (APPNOTE.TXT), pickletools of Python.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_TORCHFILE_H
#define VLMC_FRONTEND_CHECKPOINT_TORCHFILE_H

#include "frontend/checkpoint/Safetensors.h"

namespace vlmc {

/// A mapped file of torch.save. Tensors that share a storage, as tied weights
/// do, share their bytes.
class TorchFile {
public:
  /// Errors: a file that cannot be mapped, is no zip archive (that of a PyTorch
  /// before 1.6) or a damaged one; compressed or encrypted members; another
  /// byte order than little; a pickle that holds or calls anything but tensors,
  /// dicts, lists and plain values; a tensor that is not laid out row by row or
  /// reaches beyond its storage.
  static Result<TorchFile> open(const std::string &path);

  const std::string &path() const { return file; }
  /// In the order of the dict.
  const std::vector<SafetensorsEntry> &entries() const { return list; }
  std::span<const uint8_t> bytesOf(const SafetensorsEntry &entry) const {
    return {map.data() + entry.begin, entry.end - entry.begin};
  }

private:
  TorchFile(std::string path, MappedFile map,
            std::vector<SafetensorsEntry> list)
      : file(std::move(path)), map(std::move(map)), list(std::move(list)) {}

  std::string file;
  MappedFile map;
  std::vector<SafetensorsEntry> list;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_TORCHFILE_H
