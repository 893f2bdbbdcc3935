// How sessions show pictures, where a model has but one way and reads no
// videos: by the functions of vlm.h, which each test stands in for.
#include "runtime/image/ImageInternal.h"
#include "runtime/text/PromptInternal.h"

#include <numeric>

using namespace vlmc::rt;

size_t vlm_image_frame_count(const vlm_image_t *) { return 0; }

vlm_status_t *vlm_model_view_tiles(const vlm_model_t *model, int64_t height,
                                   int64_t width, const View &,
                                   int64_t *tiles) {
  return vlm_model_tile_count(model, height, width, tiles);
}

vlm_status_t *vlm_model_view_rows(const vlm_model_t *model, int64_t height,
                                  int64_t width, const View &,
                                  FeatureRows &out) {
  vlm_ids_t rows{};
  if (vlm_status_t *status =
          vlm_model_picture_rows(model, height, width, &rows))
    return status;
  out.rows.assign(rows.ids, rows.ids + rows.count);
  vlm_ids_destroy(&rows);
  return nullptr;
}

vlm_status_t *vlm_model_view_preprocess(const vlm_model_t *model,
                                        const vlm_image_t *image, const View &,
                                        float *pixels) {
  return vlm_model_preprocess(model, image, pixels);
}

const char *vlm_tokenizer_video_token(const vlm_tokenizer_t *, size_t *) {
  return nullptr;
}

vlm_status_t *vlm_tokenizer_order_media(const vlm_tokenizer_t *, const char *,
                                        size_t, size_t pictures, size_t,
                                        std::vector<size_t> &order) {
  order.resize(pictures);
  std::iota(order.begin(), order.end(), size_t(0));
  return nullptr;
}

vlm_status_t *vlm_tokenizer_encode_media(const vlm_tokenizer_t *tokenizer,
                                         const char *text, size_t bytes,
                                         std::span<const Medium> media,
                                         int special, vlm_ids_t *out) {
  std::vector<int64_t> tokens;
  for (const Medium &medium : media)
    tokens.push_back(medium.tokens);
  return vlm_tokenizer_encode_prompt(tokenizer, text, bytes, tokens.data(),
                                     tokens.size(), special, out);
}

// No picture becomes several, or patches.
int vlm_tokenizer_pictures_are_cut(const vlm_tokenizer_t *) { return 0; }
void vlm_image_piece_size(const vlm_abi_image *, int64_t height, int64_t width,
                          int64_t, int64_t *outHeight, int64_t *outWidth) {
  *outHeight = height;
  *outWidth = width;
}
void vlm_image_cut_patches(const float *, int64_t, int64_t, int64_t, int64_t,
                           int64_t, float *) {}
