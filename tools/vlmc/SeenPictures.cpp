//===- SeenPictures.cpp - Pictures that tokens attend to ------------------===//
#include "tools/vlmc/SeenPictures.h"

#include <algorithm>
#include <cstring>

namespace vlmc::tool {

/// The pictures of each prompt, with zeros where a prompt has fewer.
static HostTensor spread(const HostTensor &pixels,
                         const std::vector<int64_t> &pictures, int64_t most) {
  std::vector<int64_t> shape = {int64_t(pictures.size()), most};
  shape.insert(shape.end(), pixels.shape.begin() + 1, pixels.shape.end());
  HostTensor all = HostTensor::zeros(VLM_F32, shape);
  size_t each = pixels.bytes.size() / size_t(pixels.shape[0]);
  size_t from = 0;
  for (size_t row = 0; row < pictures.size(); ++row) {
    std::memcpy(all.bytes.data() + row * size_t(most) * each,
                pixels.bytes.data() + from, size_t(pictures[row]) * each);
    from += size_t(pictures[row]) * each;
  }
  return all;
}

void addSeenPictures(const vlm_abi_generation &facts,
                     const std::vector<int64_t> &pictures, TensorMap &tensors) {
  const HostTensor &ids = tensors["input_ids"];
  int64_t most =
      std::max<int64_t>(1, *std::max_element(pictures.begin(), pictures.end()));
  int64_t columns = ids.shape[1];
  std::vector<int64_t> mask(size_t(ids.shape[0] * columns * most), 0);
  for (int64_t row = 0; row < ids.shape[0]; ++row) {
    int64_t seen = 0;
    bool isOver = false;
    for (int64_t column = 0; column < columns; ++column) {
      int64_t id = ids.data<int64_t>()[row * columns + column];
      if (id == facts.image_token) {
        isOver = false;
        ++seen;
      }
      int64_t *to = mask.data() + (row * columns + column) * most;
      int64_t first =
          facts.attended & VLM_ABI_ATTEND_LATEST ? seen - 1 : int64_t(0);
      for (int64_t i = std::max<int64_t>(0, first); i < seen && !isOver; ++i)
        to[i] = 1;
      if (facts.attended & VLM_ABI_ATTEND_UNTIL_END && facts.n_end_tokens)
        isOver = isOver || id == facts.end_tokens[0];
    }
  }
  tensors["image_attention_mask"] =
      HostTensor::of(VLM_I64, {ids.shape[0], columns, most}, mask.data());
  if (auto pixels = tensors.find("pixel_values"); pixels != tensors.end())
    pixels->second = spread(pixels->second, pictures, most);
}

Outcome<SeenRows> readSeenRows(const TensorMap &tensors, size_t number,
                               const std::vector<int64_t> &columns,
                               int64_t rowsPerPicture) {
  const std::vector<int64_t> &ids = tensors.at("input_ids").shape;
  SeenRows rows;
  rows.first.assign(columns.size(), 0);
  rows.last.assign(columns.size(), 0);
  auto found = tensors.find("image_attention_mask");
  if (found == tensors.end())
    return rows;
  const HostTensor &mask = found->second;
  if (mask.shape.size() != 3 || mask.shape[0] != ids[0] ||
      mask.shape[1] != ids[1])
    return Fault("image_attention_mask: expected the shape [batch, tokens, "
                 "pictures] with those of input_ids, found another; mend the "
                 "file of tensors");
  int64_t pictures = mask.shape[2];
  for (size_t i = 0; i < columns.size(); ++i) {
    const int64_t *seen = mask.data<int64_t>() +
                          (int64_t(number) * ids[1] + columns[i]) * pictures;
    const int64_t *end = seen + pictures;
    const int64_t *first = std::find(seen, end, 1);
    const int64_t *last = std::find(first, end, 0);
    if (std::find(last, end, 1) != end)
      return Fault("image_attention_mask: expected tokens that see pictures "
                   "one behind the other, found token " +
                   std::to_string(columns[i]) + " of prompt " +
                   std::to_string(number) + " that leaves some out");
    rows.first[i] = int32_t((first - seen) * rowsPerPicture);
    rows.last[i] = int32_t((last - seen) * rowsPerPicture);
  }
  return rows;
}

} // namespace vlmc::tool
