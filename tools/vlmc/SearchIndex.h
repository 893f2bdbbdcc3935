//===- SearchIndex.h - Embeddings of a folder's pictures --------*- C++ -*-===//
//
// What `vlmc search` keeps of a folder: for each picture file its size, its
// time and its embedding by one model and image back end. Opened again, only files that are new or
// have changed are embedded; those that are gone are dropped.
//
//   SearchIndex index(model, "photos", "photos/.vlmc-search.safetensors");
//   if (std::optional<Fault> fault = index.load())
//     return report(*fault);
//   if (std::optional<Fault> fault = index.update(progress))
//     return report(*fault);
//   for (const SearchIndex::Hit &hit : index.rank(query, 10))
//     use(hit.picture->name, hit.score);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_SEARCHINDEX_H
#define VLMC_TOOLS_VLMC_SEARCHINDEX_H

#include "tools/vlmc/Tensors.h"

#include <functional>

namespace vlmc::tool {

class SearchIndex {
public:
  struct Picture {
    std::string name; ///< relative to the folder
    uint64_t size = 0;
    int64_t time = 0; ///< of its last change, in ns
    /// Of length 1; empty where the file cannot be read, and why not.
    std::vector<float> embedding;
    std::string fault;
  };
  struct Hit {
    const Picture *picture;
    double score; ///< cosine
  };
  struct Changes {
    size_t embedded = 0, kept = 0, dropped = 0, unread = 0;
  };

  SearchIndex(const vlm_model_t *model, std::string folder, std::string file)
      : model(model), folder(std::move(folder)), file(std::move(file)) {}

  /// Reads the file; one of another model, or none, is an empty index.
  /// Errors: a file that is no index.
  std::optional<Fault> load();
  /// Makes the index that of the folder as it is, and writes it where something
  /// has changed. Files that cannot be read are left out, with a warning, and
  /// tried again the next time; of a folder below it that cannot be read, what
  /// is known is kept.
  /// Errors: a folder that cannot be read; a model that embeds no pictures.
  std::optional<Fault>
  update(const std::function<void(size_t done, size_t total)> &progress);
  /// The `most` pictures that are nearest to an embedding, the best first;
  /// equals by name.
  std::vector<Hit> rank(const std::vector<float> &query, size_t most) const;

  const Changes &changes() const { return counts; }
  /// Whether an index of another model or image back end was there.
  bool isOfAnotherModel() const { return otherModel; }
  size_t size() const { return pictures.size() - counts.unread; }
  const std::string &path() const { return file; }

private:
  std::optional<Fault> list(std::vector<Picture> &found,
                            std::vector<std::string> &unread) const;
  void takeKnown(std::vector<Picture> &found,
                 const std::vector<std::string> &unread);
  std::optional<Fault>
  embed(std::vector<Picture *> &wanted,
        const std::function<void(size_t, size_t)> &progress);
  std::optional<Fault> write(OutputFile &output) const;

  const vlm_model_t *model;
  std::string folder, file;
  std::vector<Picture> pictures; ///< by name
  Changes counts;
  bool otherModel = false;
};

/// The embeddings of a request to a dual encoder, `name` image_embeds or
/// text_embeds, row by row.
/// Errors: a model that gives several embeddings of a picture.
Outcome<std::vector<std::vector<float>>> embeddingsOf(const TensorMap &values,
                                                      const std::string &name);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_SEARCHINDEX_H
